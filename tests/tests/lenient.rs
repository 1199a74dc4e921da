//! An answer that is not as expected is still an answer: what can be read is read, what cannot is kept as text.
//!
//! The recorded answers are changed at random and served again. What the client must still say is in
//! `amply_tests::readings`.

use std::error::Error as StdError;
use std::sync::{Arc, Mutex, PoisonError};

use amply_sdk::{Answer, Client, Error, Method, Route};
use amply_tests::json::Json;
use amply_tests::readings;
use amply_tests::recording::recordings;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use wiremock::matchers::any as anything;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

type Failure = Box<dyn StdError>;

/// A server that says what it is told to, and a client of it.
struct Saying {
    body: Body,
    client: Client,
    _server: MockServer,
}

#[derive(Clone, Default)]
struct Body(Arc<Mutex<Vec<u8>>>);

impl Respond for Body {
    fn respond(&self, _: &Request) -> ResponseTemplate {
        let body = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        ResponseTemplate::new(200).set_body_raw(body, "application/json")
    }
}

impl Saying {
    async fn start() -> Result<Self, Failure> {
        let (server, body) = (MockServer::start().await, Body::default());
        Mock::given(anything()).respond_with(body.clone()).mount(&server).await;
        let client = Client::builder().base_url(server.uri()).build()?;
        Ok(Self { body, client, _server: server })
    }

    fn say(&self, body: impl Into<Vec<u8>>) -> &Client {
        *self.body.0.lock().unwrap_or_else(PoisonError::into_inner) = body.into();
        &self.client
    }

    async fn route(&self, body: &str) -> Result<Answer<Route>, Error> {
        self.say(body).route_task("store 1M vectors").await
    }
}

/// What can happen to a value within an answer.
#[derive(Clone, Debug)]
enum Change {
    Remove,
    Replace(&'static str),
    /// A number becomes text, anything else its JSON as text.
    Quote,
    /// A new field beside it, or in it if it is an object.
    Add(&'static str, &'static str),
    /// The same name once more, before or after.
    Repeat(&'static str, bool),
}

const VALUES: [&str; 18] = [
    "null",
    "true",
    "\"text\"",
    "\"\"",
    "42",
    "-1.5",
    "1e400",
    "-1e400",
    "18446744073709551616",
    "0.1234567890123456789012345678901234",
    "[]",
    "{}",
    "[1,{\"a\":null}]",
    "{\"a\":\"b\",\"summary\":7}",
    "\"\\u0000 \u{1f680} \\u202e\"",
    "[{\"provider_id\":\"qdrant\"},{\"rank\":1}]",
    "\" 7 \"",
    "\"NaN\"",
];

/// Fields of later releases, an unknown one, and a name that is an operation in an OpenAPI document.
const NAMES: [&str; 9] = [
    "rankings",
    "usage",
    "estimated_charge_usd",
    "agent_hints",
    "integration",
    "metrics_source",
    "principal_binding",
    "seen later",
    "get",
];

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        Just(Change::Remove),
        select(&VALUES).prop_map(Change::Replace),
        Just(Change::Quote),
        (select(&NAMES), select(&VALUES)).prop_map(|(name, value)| Change::Add(name, value)),
        (select(&VALUES), any::<bool>()).prop_map(|(value, last)| Change::Repeat(value, last)),
    ]
}

impl Change {
    /// Changes the value that `at` points at: anywhere, or in the outermost object only.
    fn apply(&self, body: &mut Json, at: Index, shallow: bool) {
        let places = places(body, shallow);
        if places.is_empty() {
            return;
        }
        let Some((last, parent)) = at.get(&places).split_last() else { return };
        let parent = parent.iter().try_fold(body, |node, step| child(node, *step));
        match parent {
            Some(Json::Object(fields)) => self.apply_to_field(fields, *last),
            Some(Json::List(items)) => match (self, items.get_mut(*last)) {
                (Self::Remove, Some(_)) => drop(items.remove(*last)),
                (Self::Replace(value), Some(item)) => *item = json(value),
                (Self::Quote, Some(item)) => *item = quoted(item),
                (Self::Add(name, value), Some(Json::Object(fields))) => {
                    fields.push(((*name).to_owned(), json(value)));
                }
                (Self::Add(_, value) | Self::Repeat(value, _), _) => items.push(json(value)),
                _ => {}
            },
            _ => {}
        }
    }

