//! The command of `amply run`: what it is started with, which signals reach it, and how it ended.
//!
//! It has the terminal, the standard streams and the process group that `amply` has, so that it runs as if it had been
//! typed alone. Of the environment it gets all but what opens a wallet or an account.

#[cfg_attr(not(unix), path = "child/no_signals.rs")]
mod signals;

use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use amply_sdk::{Outcome, env};

use self::signals::Relay;
#[cfg(unix)]
pub(crate) use self::signals::ignored;
use crate::exit::Failed;
use crate::table::one_line;

/// Of the variables that begin with `AMPLY_`, those that the command may have. A list of what it may not have would miss
/// the next secret.
const PASSED_ON: [&str; 4] = [env::BASE_URL, env::TIMEOUT, env::CA_BUNDLE, env::STORE];

/// What a shell says of a command that is there and cannot be run, and of one that is not there.
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

/// How a command ended.
pub(crate) struct Ended {
    status: ExitStatus,
    elapsed: Duration,
    /// Somebody wanted it to end, or it was ended: that says nothing about the provider.
    is_cancelled: bool,
}

impl Ended {
    /// How it went; `None` where that is not known.
    pub(crate) fn outcome(&self) -> Option<Outcome> {
        let outcome = match self.status.code().filter(|_| !self.is_cancelled)? {
            0 => Outcome::success(),
            code => Outcome::failure(format!("exit_{code}")),
        };
        Some(outcome.latency(self.elapsed))
    }

    /// The exit code that a shell would show.
    pub(crate) fn code(&self) -> u8 {
        let code = self.status.code().or_else(|| signal_of(self.status).map(|signal| 128 + signal));
        u8::try_from(code.unwrap_or(1)).unwrap_or(1)
    }
}

#[cfg(unix)]
fn signal_of(status: ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&status)
}

#[cfg(not(unix))]
fn signal_of(_: ExitStatus) -> Option<i32> {
    None
}

/// Refuses a command that cannot be run, before anything is asked or paid for it.
#[cfg(unix)]
pub(crate) fn check(program: &OsStr) -> Result<(), Failed> {
    let (found, is_path) = match (program.as_encoded_bytes().contains(&b'/'), std::env::var_os("PATH")) {
        (true, _) => (std::fs::metadata(program).into_iter().collect(), true),
        (false, Some(path)) => {
            let places = std::env::split_paths(&path).map(|folder| folder.join(program));
            (places.filter_map(|place| std::fs::metadata(place).ok()).collect::<Vec<_>>(), false)
        }
        // The system has a list of its own then.
        (false, None) => return Ok(()),
    };
    let is_executable = |file: &std::fs::Metadata| {
        file.is_file() && std::os::unix::fs::PermissionsExt::mode(&file.permissions()) & 0o111 != 0
    };
    match found.iter().any(is_executable) {
        true => Ok(()),
        // A folder of that name is no command that somebody forgot to make executable.
        false if !found.iter().any(|file| is_path || file.is_file()) => {
            Err(cannot_run(program, ErrorKind::NotFound))
        }
        false => Err(cannot_run(program, ErrorKind::PermissionDenied)),
    }
}

/// What can be run is known when it is run.
#[cfg(not(unix))]
pub(crate) fn check(_: &OsStr) -> Result<(), Failed> {
    Ok(())
}

fn cannot_run(program: &OsStr, kind: ErrorKind) -> Failed {
    let shown = one_line(&program.to_string_lossy());
    match kind {
        ErrorKind::NotFound | ErrorKind::NotADirectory => Failed::NoCommand {
            message: format!("`{shown}` is no command: there is none of this name"),
            exit_code: NOT_FOUND,
        },
        _ => Failed::NoCommand {
            message: format!("`{shown}` cannot be run: it is no program, or you may not run it"),
            exit_code: NOT_EXECUTABLE,
        },
    }
}

/// Runs a command with some variables more, and waits for its end. The thread is free meanwhile.
///
/// # Errors
/// Where the command did not begin.
pub(crate) async fn run(command: &[OsString], variables: Vec<(&str, OsString)>) -> Result<Ended, Failed> {
    let (program, arguments) = command.split_first().ok_or_else(|| Failed::Usage("no command".to_owned()))?;
    let mut command = Command::new(program);
    command.args(arguments);
    for (name, _) in std::env::vars_os() {
        let shown = name.to_string_lossy();
        if shown.starts_with("AMPLY_") && !PASSED_ON.contains(&&*shown) {
            command.env_remove(&name);
        }
    }
    command.envs(variables);
    let shown = one_line(&program.to_string_lossy());
    let relay = Relay::new().map_err(|error| Failed::Local(format!("signals cannot be caught: {error}")))?;
    let began = Instant::now();
    let child = relay.start(&mut command).map_err(|error| match error.kind() {
        // Not of the command, but of the system, or of what was to be handed to it.
        ErrorKind::InvalidInput | ErrorKind::WouldBlock | ErrorKind::OutOfMemory => {
            Failed::Local(format!("`{shown}` cannot be started: {error}"))
        }
        kind => cannot_run(program, kind),
    })?;
    let ended = relay.end_of(child).await;
    let (status, is_cancelled) =
        ended.map_err(|error| Failed::Local(format!("how `{shown}` ended cannot be known: {error}")))?;
    Ok(Ended { status, elapsed: began.elapsed(), is_cancelled })
}
