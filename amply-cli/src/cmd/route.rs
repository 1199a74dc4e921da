//! `amply route`: a task in, a ranking out.

use amply_sandbox::{NanoUsd, Network, OpenPayments};
use amply_sdk::{
    Answer, Error, FilterComplexity, PrincipalBinding, Ranking, Route, RouteRequest, RuledOut, Ticket,
    TrackedRoute, Usd, WorkloadType,
};
use anstyle::AnsiColor;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::{explain, sandbox};
use crate::args::Global;
use crate::exit::Failed;
use crate::pay::{Advice, Means, PayArgs, Place, by_hand};
use crate::session::{Session, Setup, key_from, task_from_stdin};
use crate::table::{self, number, text};
use crate::term::Term;

#[derive(clap::Args)]
pub(crate) struct RouteCommand {
    #[command(flatten)]
    pub(crate) route: RouteArgs,
    /// Print a ticket too, with which `amply outcome` reports how it went: below the answer, or as `amply_ticket` in the JSON
    // Else it would stand below the last heading of what is flattened above.
    #[arg(long, help_heading = None::<&'static str>)]
    track: bool,
    /// Show how the scores were made and what each provider would need to win: below the answer; as JSON, an object of `route`
    /// (the server's answer) and `explanation`
    #[arg(long, help_heading = None::<&'static str>)]
    explain: bool,
    /// Show what would be sent, with which kind of key, who would pay, and what the caps leave. Nothing is sent
    #[arg(long, help_heading = None::<&'static str>, conflicts_with_all = ["track", "explain"])]
    dry_run: bool,
}

#[derive(clap::Args)]
pub(crate) struct RouteArgs {
    /// The task in plain words, or `-` to read it from standard input
    #[arg(value_name = "TASK")]
    task: String,
    /// Dimensions of one vector, 1 to 65536
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = dimension)]
    dimension: Option<u32>,
    /// What the workload mostly does
    #[arg(long, value_name = "TYPE", ignore_case = true, value_parser = words::<WorkloadType>(WorkloadType::ALL))]
    workload_type: Option<WorkloadType>,
    /// How involved the metadata filters are
    #[arg(long, value_name = "LEVEL", ignore_case = true, value_parser = words::<FilterComplexity>(FilterComplexity::ALL))]
    filter_complexity: Option<FilterComplexity>,
    /// Hint in USD, 0.01 unless given: a provider that costs much more ranks lower; 0 switches it off
    #[arg(long, value_name = "USD", allow_negative_numbers = true)]
    budget_usd: Option<Usd>,
    /// Hint in ms, 200 unless given: a provider whose p99 is much slower ranks lower; 0 switches it off
    #[arg(long, value_name = "MS", allow_negative_numbers = true)]
    latency_target_ms: Option<f64>,
    /// Hard limit in USD for a million operations: what costs more is ruled out
    #[arg(long, value_name = "USD", allow_negative_numbers = true)]
    budget_usd_per_1m_ops: Option<Usd>,
    /// Hard limit in ms: a provider whose p99 is slower is ruled out
    #[arg(long, value_name = "MS", allow_negative_numbers = true)]
    slo_p99_ms: Option<f64>,
    /// Where the call came from: 1 to 64 letters, digits and . _ : @ / -
    #[arg(long, value_name = "TAG")]
    referral_tag: Option<String>,
    /// Ask the server to treat the call as a trial
    #[arg(long)]
    sandbox_mode: bool,
    /// A policy to pass through, as a JSON object
    #[arg(long, value_name = "JSON")]
    enterprise_policy: Option<String>,
    /// The same for every time that this job is run: a key that led a payment never leads another
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    #[command(flatten)]
    pay: PayArgs,
    #[command(flatten)]
    local: LocalArgs,
}

/// Switches of the embedded sandbox.
#[derive(clap::Args)]
#[command(next_help_heading = "With --sandbox")]
struct LocalArgs {
    /// Let the sandbox refuse the route with a 402 if its wallet does not cover it
    #[arg(long)]
    strict: bool,
    /// What the sandbox's wallet holds: 10 unless given, or nothing where it asks for open payments
    #[arg(long, value_name = "USD", allow_negative_numbers = true)]
    balance: Option<NanoUsd>,
    /// Let the sandbox ask for open x402 payments if its wallet does not cover the route: of version 1, of version 2, of both,
    /// or with the offers in Amply's own object; of both with `--x402-network`
    #[arg(long, value_name = "WHICH", value_parser = sandbox::FORMS)]
    open_payments: Option<String>,
    /// A network that the sandbox is paid on; those of `--x402-network` unless given
    #[arg(long, value_name = "NETWORK", value_parser = sandbox::network())]
    open_network: Vec<Network>,
}

