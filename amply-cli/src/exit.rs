//! The one place where a failure becomes words and an exit code.

use std::borrow::Cow;
use std::io::{self, ErrorKind};
use std::process::ExitCode;

use amply_sdk::{Error, Failure, PaymentChallenge, PaymentProblem, Refusal, Usd};
use serde::Serialize;

use crate::args;
use crate::cmd::page_of_answer;
use crate::jq::{At, NotPrinted, Wrong};
use crate::table;
use crate::term::{Term, write_stderr};

/// What `amply run` ends with when it fails itself.
const OF_RUN: u8 = 125;

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(crate) enum Failed {
    /// A call failed. With what to do about it, where the command knows better than the SDK.
    Call { error: Box<Error>, hint: Option<String> },
    /// What was typed cannot be meant.
    Usage(String),
    /// The expression of `--jq` cannot be meant.
    Expression(Wrong),
    /// The expression of `--jq` does not fit the answer, which is here: it may have been paid for.
    Jq { why: String, answer: String },
    /// Something on this machine.
    Local(String),
    /// An answer that a call had no objection to, and that is not what was asked for.
    NotThat(String),
    /// The command of `amply run` could not begin; with what a shell's exit code would be.
    NoCommand { message: String, exit_code: u8 },
    /// Reports are left in the outbox; with what the last try failed with.
    Undelivered { delivered: u64, left: u64, why: Option<String> },
    /// Standard output could not be written.
    Output(io::Error),
    /// Ctrl-C; and what was waited for, where that is worth to be said.
    Interrupted(Option<Box<Failed>>),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Call { error: Box::new(error), hint: None }
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        match error.downcast::<NotPrinted>() {
            Ok(NotPrinted::Wrong { why, answer }) => Self::Jq { why, answer },
            Ok(NotPrinted::Interrupted) => Self::Interrupted(None),
            Err(error) => Self::Output(error),
        }
    }
}

impl Failed {
    /// Adds where the key came from, where the failure concerns the key.
    pub(crate) fn naming_key(self, key_from: Option<&str>) -> Self {
        match (&self, key_from) {
            (Self::Call { error, .. }, Some(origin)) if concerns_key(error) => {
                let came = format!("the key came from {origin}");
                let hint = Some(self.hint().map_or_else(|| came.clone(), |hint| format!("{hint}; {came}")));
                match self {
                    Self::Call { error, .. } => Self::Call { error, hint },
                    other => other,
                }
            }
            _ => self,
        }
    }

    /// Says what happened, on standard error, and gives the exit code.
    pub(crate) fn report(&self, term: &Term) -> ExitCode {
        self.report_as(self.exit_code(), term)
    }

    /// The same of `amply run`, whose own failures must not look like those of its command.
    pub(crate) fn report_of_run(&self, term: &Term) -> ExitCode {
        let exit_code = match self {
            Self::NoCommand { .. } | Self::Interrupted(_) => self.exit_code(),
            _ => OF_RUN,
        };
        self.report_as(exit_code, term)
    }

    fn report_as(&self, code: u8, term: &Term) -> ExitCode {
        match self {
            Self::Interrupted(None) => {}
            Self::Interrupted(Some(failed)) => {
                failed.report(term);
            }
            // The reader has seen enough.
            Self::Output(error) if error.kind() == ErrorKind::BrokenPipe => return ExitCode::SUCCESS,
            _ if term.is_error_json() => term.error_json(&self.to_json(code)),
            Self::Call { error, .. } => {
                let id = error.request_id().map(|id| format!(" (request {})", table::one_line(id)));
                let message = format!("{}{}", error.message(), id.unwrap_or_default());
                term.error(&message, self.hint().as_deref());
                // It was asked for, and may have been paid for; standard output is for what was accepted.
                if let Error::PrincipalNotBound { answer: Some(answer), .. } = &**error {
                    write_stderr(&format!("\nThe answer was:\n\n{}\n", page_of_answer(answer, term)));
                }
            }
            Self::Expression(Wrong { at: Some(at), .. }) => {
                term.error(&format!("{}\n\n{}", self.message(), at.shown), None);
            }
            Self::Jq { answer, .. } => {
                term.error(&self.message(), self.hint().as_deref());
                term.answer(answer);
            }
            _ => term.error(&self.message(), self.hint().as_deref()),
        }
        ExitCode::from(code)
    }

