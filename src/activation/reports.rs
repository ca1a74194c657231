//! Addresses that deliveries find to be dead, on their way to the log, for which no delivery waits.

use super::gate;
use super::news::{self, Known, News};
use crate::engine::clock;
use crate::store::{Store, StoreError};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tributary_connectors::destination::{Feedback, FeedbackKind, Message};
use tributary_connectors::log::{Log, Record};
use tributary_model::{Channel, Definitions, IdentifierId};

/// Reports that wait at most; more are dropped, since the next attempt at the address tells the same.
const WAITING: usize = 10_000;
/// Reports that are written at once.
const AT_ONCE: usize = 500;
/// How long the log may take, and the pause before it is tried again.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_secs(1);

/// An address that nothing reaches any more.
#[derive(Debug)]
struct Report {
    destination: String,
    channel: Channel,
    /// Whose it is.
    about: IdentifierId,
    feedback: Feedback,
}

/// Where deliveries report dead addresses.
#[derive(Clone, Debug)]
pub struct Reports {
    waiting: mpsc::Sender<Report>,
    channels: Arc<BTreeMap<String, Channel>>,
}

impl Reports {
    /// Starts to write what is reported. The task ends when nobody can report any more and all is written; once `end`
    /// has come, it also gives up what the log does not take.
    pub fn start(
        definitions: &Definitions,
        store: Arc<Store>,
        log: Arc<dyn Log>,
        end: CancellationToken,
    ) -> (Self, JoinHandle<()>) {
        let (waiting, reports) = mpsc::channel(WAITING);
        let destinations = definitions.destinations.iter();
        let channels = destinations.map(|(id, destination)| (id.clone(), destination.kind.channel()));
        let reports = tokio::spawn(write_on(reports, store, log, end));
        (Self { waiting, channels: Arc::new(channels.collect()) }, reports)
    }

    /// Reports that nothing reaches a message's address any more. Never waits.
    pub(super) fn unreachable(&self, message: &Message, reason: &str) {
        let Message { destination, .. } = message;
        let channel = self.channels.get(destination).copied().filter(|channel| channel.reaches_people());
        let Some((channel, address)) = channel.and_then(|it| Some((it, gate::address(it, &message.body)?))) else {
            return;
        };
        let feedback = Feedback {
            id: message.id.clone(),
            address,
            message: Some(message.id.clone()),
            kind: FeedbackKind::Bounced,
            reason: Some(reason.to_owned()),
            at: None,
        };
        let report = Report { destination: destination.clone(), channel, about: message.about, feedback };
        if self.waiting.try_send(report).is_err() {
            tracing::warn!(destination, "a dead address is not noted: too many are; the next attempt tells it again");
        }
    }
}

async fn write_on(mut reports: mpsc::Receiver<Report>, store: Arc<Store>, log: Arc<dyn Log>, end: CancellationToken) {
    let mut some = Vec::new();
    while reports.recv_many(&mut some, AT_ONCE).await > 0 {
        let (store, reported) = (store.clone(), std::mem::take(&mut some));
        let made = tokio::task::spawn_blocking(move || records(&store, &reported)).await;
        match made {
            Ok(Ok(records)) => append(&*log, records, &end).await,
            Ok(Err(error)) => {
                tracing::warn!(%error, "dead addresses cannot be noted; the next attempts tell them again")
            }
            Err(error) => tracing::error!(%error, "noting dead addresses ended in a defect"),
        }
    }
}

fn records(store: &Store, reports: &[Report]) -> Result<Vec<Record>, StoreError> {
    let view = store.view();
    let now = clock::now();
    let mut records = Vec::new();
    for Report { destination, channel, about, feedback } in reports {
        let suppression = view.suppression(channel.name(), &feedback.address)?;
        let facts = view.facts(&[*about])?.into_iter().flatten().next();
        let known = Known {
            identifier: facts.map(|facts| facts.identifier),
            is_suppressed: suppression.is_some_and(|suppression| suppression.is_suppressed),
        };
        records.extend(news::records(&News { destination, channel: *channel, feedback }, &known, now));
    }
    Ok(records)
}

