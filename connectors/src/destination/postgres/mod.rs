//! A table in PostgreSQL that is kept in step with a segment, exactly once, by [transactions](super::transactions).
//!
//! Rows and the progress record change in one transaction; the record is a row of `tributary_progress`, a table in
//! the same schema. Its name holds the state's own random id, so that a fresh state never takes an old one's progress
//! for its own, and a second process on a copied state is found out: the record has moved on without this process.
//!
//! The table is made where there is none, with columns of texts. It may as well be there already, with other types, to
//! which values are cast, and with columns of its user's own, which are left alone. A row that the table does not take
//! goes to the dead letters, and the others go on.

mod table;
mod delivery;

use super::http::SetupError;
use super::transactions::Carrier;
use super::{Observer, Outbox, Wake};
use delivery::{DeliveryError, Steps, TableTopic};
use native_tls::{Certificate, TlsConnector};
use postgres_native_tls::MakeTlsConnector;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;
use tokio_util::sync::CancellationToken;
use tributary_model::{DeliveryPolicy, Millis, PostgresDestination};

/// How long to wait after a failure, growing up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Which table, and whose.
#[derive(Clone, Debug)]
pub struct PostgresTarget {
    /// The table and its server.
    pub postgres: PostgresDestination,
    /// How the server may be called. Of it only the time for each step of a transaction counts here.
    pub policy: DeliveryPolicy,
    /// The destination's id.
    pub destination: String,
    /// The random name of the state that the outbox belongs to.
    pub state_id: String,
}

impl PostgresTarget {
    /// Checks settings as far as can be without the server.
    ///
    /// # Errors
    /// With what to mend. The text holds nothing of the URL, which is a secret.
    pub fn check(postgres: &PostgresDestination) -> Result<(), SetupError> {
        connector(postgres).map(drop)
    }

    /// Connects, and tells whether the table is there already. Blocks: call it off the async threads.
    ///
    /// # Errors
    /// If the server is not there, or does not let us in.
    pub fn try_out(&self, runtime: &Handle) -> Result<bool, SetupError> {
        let end = CancellationToken::new();
        let steps = Steps { runtime, end: &end, within: Duration::from_millis(self.policy.timeout_ms) };
        TableTopic::is_there(self, steps).map_err(|error| SetupError::Setting(error.to_string()))
    }
}

/// Carries messages from the outbox to a table.
pub struct PostgresDelivery {
    /// Where to.
    pub target: PostgresTarget,
    /// Where messages wait.
    pub outbox: Arc<dyn Outbox>,
    /// The first number that the outbox had not given when the process started.
    pub next_at_start: u64,
    /// Learns what happens.
    pub observer: Arc<dyn Observer>,
    /// What time it is.
    pub clock: fn() -> Millis,
}

impl std::fmt::Debug for PostgresDelivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PostgresDelivery to {:?}", self.target)
    }
}

/// What went wrong last.
struct Trouble {
    pause: Duration,
    /// What was told of it, which is not told again each time.
    told: String,
}