    fn apply_to_field(&self, fields: &mut Vec<(String, Json)>, number: usize) {
        let Some((name, node)) = fields.get_mut(number) else { return };
        match self {
            Self::Remove => drop(fields.remove(number)),
            Self::Replace(value) => *node = json(value),
            Self::Quote => *node = quoted(node),
            Self::Add(added, value) => match node {
                Json::Object(inner) => inner.push(((*added).to_owned(), json(value))),
                _ => fields.push(((*added).to_owned(), json(value))),
            },
            Self::Repeat(value, last) => {
                let again = (name.clone(), json(value));
                fields.insert(number + usize::from(*last), again);
            }
        }
    }
}

fn json(text: &str) -> Json {
    Json::parse(text).unwrap_or(Json::Null)
}

fn quoted(node: &Json) -> Json {
    Json::Text(node.to_string())
}

fn children(node: &mut Json) -> Vec<&mut Json> {
    match node {
        Json::Object(fields) => fields.iter_mut().map(|(_, value)| value).collect(),
        Json::List(items) => items.iter_mut().collect(),
        _ => Vec::new(),
    }
}

fn child(node: &mut Json, number: usize) -> Option<&mut Json> {
    children(node).into_iter().nth(number)
}

/// The way to every value but the outermost.
fn places(node: &mut Json, shallow: bool) -> Vec<Vec<usize>> {
    let mut found = Vec::new();
    for (number, child) in children(node).into_iter().enumerate() {
        found.push(vec![number]);
        if !shallow {
            found.extend(places(child, false).into_iter().map(|way| [vec![number], way].concat()));
        }
    }
    found
}

