//! One file per command: its arguments, and what it prints.

mod agent;
mod api;
mod audit;
mod credentials;
mod execute;
mod explain;
mod health;
mod openapi;
mod outbox;
mod outcome;
mod payments;
mod plan;
mod platform_metrics;
mod providers;
mod report;
mod route;
mod run;
mod sandbox;
mod signup;
mod status;
mod wallet;

use std::process::ExitCode;

pub(crate) use self::api::ApiArgs;
pub(crate) use self::audit::AuditArgs;
pub(crate) use self::credentials::CredentialsCommand;
pub(crate) use self::execute::{ExecuteArgs, page_of_answer};
pub(crate) use self::openapi::OpenApiArgs;
pub(crate) use self::outbox::OutboxCommand;
pub(crate) use self::outcome::OutcomeArgs;
pub(crate) use self::payments::PaymentsCommand;
pub(crate) use self::report::ReportArgs;
pub(crate) use self::route::{RouteArgs, RouteCommand};
pub(crate) use self::run::RunArgs;
pub(crate) use self::sandbox::SandboxArgs;
pub(crate) use self::signup::SignupArgs;
pub(crate) use self::wallet::WalletCommand;
use crate::args::{Args, Command, Global};
use crate::exit::Failed;
use crate::interrupt::{let_payment_end, or_ctrl_c};
use crate::session::{self, Session, Setup};
use crate::term::Term;

/// What is to be done, read and checked.
pub(crate) enum Job<'a> {
    Route(Box<route::Planned>),
    Execute(Box<execute::Planned>),
    Run(Box<run::Planned>),
    Outcome(Box<outcome::Planned>),
    Outbox(&'a OutboxCommand),
    Agent,
    Signup(Box<signup::Planned>),
    Audit(&'a AuditArgs),
    Providers,
    Health,
    Status,
    PlatformMetrics,
    Report(&'a ReportArgs),
    Credentials(Box<credentials::Planned>),
    OpenApi(&'a OpenApiArgs),
    Api(Box<api::Planned>),
    WalletBalance,
    WalletTopUp(Box<wallet::Planned>),
    Payments(&'a PaymentsCommand),
    Sandbox(&'a SandboxArgs),
}

/// Checks what was typed and what the environment says, and reads the task where it comes from standard input.
pub(crate) fn prepare<'a>(args: &'a Args, term: &Term) -> Result<Job<'a>, Failed> {
    Ok(match &args.command {
        Command::Route(route) => Job::Route(Box::new(route.plan(&args.global, term)?)),
        Command::Execute(execute) => Job::Execute(Box::new(execute.plan(&args.global, term)?)),
        Command::Run(run) => Job::Run(Box::new(run.plan(&args.global, term)?)),
        Command::Outcome(outcome) => Job::Outcome(Box::new(outcome.plan()?)),
        Command::Outbox(outbox) => Job::Outbox(outbox),
        Command::Agent => Job::Agent,
        Command::Signup(signup) => Job::Signup(Box::new(signup.plan(&args.global, term)?)),
        Command::Audit(audit) => Job::Audit(audit),
        Command::Providers => Job::Providers,
        Command::Health => Job::Health,
        Command::Status => Job::Status,
        Command::PlatformMetrics => Job::PlatformMetrics,
        Command::Report(report) => Job::Report(report),
        Command::Credentials(command) => Job::Credentials(Box::new(command.plan(term)?)),
        Command::OpenApi(openapi) => Job::OpenApi(openapi),
        Command::Api(api) => Job::Api(Box::new(api.plan()?)),
        Command::Wallet(WalletCommand::Balance) => Job::WalletBalance,
        Command::Wallet(WalletCommand::Topup(topup)) => {
            Job::WalletTopUp(Box::new(topup.plan(&args.global, term)?))
        }
        Command::Payments(payments) => Job::Payments(payments),
        Command::Sandbox(sandbox) => Job::Sandbox(sandbox),
    })
}

pub(crate) async fn run(
    mut job: Job<'_>,
    key: Option<String>,
    global: &Global,
    term: &Term,
) -> Result<ExitCode, Failed> {
    let done = |()| ExitCode::SUCCESS;
    let setup = match &mut job {
        // None of them needs a client, or not always. Ctrl-C is the usual end of a server.
        Job::Sandbox(args) => return sandbox::run(args, term).await.map(done),
        Job::Payments(command) => return or_ctrl_c(payments::run(command, global, term)).await.map(done),
        Job::Outbox(command) => return outbox::run(command, key, global, term).await.map(done),
        Job::Route(planned) => std::mem::take(&mut planned.setup),
        Job::Execute(planned) => std::mem::take(&mut planned.route.setup),
        Job::Run(planned) => std::mem::take(&mut planned.route.setup),
        Job::Outcome(planned) => planned.setup(),
        Job::Agent => agent::setup(),
        Job::Signup(_) => signup::setup(),
        Job::WalletTopUp(planned) => std::mem::take(&mut planned.setup),
        _ => Setup::default(),
    };
    // A signup is sent without a key: none of its failures concerns the one that there is.
    let key_from = session::key_from(global).filter(|_| !matches!(job, Job::Signup(_)));
    let session = or_ctrl_c(Session::open(global, key, setup, term)).await;
    let session = session.map_err(|failed| failed.naming_key(key_from))?;
    let done = match job {
        Job::Run(planned) if planned.route.is_dry_run => {
            or_ctrl_c(route::show_plan(&session, &planned.route, key_from, term)).await.map(done)
        }
        // Ctrl-C is its command's, once that runs.
        Job::Run(planned) => run::run(&session, *planned, term).await,
        // What it found is in its exit code.
        Job::OpenApi(args) => or_ctrl_c(openapi::run(&session, args, term)).await,
        job => {
            let ended = or_ctrl_c(with(&session, job, key_from, term)).await;
            let_payment_end(&session, term).await;
            ended.map(done)
        }
    };
    done.map_err(|failed| failed.naming_key(key_from))
}

async fn with(session: &Session, job: Job<'_>, key_from: Option<&str>, term: &Term) -> Result<(), Failed> {
    match job {
        Job::Route(planned) if planned.is_dry_run => {
            route::show_plan(session, &planned, key_from, term).await
        }
        Job::Route(planned) => route::run(session, *planned, term).await,
        Job::Execute(planned) => execute::run(session, *planned, term).await,
        Job::Outcome(planned) => outcome::run(session, *planned, term).await,
        Job::Agent => agent::run(session, term).await,
        Job::Signup(planned) => signup::run(session, *planned, term).await,
        Job::Audit(args) => audit::run(session, args, term).await,
        Job::Providers => providers::run(session, term).await,
        Job::Health => health::run(session, term).await,
        Job::Status => status::run(session, term).await,
        Job::PlatformMetrics => platform_metrics::run(session, term).await,
        Job::Report(args) => report::run(session, args, term).await,
        Job::Credentials(planned) => credentials::run(session, *planned, term).await,
        Job::Api(planned) => api::run(session, *planned, term).await,
        Job::WalletBalance => wallet::balance(session, term).await,
        Job::WalletTopUp(planned) => wallet::top_up(session, *planned, term).await,
        // Have ended above.
        Job::OpenApi(_) | Job::Run(_) | Job::Outbox(_) | Job::Payments(_) | Job::Sandbox(_) => Ok(()),
    }
}
