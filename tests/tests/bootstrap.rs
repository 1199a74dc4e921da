//! From nothing to a key: the manifest, the terms, the signup, and that a secret of it is nowhere but where it was asked for.

use amply_sandbox::{Fault, Release, Sandbox};
use amply_sdk::{Binding, Client, Error, Failure, KeyKind, NewAccount, RetryPolicy, Signup};
use amply_tests::signing_up::{
    KEY, TERMS, TOKEN, answering_signups, client_of, json, shown, signup, started, taking_signups,
};
use amply_tests::{Act, Log, Running, Scripted, TempFolder, Terminal, amply, answer, at_terminal, failure};
use serde_json::Value;

#[tokio::test]
async fn the_sandboxs_manifest_is_read_field_by_field_and_its_steps_are_in_order() {
    let sandbox = taking_signups().await;
    let manifest = client_of(sandbox.url()).agent().await.unwrap();
    let ids: Vec<_> = manifest.steps().iter().map(|step| step.id.as_str()).collect();
    assert_eq!(ids, ["discover", "health", "schema", "credential", "catalog", "route", "outcome", "audit"]);
    let credential = manifest.next_step(&ids[..3]).unwrap();
    assert_eq!(
        (credential.method.as_deref(), credential.path.as_deref(), credential.auth.as_deref()),
        (Some("POST"), Some("/api/v1/signup/agent"), Some("none"))
    );
    assert_eq!(manifest.next_step(&ids), None);
    assert_eq!(manifest.next_step(Vec::<String>::new()).unwrap().id, "discover");
    assert_eq!(manifest.tos_version_for_signup.as_deref(), Some(TERMS));
    let workflow = &manifest.workflow;
    assert_eq!(workflow.schema.as_deref(), Some("amply.agent_workflow_manifest/1"));
    assert_eq!(workflow.auth_mode.as_ref().unwrap().as_str(), "none");
    assert_eq!(workflow.bootstrap_sequence, ids);
    let policy = workflow.principal_binding_policy.as_ref().unwrap();
    assert_eq!(policy.check_response_field.as_deref(), Some("integration.principal_attached"));
    assert_eq!(policy.check_response_headers[0], "X-Amply-Principal-Bound");
    let flow = &policy.recommended_machine_flow[0];
    assert_eq!((flow.step, flow.method.as_deref()), (Some(1), Some("POST")));
    let signup = workflow.agent_signup.as_ref().unwrap();
    assert_eq!((signup.enabled, signup.requires_shared_secret), (Some(true), Some(false)));
    assert_eq!((signup.tos_version.as_deref(), signup.max_signups_per_hour_per_ip), (Some(TERMS), Some(5)));
    assert_eq!(workflow.x402.as_ref().unwrap().spec.as_deref(), Some("amply.x402/1"));
    assert_eq!(workflow.route_rate_limit.as_ref().unwrap().enabled, Some(false));
    assert!(manifest.commercial.as_ref().unwrap().pricing_url.is_some());
    assert!(manifest.extra.is_empty(), "{:?}", manifest.extra);
}

