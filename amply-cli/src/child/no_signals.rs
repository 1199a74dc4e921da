//! Where a system has no signals to pass on: Ctrl-C reaches the command by itself.

use std::io;
use std::process::{Child, Command, ExitStatus};

pub(super) struct Relay;

impl Relay {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self)
    }

    pub(super) fn start(&self, command: &mut Command) -> io::Result<Child> {
        command.spawn()
    }

    pub(super) async fn end_of(self, mut child: Child) -> io::Result<(ExitStatus, bool)> {
        let ended = tokio::task::spawn_blocking(move || child.wait());
        ended.await.map_err(io::Error::other)?.map(|status| (status, false))
    }
}
