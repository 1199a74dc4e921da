//! Every exchange recorded from a server 3.1.12, with the client in the place of the recorder: what it sends, and what
//! it makes of the answer.
//!
//! A recording is asked for by the client's own method for it, unless a table below names it and says why not. A new
//! recording that fits no rule and no table fails.

use std::collections::BTreeMap;

use amply_sdk::{
    Answer, Client, Error, Meta, Method, OpenApi, PlatformMetrics, Providers, Route, RouteRequest, Status,
    Usd,
};
use amply_tests::asking::route_request;
use amply_tests::json::Json;
use amply_tests::readings;
use amply_tests::recording::{Recording, recordings};
use serde_json::Value;
use serde_json::value::RawValue;
use wiremock::MockServer;

/// Requests that the client refuses to send, with the field that it names. The server's answer to them is read all the
/// same, after a raw call.
const REFUSED: [(&str, &str); 16] = [
    ("apikey-400-task-empty", "task"),
    ("apikey-401-before-validation", "task"),
    ("open-400-budget-negative", "budget_usd"),
    ("open-400-dimension-0", "dimension"),
    ("open-400-dimension-65537", "dimension"),
    ("open-400-filter-complexity", "filter_complexity"),
    ("open-400-latency-negative", "latency_target_ms"),
    ("open-400-referral-tag", "referral_tag"),
    ("open-400-referral-tag-65", "referral_tag"),
    ("open-400-task-4001-emoji", "task"),
    ("open-400-task-8001", "task"),
    ("open-400-task-blank", "task"),
    ("open-400-task-empty", "task"),
    ("open-400-two-errors", "task"),
    ("open-400-workload-type", "workload_type"),
    ("ratelimit-400-counts-2-of-2", "task"),
];

/// Requests that only `Client::request` can send.
const RAW: [(&str, &str); 30] = [
    ("apikey-308-trailing-slash", "the client's own paths end without a slash"),
    ("apikey-404-agent", NO_METHOD),
    ("apikey-404-base-path", NO_METHOD),
    ("apikey-404-billing-status", NO_METHOD),
    ("apikey-404-billing-topup", NO_METHOD),
    ("apikey-404-health", NO_METHOD),
    ("apikey-404-outcome", NO_METHOD),
    ("apikey-404-route-execute", NO_METHOD),
    ("apikey-404-route-outcome", NO_METHOD),
    ("apikey-404-signup-agent", NO_METHOD),
    ("apikey-405-get-route", "a route is asked for by POST"),
    ("apikey-500-json-null", "a route request is an object"),
    ("apikey-options-route", NO_METHOD),
    ("open-308-trailing-slash", "the client's own paths end without a slash"),
    ("open-400-budget-not-number", "a budget is an amount"),
    ("open-400-dimension-fraction", "a dimension is a whole number"),
    ("open-400-empty-body", "a route request is an object"),
    ("open-400-json-array", "a route request is an object"),
    ("open-400-task-missing", "a route request has a task"),
    ("open-400-task-not-string", "a task is text"),
    ("open-405-get-route", "a route is asked for by POST"),
    ("open-405-post-status", "the status is asked for by GET"),
    ("open-500-json-null", "a route request is an object"),
    ("open-head-status", NO_METHOD),
    ("open-options-route", NO_METHOD),
    ("open-options-status", NO_METHOD),
    ("open-route-budget-infinity", "an amount is finite"),
    ("open-route-null-hints", "a hint that is not set is left out"),
    ("open-route-string-numbers", "numbers are sent as numbers"),
    ("open-route-uppercase-enums", "words are sent as the API has them"),
];

const NO_METHOD: &str = "the client has no method for it";

/// Requests that no call of the client can send. The answer to them is read after another raw call.
const UNSENDABLE: [(&str, &str); 1] =
    [("open-400-invalid-json", "a body is written by serde, as whole JSON")];

