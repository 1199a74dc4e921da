//! `amply route --explain`: how the scores were made, and what each provider would need to win.

use amply_sdk::{Change, Contribution, Explained, Explanation, Usd};

use crate::table::{self, number, text};
use crate::term::Term;

/// The components that every server release has, in their order.
const COMPONENTS: [&str; 4] = ["success", "latency", "cost", "reliability"];

/// The server's JSON and the explanation beside it. Not a byte of the first is changed.
pub(crate) fn with_explanation(json: &str, explanation: &Explanation) -> String {
    // Texts and numbers can always be written.
    let explanation = serde_json::to_string(explanation).unwrap_or_default();
    format!("{{\"route\":{},\"explanation\":{explanation}}}", json.trim())
}

pub(crate) fn page(explanation: &Explanation, term: &Term) -> String {
    let mut paragraphs = vec![scores(explanation, term)];
    let losers: Vec<&Explained> = explanation
        .providers
        .iter()
        .filter(|provider| provider.to_win.as_ref().is_some_and(|to_win| !to_win.changes.is_empty()))
        .collect();
    if !losers.is_empty() {
        paragraphs.push(needs(explanation, &losers, term));
    }
    if !explanation.missing.is_empty() {
        let missing = table::one_line(&explanation.missing.join("; "));
        paragraphs.push(table::wrapped(&format!("Not said: {missing}"), term.width()));
    }
    paragraphs.join("\n\n")
}

/// What each component adds to each score.
fn scores(explanation: &Explanation, term: &Term) -> String {
    let columns = [
        text("PROVIDER"),
        number("SUCCESS"),
        number("LATENCY"),
        number("COST"),
        number("RELIABILITY"),
        number("SCORE"),
    ];
    let four = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"));
    let mut weights = vec!["weight".to_owned()];
    weights.extend(COMPONENTS.map(|name| four(explanation.weights.get(name).copied())));
    weights.push(String::new());
    let row = |provider: &Explained| {
        let mut row = vec![provider.provider_id.clone()];
        row.extend(
            COMPONENTS.map(|name| four(part(&provider.components, name).and_then(|part| part.contribution))),
        );
        row.push(match &provider.ruled_out {
            Some(_) => "ruled out".to_owned(),
            None => four(provider.composite),
        });
        row
    };
    let rows = std::iter::once(weights).chain(explanation.providers.iter().map(row)).collect();
    let lines = table::lines(&columns, rows, term.width()).join("\n");
    format!("What each component adds to the score (weight x component):\n\n{lines}")
}

/// What each would need, one change at a time.
fn needs(explanation: &Explanation, losers: &[&Explained], term: &Term) -> String {
    let columns = match explanation.is_exact {
        true => [
            text("PROVIDER"),
            number("LACKS"),
            number("24H SUCCESS"),
            number("P99"),
            number("$/1M DIMS"),
            number("WIN RATE"),
        ],
        false => [
            text("PROVIDER"),
            number("LACKS"),
            number("SUCCESS"),
            number("LATENCY"),
            number("COST"),
            number("RELIABILITY"),
        ],
    };
    let row = |provider: &&Explained| {
        let to_win = provider.to_win.as_ref();
        let mut row = vec![provider.provider_id.clone()];
        row.push(table::or_dash(to_win.and_then(|to_win| to_win.gap).map(|gap| format!("{gap:.4}"))));
        row.extend(COMPONENTS.map(|name| {
            let changes = to_win.map(|to_win| to_win.changes.as_slice()).unwrap_or_default();
            table::or_dash(changes.iter().find(|change| change.component == name).and_then(needed))
        }));
        row
    };
    let lines = table::lines(&columns, losers.iter().map(row).collect(), term.width()).join("\n");
    let what = match explanation.is_exact {
        true => "What each would need to win, or better, if this alone changed (-: it could not):",
        false => {
            "What each component would have to be to win, if it alone changed (-: it could not). The figures do not give the scores \
             that were sent, so this is by the rounded scores:"
        }
    };
    format!("{}\n\n{lines}", table::wrapped(what, term.width()))
}

/// What a change takes, in its own unit.
fn needed(change: &Change) -> Option<String> {
    let Some(value) = change.metric_needed else {
        return change.needed.map(|needed| format!("{needed:.4}"));
    };
    Some(match change.metric {
        Some("p99_latency_ms") => format!("{value} ms"),
        // Of a share 12 decimals are told at most.
        Some("success_rate_last_24h" | "win_rate") => format!("{}%", percent(value)),
        _ => value.to_string(),
    })
}

/// A share in percent with all its digits, and no others.
fn percent(share: f64) -> String {
    let hundred = Usd::dollars(100).to_decimal();
    match share.to_string().parse::<Usd>().ok().and_then(|share| share.to_decimal().checked_mul(hundred)) {
        Some(percent) => percent.normalize().to_string(),
        None => (share * 100.0).to_string(),
    }
}

fn part<'a>(components: &'a [Contribution], name: &str) -> Option<&'a Contribution> {
    components.iter().find(|part| part.component == name)
}
