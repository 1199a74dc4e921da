//! `amply openapi`: the server's own document, and how it and this client differ.

use std::process::ExitCode;

use amply_sdk::{Drift, OpenApi, Operation};
use serde::Serialize;

use crate::exit::Failed;
use crate::session::Session;
use crate::table::{self, text, whole};
use crate::term::Term;

#[derive(clap::Args)]
pub(crate) struct OpenApiArgs {
    /// Compare it with what this client sends and reads; exit code 1 if they differ
    #[arg(long)]
    check: bool,
}

pub(crate) async fn run(session: &Session, args: &OpenApiArgs, term: &Term) -> Result<ExitCode, Failed> {
    let document = session.client.openapi().await?;
    if args.check {
        let is_one = document.openapi.as_deref().is_some_and(|version| version.starts_with("3."))
            && !document.paths.is_empty();
        if !is_one {
            let url = format!("{}/openapi", session.client.base_url());
            return Err(Failed::NotThat(format!(
                "what {url} answers is no OpenAPI 3 document with paths, so that there is nothing to compare"
            )));
        }
        return check(&document, term);
    }
    if term.is_json() {
        term.print_json(document.text())?;
    } else {
        let columns = [text("METHOD"), whole("PATH"), text("SUMMARY")];
        let row =
            |operation: Operation| vec![operation.method, operation.path, table::or_dash(operation.summary)];
        let rows = document.operations().into_iter().map(row).collect();
        term.print(&table::lines(&columns, rows, term.width()).join("\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What a pipe gets: an object, so that there is room for more.
#[derive(Serialize)]
struct Checked<'a> {
    /// The release that the document is of.
    version: Option<String>,
    differences: &'a [Drift],
    notes: &'a [Drift],
}

fn check(document: &OpenApi, term: &Term) -> Result<ExitCode, Failed> {
    let (differences, notes): (Vec<_>, Vec<_>) = document.drift().into_iter().partition(Drift::is_difference);
    let version = document.version();
    if term.is_json() {
        let checked = Checked { version, differences: &differences, notes: &notes };
        // Texts can always be written.
        term.print_json(&serde_json::to_string(&checked).unwrap_or_default())?;
    } else {
        let of =
            version.map(|version| format!(" of release {}", table::one_line(&version))).unwrap_or_default();
        let result = match differences.len() {
            0 => format!("the document{of} and this client agree"),
            1 => format!("the document{of} and this client differ in one place:"),
            places => format!("the document{of} and this client differ in {places} places:"),
        };
        let mut sections = vec![table::wrapped(&result, term.width())];
        sections.extend(listed(&differences, term));
        if !notes.is_empty() {
            sections.push("Not a difference:".to_owned());
            sections.extend(listed(&notes, term));
        }
        term.print(&sections.join("\n\n"))?;
    }
    Ok(if differences.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn listed(found: &[Drift], term: &Term) -> Option<String> {
    let rows: Vec<_> = found.iter().map(|drift| vec![drift.endpoint.clone(), drift.to_string()]).collect();
    (!rows.is_empty()).then(|| table::lines(&[whole(""), text("")], rows, term.width()).join("\n"))
}