/// Headers of a recorded request that the client does not send in the same form.
const OTHER_HEADERS: [(&str, &str, &str); 13] = [
    ("apikey-401-basic-scheme", "authorization", ONLY_BEARER),
    ("apikey-401-empty-bearer", "authorization", ONLY_BEARER),
    ("apikey-401-x-api-key", "x-api-key", ONLY_BEARER),
    ("apikey-options-route", "access-control-request-headers", NO_BROWSER),
    ("apikey-options-route", "access-control-request-method", NO_BROWSER),
    ("apikey-options-route", "origin", NO_BROWSER),
    (
        "apikey-route-ok-lowercase-scheme",
        "authorization",
        "the scheme is written as the documentation has it",
    ),
    ("open-400-empty-body", "content-type", "there is no content to have a type"),
    ("open-options-route", "access-control-request-headers", NO_BROWSER),
    ("open-options-route", "access-control-request-method", NO_BROWSER),
    ("open-options-route", "origin", NO_BROWSER),
    ("open-route-open-non-bearer-auth", "authorization", ONLY_BEARER),
    ("ratelimit-other-ip-ok", "x-forwarded-for", "that is for a proxy to say"),
];

const ONLY_BEARER: &str = "a key is sent as Bearer, and without a key there is no header";
const NO_BROWSER: &str = "only a browser asks whether it may ask";

/// What the client was asked to do, and what it made of the answer.
enum Came {
    Route(Answer<Route>),
    Status(Box<Answer<Status>>),
    Providers(Answer<Providers>),
    OpenApi(Answer<OpenApi>),
    PlatformMetrics(Answer<PlatformMetrics>),
    Json(Answer<Value>),
}

/// How a recording is asked for.
#[derive(Debug, PartialEq)]
enum Asked {
    Typed,
    Refused(&'static str),
    Raw,
    Unsendable,
}

/// By the tables; what no table names must be typed.
fn asked(name: &str) -> Asked {
    let is_in = |table: &[(&str, &str)]| table.iter().any(|(known, _)| *known == name);
    match REFUSED.iter().find(|(known, _)| *known == name) {
        Some((_, field)) => Asked::Refused(field),
        None if is_in(&RAW) => Asked::Raw,
        None if is_in(&UNSENDABLE) => Asked::Unsendable,
        None => Asked::Typed,
    }
}

/// The part of the recorded path that is in the base URL, and the rest.
fn split<'a>(name: &str, path: &'a str) -> Option<(&'a str, &'a str)> {
    let base = match name {
        "apikey-404-base-path" => "/api",
        "apikey-404-duplicated-prefix" => "/api/v1/api/v1",
        _ => "/api/v1",
    };
    path.split_at_checked(base.len()).filter(|(start, _)| *start == base)
}

fn client(name: &str, recording: &Recording, server: &MockServer) -> Result<Client, Error> {
    let (base, _) = split(name, &recording.request.path).unwrap_or_default();
    let builder = Client::builder().base_url(format!("{}{base}", server.uri()));
    match recording.request.key() {
        Some(key) => builder.api_key(key).build(),
        None => builder.build(),
    }
}

/// Asks by the client's own method; none when it has none for this request.
async fn ask_typed(name: &str, recording: &Recording, client: &Client) -> Option<Result<Came, Error>> {
    let request = &recording.request;
    let (_, path) = split(name, &request.path)?;
    Some(match (request.method.as_str(), path) {
        ("POST", "/route") => match route_request(&request.json()?)? {
            Ok(request) => client.route_task(request).await.map(Came::Route),
            Err(error) => Err(error),
        },
        ("GET", "/status") => client.status().await.map(Box::new).map(Came::Status),
        ("GET", "/providers") => client.providers().await.map(Came::Providers),
        ("GET", "/openapi") => client.openapi().await.map(Came::OpenApi),
        ("GET", "/platform-metrics") => client.platform_metrics().await.map(Came::PlatformMetrics),
        _ => return None,
    })
}

/// Asks by `Client::request`; without a body where the recorded one is no JSON.
async fn ask_raw(name: &str, recording: &Recording, client: &Client) -> Result<Came, Error> {
    let request = &recording.request;
    let (_, path) = split(name, &request.path).unwrap_or_default();
    let body = request.body().and_then(|text| RawValue::from_string(text).ok());
    let method = Method::from_bytes(request.method.as_bytes()).unwrap_or_default();
    client.request(method, path, body.as_deref()).await.map(Came::Json)
}

