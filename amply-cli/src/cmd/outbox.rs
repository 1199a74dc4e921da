//! `amply outbox`: the reports on this machine that are not delivered. Only `flush` needs a key and a network.

use std::path::PathBuf;
use std::pin::pin;
use std::time::{Duration, Instant};

use amply_sdk::{Error, Outbox, OutboxEntry, Outcome, OutcomeCounters, Store, env};
use clap::{ArgGroup, Subcommand};
use indexmap::IndexMap;
use serde::Serialize;

use crate::args::Global;
use crate::exit::Failed;
use crate::interrupt::or_ctrl_c;
use crate::place;
use crate::session::{Reports, Session, Setup, key_from};
use crate::table;
use crate::term::Term;

#[derive(Subcommand)]
pub(crate) enum OutboxCommand {
    /// List the reports that wait, and those that were given up, the oldest first
    List,
    /// Deliver what waits for this server under this key, and wait for the end of it
    Flush,
    /// Have a report delivered by the next `flush` that was given up, or that waits
    #[command(group(ArgGroup::new("which").args(["id", "all"]).required(true)))]
    Retry {
        /// The report's id
        #[arg(value_name = "ID")]
        id: Option<String>,
        /// All that were given up
        #[arg(long)]
        all: bool,
    },
    /// Remove a report; it is lost then
    Drop {
        /// The report's id
        #[arg(value_name = "ID")]
        id: String,
    },
}

/// `flush` gives up when for so long nothing was delivered: longer than a process that has died keeps a report to itself.
const PATIENCE: Duration = Duration::from_secs(35);
/// How often the progress is looked at.
const TICK: Duration = Duration::from_millis(100);
/// From how many reports on their progress is shown.
const MANY: u64 = 10;
/// What the SDK lists at most.
const LISTED: usize = 10_000;

pub(crate) async fn run(
    command: &OutboxCommand,
    key: Option<String>,
    global: &Global,
    term: &Term,
) -> Result<(), Failed> {
    let file = place::of_store(global.store.as_ref())?;
    match command {
        OutboxCommand::Flush => flush(file, key, global, term).await,
        OutboxCommand::List => or_ctrl_c(list(file, term)).await,
        OutboxCommand::Retry { id: Some(id), .. } => or_ctrl_c(retry(file, id, term)).await,
        OutboxCommand::Retry { id: None, .. } => or_ctrl_c(retry_all(file, term)).await,
        OutboxCommand::Drop { id } => or_ctrl_c(discard(file, id, term)).await,
    }
}

/// The store; one that is not there has no reports, and is not made only to say so.
async fn open(file: PathBuf) -> Result<Store, Error> {
    Ok(place::open_if_there(file).await?.unwrap_or_else(Store::in_memory))
}

/// What a pipe gets: an object, so that there is room for more.
#[derive(Serialize)]
struct Listed<'a> {
    reports: &'a [OutboxEntry],
}

async fn list(file: PathBuf, term: &Term) -> Result<(), Failed> {
    let all = open(file).await?.undelivered().await?;
    if all.len() == LISTED {
        term.warn(&format!("only the oldest {LISTED} are listed"));
    }
    if term.is_json() {
        return Ok(print_json(&Listed { reports: &all }, term)?);
    }
    if all.is_empty() {
        return Ok(term.print("no reports wait")?);
    }
    let mut places: IndexMap<String, Vec<&OutboxEntry>> = IndexMap::new();
    for entry in &all {
        let whose = match entry.principal.as_str() {
            "" => "without a key".to_owned(),
            hash => format!("by the key with the hash {}", table::one_line(hash)),
        };
        places.entry(format!("for {} {whose}", table::one_line(&entry.base_url))).or_default().push(entry);
    }
    let section = |(place, entries): (&String, &Vec<&OutboxEntry>)| {
        let heading = term.styled(anstyle::Style::new().bold(), &table::wrapped(place, term.width()));
        let entries = entries.iter().map(|entry| pairs(entry, term)).collect::<Vec<_>>();
        format!("{heading}\n\n{}", entries.join("\n\n"))
    };
    Ok(term.print(&places.iter().map(section).collect::<Vec<_>>().join("\n\n"))?)
}

async fn retry(file: PathBuf, id: &str, term: &Term) -> Result<(), Failed> {
    show("the next `amply outbox flush` delivers it", &open(file).await?.retry_report(id).await?, term)
}

async fn discard(file: PathBuf, id: &str, term: &Term) -> Result<(), Failed> {
    show("removed", &open(file).await?.discard_report(id).await?, term)
}

async fn retry_all(file: PathBuf, term: &Term) -> Result<(), Failed> {
    let revived = open(file).await?.retry_dead_reports().await?;
    if term.is_json() {
        return Ok(print_json(&IndexMap::from([("retried", revived)]), term)?);
    }
    Ok(term.print(&match revived {
        0 => "no report was given up".to_owned(),
        _ => format!("the next `amply outbox flush` delivers {}", count(revived, "report")),
    })?)
}

fn show(done: &str, entry: &OutboxEntry, term: &Term) -> Result<(), Failed> {
    match term.is_json() {
        true => Ok(print_json(entry, term)?),
        false => Ok(term.print(&format!("{done}\n\n{}", pairs(entry, term)))?),
    }
}

