//! Joins everything: log, state, engine, destinations, HTTP; and takes it apart again in the right order.

use crate::activation::{Dispatchers, Links, Messages};
use crate::api::{self, audit::Audit, auth::Tokens};
use crate::backup::{self, Snapshots};
use crate::config::{Auth, Configuration, LogKind, ServerConfig};
use crate::definitions::Definer;
use crate::engine::suggestions::Suggestions;
use crate::engine::{DriverOptions, Engine, EngineParts, IntakeOptions, Source, clock, wall_clock};
use crate::front::{self, Bounds};
use crate::store::{Store, StoreOptions};
use crate::telemetry;
use crate::tls::Tls;
use anyhow::Context;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tributary_connectors::log::{EmbeddedConfig, EmbeddedLog, KafkaConfig, KafkaLog, KafkaSource, Log};
use tributary_connectors::process::Processor;
use tributary_dataflows::identity::Rules;

/// How the log that HTTP appends to is called among the streams.
const LOG_STREAM: &str = "log";
/// How long open requests may go on after the server is told to stop.
const DRAIN: Duration = Duration::from_secs(3);
/// How long deliveries under way may go on then.
const LAST_DELIVERIES: Duration = Duration::from_secs(3);

/// A running server.
#[derive(Debug)]
pub struct Server {
    addr: SocketAddr,
    engine: Engine,
    dispatchers: Dispatchers,
    log: Arc<dyn Log>,
    stop_http: CancellationToken,
    http: JoinHandle<()>,
    suggesting: Option<JoinHandle<()>>,
    tokens: Arc<Tokens>,
    tls: Option<Arc<Tls>>,
    store: Arc<Store>,
}

impl Server {
    /// Starts everything; events are accepted when this returns.
    ///
    /// # Errors
    /// If the state or a log cannot be opened, or the address cannot be bound; the message says which and why.
    pub async fn start(configuration: Configuration) -> anyhow::Result<Self> {
        let Configuration { server: config, loaded } = configuration;
        let metrics = telemetry::recorder().map_err(anyhow::Error::msg)?;
        let definitions = Arc::new(loaded.definitions.clone());
        let rules = Arc::new(Rules::new(&definitions.identity));
        let messages = Messages::new(&definitions)?;
        let processor = Arc::new(Processor::new(&definitions.identity)?);

        let tls = config.http.tls.as_ref().map(Tls::new).transpose()?.map(Arc::new);
        let tokens = Arc::new(Tokens::new(&config.auth));
        let listener = TcpListener::bind(config.http.addr)
            .await
            .with_context(|| format!("cannot listen on {} ([http] addr)", config.http.addr))?;
        let addr = listener.local_addr()?;
        let opened = {
            let config = config.clone();
            tokio::task::spawn_blocking(move || open(&config)).await??
        };
        let Opened { store, sources } = opened;
        let log = sources.first().map(|first| first.log.clone()).context("there is no log")?;
        let definer = {
            let store = store.clone();
            let defining = move || Definer::start(store, loaded, clock::now());
            tokio::task::spawn_blocking(defining).await?.context(
                "what was defined over HTTP does not go with the definitions folder (mend the folder, or delete it there)",
            )?
        };
        let definer = Arc::new(definer);

        let links = config.http.public_url.as_ref().map(|base| Links::open(&store, base)).transpose()?.map(Arc::new);
        let messages = Arc::new(messages.with_links(links.clone()));
        let snapshots = Arc::new(Snapshots::new(&config.data.dir, store.clone(), Some(log.clone()))?);
        let next_at_start = store.view().meta()?.unwrap_or_default().next_message;
        let engine = Engine::start(EngineParts {
            store: store.clone(),
            sources,
            processor: processor.clone(),
            plan: definer.at_start(),
            wanted: definer.wanted(),
            rules: rules.clone(),
            messages,
            clock: wall_clock(),
            workers: config.engine.workers,
            driver: driver_options(&config),
            intake: intake_options(&config),
        })?;
        let kafka = &config.log.kafka;
        let dispatchers =
            Dispatchers::start(&definitions, kafka, &store, &log, next_at_start, engine.committed(), LAST_DELIVERIES)?;

        let stop_http = CancellationToken::new();
        let suggestions = definitions.identity.suggestions.clone();
        let suggestions = suggestions.map(|matching| Arc::new(Suggestions::new(store.clone(), matching)));
        let suggesting = suggestions.clone().map(|suggestions| {
            let every = Duration::from_millis(suggestions.matching().every_ms);
            tokio::spawn(keep_suggesting(suggestions, every, engine.committed(), stop_http.clone()))
        });
        let router = api::router(api::Parts {
            config: &config,
            store: store.clone(),
            definer,
            progress: engine.progress(),
            happened: engine.happened(),
            // Who may read may see what would be sent, but not decide for the customer by its links.
            messages: Arc::new(Messages::new(&definitions)?),
            rules,
            suggestions,
            links,
            committed: engine.committed(),
            log_stream: LOG_STREAM.to_owned(),
            log: log.clone(),
            processor,
            snapshots,
            tokens: tokens.clone(),
            audit: Audit::new(&store)?,
            metrics,
            shutdown: stop_http.clone(),
        });
        let stopped = stop_http.clone();
        let bounds = Bounds {
            connections: config.http.max_connections,
            first: config.http.request_timeout,
            idle: config.http.idle_timeout,
            drain: DRAIN,
        };
        let bounds = bounds.within_files();
        let http = tokio::spawn(front::serve(listener, router, bounds, tls.clone(), stopped));
        Ok(Self { addr, engine, dispatchers, log, stop_http, http, suggesting, tokens, tls, store })
    }

