//! 402s and top-ups, as they should be and as the control makes them go wrong.

use std::time::{Duration, UNIX_EPOCH};

use amply_sandbox::{Challenge, Crediting, NanoUsd, Sandbox, SandboxBuilder};
use serde_json::{Value, json};

use crate::call::{principal_headers, request, route};
use crate::common::{Answer, Failure};

const BOUND: [&str; 4] = ["1", "user_key", "on", "settlement_eligible"];

/// Three cents, where a route costs five.
fn poor() -> SandboxBuilder {
    Sandbox::builder().balance("0.03").charge_per_route("0.05").strict_wallet(true)
}

fn usd(text: &str) -> Option<NanoUsd> {
    text.parse().ok()
}

async fn refused(sandbox: &Sandbox) -> Result<(Answer, Value), Failure> {
    let (answer, body) = route(sandbox, Some(sandbox.user_key()), &json!({"task": "x"})).await?;
    assert_eq!(answer.status, 402, "{body}");
    Ok((answer, body))
}

async fn served(sandbox: &Sandbox) -> Result<(), Failure> {
    let (answer, body) = route(sandbox, Some(sandbox.user_key()), &json!({"task": "x"})).await?;
    assert_eq!(answer.status, 200, "{body}");
    Ok(())
}

async fn top_up(sandbox: &Sandbox, key: &str, amount: &str) -> Result<(Answer, Value), Failure> {
    let body = json!({"amount_usd": amount, "idempotency_key": key});
    request(sandbox, "POST", "/topup", Some(sandbox.topup_token()), Some(&body)).await
}

/// The balance that `/billing/status` shows.
async fn shown(sandbox: &Sandbox) -> Result<Option<NanoUsd>, Failure> {
    let key = Some(sandbox.user_key());
    let (_, status) = request(sandbox, "GET", "/api/v1/billing/status", key, None).await?;
    Ok(status.get("balance_usd").and_then(|balance| usd(&balance.to_string())))
}

#[tokio::test]
async fn a_402_says_what_is_missing_and_takes_nothing() -> Result<(), Failure> {
    let sandbox = poor().start().await?;
    let (answer, error) = refused(&sandbox).await?;
    assert_eq!(principal_headers(&answer), BOUND);
    assert_eq!(answer.header("x-amply-payment-required"), None);
    assert_eq!(answer.header("x-amply-x402-spec"), None);
    let origin = sandbox.url().trim_end_matches("/api/v1");
    assert_eq!(
        error,
        json!({
            "error": "insufficient_balance",
            "detail": "The wallet holds 0.03 USD and a route costs 0.05 USD: 0.02 USD are missing",
            "request_id": answer.header("x-amply-request-id"),
            "shortfall_usd": 0.02,
            "balance_usd": 0.03,
            "top_up_url": format!("{origin}/dashboard/billing"),
        })
    );
    assert_eq!(sandbox.control().balance(sandbox.user_key()), usd("0.03"));
    top_up(&sandbox, "a", "0.02").await?;
    served(&sandbox).await?;
    assert_eq!(sandbox.control().balance(sandbox.user_key()), usd("0"));
    Ok(())
}

#[tokio::test]
async fn with_x402_a_402_has_a_challenge_that_a_machine_can_answer() -> Result<(), Failure> {
    // 2026-11-23
    let time = UNIX_EPOCH + Duration::from_secs(1_795_392_000);
    let sandbox = poor().x402(true).clock_standing_at(time).start().await?;
    let (answer, error) = refused(&sandbox).await?;
    assert_eq!(answer.header("x-amply-payment-required"), Some("1"));
    assert_eq!(answer.header("x-amply-x402-spec"), Some("amply.x402/1"));
    assert_eq!(principal_headers(&answer), BOUND);
    let challenge = &error["x402"];
    assert!(challenge["challenge_id"].as_str().is_some_and(|id| id.starts_with("chl_")));
    assert_eq!(
        *challenge,
        json!({
            "spec": "amply.x402/1",
            "challenge_id": challenge["challenge_id"],
            "amount_usd": 0.02,
            "currency": "USD",
            "expires_at": "2026-11-23T00:05:00.000Z",
            "top_up": {"method": "POST", "path": "/api/v1/billing/topup"},
            "retry": {"method": "POST", "path": "/api/v1/route"},
            "accepts": [],
        })
    );
    assert_ne!(refused(&sandbox).await?.1["x402"]["challenge_id"], challenge["challenge_id"]);
    Ok(())
}

