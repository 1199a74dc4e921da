//! What the server does with a route besides ranking: it keeps credentials, executes, and reckons what was saved. By the
//! library and by the command.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use amply_sandbox::{Fault, OpenPayments, Sandbox};
use amply_sdk::{
    Answer, Client, Error, ExecuteRequest, Execution, ExecutionStatus, Method, NewCredential, Period,
    PrincipalPolicy, RetryPolicy, RouteRequest, Store, Target, Usd,
};
use amply_tests::paying::{
    asked, asking_for, broke, client_of, credited, paid_requests, paying, service_of, signing, started,
    states, usd,
};
use amply_tests::stage::{Stage, error_of, hint_of};
use amply_tests::{
    Act, Log, Scripted, TempFolder, Terminal, amply, answer, at_terminal, failure, table, write,
};
use serde_json::{Value, json};

const TASK: &str = "store 1M vectors";
const EXECUTE: &str = "/api/v1/route/execute";
const CREDENTIALS: &str = "/api/v1/credentials";
/// Not to be seen anywhere, in whatever form.
const SECRET: &str = "pa\"ss/wörd-0815";

fn client(sandbox: &Sandbox) -> Client {
    Client::builder().base_url(sandbox.url()).api_key(sandbox.user_key()).build().unwrap()
}

fn at_target() -> ExecuteRequest {
    let target = Target::new("https://worker.example/run").unwrap();
    ExecuteRequest::at_target(TASK, target).input(json!({"rows": [1, 2.5]}))
}

/// A client of another person at the same server.
async fn another(sandbox: &Sandbox) -> Client {
    let nobody = Client::builder().base_url(sandbox.url()).build().unwrap();
    let status = nobody.status().await.unwrap();
    let signup = status.diagnostics.as_ref().unwrap().agent_signup.clone().unwrap();
    let terms = json!({"accept_tos_version": signup.tos_version.unwrap()});
    let new: Value = nobody.request(Method::POST, "/signup/agent", Some(&terms)).await.unwrap();
    let key = new.get("api_key").and_then(Value::as_str).unwrap();
    Client::builder().base_url(sandbox.url()).api_key(key).build().unwrap()
}

async fn add(client: &Client) -> String {
    let added =
        client.credentials().add(NewCredential::new("qdrant", SECRET).label("staging")).await.unwrap();
    added.id().unwrap().to_owned()
}

/// All forms in which the secret may come to light.
fn shows_secret(text: &str) -> bool {
    text.contains("0815")
}

#[tokio::test]
async fn a_report_has_the_totals_of_the_period_and_the_sentence() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let client = client(&sandbox);
    client.route_task(TASK).await.unwrap();
    for (period, days) in [(Period::Days30, "30 days"), (Period::Days90, "90 days")] {
        let report = client.savings_report(period).await.unwrap();
        assert_eq!(report.period.as_deref(), Some(period.as_str()));
        let totals = report.totals.as_ref().unwrap();
        assert_eq!((totals.routes, totals.charged_usd), (Some(1), Some(usd("0.01"))));
        let (baseline, estimated) = (totals.baseline_cost_usd.unwrap(), totals.estimated_cost_usd.unwrap());
        assert!(totals.saved_usd.unwrap().is_positive() && baseline > estimated, "{totals:?}");
        let summary = report.summary.as_deref().unwrap();
        assert!(summary.starts_with("Amply saved your agent fleet $") && summary.contains(days), "{summary}");
    }
    let operator = Client::builder().base_url(sandbox.url()).api_key(sandbox.server_key()).build().unwrap();
    let error = failure(operator.savings_report(Period::Days30).await);
    assert!(matches!(error, Error::Forbidden(_)), "{error}");
    assert!(error.to_string().contains("use a key that belongs to an account"), "{error}");
}

#[tokio::test]
async fn a_credential_is_stored_listed_and_removed_and_nobody_else_sees_it() {
    let sandbox = Sandbox::builder().agent_signup(true).start().await.unwrap();
    let client = client(&sandbox);
    let log = Log::default();
    let guard = log.start();
    let added =
        client.credentials().add(NewCredential::new("qdrant", SECRET).label("staging")).await.unwrap();
    assert_eq!(added.meta().status().unwrap(), 201);
    let id = added.id().unwrap();
    let list = client.credentials().list().await.unwrap();
    assert_eq!(list.credentials.as_slice(), [added.credential.clone().unwrap()]);
    let kept = &added.credential.as_ref().unwrap();
    assert_eq!((kept.provider_id.as_deref(), kept.label.as_deref()), (Some("qdrant"), Some("staging")));
    assert!(!shows_secret(&format!("{list:?} {} {added:?} {}", list.text(), added.text())));

    let other = another(&sandbox).await;
    assert!(other.credentials().list().await.unwrap().credentials.is_empty());
    let error = failure(other.credentials().remove(id).await);
    assert!(matches!(error, Error::NotFound(_)), "{error}");
    let error = failure(other.execute(ExecuteRequest::with_credential(TASK, id)).await);
    assert!(matches!(error, Error::NotFound(_)), "{error}");

    let removed = client.credentials().remove(id).await.unwrap();
    assert_eq!(removed.receipt.unwrap().deleted, Some(true));
    assert!(client.credentials().list().await.unwrap().credentials.is_empty());
    let error = failure(client.credentials().remove(id).await);
    assert!(error.to_string().contains("list the credentials"), "{error}");
    drop(guard);
    assert!(!shows_secret(&log.text()), "{}", log.text());
}

