//! The one list of destinations that take one message at a time.

use super::delivery::Target;
use super::email::{SendGrid, Ses, Smtp};
use super::http::SetupError;
use super::push::{Apns, Fcm, WebPush};
use super::slack::Slack;
use super::twilio::Twilio;
use super::webhook::Webhook;
use std::sync::Arc;
use tributary_model::{DeliveryPolicy, DestinationKind as Kind};

/// Sets a destination up; nothing is called yet.
///
/// # Errors
/// If it cannot be, with what to mend; or if it takes messages in transactions, which are not sent one at a time.
pub fn target(kind: &Kind, policy: &DeliveryPolicy) -> Result<Arc<dyn Target>, SetupError> {
    Ok(match kind {
        Kind::Webhook(settings) => Arc::new(Webhook::new(settings, policy)?),
        Kind::Smtp(settings) => Arc::new(Smtp::new(settings, policy)?),
        Kind::SendGrid(settings) => Arc::new(SendGrid::new(settings, policy)?),
        Kind::Ses(settings) => Arc::new(Ses::new(settings, policy)?),
        Kind::Twilio(settings) => Arc::new(Twilio::new(settings, policy)?),
        Kind::Fcm(settings) => Arc::new(Fcm::new(settings, policy)?),
        Kind::Apns(settings) => Arc::new(Apns::new(settings, policy)?),
        Kind::WebPush(settings) => Arc::new(WebPush::new(settings, policy)?),
        Kind::Slack(settings) => Arc::new(Slack::new(settings, policy)?),
        Kind::Kafka(_) | Kind::Postgres(_) => {
            return Err(SetupError::Setting("this destination takes messages in transactions".to_owned()));
        }
    })
}
