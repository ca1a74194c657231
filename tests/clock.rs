//! Time alone moves people: segments that begin and end by the clock, without an event.

use crate::support::receiver::{Receiver, secret};
use crate::support::server::Site;
use crate::support::wait::{SOON, eventually};
use serde_json::json;
use std::time::{SystemTime, UNIX_EPOCH};

fn site(receiver: &Receiver) -> Site {
    let url = &receiver.url;
    let definitions = format!(
        r#"
segments:
  asleep: {{ where: max(timestamp) < now() - INTERVAL '2 seconds' }}
  awake: {{ where: "count(*) > 0 AND NOT in_segment('asleep')" }}
  due: {{ where: "traits.renews_at::timestamp <= now()" }}
destinations:
  crm: {{ type: webhook, url: "{url}", secret: "env:CRM_SECRET", allow_private: true }}
triggers:
  wake_up: {{ on: {{ enter: asleep }}, send: {{ to: crm, body: '{{"user": {{{{ profile.identifiers[0].value | tojson }}}}}}' }} }}
"#
    );
    Site::new(&definitions).with("CRM_SECRET", &secret())
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

#[test]
fn a_customer_who_does_nothing_enters_and_one_who_does_something_leaves() {
    let receiver = Receiver::start();
    let site = site(&receiver);
    let server = site.start();
    let client = &server.client;
    let seen = |user: &str| json!({ "type": "track", "event": "Seen", "userId": user });
    let sent_at = now_ms();
    let position = client.batch(&[seen("ada"), seen("ben")]);
    assert_eq!((client.count_at("awake", &position), client.count_at("asleep", &position)), (2, 0));
    eventually("both fall asleep, and both are told of", SOON, || {
        let asleep = client.count_at("asleep", &position);
        let told = receiver.accepted().len();
        if (asleep, told) == (2, 2) { Ok(()) } else { Err(format!("{asleep} asleep, {told} told")) }
    });
    assert!(now_ms() - sent_at >= 2_000, "not before their time");
    assert_eq!(client.count_at("awake", &position), 0);
    let since = client.profile_at("user_id:ada", &position)["segments"][0]["since"].clone();

    let position = client.batch(&[seen("ada")]);
    assert_eq!((client.count_at("awake", &position), client.count_at("asleep", &position)), (1, 1));

    // Who falls asleep while nobody looks is told of once somebody does.
    server.kill();
    let server = site.start();
    let client = &server.client;
    eventually("she is asleep again", SOON, || {
        let told = receiver.accepted().len();
        if client.count_at("asleep", &position) == 2 && told == 3 { Ok(()) } else { Err(told) }
    });
    assert_ne!(client.profile_at("user_id:ada", &position)["segments"][0]["since"], since);
    receiver.assert_faultless();
}

#[test]
fn a_day_that_is_written_in_a_trait_comes() {
    let receiver = Receiver::start();
    let server = site(&receiver).start();
    let client = &server.client;
    let renews = |user: &str, in_ms: i64| {
        let at = tributary_model::format_millis(now_ms() + in_ms);
        json!({ "type": "identify", "userId": user, "traits": { "renews_at": at } })
    };
    let position = client.batch(&[renews("past", -1_000), renews("soon", 1_500), renews("later", 3_600_000)]);
    assert_eq!(client.count_at("due", &position), 1);
    eventually("the second comes due", SOON, || match client.count_at("due", &position) {
        2 => Ok(()),
        due => Err(due),
    });
    // Another day takes the place of the one that was written.
    let position = client.batch(&[renews("soon", 3_600_000)]);
    assert_eq!(client.count_at("due", &position), 1);
}

#[test]
fn a_cart_that_is_left_is_told_of_and_one_that_is_bought_is_not() {
    let receiver = Receiver::start();
    let url = &receiver.url;
    let definitions = format!(
        r#"
segments:
  left_a_cart: {{ where: "not_followed_by(event = 'Cart Viewed', event = 'Order Completed', INTERVAL '2 seconds')" }}
destinations:
  crm: {{ type: webhook, url: "{url}", secret: "env:CRM_SECRET", allow_private: true }}
triggers:
  remind: {{ on: {{ enter: left_a_cart }}, send: {{ to: crm, body: '{{"user": {{{{ profile.identifiers[0].value | tojson }}}}}}' }} }}
"#
    );
    let server = Site::new(&definitions).with("CRM_SECRET", &secret()).start();
    let client = &server.client;
    let did = |user: &str, event: &str| json!({ "type": "track", "event": event, "userId": user });
    let left_at = now_ms();
    client.batch(&[did("ada", "Cart Viewed"), did("ben", "Cart Viewed")]);
    let position = client.batch(&[did("ben", "Order Completed")]);
    assert_eq!(client.count_at("left_a_cart", &position), 0, "there is time left");
    eventually("one of them is reminded", SOON, || match receiver.accepted().len() {
        0 => Err("nobody is"),
        _ => Ok(()),
    });
    assert!(now_ms() - left_at >= 2_000, "not before the time is over");
    assert_eq!(client.count_at("left_a_cart", &position), 1);

    // It is the latest cart that counts, and this one is bought at once.
    let position = client.batch(&[did("ada", "Cart Viewed"), did("ada", "Order Completed")]);
    assert_eq!(client.count_at("left_a_cart", &position), 0);
    assert_eq!(receiver.accepted().len(), 1);
    receiver.assert_faultless();
}
