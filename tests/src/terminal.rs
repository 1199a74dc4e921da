//! The command at a terminal, through a pseudo-terminal.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::command::forget_cargo;
use crate::{bin_dir, root};

/// How long a test waits for what must be shown.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a line of shell at a terminal of 80 columns, in the root of the repository with `amply` on the path. Gives
/// what a person would see, and the exit code.
pub fn at_terminal(line: &str) -> (String, Option<i32>) {
    at_terminal_with(line, &[])
}

/// The same with some variables set.
pub(crate) fn at_terminal_with(line: &str, variables: &[(&str, &str)]) -> (String, Option<i32>) {
    in_shell(line, variables, root())
}

/// The same for any script, in a folder.
pub(crate) fn in_shell(script: &str, variables: &[(&str, &str)], folder: &Path) -> (String, Option<i32>) {
    let path = std::env::join_paths(
        [bin_dir().to_owned()].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    let mut command = Command::new("sh");
    command.args(["-c", script]).env("PATH", path.unwrap()).current_dir(folder);
    Terminal::run(command, variables).finish()
}

/// A program that runs at a terminal of 80 columns. It ends with the test, whatever happens.
pub struct Terminal {
    child: Child,
    keys: File,
    seen: Arc<Seen>,
    reader: Option<JoinHandle<()>>,
}

/// What was shown so far.
#[derive(Default)]
struct Seen {
    text: Mutex<Vec<u8>>,
    news: Condvar,
}

impl Terminal {
    /// Starts `amply` with some variables set.
    pub fn amply(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(bin_dir().join("amply"));
        command.args(arguments).current_dir(root());
        Self::run(command, variables)
    }

    /// Starts `amply` as the leader of a session of its own, so that what is typed reaches it as signals, too.
    pub fn session(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(bin_dir().join("amply")).args(arguments).current_dir(root());
        Self::run(command, variables)
    }

    fn run(mut command: Command, variables: &[(&str, &str)]) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        tcsetwinsize(&master, Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let terminal = OpenOptions::new().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        command
            .env("NO_COLOR", "1")
            .env("TERM", "xterm-256color")
            .stdin(Stdio::from(terminal.try_clone().unwrap()))
            .stdout(Stdio::from(terminal.try_clone().unwrap()))
            .stderr(Stdio::from(terminal));
        forget_cargo(&mut command);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("AMPLY_") {
                command.env_remove(name);
            }
        }
        let child = command.envs(variables.iter().copied()).spawn().unwrap();
        // The command holds the terminal's other ends open until it is dropped.
        drop(command);

        let seen = Arc::<Seen>::default();
        let shown = seen.clone();
        let mut master = File::from(master);
        let keys = master.try_clone().unwrap();
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // Reading fails once the last program has closed the terminal.
            while let Ok(count @ 1..) = master.read(&mut buffer) {
                shown.text.lock().unwrap().extend_from_slice(buffer.get(..count).unwrap());
                shown.news.notify_all();
            }
        });
        Self { child, keys, seen, reader: Some(reader) }
    }

    /// Waits until this was shown.
    pub fn wait_for(&self, text: &str) {
        let shows = |seen: &Vec<u8>| String::from_utf8_lossy(seen).contains(text);
        let seen = self.seen.text.lock().unwrap();
        let (seen, waited) = self.seen.news.wait_timeout_while(seen, PATIENCE, |seen| !shows(seen)).unwrap();
        assert!(!waited.timed_out(), "`{text}` is not in {}", String::from_utf8_lossy(&seen));
    }

    /// Presses Ctrl-C.
    pub fn interrupt(&self) {
        self.send(Signal::INT);
    }

    /// Sends a signal to the program alone.
    pub fn send(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Types something.
    pub fn type_in(&self, keys: &[u8]) {
        (&self.keys).write_all(keys).unwrap();
    }

    /// Waits for the end. Gives what a person would have seen, and the exit code.
    pub fn finish(mut self) -> (String, Option<i32>) {
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        let code = self.child.wait().unwrap().code();
        let seen = std::mem::take(&mut *self.seen.text.lock().unwrap());
        (String::from_utf8(seen).unwrap().replace("\r\n", "\n"), code)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
