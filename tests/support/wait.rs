//! Waiting for something to become true: polling with a deadline, never a sleep that hopes.

use std::fmt::Display;
use std::time::{Duration, Instant};

const POLL: Duration = Duration::from_millis(20);

/// Long enough for anything that takes milliseconds on an idle machine.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// Asks again and again until the answer is `Ok`, and gives what is in it.
///
/// # Panics
/// With the last `Err`, once the time is over.
#[track_caller]
pub(crate) fn eventually<T, E: Display>(what: &str, within: Duration, mut ask: impl FnMut() -> Result<T, E>) -> T {
    let deadline = Instant::now() + within;
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(why) if Instant::now() >= deadline => panic!("not within {within:?}: {what}; at last: {why}"),
            Err(_) => std::thread::sleep(POLL),
        }
    }
}

/// `Ok` if they are equal, else both in words: for [`eventually`].
pub(crate) fn equal<T: PartialEq + std::fmt::Debug>(left: &T, right: &T) -> Result<(), String> {
    if left == right { Ok(()) } else { Err(format!("{left:?} is not {right:?}")) }
}
