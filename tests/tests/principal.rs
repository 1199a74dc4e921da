//! Whose wallet a route counts for: what the answer says, and what the policy makes of it.

use amply_sandbox::{Release, Sandbox};
use amply_sdk::{Binding, Client, Error, KeyKind, PrincipalPolicy};
use amply_tests::{Log, Scripted, amply, at_terminal};

const USER_KEY: &str = "amply_sk_Ab3_-xYzAb3_-xYzAb3_-xYzAb3_-xYz";
const SERVER_KEY: &str = "srv_key";
const BODY: &str = r#"{"recommended":"qdrant","request_id":"r-1"}"#;
const CONTRADICTORY: &str = r#"{"recommended":"qdrant","integration":{"principal_attached":false}}"#;

/// The head of a 200 whose server says that the call is bound, that it is not, or nothing.
const BOUND: &str = "200 OK\r\nX-Amply-Principal-Bound: 1\r\nX-Amply-Auth-Source: user_key";
const NOT_BOUND: &str =
    "200 OK\r\nX-Amply-Principal-Bound: 0\r\nX-Amply-Economics: recommendation_only_no_principal";
const SILENT: &str = "200 OK";

fn server(head: &str, body: &str) -> Scripted {
    Scripted::answering(head, "application/json", body)
}

fn client(server: &Scripted, key: Option<&str>, policy: PrincipalPolicy) -> Result<Client, Error> {
    let mut builder = Client::builder().base_url(server.url()).principal_policy(policy);
    if let Some(key) = key {
        builder = builder.api_key(key);
    }
    builder.build()
}

#[tokio::test]
async fn under_require_a_bound_answer_is_given() {
    let server = server(BOUND, BODY);
    let route =
        client(&server, Some(USER_KEY), PrincipalPolicy::Require).unwrap().route_task("x").await.unwrap();
    let principal = route.principal();
    assert_eq!((principal.binding, principal.header, principal.body), (Binding::Bound, Some(true), None));
    assert_eq!(
        (principal.auth_source.as_deref(), principal.key_kind),
        (Some("user_key"), Some(KeyKind::User))
    );
}

#[tokio::test]
async fn under_require_an_answer_that_is_not_known_to_be_bound_is_inside_the_error() {
    for (head, body, says) in [
        (NOT_BOUND, BODY, "the call is not bound to a principal"),
        (SILENT, BODY, "the server does not say whether"),
        (BOUND, CONTRADICTORY, "contradicts itself"),
    ] {
        let server = server(head, body);
        let client = client(&server, Some(USER_KEY), PrincipalPolicy::Require).unwrap();
        let error = client.route_task("x").await.unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        assert!(error.may_have_been_charged() && !error.is_retryable());
        assert_eq!((error.code(), error.status().unwrap().as_u16()), ("principal_not_bound", 200));
        assert_eq!(error.body(), Some(body.as_bytes()));
        let Error::PrincipalNotBound { answer: Some(answer), .. } = error else { panic!("{error}") };
        assert_eq!((answer.recommended.as_str(), answer.text()), ("qdrant", body));
        assert_eq!(server.seen().len(), 1);
    }
}

#[tokio::test]
async fn under_require_a_key_that_is_known_to_bind_nobody_is_not_sent() {
    let server = server(BOUND, BODY);
    for (key, says) in [(Some(SERVER_KEY), "an operator's key"), (None, "a call without a key")] {
        let client = client(&server, key, PrincipalPolicy::Require).unwrap();
        let error = client.route_task("x").await.unwrap_err();
        assert!(
            error.to_string().starts_with(says) && error.to_string().contains("nothing was sent"),
            "{error}"
        );
        assert!(matches!(error, Error::PrincipalNotBound { answer: None, .. }));
        assert!(!error.may_have_been_charged());
    }
    assert_eq!(server.seen(), Vec::<String>::new());
}

