//! `amply payments`: what the ledger of this machine holds. No key, no network.

use std::path::PathBuf;
use std::time::SystemTime;

use amply_sdk::{Error, PaidCall, Payment, PaymentState, Payments, Store, Verdict};
use clap::Subcommand;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use indexmap::IndexMap;
use serde::Serialize;

use crate::args::Global;
use crate::exit::Failed;
use crate::place;
use crate::table::{self, number, text, whole};
use crate::term::Term;

#[derive(Subcommand)]
pub(crate) enum PaymentsCommand {
    /// List all payments, the oldest first
    List,
    /// Show one payment, with the calls that it served
    Show {
        /// The payment's id
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Say what became of a payment that nothing else tells of; look first
    Resolve {
        /// The payment's id
        #[arg(value_name = "ID")]
        id: String,
        /// Whether money moved
        #[arg(value_name = "WHAT", value_parser = verdict())]
        verdict: Verdict,
    },
    /// Let payments go on after a store that could not be read was set aside
    Unblock,
}

fn verdict() -> impl TypedValueParser<Value = Verdict> {
    const ALL: [Verdict; 2] = [Verdict::Settled, Verdict::Rejected];
    PossibleValuesParser::new(ALL.map(Verdict::as_str)).try_map(|word| word.parse::<Verdict>())
}

pub(crate) async fn run(command: &PaymentsCommand, global: &Global, term: &Term) -> Result<(), Failed> {
    let payments = open(place::of_store(global.store.as_ref())?).await?;
    match command {
        PaymentsCommand::List => list(&payments, term).await,
        PaymentsCommand::Show { id } => show(&payments.show(id).await?, term),
        PaymentsCommand::Resolve { id, verdict } => show(&payments.resolve(id, *verdict).await?, term),
        PaymentsCommand::Unblock => unblock(&payments, term).await,
    }
}

/// The payments of a store. One that is not there has none, and is not made only to say so.
async fn open(file: PathBuf) -> Result<Payments, Error> {
    // What cannot be looked at is told by opening it.
    match file.try_exists() {
        Ok(false) => Ok(Store::in_memory().payments()),
        _ => Ok(place::open(Ok(file)).await?.payments()),
    }
}

/// What a pipe gets: an object, so that there is room for more.
#[derive(Serialize)]
struct Listed<'a> {
    payments: &'a [Payment],
    /// Why nothing is paid; null where nothing keeps it from being.
    blocked: Option<&'a str>,
}

async fn list(payments: &Payments, term: &Term) -> Result<(), Failed> {
    let (all, blocked) = (payments.list().await?, payments.blocked().await?);
    if let Some(why) = &blocked {
        term.warn(&format!("{why}; then `amply payments unblock`"));
    }
    if term.is_json() {
        return Ok(print_json(&Listed { payments: &all, blocked: blocked.as_deref() }, term)?);
    }
    if all.is_empty() {
        return Ok(term.print("no payments")?);
    }
    // Few wallets have many payments, and their names take most of a line.
    let mut wallets: IndexMap<String, Vec<&Payment>> = IndexMap::new();
    for payment in &all {
        let whose = payment.principal_id.as_deref().unwrap_or("without a name");
        wallets.entry(format!("wallet {whose} at {}", payment.base_url)).or_default().push(payment);
    }
    let columns = [text("CREATED"), number("USD"), text("STATE"), whole("PAYMENT")];
    let row = |payment: &&Payment| {
        vec![time(payment.created_at()), table::cents(payment.amount), state(payment), payment.id.clone()]
    };
    let section = |(wallet, payments): (&String, &Vec<&Payment>)| {
        let lines = table::lines(&columns, payments.iter().map(row).collect(), term.width());
        let heading = term
            .styled(anstyle::Style::new().bold(), &table::wrapped(&table::one_line(wallet), term.width()));
        format!("{heading}\n{}", lines.join("\n"))
    };
    Ok(term.print(&wallets.iter().map(section).collect::<Vec<_>>().join("\n\n"))?)
}

fn show(payment: &Payment, term: &Term) -> Result<(), Failed> {
    if term.is_json() {
        return Ok(print_json(payment, term)?);
    }
    let usd = |amount| format!("{} USD", table::cents(amount));
    let receipt = payment.receipt.as_ref();
    let mut pairs = vec![
        ("payment", Some(payment.id.clone())),
        ("state", Some(state(payment))),
        ("amount", Some(usd(payment.amount))),
        ("reason", payment.reason.clone()),
        ("created", Some(time(payment.created_at()))),
        ("ended", payment.ended_at().map(time)),
        ("wallet", payment.principal_id.clone()),
        ("server", Some(payment.base_url.clone())),
        ("idempotency key", Some(payment.idempotency_key.clone())),
        ("credited", receipt.map(|receipt| usd(receipt.credited_usd))),
        ("balance then", receipt.and_then(|receipt| receipt.balance_usd).map(usd)),
        ("top-up", receipt.and_then(|receipt| receipt.topup_id.clone())),
    ];
    let call = |call: &PaidCall| {
        let led = if call.led { ", led it" } else { "" };
        let route = call.route_id.as_ref().map(|id| format!(", route {id}"));
        format!("{}{led}, {}{}", call.call_key, usd(call.share_usd), route.unwrap_or_default())
    };
    pairs.extend(payment.calls.iter().map(|served| ("call", Some(call(served)))));
    Ok(term.print(&table::pairs(pairs, term.width()))?)
}

async fn unblock(payments: &Payments, term: &Term) -> Result<(), Failed> {
    let was_blocked = payments.unblock().await?;
    if term.is_json() {
        return Ok(print_json(&IndexMap::from([("was_blocked", was_blocked)]), term)?);
    }
    Ok(term.print(match was_blocked {
        true => "payments may be made again",
        false => "nothing was blocked",
    })?)
}

/// How far it came, in words, and what a person said of it.
fn state(payment: &Payment) -> String {
    let state = match payment.state {
        PaymentState::Intent => "not yet asked for",
        PaymentState::Sent => "being made",
        PaymentState::SettledNotApplied => "settled, not applied",
        state => state.as_str(),
    };
    match payment.verdict {
        Some(verdict) => format!("{state}, resolved: {verdict}"),
        None => state.to_owned(),
    }
}

/// RFC 3339 in UTC, to the second.
fn time(at: SystemTime) -> String {
    let time = jiff::Timestamp::try_from(at).and_then(|time| jiff::Timestamp::from_second(time.as_second()));
    time.map_or_else(|_| "-".to_owned(), |time| time.to_string())
}

fn print_json(value: &impl Serialize, term: &Term) -> std::io::Result<()> {
    // Texts, numbers and times can always be written.
    term.print_json(&serde_json::to_string(value).unwrap_or_default())
}