    fn exit_code(&self) -> u8 {
        match self {
            Self::Interrupted(_) => 130,
            Self::Usage(_) | Self::Expression(_) => 2,
            Self::Jq { .. } | Self::Local(_) | Self::Undelivered { .. } | Self::Output(_) => 1,
            Self::NotThat(_) => 9,
            Self::NoCommand { exit_code, .. } => *exit_code,
            Self::Call { error, .. } => match error.code() {
                "config" | "invalid_request" | "rejected" => 2,
                "unauthorized" => 3,
                "payment_required"
                | "spend_limit"
                | "payment_refused"
                | "payment_failed"
                | "payment_unknown"
                | "payment_not_applied" => 4,
                "forbidden" | "principal_not_bound" => 5,
                "rate_limited" | "quota_exceeded" => 6,
                "transport" | "timeout" => 7,
                "server" => 8,
                "protocol" => 9,
                _ => 1,
            },
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Call { error, .. } => error.code(),
            Self::Usage(_) | Self::Expression(_) => "usage",
            Self::Jq { .. } => "jq",
            Self::Local(_) => "local",
            // As the error of the library for an answer that is none.
            Self::NotThat(_) => "protocol",
            Self::NoCommand { .. } => "command",
            Self::Undelivered { .. } => "undelivered",
            Self::Output(_) => "output",
            Self::Interrupted(_) => "interrupted",
        }
    }

    fn message(&self) -> String {
        match self {
            Self::Call { error, .. } => error.message(),
            Self::Usage(message)
            | Self::Local(message)
            | Self::NotThat(message)
            | Self::NoCommand { message, .. } => message.clone(),
            Self::Expression(Wrong { why, at }) => {
                let place = at.as_ref().map(|at| match at.line {
                    1 => format!(" at column {}", at.column),
                    line => format!(" at line {line}, column {}", at.column),
                });
                format!("the `--jq` expression is wrong{}: {why}", place.unwrap_or_default())
            }
            Self::Jq { why, .. } => format!("the `--jq` expression does not fit the answer: {why}"),
            Self::Undelivered { delivered, left, why } => {
                let delivered =
                    if *delivered > 0 { format!("{delivered} delivered, ") } else { String::new() };
                let why = why.as_deref().unwrap_or("the time for it ran out, or another process is at it");
                format!("{delivered}{left} left in the outbox: {why}")
            }
            Self::Output(error) => format!("cannot write to standard output: {error}"),
            Self::Interrupted(_) => "interrupted".to_owned(),
        }
    }

    /// The SDK's advice, in the words of this command where it has its own.
    fn hint(&self) -> Option<String> {
        match self {
            Self::Call { hint: Some(hint), .. } => Some(hint.clone()),
            Self::Call { error, .. } if error.is_timeout() && !error.may_have_been_charged() => {
                Some("try again, or allow more time with `--timeout 60s`".to_owned())
            }
            Self::Call { error, .. }
                if matches!(**error, Error::PrincipalNotBound { answer: Some(_), .. }) =>
            {
                Some("use a key of an account (amply_sk_…), or `--principal warn`".to_owned())
            }
            Self::Call { error, .. } if matches!(**error, Error::QueueFull(_)) => Some(
                "`amply outbox flush` delivers what waits, and `amply outbox list` says why it was not"
                    .to_owned(),
            ),
            Self::Call { error, .. } => error.hint().map(str::to_owned),
            Self::Jq { .. } => Some(
                "mend the expression with the answer that follows; the call was made, and another one may cost again"
                    .to_owned(),
            ),
            Self::Undelivered { .. } => Some("they stay there; run `amply outbox flush` again".to_owned()),
            Self::Usage(_) => Some("`amply --help` shows what can be typed".to_owned()),
            _ => None,
        }
    }

    fn to_json(&self, exit_code: u8) -> String {
        let call = match self {
            Self::Call { error, .. } => Some(&**error),
            _ => None,
        };
        let problem = call.and_then(Error::payment_problem);
        let error = ErrorJson {
            code: self.code(),
            message: self.message(),
            hint: self.hint(),
            exit_code,
            status: call.map(|error| error.status().map_or(0, |status| status.as_u16())),
            request_id: call.and_then(Error::request_id),
            is_retryable: call.map(Error::is_retryable),
            may_have_been_charged: call.map(Error::may_have_been_charged),
            server_code: call.and_then(Error::failure).and_then(Failure::server_code),
            retry_after_s: match call {
                Some(Error::RateLimited { retry_after: Some(wait), .. }) => Some(wait.as_secs_f64()),
                _ => None,
            },
            payment_id: problem.and_then(PaymentProblem::payment_id),
            cap: match call {
                Some(Error::SpendLimit { cap, .. }) => Some(cap.as_str()),
                _ => None,
            },
            left: match self {
                Self::Undelivered { left, .. } => Some(*left),
                _ => None,
            },
            at: match self {
                Self::Expression(Wrong { at, .. }) => at.as_ref(),
                _ => None,
            },
            challenge: call.and_then(Error::challenge).map(ChallengeJson::of),
            // It may hold an answer that was paid for, or what is to be paid.
            body: match self {
                Self::Jq { answer, .. } => Some(answer.into()),
                _ => call.and_then(|error| error.body()).map(String::from_utf8_lossy),
            },
        };
        // Texts and numbers can always be written.
        serde_json::to_string(&Wrapped { error }).unwrap_or_default()
    }
}