impl LocalArgs {
    /// What was typed of it; the first flag.
    fn typed(&self) -> Option<&'static str> {
        let flags = [
            ("--strict", self.strict),
            ("--balance", self.balance.is_some()),
            ("--open-payments", self.open_payments.is_some()),
            ("--open-network", !self.open_network.is_empty()),
        ];
        flags.into_iter().find_map(|(flag, typed)| typed.then_some(flag))
    }

    /// The open payments that the sandbox asks for: where they were typed, and where they are to be paid.
    fn open(&self, payable: &[amply_sdk::Network]) -> Option<OpenPayments> {
        let form = self.open_payments.as_deref();
        let is_asked_for = form.is_some() || !self.open_network.is_empty() || !payable.is_empty();
        let form = form.or(is_asked_for.then_some("both"))?;
        let is_payable = |network: &Network| {
            payable.iter().any(|payable| payable.v1_name().is_some_and(|name| name == network.name()))
        };
        let networks: Vec<Network> = match self.open_network.is_empty() {
            true => Network::ALL.into_iter().filter(is_payable).collect(),
            false => self.open_network.clone(),
        };
        let open = sandbox::in_form(form);
        // Without any, it has one of its own.
        Some(if networks.is_empty() { open } else { open.networks(networks) })
    }
}

/// A route that is ready to be asked for.
pub(crate) struct Planned {
    pub(super) request: RouteRequest,
    pub(super) is_by_hand: bool,
    is_tracked: bool,
    is_explained: bool,
    pub(crate) is_dry_run: bool,
    pub(super) advice: Advice,
    pub(crate) setup: Setup,
}

/// A whole number; its range is the server's affair, and checked with the rest of the request.
fn dimension(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| "it must be a whole number from 1 to 65536".to_owned())
}

