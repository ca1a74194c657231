//! Events: read from JSON, and as rows of the circuit.

use feldera_macros::IsNone;
use rkyv::Archive;
use serde::Deserialize;
use size_of::SizeOf;
use std::borrow::Cow;

/// Amounts of money are whole numbers of these in one unit of currency: sums stay exact whatever comes and goes, as those
/// of SQL's `DECIMAL` do.
pub(crate) const SCALE: i64 = 10_000;

/// What a customer did. Times are in milliseconds since 1970; `received` is when this program read it.
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
pub(crate) enum Fact {
    #[default]
    Other,
    View {
        at: i64,
        received: i64,
    },
    Order {
        at: i64,
        received: i64,
        amount: i64,
    },
    Checkout {
        at: i64,
    },
    /// Fires a trigger. Where it is in the topic tells whether that has been sent before.
    Probe {
        number: i64,
        partition: i32,
        offset: i64,
    },
}

/// An event of a device, which is the key.
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
pub(crate) struct Event {
    /// Its offset: the order of a device's events, which are all in one partition.
    pub(crate) offset: i64,
    pub(crate) user: Option<String>,
    pub(crate) fact: Fact,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Json<'a> {
    #[serde(borrow)]
    timestamp: Cow<'a, str>,
    anonymous_id: String,
    user_id: Option<String>,
    #[serde(default)]
    event: Name,
    #[serde(default)]
    properties: Properties,
}

#[derive(Default, Deserialize)]
enum Name {
    #[serde(rename = "Product Viewed")]
    View,
    #[serde(rename = "Order Completed")]
    Order,
    #[serde(rename = "Checkout Started")]
    Checkout,
    Probe,
    #[default]
    #[serde(other)]
    Other,
}

#[derive(Default, Deserialize)]
struct Properties {
    total: Option<f64>,
    probe: Option<i64>,
}

/// The device and the event in the text of a record that is at this place of the topic.
pub(crate) fn parse(text: &[u8], partition: i32, offset: i64, received: i64) -> anyhow::Result<(String, Event)> {
    let json: Json<'_> = serde_json::from_slice(text)?;
    let at = json.timestamp.parse::<jiff::Timestamp>()?.as_millisecond();
    let fact = match json.event {
        Name::View => Fact::View { at, received },
        Name::Order => {
            let amount = (json.properties.total.unwrap_or(0.0) * SCALE as f64).round() as i64;
            Fact::Order { at, received, amount }
        }
        Name::Checkout => Fact::Checkout { at },
        Name::Probe => Fact::Probe { number: json.properties.probe.unwrap_or(0), partition, offset },
        Name::Other => Fact::Other,
    };
    Ok((json.anonymous_id, Event { offset, user: json.user_id, fact }))
}
