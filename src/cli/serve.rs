//! `tributary serve`: runs until it is told to stop.

// The line that says where the server listens is for whoever started it, and for scripts.
#![allow(clippy::print_stdout)]

use super::{ServeArgs, check};
use crate::config::{LogFormat, Telemetry, Variables, load};
use crate::server::Server;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;
use tributary_connectors::crash;

/// A shutdown that takes longer ends at once: everything that matters is on disk already.
const LONGEST_STOP: Duration = Duration::from_secs(9);

/// Starts the server; ends with 0 after SIGTERM or Ctrl-C, with 1 if it cannot start or go on.
pub fn run(args: &ServeArgs) -> ExitCode {
    let configuration = match load(&args.files.paths(), &Variables::of_process()) {
        Ok(configuration) => configuration,
        Err(mistakes) => {
            check::report(&mistakes);
            return ExitCode::FAILURE;
        }
    };
    if let Ok(place) = std::env::var(crash::VARIABLE)
        && let Err(why) = crash::arm(&place)
    {
        eprintln!("{why}");
        return ExitCode::FAILURE;
    }
    start_logging(&configuration.server.telemetry);
    for warning in configuration.server.warnings() {
        tracing::warn!("{warning}");
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("cannot start threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(async {
        match serve(args, configuration).await {
            Ok(code) => code,
            Err(error) => {
                eprintln!("{error:#}");
                ExitCode::FAILURE
            }
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    code
}

async fn serve(args: &ServeArgs, configuration: crate::config::Configuration) -> anyhow::Result<ExitCode> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let server = Server::start(configuration).await?;
    println!("listening on {}://{}", server.scheme(), server.addr());
    std::io::stdout().flush()?;
    let failure = loop {
        tokio::select! {
            _ = hang_up.recv() => reload(args, &server),
            _ = terminate.recv() => break None,
            _ = interrupt.recv() => break None,
            reason = server.failed() => break Some(reason),
        }
    };
    tracing::info!("stopping");
    if tokio::time::timeout(LONGEST_STOP, server.stop()).await.is_err() {
        tracing::warn!("stopping took too long; what is not committed is read again from the log");
    }
    Ok(match failure {
        None => ExitCode::SUCCESS,
        Some(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    })
}

/// Has keys, tokens and certificates read again; all stays as it was where there is a mistake.
fn reload(args: &ServeArgs, server: &Server) {
    match load(&args.files.paths(), &Variables::of_process()) {
        Ok(configuration) => match server.reload(&configuration.server) {
            Ok(()) => {
                tracing::info!("keys, tokens and certificates were read again; other settings need a start");
                configuration.server.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
            }
            Err(error) => tracing::error!("nothing was taken over: {error:#}"),
        },
        Err(mistakes) => {
            mistakes.iter().for_each(|mistake| tracing::error!("nothing was taken over: {mistake}"));
        }
    }
}

/// Writes logs to standard error, as configured; `RUST_LOG` refines the level by module.
fn start_logging(telemetry: &Telemetry) {
    let filter = EnvFilter::builder().with_default_directive(telemetry.level.into()).from_env_lossy();
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match telemetry.format {
        LogFormat::Text => subscriber.init(),
        LogFormat::Json => subscriber.json().init(),
    }
}