/// The words that the API knows, as a parser that names them when another one comes.
pub(super) fn words<T>(all: &[(&'static str, T)]) -> impl TypedValueParser<Value = T>
where
    T: std::str::FromStr<Err = amply_sdk::Error> + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(all.iter().map(|(word, _)| *word)).try_map(|word| word.parse::<T>())
}

impl RouteCommand {
    pub(crate) fn plan(&self, global: &Global, term: &Term) -> Result<Planned, Failed> {
        let planned = self.route.plan(global, term)?;
        let planned = if self.dry_run { planned.dry() } else { planned };
        Ok(Planned { is_tracked: self.track, is_explained: self.explain, ..planned })
    }
}

impl Planned {
    /// The same to be looked at, and not to be sent.
    pub(crate) fn dry(mut self) -> Self {
        self.is_dry_run = true;
        self.setup.is_dry_run = true;
        self
    }
}

impl RouteArgs {
    pub(crate) fn reads_stdin(&self) -> bool {
        self.task == "-"
    }

    /// Options that exclude each other.
    pub(crate) fn check(&self, is_sandbox: bool) -> Result<(), Failed> {
        if let Some(flag) = self.local.typed().filter(|_| !is_sandbox) {
            return Err(Failed::Usage(format!("`{flag}` needs `--sandbox`: it is a switch of the sandbox")));
        }
        self.pay.check(is_sandbox)
    }

    /// What is to be asked, and who pays.
    pub(crate) fn plan(&self, global: &Global, term: &Term) -> Result<Planned, Failed> {
        let place =
            Place { is_sandbox: global.sandbox, has_person: term.has_person(), store: global.store.as_ref() };
        let means = Means::of(&self.pay, &place)?;
        let mut request = self.request()?;
        let is_by_hand = matches!(means, Some(Means::ByHand));
        if is_by_hand && self.idempotency_key.is_none() {
            // It is asked for more than once, and is one job all the same.
            request = request.idempotency_key(uuid::Uuid::now_v7().to_string());
        }
        let advice = Advice::new(means.as_ref(), &place, key_from(global), self.idempotency_key.clone());
        let open = self.local.open(&self.pay.networks()).filter(|_| global.sandbox);
        // One that asks for payments has somebody who must pay.
        let broke = open.as_ref().map(|_| NanoUsd::default());
        let strict = self.local.strict || open.is_some();
        let setup = Setup { means, strict, balance: self.local.balance.or(broke), open, ..Setup::default() };
        Ok(Planned {
            request,
            is_by_hand,
            is_tracked: false,
            is_explained: false,
            is_dry_run: false,
            advice,
            setup,
        })
    }

    /// The request that was typed, checked.
    fn request(&self) -> Result<RouteRequest, Failed> {
        let task = if self.reads_stdin() { task_from_stdin()? } else { self.task.clone() };
        let mut request = RouteRequest::new(task);
        if let Some(dimension) = self.dimension {
            request = request.dimension(dimension);
        }
        if let Some(workload_type) = self.workload_type {
            request = request.workload_type(workload_type);
        }
        if let Some(filter_complexity) = self.filter_complexity {
            request = request.filter_complexity(filter_complexity);
        }
        if let Some(budget) = self.budget_usd {
            request = request.budget_usd(budget);
        }
        if let Some(ms) = self.latency_target_ms {
            request = request.latency_target_ms(ms);
        }
        if let Some(budget) = self.budget_usd_per_1m_ops {
            request = request.budget_usd_per_1m_ops(budget);
        }
        if let Some(ms) = self.slo_p99_ms {
            request = request.slo_p99_ms(ms);
        }
        if let Some(tag) = &self.referral_tag {
            request = request.referral_tag(tag);
        }
        if self.sandbox_mode {
            request = request.sandbox_mode(true);
        }
        if let Some(policy) = &self.enterprise_policy {
            let policy = serde_json::from_str(policy).map_err(|error| {
                Failed::Usage(format!("`--enterprise-policy` is not a JSON object ({error})"))
            })?;
            request = request.enterprise_policy(policy);
        }
        if let Some(key) = &self.idempotency_key {
            request = request.idempotency_key(key);
        }
        request.validate()?;
        Ok(request)
    }
}

pub(crate) async fn run(session: &Session, planned: Planned, term: &Term) -> Result<(), Failed> {
    let route = answer(session, &planned, term).await?;
    let explanation = planned.is_explained.then(|| route.explain());
    let explained = |page: String| match &explanation {
        Some(explanation) => format!("{page}\n\n{}", explain::page(explanation, term)),
        None => page,
    };
    let explained_json = |json: &str| match &explanation {
        Some(explanation) => explain::with_explanation(json, explanation),
        None => json.to_owned(),
    };
    if !planned.is_tracked {
        return match term.is_json() {
            true => Ok(term.print_json(&explained_json(route.text()))?),
            false => Ok(term.print(&explained(page(&route, term)))?),
        };
    }
    let tracked = session.client.track(route);
    match (term.is_json(), ticket_of(&tracked, term)) {
        (true, ticket) => {
            Ok(term.print_json(&explained_json(&with_ticket(tracked.text(), ticket.as_ref())))?)
        }
        (false, None) => Ok(term.print(&explained(page(&tracked, term)))?),
        // In one piece on a line of its own, however long: it is to be copied.
        (false, Some(ticket)) => {
            let page = explained(page(&tracked, term));
            Ok(term.print(&format!("{page}\n\nTicket for `amply outcome --ticket`:\n{ticket}"))?)
        }
    }
}

/// What would be asked. Nothing is.
pub(crate) async fn show_plan(
    session: &Session,
    planned: &Planned,
    key_from: Option<&str>,
    term: &Term,
) -> Result<(), Failed> {
    let plan = session.client.plan(&planned.request).await?;
    super::plan::show(&plan, key_from, planned.is_by_hand, term)
}

/// The route that was planned, with what is to be said beside it.
pub(crate) async fn answer(
    session: &Session,
    planned: &Planned,
    term: &Term,
) -> Result<Answer<Route>, Failed> {
    let route =
        ask(session, planned, term).await.map_err(|failed| advise(session, &planned.advice, failed))?;
    warn_of(session, &route, &route.principal(), term);
    Ok(route)
}

/// Says what is doubtful about a route.
pub(super) fn warn_of(session: &Session, route: &Route, binding: &PrincipalBinding, term: &Term) {
    if !session.is_sandbox() && route.is_from_fallback_catalog() {
        term.warn("the server ranked its built-in catalog because the live one was not to be had");
    }
    if let Some(warning) = session.principal_warning(binding) {
        term.warn(warning);
    }
}

/// The ticket, or why there is none: what was answered is worth more than that.
pub(crate) fn ticket_of(tracked: &TrackedRoute, term: &Term) -> Option<Ticket> {
    let ticket = tracked.ticket();
    if let Err(error) = &ticket {
        term.warn(&format!("there is no ticket: {}", error.message()));
    }
    ticket.ok()
}

/// The server's JSON with one key more at its end. Not a byte of it is changed.
fn with_ticket(json: &str, ticket: Option<&Ticket>) -> String {
    // A ticket is one word: it can always be written.
    let ticket = serde_json::to_string(&ticket).unwrap_or_default();
    match json.rsplit_once('}') {
        Some((before, after)) => format!("{before},\"amply_ticket\":{ticket}}}{after}"),
        None => json.to_owned(),
    }
}

async fn ask(session: &Session, planned: &Planned, term: &Term) -> Result<Answer<Route>, Failed> {
    let ask = async || session.client.route_task(&planned.request).await;
    match planned.is_by_hand {
        true => by_hand(session, planned.advice.key_from(), term, ask).await,
        false => Ok(ask().await?),
    }
}

/// The command's own advice beside an error of paying.
pub(super) fn advise(session: &Session, advice: &Advice, failed: Failed) -> Failed {
    match failed {
        Failed::Call { error, hint } => match (*error, session.unpaid()) {
            // Nothing was paid because of the store, and that is what can be mended.
            (Error::PaymentRequired(_), Some(why)) => Error::Store(why.to_owned()).into(),
            (error, _) => {
                let hint = advice.on(&error, session.client.base_url()).or(hint);
                Failed::Call { error: Box::new(error), hint }
            }
        },
        Failed::Interrupted(Some(failed)) => {
            Failed::Interrupted(Some(Box::new(advise(session, advice, *failed))))
        }
        other => other,
    }
}

/// The ranking, the recommended provider marked, then why.
pub(crate) fn page(route: &Route, term: &Term) -> String {
    let mut paragraphs = Vec::new();
    let rankings = route.rankings();
    if !rankings.is_empty() {
        let columns = [
            text(""),
            number("RANK"),
            text("PROVIDER"),
            number("SCORE"),
            number("$/1M DIMS"),
            number("P99"),
            number("24H SUCCESS"),
        ];
        let mark = |ranking: &Ranking| {
            if ranking.provider_id == route.recommended { ">" } else { "" }
        };
        let row = |ranking: &Ranking| {
            vec![
                mark(ranking).to_owned(),
                table::or_dash(ranking.rank),
                ranking.provider_id.clone(),
                ranking.score.map_or_else(|| "-".to_owned(), |score| format!("{score:.4}")),
                table::or_dash(ranking.cost_per_1m_dims_usd),
                table::ms(ranking.p99_latency_ms),
                table::percent(ranking.success_rate_last_24h),
            ]
        };
        let lines = table::lines(&columns, rankings.iter().map(row).collect(), term.width());
        let painted = lines.iter().enumerate().map(|(index, line)| match line {
            line if index == 0 => term.styled(anstyle::Style::new().dimmed(), line),
            line if line.starts_with('>') => term.styled(AnsiColor::Green.on_default().bold(), line),
            line => line.clone(),
        });
        paragraphs.push(painted.collect::<Vec<_>>().join("\n"));
    }
    let cost = route.estimated_cost_usd.map(|cost| format!(", estimated cost ${cost}"));
    let p99 = route.expected_p99_latency_ms.map(|ms| format!(", expected p99 {ms} ms"));
    let recommended = table::one_line(&route.recommended);
    let summary = format!("{}{}{}", recommended, cost.unwrap_or_default(), p99.unwrap_or_default());
    let summary = table::wrapped(&format!("Recommended: {summary}"), term.width());
    paragraphs.push(term.styled(anstyle::Style::new().bold(), &summary));
    if let Some(why) = route.why_text() {
        paragraphs.push(table::wrapped(&why, term.width()));
    }
    let ruled_out = route.ruled_out();
    if !ruled_out.is_empty() {
        let one = |out: &RuledOut| match out.reasons.is_empty() {
            true => out.provider_id.clone(),
            false => format!("{} ({})", out.provider_id, out.reasons.join(", ")),
        };
        let list = ruled_out.iter().map(one).collect::<Vec<_>>().join("; ");
        paragraphs.push(table::wrapped(&format!("Ruled out: {}", table::one_line(&list)), term.width()));
    }
    if let Some(route_id) = &route.route_id {
        paragraphs.push(table::wrapped(&format!("Route id: {}", table::one_line(route_id)), term.width()));
    }
    paragraphs.join("\n\n")
}
