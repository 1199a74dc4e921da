//! What the tests have in common: how they start the `amply` command (as a program in a pipe, or at a terminal of 80
//! columns), and how they serve the recorded exchanges and compare what a client makes of them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::Path;

pub mod asking;
mod authority;
mod calls;
mod command;
mod document;
mod folder;
pub mod json;
pub mod killing;
pub mod killing_reporters;
mod log;
pub mod paying;
pub mod peer;
mod proxy;
pub mod readings;
pub mod recording;
pub mod reporting;
mod server;
pub mod stage;
mod terminal;
pub mod transcript;
pub mod x402_recording;

pub use authority::Authority;
pub use calls::{attempts, built, elapsed, failure};
pub use command::{Finished, Running, amply, bin_dir, root};
pub use document::table;
pub use folder::TempFolder;
pub use log::Log;
pub use proxy::Proxy;
pub use server::{Act, Refusing, Scripted, answer};
pub use terminal::{Terminal, at_terminal};

/// Writes a file that a test hands to a client.
pub fn write(file: &Path, text: &str) {
    std::fs::write(file, text).unwrap();
}

/// The programs of the README.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;

/// The programs of the guide to executions.
#[cfg(doctest)]
#[doc = include_str!("../../docs/execute.md")]
pub struct Execute;

/// The programs of the guide to x402.
#[cfg(doctest)]
#[doc = include_str!("../../docs/x402.md")]
pub struct X402;
