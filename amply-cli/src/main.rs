//! The `amply` command: arguments in, text or JSON out. All logic is in the SDK.

#![forbid(unsafe_code)]

mod args;
mod child;
mod cmd;
mod exit;
mod interrupt;
mod jq;
mod pay;
mod place;
mod prompt;
mod session;
mod table;
mod term;
mod verbose;

use std::process::ExitCode;

use crate::args::{Args, Command};
use crate::exit::Failed;
use crate::term::Term;

fn main() -> ExitCode {
    let args = match args::parse() {
        Ok(args) => args,
        Err(error) => return exit::usage(&error),
    };
    let term = Term::new(&args.global);
    match run(&args, &term) {
        Ok(code) => code,
        Err(failed) if matches!(args.command, Command::Run(_)) => failed.report_of_run(&term),
        Err(failed) => failed.report(&term),
    }
}

fn run(args: &Args, term: &Term) -> Result<ExitCode, Failed> {
    args.check()?;
    if let Some(expression) = &args.global.jq {
        jq::check(expression)?;
    }
    if args.global.verbose > 0 {
        verbose::show_attempts();
    }
    // Standard input is read before anything catches Ctrl-C: a blocked read cannot be told of it.
    let job = cmd::prepare(args, term)?;
    let key = session::key_from_stdin(&args.global)?;
    // One thread is enough for a command, and starts in a fraction of the time.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failed::Local(format!("cannot start: {error}")))?;
    let done = runtime.block_on(cmd::run(job, key, &args.global, term));
    // A name that is still being looked up must not hold the end of the command.
    runtime.shutdown_background();
    done
}
