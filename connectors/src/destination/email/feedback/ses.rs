//! What [SES publishes](https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html)
//! through [SNS over HTTPS](https://docs.aws.amazon.com/sns/latest/dg/http-notification-json.html).

use super::address_of;
use crate::destination::feedback::{Feedback, FeedbackError, FeedbackKind};
use reqwest::Url;
use serde::Deserialize;
use std::collections::HashMap;
use tributary_model::Millis;

/// What SES says once when a topic becomes its event destination, in words instead of JSON.
const FIRST_WORDS: &str = "Successfully validated SNS topic for Amazon SES";

/// What SNS wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sns {
    /// To know whether its messages are wanted here: a GET of this address, which is one of SNS's own, says so.
    Confirm(String),
    /// To tell something.
    Tell(Vec<Feedback>),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Envelope {
    #[serde(rename = "Type")]
    kind: String,
    message_id: String,
    #[serde(default)]
    message: String,
    #[serde(default, rename = "SubscribeURL")]
    subscribe_url: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    /// The other name is that of notifications without a configuration set.
    #[serde(alias = "notificationType")]
    event_type: String,
    #[serde(default)]
    mail: Mail,
    bounce: Option<Bounce>,
    complaint: Option<Complaint>,
    delivery: Option<Delivery>,
    open: Option<Moment>,
    click: Option<Moment>,
    subscription: Option<Subscription>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Mail {
    destination: Vec<String>,
    tags: HashMap<String, Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bounce {
    bounce_type: String,
    bounced_recipients: Vec<Recipient>,
    timestamp: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Complaint {
    complained_recipients: Vec<Recipient>,
    complaint_feedback_type: Option<String>,
    timestamp: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Recipient {
    email_address: String,
    diagnostic_code: Option<String>,
}

#[derive(Deserialize)]
struct Delivery {
    recipients: Vec<String>,
    timestamp: Option<String>,
}

#[derive(Deserialize)]
struct Moment {
    timestamp: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Subscription {
    timestamp: Option<String>,
    new_topic_preferences: Preferences,
    old_topic_preferences: Preferences,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Preferences {
    unsubscribe_all: bool,
}

/// What an event says of whom, with the reason.
struct News {
    kind: FeedbackKind,
    of: Vec<(String, Option<String>)>,
    at: Option<String>,
}

/// What a call from SNS wants. Its signature is not looked at.
///
/// # Errors
/// If it is of another form than SNS and SES document, or asks for a confirmation at an address that is none of SNS.
pub fn ses(body: &[u8]) -> Result<Sns, FeedbackError> {
    let form = |what: &str, error: serde_json::Error| FeedbackError::Form(format!("{what}: {error}"));
    let envelope: Envelope = serde_json::from_slice(body).map_err(|error| form("no message of SNS", error))?;
    match envelope.kind.as_str() {
        "SubscriptionConfirmation" if is_of_sns(&envelope.subscribe_url) => Ok(Sns::Confirm(envelope.subscribe_url)),
        "SubscriptionConfirmation" => Err(FeedbackError::Form("`SubscribeURL` is no address of SNS".to_owned())),
        "Notification" if envelope.message.starts_with(FIRST_WORDS) => Ok(Sns::Tell(Vec::new())),
        "Notification" => {
            let event = serde_json::from_str(&envelope.message).map_err(|error| form("no event of SES", error))?;
            Ok(Sns::Tell(told(&envelope.message_id, event)))
        }
        "UnsubscribeConfirmation" => Ok(Sns::Tell(Vec::new())),
        other => Err(FeedbackError::Form(format!("SNS has no messages of the type `{other}`"))),
    }
}

/// As AWS's own libraries check it: `https://sns.<region>.amazonaws.com/…`, in China with `.cn`.
fn is_of_sns(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    let labels: Vec<_> = url.host_str().unwrap_or_default().split('.').collect();
    let is_host = matches!(labels.as_slice(), ["sns", _, "amazonaws", "com"] | ["sns", _, "amazonaws", "com", "cn"]);
    url.scheme() == "https" && url.port().is_none() && is_host
}

fn told(message_id: &str, mut event: Event) -> Vec<Feedback> {
    let message = event.mail.tags.remove("tributary_message").and_then(|values| values.into_iter().next());
    let Some(News { kind, of, at }) = news(event) else { return Vec::new() };
    let at = at.and_then(|text| millis(&text));
    let feedback = |(mailbox, reason): (String, Option<String>)| {
        let address = address_of(&mailbox).to_owned();
        // One notification may be of several addresses.
        Feedback { id: format!("{message_id}/{address}"), address, message: message.clone(), kind, reason, at }
    };
    of.into_iter().map(feedback).collect()
}

/// What an event says; nothing if it is of a mail that is still under way.
fn news(event: Event) -> Option<News> {
    let to_all = |mail: Mail| mail.destination.into_iter().map(|address| (address, None)).collect();
    match event.event_type.as_str() {
        "Bounce" => event.bounce.map(|bounce| News {
            // All others are of the moment or the content.
            kind: match bounce.bounce_type.as_str() {
                "Permanent" => FeedbackKind::Bounced,
                _ => FeedbackKind::NotDelivered,
            },
            of: bounce.bounced_recipients.into_iter().map(|to| (to.email_address, to.diagnostic_code)).collect(),
            at: bounce.timestamp,
        }),
        "Complaint" => {
            // A reader may also say that a mail was no spam.
            let complaint = event.complaint.filter(|it| it.complaint_feedback_type.as_deref() != Some("not-spam"))?;
            let reason = complaint.complaint_feedback_type;
            let of = complaint.complained_recipients.into_iter().map(|to| (to.email_address, reason.clone())).collect();
            Some(News { kind: FeedbackKind::Complained, of, at: complaint.timestamp })
        }
        "Delivery" => event.delivery.map(|delivery| News {
            kind: FeedbackKind::Delivered,
            of: delivery.recipients.into_iter().map(|address| (address, None)).collect(),
            at: delivery.timestamp,
        }),
        "Open" => Some(News { kind: FeedbackKind::Opened, of: to_all(event.mail), at: event.open?.timestamp }),
        "Click" => Some(News { kind: FeedbackKind::Clicked, of: to_all(event.mail), at: event.click?.timestamp }),
        "Subscription" => {
            let Subscription { timestamp, new_topic_preferences, old_topic_preferences } = event.subscription?;
            // To leave one topic of several is not to leave the channel.
            let kind = match (old_topic_preferences.unsubscribe_all, new_topic_preferences.unsubscribe_all) {
                (false, true) => FeedbackKind::Unsubscribed,
                (true, false) => FeedbackKind::Resubscribed,
                _ => return None,
            };
            Some(News { kind, of: to_all(event.mail), at: timestamp })
        }
        _ => None,
    }
}

fn millis(text: &str) -> Option<Millis> {
    Some(text.parse::<jiff::Timestamp>().ok()?.as_millisecond())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use serde_json::{Value, json};

    /// 2017-08-05T00:41:02.669Z
    const AT: Millis = 1_501_893_662_669;

    fn envelope(kind: &str, message: &str) -> Value {
        json!({
            "Type": kind,
            "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
            "TopicArn": "arn:aws:sns:us-west-2:123456789012:MyTopic",
            "Message": message,
            "Timestamp": "2017-08-05T00:41:03.000Z",
            "SignatureVersion": "1",
            "Signature": "EXAMPLEw6JRN…",
            "SigningCertURL": "https://sns.us-west-2.amazonaws.com/SimpleNotificationService-f3ecfb72.pem",
        })
    }

    fn call(body: &Value) -> Result<Sns, FeedbackError> {
        ses(body.to_string().as_bytes())
    }

    /// What is told of an event about a mail to `recipient@example.com`.
    fn told(mut event: Value) -> Vec<Feedback> {
        event["mail"] = json!({
            "timestamp": "2017-08-05T00:40:02.012Z",
            "messageId": "EXAMPLE7c191be45-e9aedb9a-02f9-4d12-a87d-dd0099a07f8a-000000",
            "source": "Sender Name <sender@example.com>",
            "destination": ["recipient@example.com"],
            "tags": { "ses:configuration-set": ["ConfigSet"], "tributary_message": ["msg_1"] },
        });
        match call(&envelope("Notification", &event.to_string())) {
            Ok(Sns::Tell(told)) => told,
            other => panic!("{other:?}"),
        }
    }

    fn feedback(kind: FeedbackKind, reason: Option<&str>) -> Feedback {
        Feedback {
            id: "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324/recipient@example.com".to_owned(),
            address: "recipient@example.com".to_owned(),
            message: Some("msg_1".to_owned()),
            kind,
            reason: reason.map(str::to_owned),
            at: Some(AT),
        }
    }

    #[test]
    fn a_permanent_bounce_ends_an_address_and_any_other_does_not() {
        let bounce = |kind: &str| {
            json!({
                "eventType": "Bounce",
                "bounce": {
                    "bounceType": kind,
                    "bounceSubType": "General",
                    "bouncedRecipients": [{
                        "emailAddress": "Recipient <recipient@example.com>",
                        "action": "failed",
                        "status": "5.1.1",
                        "diagnosticCode": "smtp; 550 5.1.1 user unknown",
                    }],
                    "timestamp": "2017-08-05T00:41:02.669Z",
                    "feedbackId": "01000157c44f053b-61b59c11-9236-11e6-8f96-7be8aexample-000000",
                    "reportingMTA": "dsn; mta.example.com",
                },
            })
        };
        let code = Some("smtp; 550 5.1.1 user unknown");
        assert_eq!(told(bounce("Permanent")), [feedback(FeedbackKind::Bounced, code)]);
        assert_eq!(told(bounce("Transient")), [feedback(FeedbackKind::NotDelivered, code)]);
        assert_eq!(told(bounce("Undetermined")), [feedback(FeedbackKind::NotDelivered, code)]);
    }

    #[test]
    fn a_complaint_is_one_unless_it_says_the_opposite() {
        let complaint = |kind: &str| {
            json!({
                "notificationType": "Complaint",
                "complaint": {
                    "complainedRecipients": [{ "emailAddress": "recipient@example.com" }],
                    "complaintFeedbackType": kind,
                    "timestamp": "2017-08-05T00:41:02.669Z",
                },
            })
        };
        assert_eq!(told(complaint("abuse")), [feedback(FeedbackKind::Complained, Some("abuse"))]);
        assert!(told(complaint("not-spam")).is_empty());
    }

    #[test]
    fn what_becomes_of_a_mail_that_arrives() {
        let at = "2017-08-05T00:41:02.669Z";
        let recipients = ["recipient@example.com"];
        let delivery = json!({ "eventType": "Delivery", "delivery": { "timestamp": at, "recipients": recipients } });
        assert_eq!(told(delivery), [feedback(FeedbackKind::Delivered, None)]);
        let open = json!({ "eventType": "Open", "open": { "timestamp": at, "ipAddress": "192.0.2.1" } });
        assert_eq!(told(open), [feedback(FeedbackKind::Opened, None)]);
        let click =
            json!({ "eventType": "Click", "click": { "timestamp": at, "link": "http://docs.aws.amazon.com/" } });
        assert_eq!(told(click), [feedback(FeedbackKind::Clicked, None)]);
        assert!(told(json!({ "eventType": "Send", "send": {} })).is_empty());
        assert!(told(json!({ "eventType": "DeliveryDelay", "deliveryDelay": { "timestamp": at } })).is_empty());
    }

    #[test]
    fn who_leaves_all_topics_leaves_the_channel() {
        let subscription = |before: bool, after: bool| {
            told(json!({
                "eventType": "Subscription",
                "subscription": {
                    "contactList": "ContactListName",
                    "timestamp": "2017-08-05T00:41:02.669Z",
                    "source": "UnsubscribeHeader",
                    "newTopicPreferences": { "unsubscribeAll": after, "topicSubscriptionStatus": [] },
                    "oldTopicPreferences": { "unsubscribeAll": before, "topicSubscriptionStatus": [] },
                },
            }))
        };
        assert_eq!(subscription(false, true), [feedback(FeedbackKind::Unsubscribed, None)]);
        assert_eq!(subscription(true, false), [feedback(FeedbackKind::Resubscribed, None)]);
        assert!(subscription(false, false).is_empty());
    }

    #[test]
    fn a_subscription_is_confirmed_at_sns_only() {
        let confirm = |url: &str| {
            let mut body = envelope("SubscriptionConfirmation", "You have chosen to subscribe to the topic …");
            body["SubscribeURL"] = url.into();
            call(&body)
        };
        for url in [
            "https://sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription&Token=2336412f37",
            "https://sns.cn-north-1.amazonaws.com.cn/?Action=ConfirmSubscription",
        ] {
            assert_eq!(confirm(url), Ok(Sns::Confirm(url.to_owned())));
        }
        for url in [
            "http://sns.us-west-2.amazonaws.com/",
            "https://sns.us-west-2.amazonaws.com.example.com/",
            "https://169.254.169.254/",
            "",
        ] {
            assert!(matches!(confirm(url), Err(FeedbackError::Form(_))), "{url}");
        }
    }

    #[test]
    fn what_is_no_news_and_what_is_not_understood() {
        let nothing = Ok(Sns::Tell(Vec::new()));
        let first = "Successfully validated SNS topic for Amazon SES event publishing.";
        assert_eq!(call(&envelope("Notification", first)), nothing);
        assert_eq!(call(&envelope("UnsubscribeConfirmation", "You have chosen to deactivate …")), nothing);
        let without_mail = r#"{"notificationType":"AmazonSnsSubscriptionSucceeded","message":"…"}"#;
        assert_eq!(call(&envelope("Notification", without_mail)), nothing);
        for body in
            [envelope("Notification", "Hello"), envelope("Other", ""), json!([]), json!({ "Type": "Notification" })]
        {
            assert!(matches!(call(&body), Err(FeedbackError::Form(_))), "{body}");
        }
    }
}
