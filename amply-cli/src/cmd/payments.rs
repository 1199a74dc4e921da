//! `amply payments`: what the ledger of this machine holds. No key, no network.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use amply_sdk::{Error, Network, PaidCall, Payment, PaymentState, Payments, Store, Verdict};
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
        /// Print the answer that was paid for, as it came; it is kept for a day
        #[arg(long)]
        answer: bool,
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
        PaymentsCommand::Show { id, answer: true } => answer(&payments, id, term).await,
        PaymentsCommand::Show { id, answer: false } => show(&payments.show(id).await?, term),
        PaymentsCommand::Resolve { id, verdict } => show(&payments.resolve(id, *verdict).await?, term),
        PaymentsCommand::Unblock => unblock(&payments, term).await,
    }
}

/// The payments of a store. One that is not there has none, and is not made only to say so.
async fn open(file: PathBuf) -> Result<Payments, Error> {
    Ok(place::open_if_there(file).await?.unwrap_or_else(Store::in_memory).payments())
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
    // Few wallets and networks have many payments, and their names take most of a line.
    let mut places: IndexMap<String, Vec<&Payment>> = IndexMap::new();
    for payment in &all {
        let place = match &payment.open {
            Some(open) => format!("x402 on {}", name_of(&open.network)),
            None => format!("wallet {}", payment.principal_id.as_deref().unwrap_or("without a name")),
        };
        places.entry(format!("{place} at {}", payment.base_url)).or_default().push(payment);
    }
    let columns = [text("CREATED"), number("USD"), text("STATE"), whole("PAYMENT")];
    let row = |payment: &&Payment| {
        vec![time(payment.created_at()), table::cents(payment.amount), state(payment), payment.id.clone()]
    };
    let section = |(place, payments): (&String, &Vec<&Payment>)| {
        let lines = table::lines(&columns, payments.iter().map(row).collect(), term.width());
        let heading =
            term.styled(anstyle::Style::new().bold(), &table::wrapped(&table::one_line(place), term.width()));
        format!("{heading}\n{}", lines.join("\n"))
    };
    Ok(term.print(&places.iter().map(section).collect::<Vec<_>>().join("\n\n"))?)
}

fn show(payment: &Payment, term: &Term) -> Result<(), Failed> {
    if term.is_json() {
        return Ok(print_json(payment, term)?);
    }
    let usd = |amount| format!("{} USD", table::cents(amount));
    let receipt = payment.receipt.as_ref();
    let open = payment.open.as_ref();
    // The nonce is that of an open payment, and stands below.
    let key = open.is_none().then(|| payment.idempotency_key.clone());
    let mut pairs = vec![
        ("payment", Some(payment.id.clone())),
        ("state", Some(state(payment))),
        ("amount", Some(usd(payment.amount))),
        ("reason", payment.reason.clone()),
        ("created", Some(time(payment.created_at()))),
        ("ended", payment.ended_at().map(time)),
        ("wallet", payment.principal_id.clone()),
        ("server", Some(payment.base_url.clone())),
        ("network", open.map(|open| network(&open.network))),
        ("asset", open.map(|open| open.asset.clone())),
        ("pay to", open.map(|open| open.pay_to.clone())),
        ("nonce", open.map(|open| open.nonce.clone())),
        ("valid before", open.and_then(|open| table::utc(open.valid_before))),
        ("transaction", open.and_then(|open| open.transaction.clone())),
        ("idempotency key", key),
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

/// The body of the answer that a payment was made for, whatever it is.
async fn answer(payments: &Payments, id: &str, term: &Term) -> Result<(), Failed> {
    let payment = payments.show(id).await?;
    let Some(answer) = payments.answer(id).await? else {
        let why = match (&payment.open, payment.state) {
            (None, _) => "it is a top-up, and the route came afterwards",
            (_, PaymentState::Intent | PaymentState::Sent) => "it is still being made",
            _ if is_kept(&payment) => "none came",
            _ => "an answer is kept for 24 h, and that time is over",
        };
        return Err(Failed::Local(format!("the ledger has no answer to the payment {id}: {why}")));
    };
    if !(200..300).contains(&answer.status) {
        term.warn(&format!("this answer came with the status {}", answer.status));
    }
    Ok(term.print_json(&String::from_utf8_lossy(&answer.body))?)
}

/// Whether an answer to this payment would still be there.
fn is_kept(payment: &Payment) -> bool {
    let age = payment.ended_at().map(|ended| SystemTime::now().duration_since(ended).unwrap_or_default());
    age.is_none_or(|age| age < Duration::from_secs(24 * 60 * 60))
}

/// A network by its name, where it has one.
fn name_of(caip2: &str) -> String {
    caip2.parse::<Network>().map_or_else(|_| caip2.to_owned(), |network| network.to_string())
}

fn network(caip2: &str) -> String {
    match name_of(caip2) {
        name if name == caip2 => name,
        name => format!("{name} ({caip2})"),
    }
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
    let since = jiff::Timestamp::try_from(at).ok();
    since.and_then(|time| table::utc(time.as_second())).unwrap_or_else(|| "-".to_owned())
}

fn print_json(value: &impl Serialize, term: &Term) -> std::io::Result<()> {
    // Texts, numbers and times can always be written.
    term.print_json(&serde_json::to_string(value).unwrap_or_default())
}
