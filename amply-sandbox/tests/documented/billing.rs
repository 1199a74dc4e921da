//! Wallets: what a route takes from them, what is in them, and how money gets into them.

use std::time::Duration;

use amply_sandbox::{AmountError, Fault, NanoUsd, Release, Sandbox, SetBalanceError, StartError, Via};
use serde_json::{Value, json};

use crate::call::{request, route};
use crate::common::{Answer, Failure, send};

const STATUS: &str = "/api/v1/billing/status";
const TOP_UP: &str = "/api/v1/billing/topup";
const SIGNUP: &str = "/api/v1/signup/agent";

fn task() -> Value {
    json!({"task": "x"})
}

fn usd(text: &str) -> Option<NanoUsd> {
    text.parse().ok()
}

fn balance(sandbox: &Sandbox) -> Option<NanoUsd> {
    sandbox.control().balance(sandbox.user_key())
}

async fn top_up(sandbox: &Sandbox, body: &Value) -> Result<(Answer, Value), Failure> {
    request(sandbox, "POST", TOP_UP, Some(sandbox.admin_secret()), Some(body)).await
}

#[tokio::test]
async fn a_served_route_debits_its_wallet_once_and_says_what_it_took() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().balance("10.00").charge_per_route("0.012345678").start().await?;
    let (answer, body) = route(&sandbox, Some(sandbox.user_key()), &task()).await?;
    assert_eq!(body["usage"]["billable"], true);
    assert!(answer.body.contains(r#""unit_price_usd":0.012345678"#), "{}", answer.body);
    assert!(answer.body.contains(r#""estimated_charge_usd":0.012345678"#), "{}", answer.body);
    assert_eq!(balance(&sandbox), usd("9.987654322"));
    Ok(())
}

#[tokio::test]
async fn what_is_not_billable_takes_nothing() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().balance("0").strict_wallet(true).start().await?;
    for (key, body) in [
        (Some(sandbox.server_key()), task()),
        (None, task()),
        (Some(sandbox.user_key()), json!({"task": "x", "sandbox_mode": true})),
    ] {
        let (answer, body) = route(&sandbox, key, &body).await?;
        assert_eq!(
            (answer.status, &body["usage"]["billable"], &body["estimated_charge_usd"]),
            (200, &json!(false), &json!(0))
        );
    }
    for (body, status) in [(json!({"task": ""}), 400), (json!({"task": "x", "slo_p99_ms": 0.001}), 422)] {
        assert_eq!(route(&sandbox, Some(sandbox.user_key()), &body).await?.0.status, status);
    }
    assert_eq!(balance(&sandbox), usd("0"));

    let unmetered = Sandbox::builder().metering(false).balance("0").strict_wallet(true).start().await?;
    assert_eq!(route(&unmetered, Some(unmetered.user_key()), &task()).await?.0.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_wallet_that_is_not_strict_goes_below_zero() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().balance("0.005").start().await?;
    assert_eq!(route(&sandbox, Some(sandbox.user_key()), &task()).await?.0.status, 200);
    assert_eq!(balance(&sandbox), usd("-0.005"));
    let (answer, status) = request(&sandbox, "GET", STATUS, Some(sandbox.user_key()), None).await?;
    assert!(answer.body.contains(r#""balance_usd":-0.005,"#), "{}", answer.body);
    assert_eq!((&status["can_call"], &status["strict_wallet"]), (&json!(true), &json!(false)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_64_routes_at_once_on_money_for_10_exactly_10_are_served() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().balance("0.1").strict_wallet(true).daily_quota(64).start().await?;
    let key = format!("Bearer {}", sandbox.user_key());
    let mut calls = Vec::new();
    for _ in 0..64 {
        let (url, key) = (sandbox.url().to_owned(), key.clone());
        calls.push(tokio::spawn(async move {
            let headers = [("Authorization", key.as_str())];
            let answer = send(&url, "POST", crate::call::ROUTE, &headers, Some(br#"{"task":"x"}"#)).await;
            answer.map(|answer| answer.status).map_err(|error| error.to_string())
        }));
    }
    let mut statuses = Vec::new();
    for call in calls {
        statuses.push(call.await??);
    }
    let count = |status: u16| statuses.iter().filter(|seen| **seen == status).count();
    assert_eq!((count(200), count(402)), (10, 54));
    assert_eq!(balance(&sandbox), usd("0"));
    let (_, metrics) = crate::call::get(&sandbox, "/api/v1/platform-metrics").await?;
    assert_eq!(metrics["decisions_last_30d"], 10);
    Ok(())
}

#[tokio::test]
async fn a_route_that_is_not_paid_for_is_none_of_the_day_s_quota() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().balance("0").strict_wallet(true).daily_quota(1).start().await?;
    let key = Some(sandbox.user_key());
    for _ in 0..3 {
        assert_eq!(route(&sandbox, key, &task()).await?.0.status, 402);
    }
    sandbox.control().set_balance(sandbox.user_key(), "0.01")?;
    assert_eq!(route(&sandbox, key, &task()).await?.0.status, 200);
    // A quota that is used up is told before a wallet that is empty.
    assert_eq!(route(&sandbox, key, &task()).await?.0.status, 429);
    assert_eq!(balance(&sandbox), usd("0"));
    Ok(())
}

#[tokio::test]
async fn a_fault_before_the_effect_charges_nothing_and_one_after_it_charges_once() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().balance("1").start().await?;
    let key = Some(sandbox.user_key());
    sandbox.control().fault(Fault::on("/route").nth(1).status(503));
    sandbox.control().fault(Fault::on("/route").nth(2).after_effect().status(503));
    sandbox.control().fault(Fault::on("/route").nth(3).after_effect().reset_before_headers());
    assert_eq!(route(&sandbox, key, &task()).await?.0.status, 503);
    assert_eq!(balance(&sandbox), usd("1"));
    assert_eq!(route(&sandbox, key, &task()).await?.0.status, 503);
    assert_eq!(balance(&sandbox), usd("0.99"));
    assert!(route(&sandbox, key, &task()).await.is_err());
    assert_eq!(balance(&sandbox), usd("0.98"));
    Ok(())
}

#[tokio::test]
async fn the_billing_status_is_told_to_users_alone() -> Result<(), Failure> {
    let sandbox =
        Sandbox::builder().balance("0.02").strict_wallet(true).charge_per_route("0.05").start().await?;
    for (key, status) in [(None, 401), (Some("unknown"), 401), (Some(sandbox.admin_secret()), 401)] {
        assert_eq!(request(&sandbox, "GET", STATUS, key, None).await?.0.status, status, "{key:?}");
    }
    let (answer, error) = request(&sandbox, "GET", STATUS, Some(sandbox.server_key()), None).await?;
    assert_eq!((answer.status, &error["error"]), (403, &json!("principal_required")));

    let (answer, status) = request(&sandbox, "GET", STATUS, Some(sandbox.user_key()), None).await?;
    assert_eq!(answer.status, 200);
    assert_eq!(status["request_id"].as_str(), answer.header("x-amply-request-id"));
    assert!(
        answer
            .body
            .contains(r#""balance_usd":0.02,"currency":"USD","can_call":false,"charge_per_route_usd":0.05"#)
    );
    let principal = sandbox.principal_id();
    assert_eq!(status["principal_id"], principal);
    assert_eq!(sandbox.control().balance(principal), usd("0.02"));
    sandbox.control().set_balance(principal, "0.05")?;
    let (_, status) = request(&sandbox, "GET", STATUS, Some(sandbox.user_key()), None).await?;
    assert_eq!(status["can_call"], true);
    Ok(())
}

#[tokio::test]
async fn a_top_up_needs_the_admin_secret() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().start().await?;
    let body = json!({"amount_usd": 5, "idempotency_key": "a"});
    for (key, status) in [
        (None, 401),
        (Some("unknown"), 401),
        (Some(sandbox.topup_token()), 401),
        (Some(sandbox.user_key()), 403),
        (Some(sandbox.server_key()), 403),
        (Some(sandbox.admin_secret()), 200),
    ] {
        let (answer, answered) = request(&sandbox, "POST", TOP_UP, key, Some(&body)).await?;
        assert_eq!(answer.status, status, "{key:?}");
        assert_eq!(answered["detail"].is_string(), status != 200);
    }
    assert_eq!(balance(&sandbox), usd("15"));
    Ok(())
}

#[tokio::test]
async fn a_top_up_is_credited_once_for_its_key_to_the_last_digit() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().balance("0.1").start().await?;
    let body = json!({"amount_usd": "0.200000001", "idempotency_key": "a", "reason": "empty"});
    let (first, answered) = top_up(&sandbox, &body).await?;
    assert_eq!(first.status, 200);
    assert!(
        first.body.starts_with(
            r#"{"ok":true,"balance_usd":0.300000001,"credited_usd":0.200000001,"topup_id":"tup_"#
        ),
        "{}",
        first.body
    );
    let (again, _) = top_up(&sandbox, &body).await?;
    assert_eq!((again.status, &again.body), (200, &first.body));

    let (status, error) = top_up(&sandbox, &json!({"amount_usd": 0.3, "idempotency_key": "a"})).await?;
    assert_eq!((status.status, error["detail"].is_string()), (409, true));
    top_up(&sandbox, &json!({"amount_usd": 1, "idempotency_key": "b"})).await?;
    assert_eq!(balance(&sandbox), usd("1.300000001"));

    let credits = sandbox.control().credits();
    let seen: Vec<_> = credits.iter().map(|c| (c.idempotency_key.as_str(), Some(c.amount), c.via)).collect();
    assert_eq!(seen, [("a", usd("0.200000001"), Via::Billing), ("b", usd("1"), Via::Billing)]);
    assert_eq!(answered["topup_id"], credits[0].topup_id);
    assert_eq!(credits[0].principal_id, sandbox.principal_id());
    Ok(())
}

#[tokio::test]
async fn a_top_up_that_is_wrong_is_refused_with_the_field_and_credits_nothing() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().balance("0").start().await?;
    let with = |field: &str, value: Value| {
        let mut body = json!({"amount_usd": 1, "idempotency_key": "a"});
        body[field] = value;
        body
    };
    let amounts = ["0", "-1", "NaN", "1e308", "0.000000000001", "1000000.01", ""];
    let amounts = amounts.into_iter().map(|amount| ("amount_usd", json!(amount)));
    for (field, value) in amounts.chain([
        ("amount_usd", json!(1e308)),
        ("amount_usd", json!(-1)),
        ("amount_usd", Value::Null),
        ("amount_usd", json!([1])),
        ("amount_usd", json!(true)),
        ("idempotency_key", Value::Null),
        ("idempotency_key", json!(" ")),
        ("idempotency_key", json!(7)),
        ("idempotency_key", json!("a".repeat(256))),
        ("principal_id", json!("prn_sandbox_unknown")),
        ("principal_id", json!(sandbox.user_key())),
        ("reason", json!(1)),
    ]) {
        let (answer, error) = top_up(&sandbox, &with(field, value.clone())).await?;
        assert_eq!(answer.status, 400, "{field} {value}");
        assert!(error["detail"].as_str().is_some_and(|detail| detail.starts_with(field)), "{error}");
    }
    for body in [json!(null), json!([]), json!("x")] {
        assert_eq!(top_up(&sandbox, &body).await?.0.status, 400);
    }
    assert_eq!((balance(&sandbox), sandbox.control().credits().len()), (usd("0"), 0));
    Ok(())
}

#[tokio::test]
async fn a_key_that_was_signed_up_for_has_a_wallet_of_its_own_that_is_empty() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().agent_signup(true).strict_wallet(true).start().await?;
    let accept = json!({"accept_tos_version": "2026-11-01"});
    let (_, signup) = request(&sandbox, "POST", SIGNUP, None, Some(&accept)).await?;
    let (key, principal) = (signup["api_key"].as_str(), signup["principal_id"].as_str());
    let (key, principal) = (key.ok_or("no key")?, principal.ok_or("no principal")?);
    assert_eq!(sandbox.control().balance(key), usd("0"));
    assert_eq!(route(&sandbox, Some(key), &task()).await?.0.status, 402);
    let body = json!({"amount_usd": "0.01", "idempotency_key": "a", "principal_id": principal});
    assert_eq!(top_up(&sandbox, &body).await?.0.status, 200);
    assert_eq!(route(&sandbox, Some(key), &task()).await?.0.status, 200);
    assert_eq!((sandbox.control().balance(principal), balance(&sandbox)), (usd("0"), usd("10")));
    // The same key for another wallet:
    let (answer, _) = top_up(&sandbox, &json!({"amount_usd": "0.01", "idempotency_key": "a"})).await?;
    assert_eq!(answer.status, 409);
    Ok(())
}

async fn serve(
    sandbox: &Sandbox,
    headers: &[(&str, &str)],
    body: &Value,
) -> Result<(Answer, Value), Failure> {
    let token = format!("Bearer {}", sandbox.topup_token());
    let headers = [&[("Authorization", token.as_str())], headers].concat();
    let answer = send(sandbox.url(), "POST", "/topup", &headers, Some(body.to_string().as_bytes())).await?;
    let json = serde_json::from_str(&answer.body)?;
    Ok((answer, json))
}

#[tokio::test]
async fn the_guarded_service_credits_for_its_token_and_shares_the_keys_of_the_server() -> Result<(), Failure>
{
    let sandbox = Sandbox::builder().balance("0").start().await?;
    assert_eq!(sandbox.topup_url(), sandbox.url().replace("/api/v1", "/topup"));
    let body = json!({"amount_usd": "0.05", "idempotency_key": "a", "reason": "402"});
    for key in [None, Some(sandbox.admin_secret()), Some(sandbox.user_key())] {
        assert_eq!(request(&sandbox, "POST", "/topup", key, Some(&body)).await?.0.status, 401);
    }
    let (answer, answered) = serve(&sandbox, &[("Idempotency-Key", "a")], &body).await?;
    assert_eq!(answer.status, 200);
    assert_eq!((&answered["ok"], &answered["credited_usd"]), (&json!(true), &json!(0.05)));
    let (again, _) = serve(&sandbox, &[], &body).await?;
    assert_eq!(again.body, answer.body);
    assert_eq!(top_up(&sandbox, &body).await?.0.body, answer.body);
    let (only_header, _) = serve(&sandbox, &[("Idempotency-Key", "b")], &json!({"amount_usd": 1})).await?;
    assert_eq!(only_header.status, 200);
    for (headers, body) in [
        (&[("Idempotency-Key", "c")][..], json!({"amount_usd": 1, "idempotency_key": "d"})),
        (&[], json!({"amount_usd": 1})),
    ] {
        assert_eq!(serve(&sandbox, headers, &body).await?.0.status, 400);
    }
    let vias: Vec<_> = sandbox.control().credits().iter().map(|credit| credit.via).collect();
    assert_eq!((vias, balance(&sandbox)), (vec![Via::Service; 2], usd("1.05")));
    Ok(())
}

#[tokio::test]
async fn a_top_up_may_be_credited_and_its_answer_lost_and_is_not_credited_again() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().balance("0").start().await?;
    let control = sandbox.control();
    for (path, number) in [("/topup", 1), ("/billing/topup", 1)] {
        control.fault(Fault::on(path).nth(number).after_effect().status(500));
        control.fault(Fault::on(path).nth(number + 1).after_effect().truncate(10));
    }
    let body = json!({"amount_usd": 1, "idempotency_key": "a"});
    assert_eq!(serve(&sandbox, &[], &body).await?.0.status, 500);
    assert!(serve(&sandbox, &[], &body).await.is_err());
    assert_eq!(serve(&sandbox, &[], &body).await?.1["credited_usd"], 1);
    assert_eq!(top_up(&sandbox, &body).await?.0.status, 500);
    assert!(top_up(&sandbox, &body).await.is_err());
    assert_eq!((balance(&sandbox), control.credits().len()), (usd("1"), 1));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_top_up_that_is_slow_is_credited_though_nobody_waits_for_it() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().balance("0").start().await?;
    let hour = Duration::from_secs(3600);
    sandbox.control().fault(Fault::on("/topup").before_effect().delay(hour));
    let body = |key: &str| json!({"amount_usd": 1, "idempotency_key": key});
    let given_up = body("a");
    {
        let mut call = std::pin::pin!(serve(&sandbox, &[], &given_up));
        while sandbox.control().calls().is_empty() {
            tokio::select! {
                biased;
                _ = &mut call => return Err("it was not slow".into()),
                () = tokio::task::yield_now() => {}
            }
        }
    }
    assert_eq!(balance(&sandbox), usd("0"));
    // As slow, and later: what was due before it is done.
    serve(&sandbox, &[], &body("b")).await?;
    assert_eq!((balance(&sandbox), sandbox.control().credits().len()), (usd("2"), 2));
    Ok(())
}

#[tokio::test]
async fn amounts_that_are_none_are_told_when_they_are_given() -> Result<(), Failure> {
    for (builder, error) in [
        (Sandbox::builder().balance("ten").balance("10"), AmountError::NotANumber),
        (Sandbox::builder().balance("0.0000000001"), AmountError::TooPrecise),
        (Sandbox::builder().charge_per_route("-0.01"), AmountError::Negative),
        (Sandbox::builder().charge_per_route("1e308"), AmountError::TooLarge),
    ] {
        let started = builder.start().await;
        assert!(matches!(started, Err(StartError::Amount(found)) if found == error), "{started:?}");
    }
    let sandbox = Sandbox::builder().balance(NanoUsd::from_nanos(-1)).start().await?;
    assert_eq!(balance(&sandbox), Some(NanoUsd::from_nanos(-1)));
    let control = sandbox.control();
    assert_eq!(control.set_balance("nobody", "1"), Err(SetBalanceError::NoWallet));
    let error = control.set_balance(sandbox.user_key(), "x");
    assert_eq!(error, Err(SetBalanceError::Amount(AmountError::NotANumber)));
    assert_eq!(control.balance(sandbox.server_key()), None);
    Ok(())
}

#[tokio::test]
async fn release_3_1_12_has_no_wallets() -> Result<(), Failure> {
    let builder = Sandbox::builder().release(Release::V3_1_12).balance("0").strict_wallet(true);
    let sandbox = builder.start().await?;
    assert_eq!(route(&sandbox, Some(sandbox.user_key()), &task()).await?.0.status, 200);
    assert_eq!(balance(&sandbox), usd("0"));
    for (method, path) in [("GET", STATUS), ("POST", TOP_UP), ("POST", "/topup")] {
        let answer = send(sandbox.url(), method, path, &[], None).await?;
        assert_eq!((answer.status, answer.header("content-type")), (404, Some("text/html; charset=utf-8")));
    }
    Ok(())
}
