//! `--dry-run`: what a route would send, and who would pay for it.

use amply_sdk::{Cap, KeyKind, Plan, PlannedCap, PlannedRail, Rail, Usd, printable};
use serde::Serialize;

use crate::exit::Failed;
use crate::table::{self, cents};
use crate::term::Term;

/// The SDK's plan, and what only the command knows.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    plan: &'a Plan,
    /// Where the key comes from; null without one.
    key_from: Option<&'a str>,
    /// Whether the person at the terminal would pay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pays_by_hand: Option<bool>,
}

pub(crate) fn show(plan: &Plan, key_from: Option<&str>, is_by_hand: bool, term: &Term) -> Result<(), Failed> {
    term.note("this is a dry run: nothing was sent");
    if term.is_json() {
        let key_from = key_from.map(|from| from.trim_matches('`'));
        let shown = Shown { plan, key_from, pays_by_hand: is_by_hand.then_some(true) };
        // Texts and numbers can always be written.
        return Ok(term.print_json(&serde_json::to_string(&shown).unwrap_or_default())?);
    }
    let mut call = vec![format!("{} {}", plan.method, plan.url)];
    call.extend(plan.headers.iter().map(|(name, value)| format!("{name}: {}", table::one_line(value))));
    let body = printable(plan.body.text()).into_owned();
    let pairs = vec![
        ("sent", Some(plan.refusal.as_deref().map_or_else(|| "yes".to_owned(), |why| format!("no: {why}")))),
        ("key", Some(key(plan.key_kind, key_from))),
        ("principal", Some(plan.principal.consequence.clone())),
        ("payment", Some(payment(plan, is_by_hand))),
        (
            "caps",
            Some(plan.payment.caps.iter().map(cap).collect::<Vec<_>>().join("; "))
                .filter(|caps| !caps.is_empty()),
        ),
        ("blocked", plan.payment.blocked.clone()),
        (
            "limit",
            Some(format!("{} s for the call, {} s for each request", plan.timeout_s, plan.attempt_timeout_s)),
        ),
        ("repeated", Some(repeated(plan))),
    ];
    Ok(term.print(&format!("{}\n\n{body}\n\n{}", call.join("\n"), table::pairs(pairs, term.width())))?)
}

fn key(kind: Option<KeyKind>, from: Option<&str>) -> String {
    let kind = match kind {
        None => return "none".to_owned(),
        Some(KeyKind::User) => "a user's key",
        Some(_) => "a server key",
    };
    from.map_or_else(|| format!("{kind}, the sandbox's own"), |from| format!("{kind}, from {from}"))
}

fn payment(plan: &Plan, is_by_hand: bool) -> String {
    if is_by_hand {
        return "you, at this terminal".to_owned();
    }
    let rail = |rail: &PlannedRail| {
        let how = match rail.rail {
            Rail::Wallet => format!("a top-up by {}", rail.payer),
            _ => format!("x402 on {} by {}", rail.networks.join(", "), rail.payer),
        };
        match &rail.obstacle {
            Some(why) => format!("{how} (not now: {why})"),
            None => how,
        }
    };
    let rails: Vec<String> = plan.payment.rails.iter().map(rail).collect();
    if rails.is_empty() { "nobody pays".to_owned() } else { rails.join(", or ") }
}

fn cap(cap: &PlannedCap) -> String {
    let limit = cents(cap.limit_usd);
    let amount = |amount: Option<Usd>| amount.map_or_else(|| "an unknown amount".to_owned(), cents);
    match cap.cap {
        Cap::PerDay => format!(
            "{limit} USD for a day (UTC), {} used, {} left",
            amount(cap.used_usd),
            amount(cap.left_usd)
        ),
        Cap::PerTopup => format!("{limit} USD for a top-up"),
        Cap::PerRequest => format!("{limit} USD for a request"),
        other => format!("{limit} USD, the {other}"),
    }
}

fn repeated(plan: &Plan) -> String {
    let after = match plan.retry.repeat_ambiguous {
        true => "also when the server may have seen it",
        false => "not once the server may have seen it",
    };
    format!("up to {} requests in all, {after}", plan.retry.max_attempts)
}
