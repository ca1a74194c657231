//! `tributary token`: a new key or token, and the hash by which settings know it.

// What it prints is what this command is run for; it goes to standard output.
#![allow(clippy::print_stdout)]

use crate::config::KeyHash;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use std::process::ExitCode;

/// Prints a token of 256 random bits, for its owner, and its hash, for the settings.
pub fn run() -> ExitCode {
    let token = BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
    println!("{token}");
    println!("{}", KeyHash::of(token.as_bytes()));
    ExitCode::SUCCESS
}