#[tokio::test]
async fn by_default_a_client_and_its_copies_warn_once() {
    let log = Log::default();
    let _guard = log.start();
    let server = server(NOT_BOUND, BODY);
    let client = client(&server, Some(USER_KEY), PrincipalPolicy::default()).unwrap();
    let copy = client.with_options(|options| options.timeout(std::time::Duration::from_secs(9)));
    for client in [&client, &copy, &client.clone()] {
        assert_eq!(client.route_task("x").await.unwrap().principal().binding, Binding::NotBound);
    }
    let warnings: Vec<_> =
        log.text().lines().filter(|line| line.contains("WARN")).map(str::to_owned).collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("the call is not bound to a principal"), "{warnings:?}");
    assert!(!log.text().contains(USER_KEY), "no log shows the key");
}

#[tokio::test]
async fn nobody_is_warned_about_a_call_without_a_key_a_silent_server_or_by_policy_ignore() {
    let log = Log::default();
    let _guard = log.start();
    for (head, key, policy) in [
        (NOT_BOUND, None, PrincipalPolicy::Warn),
        (SILENT, Some(USER_KEY), PrincipalPolicy::Warn),
        (NOT_BOUND, Some(SERVER_KEY), PrincipalPolicy::Ignore),
    ] {
        let server = server(head, BODY);
        client(&server, key, policy).unwrap().route_task("x").await.unwrap();
    }
    assert!(!log.text().contains("WARN"), "{}", log.text());
}

#[tokio::test]
async fn the_sandbox_tells_a_users_key_from_an_operators_and_an_older_one_tells_nothing() {
    let newer = Sandbox::builder().start().await.unwrap();
    let older = Sandbox::builder().release(Release::V3_1_12).start().await.unwrap();
    for (sandbox, key, binding) in [
        (&newer, Some(newer.user_key()), Binding::Bound),
        (&newer, Some(newer.server_key()), Binding::NotBound),
        (&newer, None, Binding::NotBound),
        (&older, Some(older.user_key()), Binding::Unknown),
    ] {
        let mut builder = Client::builder().base_url(sandbox.url());
        if let Some(key) = key {
            builder = builder.api_key(key);
        }
        let route = builder.build().unwrap().route_task("store 1M vectors").await.unwrap();
        let principal = route.principal();
        assert_eq!((principal.binding, principal.is_contradictory), (binding, false), "{principal:?}");
    }
    let strict = Sandbox::builder().require_principal(true).start().await.unwrap();
    let client = Client::builder().base_url(strict.url()).api_key(strict.server_key()).build().unwrap();
    let error = client.route_task("x").await.unwrap_err();
    assert_eq!(error.code(), "forbidden");
    assert!(error.to_string().contains("a key that belongs to an account"), "{error}");
}

#[test]
fn the_command_requires_warns_or_ignores() {
    let server = server(NOT_BOUND, BODY);
    let run = |policy: &str, more: &[&str]| {
        let arguments = [&["route", "x", "--base-url", server.url(), "--principal", policy], more].concat();
        amply(&arguments, &[("AMPLY_API_KEY", USER_KEY)], b"")
    };
    let warned = run("warn", &[]);
    assert_eq!((warned.stdout, warned.code), (format!("{BODY}\n"), Some(0)));
    assert_eq!(
        warned.stderr,
        "warning: this route counts for no wallet and no history: the key is bound to no principal\n"
    );
    for (policy, more) in [("warn", &["-q"][..]), ("ignore", &[])] {
        let quiet = run(policy, more);
        assert_eq!((quiet.stderr.as_str(), quiet.code), ("", Some(0)), "{policy}");
    }
    let required = run("require", &["--json"]);
    assert_eq!((required.stdout.as_str(), required.code), ("", Some(5)));
    let error = required.error();
    assert_eq!((&error["code"], &error["body"]), (&"principal_not_bound".into(), &BODY.into()), "{error}");
    assert_eq!(error["request_id"], "r-1");

    let line =
        format!("AMPLY_API_KEY={USER_KEY} amply route x --principal require --base-url {}", server.url());
    let (seen, code) = at_terminal(&line);
    assert_eq!(code, Some(5));
    assert!(seen.contains("error: the call is not bound") && seen.contains("Recommended: qdrant"), "{seen}");
}
