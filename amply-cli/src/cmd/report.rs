//! `amply report`: what routes cost and saved, with a sentence to share.

use amply_sdk::{Period, SavingsTotals, Usd};

use super::route::words;
use crate::exit::Failed;
use crate::session::Session;
use crate::table;
use crate::term::Term;

#[derive(clap::Args)]
pub(crate) struct ReportArgs {
    /// The time that it is about, up to now
    #[arg(long, value_name = "TIME", default_value = "30d", ignore_case = true, value_parser = words::<Period>(Period::ALL))]
    period: Period,
}

pub(crate) async fn run(session: &Session, args: &ReportArgs, term: &Term) -> Result<(), Failed> {
    let report = session.client.savings_report(args.period).await?;
    if term.is_json() {
        return Ok(term.print_json(report.text())?);
    }
    let of = |field: fn(&SavingsTotals) -> Option<String>| report.totals.as_ref().and_then(field);
    let rate = |totals: &SavingsTotals| totals.success_rate.map(|rate| table::percent(Some(rate)));
    let pairs = vec![
        ("routes", of(|totals| Some(totals.routes?.to_string()))),
        ("outcomes reported", of(|totals| Some(totals.outcomes_reported?.to_string()))),
        ("success rate", of(rate)),
        ("charged", of(|totals| usd(totals.charged_usd))),
        ("estimated cost", of(|totals| usd(totals.estimated_cost_usd))),
        ("without routing", of(|totals| usd(totals.baseline_cost_usd))),
        ("saved", of(|totals| usd(totals.saved_usd))),
        ("credits", of(|totals| Some(totals.credits_awarded?.to_string()))),
        ("from", report.from.clone()),
        ("to", report.to.clone()),
    ];
    let totals = table::pairs(pairs, term.width());
    let summary =
        report.summary.as_deref().map(|summary| table::wrapped(&table::one_line(summary), term.width()));
    let summary = summary.map(|summary| term.styled(anstyle::Style::new().bold(), &summary));
    let paragraphs: Vec<_> =
        [Some(totals).filter(|totals| !totals.is_empty()), summary].into_iter().flatten().collect();
    Ok(term.print(&paragraphs.join("\n\n"))?)
}

fn usd(amount: Option<Usd>) -> Option<String> {
    Some(format!("{} USD", table::cents(amount?)))
}