    /// The address that is listened on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `https` if clients come over TLS, else `http`.
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// From now on keys, tokens and certificates are those of other settings.
    ///
    /// # Errors
    /// If certificates cannot be read, or settings turn TLS on or off, which needs a start; then nothing has changed.
    pub fn reload(&self, config: &ServerConfig) -> anyhow::Result<()> {
        match (&self.tls, &config.http.tls) {
            (Some(tls), Some(files)) => tls.reload(files)?,
            (None, None) => {}
            _ => anyhow::bail!("[http.tls] comes or goes with a start of the server"),
        }
        // What may be open without a token depends on where this server listens, whatever the settings say by now.
        let open = self.addr.ip().is_loopback();
        self.tokens.replace(&Auth { open, ..config.auth.clone() });
        Ok(())
    }

    /// The last committed epoch, as it changes.
    pub fn committed(&self) -> tokio::sync::watch::Receiver<crate::engine::Committed> {
        self.engine.committed()
    }

    /// Waits until the server stops by itself, and says why.
    pub async fn failed(&self) -> String {
        let (mut engine, mut state) = (self.engine.failed(), self.store.failed());
        let reason = tokio::select! {
            reason = engine.wait_for(Option::is_some) => reason.ok().and_then(|reason| reason.clone()),
            // A delivery, say, comes upon it while there is nothing to commit.
            reason = state.wait_for(Option::is_some) => reason.ok().and_then(|reason| reason.clone()),
        };
        reason.unwrap_or_else(|| "the engine has ended".to_owned())
    }

    /// Stops: no more requests, the last epoch committed, deliveries finished or kept, all on disk.
    pub async fn stop(self) {
        self.stop_http.cancel();
        if self.http.await.is_err() {
            tracing::error!("the HTTP server did not stop cleanly");
        }
        if let Some(suggesting) = self.suggesting
            && tokio::time::timeout(DRAIN, suggesting).await.is_err()
        {
            tracing::warn!("comparing customers did not end in time");
        }
        let engine = self.engine;
        if tokio::task::spawn_blocking(move || engine.stop()).await.is_err() {
            tracing::error!("the engine did not stop cleanly");
        }
        self.dispatchers.stop().await;
        let log = self.log;
        if tokio::task::spawn_blocking(move || log.close()).await.is_err() {
            tracing::error!("the log did not close cleanly");
        }
    }
}

/// Compares customers when the state has caught up, and then again and again.
async fn keep_suggesting(
    suggestions: Arc<Suggestions>,
    every: Duration,
    mut committed: tokio::sync::watch::Receiver<crate::engine::Committed>,
    stop: CancellationToken,
) {
    let caught_up = tokio::select! {
        caught_up = committed.wait_for(|committed| committed.hydrated) => caught_up.is_ok(),
        () = stop.cancelled() => false,
    };
    while caught_up && !stop.is_cancelled() {
        let stopping = stop.clone();
        match suggestions.refresh(clock::now(), move || stopping.is_cancelled()).await {
            Ok(Some(found)) => {
                let (suggested, took_ms) = (found.probable, found.took.as_millis() as u64);
                tracing::info!(profiles = found.profiles, suggested, took_ms, "customers compared for suggestions");
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "customers could not be compared, trying again later"),
        }
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            () = stop.cancelled() => {}
        }
    }
}

