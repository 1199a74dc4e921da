//! What this client sends to each endpoint and reads of its answer: the one table that [`OpenApi::drift`](crate::OpenApi::drift)
//! compares with a server's own document. What is read is asked of the types themselves; what is sent is listed, and a test
//! compares each list with a request that has everything set.

use crate::endpoint::Endpoint;
use crate::wire::{
    AddedCredential, AgentManifest, Audit, BillingStatus, CredentialList, Execution, FromFields, FromJson,
    Health, Integration, NewAccount, OutcomeReceipt, PlatformMetrics, Providers, RawMetrics, RemovalReceipt,
    Route, RuledOut, SavingsReport, Shape, Status,
};

/// One endpoint.
pub(crate) struct Spoken {
    pub(crate) endpoint: Endpoint,
    /// What its path has besides.
    pub(crate) tail: &'static str,
    /// The fields of the body; a dot leads into a field's own.
    pub(crate) sends: &'static [Sent],
    pub(crate) query: &'static [Sent],
    pub(crate) reads: fn() -> Shape,
}

/// A field that is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) name: &'static str,
    pub(crate) is_always: bool,
}

const fn always(name: &'static str) -> Sent {
    Sent { name, is_always: true }
}

const fn at_times(name: &'static str) -> Sent {
    Sent { name, is_always: false }
}

const NOTHING: &[Sent] = &[];

/// What a route is asked with, and what an execution is asked with besides.
macro_rules! route_and {
    ($($more:expr,)*) => {
        &[
            always("task"),
            at_times("dimension"),
            at_times("workload_type"),
            at_times("filter_complexity"),
            at_times("budget_usd"),
            at_times("latency_target_ms"),
            at_times("budget_usd_per_1m_ops"),
            at_times("slo_p99_ms"),
            at_times("referral_tag"),
            at_times("sandbox_mode"),
            at_times("enterprise_policy"),
            $($more,)*
        ]
    };
}

const ROUTE: &[Sent] = route_and![];

const OUTCOME: &[Sent] =
    &[always("route_id"), always("success"), at_times("actual_latency_ms"), at_times("error_code")];

const ROUTE_OUTCOME: &[Sent] = &[always("request_id"), always("provider_id"), always("outcome")];

const EXECUTE: &[Sent] = route_and![
    always("execution"),
    always("execution.mode"),
    at_times("execution.credential_ref"),
    at_times("execution.target"),
    always("execution.target.url"),
    at_times("execution.target.headers"),
    at_times("execution.input"),
];

const TOPUP: &[Sent] =
    &[always("amount_usd"), at_times("principal_id"), always("idempotency_key"), always("reason")];

const CREDENTIAL: &[Sent] = &[always("provider_id"), at_times("label"), always("secret")];

/// Every endpoint that this client speaks with.
pub(crate) const ALL: &[Spoken] = &[
    Spoken::new(Endpoint::AGENT, NOTHING, of::<AgentManifest>),
    Spoken::asking(Endpoint::AUDIT, &[always("request_id")], of::<Audit>),
    Spoken::new(Endpoint::BILLING_STATUS, NOTHING, of::<BillingStatus>),
    Spoken::new(Endpoint::BILLING_TOPUP, TOPUP, topped_up),
    Spoken::new(Endpoint::CREDENTIAL_ADD, CREDENTIAL, of::<AddedCredential>),
    Spoken::new(Endpoint::CREDENTIAL_LIST, NOTHING, of::<CredentialList>),
    Spoken {
        endpoint: Endpoint::CREDENTIAL_REMOVE,
        tail: "/{id}",
        sends: NOTHING,
        query: NOTHING,
        reads: of::<RemovalReceipt>,
    },
    Spoken::new(Endpoint::EXECUTE, EXECUTE, execution),
    Spoken::new(Endpoint::HEALTH, NOTHING, of::<Health>),
    Spoken::new(Endpoint::OPENAPI, NOTHING, as_it_came),
    Spoken::new(Endpoint::OUTCOME, OUTCOME, of::<OutcomeReceipt>),
    Spoken::new(Endpoint::PLATFORM_METRICS, NOTHING, of::<PlatformMetrics>),
    Spoken::new(Endpoint::PROVIDERS, NOTHING, of::<Providers>),
    Spoken::new(Endpoint::REPORT, &[always("period")], of::<SavingsReport>),
    Spoken::new(Endpoint::ROUTE, ROUTE, route),
    Spoken::new(Endpoint::ROUTE_OUTCOME, ROUTE_OUTCOME, older_receipt),
    Spoken::new(Endpoint::SIGNUP, &[always("accept_tos_version")], NewAccount::shape),
    Spoken::new(Endpoint::STATUS, NOTHING, of::<Status>),
];

