//! What was typed. What will happen is decided in `session.rs` and the commands.

use std::path::PathBuf;
use std::time::Duration;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::cmd::{
    ApiArgs, AuditArgs, CredentialsCommand, ExecuteArgs, OpenApiArgs, OutboxCommand, OutcomeArgs,
    PaymentsCommand, ReportArgs, RouteArgs, RouteCommand, RunArgs, SandboxArgs, SignupArgs, WalletCommand,
};
use crate::exit::Failed;

/// Which provider should run this task?
#[derive(Parser)]
#[command(name = "amply", version, disable_help_subcommand = true, max_term_width = 100, after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const AFTER_HELP: &str = "\
Environment: AMPLY_API_KEY, AMPLY_BASE_URL, AMPLY_TIMEOUT, AMPLY_CA_BUNDLE, AMPLY_STORE; with `--pay` \
AMPLY_TOPUP_URL, AMPLY_TOPUP_TOKEN, AMPLY_X402_KEY, AMPLY_MAX_TOPUP_USD, AMPLY_MAX_REQUEST_USD, AMPLY_MAX_DAILY_USD; for \
`signup` AMPLY_SIGNUP_TOKEN; for `wallet topup` AMPLY_ADMIN_SECRET. A flag goes before its variable; of the amounts the \
smaller one holds.

Exit codes: 0 ok, 1 not there or a local problem, 2 bad usage or a refused request, 3 key not accepted, 4 payment \
needed, 5 not allowed, 6 rate limit or quota, 7 no answer, 8 the server failed, 9 not an Amply answer, 130 Ctrl-C; \
`amply run` ends as its command does, or with 125 to 127 where that did not run";

/// Options that stand before or after any command.
#[derive(clap::Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Where the API is; a URL without a path gets `/api/v1`
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) base_url: Option<String>,
    /// Read the API key from standard input
    #[arg(long, global = true)]
    pub(crate) api_key_stdin: bool,
    /// Use a sandbox inside this process: no account, no network
    #[arg(long, global = true)]
    pub(crate) sandbox: bool,
    /// Print the server's JSON (also when the output is no terminal)
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print what a jq expression makes of that JSON: texts as they are, all else as JSON, one value a line
    #[arg(long, global = true, value_name = "EXPR")]
    pub(crate) jq: Option<String>,
    /// The file that keeps what was paid and what is to be reported, else one in your folder for state
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) store: Option<PathBuf>,
    /// Limit for one call, such as 30s or 500ms
    #[arg(long, global = true, value_name = "TIME", value_parser = amply_sdk::env::parse_timeout)]
    pub(crate) timeout: Option<Duration>,
    /// What to do when a route is not bound to a principal, so that it counts for no wallet
    #[arg(long, global = true, value_name = "POLICY", default_value = "warn")]
    pub(crate) principal: Principal,
    /// When to use colour
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", hide_possible_values = false)]
    pub(crate) color: Color,
    /// Show each attempt and each wait
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Print no notes and no warnings
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Principal {
    /// End with an error
    Require,
    /// Say so on standard error
    Warn,
    /// Do not look
    Ignore,
}

/// Reads the arguments. The parser's own messages heed `--color` too, wherever it stands.
pub(crate) fn parse() -> Result<Args, clap::Error> {
    let typed = typed();
    let pairs = typed.iter().zip(typed.iter().skip(1));
    let is = |when: &str| {
        let joined = format!("--color={when}");
        typed.contains(&joined) || pairs.clone().any(|(flag, value)| flag == "--color" && value == when)
    };
    let choice = match (is("never"), is("always")) {
        (true, _) => clap::ColorChoice::Never,
        (_, true) => clap::ColorChoice::Always,
        _ => clap::ColorChoice::Auto,
    };
    Args::from_arg_matches(&Args::command().color(choice).try_get_matches()?)
}

/// What was typed for `amply` itself: what comes after `--` is for the command of `amply run`.
pub(crate) fn typed() -> Vec<String> {
    let typed = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned());
    typed.take_while(|argument| argument != "--").collect()
}

