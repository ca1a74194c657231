//! The engine's threads step back behind those that answer requests: an answer takes microseconds, and would else wait for its
//! turn among threads that always have something to do.

/// How much nicer than others: each step makes about 1.25 times the difference.
#[cfg(target_os = "linux")]
const NICER: i32 = 10;

/// Makes the thread that calls step back.
#[cfg(target_os = "linux")]
pub(super) fn step_back() {
    // Of one thread, other than POSIX has it.
    if let Err(error) = rustix::process::nice(NICER) {
        tracing::debug!(%error, "a thread of the engine keeps its priority");
    }
}

/// Elsewhere only whole processes have a priority.
#[cfg(not(target_os = "linux"))]
pub(super) fn step_back() {}
