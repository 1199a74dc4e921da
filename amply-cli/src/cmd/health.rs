//! `amply health`: how the providers are.

use amply_sdk::{HealthState, ProviderHealth};

use crate::exit::Failed;
use crate::session::Session;
use crate::table::{self, number, text};
use crate::term::Term;

pub(crate) async fn run(session: &Session, term: &Term) -> Result<(), Failed> {
    let health = session.client.health().await?;
    if term.is_json() {
        return Ok(term.print_json(health.text())?);
    }
    let columns = [text("PROVIDER"), text("STATE"), number("PROBE"), text("PROBED AT")];
    let row = |provider: &ProviderHealth| {
        vec![
            table::or_dash(provider.id.as_deref()),
            table::or_dash(provider.state.as_ref().map(HealthState::as_str)),
            table::ms(provider.latency_ms),
            table::or_dash(provider.last_probe_at.as_deref()),
        ]
    };
    let rows = health.providers.iter().map(row).collect();
    Ok(term.print(&table::lines(&columns, rows, term.width()).join("\n"))?)
}