impl Spoken {
    const fn new(endpoint: Endpoint, sends: &'static [Sent], reads: fn() -> Shape) -> Self {
        Self { endpoint, tail: "", sends, query: NOTHING, reads }
    }

    const fn asking(endpoint: Endpoint, query: &'static [Sent], reads: fn() -> Shape) -> Self {
        Self { endpoint, tail: "", sends: NOTHING, query, reads }
    }

    /// Method and path, as people write them.
    pub(crate) fn name(&self) -> String {
        format!("{} {}{}", self.endpoint.method, self.endpoint.path, self.tail)
    }
}

fn of<T: FromFields>() -> Shape {
    Shape::of::<T>().0
}

/// An answer of which no field is looked for by name.
fn as_it_came() -> Shape {
    Shape::Value
}

/// A route keeps its largest parts as they came.
fn route() -> Shape {
    in_parts(of::<Route>())
}

/// A route, and in the same object what came of it.
fn execution() -> Shape {
    in_parts(of::<Execution>())
}

fn in_parts(shape: Shape) -> Shape {
    shape
        .with("raw_metrics", of::<RawMetrics>())
        .with("integration", of::<Integration>())
        .with("filtered_out", Vec::<RuledOut>::shape())
}

/// Read by the payer, who takes no other form of these.
fn topped_up() -> Shape {
    Shape::object(&["ok", "credited_usd", "balance_usd", "topup_id"])
}