impl PostgresDelivery {
    /// Delivers until it is told to end. Blocks: give it a thread of its own.
    ///
    /// A server that is away, or does not let us in, is waited for; what fails is begun anew from the committed
    /// progress, since only that says whether a transaction whose end was not heard of had come to its end.
    /// Where another process moves the progress on, this one ends.
    pub fn run(self, runtime: &Handle, mut wake: Wake, end: &CancellationToken) {
        let destination = &self.target.destination;
        let steps = Steps { runtime, end, within: Duration::from_millis(self.target.policy.timeout_ms) };
        let mut trouble = Trouble { pause: FIRST_PAUSE, told: String::new() };
        let mut carrier = Carrier::new(destination, &*self.outbox, self.next_at_start, &*self.observer, self.clock);
        while !end.is_cancelled() {
            let Err(error) = self.connect_and_send(steps, &mut carrier, &mut wake, &mut trouble) else { return };
            if end.is_cancelled() {
                return;
            }
            if matches!(error, DeliveryError::Fenced) {
                tracing::error!(
                    destination,
                    "another process delivers for this state, which must be a copy: nothing more is sent from here \
                     until the next start; stop one of the two"
                );
                return;
            }
            self.observer.attempted(destination, "retried", Duration::ZERO);
            let words = error.to_string();
            if trouble.told == words {
                tracing::debug!(destination, %error, "still cannot deliver");
            } else {
                tracing::warn!(destination, %error, "cannot deliver, trying again");
                trouble.told = words;
            }
            runtime.block_on(async {
                tokio::select! {
                    () = tokio::time::sleep(trouble.pause) => {}
                    () = end.cancelled() => {}
                }
            });
            trouble.pause = (trouble.pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn connect_and_send(
        &self,
        steps: Steps<'_>,
        carrier: &mut Carrier<'_>,
        wake: &mut Wake,
        trouble: &mut Trouble,
    ) -> Result<(), DeliveryError> {
        let topic = TableTopic::open(&self.target, steps)?;
        carrier.settle(&topic)?;
        loop {
            wake.mark_unchanged();
            let carried = match carrier.carry(&topic) {
                // Nothing was committed, and what was refused has left the outbox: the others go next.
                Err(DeliveryError::Refused(refused)) => {
                    let (destination, rows) = (&self.target.destination, refused.len());
                    tracing::warn!(destination, rows, "the table does not take rows, which go to the dead letters");
                    carrier.settle(&topic)?;
                    continue;
                }
                carried => carried?,
            };
            if carried > 0 {
                *trouble = Trouble { pause: FIRST_PAUSE, told: String::new() };
            }
            if steps.end.is_cancelled() {
                return Ok(());
            }
            if carried == 0 {
                let changed = steps.runtime.block_on(async {
                    tokio::select! {
                        changed = wake.changed() => changed.is_ok(),
                        () = steps.end.cancelled() => false,
                    }
                });
                if !changed {
                    return Ok(());
                }
            }
        }
    }
}

/// How the server is reached.
///
/// `sslmode` is what it is everywhere: without it, or with `prefer`, TLS is a wish that anybody on the way can refuse,
/// so the certificate is not looked at either, unless `ca` says whom to trust. With `require` it is checked, and the
/// host's name too, so `verify-ca` and `verify-full` mean the same.
fn connector(postgres: &PostgresDestination) -> Result<(Config, MakeTlsConnector), SetupError> {
    let url = postgres.url.expose_text();
    // In the options only: a password may hold anything.
    let url = match url.rsplit_once('?') {
        Some((address, options)) => {
            let options = options.replace("sslmode=verify-full", "sslmode=require");
            format!("{address}?{}", options.replace("sslmode=verify-ca", "sslmode=require"))
        }
        None => url.to_owned(),
    };
    // What the reader of URLs finds wrong may be the password.
    let mut config: Config = url.parse().map_err(|_| not_understood())?;
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        return Err(not_understood());
    }
    if config.get_application_name().is_none() {
        config.application_name("tributary");
    }
    let unreadable =
        |error: native_tls::Error| SetupError::Setting(format!("the certificates cannot be read: {error}"));
    let mut tls = TlsConnector::builder();
    if let Some(pem) = &postgres.ca {
        for certificate in Certificate::stack_from_pem(pem).map_err(unreadable)? {
            tls.add_root_certificate(certificate);
        }
    }
    tls.danger_accept_invalid_certs(config.get_ssl_mode() == SslMode::Prefer && postgres.ca.is_none());
    Ok((config, MakeTlsConnector::new(tls.build().map_err(unreadable)?)))
}

fn not_understood() -> SetupError {
    SetupError::Secret(
        "the URL of the database is not understood; write postgres://user:password@host/database".to_owned(),
    )
}

#[cfg(test)]
mod tests;
