//! `amply execute`: a route and its execution in one call, under the payment rules of a route.

use std::path::{Path, PathBuf};
use std::time::Duration;

use amply_sdk::{Answer, ExecuteRequest, Execution, Route, Target};
use clap::ArgGroup;

use super::route::{self, RouteArgs, advise, page as page_of_route};
use crate::args::Global;
use crate::exit::Failed;
use crate::pay::by_hand;
use crate::session::{Session, headers_from_file, input_from_file, input_from_stdin};
use crate::table;
use crate::term::Term;

/// The limit of the whole call is what ends an execution, not that of one attempt: it is never sent again.
const NO_LIMIT: Duration = Duration::MAX;

#[derive(clap::Args)]
#[command(group(ArgGroup::new("where").args(["vault_ref", "target"]).required(true)))]
pub(crate) struct ExecuteArgs {
    #[command(flatten)]
    pub(crate) route: RouteArgs,
    /// Execute with this credential, by its id; `amply credentials list` shows them
    // Else these would stand below the last heading of what is flattened above.
    #[arg(long, value_name = "ID", help_heading = "Execution")]
    vault_ref: Option<String>,
    /// Execute at this target of your own, which the server calls
    #[arg(long, value_name = "URL", help_heading = "Execution")]
    target: Option<String>,
    /// A file with headers for the target, one `NAME: VALUE` on each line
    #[arg(long, value_name = "FILE", conflicts_with = "vault_ref", help_heading = "Execution")]
    target_header_file: Option<PathBuf>,
    /// What is handed to whoever executes the task: JSON, `@FILE` for a file of it, or `-` for standard input
    #[arg(long, value_name = "JSON", allow_hyphen_values = true, help_heading = "Execution")]
    input: Option<String>,
}

/// An execution that is ready to be asked for.
pub(crate) struct Planned {
    pub(crate) route: route::Planned,
    request: ExecuteRequest,
}

impl ExecuteArgs {
    /// What cannot be read from standard input together.
    pub(crate) fn check(&self, global: &Global) -> Result<(), Failed> {
        let reads = self.input.as_deref() == Some("-");
        let with = match (reads, global.api_key_stdin, self.route.reads_stdin()) {
            (true, true, _) => "`--api-key-stdin`",
            (true, _, true) => "the task `-`",
            _ => return Ok(()),
        };
        Err(Failed::Usage(format!("`--input -` cannot be used with {with}: both would read standard input")))
    }

    pub(crate) fn plan(&self, global: &Global, term: &Term) -> Result<Planned, Failed> {
        let route = self.route.plan(global, term)?;
        let mut request = match (&self.vault_ref, &self.target) {
            (Some(id), _) => ExecuteRequest::with_credential(&route.request, id),
            (None, url) => {
                let url = url.as_deref().unwrap_or_default();
                let target = with_headers(Target::new(url)?, self.target_header_file.as_deref())?;
                ExecuteRequest::at_target(&route.request, target)
            }
        };
        if let Some(input) = &self.input {
            let (text, origin) = read_input(input)?;
            request = request.input_json(&text).map_err(|error| {
                let why = error.message();
                let why = why.strip_prefix("the input").unwrap_or(&why);
                Failed::Usage(format!("{origin}{why}; write a text in quotes, and a file as `@FILE`"))
            })?;
        }
        request.validate()?;
        Ok(Planned { route, request })
    }
}

/// The text, which is sent to the digit as it was written, and where it came from.
fn read_input(typed: &str) -> Result<(String, String), Failed> {
    Ok(match typed.strip_prefix('@') {
        _ if typed == "-" => (input_from_stdin()?, "standard input".to_owned()),
        Some(file) => (input_from_file(Path::new(file))?, format!("`{}`", table::one_line(file))),
        None => (typed.to_owned(), "`--input`".to_owned()),
    })
}

/// The headers of a file. Neither a name nor a value is shown in an error: one may stand in the other's place.
fn with_headers(mut target: Target, file: Option<&Path>) -> Result<Target, Failed> {
    let Some(file) = file else { return Ok(target) };
    let text = headers_from_file(file)?;
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let header =
            line.split_once(':').map(|(name, value)| target.clone().header(name.trim(), value.trim()));
        target = match header {
            Some(Ok(target)) => target,
            _ => {
                return Err(Failed::Usage(format!(
                    "line {number} of `{}` is no header; write it like `authorization: Bearer TOKEN`",
                    table::one_line(&file.to_string_lossy())
                )));
            }
        };
    }
    Ok(target)
}

pub(crate) async fn run(session: &Session, planned: Planned, term: &Term) -> Result<(), Failed> {
    let Planned { route, request } = planned;
    let client = session.client.with_options(|options| options.attempt_timeout(NO_LIMIT));
    let ask = async || client.execute(request.clone()).await;
    let answered = match route.is_by_hand {
        true => by_hand(session, route.advice.key_from(), term, ask).await,
        false => ask().await.map_err(Failed::from),
    };
    let execution =
        answered.map_err(|failed| session.advise_on_credential(advise(session, &route.advice, failed)))?;
    route::warn_of(session, &execution.route, &execution.principal(), term);
    if !execution.succeeded() {
        term.warn(&how_it_failed(&execution));
    }
    match term.is_json() {
        true => Ok(term.print_json(execution.text())?),
        false => Ok(term.print(&page(&execution, term))?),
    }
}

fn how_it_failed(execution: &Execution) -> String {
    let status = execution.status.as_ref().map(|status| table::one_line(status.as_str()));
    match (status, &execution.error_code) {
        (Some(status), Some(code)) => format!("the execution {status}: {}", table::one_line(code)),
        (Some(status), None) => format!("the execution did not succeed: its status is {status}"),
        (None, _) => "the answer does not say how the execution went".to_owned(),
    }
}

/// How it went, then what came out of it.
fn page(execution: &Execution, term: &Term) -> String {
    let route = &execution.route;
    let pairs = vec![
        ("execution", execution.status.as_ref().map(|status| status.as_str().to_owned())),
        ("provider", execution.provider_id.clone().or_else(|| Some(route.recommended.clone()))),
        ("took", execution.latency_ms.map(|ms| table::ms(Some(ms)))),
        ("error", execution.error_code.clone()),
        ("credential", execution.credential_ref.clone()),
        ("target", execution.target_url.clone()),
        ("charged", route.estimated_charge_usd.map(|usd| format!("{} USD", table::cents(usd)))),
        ("execution id", execution.execution_id.clone()),
        ("route id", route.route_id.clone()),
    ];
    let how = table::pairs(pairs, term.width());
    match &execution.output {
        // A text as it is, anything else as it was written.
        Some(output) => {
            let output = output.parse().unwrap_or_else(|_| output.text().to_owned());
            format!("{how}\n\nOutput:\n{}", amply_sdk::printable(&output))
        }
        None => how,
    }
}

/// The answer inside an error: that of a route, or of an execution.
pub(crate) fn page_of_answer(answer: &Answer<Route>, term: &Term) -> String {
    match serde_json::from_str::<Execution>(answer.text()) {
        Ok(execution) if answer.extra.contains_key("execution") => page(&execution, term),
        _ => page_of_route(answer, term),
    }
}