#[tokio::test]
async fn a_manifest_that_leads_elsewhere_or_nowhere_is_refused_with_the_step_and_the_reason() {
    let step = |path: &str| {
        format!(r#"{{"workflow":{{"steps":[{{"id":"discover"}},{{"id":"route","path":"{path}"}}]}}}}"#)
    };
    for (body, says) in [
        (step("https://evil.example/route"), "the step `route` has the path `https://evil.example/route`, which leads to `https://evil.example`"),
        (step("//evil.example/route"), "the step `route` has the path `//evil.example/route`, which names another host"),
        (step("javascript:alert(1)"), "which leads to `javascript:`"),
        (step("/api/../../admin"), "which leads out of its folder by `..`"),
        (step("/api/%2e%2e/admin"), "which leads out of its folder by `..`"),
        (step("/\\\\evil.example"), "which holds a character that no path has"),
        (step("http://u@127.0.0.1/route"), "which has credentials in it"),
        (
            r#"{"workflow":{"steps":[{"id":"route","after":["outcome"]},{"id":"outcome","depends_on":["route"]}]}}"#.to_owned(),
            "the step `route` waits for itself: `route` after `outcome` after `route`",
        ),
        (r#"{"workflow":{"steps":[]}}"#.to_owned(), "it has no steps"),
        (r#"{"ok":true}"#.to_owned(), "it has no `workflow`, and so no steps"),
        (
            r#"{"workflow":{"steps":[{"id":"route"}],"agent_signup":{"path":"https://evil.example/"}}}"#.to_owned(),
            "the signup has the path `https://evil.example/`",
        ),
        (
            r#"{"workflow":{"steps":[{"id":"route"}],"principal_binding_policy":{"recommended_machine_flow":[{"path":"//x"}]}}}"#
                .to_owned(),
            "step 1 of the recommended machine flow has the path `//x`",
        ),
    ] {
        let server = Scripted::answering("200 OK", "application/json", &body);
        let error = failure(client_of(server.url()).agent().await);
        assert!(matches!(error, Error::Protocol(_)) && error.to_string().contains(says), "{body}: {error}");
        assert_eq!(error.body(), Some(body.as_bytes()), "the answer is kept");
        let finished = amply(&["agent", "--base-url", server.url(), "--json"], &[], b"");
        assert_eq!((&finished.error()["code"], finished.code), (&"protocol".into(), Some(9)), "{finished:?}");
    }
    // On its own origin, said in full, it may be.
    let server = Scripted::knowing_its_origin(|origin| {
        let body = step(&format!("{origin}/api/v1/route"));
        vec![vec![Act::Send(answer("200 OK\r\nContent-Type: application/json", &body))]]
    });
    client_of(server.url()).agent().await.unwrap();
}

#[tokio::test]
async fn a_signup_gives_a_key_that_binds_and_is_shown_once() {
    let sandbox = taking_signups().await;
    let account = client_of(sandbox.url()).signup(Signup::accepting(TERMS)).await.unwrap();
    let key = account.api_key.expose();
    assert_eq!(account.api_key.kind(), KeyKind::User);
    let client = Client::builder().base_url(sandbox.url()).api_key(key).build().unwrap();
    let route = client.route_task("store 1M vectors").await.unwrap();
    assert_eq!(route.principal().binding, Binding::Bound);

    let whole: Value = serde_json::from_str(account.expose_text()).unwrap();
    assert_eq!(
        (&whole["api_key"], &whole["principal_id"]),
        (&key.into(), &account.principal_id.clone().into())
    );
    assert_eq!(account.tos_version.as_deref(), Some(TERMS));
    let quickstart = account.quickstart.as_ref().unwrap();
    assert_eq!(quickstart.route_url, Some(format!("{}/route", sandbox.url())));
    assert_eq!((account.meta().attempts(), account.meta().key_kind()), (1, None));
    let seen = format!("{account:?} {account:#?} {} {:?} {}", account.text(), account.extra, account.api_key);
    assert!(!seen.contains(key) && !seen.contains("amply_sk_"), "{seen}");
    let without: Value = serde_json::from_str(account.text()).unwrap();
    assert_eq!((&without["api_key"], &without["ok"]), (&Value::Null, &true.into()));
}

#[tokio::test]
async fn the_key_that_a_client_has_is_not_sent_with_a_signup_and_a_wrong_one_is_no_hindrance() {
    let server = answering_signups("201 Created", &format!(r#"{{"api_key":"{KEY}"}}"#));
    let client = Client::builder().base_url(server.url()).api_key("amply-old-key").build().unwrap();
    client.signup(Signup::accepting(TERMS).token(TOKEN)).await.unwrap();
    let seen = server.seen();
    assert_eq!(seen.len(), 2);
    assert!(seen[0].starts_with("GET /api/v1/status ") && seen[1].starts_with("POST /api/v1/signup/agent "));
    assert!(!seen.concat().contains("amply-old-key"), "{seen:?}");
    let token = format!("x-amply-agent-signup-token: {TOKEN}\r\n");
    assert!(!seen[0].contains(TOKEN) && seen[1].to_ascii_lowercase().contains(&token), "{seen:?}");
    assert!(seen[1].ends_with(&format!("\r\n\r\n{{\"accept_tos_version\":\"{TERMS}\"}}")), "{seen:?}");

    // A server that says it needs no token does not get it.
    let sandbox = taking_signups().await;
    client_of(sandbox.url()).signup(Signup::accepting(TERMS).token(TOKEN)).await.unwrap();
    let calls = format!("{:?}", sandbox.control().calls());
    assert!(calls.contains("/signup/agent") && !calls.contains(TOKEN), "{calls}");
}

#[tokio::test]
async fn what_cannot_be_signed_up_for_is_refused_before_anything_is_accepted() {
    let sandbox = taking_signups().await;
    let client = client_of(sandbox.url());
    let error = failure(client.signup(Signup::accepting("2025-01-01")).await);
    let Error::Invalid { field, .. } = &error else { panic!("{error:?}") };
    assert_eq!(*field, "accept_tos_version");
    let says = "the terms of version `2025-01-01` are not those of this server, which are `2026-11-01`";
    assert!(error.to_string().starts_with(says), "{error}");
    let error = failure(client.signup(Signup::accepting(" ")).await);
    assert!(error.to_string().contains("the version of the terms is empty"), "{error}");
    for (token, says) in [("", "the token of the signup is empty"), ("hid den", "a character that none has")]
    {
        let error = failure(client.signup(Signup::accepting(TERMS).token(token)).await);
        assert!(matches!(error, Error::Invalid { field: "token", .. }), "{error:?}");
        assert!(error.to_string().contains(says) && !shown(&error).contains("hid"), "{error}");
    }

    let off = started(Sandbox::builder()).await;
    let error = failure(client_of(off.url()).signup(Signup::accepting(TERMS)).await);
    assert!(matches!(error, Error::Forbidden(_)) && error.status().is_none(), "{error:?}");
    let page = format!("{}/dashboard/api-keys", off.url().trim_end_matches("/api/v1"));
    assert_eq!(error.hint(), Some(&*format!("make a key at {page} and set AMPLY_API_KEY")));

    let old = started(Sandbox::builder().release(Release::V3_1_12)).await;
    let error = failure(client_of(old.url()).signup(Signup::accepting(TERMS)).await);
    assert!(matches!(error, Error::Unsupported(_)), "{error:?}");
    assert!(error.to_string().contains("says nothing of agents that sign up; make a key at"), "{error}");

    let guarded = started(Sandbox::builder().agent_signup(true).agent_signup_secret(TOKEN)).await;
    let error = failure(client_of(guarded.url()).signup(Signup::accepting(TERMS)).await);
    assert!(matches!(error, Error::Invalid { field: "token", .. }), "{error:?}");
    assert!(error.to_string().contains("AMPLY_SIGNUP_TOKEN"), "{error}");

    for sandbox in [&sandbox, &off, &old, &guarded] {
        let calls = sandbox.control().calls();
        assert!(calls.iter().all(|call| call.path.ends_with("/status")), "{calls:?}");
    }
}

#[tokio::test]
async fn what_the_server_refuses_is_said_in_the_words_of_a_signup() {
    let guarded = started(Sandbox::builder().agent_signup(true).agent_signup_secret(TOKEN)).await;
    let client = client_of(guarded.url());
    let error = failure(client.signup(Signup::accepting(TERMS).token("wrong-token")).await);
    assert!(matches!(error, Error::Unauthorized(_)), "{error:?}");
    assert!(error.hint().unwrap().starts_with("the token is not the one of this server"), "{error}");
    client.signup(Signup::accepting(TERMS).token(TOKEN)).await.unwrap();
    for _ in 0..3 {
        let _ = client.signup(Signup::accepting(TERMS).token(TOKEN)).await.unwrap();
    }
    let once = client.with_options(|options| options.retry(RetryPolicy::never()));
    let error = failure(once.signup(Signup::accepting(TERMS).token(TOKEN)).await);
    assert!(matches!(error, Error::RateLimited { .. }), "{error:?}");

    let sandbox = taking_signups().await;
    sandbox.control().fault(Fault::on("/signup/agent").status(403));
    let error = failure(client_of(sandbox.url()).signup(Signup::accepting(TERMS)).await);
    assert!(matches!(error, Error::Forbidden(_)), "{error:?}");
    assert!(error.hint().unwrap().starts_with("make a key at http://127.0.0.1"), "{error}");
}

#[tokio::test]
async fn a_signup_that_may_have_been_heard_is_not_sent_again() {
    let sandbox = taking_signups().await;
    sandbox.control().fault(Fault::on("/signup/agent").after_effect().reset_before_headers());
    let error = failure(client_of(sandbox.url()).signup(Signup::accepting(TERMS)).await);
    assert!(matches!(error, Error::Transport(_)), "{error:?}");
    assert!(error.hint().unwrap().starts_with("a key may have been made that nobody has seen"), "{error}");
    let calls = sandbox.control().calls();
    assert_eq!(calls.iter().filter(|call| call.path.ends_with("/signup/agent")).count(), 1, "{calls:?}");
}

#[tokio::test]
async fn an_answer_whose_key_cannot_be_found_is_kept_and_shown_by_nothing_else() {
    for body in [
        format!(r#"{{"key":"{KEY}"}}"#),
        format!(r#"{{"api_key":{{"value":"{KEY}"}}}}"#),
        format!("\"{KEY}\""),
        format!("{KEY} is your key"),
    ] {
        let server = answering_signups("201 Created", &body);
        let error = failure(client_of(server.url()).signup(Signup::accepting(TERMS).token(TOKEN)).await);
        assert!(matches!(error, Error::Protocol(_)), "{error:?}");
        assert_eq!((error.body(), error.status().map(|status| status.as_u16())), (None, Some(201)));
        assert!(!shown(&error).contains(KEY), "{}", shown(&error));
        assert_eq!(error.failure().and_then(Failure::expose_sealed_body), Some(body.as_bytes()));
    }
    let server = answering_signups("204 No Content", "");
    let error = failure(client_of(server.url()).signup(Signup::accepting(TERMS).token(TOKEN)).await);
    assert!(error.to_string().contains("nothing came; a key may have been made"), "{error}");
    assert_eq!(error.failure().and_then(Failure::expose_sealed_body), None);
}

#[tokio::test]
async fn neither_the_key_nor_the_token_is_in_any_log_or_error() {
    let log = Log::default();
    let guarded = started(Sandbox::builder().agent_signup(true).agent_signup_secret(TOKEN)).await;
    let mut made: Vec<NewAccount> = Vec::new();
    let mut errors = String::new();
    {
        let _guard = log.start();
        let client = client_of(guarded.url());
        made.push(client.signup(Signup::accepting(TERMS).token(TOKEN)).await.unwrap());
        let repeated =
            format!(r#"{{"detail":"token {TOKEN} made {KEY}","error":"{TOKEN}","api_key":"{KEY}"}}"#);
        for (head, body) in [
            ("201 Created", format!(r#"{{"key":"{KEY}"}}"#)),
            ("400 Bad Request", repeated.clone()),
            ("401 Unauthorized", repeated.clone()),
            ("402 Payment Required", repeated.clone()),
            ("403 Forbidden", repeated.clone()),
            ("500 Internal Server Error", repeated.clone()),
            ("500 Internal Server Error", format!("<html>{TOKEN} {KEY}</html>")),
        ] {
            let server = answering_signups(head, &body);
            let error = failure(client_of(server.url()).signup(Signup::accepting(TERMS).token(TOKEN)).await);
            errors.push_str(&shown(&error));
            let sealed = error.failure().and_then(Failure::expose_sealed_body);
            let sealed = String::from_utf8_lossy(sealed.unwrap_or_default());
            assert!(sealed.contains(KEY) && !sealed.contains(TOKEN), "{head}: {sealed}");
        }
        errors.push_str(&format!("{:?} {:?}", Signup::accepting(TERMS).token(TOKEN), made[0]));
    }
    let text = log.text();
    assert!(text.contains("POST http://127.0.0.1") && text.contains("/signup/agent"), "{text}");
    assert!(errors.contains("token [secret] made [secret]"), "{errors}");
    for secret in [TOKEN, KEY, made[0].api_key.expose()] {
        assert!(!text.contains(secret), "{text}");
        assert!(!errors.contains(secret), "{errors}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_prints_the_key_once_and_it_is_accepted() {
    let sandbox = taking_signups().await;
    let at = [("AMPLY_BASE_URL", sandbox.url()), ("AMPLY_API_KEY", "wrong-key")];
    let made = signup(&["--accept-tos", TERMS], &at, b"");
    assert_eq!(made.code, Some(0), "{made:?}");
    let account = json(&made.stdout);
    let key = account["api_key"].as_str().unwrap();
    assert_eq!(made.stdout.matches(key).count(), 1);
    assert!(
        !made.stderr.contains(key) && made.stderr.starts_with("note: the key is shown this once"),
        "{made:?}"
    );
    let variables = [("AMPLY_BASE_URL", sandbox.url()), ("AMPLY_API_KEY", key)];
    assert_eq!(amply(&["health"], &variables, b"").code, Some(0));
    let verbose = signup(&["--accept-tos", TERMS, "-vv"], &at, b"");
    let key = json(&verbose.stdout)["api_key"].as_str().unwrap().to_owned();
    assert!(verbose.stderr.contains("attempt 1") && !verbose.stderr.contains(&key), "{verbose:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_file_is_new_and_for_its_owner_alone_and_nothing_else_shows_the_key() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = taking_signups().await;
    let at = [("AMPLY_BASE_URL", sandbox.url())];
    let folder = TempFolder::new("signup");
    let file = folder.file("key");
    let made = signup(&["--accept-tos", TERMS, "--key-file", &file], &at, b"");
    assert_eq!(made.code, Some(0), "{made:?}");
    let key = std::fs::read_to_string(&file).unwrap();
    assert!(key.starts_with("amply_sk_") && key.ends_with('\n'), "{key}");
    assert!(!format!("{made:?}").contains(key.trim()), "{made:?}");
    assert_eq!(json(&made.stdout)["tos_version"], TERMS);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    let calls = sandbox.control().calls().len();
    let link = folder.file("link");
    std::os::unix::fs::symlink(folder.file("elsewhere"), &link).unwrap();
    for (name, says) in [
        (&file, "is there already, and is never written over"),
        (&link, "is there already, and is never written over"),
        (&folder.file("no/folder"), "cannot be made for the key"),
    ] {
        let refused = signup(&["--accept-tos", TERMS, "--key-file", name, "--json"], &at, b"");
        assert_eq!((&refused.error()["code"], refused.code), (&"local".into(), Some(1)), "{refused:?}");
        assert!(refused.error()["message"].as_str().unwrap().contains(says), "{refused:?}");
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), key);
    assert_eq!(sandbox.control().calls().len(), calls, "nothing was sent");

    // Where nobody was signed up no empty file is left.
    let other = folder.file("other");
    let refused = signup(&["--accept-tos", "2025-01-01", "--key-file", &other, "--json"], &at, b"");
    assert_eq!((&refused.error()["code"], refused.code), (&"invalid_request".into(), Some(2)), "{refused:?}");
    assert!(!std::path::Path::new(&other).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_refusal_of_a_signup_has_its_exit_code_and_says_what_to_do() {
    let sandbox = taking_signups().await;
    let off = started(Sandbox::builder()).await;
    let guarded = started(Sandbox::builder().agent_signup(true).agent_signup_secret(TOKEN)).await;
    let accept = ["--accept-tos", TERMS, "--json"];
    for (url, arguments, code, exit, says) in [
        (sandbox.url(), &["--json"][..], "usage", 2, "accept them with `--accept-tos VERSION`"),
        (sandbox.url(), &["--accept-tos", "1", "--json"], "invalid_request", 2, "which are `2026-11-01`"),
        (off.url(), &accept, "forbidden", 5, "agents cannot sign up on this server"),
        (guarded.url(), &accept, "invalid_request", 2, "set AMPLY_SIGNUP_TOKEN"),
        (
            sandbox.url(),
            &["--accept-tos", TERMS, "--api-key-stdin", "--json"],
            "usage",
            2,
            "it is sent without a key",
        ),
        (sandbox.url(), &["--token-stdin", "--json"], "usage", 2, "accept them with `--accept-tos VERSION`"),
    ] {
        let variables = [("AMPLY_BASE_URL", url), ("AMPLY_API_KEY", "some-key")];
        let refused = signup(arguments, &variables, TOKEN.as_bytes());
        let error = refused.error();
        assert_eq!((&error["code"], refused.code), (&code.into(), Some(exit)), "{arguments:?}: {error}");
        assert!(error["message"].as_str().unwrap().contains(says), "{arguments:?}: {error}");
        assert!(!error.to_string().contains("the key came from"), "{error}");
    }
    let text = signup(&["--accept-tos", TERMS], &[("AMPLY_BASE_URL", off.url())], b"");
    assert!(text.stderr.contains("hint: make a key at http://127.0.0.1:"), "{text:?}");

    // The token comes from its variable or from standard input.
    let at = [("AMPLY_BASE_URL", guarded.url()), ("AMPLY_SIGNUP_TOKEN", TOKEN)];
    assert_eq!(signup(&["--accept-tos", TERMS], &at, b"").code, Some(0));
    let with_stdin = ["--accept-tos", TERMS, "--token-stdin"];
    let wrong = [("AMPLY_BASE_URL", guarded.url()), ("AMPLY_SIGNUP_TOKEN", "wrong-token")];
    assert_eq!(signup(&with_stdin, &wrong, format!("{TOKEN}\n").as_bytes()).code, Some(0));
    let refused = signup(&["--accept-tos", TERMS], &wrong, b"");
    assert_eq!(refused.code, Some(3), "{refused:?}");
    assert!(!refused.stderr.contains("wrong-token"), "{refused:?}");
}

#[test]
fn an_answer_that_cannot_be_read_goes_where_the_key_would_have_gone() {
    let body = format!(r#"{{"key":"{KEY}"}}"#);
    let folder = TempFolder::new("unread");
    let file = folder.file("key");
    for key_file in [false, true] {
        let server = answering_signups("201 Created", &body);
        let at = [("AMPLY_BASE_URL", server.url()), ("AMPLY_SIGNUP_TOKEN", TOKEN)];
        let mut arguments = vec!["--accept-tos", TERMS, "--json"];
        if key_file {
            arguments.extend(["--key-file", &file]);
        }
        let unread = signup(&arguments, &at, b"");
        assert_eq!((&unread.error()["code"], unread.code), (&"protocol".into(), Some(9)), "{unread:?}");
        assert!(!unread.stderr.contains(KEY), "{unread:?}");
        assert!(unread.error()["hint"].as_str().unwrap().contains("look for the key in it"), "{unread:?}");
        assert_eq!(unread.stdout, if key_file { String::new() } else { format!("{body}\n") });
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), format!("{body}\n"));
}

#[test]
fn a_key_that_cannot_be_shown_is_not_lost_in_silence() {
    let (seen, code) = at_terminal("amply --sandbox -q signup --accept-tos 2026-11-01 > /dev/full");
    assert_eq!(code, Some(1), "{seen}");
    assert!(seen.contains("a key was made and cannot be shown, so that it is lost"), "{seen}");
}

#[test]
fn an_expression_that_does_not_fit_does_not_cost_the_key() {
    let made = signup(&["--sandbox", "--accept-tos", TERMS, "--jq", ".api_key", "-q"], &[], b"");
    assert_eq!(made.code, Some(0), "{made:?}");
    assert!(made.stdout.starts_with("amply_sk_") && made.stdout.lines().count() == 1, "{made:?}");
    let made = signup(&["--sandbox", "--accept-tos", TERMS, "--jq", ".ok.no", "-q"], &[], b"");
    assert_eq!(made.code, Some(1), "{made:?}");
    assert!(json(&made.stdout)["api_key"].as_str().unwrap().starts_with("amply_sk_"), "{made:?}");
    assert!(!made.stderr.contains("amply_sk_") && made.stderr.contains("does not fit"), "{made:?}");
    // Nor does one that fits and makes something else of it.
    for (expression, lines) in [
        (".apikey", "null\n"),
        ("empty", ""),
        (".api_key[:20]", "amply_sk_"),
        (".principal_id", "prn_sandbox_"),
    ] {
        let made = signup(&["--sandbox", "--accept-tos", TERMS, "--jq", expression, "-q"], &[], b"");
        assert_eq!(made.code, Some(1), "{made:?}");
        assert!(made.stdout.starts_with(lines), "{made:?}");
        let whole = made.stdout.lines().last().unwrap();
        assert!(json(whole)["api_key"].as_str().unwrap().starts_with("amply_sk_"), "{made:?}");
        assert!(!made.stderr.contains("amply_sk_") && made.stderr.contains("has no key in it"), "{made:?}");
    }
    // Where the key is in a file there is none to be printed.
    let folder = TempFolder::new("picked");
    let file = folder.file("key");
    let arguments = ["--sandbox", "--accept-tos", TERMS, "--jq", ".apikey", "-q", "--key-file", &file];
    let made = signup(&arguments, &[], b"");
    assert_eq!((made.code, &*made.stdout), (Some(0), "null\n"), "{made:?}");
}

#[test]
fn a_key_in_a_refusal_goes_where_the_key_would_have_gone() {
    let body = format!(r#"{{"error":"half","detail":"made {KEY}","api_key":"{KEY}"}}"#);
    let folder = TempFolder::new("refused");
    for (number, (head, code, exit, or_else)) in [
        ("400 Bad Request", "rejected", 2, "if there is none, `/status` shows"),
        ("402 Payment Required", "rejected", 2, "if there is none, `/status` shows"),
        ("403 Forbidden", "forbidden", 5, "if there is none, make a key at"),
        ("500 Internal Server Error", "server", 8, "if there is none, a key may have been made"),
    ]
    .into_iter()
    .enumerate()
    {
        let server = answering_signups(head, &body);
        let at = [("AMPLY_BASE_URL", server.url()), ("AMPLY_SIGNUP_TOKEN", TOKEN)];
        let shown = signup(&["--accept-tos", TERMS, "--json"], &at, b"");
        let error = shown.error();
        assert_eq!((&error["code"], shown.code), (&code.into(), Some(exit)), "{shown:?}");
        assert_eq!(shown.stdout, format!("{body}\n"));
        let hint = error["hint"].as_str().unwrap();
        assert!(hint.starts_with("what came is on standard output; look for the key in it"), "{hint}");
        assert!(hint.contains(or_else) && !shown.stderr.contains(KEY), "{shown:?}");

        let server = answering_signups(head, &body);
        let at = [("AMPLY_BASE_URL", server.url()), ("AMPLY_SIGNUP_TOKEN", TOKEN)];
        let file = folder.file(&format!("key-{number}"));
        let kept = signup(&["--accept-tos", TERMS, "--key-file", &file], &at, b"");
        assert_eq!((kept.code, &*kept.stdout), (Some(exit), ""), "{kept:?}");
        assert!(!kept.stderr.contains(KEY), "{kept:?}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), format!("{body}\n"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_not_sent_is_no_hindrance_however_it_looks() {
    let sandbox = taking_signups().await;
    for key in ["line\nbreak", "bl ank", "schlüssel"] {
        let at = [("AMPLY_BASE_URL", sandbox.url()), ("AMPLY_API_KEY", key)];
        let made = signup(&["--accept-tos", TERMS, "--json"], &at, b"");
        assert_eq!(made.code, Some(0), "{made:?}");
    }
}

#[tokio::test]
async fn where_the_status_shows_no_version_of_the_terms_the_manifests_holds() {
    let json =
        |body: &str| Act::Send(answer("200 OK\r\nContent-Type: application/json\r\nConnection: close", body));
    let status = r#"{"diagnostics":{"agent_signup":{"enabled":true,"requires_shared_secret":false}}}"#;
    let made = format!(r#"{{"api_key":"{KEY}"}}"#);
    for (manifest, version) in [
        (r#"{"tos_version_for_signup":"2026-11-01","workflow":{"steps":[{"id":"route"}]}}"#, Some(TERMS)),
        (
            r#"{"workflow":{"steps":[{"id":"route"}],"agent_signup":{"tos_version":"2026-11-01"}}}"#,
            Some(TERMS),
        ),
        (r#"{"workflow":{"steps":[{"id":"route"}]}}"#, None),
        ("not even JSON", None),
    ] {
        let server = Scripted::following(vec![vec![json(status)], vec![json(manifest)], vec![json(&made)]]);
        let signed_up = client_of(server.url()).signup(Signup::accepting("2025-01-01")).await;
        match version {
            Some(version) => {
                let error = failure(signed_up);
                assert!(matches!(error, Error::Invalid { field: "accept_tos_version", .. }), "{error:?}");
                assert!(error.to_string().contains(&format!("which are `{version}`")), "{error}");
                assert_eq!(server.seen().len(), 2);
            }
            // The server alone judges it.
            None => drop(signed_up.unwrap()),
        }
        let server = Scripted::following(vec![vec![json(status)], vec![json(manifest)]]);
        let terms = client_of(server.url()).signup_terms().await.unwrap();
        assert_eq!(terms.tos_version.as_deref(), version);
        assert!(!server.seen().concat().to_ascii_lowercase().contains("authorization"));
    }
}

#[test]
fn ctrl_c_while_the_server_is_at_it_says_that_a_key_may_have_been_made() {
    let status = r#"{"diagnostics":{"agent_signup":{"enabled":true,"tos_version":"2026-11-01"}}}"#;
    let head = "200 OK\r\nContent-Type: application/json\r\nConnection: close";
    let server = Scripted::start(vec![Some(answer(head, status)), None]);
    let folder = TempFolder::new("broken-off");
    let file = folder.file("key");
    let arguments = ["signup", "--accept-tos", TERMS, "--base-url", server.url(), "--key-file", &file];
    let running = Running::start(&arguments);
    server.wait_for_requests(2);
    let finished = running.interrupt();
    assert_eq!(finished.code, Some(130), "{finished:?}");
    assert!(finished.stderr.starts_with("warning: broken off: a key may have been made"), "{finished:?}");
    assert!(!std::path::Path::new(&file).exists());
}

#[test]
fn the_sandbox_of_the_command_reads_no_token_and_signs_up() {
    let variables = [("AMPLY_SIGNUP_TOKEN", "line\nbreak"), ("AMPLY_API_KEY", "line\nbreak")];
    let made = signup(&["--sandbox", "--accept-tos", TERMS, "--json"], &variables, b"");
    assert_eq!((made.code, made.stderr.as_str()), (Some(0), ""), "{made:?}");
    assert!(json(&made.stdout)["api_key"].as_str().unwrap().starts_with("amply_sk_"));
    let refused = signup(&["--sandbox", "--token-stdin", "--accept-tos", TERMS, "--json"], &[], b"");
    assert_eq!((&refused.error()["code"], refused.code), (&"usage".into(), Some(2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn at_a_terminal_the_terms_are_shown_and_asked_about() {
    let sandbox = taking_signups().await;
    let at = [("AMPLY_BASE_URL", sandbox.url())];
    let question = "Do you accept the terms of version 2026-11-01? [y/N] ";
    let answered = |keys: &[u8]| {
        let terminal = Terminal::session(&["signup"], &at);
        terminal.wait_for(question);
        terminal.type_in(keys);
        terminal.finish()
    };
    let signups =
        || sandbox.control().calls().iter().filter(|call| call.path.ends_with("/signup/agent")).count();
    for keys in [&b"n\n"[..], b"\n", b"yess\n", b"\x04"] {
        let (seen, code) = answered(keys);
        assert_eq!(code, Some(1), "{seen}");
        assert!(seen.contains("to be read at  http://127.0.0.1:"), "{seen}");
        assert!(seen.contains("error: the terms were not accepted, so that nobody was signed up"), "{seen}");
    }
    // Ctrl-C.
    let (seen, code) = answered(b"\x03");
    assert_eq!((code, signups()), (Some(130), 0), "{seen}");
    let folder = TempFolder::new("asked");
    let file = folder.file("key");
    let terminal = Terminal::session(&["signup", "--key-file", &file], &at);
    terminal.wait_for(question);
    terminal.type_in(b"\x03");
    assert_eq!(terminal.finish().1, Some(130));
    assert!(!std::path::Path::new(&file).exists());

    let (seen, code) = answered(b"y\n");
    assert_eq!((code, signups()), (Some(0), 1), "{seen}");
    assert_eq!(seen.matches("amply_sk_").count(), 1, "{seen}");
    assert!(seen.contains("principal  prn_sandbox_"), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_checklist_shows_what_is_done_and_what_is_next() {
    let sandbox = taking_signups().await;
    let state = TempFolder::new("checklist");
    let folder = state.path().to_str().unwrap().to_owned();
    let at_terminal = |key: &str, url: &str| {
        let mut variables = vec![("AMPLY_BASE_URL", url), ("XDG_STATE_HOME", &*folder)];
        if !key.is_empty() {
            variables.push(("AMPLY_API_KEY", key));
        }
        let (seen, code) = Terminal::amply(&["agent"], &variables).finish();
        assert_eq!(code, Some(0), "{seen}");
        seen
    };
    let line = |seen: &str, step: &str| -> String {
        let found = seen.lines().find(|line| line.starts_with('[') && line.contains(&format!("]  {step} ")));
        found.unwrap_or_else(|| panic!("{seen}")).to_owned()
    };
    let seen = at_terminal("", sandbox.url());
    for (step, mark) in [
        ("discover", "[x]"),
        ("health", "[x]"),
        ("schema", "[x]"),
        ("credential", "[ ]"),
        ("catalog", "[x]"),
        ("route", "[ ]"),
    ] {
        assert!(line(&seen, step).starts_with(mark), "{step}: {seen}");
    }
    assert!(seen.contains("Next: credential, `amply signup`, and set AMPLY_API_KEY"), "{seen}");
    let seen = at_terminal("amply-wrong-key", sandbox.url());
    assert!(line(&seen, "credential").starts_with("[ ]") && seen.contains("not accepted"), "{seen}");
    let seen = at_terminal(sandbox.user_key(), sandbox.url());
    assert!(line(&seen, "credential").starts_with("[x]"), "{seen}");
    assert!(seen.contains("Next: route, `amply route"), "{seen}");

    // A report that waits tells of a route.
    let variables = [
        ("AMPLY_BASE_URL", sandbox.url()),
        ("AMPLY_API_KEY", sandbox.user_key()),
        ("XDG_STATE_HOME", &*folder),
    ];
    let route = json(&amply(&["route", "store 1M vectors", "--track"], &variables, b"").stdout);
    sandbox.control().fault(Fault::on("/outcome").always().status(500));
    amply(
        &["outcome", "--ticket", route["amply_ticket"].as_str().unwrap(), "--success", "--later"],
        &variables,
        b"",
    );
    let seen = at_terminal(sandbox.user_key(), sandbox.url());
    assert!(line(&seen, "route").starts_with("[x]"), "{seen}");
    assert!(seen.contains("Next: outcome, `amply outcome ROUTE_ID --success`"), "{seen}");

    let off = started(Sandbox::builder()).await;
    let seen = at_terminal("", off.url());
    assert!(seen.contains("signup      off") && seen.contains("make a key at http://127.0.0.1"), "{seen}");

    let piped = amply(&["agent"], &[("AMPLY_BASE_URL", sandbox.url())], b"");
    assert_eq!(json(&piped.stdout)["workflow"]["steps"][0]["id"], "discover");
    let old = started(Sandbox::builder().release(Release::V3_1_12)).await;
    let refused = amply(&["agent", "--json"], &[("AMPLY_BASE_URL", old.url())], b"");
    assert_eq!((&refused.error()["code"], refused.code), (&"unsupported".into(), Some(1)), "{refused:?}");
}