#[tokio::test]
async fn every_recorded_request_is_sent_as_recorded_and_its_answer_is_understood() {
    let mut wrong = Vec::new();
    let mut count = BTreeMap::<&str, u32>::new();
    for (name, recording) in recordings() {
        let server = recording.serve().await;
        let client = client(&name, &recording, &server).unwrap();
        let asked = asked(&name);
        let (kind, came) = match (&asked, ask_typed(&name, &recording, &client).await) {
            (Asked::Typed, Some(came)) => ("typed", came),
            (Asked::Refused(field), Some(Err(Error::Invalid { field: named, .. }))) if named == *field => {
                assert!(server.received_requests().await.unwrap().is_empty(), "{name}: nothing is sent");
                ("refused", ask_raw(&name, &recording, &client).await)
            }
            (Asked::Raw, None) if recording.response.status == 308 => {
                *count.entry("followed").or_default() += 1;
                continue;
            }
            (Asked::Raw, None) => ("raw", ask_raw(&name, &recording, &client).await),
            (Asked::Unsendable, None) => ("unsendable", ask_raw(&name, &recording, &client).await),
            (asked, came) => {
                let came = came.map(|came| came.map(|_| "an answer"));
                wrong.push(format!("{name}: is to be {asked:?}, but the client's own method gives {came:?}"));
                continue;
            }
        };
        *count.entry(kind).or_default() += 1;
        let complaints = [
            not_as_sent(&name, &recording, &server, &asked).await,
            not_understood(&recording, &client, came),
        ];
        wrong.extend(complaints.concat().into_iter().map(|what| format!("{name}: {what}")));
    }
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
    let count: Vec<_> = count.into_iter().collect();
    assert_eq!(count, [("followed", 2), ("raw", 28), ("refused", 16), ("typed", 67), ("unsendable", 1)]);
}

/// What the one request that came is not as the recorded one.
async fn not_as_sent(name: &str, recording: &Recording, server: &MockServer, asked: &Asked) -> Vec<String> {
    let requests = server.received_requests().await.unwrap_or_default();
    let [sent] = requests.as_slice() else {
        return vec![format!("{} requests were sent", requests.len())];
    };
    let recorded = &recording.request;
    let mut wrong = Vec::new();
    if sent.method.as_str() != recorded.method
        || sent.url.path() != recorded.path
        || sent.url.query().is_some()
    {
        wrong.push(format!("{} {} was sent", sent.method, sent.url));
    }
    if *asked == Asked::Unsendable {
        return wrong;
    }
    let body = String::from_utf8_lossy(&sent.body);
    let is_same = match (asked, recorded.body(), recorded.json()) {
        (Asked::Typed, Some(_), Some(recorded)) => Json::parse(&body).is_ok_and(|sent| sent.means(&recorded)),
        (_, recorded, _) => body == recorded.unwrap_or_default(),
    };
    if !is_same {
        wrong.push(format!("the body {body} was sent"));
    }
    for (header, value) in recorded.headers() {
        let sent = sent.headers.get(header).and_then(|value| value.to_str().ok());
        let header = header.to_ascii_lowercase();
        let may_differ = OTHER_HEADERS.iter().any(|(known, other, _)| *known == name && *other == header);
        if (sent == Some(value)) == may_differ {
            wrong.push(format!("{header} {value} was recorded, {sent:?} was sent"));
        }
    }
    if recorded.key().is_none() && sent.headers.contains_key("authorization") {
        wrong.push("a key was sent that nobody gave".to_owned());
    }
    wrong
}

/// What the client made of the answer that it should not have.
fn not_understood(recording: &Recording, client: &Client, came: Result<Came, Error>) -> Vec<String> {
    match (recording.response.status, came) {
        (200 | 204, Ok(came)) => not_as_answered(recording, &came),
        (200 | 204, Err(error)) => vec![format!("an error: {error}")],
        (_, Ok(_)) => vec!["an answer instead of an error".to_owned()],
        (status, Err(error)) => not_as_refused(recording, client, status, &error),
    }
}

fn not_as_answered(recording: &Recording, came: &Came) -> Vec<String> {
    let json = recording.response.json();
    let body = json.as_ref().unwrap_or(&Json::Null);
    let (mut wrong, text, meta) = match came {
        Came::Route(route) => (readings::route(route, body), route.text(), route.meta()),
        Came::Status(status) => (readings::status(status, body), status.text(), status.meta()),
        Came::Providers(providers) => {
            (readings::providers(providers, body), providers.text(), providers.meta())
        }
        Came::OpenApi(document) => (readings::openapi(document, body), document.text(), document.meta()),
        Came::PlatformMetrics(metrics) => {
            (readings::platform_metrics(metrics, body), metrics.text(), metrics.meta())
        }
        Came::Json(value) => {
            let expected = serde_json::from_str::<Value>(&body.to_string()).ok();
            let differs = (expected.as_ref() != Some(&**value)).then(|| format!("reads as {:?}", **value));
            (differs.into_iter().collect(), value.text(), value.meta())
        }
    };
    if text != recording.response.body() {
        wrong.push(format!("the text is {text}"));
    }
    wrong.extend(not_as_told(recording, meta));
    wrong
}