#[tokio::test]
async fn a_challenge_may_be_wrong_in_each_of_its_parts() -> Result<(), Failure> {
    let time = UNIX_EPOCH + Duration::from_secs(1_795_392_000);
    let sandbox = poor().x402(true).clock_standing_at(time).start().await?;
    for (challenge, path, value) in [
        (Challenge::new().amount("NaN"), "/x402/amount_usd", json!("NaN")),
        (Challenge::new().amount(-1), "/x402/amount_usd", json!(-1)),
        (Challenge::new().amount(1e308), "/x402/amount_usd", json!(1e308)),
        (Challenge::new().amount(0.001), "/x402/amount_usd", json!(0.001)),
        (Challenge::new().shortfall(json!([])), "/shortfall_usd", json!([])),
        (Challenge::new().balance("0.03"), "/balance_usd", json!("0.03")),
        (Challenge::new().currency("EUR"), "/x402/currency", json!("EUR")),
        (Challenge::new().expired(), "/x402/expires_at", json!("2026-11-22T23:00:00.000Z")),
        (
            Challenge::new().expires_in(Duration::from_secs(1)),
            "/x402/expires_at",
            json!("2026-11-23T00:00:01.000Z"),
        ),
        (Challenge::new().top_up_path("//evil.test/pay"), "/x402/top_up/path", json!("//evil.test/pay")),
        (Challenge::new().retry_path("https://evil.test"), "/x402/retry/path", json!("https://evil.test")),
        (Challenge::new().top_up_url("https://evil.test/a"), "/top_up_url", json!("https://evil.test/a")),
        (Challenge::new().set("/x402/spec", "amply.x402/2"), "/x402/spec", json!("amply.x402/2")),
        (Challenge::new().set("/x402/more", json!({"a": 1})), "/x402/more/a", json!(1)),
        (Challenge::new().set("/x402", "none"), "/x402", json!("none")),
        (Challenge::new().without("/shortfall_usd"), "/shortfall_usd", Value::Null),
        (Challenge::new().without("/balance_usd"), "/balance_usd", Value::Null),
        (Challenge::new().without("/x402/amount_usd"), "/x402/amount_usd", Value::Null),
        (Challenge::new().without("/x402"), "/x402", Value::Null),
    ] {
        let what = format!("{challenge:?}");
        sandbox.control().challenge(challenge);
        let (answer, error) = refused(&sandbox).await?;
        assert_eq!(error.pointer(path).unwrap_or(&Value::Null), &value, "{what}");
        assert_eq!(error["error"], "insufficient_balance");
        assert_eq!(answer.header("x-amply-x402-spec").is_some(), error.get("x402").is_some(), "{what}");
        sandbox.control().clear_challenges();
    }
    let (_, error) = refused(&sandbox).await?;
    assert_eq!((&error["shortfall_usd"], &error["x402"]["amount_usd"]), (&json!(0.02), &json!(0.02)));
    Ok(())
}