#[tokio::test]
async fn what_can_be_no_id_is_never_sent() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let client = client(&sandbox);
    for id in ["", ".", "..", "../providers", "a/b", "a\\b", "cred_a\n", "\r\nx: y", "a b", "\0"] {
        let error = failure(client.credentials().remove(id).await);
        assert_eq!(error.code(), "invalid_request", "{id:?}");
        assert!(error.to_string().starts_with("id is `"), "{error}");
        let error = failure(client.execute(ExecuteRequest::with_credential(TASK, id)).await);
        assert_eq!(error.code(), "invalid_request", "{id:?}");
    }
    assert_eq!(sandbox.control().calls().len(), 0);
    // What is merely odd stays a segment of its own.
    for (id, path) in
        [("%2e%2e", "/%252e%252e"), ("a?b=c#d", "/a%3Fb=c%23d"), ("..%2fstatus", "/..%252fstatus")]
    {
        let error = failure(client.credentials().remove(id).await);
        assert!(matches!(error, Error::NotFound(_)), "{error}");
        let asked = sandbox.control().calls().last().unwrap().path.clone();
        assert_eq!(asked, format!("{CREDENTIALS}{path}"));
    }
}

#[tokio::test]
async fn a_credential_is_not_added_twice_and_its_removal_is_repeated() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let eager =
        client(&sandbox).with_options(|options| options.retry(RetryPolicy::default().repeat_ambiguous(true)));
    sandbox.control().fault(Fault::on("/credentials").nth(1).after_effect().reset_before_headers());
    let error = failure(eager.credentials().add(NewCredential::new("qdrant", SECRET)).await);
    assert!(error.to_string().contains("list the credentials before you add it again"), "{error}");
    assert!(!error.may_have_been_charged() && !shows_secret(&format!("{error:?} {error}")));
    assert_eq!(asked(&sandbox, CREDENTIALS), 1);
    sandbox.control().clear_faults();
    let listed = eager.credentials().list().await.unwrap();
    let id = listed.credentials.first().unwrap().id.clone().unwrap();

    // The first attempt removes it, and its answer is lost.
    let at_id = format!("/credentials/{id}");
    sandbox.control().fault(Fault::on(&at_id).nth(1).after_effect().reset_before_headers());
    let removed = eager.credentials().remove(&id).await.unwrap();
    assert!(removed.receipt.is_none());
    assert_eq!(asked(&sandbox, &format!("{CREDENTIALS}/{id}")), 2);
    sandbox.control().clear_faults();
    // Nothing was sent in vain before: there is none.
    assert!(matches!(failure(eager.credentials().remove(&id).await), Error::NotFound(_)));
}

#[tokio::test]
async fn a_server_that_repeats_a_secret_gets_it_into_no_error_no_answer_and_no_log() {
    let in_json = serde_json::to_string(SECRET).unwrap();
    let echoes = [
        answer(
            "400 Bad Request",
            &format!("{{\"error\":\"bad\",\"detail\":\"no {}\"}}", &in_json.trim_matches('"')),
        ),
        answer(
            "422 Unprocessable Entity",
            &format!("{{\"detail\":[{{\"input\":{{\"secret\":{in_json}}}}}]}}"),
        ),
        answer("500 Internal Server Error", &format!("<html>{SECRET}</html>")),
        answer("502 Bad Gateway\r\nVia: pa\"ss/w\u{f6}rd-0815", SECRET),
        answer("201 Created", &format!("{{\"credential\":{{\"id\":\"cred_a\",\"secret\":{in_json}}}}}")),
        answer("201 Created", &format!("not JSON: {SECRET}")),
    ];
    for echo in echoes {
        let log = Log::default();
        let guard = log.start();
        let server = Scripted::start(vec![Some(echo.clone())]);
        let client = Client::builder().base_url(server.url()).api_key("amply_sk_x").build().unwrap();
        let said = match client.credentials().add(NewCredential::new("qdrant", SECRET)).await {
            Ok(added) => format!("{added:?} {} {:?}", added.text(), added.meta()),
            Err(error) => format!(
                "{error:?} {error} {:?} {}",
                error.meta(),
                String::from_utf8_lossy(error.body().unwrap_or_default())
            ),
        };
        drop(guard);
        let told = format!("{said}{}", log.text());
        assert!(!shows_secret(&told), "{told}");
        assert_eq!(server.seen().len(), 1);
        assert!(server.seen().concat().contains("0815"), "it is sent once");
    }
    // The headers for a target are as secret; an answer that was paid for stays whole.
    let target =
        || Target::new("https://worker.example").unwrap().header("authorization", "token-0815").unwrap();
    for (head, shown) in
        [("500 Internal Server Error", false), ("402 Payment Required", false), ("200 OK", true)]
    {
        let body = r#"{"recommended":"qdrant","detail":"token-0815","execution":{"output":"token-0815"}}"#;
        let server = Scripted::start(vec![Some(answer(head, body))]);
        let client = Client::builder().base_url(server.url()).api_key("amply_sk_x").build().unwrap();
        let said = match client.execute(ExecuteRequest::at_target(TASK, target())).await {
            Ok(execution) => execution.text().to_owned(),
            Err(error) => {
                format!("{error:?} {error} {}", String::from_utf8_lossy(error.body().unwrap_or_default()))
            }
        };
        assert_eq!(said.contains("token-0815"), shown, "{said}");
    }
}

