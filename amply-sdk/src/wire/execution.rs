//! What `POST /route/execute` answers: a route, and what came of its execution.

use super::fields::{Fields, FromFields};
use super::json::{Extra, FromJson, Part, RawJson};
use super::route::Route;

/// A route and its execution in one (API documentation, `POST /route/execute`).
///
/// An execution that failed is an answer all the same: the route was made and may have been charged. See
/// [`succeeded`](Self::succeeded). A kept answer is read again with `serde_json::from_str::<Execution>(text)`.
// [our] the documentation says what is answered, and not how the fields of the execution are called
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Execution {
    /// The route, as [`Client::route_task`](crate::Client::route_task) has it.
    pub route: Route,
    /// What the execution was asked to use: `vault_ref` or `byo_runtime`.
    pub mode: Option<String>,
    /// How it ended.
    pub status: Option<ExecutionStatus>,
    /// Who executed it.
    pub provider_id: Option<String>,
    /// The execution's own id.
    pub execution_id: Option<String>,
    /// The stored credential that was used.
    pub credential_ref: Option<String>,
    /// The target that was used.
    pub target_url: Option<String>,
    /// How long the execution took, in ms.
    pub latency_ms: Option<f64>,
    /// What came out of it: any JSON, as it was written.
    pub output: Option<RawJson>,
    /// The kind of failure, where it failed.
    pub error_code: Option<String>,
    /// Fields of the execution that have no name here; those of the route are in [`Route::extra`].
    pub extra: Extra,
}

impl Execution {
    /// Whether the server says that the execution succeeded.
    pub fn succeeded(&self) -> bool {
        self.status == Some(ExecutionStatus::Succeeded)
    }
}

impl FromFields for Execution {
    fn from_fields(mut fields: Fields<'_>) -> Result<Self, String> {
        // One that is no object stays among the fields of the route.
        let executed = fields.take::<Executed>("execution").unwrap_or_default();
        Ok(Self {
            route: Route::from_fields(fields)?,
            mode: executed.mode,
            status: executed.status,
            provider_id: executed.provider_id,
            execution_id: executed.execution_id,
            credential_ref: executed.credential_ref,
            target_url: executed.target_url,
            latency_ms: executed.latency_ms,
            output: executed.output,
            error_code: executed.error_code,
            extra: executed.extra,
        })
    }
}

#[derive(Default)]
struct Executed {
    mode: Option<String>,
    status: Option<ExecutionStatus>,
    provider_id: Option<String>,
    execution_id: Option<String>,
    credential_ref: Option<String>,
    target_url: Option<String>,
    latency_ms: Option<f64>,
    output: Option<RawJson>,
    error_code: Option<String>,
    extra: Extra,
}

impl FromFields for Executed {
    fn from_fields(mut fields: Fields<'_>) -> Result<Self, String> {
        Ok(Self {
            mode: fields.take("mode"),
            status: fields.take("status"),
            provider_id: fields.take("provider_id"),
            execution_id: fields.take("execution_id"),
            credential_ref: fields.take("credential_ref"),
            target_url: fields.take("target_url"),
            latency_ms: fields.take("latency_ms"),
            output: fields.take("output"),
            error_code: fields.take("error_code"),
            extra: fields.rest(),
        })
    }
}

/// How an execution ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ExecutionStatus {
    /// The task was done.
    Succeeded,
    /// It was not; [`Execution::error_code`] says why.
    Failed,
    /// A word that has no name here.
    Other(String),
}

impl ExecutionStatus {
    /// The server's word.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Other(word) => word,
        }
    }
}

impl FromJson for ExecutionStatus {
    fn from_json(part: Part<'_>) -> Option<Self> {
        Some(match String::from_json(part)? {
            word if word == "succeeded" => Self::Succeeded,
            word if word == "failed" => Self::Failed,
            word => Self::Other(word),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_execution_in_any_form_costs_neither_the_route_nor_what_came_out() {
        let read = |execution: &str| {
            let text = format!(r#"{{"recommended":"qdrant","score":0.5,"execution":{execution},"new":1}}"#);
            serde_json::from_str::<Execution>(&text).unwrap()
        };
        let whole = read(r#"{"status":"succeeded","output":{"rows":[1,2.50]},"latency_ms":"12","shard":3}"#);
        assert!(whole.succeeded());
        assert_eq!(whole.output.unwrap().text(), r#"{"rows":[1,2.50]}"#);
        assert_eq!((whole.latency_ms, whole.extra["shard"].text()), (Some(12.0), "3"));
        assert_eq!(whole.route.extra.keys().collect::<Vec<_>>(), ["new"]);
        let odd = read(r#"{"status":{},"output":null,"error_code":7}"#);
        assert_eq!((odd.status.as_ref(), odd.output.is_none()), (None, true));
        assert_eq!(odd.error_code.as_deref(), Some("7"));
        assert!(!odd.succeeded());
        assert_eq!(read(r#"{"status":"queued"}"#).status, Some(ExecutionStatus::Other("queued".to_owned())));
        for none in ["null", "[]", "\"later\"", "1e400"] {
            let execution = read(none);
            assert_eq!((execution.route.recommended.as_str(), execution.status), ("qdrant", None), "{none}");
        }
        assert_eq!(read("\"later\"").route.extra["execution"].text(), "\"later\"");
        let error = serde_json::from_str::<Execution>(r#"{"execution":{"output":1}}"#).unwrap_err();
        assert!(error.to_string().contains("`recommended`"), "{error}");
    }
}
