//! Signals while a command runs: those that ask `amply` to end are the command's, and it decides what comes of them.

use std::io::{self, IsTerminal};
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::siginfo::{Cause, Origin};

/// Those that are passed on.
const PASSED_ON: [(i32, Signal); 4] =
    [(SIGHUP, Signal::HUP), (SIGINT, Signal::INT), (SIGQUIT, Signal::QUIT), (SIGTERM, Signal::TERM)];

/// Signals that this process ignored when it was started, as `nohup` has it. Catching one would take that from the command.
#[derive(Clone, Copy)]
pub(crate) struct Ignored(u64);

impl Ignored {
    pub(crate) fn contains(self, signal: i32) -> bool {
        let bit = u32::try_from(signal - 1).ok().and_then(|bit| 1u64.checked_shl(bit));
        bit.is_some_and(|bit| self.0 & bit != 0)
    }

    /// From the text of Linux about a process; other systems do not tell without unsafe code, and there none is known.
    fn read(status: &str) -> Self {
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        Self(mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0))
    }
}

/// To be asked for the first time before any signal is caught.
pub(crate) fn ignored() -> Ignored {
    static AT_START: OnceLock<Ignored> = OnceLock::new();
    *AT_START.get_or_init(|| Ignored::read(&std::fs::read_to_string("/proc/self/status").unwrap_or_default()))
}

/// Whom signals are for.
enum Target {
    /// Nobody yet; what has come meanwhile is the command's.
    Early(Vec<Signal>),
    Command(Pid),
    /// Nobody any more: the id may be another's.
    Ended,
}

/// Passes signals on from now on.
pub(super) struct Relay {
    target: Arc<Mutex<Target>>,
    /// Set by the handlers themselves: the command may end before the thread is told.
    is_asked_to_end: Arc<AtomicBool>,
}

impl Relay {
    pub(super) fn new() -> io::Result<Self> {
        let ignored = ignored();
        let caught = PASSED_ON.iter().map(|(number, _)| *number).filter(|number| !ignored.contains(*number));
        let caught: Vec<i32> = caught.collect();
        let is_asked_to_end = Arc::<AtomicBool>::default();
        for signal in &caught {
            signal_hook::flag::register(*signal, Arc::clone(&is_asked_to_end))?;
        }
        let mut signals = SignalsInfo::<WithOrigin>::new(&caught)?;
        let target = Arc::new(Mutex::new(Target::Early(Vec::new())));
        let of_thread = Arc::clone(&target);
        let pass_on = move || signals.forever().for_each(|origin| pass_on(&origin, &mut lock(&of_thread)));
        std::thread::Builder::new().name("amply-signals".to_owned()).spawn(pass_on)?;
        Ok(Self { target, is_asked_to_end })
    }

    /// Starts the command.
    pub(super) fn start(&self, command: &mut Command) -> io::Result<Child> {
        // What comes from now on waits for the command's id.
        let mut target = lock(&self.target);
        let child = command.spawn()?;
        let pid = Pid::from_child(&child);
        if let Target::Early(early) = std::mem::replace(&mut *target, Target::Command(pid)) {
            early.into_iter().for_each(|signal| send(pid, signal));
        }
        Ok(child)
    }

    /// Waits for its end, and says whether somebody asked it to end meanwhile.
    pub(super) async fn end_of(self, mut child: Child) -> io::Result<(ExitStatus, bool)> {
        let target = self.target;
        let ended = tokio::task::spawn_blocking(move || {
            // It stays a zombie, and its id nobody else's, until no signal can be meant for it any more.
            let (pid, options) =
                (WaitId::Pid(Pid::from_child(&child)), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
            while let Err(rustix::io::Errno::INTR) = waitid(pid.clone(), options) {}
            *lock(&target) = Target::Ended;
            child.wait()
        });
        let status = ended.await.map_err(io::Error::other)??;
        Ok((status, self.is_asked_to_end.load(Ordering::Relaxed)))
    }
}

fn lock(target: &Mutex<Target>) -> MutexGuard<'_, Target> {
    target.lock().unwrap_or_else(PoisonError::into_inner)
}

fn pass_on(origin: &Origin, target: &mut Target) {
    let Some((_, signal)) = PASSED_ON.iter().find(|(number, _)| *number == origin.signal) else { return };
    match target {
        Target::Early(early) => early.push(*signal),
        Target::Command(pid) if !reached_it_already(origin) => send(*pid, *signal),
        Target::Command(_) | Target::Ended => {}
    }
}

fn send(pid: Pid, signal: Signal) {
    // It may have ended this moment.
    let _ = kill_process(pid, signal);
}

/// Ctrl-C and Ctrl-\ reach all of the terminal's foreground, the command too. A second one would mean "at once" to many
/// programs. A hang-up is passed on in any case: it may have come to us alone, and nobody counts them.
fn reached_it_already(origin: &Origin) -> bool {
    let is_of_terminal = match origin.cause {
        Cause::Kernel => true,
        // Not every system tells.
        Cause::Unknown => io::stdin().is_terminal(),
        _ => false,
    };
    is_of_terminal && [SIGINT, SIGQUIT].contains(&origin.signal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_ignored_at_the_start_is_read_from_the_mask() {
        let ignored = Ignored::read("Name:\tamply\nSigBlk:\t0000000000000002\nSigIgn:\t0000000000001001\n");
        let known = [SIGHUP, SIGINT, SIGQUIT, SIGTERM].map(|signal| ignored.contains(signal));
        assert_eq!(known, [true, false, false, false]);
        assert!(ignored.contains(signal_hook::consts::SIGPIPE) && !ignored.contains(0));
        assert!(!Ignored::read("").contains(SIGHUP));
    }
}