/// Status, headers and attempts.
fn not_as_told(recording: &Recording, meta: &Meta) -> Vec<String> {
    let response = &recording.response;
    let mut wrong = Vec::new();
    if meta.status().map(|status| status.as_u16()) != Some(response.status) || meta.attempts() != 1 {
        wrong.push(format!("status {:?} after {} attempts", meta.status(), meta.attempts()));
    }
    let json = response.json();
    let in_body = json.as_ref().and_then(|body| body.get("request_id")?.text());
    let id = response.header("x-amply-request-id").or(in_body);
    if meta.request_id() != id {
        wrong.push(format!("request id {:?} and not {id:?}", meta.request_id()));
    }
    let compute_ms = response.header("x-amply-compute-ms").and_then(|ms| ms.parse().ok());
    if meta.compute_ms() != compute_ms {
        wrong.push(format!("compute_ms {:?} and not {compute_ms:?}", meta.compute_ms()));
    }
    wrong
}

fn not_as_refused(recording: &Recording, client: &Client, status: u16, error: &Error) -> Vec<String> {
    let json = recording.response.json();
    let said = json.as_ref().and_then(|body| body.get("detail")?.text());
    let (code, detail) = match (status, said) {
        (400, Some(said)) => ("rejected", said),
        (401, Some(said)) => ("unauthorized", said),
        (404, None) => ("unsupported", "404 Not Found, with a page for people"),
        (405, None) => ("unsupported", "405 Method Not Allowed, without a word"),
        (429, Some(said)) => ("rate_limited", said),
        (500, None) => ("server", "500 Internal Server Error, without a word"),
        _ => return vec![format!("no rule says what {status} with {said:?} is")],
    };
    let mut wrong = error.meta().map_or_else(Vec::new, |meta| not_as_told(recording, meta));
    if (error.code(), error.failure().map(|failure| failure.detail())) != (code, Some(detail)) {
        wrong.push(format!("the error {}: {error}", error.code()));
    }
    if error.body().unwrap_or_default() != recording.response.body().as_bytes() {
        wrong.push("the error has another body".to_owned());
    }
    if error.failure().and_then(|failure| failure.server_code()).is_some() {
        wrong.push("this release sends no codes".to_owned());
    }
    // A server that failed may have done what a POST asked for; the others said what they did not do.
    let is_unknown = status == 500;
    if error.may_have_been_charged() != is_unknown || error.is_retryable() != (status == 429) {
        let (charged, retryable) = (error.may_have_been_charged(), error.is_retryable());
        wrong.push(format!("may have been charged: {charged}, is retryable: {retryable}"));
    }
    if let Error::RateLimited { retry_after, .. } = error {
        let header = recording.response.header("retry-after").and_then(|seconds| seconds.parse().ok());
        if header.is_none() || retry_after.map(|wait| wait.as_secs()) != header {
            wrong.push(format!("{retry_after:?} to wait and not {header:?}"));
        }
    }
    let hint = error.hint().unwrap_or_default();
    if matches!(status, 404 | 405) && !hint.contains(&format!("`{}`", client.base_url())) {
        wrong.push(format!("the base URL is not in the hint: {hint}"));
    }
    wrong
}

#[tokio::test]
async fn a_trailing_slash_is_followed_with_method_body_and_key() {
    let recordings = recordings();
    for (slashed, answered) in
        [("apikey-308-trailing-slash", "apikey-route-ok"), ("open-308-trailing-slash", "open-route-minimal")]
    {
        let (redirect, route) = (&recordings[slashed], &recordings[answered]);
        let server = redirect.serve().await;
        route.mount(&server).await;
        let client = client(slashed, redirect, &server).unwrap();
        let came = ask_raw(slashed, redirect, &client).await;
        assert_eq!(not_understood(route, &client, came), Vec::<String>::new(), "{slashed}");

        let requests = server.received_requests().await.unwrap();
        let [first, second] = requests.as_slice() else { panic!("{slashed}: {} requests", requests.len()) };
        assert_eq!(first.url.path(), redirect.request.path);
        assert_eq!(second.url.path(), route.request.path);
        assert_eq!((&first.method, &first.body), (&second.method, &second.body));
        assert_eq!(String::from_utf8_lossy(&second.body), redirect.request.body().unwrap());
        assert_eq!(first.headers, second.headers);
        assert_eq!(second.headers.contains_key("authorization"), redirect.request.key().is_some());
    }
}

