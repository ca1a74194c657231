//! Where messages go: each kind of destination as it is configured, and how any of them may be called.
//!
//! These are the *checked* forms, without mistakes and with defaults filled in.

use std::fmt;

/// A destination: what it is, and how it may be called.
#[derive(Clone, Debug)]
pub struct Destination {
    /// What it is.
    pub kind: DestinationKind,
    /// How often, how long, how many at once.
    pub policy: DeliveryPolicy,
    /// By what its vendor's word on what became of messages is known to be the vendor's.
    pub feedback: FeedbackKeys,
}

/// What shows that a call that tells of messages comes from whom it should. Where there is neither, none is taken;
/// Twilio signs its calls with the account's token.
#[derive(Clone, Debug, Default)]
pub struct FeedbackKeys {
    /// The secret that the address has as its `key`.
    pub key: Option<Secret>,
    /// The key that SendGrid's calls are signed by, as SendGrid shows it: base64.
    pub public_key: Option<String>,
}

/// The kinds of destinations, each with its settings.
#[derive(Clone, Debug)]
pub enum DestinationKind {
    /// An HTTP endpoint, called as Standard Webhooks says.
    Webhook(WebhookDestination),
    /// A Kafka topic, written in transactions.
    Kafka(KafkaDestination),
    /// A mail server.
    Smtp(SmtpDestination),
    /// Twilio SendGrid's Mail Send API.
    SendGrid(SendGridDestination),
    /// Amazon Simple Email Service's API, version 2.
    Ses(SesDestination),
    /// Twilio's Messages API.
    Twilio(TwilioDestination),
    /// Firebase Cloud Messaging's HTTP v1 API.
    Fcm(FcmDestination),
    /// Apple Push Notification service.
    Apns(ApnsDestination),
    /// Web Push to browsers (RFC 8030, 8291, 8292).
    WebPush(WebPushDestination),
    /// A Slack channel.
    Slack(SlackDestination),
    /// A table in PostgreSQL that is kept in step with a segment.
    Postgres(PostgresDestination),
}

impl DestinationKind {
    /// The word in `type`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Webhook(_) => "webhook",
            Self::Kafka(_) => "kafka",
            Self::Smtp(_) => "smtp",
            Self::SendGrid(_) => "sendgrid",
            Self::Ses(_) => "ses",
            Self::Twilio(_) => "twilio",
            Self::Fcm(_) => "fcm",
            Self::Apns(_) => "apns",
            Self::WebPush(_) => "web_push",
            Self::Slack(_) => "slack",
            Self::Postgres(_) => "postgres",
        }
    }

    /// Whether it takes messages in transactions, many at a time, instead of one after the other.
    pub const fn is_transactional(&self) -> bool {
        matches!(self, Self::Kafka(_) | Self::Postgres(_))
    }

    /// The channel by which it reaches people.
    pub const fn channel(&self) -> Channel {
        match self {
            Self::Webhook(_) => Channel::Webhook,
            Self::Kafka(_) => Channel::Kafka,
            Self::Smtp(_) | Self::SendGrid(_) | Self::Ses(_) => Channel::Email,
            Self::Twilio(_) => Channel::Sms,
            Self::Fcm(_) | Self::Apns(_) | Self::WebPush(_) => Channel::Push,
            Self::Slack(_) => Channel::Slack,
            Self::Postgres(_) => Channel::Sql,
        }
    }
}

/// By which way a message reaches somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// A program, over HTTP.
    Webhook,
    /// A program, through a topic.
    Kafka,
    /// E-mail.
    Email,
    /// Text messages.
    Sms,
    /// Notifications on phones and in browsers.
    Push,
    /// A channel of colleagues.
    Slack,
    /// A table.
    Sql,
}

impl Channel {
    /// All of them.
    pub const ALL: [Self; 7] = [Self::Webhook, Self::Kafka, Self::Email, Self::Sms, Self::Push, Self::Slack, Self::Sql];

    /// Whether it reaches customers themselves, who may be disturbed, and may want it no more.
    pub const fn reaches_people(self) -> bool {
        matches!(self, Self::Email | Self::Sms | Self::Push)
    }

    /// Its name in definitions, in HTTP and in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Kafka => "kafka",
            Self::Email => "email",
            Self::Sms => "sms",
            Self::Push => "push",
            Self::Slack => "slack",
            Self::Sql => "sql",
        }
    }

    /// The channel of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.name() == name)
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How any destination may be called.
#[derive(Clone, Debug, PartialEq)]
pub struct DeliveryPolicy {
    /// How long one attempt may take, in milliseconds.
    pub timeout_ms: u64,
    /// Failed attempts before a message is dead.
    pub max_attempts: u32,
    /// Deliveries under way at once.
    pub concurrency: usize,
    /// Attempts a second; `None` where only the receiver sets a limit.
    pub rate: Option<f64>,
    /// A message that is older than this, in milliseconds, is dead instead of being tried again.
    pub give_up_after_ms: u64,
}

/// How the server of an HTTP API is reached.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    /// Whether loopback and private addresses may be called.
    pub allow_private: bool,
    /// Certificates (PEM) that are trusted besides the system's.
    pub ca: Option<Vec<u8>>,
}

/// An HTTP endpoint.
#[derive(Clone, Debug)]
pub struct WebhookDestination {
    /// `http` or `https`.
    pub url: String,
    /// Keys that sign each delivery: one; two while it is changed; none where nobody checks.
    pub secrets: Vec<Secret>,
    /// How it is reached.
    pub reach: Reach,
}

/// A Kafka topic.
#[derive(Clone, Debug)]
pub struct KafkaDestination {
    /// The topic that messages are written to, keyed by profile id.
    pub topic: String,
    /// Another cluster than the log's.
    pub bootstrap_servers: Option<String>,
}

