//! `tributary demo`: a server of its own, a sample shop's traffic through its HTTP API, and what comes of it, live.
//!
//! ```text
//! traffic ─► player ─► HTTP ─► the server ─► webhooks ─► receiver ─► screen
//!    └─────► expected ─────────────── check ──────────────┘
//! ```

mod random;
mod catalogue;
mod visitor;
mod traffic;
mod expected;
mod site;
mod client;
mod player;
mod receiver;
mod check;
mod screen;

use super::DemoArgs;
use crate::engine::Committed;
use crate::server::Server;
use anyhow::{Context, bail};
use client::Client;
use expected::Expected;
use player::Player;
use receiver::Receiver;
use screen::{Moment, Screen};
use site::Site;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};
use traffic::Traffic;

/// The same customers do the same in every demo.
const SEED: u64 = 20_240_229;
/// Slow enough to watch; the server can do far more.
const EVENTS_A_SECOND: f64 = 1_500.0;
/// Past this something is broken.
const DEADLINE: Duration = Duration::from_secs(120);
/// Between two pictures.
const FRAME: Duration = Duration::from_millis(100);
/// A shutdown that takes longer ends at once.
const LONGEST_STOP: Duration = Duration::from_secs(9);
/// Differences that are printed; the rest is counted.
const MOST_DIFFERENCES: usize = 20;

/// Runs the demo until Ctrl-C or, with `--once`, until the sample is through; 0 if everything expected came out.
pub fn run(args: &DemoArgs) -> ExitCode {
    tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_writer(std::io::stderr).init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("cannot start threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(Box::pin(demo(args.once))).unwrap_or_else(|error| {
        eprintln!("{error:#}");
        ExitCode::FAILURE
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    code
}

async fn demo(once: bool) -> anyhow::Result<ExitCode> {
    let key: [u8; 24] = rand::random();
    let receiver = Receiver::start(&key).await.context("no port for the webhooks' receiver")?;
    // Dropped last: the server has let go of its files by then.
    let site = Site::new(&receiver)?;
    let configuration = site.configuration(&key)?;
    let segments = configuration.loaded.definitions.segments.iter();
    let names = segments.map(|(id, segment)| (id.clone(), segment.name.clone())).collect();
    let server = Server::start(configuration).await?;
    let shown = Box::pin(perform(&server, receiver, names, once)).await;
    if timeout(LONGEST_STOP, server.stop()).await.is_err() {
        tracing::warn!("stopping took too long");
    }
    shown
}

/// Plays and shows; ends on Ctrl-C, or by itself with `once`.
async fn perform(
    server: &Server,
    receiver: Receiver,
    names: BTreeMap<String, String>,
    once: bool,
) -> anyhow::Result<ExitCode> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // Who closes the terminal's window wants no folder left behind either.
    let mut hangup = signal(SignalKind::hangup())?;
    let base = format!("http://{}", server.addr());
    let now = crate::engine::clock::now();
    let traffic = Traffic::generate(SEED, now);
    let expected = Expected::of(&traffic, now);
    let client = Client::new(base.clone())?;
    let player = Player::new(client.clone());
    let mut stage = Stage { committed: server.committed(), receiver, player, seen: 0 };
    let mut screen = Screen::new(&base, traffic.len(), names);

    let (check_receiver, check_player) = (stage.receiver.clone(), stage.player.clone());
    let committed = server.committed();
    let play = play(&client, &check_player, &check_receiver, &traffic, &expected, committed);
    let mut playing = Box::pin(timeout(DEADLINE, play));
    let mut frames = interval(FRAME);
    frames.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut outcome: Option<ExitCode> = None;
    loop {
        tokio::select! {
            played = &mut playing, if outcome.is_none() => {
                let Ok(differences) = played else {
                    stage.show(&mut screen);
                    bail!("the sample is not through after {} s", DEADLINE.as_secs());
                };
                let (lines, code) = verdict(&differences?, &expected);
                outcome = Some(code);
                stage.show(&mut screen);
                screen.say(&lines);
                screen.say(&try_this(&base, &expected, once));
                stage.show(&mut screen);
                if once {
                    return Ok(code);
                }
            }
            _ = frames.tick() => stage.show(&mut screen),
            reason = server.failed() => bail!("the server has stopped: {reason}"),
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            _ = hangup.recv() => break,
        }
    }
    Ok(outcome.unwrap_or_else(|| stopped_early(once)))
}