/// Appends until the log has them, or the end has come.
async fn append(log: &dyn Log, records: Vec<Record>, end: &CancellationToken) {
    loop {
        let appended = tokio::time::timeout(PATIENCE, log.append(records.clone())).await;
        let why = match appended {
            Ok(Ok(_)) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        if end.is_cancelled() {
            tracing::warn!(why, "dead addresses are not noted: the log does not take them");
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = end.cancelled() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::config::{Paths, load};
    use crate::store::StoreOptions;
    use std::sync::Mutex;
    use tributary_connectors::log::{AppendError, BoxFuture, LogError, LogReader};
    use tributary_connectors::process::{Statement, StatementKind};
    use tributary_model::{Identifier, Position, ProfileId};

    /// A log that refuses the first appends, and then remembers.
    #[derive(Debug, Default)]
    struct Memory {
        refuses: Mutex<usize>,
        records: Mutex<Vec<Record>>,
    }

    impl Log for Memory {
        fn append(&self, records: Vec<Record>) -> BoxFuture<'_, Result<Position, AppendError>> {
            let mut refuses = self.refuses.lock().unwrap();
            let answer = match refuses.checked_sub(1) {
                Some(left) => {
                    *refuses = left;
                    Err(AppendError::Busy)
                }
                None => {
                    self.records.lock().unwrap().extend(records);
                    Ok(Position::default())
                }
            };
            Box::pin(async move { answer })
        }

        fn reader(&self, _from: &Position) -> Result<Box<dyn LogReader>, LogError> {
            unreachable!("nobody reads")
        }

        fn committed(&self, _position: &Position) {}

        fn queued(&self) -> usize {
            0
        }

        fn health(&self) -> Result<(), String> {
            Ok(())
        }

        fn close(&self) {}
    }

    fn definitions() -> Definitions {
        let folder = tempfile::tempdir().unwrap();
        let yaml = "destinations:\n  mail: { type: sendgrid, api_key: env:KEY, from: shop@example.com }\n  \
                    hook: { type: webhook, url: \"https://example.com/\" }\n";
        std::fs::write(folder.path().join("t.yaml"), yaml).unwrap();
        std::fs::write(folder.path().join("t.toml"), "").unwrap();
        let paths = Paths { config: Some(folder.path().join("t.toml")), definitions: Some(folder.path().to_owned()) };
        load(&paths, &[("KEY", "hush")].into()).unwrap().loaded.definitions
    }

    fn message(destination: &str, number: usize) -> Message {
        Message {
            sequence: number as u64,
            id: format!("msg_{number}"),
            trigger: "t".to_owned(),
            destination: destination.to_owned(),
            profile: ProfileId(1),
            about: Identifier::new("user_id", "nobody").id(),
            body: format!(r#"{{"address":"a{number}@example.com"}}"#).into(),
            created_at: 0,
            attempts: 0,
        }
    }

    fn store() -> Arc<Store> {
        let options = StoreOptions {
            block_cache_bytes: 1 << 20,
            history_retention_ms: i64::MAX,
            dedupe_horizon_ms: i64::MAX,
            rejected_retention_ms: i64::MAX,
        };
        Arc::new(Store::simulated(&[], options, Arc::new(|_, _| Ok(()))).unwrap())
    }

    fn suppressed(log: &Memory) -> Vec<String> {
        let records = log.records.lock().unwrap();
        let statements = records.iter().map(|record| Statement::of(record).unwrap().unwrap());
        statements.filter(|made| made.kind == StatementKind::Suppress).map(|made| made.a.value).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_reported_reaches_the_log_once_it_takes_it() {
        let log = Arc::new(Memory { refuses: Mutex::new(2), ..Memory::default() });
        let (reports, written) = Reports::start(&definitions(), store(), log.clone(), CancellationToken::new());
        reports.unreachable(&message("mail", 1), "550");
        // Programs have no addresses.
        reports.unreachable(&message("hook", 2), "410");
        drop(reports);
        written.await.unwrap();
        assert_eq!(suppressed(&log), ["a1@example.com"]);
        let reason = log.records.lock().unwrap()[0].body.clone();
        assert!(String::from_utf8_lossy(&reason).contains("bounced: 550"));
    }

    #[tokio::test(start_paused = true)]
    async fn no_delivery_waits_and_the_end_does_not_either() {
        let log = Arc::new(Memory { refuses: Mutex::new(usize::MAX), ..Memory::default() });
        let end = CancellationToken::new();
        let (reports, written) = Reports::start(&definitions(), store(), log.clone(), end.clone());
        (0..2 * WAITING).for_each(|number| reports.unreachable(&message("mail", number), "550"));
        drop(reports);
        end.cancel();
        written.await.unwrap();
        assert_eq!(suppressed(&log), [""; 0]);
    }
}
