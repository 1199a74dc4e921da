//! `amply sandbox`: a local Amply until Ctrl-C.

use std::path::PathBuf;

use amply_sandbox::{Catalog, NanoUsd, Network, OpenPayments, Release, Sandbox, SandboxBuilder};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use indexmap::IndexMap;

use crate::exit::Failed;
use crate::term::Term;

#[derive(clap::Args)]
pub(crate) struct SandboxArgs {
    /// The port to listen on, on 127.0.0.1; 0 takes a free one
    #[arg(long, value_name = "N", default_value_t = 0)]
    port: u16,
    /// A JSON file with the providers to rank
    #[arg(long, value_name = "FILE")]
    catalog: Option<PathBuf>,
    /// What ids and keys are made from: the same seed, the same ids
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// The release of the real server to be
    #[arg(long, value_name = "VERSION", default_value = "3.1.13", value_parser = release())]
    release: Release,
    /// Refuse a route without a key
    #[arg(long)]
    require_api_key: bool,
    /// Know this operator's key too; may be given more than once
    #[arg(long, value_name = "KEY")]
    operator_key: Vec<String>,
    /// Refuse a route that is bound to no principal
    #[arg(long)]
    require_principal: bool,
    /// Send no headers and fields about metering and economics
    #[arg(long)]
    no_metering: bool,
    /// Requests a minute for one address
    #[arg(long, value_name = "N")]
    rate_limit: Option<u32>,
    /// Routes a day for one principal
    #[arg(long, value_name = "N")]
    daily_quota: Option<u32>,
    /// Let agents sign up for a key
    #[arg(long)]
    agent_signup: bool,
    /// The token that a signup must bring
    #[arg(long, value_name = "TOKEN", requires = "agent_signup")]
    agent_signup_secret: Option<String>,
    /// Refuse a route that the wallet does not cover, with a 402
    #[arg(long)]
    strict: bool,
    /// What the wallet of the user's key holds at first
    #[arg(long, value_name = "USD")]
    balance: Option<NanoUsd>,
    /// What one route costs
    #[arg(long, value_name = "USD")]
    charge_per_route: Option<NanoUsd>,
    /// Announce x402, and add its object to a 402
    #[arg(long)]
    x402: bool,
    /// Take open x402 payments too: of version 1, of version 2, of both, or with the offers in Amply's own object
    #[arg(long, value_name = "WHICH", value_parser = FORMS)]
    open_payments: Option<String>,
    /// A network to pay on, in USDC; may be given more than once
    #[arg(long, value_name = "NETWORK", requires = "open_payments", value_parser = network())]
    open_network: Vec<Network>,
    /// The address that open payments go to
    #[arg(long, value_name = "ADDRESS", requires = "open_payments")]
    open_pay_to: Option<String>,
    /// Let callers pay who have no wallet: those with an operator's key, and those without a key
    #[arg(long, requires = "open_payments")]
    open_without_principal: bool,
    /// Have no `POST /outcome`, as an older server
    #[arg(long)]
    no_outcome_endpoint: bool,
    /// Have no `POST /route/outcome`
    #[arg(long)]
    no_route_outcome_endpoint: bool,
}

fn release() -> impl TypedValueParser<Value = Release> {
    const ALL: [Release; 2] = [Release::V3_1_12, Release::V3_1_13];
    PossibleValuesParser::new(ALL.map(Release::version)).try_map(|version| {
        let named = ALL.into_iter().find(|release| release.version() == version);
        named.ok_or("no such release")
    })
}

/// The networks that a sandbox takes USDC on.
pub(super) fn network() -> impl TypedValueParser<Value = Network> {
    PossibleValuesParser::new(Network::ALL.map(Network::name)).try_map(|name| {
        let named = Network::ALL.into_iter().find(|network| network.name() == name);
        named.ok_or("no such network")
    })
}

/// The forms in which a sandbox can ask for open payments.
pub(super) const FORMS: [&str; 4] = ["v1", "v2", "both", "amply"];

