//! The sample shop's traffic: from a seed, so that every run of the demo has the same customers doing the same.
//!
//! What must come out of it does not depend on how events fall into epochs: accounts order, not visitors without one;
//! whoever leaves a cart does not come back for it; an order is known before its checkout; no event lies near the edge
//! of a window.

use super::visitor::{Draft, Visitor, When};
use serde_json::Value;

/// Tablets that a family of four shares: more accounts than `shared_after` allows.
const FAMILIES: usize = 40;
const FAMILY: usize = 4;
/// Everybody with a browser, families included.
const VISITORS: usize = 2_200;

/// An event on its way.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample {
    /// Whose it is: events of the same visitor are sent in order.
    pub(super) visitor: usize,
    /// As clients send it.
    pub(super) body: Value,
}

/// All that is played.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Traffic {
    /// What makes the families' tablets known as shared. Committed before anything else is sent: until then a tablet
    /// joins its users, and who comes to qualify as one has qualified for all of them.
    pub(super) prelude: Vec<Sample>,
    /// The rest, in the order in which it is sent.
    pub(super) events: Vec<Sample>,
}

impl Traffic {
    /// The traffic up to `now`, in milliseconds since 1970.
    pub(super) fn generate(seed: u64, now: i64) -> Self {
        let mut prelude = Vec::new();
        let mut drafts: Vec<(usize, Draft)> = Vec::new();
        for index in 0..VISITORS {
            let mut visitor = Visitor::new(seed, index, now);
            if index < FAMILIES * FAMILY {
                prelude.extend(sign_in_on_the_tablet(&mut visitor, index));
                share_a_tablet(&mut visitor, index);
            } else {
                live(&mut visitor, index);
            }
            let mut own = std::mem::take(&mut visitor.drafts);
            retry(&mut visitor, &mut own);
            drafts.extend(own.into_iter().map(|draft| (index, draft)));
        }
        drafts.sort_by_key(|(_, draft)| draft.sent);
        let events = drafts.iter().map(|(visitor, draft)| Sample { visitor: *visitor, body: draft.finish() });
        Self { prelude, events: events.collect() }
    }

    /// How many events there are, those that are sent twice counted twice.
    pub(super) fn len(&self) -> usize {
        self.prelude.len() + self.events.len()
    }
}

fn tablet(index: usize) -> String {
    format!("tablet-{:04x}", index / FAMILY)
}

/// The first thing each of a family does, and what somebody does on the tablet who has not logged in.
fn sign_in_on_the_tablet(visitor: &mut Visitor, index: usize) -> Vec<Sample> {
    let own = std::mem::replace(&mut visitor.device, tablet(index));
    visitor.session(When::DaysAgo(40), |visitor| {
        if index.is_multiple_of(FAMILY) {
            visitor.view();
        }
        visitor.known = true;
        visitor.page("Login", "/login");
    });
    visitor.device = own;
    visitor.drafts.drain(..).map(|draft| Sample { visitor: index, body: draft.finish() }).collect()
}

fn share_a_tablet(visitor: &mut Visitor, index: usize) {
    let phone = visitor.device.clone();
    let visits = visitor.random.between(1, 3);
    for when in visitor.days(visits, 1, 38) {
        visitor.device = if visitor.random.percent(60) { tablet(index) } else { phone.clone() };
        let buys = visitor.random.percent(45);
        visitor.session(when, |visitor| {
            visitor.identify();
            visitor.browse(2);
            if buys {
                visitor.add();
                visitor.order();
            }
        });
    }
}

/// What everybody else does.
fn live(visitor: &mut Visitor, index: usize) {
    match index % 20 {
        0..7 => only_look(visitor),
        7..9 => leave_an_address(visitor),
        9..12 => leave_a_cart(visitor),
        12..17 => buy(visitor),
        17 | 18 => buy_again_and_again(visitor),
        _ => have_bought_long_ago(visitor),
    }
}

fn only_look(visitor: &mut Visitor) {
    if visitor.random.percent(8) {
        visitor.broken_user_id = Some(visitor.random.pick(&["null", "undefined", "0"]));
    }
    let visits = visitor.random.between(1, 2);
    let mut visits = visitor.days(visits, 1, 39);
    if visitor.random.percent(15) {
        visits.push(When::Now);
    }
    for when in visits {
        let products = visitor.random.between(1, 5);
        visitor.session(when, |visitor| visitor.browse(products));
    }
}

fn leave_an_address(visitor: &mut Visitor) {
    for when in visitor.days(2, 1, 39) {
        visitor.session(when, |visitor| visitor.browse(2));
    }
    visitor.session(When::DaysAgo(0), Visitor::subscribe);
}

