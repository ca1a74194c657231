//! All streams that are read, each as far as it is read, with what stands in the way.

use super::driver::Source;
use crate::telemetry;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tributary_connectors::log::{Entry, LogError, LogReader};
use tributary_model::Position;

/// How often it is said that a stream still cannot be read.
const TELL_AGAIN: Duration = Duration::from_secs(30);

/// How long one of several streams is waited for while none has anything: at first, and at most after a while.
const FIRST_TURN: Duration = Duration::from_millis(1);
const LONGEST_TURN: Duration = Duration::from_millis(4);

/// A stream and what reads it.
struct Stream {
    name: String,
    /// None once it cannot be read any more.
    reader: Option<Box<dyn LogReader>>,
    trouble: Option<Trouble>,
}

/// A stream cannot be read.
struct Trouble {
    since: Instant,
    told: Instant,
    times: u64,
}

/// Readers of all streams.
pub(super) struct Readers(Vec<Stream>);

impl Readers {
    /// Begins to read each source from where it was read to.
    pub(super) fn open(sources: &[Source], positions: &BTreeMap<String, Position>) -> Result<Self, LogError> {
        let open = |source: &Source| {
            let from = positions.get(&source.stream).cloned().unwrap_or_default();
            let reader = Some(source.log.reader(&from)?);
            telemetry::source_up(&source.stream, true);
            Ok(Stream { name: source.stream.clone(), reader, trouble: None })
        };
        sources.iter().map(open).collect::<Result<_, _>>().map(Self)
    }

    /// Takes at most `most` entries of what there is, with the place of their stream; waits at most so long where there is
    /// nothing. The second is true if something could not be read and nothing was.
    ///
    /// # Errors
    /// If the first stream, which is the log that others wait for, can no longer be read. Another one is left alone then.
    pub(super) fn read(&mut self, most: usize, wait: Duration) -> Result<(Vec<(usize, Entry)>, bool), LogError> {
        let deadline = Instant::now() + wait;
        // What is there is taken first, whoever has it: nobody waits for a stream beside it that has nothing.
        let (mut entries, mut failed) = (Vec::new(), false);
        let (mut pause, mut turn) = (Duration::ZERO, FIRST_TURN);
        loop {
            for place in 0..self.0.len() {
                let pause = if entries.is_empty() { pause } else { Duration::ZERO };
                failed |= self.poll(place, most.saturating_sub(entries.len()), pause, &mut entries)?;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if !entries.is_empty() || failed || left.is_zero() {
                let nothing = entries.is_empty();
                return Ok((entries, failed && nothing));
            }
            // Several are waited for in turn.
            pause = if self.0.len() > 1 { left.min(turn) } else { left };
            turn = (turn * 2).min(LONGEST_TURN);
        }
    }

    /// Takes at most so many entries of one stream; true if it could not be read.
    fn poll(
        &mut self,
        place: usize,
        most: usize,
        wait: Duration,
        entries: &mut Vec<(usize, Entry)>,
    ) -> Result<bool, LogError> {
        let Some(stream) = self.0.get_mut(place) else { return Ok(false) };
        let Some(reader) = &mut stream.reader else { return Ok(false) };
        let read = reader.poll(most, wait);
        if let Some(lag) = reader.lag() {
            telemetry::lag(&stream.name, lag);
        }
        match read {
            Ok(read) => {
                if !read.is_empty() {
                    stream.is_well();
                }
                entries.extend(read.into_iter().map(|entry| (place, entry)));
                Ok(false)
            }
            Err(error) if error.is_transient() => {
                stream.is_troubled(&error);
                Ok(true)
            }
            Err(error) if place > 0 => {
                tracing::error!(%error, stream = stream.name, "this source is not read any more; all else goes on");
                telemetry::source_up(&stream.name, false);
                stream.reader = None;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}

impl Stream {
    fn is_well(&mut self) {
        if let Some(Trouble { since, .. }) = self.trouble.take() {
            tracing::info!(stream = self.name, after_ms = since.elapsed().as_millis() as u64, "read again");
            telemetry::source_up(&self.name, true);
        }
    }

    fn is_troubled(&mut self, error: &LogError) {
        let now = Instant::now();
        let trouble = self.trouble.get_or_insert_with(|| {
            tracing::warn!(%error, stream = self.name, "cannot be read, trying again");
            telemetry::source_up(&self.name, false);
            Trouble { since: now, told: now, times: 0 }
        });
        trouble.times += 1;
        if now - trouble.told >= TELL_AGAIN {
            let (times, for_s) = (trouble.times, (now - trouble.since).as_secs());
            tracing::warn!(%error, stream = self.name, times, for_s, "still cannot be read");
            trouble.told = now;
        }
    }
}