#[tokio::test]
async fn a_route_reads_the_same_however_it_was_asked_for() {
    let mut count = 0;
    for (name, recording) in recordings() {
        if (recording.response.status, recording.request.path.as_str()) != (200, "/api/v1/route") {
            continue;
        }
        let server = recording.serve().await;
        let route = client(&name, &recording, &server).unwrap().route_task("anything").await.unwrap();
        let body = recording.response.json().unwrap();
        assert_eq!(readings::route(&route, &body), Vec::<String>::new(), "{name}");
        assert!(route.extra.is_empty(), "{name}: a field without a name");
        let first = &route.rankings()[0];
        assert_eq!((first.rank, &first.provider_id), (Some(1), &route.recommended), "{name}");
        assert_eq!((first.score, route.rankings().len()), (route.score, 5), "{name}");
        assert_eq!(route.meta().request_id(), route.route_id.as_deref(), "{name}");
        assert_eq!(route.meta().compute_ms(), route.compute_ms, "{name}");
        count += 1;
    }
    assert_eq!(count, 37);
}

#[tokio::test]
async fn the_figures_of_a_route_are_those_on_the_wire() {
    let (name, recordings) = ("catalog-route-user-key-all-hints", recordings());
    let server = recordings[name].serve().await;
    let route = client(name, &recordings[name], &server).unwrap().route_task("anything").await.unwrap();
    let usd = |text: &str| text.parse::<Usd>().unwrap();
    assert_eq!((route.recommended.as_str(), route.score), ("qdrant", Some(0.8916)));
    assert_eq!(route.estimated_cost_usd, Some(usd("0.00475")));
    assert_eq!((route.expected_p99_latency_ms, route.success_rate_last_24h), (Some(14.0), Some(0.982)));
    assert!(!route.is_from_fallback_catalog());

    let raw = route.raw_metrics().unwrap();
    let ids: Vec<_> = raw.all_providers.keys().map(String::as_str).collect();
    assert_eq!(ids, ["chroma", "pinecone", "qdrant", "supabase", "weaviate"], "the order is the catalog's");
    let qdrant = &raw.all_providers["qdrant"];
    assert_eq!((qdrant.cost_per_1m_dims_usd, qdrant.win_rate), (Some(usd("0.19")), Some(0.44)));
    assert_eq!(qdrant.components.as_ref().unwrap().latency, Some(1.0), "a whole number is a number");
    assert_eq!(qdrant.extra["missed_opportunity_usd"].text(), "null");
    assert_eq!((raw.budget_usd, raw.latency_target_ms), (Some(usd("0.004")), Some(20.0)));
    assert_eq!(raw.catalog_freshness.unwrap()["metrics_as_of"], "2026-11-23T17:59:24.200Z");

    let ranked: Vec<_> = route.rankings().into_iter().map(|place| place.provider_id).collect();
    assert_eq!(ranked, ["qdrant", "weaviate", "chroma", "pinecone", "supabase"], "the order is the scores'");
}

#[tokio::test]
async fn a_status_says_which_catalog_is_ranked_and_who_may_call() {
    use amply_sdk::{AuthMode, DataMode};

    let recordings = recordings();
    for (name, auth_mode, data_mode, per_minute, issue, age) in [
        ("open-status", AuthMode::Open, DataMode::Seeded, None, Some("no_admin_client"), None),
        ("apikey-status", AuthMode::ApiKey, DataMode::Seeded, Some(120), Some("no_admin_client"), None),
        ("strict-status", AuthMode::ApiKey, DataMode::Seeded, Some(120), Some("no_admin_client"), None),
        ("ratelimit-status", AuthMode::Open, DataMode::Seeded, Some(2), Some("no_admin_client"), None),
        ("catalog-status", AuthMode::ApiKey, DataMode::Catalog, Some(120), None, Some(0.0)),
        ("catalog-status-stale", AuthMode::ApiKey, DataMode::Catalog, Some(120), None, Some(30.3)),
        ("catalog-status-db-down", AuthMode::ApiKey, DataMode::Seeded, Some(120), Some("query_failed"), None),
        (
            "catalog-status-empty-table",
            AuthMode::ApiKey,
            DataMode::Seeded,
            Some(120),
            Some("empty_table"),
            None,
        ),
    ] {
        let recording = &recordings[name];
        let server = recording.serve().await;
        let status = client(name, recording, &server).unwrap().status().await.unwrap();
        assert_eq!((status.ok, status.version.as_deref()), (Some(true), Some("3.1.12")), "{name}");
        assert_eq!((&status.auth_mode, &status.data_mode), (&Some(auth_mode), &Some(data_mode)), "{name}");
        let limit = status.rate_limit.as_ref().unwrap();
        assert_eq!(limit.requests_per_minute_per_ip, per_minute, "{name}");
        assert_eq!(limit.enabled, Some(per_minute.is_some()), "{name}");
        let diagnostics = status.diagnostics.as_ref().unwrap();
        assert_eq!(diagnostics.catalog_issue.as_deref(), issue, "{name}");
        assert_eq!(diagnostics.catalog_metrics_age_hours, age, "{name}");
        assert_eq!(status.catalog_freshness.is_some(), age.is_some(), "{name}");
    }
}