fn leave_a_cart(visitor: &mut Visitor) {
    let first = visitor.days(1, 20, 39);
    for when in first {
        visitor.session(when, |visitor| visitor.browse(3));
    }
    let when = match visitor.random.percent(30) {
        true => When::Now,
        false => When::DaysAgo(visitor.random.between(0, 19)),
    };
    let logs_in_first = visitor.random.percent(50);
    visitor.session(when, |visitor| {
        visitor.browse(2);
        visitor.add();
        if logs_in_first {
            visitor.identify();
            visitor.leave_cart();
        } else {
            // The cart of a visitor without an account, who turns out to have one: one customer, one reminder.
            visitor.leave_cart();
            visitor.identify();
        }
    });
}

fn buy(visitor: &mut Visitor) {
    let visits = visitor.random.between(1, 2);
    let mut visits = visitor.days(visits, 1, 39);
    if visitor.random.percent(15) {
        visits.push(When::Now);
    }
    for when in visits {
        let items = visitor.random.between(1, 2);
        visitor.session(when, |visitor| {
            visitor.browse(2);
            if !visitor.known {
                visitor.identify();
            }
            (0..items).for_each(|_| visitor.add());
            visitor.order();
        });
    }
}

fn buy_again_and_again(visitor: &mut Visitor) {
    let orders = visitor.random.between(3, 5);
    for when in visitor.days(orders, 1, 35) {
        visitor.session(when, |visitor| {
            visitor.view();
            if !visitor.known {
                visitor.identify();
            }
            visitor.add();
            visitor.order();
        });
    }
    if visitor.random.percent(25) {
        visitor.session(When::Now, |visitor| {
            visitor.add();
            visitor.leave_cart();
        });
    }
}

fn have_bought_long_ago(visitor: &mut Visitor) {
    let days = visitor.random.between(100, 150);
    visitor.session(When::DaysAgo(days), |visitor| {
        visitor.browse(1);
        visitor.identify();
        visitor.add();
        visitor.order();
    });
}

/// Some messages are sent again, because the answer to the first got lost.
fn retry(visitor: &mut Visitor, drafts: &mut Vec<Draft>) {
    let again: Vec<Draft> = drafts.iter().filter(|_| visitor.random.percent(2)).cloned().collect();
    drafts.extend(again.into_iter().map(|draft| Draft { sent: draft.sent + 30_000, ..draft }));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::super::SEED;
    use super::*;
    use std::collections::BTreeSet;

    const NOW: i64 = 1_780_000_000_000;

    #[test]
    fn the_same_seed_gives_the_same_traffic_and_another_another() {
        let traffic = Traffic::generate(SEED, NOW);
        assert_eq!(traffic, Traffic::generate(SEED, NOW));
        assert_ne!(traffic, Traffic::generate(SEED + 1, NOW));
    }

    #[test]
    fn it_is_of_the_size_that_is_promised() {
        let traffic = Traffic::generate(SEED, NOW);
        assert!((15_000..25_000).contains(&traffic.len()), "{}", traffic.len());
        let bytes: usize = traffic.events.iter().map(|sample| sample.body.to_string().len()).sum();
        let mean = bytes / traffic.events.len();
        assert!((450..650).contains(&mean), "{mean} bytes an event");
    }

    #[test]
    fn messages_come_twice_but_never_two_under_one_id() {
        let traffic = Traffic::generate(SEED, NOW);
        let all = || traffic.prelude.iter().chain(&traffic.events);
        let ids: BTreeSet<&str> = all().map(|sample| sample.body["messageId"].as_str().unwrap()).collect();
        let bodies: BTreeSet<String> = all().map(|sample| sample.body.to_string()).collect();
        assert_eq!(ids.len(), bodies.len());
        assert!(ids.len() + 100 < traffic.len(), "there are retries");
    }

    #[test]
    fn every_time_is_past_and_far_from_the_edges_of_windows() {
        let traffic = Traffic::generate(SEED, NOW);
        let hour = 3_600_000;
        for sample in traffic.prelude.iter().chain(&traffic.events) {
            let at: jiff::Timestamp = sample.body["timestamp"].as_str().unwrap().parse().unwrap();
            let ago = NOW - at.as_millisecond();
            assert!(ago > 0, "{ago}");
            for days in [7, 30, 90] {
                assert!((ago - days * 24 * hour).abs() > 2 * hour, "{ago} is near {days} days");
            }
        }
    }

    #[test]
    fn an_order_is_sent_before_what_the_browser_tells_of_its_checkout() {
        let traffic = Traffic::generate(SEED, NOW);
        let mut ordered: BTreeSet<usize> = BTreeSet::new();
        let mut left: BTreeSet<usize> = BTreeSet::new();
        for sample in &traffic.events {
            match sample.body["event"].as_str() {
                Some("Order Completed") => {
                    assert!(!left.contains(&sample.visitor), "who leaves a cart does not order afterwards");
                    ordered.insert(sample.visitor);
                }
                Some("Checkout Started") if !ordered.contains(&sample.visitor) => {
                    left.insert(sample.visitor);
                }
                _ => {}
            }
        }
        assert!(ordered.len() > 300 && left.len() > 100, "{} ordered, {} left", ordered.len(), left.len());
    }
}
