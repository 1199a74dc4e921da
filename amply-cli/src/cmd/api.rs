//! `amply api`: any call below the base URL, with the key.

use std::fmt::Write as _;
use std::path::Path;

use amply_sdk::{Answer, Error, Meta, Method};
use indexmap::IndexMap;
use serde::de::IgnoredAny;
use serde_json::value::{RawValue, to_raw_value};

use crate::exit::Failed;
use crate::session::{Session, body_from_file, body_from_stdin};
use crate::table::one_line;
use crate::term::Term;

/// As many bytes as an answer may have.
const MOST: usize = 8 * 1024 * 1024;
/// Standard input, where a file is named.
const STDIN: &str = "-";

#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ApiArgs {
    /// GET, POST or any other
    #[arg(value_name = "METHOD")]
    method: String,
    /// The path below the base URL, such as `status`; it may have a query
    #[arg(value_name = "PATH")]
    path: String,
    /// A field whose value is a text; may be given more than once
    #[arg(short = 'f', long = "field", value_name = "NAME=TEXT")]
    texts: Vec<String>,
    /// A field whose value is JSON: a number, `true`, a list and so on; may be given more than once
    #[arg(short = 'F', long = "json-field", value_name = "NAME=JSON")]
    values: Vec<String>,
    /// A file with the JSON body, or `-` to read it from standard input
    #[arg(long, value_name = "FILE")]
    input: Option<String>,
    /// Print the status and the headers of the answer first
    #[arg(short, long)]
    include: bool,
}

const AFTER_HELP: &str = "\
The fields become the JSON body, or the query of a GET, a HEAD and a DELETE. The body of the answer is printed as it came; \
an empty one prints nothing. Nothing but a GET, a HEAD and an OPTIONS is sent again once the server can have seen it, and \
nothing is paid: a 402 is an error.";

/// A call that is ready to be made.
pub(crate) struct Planned {
    method: Method,
    path: String,
    body: Option<Box<RawValue>>,
    include: bool,
}

impl ApiArgs {
    pub(crate) fn reads_stdin(&self) -> bool {
        self.input.as_deref() == Some(STDIN)
    }

    pub(crate) fn plan(&self) -> Result<Planned, Failed> {
        let method = Method::from_bytes(self.method.to_ascii_uppercase().as_bytes())
            .map_err(|_| usage(format!("`{}` is no HTTP method", one_line(&self.method))))?;
        let before_query = self.path.split('?').next().unwrap_or_default();
        if before_query.contains("://") {
            return Err(usage(format!(
                "`{}` is a whole URL; give the path below the base URL, such as `status`",
                one_line(&self.path)
            )));
        }
        let mut path = format!("/{}", self.path.strip_prefix('/').unwrap_or(&self.path));
        let fields = self.fields()?;
        let has_query = matches!(method, Method::GET | Method::HEAD | Method::DELETE);
        let body = match &self.input {
            Some(_) if !fields.is_empty() => {
                return Err(usage(
                    "`--input` cannot be used with `-f` and `-F`: it is the whole body".to_owned(),
                ));
            }
            Some(_) if matches!(method, Method::GET | Method::HEAD) => {
                return Err(usage(format!("`--input` cannot be used with {method}: it has no body")));
            }
            Some(file) => Some(self.body(file)?),
            None if fields.is_empty() => None,
            None if has_query => {
                add_query(&mut path, &fields)?;
                None
            }
            // Names, and values that are JSON already.
            None => to_raw_value(&fields).ok(),
        };
        Ok(Planned { method, path, body, include: self.include })
    }

    /// The fields, in the order in which each kind was typed.
    fn fields(&self) -> Result<IndexMap<&str, Box<RawValue>>, Failed> {
        let mut fields = IndexMap::new();
        let texts = self.texts.iter().map(|typed| ("-f", typed));
        for (flag, typed) in texts.chain(self.values.iter().map(|typed| ("-F", typed))) {
            let (name, value) = typed.split_once('=').ok_or_else(|| {
                usage(format!("`{flag} {}` has no `=`; write it as NAME=VALUE", one_line(typed)))
            })?;
            if name.is_empty() {
                return Err(usage(format!("`{flag} {}` has no name before the `=`", one_line(typed))));
            }
            if name.contains(['[', ']']) {
                return Err(usage(format!(
                    "`{}` would be a field within another; give the whole of that as JSON, with `-F`",
                    one_line(name)
                )));
            }
            let value = match flag {
                // A text can always be written.
                "-f" => to_raw_value(value).map_err(|error| usage(error.to_string()))?,
                _ => serde_json::from_str(value).map_err(|error| {
                    let name = one_line(name);
                    usage(format!(
                        "the value of `-F {name}=…` is not JSON ({error}); a text is given with `-f {name}=TEXT`"
                    ))
                })?,
            };
            if fields.insert(name, value).is_some() {
                return Err(usage(format!("the field `{}` is given twice", one_line(name))));
            }
        }
        Ok(fields)
    }

