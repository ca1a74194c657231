//! What is known of a customer, and the twenty segments that follow from it.

use crate::event::{Fact, SCALE};
use dbsp::ZWeight;
use dbsp::utils::Tup4;
use feldera_macros::IsNone;
use rkyv::Archive;
use size_of::SizeOf;

/// The windowed aggregates: views of a day, views of seven days, orders of thirty days, amount spent in seven days.
/// A tuple of dbsp's, because those are vectors: they can be added, and taken away again.
pub(crate) type Recent = Tup4<i64, i64, i64, i64>;

/// The aggregates of all time: nothing is ever taken out of them, so each follows from its last value and what is new.
#[derive(
    Clone,
    Default,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    SizeOf,
    Archive,
    rkyv::Serialize,
    rkyv::Deserialize,
    IsNone,
)]
#[archive_attr(derive(PartialEq, Eq, PartialOrd, Ord))]
#[archive(compare(PartialEq, PartialOrd))]
pub(crate) struct Lifetime {
    orders: i64,
    ltv: i64,
    largest: i64,
    last_order_at: i64,
    last_checkout_at: i64,
    views: i64,
}

impl Lifetime {
    /// With a fact that has come so many times.
    pub(crate) fn with(mut self, fact: &Fact, times: ZWeight) -> Self {
        match fact {
            Fact::View { .. } => self.views += times,
            Fact::Order { at, amount, .. } => {
                self.orders += times;
                self.ltv += amount * times;
                self.largest = self.largest.max(*amount);
                self.last_order_at = self.last_order_at.max(*at);
            }
            Fact::Checkout { at } => self.last_checkout_at = self.last_checkout_at.max(*at),
            Fact::Probe { .. } | Fact::Other => {}
        }
        self
    }
}

/// What is told of a customer.
#[derive(
    Clone,
    Default,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    SizeOf,
    Archive,
    rkyv::Serialize,
    rkyv::Deserialize,
    IsNone,
)]
#[archive_attr(derive(PartialEq, Eq, PartialOrd, Ord))]
#[archive(compare(PartialEq, PartialOrd))]
pub(crate) struct Standing {
    pub(crate) orders: i64,
    /// One bit each.
    pub(crate) segments: u32,
}

impl Standing {
    pub(crate) fn of(lifetime: &Lifetime, recent: &Recent) -> Self {
        let Lifetime { orders, ltv, largest, last_order_at, last_checkout_at, views } = *lifetime;
        let (views_1d, views_7d, orders_30d, spent_7d) =
            (*recent.get_0(), *recent.get_1(), *recent.get_2(), *recent.get_3());
        let rules = [
            orders >= 1,
            orders >= 3,
            orders >= 10,
            ltv > 500 * SCALE,
            ltv > 5000 * SCALE,
            largest > 400 * SCALE,
            largest > 550 * SCALE,
            last_checkout_at > last_order_at,
            views >= 5 && orders == 0,
            views >= 20,
            views_1d >= 2,
            views_1d >= 5,
            views_7d >= 5,
            views_7d >= 20,
            orders_30d >= 1,
            orders_30d >= 3,
            spent_7d > 300 * SCALE,
            spent_7d > 1000 * SCALE,
            orders >= 1 && views_7d >= 1,
            orders >= 1 && views_7d == 0 && orders_30d == 0,
        ];
        let segments = rules.iter().enumerate().map(|(bit, is_in)| u32::from(*is_in) << bit).sum();
        Self { orders, segments }
    }
}