#[tokio::test]
async fn the_other_answers_have_their_figures() {
    let recordings = recordings();
    let serve = async |name: &str| {
        let server = recordings[name].serve().await;
        let client = client(name, &recordings[name], &server).unwrap();
        (server, client)
    };
    let (_server, client) = serve("catalog-platform-metrics").await;
    let metrics = client.platform_metrics().await.unwrap();
    assert_eq!((metrics.decisions_last_30d, metrics.telemetry_ready), (Some(2), Some(true)));
    assert_eq!(metrics.by_category_last_30d[0].category.as_deref(), Some("vector_db"));
    let (_server, client) = serve("catalog-platform-metrics-db-down").await;
    assert_eq!(client.platform_metrics().await.unwrap().error_code.as_deref(), Some("query_exception"));

    let (_server, client) = serve("catalog-providers").await;
    let providers = client.providers().await.unwrap();
    let listing = |id: &str| {
        let provider = providers.providers.iter().find(|provider| provider.id.as_deref() == Some(id));
        provider.unwrap().catalog_listing.clone().unwrap()
    };
    assert_eq!((listing("chroma").as_str(), listing("weaviate").as_str()), ("organic", "featured"));
    assert_eq!(providers.default_scoring_weights["success"], 0.4000000000000001);

    let (_server, client) = serve("open-openapi").await;
    let document = client.openapi().await.unwrap();
    assert_eq!((document.openapi.as_deref(), document.version().as_deref()), (Some("3.0.3"), Some("3.1.12")));
    let operations = document.operations();
    let named: Vec<_> = operations.iter().map(|known| (known.method.as_str(), known.path.as_str())).collect();
    let paths = ["openapi", "status", "providers", "platform-metrics"].map(|path| format!("/api/v1/{path}"));
    let mut expected: Vec<_> = paths.iter().map(|path| ("GET", path.as_str())).collect();
    expected.push(("POST", "/api/v1/route"));
    assert_eq!(named, expected);
}

#[test]
fn an_empty_key_is_refused_before_it_can_be_sent() {
    let error = Client::builder().base_url("http://127.0.0.1:9").api_key("").build().unwrap_err();
    assert_eq!(error.code(), "config");
}

#[test]
fn every_name_in_the_tables_is_a_recording_and_in_one_table_only() {
    let recordings = recordings();
    assert_eq!(recordings.len(), 114);
    let tables = [REFUSED.as_slice(), &RAW, &UNSENDABLE].concat();
    for (name, _) in &tables {
        assert!(recordings.contains_key(*name), "{name}");
        assert_eq!(tables.iter().filter(|(other, _)| other == name).count(), 1, "{name}");
    }
    for (name, header, _) in OTHER_HEADERS {
        let mut headers = recordings[name].request.headers();
        assert!(headers.any(|(known, _)| known.eq_ignore_ascii_case(header)), "{name} {header}");
    }
}

#[test]
fn a_request_that_can_be_typed_is_not_in_the_table_of_raw_ones() {
    let typed = |name: &str| matches!(asked(name), Asked::Typed);
    for (name, recording) in recordings() {
        let body = recording.request.json();
        let request: Option<Result<RouteRequest, Error>> = body.as_ref().and_then(route_request);
        let is_route = recording.request.method == "POST" && recording.request.path.ends_with("/route");
        if is_route {
            assert_eq!(matches!(request, Some(Ok(_))), typed(&name), "{name}");
        }
    }
}