#[tokio::test]
async fn what_of_a_target_is_secret_is_concealed_where_it_is_repeated_alone_or_encoded() {
    let target = Target::new("https://worker.example/run?key=q%2B%2F-0815&v=1").unwrap();
    let target = target.header("authorization", "Bearer t/k&n-0815").unwrap();
    let request = ExecuteRequest::at_target(TASK, target);
    for echo in [
        "t/k&n-0815",
        r"t/k\u0026n-0815",
        "t%2Fk%26n-0815",
        "t/k&amp;n-0815",
        "dC9rJm4tMDgxNQ==",
        "q%2B%2F-0815",
        "q+/-0815",
    ] {
        for (head, body) in [
            (
                "500 Internal Server Error",
                format!(r#"{{"error":"bad","detail":"called with {echo}","request_id":"r"}}"#),
            ),
            ("502 Bad Gateway", format!("<html>{echo}</html>")),
            ("200 OK\r\nX-Request-Id: t/k&n-0815", format!(r#"["{echo}"]"#)),
            ("200 OK", format!(r#""{echo}""#)),
            ("200 OK", format!("{} {echo} is not JSON", "x".repeat(195 - 8))),
        ] {
            let server = Scripted::start(vec![Some(answer(head, &body))]);
            let client = Client::builder().base_url(server.url()).api_key("amply_sk_x").build().unwrap();
            let error = failure(client.execute(request.clone()).await);
            let told = format!("{error} {error:?} {:?} {:?}", error.meta(), error.request_id());
            for part in ["0815", "t/k", "t%2F", "dC9r", "q%2B", "q+/"] {
                assert!(!told.contains(part), "{echo}: {told}");
            }
            let kept = String::from_utf8_lossy(error.body().unwrap()).into_owned();
            match head.starts_with("200") {
                // It may have been paid for.
                true => assert_eq!(kept, body),
                false => assert!(kept.contains("[secret]") && !kept.contains(echo), "{kept}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_that_is_gone_after_a_failure_is_not_said_to_be_deleted() {
    let unknown = || {
        let json = "Content-Type: application/json\r\nConnection: close";
        vec![
            Some(answer(&format!("503 Service Unavailable\r\n{json}"), r#"{"error":"busy"}"#)),
            Some(answer(&format!("404 Not Found\r\n{json}"), r#"{"error":"credential_not_found"}"#)),
        ]
    };
    let server = Scripted::start(unknown());
    let client = Client::builder().base_url(server.url()).api_key("amply_sk_x").build().unwrap();
    let removed = client.credentials().remove("cred_mistyped").await.unwrap();
    assert!(removed.receipt.is_none() && server.seen().len() == 2);

    let remove = |json: &[&str]| {
        let server = Scripted::start(unknown());
        let variables = [("AMPLY_BASE_URL", server.url()), ("AMPLY_API_KEY", "amply_sk_x")];
        amply(&[json, &["credentials", "remove", "cred_mistyped", "--yes"]].concat(), &variables, b"")
    };
    let gone = remove(&["--json"]);
    assert_eq!(gone.code, Some(0), "{gone:?}");
    assert_eq!(
        serde_json::from_str::<Value>(&gone.stdout).unwrap(),
        json!({"ok": true, "deleted": null, "id": "cred_mistyped", "amply_answered_from": "retry"})
    );
    let server = Scripted::start(unknown());
    let url = server.url();
    let (seen, code) = at_terminal(&format!(
        "AMPLY_API_KEY=amply_sk_x amply --base-url {url} credentials remove cred_mistyped --yes"
    ));
    assert_eq!(code, Some(0), "{seen}");
    assert!(seen.ends_with("cred_mistyped is gone; whether this call removed it is not known\n"), "{seen}");
}

#[test]
fn the_command_sends_the_input_as_it_was_written() {
    let input = r#"{"id":12345678901234567890123,"price": 1.10,"a":1,"a":2}"#;
    let body = r#"{"recommended":"qdrant","execution":{"status":"succeeded"}}"#;
    let server = Scripted::answering("200 OK", "application/json", body);
    let folder = TempFolder::new("input");
    let file = folder.file("input.json");
    write(file.as_ref(), &format!("{input}\n"));
    for (given, stdin) in [(input, ""), ("-", input), (&*format!("@{file}"), "")] {
        let arguments =
            ["--base-url", server.url(), "-q", "execute", TASK, "--vault-ref", "cred_a", "--input", given];
        let finished = amply(&arguments, &[], stdin.as_bytes());
        assert_eq!(finished.code, Some(0), "{finished:?}");
        let sent = server.seen().pop().unwrap();
        assert!(sent.contains(&format!(r#""input":{input}"#)), "{sent}");
    }
}

#[tokio::test]
async fn a_task_is_executed_with_a_stored_credential_or_at_a_target() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let client = client(&sandbox);
    let id = add(&client).await;
    let route = client.route_task(RouteRequest::new(TASK).dimension(1536)).await.unwrap();
    let request = RouteRequest::new(TASK).dimension(1536);
    let stored =
        client.execute(ExecuteRequest::with_credential(request, &id).input("SELECT 1")).await.unwrap();
    // The same typed route as without an execution.
    assert_eq!(stored.route.score, route.score);
    assert_eq!(stored.route.rankings(), route.rankings());
    assert!(stored.succeeded() && stored.principal().binding == amply_sdk::Binding::Bound);
    assert_eq!(stored.mode.as_deref(), Some("vault_ref"));
    assert_eq!(stored.credential_ref.as_deref(), Some(&*id));
    assert_eq!(stored.output.as_ref().unwrap().text(), r#""SELECT 1""#);
    assert_eq!(stored.route.estimated_charge_usd, Some(usd("0.01")));
    assert!(client.credentials().list().await.unwrap().credentials.first().unwrap().last_used_at.is_some());

    let own = client.execute(at_target()).await.unwrap();
    assert_eq!(
        (own.mode.as_deref(), own.target_url.as_deref()),
        (Some("byo_runtime"), Some("https://worker.example/run"))
    );
    assert_eq!(own.output.as_ref().unwrap().text(), r#"{"rows":[1,2.5]}"#);
    assert_eq!(own.route.recommended, "qdrant");

    let error = failure(client.execute(ExecuteRequest::with_credential(TASK, "cred_unknown")).await);
    assert!(matches!(error, Error::NotFound(_)) && !error.may_have_been_charged(), "{error}");
    let balance = client.billing_status().await.unwrap().balance_usd.unwrap();
    assert_eq!(balance, usd("9.97"), "three routes were charged");
}

#[tokio::test]
async fn an_execution_that_failed_is_an_answer() {
    let sandbox = Sandbox::builder().execution_fails("provider_timeout").start().await.unwrap();
    let execution = client(&sandbox).execute(at_target()).await.unwrap();
    assert_eq!(execution.status, Some(ExecutionStatus::Failed));
    assert!(!execution.succeeded() && execution.output.is_none());
    assert_eq!(execution.error_code.as_deref(), Some("provider_timeout"));
    assert_eq!(execution.route.recommended, "qdrant");
}

#[tokio::test]
async fn an_execution_is_paid_for_once_and_within_the_policy() {
    let sandbox = broke().await;
    let store = Store::in_memory();
    let client = paying(&sandbox, &store);
    let execution = client.execute(at_target()).await.unwrap();
    assert!(execution.succeeded());
    assert_eq!((execution.meta().attempts(), execution.meta().paid_usd()), (2, Some(usd("0.01"))));
    assert_eq!(credited(&sandbox), ["0.01"]);
    // What was refused for want of money was not executed: both requests are one call.
    let keys: Vec<_> = sandbox.control().calls().into_iter().filter(|call| call.path == EXECUTE).collect();
    let key_of = |index: usize| {
        keys.get(index).unwrap().headers.iter().find(|(name, _)| name == "idempotency-key").cloned()
    };
    assert_eq!((keys.len(), key_of(0)), (2, key_of(1)));
    assert_eq!(states(&store).await, ["settled"]);

    // Nobody pays.
    let sandbox = broke().await;
    let unpaid = Client::builder().base_url(sandbox.url()).api_key(sandbox.user_key()).build().unwrap();
    let error = failure(unpaid.execute(at_target()).await);
    assert_eq!(error.code(), "payment_required", "{error}");
    assert_eq!(error.challenge().unwrap().shortfall_usd, Some(usd("0.01")));
    // A cap forbids it.
    let policy = amply_sdk::SpendPolicy::per_topup(Usd::dollars(1)).per_day(usd("0.005")).per_process_only();
    let capped =
        client_of(&sandbox, &Store::in_memory()).spend_policy(policy).wallet_payer(service_of(&sandbox));
    assert_eq!(failure(capped.build().unwrap().execute(at_target()).await).code(), "spend_limit");
    assert!(credited(&sandbox).is_empty());
}

#[tokio::test]
async fn an_execution_is_paid_for_by_x402_and_its_answer_is_given_again() {
    let sandbox = asking_for(OpenPayments::v2()).await;
    sandbox.control().fault(Fault::on("/route/execute").nth(2).after_effect().delay(Duration::from_secs(4)));
    let store = Store::in_memory();
    let request = || {
        let target = Target::new("https://worker.example/run").unwrap();
        ExecuteRequest::at_target(RouteRequest::new(TASK).idempotency_key("nightly-7"), target)
            .input("what came out")
    };
    let client = signing(&sandbox, &store).timeout(Duration::from_secs(2)).build().unwrap();
    assert_eq!(failure(client.execute(request()).await).code(), "payment_unknown");
    client.close(Duration::ZERO).await;
    assert_eq!(states(&store).await, ["settled"]);

    let again = signing(&sandbox, &store).build().unwrap().execute(request()).await.unwrap();
    assert_eq!(again.output.as_ref().unwrap().text(), r#""what came out""#);
    assert_eq!((sandbox.control().settlements().len(), paid_requests(&sandbox)), (1, 1));
    let payment = store.payments().list().await.unwrap().remove(0);
    let kept = store.payments().answer(&payment.id).await.unwrap().unwrap();
    let kept: Execution = serde_json::from_slice(&kept.body).unwrap();
    assert_eq!(kept.execution_id, again.execution_id);
}

#[tokio::test]
async fn an_execution_that_may_have_begun_is_never_sent_again() {
    let eager = |client: Client| {
        client.with_options(|options| options.retry(RetryPolicy::default().repeat_ambiguous(true)))
    };
    let sandbox = Sandbox::builder().start().await.unwrap();
    for fault in [
        Fault::on("/route/execute").after_effect().reset_before_headers(),
        Fault::on("/route/execute").after_effect().status(502),
        Fault::on("/route/execute").truncate(5),
    ] {
        sandbox.control().clear();
        sandbox.control().clear_faults();
        sandbox.control().fault(fault);
        let error = failure(eager(client(&sandbox)).execute(at_target()).await);
        assert!(error.may_have_been_charged() && !error.is_retryable(), "{error}");
        assert!(error.to_string().contains("it was not sent again"), "{error}");
        assert_eq!(asked(&sandbox, EXECUTE), 1);
    }
    let server = Scripted::following(vec![vec![Act::Reset]]);
    let there = Client::builder().base_url(server.url()).api_key("amply_sk_x").build().unwrap();
    assert!(failure(eager(there).execute(at_target()).await).may_have_been_charged());
    assert_eq!(server.seen().len(), 1);
    // What cannot have had an effect is sent again.
    sandbox.control().clear_faults();
    sandbox.control().fault(Fault::on("/route/execute").nth(1).status(429).header("retry-after", "0"));
    assert_eq!(client(&sandbox).execute(at_target()).await.unwrap().meta().attempts(), 2);

    // With a payment in it as little.
    let sandbox = asking_for(OpenPayments::v2()).await;
    sandbox.control().fault(Fault::on("/route/execute").nth(2).after_effect().reset_before_headers());
    let error = failure(signing(&sandbox, &Store::in_memory()).build().unwrap().execute(at_target()).await);
    assert_eq!((error.code(), paid_requests(&sandbox)), ("payment_unknown", 1), "{error}");
}

#[tokio::test]
async fn the_principal_policy_holds_and_what_came_out_is_inside_the_error() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let requiring = |key: &str| {
        let builder =
            Client::builder().base_url(sandbox.url()).api_key(key).principal_policy(PrincipalPolicy::Require);
        builder.build().unwrap()
    };
    let error = failure(requiring(sandbox.server_key()).execute(at_target()).await);
    assert!(matches!(error, Error::PrincipalNotBound { answer: None, .. }), "{error}");
    assert_eq!(asked(&sandbox, EXECUTE), 0);

    let unbound = json!({
        "recommended": "qdrant",
        "integration": {"principal_attached": false},
        "execution": {"status": "succeeded", "output": {"rows": 3}}
    });
    sandbox.control().fault(Fault::on("/route/execute").after_effect().status(200).body(&unbound));
    let error = failure(requiring(sandbox.user_key()).execute(at_target()).await);
    let Error::PrincipalNotBound { answer: Some(answer), .. } = &error else { panic!("{error}") };
    assert!(error.may_have_been_charged());
    let inside: Execution = serde_json::from_str(answer.text()).unwrap();
    assert_eq!(inside.output.unwrap().text(), r#"{"rows":3}"#);
    assert_eq!(answer.extra.get("execution").unwrap().parse::<Value>().unwrap(), unbound["execution"]);
}

#[tokio::test]
async fn an_older_server_that_lacks_it_says_so() {
    let sandbox = Sandbox::builder().release(amply_sandbox::Release::V3_1_12).start().await.unwrap();
    let client = client(&sandbox);
    for error in [
        failure(client.execute(at_target()).await),
        failure(client.savings_report(Period::Days30).await),
        failure(client.credentials().list().await),
        failure(client.credentials().add(NewCredential::new("qdrant", SECRET)).await),
        failure(client.credentials().remove("cred_a").await),
    ] {
        assert!(matches!(error, Error::Unsupported(_)), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_reports_what_was_saved() {
    let stage = Stage::new().await;
    stage.route();
    let report = stage.json(&["report", "--json", "--period", "90d"]);
    assert_eq!(report.pointer("/totals/routes"), Some(&json!(1)));
    assert_eq!(report.get("period"), Some(&json!("90d")));
    assert_eq!(stage.json(&["report"]).get("period"), Some(&json!("30d")));
    for period in ["7d", "", "30d\n", "-30d"] {
        let finished = stage.amply(&["--json", "report", &format!("--period={period}")]);
        let (code, _, message) = error_of(&finished);
        assert_eq!(code, Some(2), "{message}");
        assert!(message.contains("30d") && message.contains("90d"), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_takes_a_secret_from_a_pipe_or_a_file_and_shows_it_never() {
    let stage = Stage::new().await;
    let piped = stage.amply_with(
        &["--json", "-v", "credentials", "add", "qdrant", "--label", "staging"],
        &[],
        b"s3cret-0815\n",
    );
    assert_eq!(piped.code, Some(0), "{piped:?}");
    let file = stage.folder.path().join("secret");
    write(&file, "s3cret-0815\n");
    let file = file.to_str().unwrap();
    let filed = stage.amply(&["credentials", "add", "qdrant", "--secret-file", file]);
    assert_eq!(filed.code, Some(0), "{filed:?}");
    assert!(!shows_secret(&format!("{piped:?}{filed:?}")));
    let sent: Vec<_> =
        stage.sandbox.control().calls().into_iter().filter(|call| call.path == CREDENTIALS).collect();
    assert_eq!(sent.len(), 2);

    let list = stage.json(&["credentials", "list"]);
    let ids: Vec<_> =
        list["credentials"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    let [first, second] = ids.as_slice() else { panic!("{list}") };
    // Nobody is there to be asked.
    let (code, kind, message) = error_of(&stage.amply(&["--json", "credentials", "remove", first]));
    assert_eq!((code, kind.as_str()), (Some(2), "usage"));
    assert!(message.contains("`--yes`"), "{message}");
    assert_eq!(stage.json(&["credentials", "remove", first, "--yes"])["deleted"], json!(true));
    let (code, kind, _) = error_of(&stage.amply(&["--json", "credentials", "remove", first, "--yes"]));
    assert_eq!((code, kind.as_str()), (Some(1), "not_found"));
    let gone = stage.amply(&["--json", "execute", TASK, "--vault-ref", first]);
    assert_eq!(
        (gone.code, hint_of(&gone)),
        (Some(1), "`amply credentials list` shows the credentials of this key".to_owned())
    );

    let executed = stage.json(&["execute", TASK, "--vault-ref", second, "--input", r#"{"rows":3}"#]);
    assert_eq!(executed.pointer("/execution/output"), Some(&json!({"rows": 3})));
    assert_eq!(executed.pointer("/execution/credential_ref"), Some(&json!(second)));
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_of_the_new_commands_is_refused_before_anything_is_sent() {
    let stage = Stage::new().await;
    let no_headers = stage.folder.path().join("headers");
    write(&no_headers, "authorization: ok\n\n# a remark\nBearer hidden-0815\n");
    let file = no_headers.to_str().unwrap();
    let target = ["execute", TASK, "--target", "https://worker.example"];
    let with = |more: &[&'static str]| [&target[..], more].concat();
    for (arguments, stdin, says) in [
        (vec!["credentials", "remove", "a/b", "--yes"], "", "id is `a/b`"),
        (vec!["credentials", "remove", "..", "--yes"], "", "id is `..`"),
        (vec!["credentials", "remove", "a\nb", "--yes"], "", "id is `a b`"),
        (vec!["credentials", "add", "qdrant"], "", "the secret is empty"),
        (vec!["credentials", "add", ""], "x", "provider_id is ``"),
        (vec!["credentials", "add", "qdrant", "--secret-file", "/no/such"], "", "`/no/such` cannot be read"),
        (vec!["credentials", "add", "qdrant", "s3cret"], "", "unexpected argument"),
        (vec!["--api-key-stdin", "credentials", "add", "qdrant"], "k", "needs `--secret-file`"),
        (vec!["execute", TASK], "", "--vault-ref"),
        (with(&["--vault-ref", "cred_a"]), "", "cannot be used with"),
        (vec!["execute", TASK, "--vault-ref", "../x"], "", "credential_ref is `../x`"),
        (vec!["execute", TASK, "--vault-ref", "a", "--target-header-file", "x"], "", "cannot be used with"),
        (vec!["execute", TASK, "--target", "ftp://worker.example"], "", "neither https nor http"),
        (vec!["execute", TASK, "--target", "https://u:hidden-0815@worker.example"], "", "credentials in it"),
        (vec!["execute", "", "--target", "https://worker.example"], "", "the task is empty"),
        (with(&["--input", "{"]), "", "`--input` is not JSON"),
        (with(&["--input", "@/no/such"]), "", "`/no/such` cannot be read"),
        (with(&["--input", "-"]), "nope", "standard input is not JSON"),
        (
            vec!["execute", "-", "--target", "https://worker.example", "--input", "-"],
            "x",
            "`--input -` cannot be used",
        ),
        (
            vec!["execute", TASK, "--target", "https://worker.example", "--target-header-file", file],
            "",
            "line 4 of `",
        ),
    ] {
        let arguments = [&["--json"][..], &arguments].concat();
        let finished = stage.amply_with(&arguments, &[], stdin.as_bytes());
        let (code, _, message) = error_of(&finished);
        assert_eq!(code, Some(2), "{arguments:?}: {message}");
        assert!(message.contains(says), "{arguments:?}: {message}");
        assert!(!shows_secret(&format!("{finished:?}")), "{finished:?}");
    }
    assert_eq!(stage.sandbox.control().calls().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_executes_at_a_target_with_headers_from_a_file_and_pays_within_caps() {
    let stage = Stage::of(Sandbox::builder().balance("0").strict_wallet(true)).await;
    let headers = stage.folder.path().join("headers");
    write(&headers, "# for the worker\nAuthorization: Bearer hidden-0815\nx-tenant: a: b\n");
    let target =
        ["--target", "https://worker.example/run", "--target-header-file", headers.to_str().unwrap()];
    let execute = [&["--json", "execute", TASK, "--input", "-"], &target[..]].concat();
    let unpaid = stage.amply_with(&execute, &[], b"[1]");
    let (code, kind, _) = error_of(&unpaid);
    assert_eq!((code, kind.as_str()), (Some(4), "payment_required"));
    assert!(hint_of(&unpaid).contains("--pay"), "{}", hint_of(&unpaid));

    let pay = [&execute[..], &["--pay", "--max-daily-usd", "1"]].concat();
    let service =
        [("AMPLY_TOPUP_URL", stage.sandbox.topup_url()), ("AMPLY_TOPUP_TOKEN", stage.sandbox.topup_token())];
    let paid = stage.amply_with(&pay, &service, b"[1]");
    assert_eq!(paid.code, Some(0), "{paid:?}");
    let body: Value = serde_json::from_str(&paid.stdout).unwrap();
    assert_eq!(body.pointer("/execution/output"), Some(&json!([1])));
    let call = stage.sandbox.control().calls().into_iter().rfind(|call| call.path == EXECUTE).unwrap();
    let sent: Value = serde_json::from_str(&call.body).unwrap();
    assert_eq!(
        sent.pointer("/execution/target/headers"),
        Some(&json!({"authorization": "Bearer hidden-0815", "x-tenant": "a: b"}))
    );
    assert!(!shows_secret(&format!("{unpaid:?}{paid:?}")));
    assert_eq!(stage.json(&["payments", "list"])["payments"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_that_failed_is_printed_with_a_warning() {
    let stage = Stage::of(Sandbox::builder().execution_fails("provider_timeout")).await;
    let finished = stage.amply(&["execute", TASK, "--target", "https://worker.example"]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(finished.stderr.ends_with("warning: the execution failed: provider_timeout\n"), "{finished:?}");
    assert!(finished.stdout.contains(r#""status":"failed""#), "{finished:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_shows_what_came_out_though_the_route_is_bound_to_nobody() {
    let stage = Stage::new().await;
    let unbound = json!({
        "recommended": "qdrant",
        "integration": {"principal_attached": false},
        "execution": {"status": "succeeded", "output": "what came out"}
    });
    stage.sandbox.control().fault(Fault::on("/route/execute").after_effect().status(200).body(&unbound));
    let require = ["execute", TASK, "--target", "https://worker.example", "--principal", "require"];
    let finished = stage.amply(&require);
    assert_eq!(finished.code, Some(5), "{finished:?}");
    assert!(finished.stderr.contains("The answer was:") && finished.stdout.is_empty(), "{finished:?}");
    assert!(finished.stderr.contains("Output:\nwhat came out"), "{finished:?}");
    let error = stage.amply(&[&["--json"][..], &require].concat()).error();
    assert!(error["body"].as_str().unwrap().contains("what came out"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn at_a_terminal_a_secret_is_typed_unseen_and_a_removal_asked_for() {
    let stage = Stage::new().await;
    let terminal = stage.at_terminal(&["credentials", "add", "qdrant"]);
    terminal.wait_for("secret for qdrant: ");
    terminal.type_in(b"wrong\x15s3cret-08155\x7f\r");
    let (shown, code) = terminal.finish();
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("added cred_") && !shows_secret(&shown) && !shown.contains("wrong"), "{shown}");
    let kept = client(&stage.sandbox).credentials().list().await.unwrap();
    let id = kept.credentials.first().unwrap().id.clone().unwrap();

    for (typed, expected) in [("n\r", Some(1)), ("\r", Some(1)), ("y\r", Some(0))] {
        let terminal = stage.at_terminal(&["credentials", "remove", &id]);
        terminal.wait_for("[y/N] ");
        terminal.type_in(typed.as_bytes());
        let (shown, code) = terminal.finish();
        assert_eq!(code, expected, "{shown}");
    }
    assert!(client(&stage.sandbox).credentials().list().await.unwrap().credentials.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_at_the_prompt_for_a_secret_ends_the_command() {
    let stage = Stage::new().await;
    let terminal: Terminal = stage.at_terminal(&["credentials", "add", "qdrant"]);
    terminal.wait_for("secret for qdrant: ");
    terminal.type_in(b"half-0815\x03");
    let (shown, code) = terminal.finish();
    assert_eq!(code, Some(130), "{shown}");
    assert!(!shows_secret(&shown) && stage.sandbox.control().calls().is_empty(), "{shown}");
}

/// `docs/execute.md` says what becomes of a call; each row is checked.
#[tokio::test]
async fn an_execution_ends_as_the_page_says() {
    let rows = table("docs/execute.md", "What an execution ends in");
    assert_eq!(rows.len(), 9);
    for row in rows {
        let [what_happens, requests, ends] = row.as_slice() else { panic!("{row:?}") };
        let builder = Sandbox::builder();
        let sandbox = match what_happens.as_str() {
            "the execution fails" => builder.execution_fails("provider_timeout").start().await.unwrap(),
            "the wallet does not cover it, and nobody may pay"
            | "the wallet does not cover it, and a payer tops it up" => started(builder).await,
            _ => builder.start().await.unwrap(),
        };
        let at = || Fault::on("/route/execute");
        match what_happens.as_str() {
            "no answer comes after it was sent" => {
                sandbox.control().fault(at().after_effect().reset_before_headers())
            }
            "5xx" => sandbox.control().fault(at().status(503)),
            "429 `rate_limited`, once" | "429 rate_limited, once" => {
                sandbox
                    .control()
                    .fault(at().nth(1).status(429).code("rate_limited").header("retry-after", "0"));
            }
            "the answer cannot be read" => sandbox.control().fault(at().after_effect().status(200).body([1])),
            _ => {}
        }
        let client = match what_happens.as_str() {
            "the wallet does not cover it, and a payer tops it up" => paying(&sandbox, &Store::in_memory()),
            _ => client(&sandbox),
        };
        let request = match what_happens.as_str() {
            "the credential is not there, or is another's" => {
                ExecuteRequest::with_credential(TASK, "cred_unknown")
            }
            _ => at_target(),
        };
        let ended: Result<Answer<Execution>, Error> = client.execute(request).await;
        let said = match &ended {
            Ok(execution) if execution.succeeded() => "the answer".to_owned(),
            Ok(_) => "the answer, which says so".to_owned(),
            Err(error) if error.may_have_been_charged() => format!("{}, perhaps charged", error.code()),
            Err(error) => error.code().to_owned(),
        };
        assert_eq!(&said.replace('`', ""), &ends.replace('`', ""), "{what_happens}: {ended:?}");
        assert_eq!(&asked(&sandbox, EXECUTE).to_string(), requests, "{what_happens}");
    }
}