#[tokio::test]
async fn the_digits_of_an_amount_are_sent_as_they_were_given() -> Result<(), Failure> {
    let sandbox = poor().x402(true).start().await?;
    let body = br#"{"set": {"/x402/amount_usd": 0.020000000001000, "/shortfall_usd": 1e308}}"#;
    let admin = format!("Bearer {}", sandbox.admin_secret());
    let path = "/__sandbox/challenges";
    crate::common::send(sandbox.url(), "POST", path, &[("Authorization", &admin)], Some(body)).await?;
    let (answer, _) = refused(&sandbox).await?;
    assert!(answer.body.contains(r#""amount_usd":0.020000000001000,"#), "{}", answer.body);
    assert!(answer.body.contains(r#""shortfall_usd":1e308,"#), "{}", answer.body);
    Ok(())
}

#[tokio::test]
async fn a_402_may_say_that_no_principal_is_bound() -> Result<(), Failure> {
    let sandbox = poor().start().await?;
    sandbox.control().challenge(Challenge::new().unbound().first(1));
    assert_eq!(
        principal_headers(&refused(&sandbox).await?.0),
        ["0", "user_key", "on", "settlement_eligible"]
    );
    assert_eq!(principal_headers(&refused(&sandbox).await?.0), BOUND);
    Ok(())
}

#[tokio::test]
async fn challenges_are_for_the_402s_that_they_count() -> Result<(), Failure> {
    let sandbox = poor().x402(true).start().await?;
    sandbox.control().challenge(Challenge::new().currency("EUR").nth(2));
    sandbox.control().challenge(Challenge::new().currency("GBP").first(2));
    for currency in ["GBP", "EUR", "USD"] {
        assert_eq!(refused(&sandbox).await?.1["x402"]["currency"], currency);
    }
    Ok(())
}

#[tokio::test]
async fn a_route_may_be_refused_again_after_its_wallet_was_topped_up() -> Result<(), Failure> {
    let sandbox = poor().start().await?;
    refused(&sandbox).await?;
    top_up(&sandbox, "a", "0.10").await?;
    sandbox.control().challenge(Challenge::new().even_if_covered().first(2));
    for _ in 0..2 {
        let (_, error) = refused(&sandbox).await?;
        assert_eq!((&error["shortfall_usd"], &error["balance_usd"]), (&json!(0.05), &json!(0.13)));
    }
    served(&sandbox).await?;
    assert_eq!(sandbox.control().balance(sandbox.user_key()), usd("0.08"));
    Ok(())
}

#[tokio::test]
async fn a_credit_may_show_late() -> Result<(), Failure> {
    let sandbox = poor().start().await?;
    sandbox.control().crediting(Crediting::as_asked().late(3).first(1));
    let (_, answered) = top_up(&sandbox, "a", "0.02").await?;
    assert_eq!((&answered["credited_usd"], &answered["balance_usd"]), (&json!(0.02), &json!(0.03)));
    assert_eq!(sandbox.control().credits().len(), 1);
    assert_eq!(shown(&sandbox).await?, usd("0.03"));
    refused(&sandbox).await?;
    assert_eq!(shown(&sandbox).await?, usd("0.03"));
    served(&sandbox).await?;
    assert_eq!(shown(&sandbox).await?, usd("0"));
    Ok(())
}

#[tokio::test]
async fn more_or_less_or_nothing_may_be_credited_and_anything_be_said_of_it() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().balance("0").start().await?;
    let control = sandbox.control();
    control.crediting(Crediting::of("0.04".parse()?).nth(1));
    control.crediting(Crediting::of("0.5".parse()?).says(0.05).nth(2));
    control.crediting(Crediting::nothing().nth(3));
    control.crediting(Crediting::nothing().says("NaN").nth(4));
    let mut seen = Vec::new();
    for key in ["a", "b", "b", "c", "d", "e"] {
        let (_, answered) = top_up(&sandbox, key, "0.05").await?;
        seen.push((
            answered["ok"].clone(),
            answered["credited_usd"].clone(),
            answered["balance_usd"].clone(),
        ));
    }
    let answers = [
        [json!(true), json!(0.04), json!(0.04)],
        [json!(true), json!(0.05), json!(0.54)],
        [json!(true), json!(0.05), json!(0.54)],
        [json!(true), json!(0.05), json!(0.54)],
        [json!(true), json!("NaN"), json!(0.54)],
        [json!(true), json!(0.05), json!(0.59)],
    ];
    assert_eq!(
        seen.into_iter().map(|(ok, credited, balance)| [ok, credited, balance]).collect::<Vec<_>>(),
        answers
    );
    let credits: Vec<_> = control.credits().iter().map(|credit| Some(credit.amount)).collect();
    assert_eq!(credits, [usd("0.04"), usd("0.5"), usd("0.05")]);
    control.crediting(Crediting::nothing());
    control.clear_creditings();
    top_up(&sandbox, "f", "0.05").await?;
    assert_eq!(control.balance(sandbox.user_key()), usd("0.64"));
    Ok(())
}

#[tokio::test]
async fn the_money_is_seen_and_set_over_http_too() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().strict_wallet(true).x402(true).start().await?;
    let admin = Some(sandbox.admin_secret());
    let control = async |method: &str, path: &str, body: Value| {
        let path = format!("/__sandbox/{path}");
        let body = (!body.is_null()).then_some(body);
        request(&sandbox, method, &path, admin, body.as_ref()).await
    };
    let (_, balance) = control("POST", "balance", json!({})).await?;
    assert_eq!((&balance["ok"], &balance["balance_usd"]), (&json!(true), &json!(10)));
    let set = json!({"of": sandbox.user_key(), "set_usd": "0.005"});
    assert_eq!(control("POST", "balance", set).await?.1["balance_usd"], 0.005);

    control(
        "POST",
        "challenges",
        json!({"even_if_covered": true, "calls": {"first": 1}, "without": ["/balance_usd"]}),
    )
    .await?;
    control(
        "POST",
        "challenges",
        json!({"unbound": true, "expired": true, "set": {"/x402/currency": "EUR"}}),
    )
    .await?;
    assert!(refused(&sandbox).await?.1.get("balance_usd").is_none());
    let (answer, error) = refused(&sandbox).await?;
    assert_eq!((principal_headers(&answer)[0], &error["x402"]["currency"]), ("0", &json!("EUR")));
    control("DELETE", "challenges", Value::Null).await?;
    assert_eq!(refused(&sandbox).await?.1["x402"]["currency"], "USD");

    control("POST", "creditings", json!({"credit_usd": 0.04, "says": 1, "calls": {"nth": 1}})).await?;
    control("POST", "creditings", json!({"late": 9})).await?;
    assert_eq!(top_up(&sandbox, "a", "0.05").await?.1["credited_usd"], 1);
    control("DELETE", "creditings", Value::Null).await?;
    let (_, list) = control("GET", "credits", Value::Null).await?;
    assert_eq!(
        list["credits"],
        json!([{
            "principal_id": balance["principal_id"],
            "amount_usd": 0.04,
            "idempotency_key": "a",
            "via": "service",
            "topup_id": list["credits"][0]["topup_id"],
        }])
    );
    for (path, body) in [
        ("balance", json!({"of": "nobody"})),
        ("balance", json!({"set_usd": "x"})),
        ("balance", json!({"of": "nobody", "set_usd": 1})),
        ("challenges", json!({"sets": {}})),
        ("creditings", json!({"late": -1})),
        ("creditings", json!({"credit_usd": "NaN"})),
    ] {
        assert_eq!(control("POST", path, body.clone()).await?.0.status, 400, "{path} {body}");
    }
    for path in ["balance", "challenges", "creditings"] {
        let (answer, _) =
            request(&sandbox, "POST", &format!("/__sandbox/{path}"), None, Some(&json!({}))).await?;
        assert_eq!(answer.status, 401);
    }
    Ok(())
}