/// One of these forms.
pub(super) fn in_form(form: &str) -> OpenPayments {
    match form {
        "v1" => OpenPayments::v1(),
        "v2" => OpenPayments::v2(),
        "amply" => OpenPayments::in_amply_object(),
        _ => OpenPayments::both(),
    }
}

fn open_payments(args: &SandboxArgs) -> Option<OpenPayments> {
    let mut open = in_form(args.open_payments.as_deref()?);
    if !args.open_network.is_empty() {
        open = open.networks(args.open_network.iter().copied());
    }
    if let Some(address) = &args.open_pay_to {
        open = open.pay_to(address);
    }
    if args.open_without_principal {
        open = open.also_without_principal();
    }
    Some(open)
}

/// The switches that were typed.
fn builder(args: &SandboxArgs) -> SandboxBuilder {
    let mut builder = Sandbox::builder()
        .port(args.port)
        .seed(args.seed)
        .release(args.release)
        .require_api_key(args.require_api_key)
        .operator_keys(&args.operator_key)
        .require_principal(args.require_principal)
        .metering(!args.no_metering)
        .agent_signup(args.agent_signup)
        .strict_wallet(args.strict)
        .x402(args.x402)
        .outcome_endpoint(!args.no_outcome_endpoint)
        .route_outcome_endpoint(!args.no_route_outcome_endpoint);
    if let Some(balance) = args.balance {
        builder = builder.balance(balance);
    }
    if let Some(charge) = args.charge_per_route {
        builder = builder.charge_per_route(charge);
    }
    if let Some(requests) = args.rate_limit {
        builder = builder.rate_limit(requests);
    }
    if let Some(routes) = args.daily_quota {
        builder = builder.daily_quota(routes);
    }
    if let Some(secret) = &args.agent_signup_secret {
        builder = builder.agent_signup_secret(secret);
    }
    if let Some(open) = open_payments(args) {
        builder = builder.open_payments(open);
    }
    builder
}

pub(crate) async fn run(args: &SandboxArgs, term: &Term) -> Result<(), Failed> {
    let mut builder = builder(args);
    if let Some(file) = &args.catalog {
        let refuse = |why: String| Failed::Usage(format!("the catalog `{}` {why}", file.display()));
        let text =
            std::fs::read_to_string(file).map_err(|error| refuse(format!("cannot be read: {error}")))?;
        builder = builder
            .catalog(Catalog::from_json(&text).map_err(|error| refuse(format!("cannot be used: {error}")))?);
    }
    let sandbox = builder.start().await.map_err(|error| Failed::Local(error.to_string()))?;
    let serving = async {
        show(&sandbox, term)?;
        std::future::pending().await
    };
    let ended = tokio::select! {
        biased;
        // Listened for before anybody is told of it.
        () = until_stopped() => Ok(()),
        failed = serving => match failed {
            Err(Failed::Interrupted(_)) => Ok(()),
            failed => failed,
        },
    };
    sandbox.stop().await;
    ended
}

/// What a client needs, in a line.
fn show(sandbox: &Sandbox, term: &Term) -> Result<(), Failed> {
    let facts = [
        ("url", sandbox.url()),
        ("user_key", sandbox.user_key()),
        ("server_key", sandbox.server_key()),
        ("admin_secret", sandbox.admin_secret()),
        ("topup_url", sandbox.topup_url()),
        ("topup_token", sandbox.topup_token()),
        ("x402_key", sandbox.x402_key()),
    ];
    if term.is_json() {
        let line: IndexMap<_, _> = facts.into_iter().collect();
        term.print_json(&serde_json::to_string(&line).unwrap_or_default())?;
    } else {
        term.print(&facts.map(|(name, value)| format!("{name}={value}")).join(" "))?;
    }
    term.note("serving until Ctrl-C; the keys are this sandbox's own and open nothing else");
    Ok(())
}

/// Ctrl-C, or a request to end. Both are the usual end of this command.
async fn until_stopped() {
    #[cfg(unix)]
    if let Ok(mut end) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => return,
            _ = end.recv() => return,
        }
    }
    // Nothing else to wait for: without a handler the signal itself ends the process.
    let _ = tokio::signal::ctrl_c().await;
}