/// One report, in lines that are never too long for its ids.
fn pairs(entry: &OutboxEntry, term: &Term) -> String {
    let state = match (entry.is_dead, entry.attempts) {
        (true, tries) => format!("given up after {}", count(tries.into(), "try")),
        (false, 0) => "waits".to_owned(),
        (false, tries) => format!("waits, after {}", count(tries.into(), "try")),
    };
    let pairs = vec![
        ("report", Some(entry.id.clone())),
        ("route", Some(entry.route_id.clone())),
        ("provider", entry.provider_id.clone()),
        ("outcome", Some(entry.outcome.as_ref().map_or_else(|| "cannot be read".to_owned(), how_it_went))),
        ("since", table::utc(entry.created_ms.div_euclid(1000))),
        ("state", Some(state)),
        ("why", entry.last_error.clone()),
    ];
    table::pairs(pairs, term.width())
}

fn how_it_went(outcome: &Outcome) -> String {
    let word = match outcome.error_code() {
        _ if outcome.is_success() => "success".to_owned(),
        code => format!("failure ({})", code.unwrap_or("error")),
    };
    let latency = outcome.latency_ms().map(|ms| format!(", {ms} ms")).unwrap_or_default();
    format!("{word}{latency}")
}

fn count(number: u64, what: &str) -> String {
    match (number, what.strip_suffix('y')) {
        (1, _) => format!("1 {what}"),
        (_, Some(stem)) => format!("{number} {stem}ies"),
        (_, None) => format!("{number} {what}s"),
    }
}

/// What `flush` came to.
#[derive(Serialize)]
struct Delivered {
    delivered: u64,
    dead: u64,
    left: u64,
    credits_awarded: u64,
}

impl Delivered {
    fn new(counters: OutcomeCounters, left: u64) -> Self {
        let OutcomeCounters { delivered, dead, credits_awarded, .. } = counters;
        Self { delivered, dead, left, credits_awarded }
    }
}

async fn flush(file: PathBuf, key: Option<String>, global: &Global, term: &Term) -> Result<(), Failed> {
    if matches!(file.try_exists(), Ok(false)) {
        return show_delivered(&Delivered::new(OutcomeCounters::default(), 0), term);
    }
    let setup = Setup { reports: Reports::Kept, ..Setup::default() };
    let session = or_ctrl_c(Session::open(global, key, setup, term)).await;
    let session = session.map_err(|failed| failed.naming_key(key_from(global)))?;
    let outbox = session.client.outbox();
    let left = or_ctrl_c(deliver(&outbox, patience(global), term)).await;
    // What is under way is given back, so that the next one need not wait for it.
    session.client.close(Duration::ZERO).await;
    let delivered = Delivered::new(outbox.counters(), left?);
    if delivered.dead > 0 {
        let dead = count(delivered.dead, "report");
        term.warn(&format!("the server refused {dead} for good; `amply outbox list` says why"));
    }
    let others = outbox.list().await?;
    let (ours, others): (Vec<_>, Vec<_>) = others.iter().partition(|entry| outbox.delivers(entry));
    if delivered.left > 0 {
        let why = ours.iter().filter(|entry| !entry.is_dead).find_map(|entry| entry.last_error.clone());
        return Err(Failed::Undelivered { delivered: delivered.delivered, left: delivered.left, why });
    }
    let waiting = others.iter().filter(|entry| !entry.is_dead).count();
    if waiting > 0 {
        let waiting = count(waiting as u64, "report");
        term.note(&format!("{waiting} of other keys or servers stay; `amply outbox list` shows them"));
    }
    show_delivered(&delivered, term)
}

/// How long nothing may come of it.
fn patience(global: &Global) -> Duration {
    // One that cannot be read has ended the command already.
    let variable = || env::parse_timeout(&std::env::var(env::TIMEOUT).ok()?).ok();
    global.timeout.or_else(variable).unwrap_or(PATIENCE)
}

/// Delivers all that waits, for as long as something comes of it; how many are left.
async fn deliver(outbox: &Outbox, patience: Duration, term: &Term) -> Result<u64, Failed> {
    let mut left = outbox.waiting().await?;
    let progress = (left >= MANY).then(|| term.progress("delivering reports", left));
    let mut flushing = pin!(outbox.flush(Duration::MAX));
    let mut last = (outbox.counters(), Instant::now());
    loop {
        tokio::select! {
            biased;
            flushed = &mut flushing => return Ok(flushed?.left),
            () = tokio::time::sleep(TICK) => {}
        }
        let counters = outbox.counters();
        if let Some(progress) = &progress {
            progress.show(counters.delivered + counters.dead);
        }
        if counters != last.0 {
            last = (counters, Instant::now());
        } else if last.1.elapsed() >= patience {
            // Others may be at it, too.
            let now = outbox.waiting().await?;
            if now >= left {
                return Ok(now);
            }
            (left, last.1) = (now, Instant::now());
        }
    }
}

fn show_delivered(delivered: &Delivered, term: &Term) -> Result<(), Failed> {
    if term.is_json() {
        return Ok(print_json(delivered, term)?);
    }
    Ok(term.print(&match (delivered.delivered, delivered.dead) {
        (0, 0) => "no reports wait".to_owned(),
        (number, _) => format!(
            "{} delivered, for {}",
            count(number, "report"),
            count(delivered.credits_awarded, "credit")
        ),
    })?)
}

fn print_json(value: &impl Serialize, term: &Term) -> std::io::Result<()> {
    // Texts, numbers and times can always be written.
    term.print_json(&serde_json::to_string(value).unwrap_or_default())
}
