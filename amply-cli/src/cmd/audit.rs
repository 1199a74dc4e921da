//! `amply audit`: what the server knows of a route, and what proves it.

use amply_sdk::{AuditedOutcome, AuditedRoute};

use crate::exit::Failed;
use crate::session::Session;
use crate::table;
use crate::term::Term;

#[derive(clap::Args)]
pub(crate) struct AuditArgs {
    /// The id of the route
    #[arg(value_name = "ROUTE_ID")]
    route_id: String,
}

pub(crate) async fn run(session: &Session, args: &AuditArgs, term: &Term) -> Result<(), Failed> {
    let audit = session.client.audit(&args.route_id).await;
    let audit = audit.map_err(|error| session.advise_on_route(error.into()))?;
    if term.is_json() {
        return Ok(term.print_json(audit.text())?);
    }
    let (route, outcome, proof) = (audit.route.as_ref(), audit.outcome.as_ref(), audit.proof.as_ref());
    let of_route = |field: fn(&AuditedRoute) -> Option<String>| route.and_then(field);
    let of_outcome = |field: fn(&AuditedOutcome) -> Option<String>| outcome.and_then(field);
    let pairs = vec![
        ("route", audit.route_id.clone()),
        ("served at", of_route(|route| route.served_at.clone())),
        ("principal", of_route(|route| route.principal_id.clone())),
        ("recommended", of_route(|route| route.recommended.clone())),
        ("score", of_route(|route| Some(format!("{:.4}", route.score?)))),
        ("charged", of_route(|route| Some(format!("{} USD", table::cents(route.charged_usd?))))),
        ("outcome", Some(outcome.map_or_else(|| "not reported".to_owned(), how_it_went))),
        ("done by", of_outcome(|outcome| outcome.provider_id.clone())),
        ("reported at", of_outcome(|outcome| outcome.reported_at.clone())),
        ("credits", of_outcome(|outcome| Some(outcome.credits_awarded?.to_string()))),
        ("proof", proof.and_then(|proof| proof.hash.clone())),
        ("hashed by", proof.and_then(|proof| proof.algorithm.clone())),
        ("hash of", proof.and_then(|proof| proof.over.clone())),
    ];
    Ok(term.print(&table::pairs(pairs, term.width()))?)
}

fn how_it_went(outcome: &AuditedOutcome) -> String {
    let word = match outcome.success {
        Some(true) => "success",
        Some(false) => "failure",
        None => "reported",
    };
    let code = outcome.error_code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default();
    let latency =
        outcome.actual_latency_ms.map(|ms| format!(", {}", table::ms(Some(ms)))).unwrap_or_default();
    format!("{word}{code}{latency}")
}
