//! `cargo xtask test`: the one way to run the tests, with all set-up. `cargo xtask faults`: more rounds of what is left to chance.
//! `cargo xtask bench`: the figures. `cargo xtask wheel`: the Python package as a wheel.
//! `cargo xtask x402-peer`: the client against the reference servers of the open x402 protocol, where there is Node.

#![forbid(unsafe_code)]

mod python;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// What the peer consists of, besides the packages that it names.
const PEER: [&str; 4] = [".npmrc", "package-lock.json", "package.json", "server.mjs"];

/// The oldest Node that all of the peer's packages take.
const OLDEST_NODE: (u32, u32) = (20, 19);

const USAGE: &str =
    "usage: cargo xtask test [--python] | wheel | faults [--rounds N] | bench [--python] | x402-peer";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["test"] => test(),
        ["test", "--python"] => python::test(),
        ["wheel"] => python::wheel(),
        ["faults"] => faults("200"),
        ["faults", "--rounds", rounds] => faults(rounds),
        ["bench"] => bench(),
        ["bench", "--python"] => python::bench(),
        ["x402-peer"] => x402_peer(),
        _ => Err(USAGE.to_owned()),
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
    cargo(&["test", "--workspace"], &[])?;
    python::test()
}

/// Processes that are killed at random instants: 200 rounds unless said otherwise, and what they came to.
fn faults(rounds: &str) -> Result<(), String> {
    rounds.parse::<u32>().map_err(|_| format!("`{rounds}` is no number of rounds"))?;
    let rounds = [("AMPLY_FAULT_ROUNDS", OsStr::new(rounds))];
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

/// The client against the servers of the reference packages. They are installed below the build's own folder, so that none of
/// them lands among the sources.
fn x402_peer() -> Result<(), String> {
    has_node()?;
    let peer = target()?.join("x402-peer");
    install(&root()?.join("tests/x402-peer"), &peer)?;
    // Each test has a process of Node; they are not many at once, so that none has to wait long.
    cargo(
        &["test", "--package", "amply-tests", "--test", "x402_peer", "--", "--ignored", "--test-threads=2"],
        &[("AMPLY_X402_PEER", peer.as_os_str())],
    )
}

fn has_node() -> Result<(), String> {
    let (major, minor) = OLDEST_NODE;
    let needs = format!(
        "x402-peer needs Node {major}.{minor} or newer with npm; it is an optional test, and all others run without it"
    );
    let version = |program: &str| {
        let output = Command::new(program).arg("--version").output();
        let output = output.map_err(|error| format!("{needs} (`{program}` cannot be started: {error})"))?;
        Ok::<_, String>(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let node = version("node")?;
    version("npm")?;
    let mut numbers = node.trim_start_matches('v').split('.').map(|number| number.parse::<u32>().ok());
    match numbers.next().flatten().zip(numbers.next().flatten()) {
        Some(found) if found >= OLDEST_NODE => Ok(()),
        _ => Err(format!("{needs} (`node --version` says `{node}`)")),
    }
}

/// Copies the peer, and has npm install what its lock file names, unless that was done before.
fn install(from: &Path, to: &Path) -> Result<(), String> {
    let lock = "package-lock.json";
    // What npm writes last.
    let done = to.join("node_modules/.package-lock.json");
    let is_done = done.exists() && fs::read(from.join(lock)).ok() == fs::read(to.join(lock)).ok();
    fs::create_dir_all(to).map_err(|error| format!("{}: {error}", to.display()))?;
    for name in PEER {
        let copied = fs::copy(from.join(name), to.join(name));
        copied.map_err(|error| format!("{name} of the peer cannot be copied: {error}"))?;
    }
    if is_done {
        return Ok(());
    }
    // Packages of another lock file, should npm fail, are not taken for these.
    let _ = fs::remove_file(done);
    let npm = Command::new("npm").args(["ci", "--ignore-scripts"]).current_dir(to).status();
    match npm {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err("`npm ci` failed; the packages of tests/x402-peer are not there".to_owned()),
        Err(error) => Err(format!("npm cannot be started: {error}")),
    }
}

/// The folder that this program was built in.
fn target() -> Result<PathBuf, String> {
    let program =
        std::env::current_exe().map_err(|error| format!("where it is built is not known: {error}"))?;
    // It is target/debug/xtask.
    let folder = program.ancestors().nth(2).ok_or("it is built nowhere")?;
    Ok(folder.to_owned())
}

fn root() -> Result<&'static Path, String> {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or_else(|| "no workspace around xtask".to_owned())
}

fn cargo(arguments: &[&str], variables: &[(&str, &OsStr)]) -> Result<(), String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    let (verb, rest) = arguments.split_first().ok_or("cargo was to do nothing")?;
    command.arg(verb).arg("--locked").args(rest).envs(variables.iter().copied());
    run(command, &format!("cargo {}", arguments.join(" ")))
}

/// Runs a program in the root of the repository.
fn run(mut command: Command, shown: &str) -> Result<(), String> {
    command.current_dir(root()?);
    // What `cargo run` told this program of its package would make build scripts of dependencies run again.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&*name);
        }
    }
    let status = command.status().map_err(|error| format!("`{shown}` cannot be started: {error}"))?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("`{shown}` failed")),
    }
}
