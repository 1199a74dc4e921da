//! `amply status`: how the server is set up and how it is.

use amply_sdk::{AuthMode, DataMode, RateLimit, Status};

use crate::exit::Failed;
use crate::session::Session;
use crate::table;
use crate::term::Term;

pub(crate) async fn run(session: &Session, term: &Term) -> Result<(), Failed> {
    let status = session.client.status().await?;
    if let Some(warning) = warning(&status).filter(|_| !session.is_sandbox()) {
        term.warn(&warning);
    }
    if term.is_json() {
        return Ok(term.print_json(status.text())?);
    }
    let diagnostics = status.diagnostics.as_ref();
    let pairs = vec![
        ("server", Some(session.client.base_url().to_owned())),
        ("version", status.version.clone()),
        ("answers", status.ok.map(|ok| if ok { "yes" } else { "no" }.to_owned())),
        ("auth", status.auth_mode.as_ref().map(auth)),
        ("catalog", status.data_mode.as_ref().map(catalog)),
        ("rate limit", status.rate_limit.as_ref().map(limit)),
        ("measured at", status.last_benchmark_at.clone()),
        ("catalog issue", diagnostics.and_then(|diagnostics| diagnostics.catalog_issue.clone())),
    ];
    Ok(term.print(&table::pairs(pairs, term.width()))?)
}

/// `ok` does not say that the ranking is worth anything.
fn warning(status: &Status) -> Option<String> {
    let diagnostics = status.diagnostics.as_ref();
    if diagnostics.and_then(|diagnostics| diagnostics.catalog_metrics_stale) == Some(true) {
        let age = diagnostics.and_then(|diagnostics| diagnostics.catalog_metrics_age_hours);
        let age = age.map(|hours| format!(" ({hours} h)")).unwrap_or_default();
        return Some(format!("the catalog's figures are old{age}"));
    }
    (status.data_mode == Some(DataMode::Seeded))
        .then(|| "the server ranks its built-in catalog because the live one is not to be had".to_owned())
}

pub(super) fn auth(mode: &AuthMode) -> String {
    match mode {
        AuthMode::Open => "no key needed".to_owned(),
        AuthMode::ApiKey => "API key needed".to_owned(),
        other => other.as_str().to_owned(),
    }
}

fn catalog(mode: &DataMode) -> String {
    match mode {
        DataMode::Catalog => "live".to_owned(),
        DataMode::Seeded => "built-in".to_owned(),
        other => other.as_str().to_owned(),
    }
}

pub(super) fn limit(limit: &RateLimit) -> String {
    match (limit.enabled, limit.requests_per_minute_per_ip) {
        (Some(false), _) => "none".to_owned(),
        (_, Some(requests)) => format!("{requests} requests a minute for one address"),
        _ => "unknown".to_owned(),
    }
}
