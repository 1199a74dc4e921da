//! `amply run`: a route, then a command that does the task, then the report of how it went.
//!
//! Standard output and standard input are the command's alone, and so is the exit code once it has begun.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use amply_sdk::{Outcome, Route, TrackedRoute};
use tokio::time::{Instant, timeout, timeout_at};

use super::route::{self, RouteArgs, ticket_of};
use crate::args::Global;
use crate::child;
use crate::exit::Failed;
use crate::interrupt::{let_payment_end, or_ctrl_c};
use crate::session::{Reports, Session};
use crate::table::one_line;
use crate::term::Term;

/// How long a command that has ended is held up by the report of it.
const REPORT_LIMIT: Duration = Duration::from_secs(2);

#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) route: RouteArgs,
    /// Show what would be sent for the route, as `amply route --dry-run` does. Nothing is sent, and the command is not run
    #[arg(long, help_heading = None::<&'static str>)]
    dry_run: bool,
    /// The command that does the task, and its arguments
    #[arg(last = true, required = true, value_name = "CMD", help_heading = None::<&'static str>)]
    command: Vec<OsString>,
}

const AFTER_HELP: &str = "\
The command gets AMPLY_PROVIDER (who is recommended), AMPLY_ROUTE_ID, AMPLY_TICKET (for `amply outcome`) and \
AMPLY_ROUTE_FILE (a file with the whole answer, removed afterwards). It gets no API key and nothing that pays: of the \
other variables that begin with AMPLY_ only AMPLY_BASE_URL, AMPLY_TIMEOUT, AMPLY_CA_BUNDLE and AMPLY_STORE.

Exit codes: the command's own, 128 and the signal's number where a signal ended it; 125 where `amply` failed before \
the command ran, 126 where it cannot be run, 127 where it is not there. A success, a failure with the code `exit_N`, and how \
long it took are reported; nothing where a signal ended it, or was sent to end it.";

/// A route to ask for, and what is to be run then.
pub(crate) struct Planned {
    pub(crate) route: route::Planned,
    command: Vec<OsString>,
}

impl RunArgs {
    pub(crate) fn plan(&self, global: &Global, term: &Term) -> Result<Planned, Failed> {
        if let Some(program) = self.command.first() {
            child::check(program)?;
        }
        let mut route = self.route.plan(global, term)?;
        if self.dry_run {
            route = route.dry();
        } else {
            route.setup.reports = Reports::KeptWherePossible;
        }
        Ok(Planned { route, command: self.command.clone() })
    }
}

pub(crate) async fn run(session: &Session, planned: Planned, term: &Term) -> Result<ExitCode, Failed> {
    let answered = or_ctrl_c(route::answer(session, &planned.route, term)).await;
    let_payment_end(session, term).await;
    let tracked = session.client.track(answered?);
    let file = RouteFile::write(&tracked)?;
    let mut variables = vec![
        ("AMPLY_PROVIDER", OsString::from(&tracked.recommended)),
        ("AMPLY_ROUTE_FILE", file.path().as_os_str().to_owned()),
    ];
    if let Some(ticket) = ticket_of(&tracked, term) {
        variables.push(("AMPLY_ROUTE_ID", ticket.route_id().into()));
        variables.push(("AMPLY_TICKET", ticket.to_string().into()));
    }
    let ended = child::run(&planned.command, variables).await?;
    drop(file);
    if let Some(outcome) = ended.outcome() {
        report(session, &tracked, outcome, term).await;
    }
    Ok(ExitCode::from(ended.code()))
}

/// Reports within the limit. Whoever waits for the command does not wait for us: Ctrl-C ends it at once.
async fn report(session: &Session, tracked: &TrackedRoute, outcome: Outcome, term: &Term) {
    tokio::select! {
        biased;
        _ = tokio::signal::ctrl_c() => {}
        trouble = kept_or_at_once(session, tracked, outcome, term) => if let Some(why) = trouble {
            term.warn(&format!("how the command went is not reported: {why}"));
        }
    }
}

/// Why it is lost, if it is.
async fn kept_or_at_once(
    session: &Session,
    tracked: &TrackedRoute,
    outcome: Outcome,
    term: &Term,
) -> Option<String> {
    // There was none to take a ticket of: that was said before.
    tracked.ticket().ok()?;
    let until = Instant::now() + REPORT_LIMIT;
    if session.keeps_reports()
        && let Ok(Ok(_)) = timeout_at(until, tracked.report_durable(outcome.clone())).await
    {
        let outbox = session.client.outbox();
        let flushed = outbox.flush(until.saturating_duration_since(Instant::now())).await;
        session.client.close(Duration::ZERO).await;
        match flushed {
            Ok(flushed) if flushed.left == 0 => {}
            _ => term.note("how the command went is kept in the outbox; `amply outbox flush` delivers it"),
        }
        if outbox.counters().dead > 0 {
            term.warn("the server refused a report for good; `amply outbox list` says why");
        }
        return None;
    }
    match timeout(REPORT_LIMIT, tracked.report_outcome(outcome)).await {
        Ok(reported) => reported.err().map(|error| error.message()),
        Err(_) => Some(format!("there was no answer within {} s", REPORT_LIMIT.as_secs())),
    }
}

/// The whole answer in a file for its owner alone. It ends with this.
struct RouteFile(PathBuf);

impl RouteFile {
    fn write(route: &TrackedRoute) -> Result<Self, Failed> {
        let name = format!("amply-route-{}.json", uuid::Uuid::now_v7());
        let refuse = |path: &Path, error: std::io::Error| refused(path, route, &error);
        let path = std::env::temp_dir().join(name);
        // The command may run in another folder.
        let path = std::path::absolute(&path).map_err(|error| refuse(&path, error))?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&path).map_err(|error| refuse(&path, error))?;
        let made = Self(path);
        file.write_all(route.text().as_bytes()).map_err(|error| refuse(made.path(), error))?;
        Ok(made)
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

/// The route was answered, and perhaps paid for: its id is not lost with it.
fn refused(path: &Path, route: &Route, error: &std::io::Error) -> Failed {
    let route_id = route.route_id.as_deref().map(|id| format!(" (route {})", one_line(id)));
    Failed::Local(format!(
        "the answer cannot be handed to the command: `{}` cannot be written: {error}{}",
        one_line(&path.to_string_lossy()),
        route_id.unwrap_or_default()
    ))
}

impl Drop for RouteFile {
    fn drop(&mut self) {
        // The command may have taken it away.
        let _ = std::fs::remove_file(&self.0);
    }
}
