//! `cargo xtask test`: the one way to run the tests, with all set-up. `cargo xtask faults`: more rounds of what is left to chance.
//! `cargo xtask bench`: the figures.

#![forbid(unsafe_code)]

use std::path::Path;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["test"] => test(),
        ["faults"] => faults("200"),
        ["faults", "--rounds", rounds] => faults(rounds),
        ["bench"] => bench(),
        _ => Err("usage: cargo xtask test | faults [--rounds N] | bench".to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("xtask: {why}\n").as_bytes());
            ExitCode::FAILURE
        }
    }
}

/// Everything that can be tested on this machine.
fn test() -> Result<(), String> {
    // The end-to-end tests start the command and the examples as a user would.
    cargo(&["build", "--workspace", "--all-targets"], &[])?;
    // Doc examples are part of it.
    cargo(&["test", "--workspace"], &[])
}

/// Processes that are killed at random instants: 200 rounds unless said otherwise, and what they came to.
fn faults(rounds: &str) -> Result<(), String> {
    rounds.parse::<u32>().map_err(|_| format!("`{rounds}` is no number of rounds"))?;
    let rounds = [("AMPLY_FAULT_ROUNDS", rounds)];
    cargo(
        &[
            "test",
            "--package",
            "amply-tests",
            "--test",
            "kill_while_paying",
            "--test",
            "kill_while_reporting",
            "--",
            "--test-threads=1",
        ],
        &rounds,
    )
}

/// The benchmarks: each prints ours, its peer in the same run, and whether the goal is met.
fn bench() -> Result<(), String> {
    cargo(&["bench", "--package", "amply-tests", "--bench", "outcomes"], &[])
}

fn cargo(arguments: &[&str], variables: &[(&str, &str)]) -> Result<(), String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("no workspace around xtask")?;
    let mut command = Command::new(cargo);
    let (verb, rest) = arguments.split_first().ok_or("cargo was to do nothing")?;
    command.current_dir(root).arg(verb).arg("--locked").args(rest).envs(variables.iter().copied());
    // What `cargo run` told this program of its package would make build scripts of dependencies run again.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&*name);
        }
    }
    let status = command.status().map_err(|error| format!("cargo cannot be started: {error}"))?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("`cargo {}` failed", arguments.join(" "))),
    }
}
