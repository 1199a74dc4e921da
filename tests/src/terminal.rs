//! The command at a terminal, through a pseudo-terminal.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::process::{Command, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::command::forget_cargo;
use crate::{bin_dir, root};

/// Runs a line of shell at a terminal of 80 columns, in the root of the repository with `amply` on the path. Gives
/// what a person would see, and the exit code.
pub fn at_terminal(line: &str) -> (String, Option<i32>) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    tcsetwinsize(&master, Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let terminal = OpenOptions::new().read(true).write(true).open(name.to_str().unwrap()).unwrap();

    let path = std::env::join_paths(
        [bin_dir().to_owned()].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    let mut command = Command::new("sh");
    command
        .args(["-c", line])
        .current_dir(root())
        .env("PATH", path.unwrap())
        .env("NO_COLOR", "1")
        .env("TERM", "xterm-256color")
        .stdin(Stdio::from(terminal.try_clone().unwrap()))
        .stdout(Stdio::from(terminal.try_clone().unwrap()))
        .stderr(Stdio::from(terminal));
    forget_cargo(&mut command);
    for name in ["AMPLY_API_KEY", "AMPLY_BASE_URL", "AMPLY_TIMEOUT", "AMPLY_CA_BUNDLE"] {
        command.env_remove(name);
    }
    let mut child = command.spawn().unwrap();
    // The command holds the terminal's other ends open until it is dropped.
    drop(command);

    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    let mut master = File::from(master);
    // Reading fails once the last program has closed the terminal.
    while let Ok(count @ 1..) = master.read(&mut buffer) {
        seen.extend_from_slice(buffer.get(..count).unwrap());
    }
    let code = child.wait().unwrap().code();
    (String::from_utf8(seen).unwrap().replace("\r\n", "\n"), code)
}