    fn body(&self, file: &str) -> Result<Box<RawValue>, Failed> {
        let (what, text) = match file {
            STDIN => ("the body on standard input".to_owned(), body_from_stdin(MOST)?),
            file => (format!("the file `{}`", one_line(file)), body_from_file(Path::new(file), MOST)?),
        };
        let json = text.trim_start_matches('\u{feff}');
        serde_json::from_str(json).map_err(|error| usage(format!("{what} is not JSON ({error})")))
    }
}

/// Adds fields to the query, percent-encoded.
fn add_query(path: &mut String, fields: &IndexMap<&str, Box<RawValue>>) -> Result<(), Failed> {
    let mut joint = if path.contains('?') { '&' } else { '?' };
    for (name, value) in fields {
        let text = match value.get().as_bytes().first() {
            Some(b'"') => serde_json::from_str(value.get()).unwrap_or_else(|_| value.get().to_owned()),
            Some(b'{' | b'[') | None => {
                return Err(usage(format!(
                    "the field `{}` is a list or an object; a query has texts, numbers and the like",
                    one_line(name)
                )));
            }
            _ => value.get().to_owned(),
        };
        path.push(joint);
        encode(path, name);
        path.push('=');
        encode(path, &text);
        joint = '&';
    }
    Ok(())
}

fn encode(path: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => path.push(byte.into()),
            _ => {
                // A text takes whatever is written to it.
                let _ = write!(path, "%{byte:02X}");
            }
        }
    }
}

fn usage(message: String) -> Failed {
    Failed::Usage(message)
}

pub(crate) async fn run(session: &Session, planned: Planned, term: &Term) -> Result<(), Failed> {
    let Planned { method, path, body, include } = planned;
    let answer = session.client.request(method, &path, body.as_deref()).await;
    let answer: Answer<IgnoredAny> = answer.map_err(|error| advise(session, &path, error))?;
    let is_empty = answer.text().trim().is_empty();
    if include {
        let end = if is_empty { "" } else { "\n" };
        term.print_head(&format!("{}{end}", head(answer.meta())))?;
    }
    match is_empty {
        true => Ok(()),
        false => Ok(term.print_json(answer.text())?),
    }
}

/// Paths as the server names them begin with that of the base URL, which is not to be typed.
fn advise(session: &Session, path: &str, error: Error) -> Failed {
    let is_missing = matches!(error, Error::NotFound(_) | Error::Unsupported(_));
    // After the scheme and the host.
    let base = session.client.base_url().splitn(4, '/').nth(3).map(|base| format!("/{base}/"));
    match base {
        Some(base) if is_missing && path.starts_with(&base) => {
            let base = base.trim_end_matches('/');
            let hint = format!("leave out `{base}`: the path goes below the base URL, which ends in it");
            Failed::Call { error: Box::new(error), hint: Some(hint) }
        }
        _ if is_missing => {
            let hint = "`amply openapi` lists what this server has".to_owned();
            Failed::Call { error: Box::new(error), hint: Some(hint) }
        }
        _ => error.into(),
    }
}

/// The status line and the headers, as they came.
fn head(meta: &Meta) -> String {
    let mut head = String::new();
    if let Some(status) = meta.status() {
        let reason = status.canonical_reason().map(|reason| format!(" {reason}")).unwrap_or_default();
        let _ = writeln!(head, "HTTP/1.1 {}{reason}", status.as_u16());
    }
    for (name, value) in meta.headers() {
        let _ = writeln!(head, "{name}: {}", one_line(&String::from_utf8_lossy(value.as_bytes())));
    }
    head
}
