//! One file per command: its arguments, and what it prints.

mod health;
mod platform_metrics;
mod providers;
mod route;
mod sandbox;
mod status;

pub(crate) use self::route::{RouteArgs, page};
pub(crate) use self::sandbox::SandboxArgs;
use crate::args::{Args, Command};
use crate::exit::Failed;
use crate::session::Session;
use crate::term::Term;

pub(crate) async fn run(args: &Args, term: &Term) -> Result<(), Failed> {
    if let Command::Sandbox(sandbox) = &args.command {
        return sandbox::run(sandbox, term).await;
    }
    // What was typed is checked before a sandbox starts or a key is read.
    let request = match &args.command {
        Command::Route(route) => Some(route.request()?),
        _ => None,
    };
    let session = Session::open(&args.global, term).await?;
    match (&args.command, request) {
        (Command::Route(_), Some(request)) => route::run(&session, request, term).await,
        (Command::Providers, _) => providers::run(&session, term).await,
        (Command::Health, _) => health::run(&session, term).await,
        (Command::Status, _) => status::run(&session, term).await,
        (Command::PlatformMetrics, _) => platform_metrics::run(&session, term).await,
        (Command::Route(_) | Command::Sandbox(_), _) => Ok(()),
    }
}