/// Whether it is `amply run` that could not be read.
pub(crate) fn is_meant_to_run() -> bool {
    let read = Args::command().ignore_errors(true).try_get_matches();
    match read.as_ref().ok().and_then(clap::ArgMatches::subcommand_name) {
        Some(command) => command == "run",
        // It was not reached.
        None => typed().iter().skip(1).find(|word| !word.starts_with('-')).is_some_and(|word| word == "run"),
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    Always,
    Never,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Ask which provider should run a task
    Route(RouteCommand),
    /// Route a task and have it executed, in one call
    Execute(ExecuteArgs),
    /// Ask for a route, run a command that does the task, and report how it went
    Run(RunArgs),
    /// Report how a route went
    Outcome(OutcomeArgs),
    /// Show the reports that are not delivered, and deliver them
    #[command(subcommand)]
    Outbox(OutboxCommand),
    /// Show what the server knows of a route, with a proof
    Audit(AuditArgs),
    /// List the providers that are ranked
    Providers,
    /// Show how the providers are, by the server's probes (needs a key)
    Health,
    /// Show how the server is set up and how it is
    Status,
    /// Show public totals of the platform
    PlatformMetrics,
    /// Show what the server says of itself, or how that and this client differ
    #[command(name = "openapi")]
    OpenApi(OpenApiArgs),
    /// Make any other call, with the key
    Api(ApiArgs),
    /// Show what routes cost and saved in a period
    Report(ReportArgs),
    /// Show and change what the server keeps for executions
    #[command(subcommand)]
    Credentials(CredentialsCommand),
    /// Show what the wallet holds, or top it up
    #[command(subcommand)]
    Wallet(WalletCommand),
    /// Show what was paid from this machine, and clear up what is not known
    #[command(subcommand)]
    Payments(PaymentsCommand),
    /// Show what an agent has to do from nothing to a route, and what is done already
    Agent,
    /// Sign up for a key: shows the terms, asks, and shows the key once
    Signup(SignupArgs),
    /// Serve a local Amply until Ctrl-C
    Sandbox(SandboxArgs),
}

impl Args {
    /// Options that exclude each other, wherever they stand: the parser compares only those on one side of the
    /// command.
    pub(crate) fn check(&self) -> Result<(), Failed> {
        let global = &self.global;
        let refuse = |message: &str| Err(Failed::Usage(message.to_owned()));
        if global.sandbox && global.base_url.is_some() {
            return refuse(
                "`--sandbox` cannot be used with `--base-url`: it calls a server inside this process",
            );
        }
        if global.sandbox && global.api_key_stdin {
            return refuse("`--sandbox` cannot be used with `--api-key-stdin`: it has a key of its own");
        }
        if global.sandbox && matches!(self.command, Command::Sandbox(_)) {
            return refuse("`amply sandbox` cannot be used with `--sandbox`: it serves one itself");
        }
        if let Command::Signup(signup) = &self.command {
            signup.check(global)?;
        }
        if global.sandbox && matches!(self.command, Command::Payments(_)) {
            return refuse(
                "`amply payments` cannot be used with `--sandbox`: its ledger ends with the process",
            );
        }
        if global.sandbox && matches!(self.command, Command::Outbox(_)) {
            return refuse(
                "`amply outbox` cannot be used with `--sandbox`: its outbox ends with the process",
            );
        }
        if global.sandbox && matches!(&self.command, Command::Outcome(outcome) if outcome.is_for_later()) {
            return refuse("`--later` cannot be used with `--sandbox`: its outbox ends with the process");
        }
        if global.sandbox && global.store.is_some() {
            return refuse("`--sandbox` cannot be used with `--store`: its ledger ends with the process");
        }
        if let Command::Wallet(WalletCommand::Topup(topup)) = &self.command {
            topup.check(global)?;
        }
        if global.quiet && global.verbose > 0 {
            return refuse("`--quiet` cannot be used with `--verbose`");
        }
        if global.jq.is_some() && matches!(self.command, Command::Run(_)) {
            return refuse("`--jq` cannot be used with `amply run`: its command has standard output");
        }
        let route = match &self.command {
            Command::Api(api) if global.api_key_stdin && api.reads_stdin() => {
                return refuse(
                    "`--api-key-stdin` cannot be used with `--input -`: both would read standard input",
                );
            }
            Command::Route(command) => &command.route,
            Command::Execute(execute) => {
                execute.check(global)?;
                &execute.route
            }
            Command::Run(run) => &run.route,
            Command::Credentials(command) => return command.check(global),
            Command::Outcome(outcome) if global.api_key_stdin && outcome.reads_stdin() => {
                return refuse(
                    "`--api-key-stdin` cannot be used with the ticket `-`: both would read standard input",
                );
            }
            _ => return Ok(()),
        };
        if global.api_key_stdin && route.reads_stdin() {
            return refuse(
                "`--api-key-stdin` cannot be used with the task `-`: both would read standard input",
            );
        }
        if matches!(self.command, Command::Run(_)) {
            refuse_stdin(route, global)?;
        }
        route.check(global.sandbox)
    }
}

/// Standard input is for the command of `amply run`.
fn refuse_stdin(route: &RouteArgs, global: &Global) -> Result<(), Failed> {
    let what = match (global.api_key_stdin, route.reads_stdin()) {
        (true, _) => "`--api-key-stdin`",
        (_, true) => "the task `-`",
        _ => return Ok(()),
    };
    Err(Failed::Usage(format!("{what} cannot be used with `amply run`: its command has standard input")))
}
