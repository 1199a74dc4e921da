//! Questions to the person at the terminal. They are asked before anything catches Ctrl-C, which ends the command as usual.

use std::io::{self, BufRead, Read};

use zeroize::Zeroizing;

use crate::exit::Failed;
use crate::term::write_stderr;

/// More bytes than any answer to yes or no has.
const MAX_ANSWER: u64 = 100;

/// Asks yes or no; only a clear yes is one.
pub(crate) fn confirm(question: &str) -> Result<bool, Failed> {
    write_stderr(&format!("{question} [y/N] "));
    let mut answer = String::new();
    io::stdin()
        .lock()
        .take(MAX_ANSWER)
        .read_line(&mut answer)
        .map_err(|error| Failed::Usage(format!("the answer cannot be read: {error}")))?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// Asks for a secret, which is not shown while it is typed.
#[cfg(unix)]
pub(crate) fn secret(what: &str) -> Result<Zeroizing<String>, Failed> {
    let silent = silent::Silent::begin()
        .map_err(|error| Failed::Local(format!("the terminal cannot be silenced: {error}")))?;
    write_stderr(&format!("{what}: "));
    let read = silent.read_line();
    drop(silent);
    write_stderr("\n");
    read
}

/// No terminal here can be silenced.
#[cfg(not(unix))]
pub(crate) fn secret(_: &str) -> Result<Zeroizing<String>, Failed> {
    Err(Failed::Usage(
        "the secret would be seen while it is typed; pipe it, or name a file with `--secret-file`".to_owned(),
    ))
}

#[cfg(unix)]
mod silent {
    use std::io;

    use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
    use zeroize::Zeroizing;

    use crate::exit::Failed;
    use crate::session::MAX_SECRET;

    const CTRL_C: u8 = 3;
    const CTRL_D: u8 = 4;
    const BACKSPACE: u8 = 8;
    const CTRL_U: u8 = 21;
    const DELETE: u8 = 127;

    /// A terminal that shows nothing of what is typed, until this goes. It sends no signals either: one that ended the command
    /// would leave it silent.
    pub(super) struct Silent(Termios);

    impl Silent {
        pub(super) fn begin() -> io::Result<Self> {
            let before = tcgetattr(io::stdin())?;
            let mut modes = before.clone();
            modes.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
            modes.special_codes[SpecialCodeIndex::VMIN] = 1;
            modes.special_codes[SpecialCodeIndex::VTIME] = 0;
            tcsetattr(io::stdin(), OptionalActions::Now, &modes)?;
            Ok(Self(before))
        }

        /// Reads to the end of the line, as a terminal would.
        pub(super) fn read_line(&self) -> Result<Zeroizing<String>, Failed> {
            // It never grows, so that no copy is left behind.
            let mut typed = Zeroizing::new(Vec::with_capacity(MAX_SECRET + 1));
            loop {
                let mut byte = Zeroizing::new([0_u8]);
                let count = match rustix::io::read(io::stdin(), &mut byte[..]) {
                    Ok(count) => count,
                    Err(rustix::io::Errno::INTR) => continue,
                    Err(error) => {
                        let error = io::Error::from(error);
                        return Err(Failed::Usage(format!("the secret cannot be read: {error}")));
                    }
                };
                let [byte] = *byte;
                match (count, byte) {
                    (0, _) | (_, b'\n' | b'\r' | CTRL_D) => break,
                    (_, CTRL_C) => return Err(Failed::Interrupted(None)),
                    (_, CTRL_U) => typed.clear(),
                    (_, BACKSPACE | DELETE) => {
                        while typed.pop().is_some_and(|byte| (0x80..0xC0).contains(&byte)) {}
                    }
                    (_, byte) if typed.len() <= MAX_SECRET => typed.push(byte),
                    _ => {}
                }
            }
            let text = String::from_utf8(std::mem::take(&mut *typed)).map_err(|error| {
                drop(Zeroizing::new(error.into_bytes()));
                Failed::Usage("the secret is not UTF-8".to_owned())
            })?;
            Ok(Zeroizing::new(text))
        }
    }

    impl Drop for Silent {
        fn drop(&mut self) {
            // Nothing is left to be done where it fails.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
        }
    }
}