/// Serves 256 changed answers of `path`, the same ones each time. `ask` says what is wrong with what the client makes
/// of one.
fn change_at_random(path: &str, ask: impl AsyncFn(&Client, &Json) -> Vec<String>) -> Result<(), Failure> {
    let recorded: Vec<Json> = recordings()
        .into_values()
        .filter(|recording| recording.response.status == 200 && recording.request.path == path)
        .filter_map(|recording| recording.response.json())
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let saying = runtime.block_on(Saying::start())?;
    let config = Config { cases: 256, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let changes = prop::collection::vec((change(), any::<Index>(), any::<bool>()), 0..8);
    runner.run(&(any::<Index>(), changes), |(which, changes)| {
        let mut body = which.get(&recorded).clone();
        for (change, at, shallow) in changes {
            change.apply(&mut body, at, shallow);
        }
        let client = saying.say(body.to_string());
        let wrong = runtime.block_on(ask(client, &body));
        prop_assert!(wrong.is_empty(), "{wrong:#?}\n{body}");
        Ok(())
    })?;
    Ok(())
}

/// What is wrong with an answer, or that it is none.
fn read<T>(
    came: Result<Answer<T>, Error>,
    body: &Json,
    readings: impl FnOnce(&T, &Json) -> Vec<String>,
) -> Vec<String> {
    let answer = match came {
        Ok(answer) => answer,
        Err(error) => return vec![format!("an error: {error}")],
    };
    let mut wrong = readings(&answer, body);
    if answer.text() != body.to_string() {
        wrong.push(format!("the text is {}", answer.text()));
    }
    if let Some(id) = body.get("request_id").and_then(Json::text)
        && answer.meta().request_id() != Some(id)
    {
        wrong.push(format!("the request id is {:?}", answer.meta().request_id()));
    }
    wrong
}

#[test]
fn a_route_is_read_as_long_as_it_says_which_provider() {
    change_at_random("/api/v1/route", async |client, body| {
        let came = client.route_task("store 1M vectors").await;
        let recommended = body.get("recommended");
        match (came, recommended) {
            (Err(error), recommended) if recommended.and_then(Json::text).is_none_or(str::is_empty) => {
                let kept = error.body() == Some(body.to_string().as_bytes());
                if error.code() == "protocol" && kept && error.may_have_been_charged() {
                    return Vec::new();
                }
                vec![format!("another error, body kept: {kept}: {error}")]
            }
            // A number may be read as its text.
            (Ok(_), Some(Json::Number(_))) => Vec::new(),
            (Ok(_), recommended) if recommended.and_then(Json::text).is_none_or(str::is_empty) => {
                vec!["a route to nowhere".to_owned()]
            }
            (came, _) => read(came, body, readings::route),
        }
    })
    .unwrap();
}

#[test]
fn a_status_is_read_whatever_it_says() {
    change_at_random("/api/v1/status", async |client, body| {
        read(client.status().await, body, readings::status)
    })
    .unwrap();
}

#[test]
fn providers_are_read_whatever_is_said_of_them() {
    change_at_random("/api/v1/providers", async |client, body| {
        read(client.providers().await, body, readings::providers)
    })
    .unwrap();
}

#[test]
fn platform_metrics_are_read_whatever_they_say() {
    change_at_random("/api/v1/platform-metrics", async |client, body| {
        read(client.platform_metrics().await, body, readings::platform_metrics)
    })
    .unwrap();
}

#[test]
fn an_openapi_document_is_read_whatever_it_says() {
    change_at_random("/api/v1/openapi", async |client, body| {
        read(client.openapi().await, body, readings::openapi)
    })
    .unwrap();
}

#[test]
fn a_recorded_answer_that_is_not_changed_is_served_as_it_was_recorded() {
    for (name, recording) in recordings() {
        if let Some(body) = recording.response.json() {
            assert_eq!(body.to_string(), recording.response.body(), "{name}");
        }
    }
}

#[tokio::test]
async fn what_is_no_json_object_is_no_answer() {
    let saying = Saying::start().await.unwrap();
    for body in
        ["", " ", "null", "[]", "\"qdrant\"", "1", "{", "{}{}", "{\"recommended\":}", "{'recommended':1}"]
    {
        let client = saying.say(body);
        let route = client.route_task("store 1M vectors").await.unwrap_err();
        assert_eq!((route.code(), route.may_have_been_charged()), ("protocol", true), "{body:?}");
        let others = [
            client.status().await.map(drop),
            client.providers().await.map(drop),
            client.platform_metrics().await.map(drop),
            client.openapi().await.map(drop),
        ];
        for error in others.map(Result::unwrap_err) {
            assert_eq!((error.code(), error.may_have_been_charged()), ("protocol", false), "{body:?}");
        }
    }
    let error = saying.say(b"{\"recommended\":\"\xff\"}".as_slice()).route_task("x").await.unwrap_err();
    assert_eq!(error.code(), "protocol");
    assert_eq!(error.body(), Some(b"{\"recommended\":\"\xff\"}".as_slice()));
}

#[tokio::test]
async fn an_empty_object_is_an_answer_that_says_nothing() {
    let saying = Saying::start().await.unwrap();
    let client = saying.say("{}");
    assert_eq!(client.status().await.unwrap().ok, None);
    assert!(client.providers().await.unwrap().providers.is_empty());
    assert_eq!(client.platform_metrics().await.unwrap().ok, None);
    let document = client.openapi().await.unwrap();
    assert_eq!((document.version(), document.operations().len()), (None, 0));
}

#[tokio::test]
async fn reasons_may_be_text_a_list_an_object_or_a_number() {
    let saying = Saying::start().await.unwrap();
    for (why, explained) in [
        (r#""it is fast""#, Some("it is fast")),
        (r#"["fast","cheap",3]"#, Some("fast; cheap; 3")),
        (r#"{"latency":"fast","cost":0.19}"#, Some("latency: fast; cost: 0.19")),
        ("0.5", Some("0.5")),
        ("true", Some("true")),
        ("null", None),
        ("1e400", Some("1e400")),
    ] {
        let route = saying.route(&format!(r#"{{"recommended":"qdrant","why":{why}}}"#)).await.unwrap();
        assert_eq!(route.why_text().as_deref(), explained, "{why}");
    }
}

#[tokio::test]
async fn the_age_of_the_catalog_may_be_null_text_or_an_object() {
    let saying = Saying::start().await.unwrap();
    for freshness in ["null", r#""2 hours""#, r#"{"metrics_as_of":"2026-11-23T17:59:24.200Z","rows":[1,2]}"#]
    {
        let expected = serde_json::from_str::<Option<serde_json::Value>>(freshness).unwrap();
        let client = saying.say(format!(
            r#"{{"recommended":"qdrant","catalog_freshness":{freshness},"raw_metrics":{{"catalog_freshness":{freshness}}}}}"#
        ));
        assert_eq!(client.status().await.unwrap().catalog_freshness, expected);
        assert_eq!(client.providers().await.unwrap().catalog_freshness, expected);
        let route = client.route_task("store 1M vectors").await.unwrap();
        assert_eq!(route.raw_metrics().unwrap().catalog_freshness, expected);
        assert_eq!(route.extra["catalog_freshness"].text(), freshness);
    }
}

#[tokio::test]
async fn rankings_that_came_are_not_derived() {
    let saying = Saying::start().await.unwrap();
    let route = saying
        .route(
            r#"{"recommended":"b","rankings":[
                {"provider_id":"b","rank":1,"score":"0.7","confidence_sources":["probe","later"],"new":{"x":1.0}},
                {"provider_id":"a","rank":2.0,"p99_latency_ms":null}],
                "raw_metrics":{"all_providers":{"a":{"composite_score":0.9},"b":{"composite_score":0.7}}}}"#,
        )
        .await
        .unwrap();
    let rankings = route.rankings();
    assert_eq!(
        (rankings[0].provider_id.as_str(), rankings[0].rank, rankings[0].score),
        ("b", Some(1), Some(0.7))
    );
    assert_eq!(
        rankings[0].confidence_sources.as_deref(),
        Some(["probe".to_owned(), "later".to_owned()].as_slice())
    );
    assert_eq!(rankings[0].extra["new"].text(), r#"{"x":1.0}"#);
    assert_eq!((rankings[1].provider_id.as_str(), rankings[1].rank, rankings[1].score), ("a", Some(2), None));
}

#[tokio::test]
async fn derived_rankings_put_the_recommended_one_first_and_then_go_by_score() {
    let saying = Saying::start().await.unwrap();
    let providers = r#"{"a":{"composite_score":0.7},"none":{},"b":{"composite_score":0.7},"c":{"composite_score":0.8},
        "d":{"composite_score":"0.7"},"broken":7}"#;
    for rankings in ["null", "[]", "{}", "[7]", r#"[{"score":1}]"#] {
        let body = format!(
            r#"{{"recommended":"b","rankings":{rankings},"raw_metrics":{{"all_providers":{providers}}}}}"#
        );
        let route = saying.route(&body).await.unwrap();
        let derived: Vec<_> =
            route.rankings().into_iter().map(|place| (place.rank, place.provider_id)).collect();
        let expected = ["b", "c", "a", "d", "none"].map(str::to_owned);
        let expected: Vec<_> = (1..).map(Some).zip(expected).collect();
        assert_eq!(derived, expected, "{rankings}");
    }
    assert!(saying.route(r#"{"recommended":"b"}"#).await.unwrap().rankings().is_empty());
}

#[tokio::test]
async fn rankings_without_ranks_are_put_in_order_and_numbered() {
    let saying = Saying::start().await.unwrap();
    let rankings = r#"[{"provider_id":"a","score":0.1},{"provider_id":"c","score":0.9},{"provider_id":"b","score":0.5}]"#;
    let route = saying.route(&format!(r#"{{"recommended":"b","rankings":{rankings}}}"#)).await.unwrap();
    let places: Vec<_> = route.rankings().into_iter().map(|place| (place.rank, place.provider_id)).collect();
    let expected = [(Some(1), "b"), (Some(2), "c"), (Some(3), "a")].map(|(rank, id)| (rank, id.to_owned()));
    assert_eq!(places, expected);
}

#[tokio::test]
async fn what_was_ruled_out_may_be_ids_or_objects() {
    let saying = Saying::start().await.unwrap();
    let out =
        r#"["a",{"provider_id":"b","reasons":["slow","dear"]},{"provider_id":"c","reason":"slow"},{"x":1}]"#;
    let route = saying.route(&format!(r#"{{"recommended":"q","filtered_out":{out}}}"#)).await.unwrap();
    let read: Vec<_> = route.ruled_out().into_iter().map(|out| (out.provider_id, out.reasons)).collect();
    let expected = [("a", vec![]), ("b", vec!["slow", "dear"]), ("c", vec!["slow"])];
    let expected =
        expected.map(|(id, reasons)| (id.to_owned(), reasons.into_iter().map(str::to_owned).collect()));
    assert_eq!(read, expected);
    assert_eq!(route.filtered_out.as_ref().unwrap().text(), out);
}

#[tokio::test]
async fn an_answer_that_was_kept_as_json_is_read_again() {
    let saying = Saying::start().await.unwrap();
    let body = r#"{"recommended":"qdrant","score":"0.5","new":[1.10,1e400],"score":0.9}"#;
    let route = saying.route(body).await.unwrap();
    assert_eq!(serde_json::from_str::<Route>(body).unwrap(), *route);
    assert_eq!(serde_json::to_string(&route.extra).unwrap(), r#"{"new":[1.10,1e400]}"#);
    let value = serde_json::json!({"recommended": "qdrant", "score": 0.9});
    assert_eq!(serde_json::from_value::<Route>(value).unwrap().score, Some(0.9));
    let error = serde_json::from_str::<Route>(r#"{"score":1}"#).unwrap_err().to_string();
    assert!(error.contains("`recommended`"), "{error}");

    let client = saying.say(body);
    let raw: Answer<Route> = client.request(Method::GET, "/kept", None::<&()>).await.unwrap();
    assert_eq!((&*raw, raw.text()), (&*route, body));
}

#[tokio::test]
async fn an_unknown_field_is_kept_with_its_exact_text() {
    let saying = Saying::start().await.unwrap();
    let body = "{ \"recommended\":\"qdrant\" , \"new\" : { \"b\":1.10, \"a\" : [1e400, \"\\u00e9\"] } ,\"big\":123456789012345678901234567890}\n";
    let route = saying.route(body).await.unwrap();
    assert_eq!(route.extra["new"].text(), "{ \"b\":1.10, \"a\" : [1e400, \"\\u00e9\"] }");
    assert_eq!(route.extra["big"].text(), "123456789012345678901234567890");
    assert_eq!(route.extra.len(), 2);
    assert_eq!(route.text(), body);
}

#[tokio::test]
async fn half_a_surrogate_pair_in_an_answer_costs_only_the_value_it_is_in() {
    let saying = Saying::start().await.unwrap();
    for body in [
        r#"{"recommended":"qdrant","request_id":"\ud83d","score":0.5}"#,
        r#"{"recommended":"qdrant","new \ud83d":1,"score":0.5}"#,
        r#"{"recommended":"qdrant","new":{"\udc00":1},"score":0.5}"#,
    ] {
        let route = saying.route(body).await.unwrap();
        assert_eq!((route.recommended.as_str(), route.score, route.text()), ("qdrant", Some(0.5), body));
        assert_eq!(route.extra.len(), 1, "{body}");
    }
}

#[tokio::test]
async fn a_byte_order_mark_before_an_answer_hides_nothing() {
    let saying = Saying::start().await.unwrap();
    let body = "\u{feff}{\"recommended\":\"qdrant\",\"request_id\":\"r-1\"}";
    let route = saying.route(body).await.unwrap();
    assert_eq!((route.recommended.as_str(), route.text()), ("qdrant", body));
    assert_eq!(route.meta().request_id(), Some("r-1"));
    let error = saying.route("\u{feff}{\"request_id\":\"r-1\"}").await.unwrap_err();
    assert_eq!(error.request_id(), Some("r-1"));

    let refusing = MockServer::start().await;
    let refusal = "\u{feff}{\"detail\":\"no such route\",\"request_id\":\"r-1\"}";
    Mock::given(anything())
        .respond_with(ResponseTemplate::new(404).set_body_string(refusal))
        .mount(&refusing)
        .await;
    let client = Client::builder().base_url(refusing.uri()).build().unwrap();
    let error = client.status().await.unwrap_err();
    assert_eq!((error.code(), error.request_id()), ("not_found", Some("r-1")));
}

#[tokio::test]
async fn an_amount_with_more_digits_than_can_be_kept_is_read_as_the_nearest_double() {
    let saying = Saying::start().await.unwrap();
    for (sent, read) in [
        ("0.1234567890123456789012345678901234", Some("0.12345678901234568")),
        ("0.00475000000000000000000000000000000000", Some("0.00475")),
        ("1e-7", Some("0.0000001")),
        ("1e400", None),
    ] {
        let body = format!(r#"{{"recommended":"qdrant","estimated_cost_usd":{sent}}}"#);
        let route = saying.route(&body).await.unwrap();
        assert_eq!(route.estimated_cost_usd.map(|cost| cost.to_string()).as_deref(), read, "{sent}");
    }
}