/// Who stops watching halfway has not seen anything fail; but what was to be checked has not been checked.
fn stopped_early(once: bool) -> ExitCode {
    if once { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Sends everything, waits until all of it has come out, and gives what differs from what is expected.
async fn play(
    client: &Client,
    player: &Player,
    receiver: &Receiver,
    traffic: &Traffic,
    expected: &Expected,
    mut committed: watch::Receiver<Committed>,
) -> anyhow::Result<Vec<String>> {
    committed.wait_for(|committed| committed.hydrated).await.context("the server has stopped")?;
    let position = player.play(&traffic.prelude, EVENTS_A_SECOND).await?;
    client.committed(&position).await?;
    let position = player.play(&traffic.events, EVENTS_A_SECOND).await?;
    client.committed(&position).await?;
    // What does not come within this is missing, and told as such.
    let all_came = async {
        while receiver.fired(0).len() < expected.triggers.len() {
            tokio::time::sleep(FRAME).await;
        }
    };
    let came_in_time = timeout(Duration::from_secs(30), all_came).await.is_ok();
    let profiles = committed.borrow().profiles;
    let mut differences = check::differences(client, expected, profiles, &receiver.fired(0)).await?;
    if !came_in_time {
        differences.push("some triggers were not delivered within 30 s".to_owned());
    }
    differences.extend(receiver.faults());
    Ok(differences)
}

fn verdict(differences: &[String], expected: &Expected) -> (Vec<String>, ExitCode) {
    if differences.is_empty() {
        let (profiles, triggers) = (expected.profiles.len(), expected.triggers.len());
        let segments = expected.counts.len();
        let all = format!("all is as it must be: {profiles} profiles, {segments} segments, {triggers} triggers");
        return (vec![String::new(), all], ExitCode::SUCCESS);
    }
    let mut lines = vec![String::new(), format!("{} differences from what must come out:", differences.len())];
    lines.extend(differences.iter().take(MOST_DIFFERENCES).map(|difference| format!("  {difference}")));
    if differences.len() > MOST_DIFFERENCES {
        lines.push(format!("  and {} more", differences.len() - MOST_DIFFERENCES));
    }
    (lines, ExitCode::FAILURE)
}

/// Three lines to try.
fn try_this(base: &str, expected: &Expected, once: bool) -> Vec<String> {
    if once {
        return Vec::new();
    }
    let interesting = expected.profiles.iter().max_by_key(|profile| (profile.segments.len(), profile.orders));
    let key = interesting.map_or("", |profile| profile.key());
    vec![
        String::new(),
        "It stays up until Ctrl-C. Try, in another terminal:".to_owned(),
        format!("  curl {base}/v1/profiles/{key}"),
        format!("  curl {base}/v1/segments"),
        format!("  curl -N {base}/v1/segments/stream"),
    ]
}

/// What the screen is told of.
#[derive(Debug)]
struct Stage {
    committed: watch::Receiver<Committed>,
    receiver: Receiver,
    player: Player,
    seen: usize,
}

impl Stage {
    fn show(&mut self, screen: &mut Screen) {
        let fired = self.receiver.fired(self.seen);
        self.seen += fired.len();
        let moment = {
            let committed = self.committed.borrow();
            let counts = expected::SEGMENTS.map(|id| (id.to_owned(), committed.counts.get(id).copied().unwrap_or(0)));
            Moment { events: self.player.accepted(), profiles: committed.profiles, counts: counts.into(), fired }
        };
        screen.show(&moment);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_difference_is_a_failure_and_is_told() {
        let (lines, code) = verdict(&["vip is 3, not 4".to_owned()], &Expected::default());
        assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::FAILURE));
        assert!(lines.join("\n").contains("vip is 3, not 4"));
        let (_, code) = verdict(&[], &Expected::default());
        assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::SUCCESS));
    }

    #[test]
    fn a_check_that_is_stopped_halfway_has_not_succeeded() {
        assert_eq!(format!("{:?}", stopped_early(true)), format!("{:?}", ExitCode::FAILURE));
        assert_eq!(format!("{:?}", stopped_early(false)), format!("{:?}", ExitCode::SUCCESS));
    }

    #[test]
    fn there_are_three_lines_to_try() {
        let lines = try_this("http://127.0.0.1:8080", &Expected::default(), false);
        assert_eq!(lines.iter().filter(|line| line.trim().starts_with("curl ")).count(), 3);
    }
}
