//! The client's methods for what the server does with a route besides ranking, and for what it keeps for that.

use super::Client;
use crate::answer::Answer;
use crate::call::encode;
use crate::credentials::Credentials;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::wire::{ExecuteRequest, Execution, Period, SavingsQuery, SavingsReport};

impl Client {
    /// Routes a task and has it executed, in one call (`POST /route/execute`): with a credential that the server keeps, or at a
    /// target of one's own.
    ///
    /// A 402 is paid as that of [`route_task`](Self::route_task) is, and so are the rules of principals. An execution that failed
    /// is an answer, not an error: see [`Execution::succeeded`]. Once the server can have seen the call it is never sent again,
    /// not even with [`repeat_ambiguous`](crate::RetryPolicy::repeat_ambiguous): a provider may have begun. It may take longer
    /// than one attempt has by default, 20 s; see [`Options::attempt_timeout`](crate::Options::attempt_timeout).
    ///
    /// Managed execution is not a guaranteed v1 contract of the API.
    ///
    /// # Errors
    /// As [`route_task`](Self::route_task); [`Error::NotFound`] when there is no such credential, or it is another's. The answer
    /// inside [`Error::PrincipalNotBound`] is whole: `serde_json::from_str::<Execution>(answer.text())` reads it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sandbox = amply_sandbox::Sandbox::builder().start().await?;
    /// # let client = amply_sdk::Client::builder().base_url(sandbox.url()).api_key(sandbox.user_key()).build()?;
    /// use amply_sdk::{ExecuteRequest, Target};
    /// use serde_json::json;
    ///
    /// let target = Target::new("https://worker.example/run")?;
    /// let request = ExecuteRequest::at_target("store 1M vectors", target).input(json!({"rows": 3}));
    /// let execution = client.execute(request).await?;
    /// assert_eq!(execution.route.recommended, "qdrant");
    /// assert!(execution.succeeded());
    /// // The sandbox executes nothing: what comes out is what went in.
    /// assert_eq!(execution.output.as_ref().map(|output| output.text()), Some(r#"{"rows":3}"#));
    /// # Ok(()) }
    /// ```
    pub async fn execute(&self, request: ExecuteRequest) -> Result<Answer<Execution>, Error> {
        self.execution(&request).await
    }

    /// The credentials that the server keeps for executions: list, add, remove. They need a key that is bound to a user.
    ///
    /// ```
    /// # let client = amply_sdk::Client::builder().base_url("http://127.0.0.1:9").build()?;
    /// let credentials = client.credentials();
    /// # Ok::<(), amply_sdk::Error>(())
    /// ```
    pub fn credentials(&self) -> Credentials {
        Credentials::new(self.clone())
    }

    /// What the routes of this key's principal cost and saved in a period (`POST /report`), with a sentence to share. It needs a
    /// key that is bound to a user.
    ///
    /// Not to be confused with [`report`](Self::report), which reports how a route went.
    ///
    /// It only reads: it may be sent again after any failure.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for a key that is bound to no principal; else by the table of [`Error`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sandbox = amply_sandbox::Sandbox::builder().start().await?;
    /// # let client = amply_sdk::Client::builder().base_url(sandbox.url()).api_key(sandbox.user_key()).build()?;
    /// use amply_sdk::Period;
    ///
    /// client.route_task("store 1M vectors").await?;
    /// let report = client.savings_report(Period::Days30).await?;
    /// let totals = report.totals.as_ref().ok_or("no totals")?;
    /// assert_eq!(totals.routes, Some(1));
    /// println!("{}", report.summary.as_deref().unwrap_or_default());
    /// # Ok(()) }
    /// ```
    pub async fn savings_report(&self, period: Period) -> Result<Answer<SavingsReport>, Error> {
        self.ask(&Endpoint::REPORT, "", Some(encode(&SavingsQuery { period })?)).await
    }
}
