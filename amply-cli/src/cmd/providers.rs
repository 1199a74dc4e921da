//! `amply providers`: who is ranked.

use amply_sdk::Provider;

use crate::exit::Failed;
use crate::session::Session;
use crate::table::{self, number, text};
use crate::term::Term;

pub(crate) async fn run(session: &Session, term: &Term) -> Result<(), Failed> {
    let answer = session.client.providers().await?;
    if term.is_json() {
        return Ok(term.print_json(answer.text())?);
    }
    let columns = [
        text("PROVIDER"),
        text("NAME"),
        number("SCORE"),
        number("$/1M DIMS"),
        number("P99"),
        number("24H SUCCESS"),
        text("LISTING"),
    ];
    let row = |provider: &Provider| {
        vec![
            table::or_dash(provider.id.as_deref()),
            table::or_dash(provider.display_name.as_deref()),
            provider.live_composite_score.map_or_else(|| "-".to_owned(), |score| format!("{score:.4}")),
            table::or_dash(provider.cost_per_1m_dims_usd),
            table::ms(provider.p99_latency_ms),
            table::percent(provider.success_rate_last_24h),
            table::or_dash(provider.catalog_listing.as_deref()),
        ]
    };
    let rows = answer.providers.iter().map(row).collect();
    Ok(term.print(&table::lines(&columns, rows, term.width()).join("\n"))?)
}
