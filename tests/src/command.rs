//! The command as a program in a pipe.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;

use rustix::process::{Pid, Signal, kill_process};

/// The root of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The folder that holds the freshly built `amply`.
pub fn bin_dir() -> &'static Path {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    DIR.get_or_init(|| {
        // A test of another package is not built after the command by cargo itself.
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--quiet", "--locked", "--package", "amply-cli", "--package", "amply-examples"]);
        forget_cargo(&mut cargo);
        assert!(cargo.current_dir(root()).status().unwrap().success(), "the command can be built");
        // This program is target/debug/deps/NAME.
        std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().to_owned()
    })
}

/// Removes what cargo told this test of its package: it would make build scripts of dependencies run again.
pub(crate) fn forget_cargo(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&*name);
        }
    }
}

/// What a program printed, and how it ended.
#[derive(Debug)]
pub struct Finished {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// The exit code; none after a signal.
    pub code: Option<i32>,
}

impl Finished {
    /// The error that a command with `--json` left on standard error.
    pub fn error(&self) -> serde_json::Value {
        let whole: serde_json::Value =
            serde_json::from_str(&self.stderr).unwrap_or_else(|_| panic!("{}", self.stderr));
        whole.get("error").unwrap().clone()
    }
}

/// Runs `amply` with nothing but these variables, standard input as given.
pub fn amply(arguments: &[&str], variables: &[(&str, &str)], stdin: &[u8]) -> Finished {
    let mut child = Command::new(bin_dir().join("amply"))
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that reads nothing closes its end first.
    let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), stdin);
    Finished::from(child.wait_with_output().unwrap())
}

/// An `amply` that is still running. It ends with the test, whatever happens.
pub struct Running(Option<Child>);

impl Running {
    /// Starts `amply` without any variable and without standard input.
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, &[])
    }

    /// The same with these variables.
    pub fn start_with(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let child = Command::new(bin_dir().join("amply"))
            .args(arguments)
            .env_clear()
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        Self(Some(child.unwrap()))
    }

    /// The first line of standard output.
    pub fn first_line(&mut self) -> String {
        let mut line = String::new();
        BufReader::new(self.0.as_mut().unwrap().stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        line
    }

    /// Presses Ctrl-C and waits for the end.
    pub fn interrupt(self) -> Finished {
        self.end_by(Signal::INT)
    }

    /// Sends a signal to `amply` alone and waits for the end.
    pub fn end_by(mut self, signal: Signal) -> Finished {
        let child = self.0.take().unwrap();
        kill_process(Pid::from_child(&child), signal).unwrap();
        Finished::from(child.wait_with_output().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl From<Output> for Finished {
    fn from(output: Output) -> Self {
        Self {
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            code: output.status.code(),
        }
    }
}