#[derive(Serialize)]
struct Wrapped<'a> {
    error: ErrorJson<'a>,
}

/// An error for a program. Fields of a call are there when a call was made; `status` is 0 when no answer came.
#[derive(Serialize)]
struct ErrorJson<'a> {
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    exit_code: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_retryable: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    may_have_been_charged: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cap: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    left: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<&'a At>,
    #[serde(skip_serializing_if = "Option::is_none")]
    challenge: Option<ChallengeJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Cow<'a, str>>,
}

/// What a 402 asked for, as far as it could be read; amounts are texts. `refusals` says why it would not be paid.
#[derive(Serialize)]
struct ChallengeJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    shortfall_usd: Option<Usd>,
    #[serde(skip_serializing_if = "Option::is_none")]
    balance_usd: Option<Usd>,
    #[serde(skip_serializing_if = "Option::is_none")]
    amount_usd: Option<Usd>,
    #[serde(skip_serializing_if = "Option::is_none")]
    currency: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    challenge_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    spec: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_up_url: Option<&'a str>,
    refusals: Vec<&'static str>,
}

impl<'a> ChallengeJson<'a> {
    fn of(challenge: &'a PaymentChallenge) -> Self {
        Self {
            shortfall_usd: challenge.shortfall_usd,
            balance_usd: challenge.balance_usd,
            amount_usd: challenge.amount_usd,
            currency: challenge.currency.as_deref(),
            expires_at: challenge.expires_at.as_deref(),
            challenge_id: challenge.challenge_id.as_deref(),
            spec: challenge.spec.as_deref(),
            top_up_url: challenge.top_up_url.as_deref(),
            refusals: challenge.refusals().iter().map(Refusal::code).collect(),
        }
    }
}

/// Whether another key would help, or the same one mended.
fn concerns_key(error: &Error) -> bool {
    match error {
        Error::Unauthorized(_) | Error::Forbidden(_) | Error::PrincipalNotBound { .. } => true,
        // The builder's sentences about the key begin with it.
        Error::Config(message) => message.starts_with("the API key "),
        _ => false,
    }
}

/// Help, version, or an argument that cannot be read.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    let asked_for_json = args::typed().iter().any(|typed| typed == "--json");
    let exit_code = match (error.use_stderr(), args::is_meant_to_run()) {
        (false, _) => 0,
        (true, false) => 2,
        (true, true) => OF_RUN,
    };
    if error.use_stderr() && asked_for_json {
        let text = error.render().to_string();
        // What is wrong and what would be right; then comes the usage, which is the same for all.
        let said =
            text.lines().take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"));
        let message = table::one_line(&said.collect::<Vec<_>>().join(" "));
        let message = message.trim_start_matches("error: ").to_owned();
        write_stderr(&format!("{}\n", Failed::Usage(message).to_json(exit_code)));
    } else {
        // Nobody is left to tell when this fails.
        let _ = error.print();
    }
    ExitCode::from(exit_code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_outbox_is_a_local_problem_with_what_makes_room() {
        let full = Failed::from(Error::QueueFull("9 reports wait in the store already".to_owned()));
        assert_eq!((full.exit_code(), full.code()), (1, "queue_full"));
        assert!(full.hint().is_some_and(|hint| hint.starts_with("`amply outbox flush` delivers what waits")));
    }

    #[test]
    fn what_is_left_in_the_outbox_is_counted_with_the_reason() {
        let left = |delivered, why: Option<&str>| {
            Failed::Undelivered { delivered, left: 3, why: why.map(str::to_owned) }.message()
        };
        assert_eq!(left(0, Some("no connection")), "3 left in the outbox: no connection");
        assert!(left(9, None).starts_with("9 delivered, 3 left in the outbox: the time for it ran out"));
    }
}
