//! One file per command: its arguments, and what it prints.

mod health;
mod platform_metrics;
mod providers;
mod route;
mod sandbox;
mod status;
mod wallet;

pub(crate) use self::route::{RouteArgs, page};
pub(crate) use self::sandbox::SandboxArgs;
pub(crate) use self::wallet::WalletCommand;
use amply_sdk::RouteRequest;

use crate::args::{Command, Global};
use crate::exit::Failed;
use crate::session::Session;
use crate::term::Term;

/// What is to be done, read and checked.
pub(crate) enum Job<'a> {
    Route(RouteRequest),
    Providers,
    Health,
    Status,
    PlatformMetrics,
    WalletBalance,
    Sandbox(&'a SandboxArgs),
}

/// Checks what was typed, and reads the task where it comes from standard input.
pub(crate) fn prepare(command: &Command) -> Result<Job<'_>, Failed> {
    Ok(match command {
        Command::Route(route) => Job::Route(route.request()?),
        Command::Providers => Job::Providers,
        Command::Health => Job::Health,
        Command::Status => Job::Status,
        Command::PlatformMetrics => Job::PlatformMetrics,
        Command::Wallet(WalletCommand::Balance) => Job::WalletBalance,
        Command::Sandbox(sandbox) => Job::Sandbox(sandbox),
    })
}

pub(crate) async fn run(
    job: Job<'_>,
    key: Option<String>,
    global: &Global,
    term: &Term,
) -> Result<(), Failed> {
    if let Job::Sandbox(args) = job {
        return sandbox::run(args, term).await;
    }
    let session = Session::open(global, key, term).await?;
    match job {
        Job::Route(request) => route::run(&session, request, term).await,
        Job::Providers => providers::run(&session, term).await,
        Job::Health => health::run(&session, term).await,
        Job::Status => status::run(&session, term).await,
        Job::PlatformMetrics => platform_metrics::run(&session, term).await,
        Job::WalletBalance => wallet::balance(&session, term).await,
        // Has returned above: it is a server, and needs no client.
        Job::Sandbox(_) => Ok(()),
    }
}
