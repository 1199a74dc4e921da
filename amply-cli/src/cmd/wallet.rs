//! `amply wallet`: what the wallet holds.

use clap::Subcommand;

use crate::exit::Failed;
use crate::session::Session;
use crate::table;
use crate::term::Term;

#[derive(Subcommand)]
pub(crate) enum WalletCommand {
    /// Show what the wallet holds and how many routes that pays for
    Balance,
}

pub(crate) async fn balance(session: &Session, term: &Term) -> Result<(), Failed> {
    let status = session.client.billing_status().await?;
    if status.can_call == Some(false) {
        term.warn("the balance does not cover a call; top up the wallet");
    }
    if term.is_json() {
        return Ok(term.print_json(status.text())?);
    }
    let currency = status.currency.as_deref().unwrap_or("USD");
    let amount =
        |amount: Option<amply_sdk::Usd>| amount.map(|amount| format!("{} {currency}", table::cents(amount)));
    let pairs = vec![
        ("balance", amount(status.balance_usd)),
        ("one route", amount(status.charge_per_route_usd)),
        ("runway", status.runway_routes().map(|routes| format!("{routes} routes"))),
        ("can call", status.can_call.map(|can| if can { "yes" } else { "no" }.to_owned())),
        ("principal", status.principal_id.clone()),
    ];
    Ok(term.print(&table::pairs(pairs, term.width()))?)
}