struct Opened {
    store: Arc<Store>,
    sources: Vec<Source>,
}

/// Opens the state in the data folder, which is made if it is not there.
///
/// # Errors
/// If it cannot be opened, with what can be done about it.
pub fn open_state(config: &ServerConfig) -> anyhow::Result<Store> {
    let dir = &config.data.dir;
    std::fs::create_dir_all(dir)
        .with_context(|| format!("cannot make the data folder {} ([data] dir)", dir.display()))?;
    let state = dir.join(backup::STATE);
    Store::open(&state, store_options(config)).map_err(|error| {
        let mend = match (error.is_locked(), error.is_damage()) {
            (true, _) => " (one process a folder: is another tributary running on it?)",
            (_, true) => {
                " (it is damaged: `tributary restore` a backup, or move it away to have it made anew from what the log still holds)"
            }
            _ => "",
        };
        anyhow::Error::new(error).context(format!("cannot open {}{mend}", state.display()))
    })
}

/// How the settings bound an epoch.
pub fn driver_options(config: &ServerConfig) -> DriverOptions {
    DriverOptions { epoch_records: config.engine.epoch_records, epoch_timers: config.engine.epoch_timers }
}

/// How the settings bound the engine's memory.
pub fn intake_options(config: &ServerConfig) -> IntakeOptions {
    IntakeOptions {
        cache_entries: config.engine.cache_entries,
        dedupe_horizon_ms: millis(config.engine.dedupe_horizon),
    }
}

fn open(config: &ServerConfig) -> anyhow::Result<Opened> {
    let store = open_state(config)?;
    let sources = open_sources(config)?;
    Ok(Opened { store: Arc::new(store), sources })
}

/// Opens everything that is read: first the log that HTTP appends to, then the topics that others fill.
///
/// # Errors
/// If one cannot be opened.
pub fn open_sources(config: &ServerConfig) -> anyhow::Result<Vec<Source>> {
    let mut sources = vec![Source { stream: LOG_STREAM.to_owned(), log: open_log(config)? }];
    for source in &config.sources {
        let servers = source.bootstrap_servers.clone().or_else(|| config.log.kafka.bootstrap_servers.clone());
        let mut kafka = kafka_config(config, source.topic.clone(), servers.unwrap_or_default());
        kafka.on_truncated = source.on_truncated.unwrap_or(kafka.on_truncated);
        let opened = KafkaSource::open(kafka).with_context(|| format!("cannot read topic {}", source.topic))?;
        sources.push(Source { stream: format!("kafka:{}", source.name), log: Arc::new(opened) });
    }
    Ok(sources)
}

/// How the settings have the state kept.
pub fn store_options(config: &ServerConfig) -> StoreOptions {
    StoreOptions {
        block_cache_bytes: config.data.block_cache,
        history_retention_ms: millis(config.data.history_retention),
        dedupe_horizon_ms: millis(config.engine.dedupe_horizon),
        rejected_retention_ms: millis(config.data.rejected_retention),
    }
}

/// Opens the log that HTTP appends to.
///
/// # Errors
/// If it cannot be opened.
pub fn open_log(config: &ServerConfig) -> anyhow::Result<Arc<dyn Log>> {
    Ok(match config.log.kind {
        LogKind::Embedded => {
            let dir = config.data.dir.join(backup::LOG);
            let context = format!("cannot open the log in {}", dir.display());
            Arc::new(
                EmbeddedLog::open(EmbeddedConfig {
                    dir,
                    retention_age: config.log.retention_age,
                    retention_bytes: config.log.retention_bytes,
                    queue_records: config.log.queue_events,
                    queue_bytes: config.log.queue_bytes,
                    ..EmbeddedConfig::default()
                })
                .context(context)?,
            )
        }
        LogKind::Kafka => {
            let servers = config.log.kafka.bootstrap_servers.clone().unwrap_or_default();
            let kafka = kafka_config(config, config.log.kafka.topic.clone(), servers);
            let context = format!("cannot open the log in Kafka topic {}", kafka.topic);
            Arc::new(KafkaLog::open(kafka).context(context)?)
        }
    })
}

pub(crate) fn kafka_config(config: &ServerConfig, topic: String, bootstrap_servers: String) -> KafkaConfig {
    let properties = config.log.kafka.properties.iter();
    KafkaConfig {
        bootstrap_servers,
        topic,
        partitions: config.log.kafka.partitions,
        properties: properties.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        on_truncated: config.log.kafka.on_truncated,
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
