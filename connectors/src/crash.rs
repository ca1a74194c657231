//! Places at which the process can be told to end at once, with nothing flushed and nobody told: to see, in tests and on a
//! machine of one's own, that nothing is lost and nothing is done twice.
//!
//! `TRIBUTARY_CRASH_AT=commit_written:3` ends it when it reaches that place for the third time.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The variable that names the place.
pub const VARIABLE: &str = "TRIBUTARY_CRASH_AT";

macro_rules! places {
    ($($place:ident $name:literal $meaning:literal)*) => {
        /// A place on the way of an event, or of definitions, or of a start.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Place {
            $(#[doc = $meaning] $place,)*
        }

        impl Place {
            /// All places, in the order of the way.
            pub const ALL: &[Self] = &[$(Self::$place),*];

            /// What it is called.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$place => $name,)*
                }
            }
        }
    };
}

places! {
    LogReceived "log_received" "Events have come in, and are not in the log."
    LogWritten "log_written" "Events are in the log, and their senders are not answered."
    Read "read" "Events are read from the log, and nothing is made of them."
    Prepared "prepared" "Facts are made of an epoch's events, and it is not computed."
    Computed "computed" "An epoch is computed, and the committer does not know of it."
    CommitReady "commit_ready" "An epoch's batch is complete, and not written."
    CommitWritten "commit_written" "An epoch is on the disk, and nobody is told."
    CommitTold "commit_told" "An epoch is committed and told."
    WebhookAnswered "webhook_answered" "A webhook has taken a message, and that is not noted."
    WebhookNoted "webhook_noted" "A webhook has taken a message, and that is noted."
    TransactionOpen "transaction_open" "Messages are in a transaction that is not committed."
    TransactionCommitted "transaction_committed" "A transaction is committed, and that is not noted."
    Fed "fed" "At a start: facts are fed to the dataflow, and what it says is not compared with what is stored."
    Reconciled "reconciled" "At a start: what is stored is corrected, and nobody is told."
    BackfillBegun "backfill_begun" "At a start with other definitions: aggregates are dropped that are to be computed anew."
    BackfillEnding "backfill_ending" "At a start with other definitions: they are computed, and that is not noted."
    DefinitionsWritten "definitions_written" "A change of definitions is kept, and the engine does not know of it."
    GatheringNoted "gathering_noted" "Definitions change: what is gathered is noted as incomplete, and nothing is gathered."
    Gathering "gathering" "Definitions change: a piece of the past is to be taken in."
    Sweeping "sweeping" "Definitions change: customers begin to be told of by the new ones."
    DroppingNoted "dropping_noted" "Definitions change: what only the old ones needed is to be dropped."
    Dropping "dropping" "Definitions change: a piece of it is to be dropped."
}

struct Wanted {
    place: Place,
    left: AtomicU64,
}

static WANTED: OnceLock<Wanted> = OnceLock::new();

/// Has the process end at a place, as the variable says.
///
/// # Errors
/// If there is no such place, or no such number.
pub fn arm(wanted: &str) -> Result<(), String> {
    let (name, times) = wanted.split_once(':').unwrap_or((wanted, "1"));
    let place = Place::ALL.iter().find(|place| place.name() == name).ok_or_else(|| {
        let names: Vec<_> = Place::ALL.iter().map(|place| place.name()).collect();
        format!("{VARIABLE}: there is no place `{name}`; write one of {}", names.join(", "))
    })?;
    let times: u64 = times
        .parse()
        .ok()
        .filter(|times| *times > 0)
        .ok_or_else(|| format!("{VARIABLE}: `{times}` is no number of times; write for example {name}:3"))?;
    WANTED.set(Wanted { place: *place, left: AtomicU64::new(times) }).ok();
    Ok(())
}

/// The process has reached a place.
#[inline]
pub fn at(place: Place) {
    if let Some(wanted) = WANTED.get()
        && wanted.place == place
        && wanted.left.fetch_sub(1, Ordering::Relaxed) == 1
    {
        eprintln!("{VARIABLE}: the process ends at {}", place.name());
        std::process::abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_in_the_variable_names_what_there_is() {
        assert!(arm("comit:1").is_err_and(|why| why.contains("commit_written")));
        assert!(arm("read:0").is_err_and(|why| why.contains("read:3")));
        assert!(WANTED.get().is_none());
        // Nothing is wanted: every place is passed.
        Place::ALL.iter().for_each(|place| at(*place));
    }
}
