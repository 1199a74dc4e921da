//! `amply outcome`: how a route went that was asked for before, by this machine or another.

use std::time::Duration;

use amply_sdk::{Error, HandedOver, Outcome, Reported, Ticket};
use clap::ArgGroup;
use serde::Serialize;

use crate::exit::Failed;
use crate::session::{Reports, Session, Setup, ticket_from_stdin};
use crate::table;
use crate::term::Term;

#[derive(clap::Args)]
#[command(
    group(ArgGroup::new("route").args(["route_id", "ticket"]).required(true)),
    group(ArgGroup::new("how").args(["success", "failure"]).required(true)),
)]
pub(crate) struct OutcomeArgs {
    /// The id of the route
    #[arg(value_name = "ROUTE_ID")]
    route_id: Option<String>,
    /// Who did the task; older servers want to know it
    #[arg(long, value_name = "ID", conflicts_with = "ticket")]
    provider: Option<String>,
    /// What `amply route --track` printed, instead of an id, or `-` to read it from standard input
    #[arg(long, value_name = "TICKET")]
    ticket: Option<String>,
    /// The task was done
    #[arg(long)]
    success: bool,
    /// The task failed
    #[arg(long)]
    failure: bool,
    /// How long it took at the provider, in ms
    #[arg(long, value_name = "MS", allow_negative_numbers = true, value_parser = whole_ms)]
    latency_ms: Option<u64>,
    /// The kind of failure, `error` unless given: 1 to 64 of a-z, 0-9 and _ . : -
    #[arg(long, value_name = "CODE", conflicts_with = "success")]
    error_code: Option<String>,
    /// Keep the report in the outbox, without a network; `amply outbox flush` delivers it
    #[arg(long)]
    later: bool,
}

/// The code of a task that took too long, which the older endpoint has a word for.
const TIMEOUT: &str = "timeout";

fn whole_ms(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "it must be a whole number of ms".to_owned())
}

/// A report that is ready to be made.
pub(crate) struct Planned {
    of: Of,
    outcome: Outcome,
    later: bool,
}

enum Of {
    Ticket(Ticket),
    Route { id: String, provider: Option<String> },
}

impl OutcomeArgs {
    pub(crate) fn reads_stdin(&self) -> bool {
        self.ticket.as_deref() == Some("-")
    }

    pub(crate) fn is_for_later(&self) -> bool {
        self.later
    }

    pub(crate) fn plan(&self) -> Result<Planned, Failed> {
        let of = match (&self.ticket, &self.route_id) {
            (Some(_), _) if self.reads_stdin() => Of::Ticket(ticket_from_stdin()?.parse()?),
            (Some(ticket), _) => Of::Ticket(ticket.parse()?),
            (None, id) => Of::Route { id: id.clone().unwrap_or_default(), provider: self.provider.clone() },
        };
        let outcome = match (self.success, self.error_code.as_deref()) {
            (true, _) => Outcome::success(),
            (false, Some(TIMEOUT)) => Outcome::timeout(),
            (false, code) => Outcome::failure(code.unwrap_or("error")),
        };
        let outcome = match self.latency_ms {
            Some(ms) => outcome.latency(Duration::from_millis(ms)),
            None => outcome,
        };
        Ok(Planned { of, outcome, later: self.later })
    }
}

impl Planned {
    pub(crate) fn setup(&self) -> Setup {
        Setup { reports: if self.later { Reports::Kept } else { Reports::Known }, ..Setup::default() }
    }
}

pub(crate) async fn run(session: &Session, planned: Planned, term: &Term) -> Result<(), Failed> {
    let ticket = match planned.of {
        Of::Ticket(ticket) => ticket,
        Of::Route { id, provider } => session.client.ticket(&id, provider.as_deref())?,
    };
    match planned.later {
        true => show_kept(session.client.report_durable(&ticket, planned.outcome).await?, &ticket, term),
        false => {
            let reported = session.client.report(&ticket, planned.outcome).await;
            show(&reported.map_err(|error| session.advise_on_route(advise(error)))?, term)
        }
    }
}

/// Names `--later` where it is the server's turn.
fn advise(error: Error) -> Failed {
    let is_for_want_of_a_server = matches!(
        error,
        Error::Transport(_) | Error::Timeout(_) | Error::Server(_) | Error::RateLimited { .. }
    );
    let hint = is_for_want_of_a_server.then(|| {
        "add `--later`: the report is kept in the outbox then, and `amply outbox flush` delivers it"
            .to_owned()
    });
    Failed::Call { error: Box::new(error), hint }
}

/// What is printed where the server was not asked, because the store knows the route. The first three fields are as the
/// server has them; the last one is ours and says whose answer this is.
#[derive(Serialize)]
struct KnownBefore {
    received: bool,
    credits_awarded: u64,
    duplicate: bool,
    amply_answered_from: &'static str,
}

const KNOWN_BEFORE: KnownBefore =
    KnownBefore { received: true, credits_awarded: 0, duplicate: true, amply_answered_from: "store" };

fn show(reported: &Reported, term: &Term) -> Result<(), Failed> {
    match (term.is_json(), &reported.receipt) {
        (true, Some(receipt)) => Ok(term.print_json(receipt.text())?),
        // Words and numbers can always be written.
        (true, None) => Ok(term.print_json(&serde_json::to_string(&KNOWN_BEFORE).unwrap_or_default())?),
        (false, None) => Ok(term.print("reported before, or in the outbox already; nothing was sent")?),
        (false, Some(_)) if reported.is_repeated() => Ok(term.print("reported before; it counts once")?),
        (false, Some(_)) => Ok(term.print(&match reported.credits_awarded() {
            Some(1) => "reported, for 1 credit".to_owned(),
            Some(credits) => format!("reported, for {credits} credits"),
            None => "reported".to_owned(),
        })?),
    }
}

/// What is printed of a report that was kept for later.
#[derive(Serialize)]
struct Kept<'a> {
    route_id: &'a str,
    queued: bool,
    duplicate: bool,
}

fn show_kept(handed: HandedOver, ticket: &Ticket, term: &Term) -> Result<(), Failed> {
    let is_new = handed == HandedOver::Accepted;
    if term.is_json() {
        let kept = Kept { route_id: ticket.route_id(), queued: is_new, duplicate: !is_new };
        return Ok(term.print_json(&serde_json::to_string(&kept).unwrap_or_default())?);
    }
    let id = table::one_line(ticket.route_id());
    Ok(term.print(&match is_new {
        true => format!("the report of {id} is in the outbox; `amply outbox flush` delivers it"),
        false => "reported before, or in the outbox already; nothing was added".to_owned(),
    })?)
}