/// The older endpoint says only that it took the report.
fn older_receipt() -> Shape {
    of::<OutcomeReceipt>().only(&["received"])
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::wire::{
        CredentialBody, ExecuteRequest, OutcomeBody, Period, RouteOutcomeBody, RouteRequest, SavingsQuery,
        SignupBody, Target,
    };

    /// The fields of a request that has everything set, and of one that has nothing set.
    fn sent(endpoint: &Endpoint) -> Option<(Value, Value)> {
        let everything_and_nothing = match endpoint.path {
            "/billing/topup" => (
                json!({"amount_usd": 1, "principal_id": "p", "idempotency_key": "k", "reason": "r"}),
                json!({"amount_usd": 1, "idempotency_key": "k", "reason": "r"}),
            ),
            "/credentials" if endpoint.method == http::Method::POST => (
                json!(CredentialBody { provider_id: "p", label: Some("l"), secret: "s" }),
                json!(CredentialBody { provider_id: "p", label: None, secret: "s" }),
            ),
            "/outcome" => {
                let body = |actual_latency_ms, error_code| {
                    json!(OutcomeBody { route_id: "r", success: false, actual_latency_ms, error_code })
                };
                (body(Some(1), Some("e")), body(None, None))
            }
            "/report" => {
                let body = json!(SavingsQuery { period: Period::Days30 });
                (body.clone(), body)
            }
            "/route" => (json!(RouteRequest::with_everything()), json!(RouteRequest::new("t"))),
            "/route/execute" => {
                let target = Target::new("https://host/run").unwrap().header("x-a", "b").unwrap();
                let at_target = ExecuteRequest::at_target(RouteRequest::with_everything(), target).input(1);
                let with_credential = ExecuteRequest::with_credential("t", "cred_1");
                let (mut everything, nothing) = (json!(at_target), json!(with_credential));
                // A request has one of the two.
                everything["execution"]["credential_ref"] = nothing["execution"]["credential_ref"].clone();
                let mut least = nothing;
                least["execution"].as_object_mut().unwrap().remove("credential_ref");
                (everything, least)
            }
            "/route/outcome" => {
                let body = json!(RouteOutcomeBody { request_id: "r", provider_id: "p", outcome: "success" });
                (body.clone(), body)
            }
            "/signup/agent" => {
                let body = json!(SignupBody { accept_tos_version: "1" });
                (body.clone(), body)
            }
            _ => return None,
        };
        Some(everything_and_nothing)
    }

    fn names(value: &Value, at: &str) -> Vec<String> {
        let members = value.as_object().into_iter().flatten();
        members.map(|(name, _)| format!("{at}{name}")).collect()
    }

    /// All names, those within a field too where the table has some.
    fn all_names(value: &Value, sends: &[Sent], at: &str) -> Vec<String> {
        let mut all = Vec::new();
        for name in names(value, at) {
            let within = format!("{name}.");
            let member = value.get(name.strip_prefix(at).unwrap()).unwrap();
            if sends.iter().any(|sent| sent.name.starts_with(&within)) {
                all.extend(all_names(member, sends, &within));
            }
            all.push(name);
        }
        all.sort();
        all
    }

    #[test]
    fn the_table_has_every_field_that_is_sent_and_no_other() {
        for spoken in ALL {
            let Some((everything, nothing)) = sent(&spoken.endpoint) else {
                assert!(
                    spoken.sends.is_empty(),
                    "{}: a request with everything set is missing here",
                    spoken.name()
                );
                continue;
            };
            let mut listed: Vec<_> = spoken.sends.iter().map(|sent| sent.name.to_owned()).collect();
            listed.sort();
            assert_eq!(all_names(&everything, spoken.sends, ""), listed, "{}", spoken.name());
            let always = spoken.sends.iter().filter(|sent| sent.is_always && !sent.name.contains('.'));
            let mut always: Vec<_> = always.map(|sent| sent.name.to_owned()).collect();
            always.sort();
            let mut least = names(&nothing, "");
            least.sort();
            assert_eq!(least, always, "{}", spoken.name());
        }
    }

    #[test]
    fn every_endpoint_of_the_client_is_in_the_table_once() {
        for endpoint in crate::endpoint::ALL {
            let rows = ALL.iter().filter(|spoken| {
                spoken.endpoint.method == endpoint.method && spoken.endpoint.path == endpoint.path
            });
            assert_eq!(rows.count(), 1, "{} {}", endpoint.method, endpoint.path);
        }
    }

    #[test]
    fn a_type_that_is_read_says_all_that_it_reads() {
        fn is_read_to_its_end<T: FromFields>() {
            let read = Shape::of::<T>().1;
            assert!(read.is_ok(), "{}: {:?}", std::any::type_name::<T>(), read.err());
        }
        is_read_to_its_end::<AddedCredential>();
        is_read_to_its_end::<AgentManifest>();
        is_read_to_its_end::<Audit>();
        is_read_to_its_end::<BillingStatus>();
        is_read_to_its_end::<CredentialList>();
        is_read_to_its_end::<Execution>();
        is_read_to_its_end::<Health>();
        is_read_to_its_end::<Integration>();
        is_read_to_its_end::<OutcomeReceipt>();
        is_read_to_its_end::<PlatformMetrics>();
        is_read_to_its_end::<Providers>();
        is_read_to_its_end::<RawMetrics>();
        is_read_to_its_end::<RemovalReceipt>();
        is_read_to_its_end::<Route>();
        is_read_to_its_end::<SavingsReport>();
        is_read_to_its_end::<Status>();
    }
}
