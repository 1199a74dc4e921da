//! `amply platform-metrics`: public totals of the platform.

use crate::exit::Failed;
use crate::session::Session;
use crate::table;
use crate::term::Term;

pub(crate) async fn run(session: &Session, term: &Term) -> Result<(), Failed> {
    let metrics = session.client.platform_metrics().await?;
    if metrics.telemetry_ready == Some(false) {
        let why = metrics.error_code.as_deref().unwrap_or("no reason given");
        term.warn(&format!("the server does not count at the moment ({why}): the figures are not real"));
    }
    if term.is_json() {
        return Ok(term.print_json(metrics.text())?);
    }
    let share = metrics.pct_decisions_to_listed_providers_last_30d;
    let mut pairs = vec![
        ("routes, last 7 days", metrics.decisions_last_7d.map(|count| count.to_string())),
        ("routes, last 30 days", metrics.decisions_last_30d.map(|count| count.to_string())),
        (
            "to paid listings",
            metrics.decisions_to_listed_providers_last_30d.map(|count| match share {
                Some(share) => format!("{count} ({share}%)"),
                None => count.to_string(),
            }),
        ),
        ("as of", metrics.as_of.clone()),
    ];
    for category in &metrics.by_category_last_30d {
        if let (Some(name), Some(count)) = (&category.category, category.decisions) {
            pairs.push(("category", Some(format!("{name}: {count}"))));
        }
    }
    Ok(term.print(&table::pairs(pairs, term.width()))?)
}