/// How a connection to a mail server is kept secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpSecurity {
    /// TLS from the first byte (port 465).
    Tls,
    /// Begins in the clear and must change to TLS (port 587).
    StartTls,
    /// In the clear: only within one machine or network.
    None,
}

/// A mail server.
#[derive(Clone, Debug)]
pub struct SmtpDestination {
    /// Its name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is kept secret.
    pub security: SmtpSecurity,
    /// User and password, where it asks for them.
    pub credentials: Option<(String, Secret)>,
    /// Who sends: `Shop <shop@example.com>`.
    pub from: String,
    /// Where answers go, if elsewhere.
    pub reply_to: Option<String>,
    /// How it is reached.
    pub reach: Reach,
}

/// SendGrid.
#[derive(Clone, Debug)]
pub struct SendGridDestination {
    /// An API key that may send mail.
    pub api_key: Secret,
    /// Who sends: `Shop <shop@example.com>`.
    pub from: String,
    /// Where answers go, if elsewhere.
    pub reply_to: Option<String>,
    /// The API: `https://api.sendgrid.com`, or the European one.
    pub endpoint: String,
    /// How it is reached.
    pub reach: Reach,
}

/// Amazon SES.
#[derive(Clone, Debug)]
pub struct SesDestination {
    /// The AWS region, as `eu-central-1`.
    pub region: String,
    /// The access key's id.
    pub access_key_id: String,
    /// The access key's secret.
    pub secret_access_key: Secret,
    /// The token of temporary credentials.
    pub session_token: Option<Secret>,
    /// Who sends: `Shop <shop@example.com>`.
    pub from: String,
    /// Where answers go, if elsewhere.
    pub reply_to: Option<String>,
    /// The configuration set whose event destinations tell of bounces.
    pub configuration_set: Option<String>,
    /// The API: `https://email.<region>.amazonaws.com` unless it is another.
    pub endpoint: String,
    /// How it is reached.
    pub reach: Reach,
}

/// Twilio.
#[derive(Clone, Debug)]
pub struct TwilioDestination {
    /// The account's SID, `AC…`.
    pub account_sid: String,
    /// The account's token, which also signs Twilio's callbacks.
    pub auth_token: Secret,
    /// Who sends.
    pub sender: TwilioSender,
    /// The address of this server as Twilio sees it, for status callbacks and answers: `https://cdp.example.com`.
    pub callback_url: Option<String>,
    /// Whether a message of which it is not known if it was sent is sent again: Twilio has no idempotency key.
    pub repeat_after_timeout: bool,
    /// The API: `https://api.twilio.com`, or another edge.
    pub endpoint: String,
    /// How it is reached.
    pub reach: Reach,
}

/// Who sends a text message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TwilioSender {
    /// A phone number, short code or alphanumeric sender id.
    From(String),
    /// A messaging service's SID, `MG…`.
    MessagingService(String),
}

/// Firebase Cloud Messaging.
#[derive(Clone, Debug)]
pub struct FcmDestination {
    /// The project's id.
    pub project_id: String,
    /// The service account's address.
    pub client_email: String,
    /// The service account's private key (PKCS#8, PEM).
    pub private_key: Secret,
    /// Where tokens come from: `https://oauth2.googleapis.com/token`.
    pub token_uri: String,
    /// The API: `https://fcm.googleapis.com`.
    pub endpoint: String,
    /// How it is reached.
    pub reach: Reach,
}

/// Apple Push Notification service.
#[derive(Clone, Debug)]
pub struct ApnsDestination {
    /// The developer team's id.
    pub team_id: String,
    /// The signing key's id.
    pub key_id: String,
    /// The signing key (PKCS#8, PEM: a `.p8` file).
    pub private_key: Secret,
    /// The app's bundle id.
    pub topic: String,
    /// The API: `https://api.push.apple.com`, or `https://api.sandbox.push.apple.com`.
    pub endpoint: String,
    /// How it is reached.
    pub reach: Reach,
}

/// Web Push.
#[derive(Clone, Debug)]
pub struct WebPushDestination {
    /// Whom push services may ask about messages: `mailto:…` or `https:…`.
    pub subject: String,
    /// The VAPID key: 32 bytes of a P-256 private key.
    pub private_key: Secret,
    /// How long a push service keeps a message for a browser that is away, in seconds.
    pub ttl_seconds: u32,
    /// How push services are reached.
    pub reach: Reach,
}

/// A Slack channel.
#[derive(Clone, Debug)]
pub struct SlackDestination {
    /// How messages get there.
    pub way: SlackWay,
    /// How it is reached.
    pub reach: Reach,
}

/// How messages get into a Slack channel.
#[derive(Clone, Debug)]
pub enum SlackWay {
    /// An incoming webhook, whose address is its secret.
    IncomingWebhook(Secret),
    /// A bot's token, and the channel that it posts to.
    Bot {
        /// `xoxb-…`
        token: Secret,
        /// Its id or name.
        channel: String,
        /// The API: `https://slack.com`.
        endpoint: String,
    },
}

/// A table in PostgreSQL.
#[derive(Clone, Debug)]
pub struct PostgresDestination {
    /// `postgres://user:password@host/database`.
    pub url: Secret,
    /// The table, with its schema if it has one; made if it is not there.
    pub table: String,
    /// The segment that it is kept in step with.
    pub segment: String,
    /// Columns besides `profile_id`, each with the template of its value.
    pub columns: Vec<(String, String)>,
    /// Certificates (PEM) that are trusted besides the system's.
    pub ca: Option<Vec<u8>>,
}

/// Bytes that must never be shown: printing one prints `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Keeps bytes secret.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes themselves, for signing and comparing only.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The text itself, where it is one: for headers of requests only.
    pub fn expose_text(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
