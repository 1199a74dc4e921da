//! Open x402 payments: offers, payments and receipts, as the reference servers were recorded to handle them.

use std::time::{Duration, UNIX_EPOCH};

use amply_sandbox::{
    Fault, NanoUsd, Network, Offering, OpenPayments, Sandbox, SandboxBuilder, Settlement, Settling,
    StartError,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::call::{ROUTE, request};
use crate::common::{Answer, Failure, send};
use crate::payer::{PAYER, at, decoded, offer, pay};

/// 2026-11-23
const NOW: u64 = 1_795_392_000;
const PAY_TO: &str = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC";

/// An empty wallet, and a cent for a route.
fn asking(open: OpenPayments) -> SandboxBuilder {
    Sandbox::builder()
        .balance("0")
        .strict_wallet(true)
        .clock_standing_at(UNIX_EPOCH + Duration::from_secs(NOW))
        .open_payments(open.pay_to(PAY_TO))
}

fn of_version(version: u8) -> OpenPayments {
    if version == 1 { OpenPayments::v1() } else { OpenPayments::v2() }
}

/// A route of the user key, with a payment header or without.
async fn route(sandbox: &Sandbox, version: u8, payment: Option<&str>) -> Result<Answer, Failure> {
    let key = format!("Bearer {}", sandbox.user_key());
    let name = if version == 1 { "X-PAYMENT" } else { "PAYMENT-SIGNATURE" };
    let mut headers = vec![("Authorization", key.as_str()), ("Idempotency-Key", "idem-0001")];
    headers.extend(payment.map(|payment| (name, payment)));
    send(sandbox.url(), "POST", ROUTE, &headers, Some(br#"{"task":"x"}"#)).await
}

/// A 402, then a payment of its first offer.
async fn paid(sandbox: &Sandbox, version: u8, changes: &[(&str, &str)]) -> Result<Answer, Failure> {
    let first = route(sandbox, version, None).await?;
    assert_eq!(first.status, 402, "{first:?}");
    route(sandbox, version, Some(&pay(&offer(&first)?, NOW, changes)?)).await
}

/// How many routes were answered by the handler, and how many payments were settled.
async fn ran_and_settled(sandbox: &Sandbox) -> Result<(u64, usize), Failure> {
    let (_, metrics) = request(sandbox, "GET", "/api/v1/platform-metrics", None, None).await?;
    let ran = metrics.get("decisions_last_30d").and_then(Value::as_u64).ok_or("no count")?;
    Ok((ran, sandbox.control().settlements().len()))
}

fn recording(case: &str) -> Result<Value, Failure> {
    let path = format!("{}/../tests/fixtures/x402/{case}.json", env!("CARGO_MANIFEST_DIR"));
    Ok(serde_json::from_str(&std::fs::read_to_string(path)?)?)
}

/// The answers of a recording that came to requests with a payment.
fn recorded(case: &str) -> Result<(Vec<Value>, u64, u64), Failure> {
    let recording = recording(case)?;
    let mut answers = Vec::new();
    for exchange in at(&recording, "/exchange").as_array().ok_or("no exchange")? {
        let has = |message: &str, name: &str| {
            let headers = at(exchange, &format!("/{message}/headers")).as_object()?;
            headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).and_then(|(_, value)| value.as_str())
        };
        if has("request", "x-payment").or(has("request", "payment-signature")).is_some() {
            let status = at(exchange, "/response/status").as_u64().ok_or("no status")?;
            let body = at(exchange, "/response/body").clone();
            answers.push(shape(status, &|name| has("response", name), body)?);
        }
    }
    let count = |name: &str| at(&recording, &format!("/{name}")).as_u64().ok_or("no count");
    Ok((answers, count("handler_runs")?, count("settled_authorizations")?))
}

/// An answer less what differs from server to server: the route, the offers, the hash of a transaction.
fn shape<'a>(
    status: u64,
    header: &dyn Fn(&str) -> Option<&'a str>,
    mut body: Value,
) -> Result<Value, Failure> {
    let bare = |mut message: Value| {
        for name in ["accepts", "resource"] {
            message.as_object_mut().map(|fields| fields.remove(name));
        }
        if let Some(hash) = message.get_mut("transaction").filter(|hash| **hash != "") {
            *hash = json!("T");
        }
        message
    };
    if status == 200 {
        body = json!("the route");
    }
    let of_header = |name: &str| header(name).map(decoded).transpose();
    Ok(json!({
        "status": status,
        "body": if body.is_object() { bare(body) } else { body },
        "required": of_header("payment-required")?.map(bare),
        "receipt": of_header("payment-response")?.or(of_header("x-payment-response")?).map(bare),
        "cache": header("cache-control"),
    }))
}

fn shape_of(answer: &Answer) -> Result<Value, Failure> {
    shape(answer.status.into(), &|name| answer.header(name), serde_json::from_str(&answer.body)?)
}

#[tokio::test]
async fn a_402_has_the_offers_of_the_recorded_servers() -> Result<(), Failure> {
    for (version, open) in [(1, OpenPayments::v1()), (2, OpenPayments::v2())] {
        let sandbox = asking(open).start().await?;
        let answer = route(&sandbox, version, None).await?;
        let case = recording(&format!("v{version}-ok"))?;
        let mut expected = case["exchange"][0]["response"]["body"].clone();
        assert_eq!(answer.status, 402);
        if version == 2 {
            assert_eq!((answer.body.as_str(), answer.header("cache-control")), ("{}", Some("no-store")));
            expected = case["decoded"]["0.response.payment-required"].clone();
            expected["resource"]["url"] = json!(format!("{}/route", sandbox.url()));
        } else {
            assert_eq!((answer.header("payment-required"), answer.header("cache-control")), (None, None));
            expected["accepts"][0]["resource"] = json!(format!("{}/route", sandbox.url()));
        }
        let seen = match answer.header("payment-required") {
            Some(header) => decoded(header)?,
            None => serde_json::from_str(&answer.body)?,
        };
        assert_eq!(seen, expected);
        assert_eq!(answer.header("x-amply-payment-required"), None);
        assert!(answer.header("x-amply-request-id").is_some());
    }
    Ok(())
}

#[tokio::test]
async fn every_payment_that_the_reference_clients_signed_is_taken_once() -> Result<(), Failure> {
    let vectors = recording("vectors")?;
    let vectors = vectors["vectors"].as_array().ok_or("no vectors")?;
    for vector in vectors {
        let version = if vector["version"] == 1 { 1 } else { 2 };
        let wanted = vector.pointer("/payment_required/accepts/0").ok_or("no offer")?;
        let time = UNIX_EPOCH + Duration::from_secs(vector["now"].as_u64().ok_or("no time")?);
        let sandbox = asking(of_version(version)).clock_standing_at(time).start().await?;
        let mut offering = Offering::new();
        for (name, value) in wanted.as_object().ok_or("no object")? {
            offering = offering.set(&format!("/{name}"), value);
        }
        sandbox.control().offering(offering);
        let what = &vector["id"];
        let header = vector["header_value"].as_str().ok_or("no header")?;
        let answer = route(&sandbox, version, Some(header)).await?;
        assert_eq!(answer.status, 200, "{what}: {answer:?}");
        let [one] = sandbox.control().settlements().try_into().map_err(|_| "not one settlement")?;
        let signed = &vector["message"];
        assert_eq!((json!(one.from), json!(one.value)), (signed["from"].clone(), signed["value"].clone()));
        assert_eq!(
            (json!(one.nonce), json!(one.network)),
            (signed["nonce"].clone(), wanted["network"].clone())
        );
        assert_eq!(json!(one.pay_to.to_lowercase()), json!(signed["to"].as_str().map(str::to_lowercase)));
    }
    assert_eq!(vectors.len(), 16);
    Ok(())
}

#[tokio::test]
async fn a_payment_that_is_not_in_order_is_refused_as_recorded_and_no_handler_runs() -> Result<(), Failure> {
    let other = "0x90F79bf6EB2c4f870365E785982E1f101E93b906";
    let (soon, past) = ((NOW + 600).to_string(), (NOW - 1).to_string());
    for version in [1, 2] {
        let other_network = if version == 1 { "base" } else { "eip155:8453" };
        for (case, changes) in [
            ("wrong-signature", &[("domain", "USD Coin")][..]),
            ("wrong-recipient", &[("to", other)]),
            ("wrong-amount", &[("value", "5000")]),
            ("wrong-network", &[("network", other_network)]),
            ("expired", &[("validBefore", &past)]),
            ("not-yet-valid", &[("validAfter", &soon)]),
        ] {
            let sandbox = asking(of_version(version)).start().await?;
            let answer = paid(&sandbox, version, changes).await?;
            let (expected, ..) = recorded(&format!("v{version}-{case}"))?;
            assert_eq!(vec![shape_of(&answer)?], expected, "v{version}-{case}");
            offer(&answer)?;
            assert_eq!(ran_and_settled(&sandbox).await?, (0, 0), "v{version}-{case}");
        }
        let sandbox = asking(of_version(version)).start().await?;
        let (expected, ..) = recorded(&format!("v{version}-malformed-header"))?;
        assert_eq!(vec![shape_of(&route(&sandbox, version, Some("%%%not-base64%%%")).await?)?], expected);
    }
    Ok(())
}

#[tokio::test]
async fn version_2_wants_the_offer_unchanged_and_its_own_header() -> Result<(), Failure> {
    let sandbox = asking(OpenPayments::v2()).start().await?;
    let first = route(&sandbox, 2, None).await?;
    let lower = offer(&first)?.to_string().replace(PAY_TO, &PAY_TO.to_lowercase());
    let answer = paid(&sandbox, 2, &[("accepted", &lower)]).await?;
    assert_eq!(vec![shape_of(&answer)?], recorded("v2-lowercased-accepted")?.0);
    let answer = paid(&sandbox, 2, &[("value", "20000")]).await?;
    assert_eq!(vec![shape_of(&answer)?], recorded("v2-over-amount")?.0);
    let answer = route(&sandbox, 1, Some(&pay(&offer(&first)?, NOW, &[])?)).await?;
    assert_eq!(vec![shape_of(&answer)?], recorded("v2-x-payment-header")?.0);
    // Its fields may come in another order.
    let reordered = offer(&first)?.to_string();
    assert_eq!(paid(&sandbox, 2, &[("accepted", &reordered)]).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn an_authorization_must_have_six_seconds_left() -> Result<(), Failure> {
    let reason = "invalid_exact_evm_payload_authorization_valid_before";
    for version in [1, 2] {
        let sandbox = asking(of_version(version)).start().await?;
        let answer = paid(&sandbox, version, &[("validBefore", &(NOW + 5).to_string())]).await?;
        let said = shape_of(&answer)?;
        assert_eq!(if version == 1 { &said["body"]["error"] } else { &said["required"]["error"] }, reason);
        assert_eq!(paid(&sandbox, version, &[("validBefore", &(NOW + 6).to_string())]).await?.status, 200);
    }
    Ok(())
}

#[tokio::test]
async fn version_1_takes_all_of_a_payment_that_is_too_large() -> Result<(), Failure> {
    let sandbox = asking(OpenPayments::v1()).start().await?;
    let answer = paid(&sandbox, 1, &[("value", "20000")]).await?;
    assert_eq!(vec![shape_of(&answer)?], recorded("v1-over-amount")?.0);
    assert_eq!(sandbox.control().settlements()[0].value, "20000");
    Ok(())
}

#[tokio::test]
async fn a_payer_has_as_much_as_he_was_given() -> Result<(), Failure> {
    for version in [1, 2] {
        let sandbox = asking(of_version(version)).start().await?;
        let control = sandbox.control();
        assert_eq!(control.payer_balance(PAYER), None);
        control.set_payer_balance(&PAYER.to_lowercase(), "0.015")?;
        assert_eq!(paid(&sandbox, version, &[]).await?.status, 200);
        assert_eq!(control.payer_balance(PAYER), Some("0.005".parse()?));
        let nonce = format!("0x{}", "08".repeat(32));
        let answer = paid(&sandbox, version, &[("nonce", &nonce)]).await?;
        let (expected, ..) = recorded(&format!("v{version}-verify-insufficient-funds"))?;
        assert_eq!(vec![shape_of(&answer)?], expected);
        assert!(
            control.set_payer_balance("0x1", "1").is_err() && control.set_payer_balance(PAYER, "-1").is_err()
        );
    }
    Ok(())
}

/// The case, what is done to the payment (or to each of them), and how often it is sent.
fn settlings() -> Vec<(&'static str, Settling, usize)> {
    let garbled = "Unexpected token 'u', \"upstream error\" is not valid JSON";
    let free = "Facilitator settle failed (500): upstream error";
    let not = |reason: &str| Settling::nothing().says_failed(reason);
    let but = |reason: &str| Settling::as_asked().says_failed(reason);
    vec![
        ("v1-ok", Settling::as_asked(), 1),
        ("v2-ok", Settling::as_asked(), 1),
        ("v1-replay", Settling::as_asked(), 2),
        ("v2-replay", Settling::as_asked(), 2),
        ("v1-settle-failed", not("invalid_transaction_state"), 1),
        ("v2-settle-failed", not("invalid_exact_evm_transaction_failed"), 1),
        ("v1-settle-insufficient-funds", not("insufficient_funds"), 1),
        ("v2-settle-insufficient-funds", not("invalid_exact_evm_insufficient_balance"), 1),
        (
            "v2-settle-failed-with-transaction",
            Settling::nothing().says_failed_with_transaction("settlement_pending"),
            1,
        ),
        (
            "v1-settle-failed-with-transaction",
            Settling::nothing().says_failed_with_transaction("invalid_transaction_state"),
            1,
        ),
        ("v1-settle-garbage-after-settling", but(garbled), 1),
        ("v2-settle-garbage-after-settling", but(free), 1),
        ("v1-settle-truncated-200", but("Unexpected end of JSON input"), 1),
        ("v2-settle-truncated-200", Settling::as_asked().answers(502), 1),
        ("v1-handler-failed", Settling::as_asked().handler_fails(), 1),
        ("v2-handler-failed", Settling::as_asked().handler_fails(), 1),
        ("v1-resend-after-not-settled", not("unexpected_settle_error").first(1), 2),
        ("v2-resend-after-not-settled", not("unexpected_settle_error").first(1), 2),
        ("v1-resend-after-unknown", but(garbled).first(1), 2),
        ("v2-resend-after-unknown", Settling::as_asked().answers(502).nth(1), 2),
    ]
}

#[tokio::test]
async fn payments_are_settled_and_answered_as_recorded() -> Result<(), Failure> {
    for (case, settling, sends) in settlings() {
        let version = if case.starts_with("v1") { 1 } else { 2 };
        let sandbox = asking(of_version(version)).start().await?;
        sandbox.control().settling(settling);
        let payment = pay(&offer(&route(&sandbox, version, None).await?)?, NOW, &[])?;
        let mut seen = Vec::new();
        for _ in 0..sends {
            seen.push(shape_of(&route(&sandbox, version, Some(&payment)).await?)?);
        }
        let (expected, runs, settled) = recorded(case)?;
        assert_eq!(seen, expected, "{case}");
        let (ran, settlements) = ran_and_settled(&sandbox).await?;
        assert_eq!(u64::try_from(settlements)?, settled, "{case}");
        // A handler that fails has routed nothing.
        assert_eq!(ran, if case.ends_with("handler-failed") { 0 } else { runs }, "{case}");
    }
    Ok(())
}

#[tokio::test]
async fn a_settlement_says_what_was_paid_and_for_which_request() -> Result<(), Failure> {
    let sandbox = asking(OpenPayments::v2()).start().await?;
    let answer = paid(&sandbox, 2, &[]).await?;
    let receipt = decoded(answer.header("payment-response").ok_or("no receipt")?)?;
    let body: Value = serde_json::from_str(&answer.body)?;
    assert_eq!((&body["usage"]["billable"], &body["estimated_charge_usd"]), (&json!(true), &json!(0.01)));
    let admin = Some(sandbox.admin_secret());
    let (_, list) = request(&sandbox, "GET", "/__sandbox/settlements", admin, None).await?;
    assert_eq!(
        list,
        json!({"settlements": [{
            "network": "eip155:84532",
            "asset": "0x036CbD53842c5426634e7929541eC2318f3dCF7e",
            "from": PAYER,
            "pay_to": PAY_TO,
            "value": "10000",
            "nonce": format!("0x{}", "07".repeat(32)),
            "transaction": receipt["transaction"],
            "idempotency_key": "idem-0001",
        }]})
    );
    let [Settlement { transaction, .. }] = &sandbox.control().settlements()[..] else {
        return Err("not one".into());
    };
    assert_eq!(json!(transaction), receipt["transaction"]);
    // The wallet has nothing to do with it.
    assert_eq!(sandbox.control().balance(sandbox.user_key()), Some("0".parse::<NanoUsd>()?));
    Ok(())
}

#[tokio::test]
async fn the_same_nonce_counts_once_whichever_version_it_comes_in() -> Result<(), Failure> {
    let sandbox = asking(OpenPayments::both()).start().await?;
    let first = route(&sandbox, 2, None).await?;
    let v1: Value = serde_json::from_str(&first.body)?;
    assert_eq!((&v1["x402Version"], &v1["accepts"][0]["network"]), (&json!(1), &json!("base-sepolia")));
    let v2 = offer(&first)?;
    assert_eq!(v2["network"], "eip155:84532");
    assert_eq!(route(&sandbox, 1, Some(&pay(&v1["accepts"][0], NOW, &[])?)).await?.status, 200);
    let answer = route(&sandbox, 2, Some(&pay(&v2, NOW, &[])?)).await?;
    assert_eq!(shape_of(&answer)?["required"]["error"], "invalid_exact_evm_nonce_already_used");
    assert_eq!(ran_and_settled(&sandbox).await?, (1, 1));
    Ok(())
}

#[tokio::test]
async fn a_payment_may_settle_late() -> Result<(), Failure> {
    for version in [1, 2] {
        let sandbox = asking(of_version(version)).start().await?;
        let pending = Settling::as_asked().late(2).says_failed_with_transaction("settlement_pending");
        sandbox.control().settling(pending.first(1));
        let payment = pay(&offer(&route(&sandbox, version, None).await?)?, NOW, &[])?;
        assert_eq!(route(&sandbox, version, Some(&payment)).await?.status, 402);
        for settled in [0, 1] {
            route(&sandbox, version, None).await?;
            assert_eq!(sandbox.control().settlements().len(), settled);
        }
        // It was used up by then.
        assert_eq!(route(&sandbox, version, Some(&payment)).await?.status, 402);
        assert_eq!(sandbox.control().settlements().len(), 1);
    }
    Ok(())
}

#[tokio::test]
async fn what_is_late_is_settled_when_it_is_sent_again_and_never_after_it_has_expired() -> Result<(), Failure>
{
    let sandbox = asking(OpenPayments::v2()).start().await?;
    sandbox.control().settling(Settling::as_asked().late(2).without_receipt().first(1));
    let payment = pay(&offer(&route(&sandbox, 2, None).await?)?, NOW, &[])?;
    let answer = route(&sandbox, 2, Some(&payment)).await?;
    assert_eq!((answer.status, answer.header("payment-response")), (200, None));
    assert_eq!(sandbox.control().settlements().len(), 0);
    assert_eq!(route(&sandbox, 2, Some(&payment)).await?.status, 200);
    route(&sandbox, 2, None).await?;
    assert_eq!(sandbox.control().settlements().len(), 1);

    sandbox.control().settling(Settling::as_asked().late(1).first(1));
    let nonce = format!("0x{}", "08".repeat(32));
    assert_eq!(paid(&sandbox, 2, &[("nonce", &nonce)]).await?.status, 200);
    sandbox.control().advance(Duration::from_secs(60));
    route(&sandbox, 2, None).await?;
    assert_eq!(sandbox.control().settlements().len(), 1);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_payment_may_never_be_answered() -> Result<(), Failure> {
    let sandbox = asking(OpenPayments::v2()).start().await?;
    sandbox.control().settling(Settling::as_asked().never_answers());
    let payment = pay(&offer(&route(&sandbox, 2, None).await?)?, NOW, &[])?;
    let address = sandbox.url().trim_start_matches("http://").trim_end_matches("/api/v1");
    let mut connection = TcpStream::connect(address).await?;
    let head = format!(
        "POST {ROUTE} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nPAYMENT-SIGNATURE: {payment}\r\nContent-Length: 12\r\n\r\n",
        sandbox.user_key()
    );
    connection.write_all(format!("{head}{{\"task\":\"x\"}}").as_bytes()).await?;
    // Busy, so that the paused clock stands still until the server has done its work.
    while sandbox.control().settlements().is_empty() {
        tokio::task::yield_now().await;
    }
    let mut received = [0; 1];
    let read = connection.read(&mut received);
    assert!(tokio::time::timeout(Duration::from_secs(3600), read).await.is_err());
    assert_eq!(sandbox.control().calls().last().map(|call| call.status), Some(0));
    Ok(())
}

#[tokio::test]
async fn a_payment_may_be_lost_with_its_answer() -> Result<(), Failure> {
    let sandbox = asking(OpenPayments::v1()).start().await?;
    let payment = pay(&offer(&route(&sandbox, 1, None).await?)?, NOW, &[])?;
    sandbox.control().fault(Fault::on("/route").first(1).truncate(20));
    let answer = route(&sandbox, 1, Some(&payment)).await?;
    assert_eq!((answer.status, answer.body.len()), (200, 20));
    assert!(answer.header("x-payment-response").is_some());
    assert_eq!(sandbox.control().settlements().len(), 1);
    for status in [500, 502, 503] {
        let sandbox = asking(OpenPayments::v1()).start().await?;
        sandbox.control().settling(Settling::as_asked().answers(status));
        let answer = paid(&sandbox, 1, &[]).await?;
        assert_eq!((answer.status, answer.header("x-payment-response")), (status, None));
        assert_eq!(sandbox.control().settlements().len(), 1);
    }
    Ok(())
}

#[tokio::test]
async fn a_server_may_lie_about_a_payment() -> Result<(), Failure> {
    for version in [1, 2] {
        let name = if version == 1 { "x-payment-response" } else { "payment-response" };
        let sandbox = asking(of_version(version)).start().await?;
        let control = sandbox.control();
        let elsewhere = json!({"success": true, "transaction": "0x1", "network": "base", "payer": PAY_TO});
        control.settling(Settling::nothing().nth(1));
        control.settling(Settling::nothing().garbage_receipt().nth(2));
        control.settling(Settling::nothing().without_receipt().nth(3));
        control.settling(Settling::nothing().receipt(&elsewhere).nth(4));
        control.settling(Settling::refused("out of luck").nth(5));
        let answer = paid(&sandbox, version, &[]).await?;
        assert_eq!(decoded(answer.header(name).ok_or("no receipt")?)?["success"], true);
        let answer = paid(&sandbox, version, &[]).await?;
        assert_eq!((answer.status, answer.header(name)), (200, Some("%%%not-base64%%%")));
        let answer = paid(&sandbox, version, &[]).await?;
        assert_eq!((answer.status, answer.header(name)), (200, None));
        let answer = paid(&sandbox, version, &[]).await?;
        assert_eq!(decoded(answer.header(name).ok_or("no receipt")?)?, elsewhere);
        assert_eq!(ran_and_settled(&sandbox).await?, (4, 0));
        let said = shape_of(&paid(&sandbox, version, &[]).await?)?;
        let error = if version == 1 { &said["body"]["error"] } else { &said["required"]["error"] };
        assert_eq!((error, &said["receipt"]), (&json!("out of luck"), &Value::Null));
        assert_eq!(ran_and_settled(&sandbox).await?, (4, 0));
    }
    Ok(())
}

#[tokio::test]
async fn upfront_is_settled_before_the_handler_runs() -> Result<(), Failure> {
    for (case, settling) in [
        ("v2-upfront", Settling::as_asked()),
        ("v2-upfront-handler-failed", Settling::as_asked().handler_fails()),
    ] {
        let sandbox = asking(OpenPayments::v2()).start().await?;
        sandbox.control().offering(Offering::new().upfront());
        sandbox.control().settling(settling);
        assert_eq!(offer(&route(&sandbox, 2, None).await?)?["extra"]["paymentFlow"], "upfront");
        assert_eq!(vec![shape_of(&paid(&sandbox, 2, &[]).await?)?], recorded(case)?.0);
        assert_eq!(sandbox.control().settlements().len(), 1);
    }
    let sandbox = asking(OpenPayments::v2()).start().await?;
    sandbox.control().offering(Offering::new().upfront());
    sandbox.control().settling(Settling::nothing().says_failed("settlement_pending"));
    assert_eq!(paid(&sandbox, 2, &[]).await?.status, 402);
    assert_eq!(ran_and_settled(&sandbox).await?, (0, 0));
    Ok(())
}

#[tokio::test]
async fn whom_to_pay_may_change_from_one_402_to_the_next() -> Result<(), Failure> {
    let sandbox = asking(OpenPayments::v2()).start().await?;
    sandbox.control().offering(Offering::new().pay_to("0x90F79bf6EB2c4f870365E785982E1f101E93b906").nth(1));
    let first = route(&sandbox, 2, None).await?;
    let answer = route(&sandbox, 2, Some(&pay(&offer(&first)?, NOW, &[])?)).await?;
    assert_eq!(vec![shape_of(&answer)?], recorded("v2-payto-changes")?.0);
    assert_eq!(offer(&answer)?["payTo"], PAY_TO);

    sandbox.control().offering(Offering::new().changing_pay_to());
    let mut seen = vec![PAY_TO.to_owned()];
    for _ in 0..3 {
        let pay_to = offer(&route(&sandbox, 2, None).await?)?["payTo"].as_str().ok_or("nobody")?.to_owned();
        assert!(!seen.contains(&pay_to));
        seen.push(pay_to);
    }
    assert_eq!(paid(&sandbox, 2, &[]).await?.status, 402);
    sandbox.control().clear_offerings();
    assert_eq!(paid(&sandbox, 2, &[]).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn offers_may_be_wrong_in_each_of_their_parts() -> Result<(), Failure> {
    let token = "0x1111111111111111111111111111111111111111";
    for version in [1, 2] {
        let amount = if version == 1 { "/maxAmountRequired" } else { "/amount" };
        for (offering, path, value) in [
            (Offering::new().amount("1000999.9999999999"), amount, json!("1000999.9999999999")),
            (Offering::new().amount(10_000), amount, json!(10_000)),
            (Offering::new().asset(token), "/asset", json!(token)),
            (Offering::new().set("/network", "solana"), "/network", json!("solana")),
            (Offering::new().set("/scheme", "upto"), "/scheme", json!("upto")),
            (Offering::new().set("/extra/name", "Other"), "/extra/name", json!("Other")),
            (Offering::new().set("/maxTimeoutSeconds", 1e9), "/maxTimeoutSeconds", json!(1e9)),
            (Offering::new().without("/extra"), "/extra", Value::Null),
        ] {
            let what = format!("{offering:?}");
            let sandbox = asking(of_version(version)).start().await?;
            sandbox.control().offering(offering);
            let offer = offer(&route(&sandbox, version, None).await?)?;
            assert_eq!(offer.pointer(path).unwrap_or(&Value::Null), &value, "{what}");
        }
    }
    let sandbox = asking(OpenPayments::both()).start().await?;
    let offering = Offering::new().resource("https://evil.test/x").set_around("/x402Version", 3);
    sandbox.control().offering(offering.set_around("/extensions/note", json!({"a": 1})));
    let answer = route(&sandbox, 2, None).await?;
    let (v1, v2): (Value, Value) =
        (serde_json::from_str(&answer.body)?, decoded(answer.header("payment-required").ok_or("none")?)?);
    assert_eq!(
        (&v1["accepts"][0]["resource"], &v1["x402Version"]),
        (&json!("https://evil.test/x"), &json!(3))
    );
    assert_eq!((&v2["resource"]["url"], &v2["x402Version"]), (&json!("https://evil.test/x"), &json!(3)));
    assert_eq!(v2["extensions"]["note"]["a"], 1);
    Ok(())
}

#[tokio::test]
async fn an_unknown_token_can_be_paid_and_a_fraction_of_a_unit_or_permit2_cannot() -> Result<(), Failure> {
    let sandbox = asking(OpenPayments::v1()).start().await?;
    let control = sandbox.control();
    control.offering(Offering::new().asset("0x1111111111111111111111111111111111111111").first(2));
    control.offering(Offering::new().amount("1000999.9999999999").first(4));
    control.offering(Offering::new().set("/extra/assetTransferMethod", "permit2"));
    assert_eq!(paid(&sandbox, 1, &[]).await?.status, 200);
    let said = shape_of(&paid(&sandbox, 1, &[("value", "1001000")]).await?)?;
    assert_eq!(said["body"]["error"], "invalid_payment_requirements");
    assert_eq!(shape_of(&paid(&sandbox, 1, &[]).await?)?["body"]["error"], "unsupported_scheme");
    assert_eq!(control.settlements().len(), 1);
    Ok(())
}

#[tokio::test]
async fn offers_may_be_within_amplys_object_and_beside_the_wallet() -> Result<(), Failure> {
    let open = OpenPayments::in_amply_object().networks([Network::Base, Network::BaseSepolia]);
    let sandbox = asking(open).start().await?;
    let answer = route(&sandbox, 2, None).await?;
    assert_eq!(
        (answer.header("payment-required"), answer.header("x-amply-x402-spec")),
        (None, Some("amply.x402/1"))
    );
    let body: Value = serde_json::from_str(&answer.body)?;
    assert_eq!((&body["error"], &body["shortfall_usd"]), (&json!("insufficient_balance"), &json!(0.01)));
    let accepts = body["x402"]["accepts"].as_array().ok_or("no offers")?;
    let networks: Vec<_> =
        accepts.iter().map(|offer| offer["network"].as_str().unwrap_or_default()).collect();
    assert_eq!(networks, ["eip155:8453", "eip155:84532", "base", "base-sepolia"]);
    assert_eq!(body["x402"]["top_up"]["path"], "/api/v1/billing/topup");
    assert_eq!(route(&sandbox, 2, Some(&pay(&accepts[0], NOW, &[])?)).await?.status, 200);
    assert_eq!(route(&sandbox, 1, Some(&pay(&accepts[3], NOW, &[])?)).await?.status, 200);
    let answer = route(&sandbox, 2, Some(&pay(&accepts[0], NOW, &[])?)).await?;
    assert_eq!(shape_of(&answer)?["required"]["error"], "invalid_exact_evm_nonce_already_used");

    let sandbox = asking(OpenPayments::v2().beside_wallet()).x402(true).start().await?;
    let answer = route(&sandbox, 2, None).await?;
    let body: Value = serde_json::from_str(&answer.body)?;
    assert_eq!((&body["x402"]["accepts"], &body["balance_usd"]), (&json!([]), &json!(0)));
    assert_eq!(offer(&answer)?["network"], "eip155:84532");

    let sandbox = asking(OpenPayments::v1().beside_wallet()).start().await?;
    let body: Value = serde_json::from_str(&route(&sandbox, 1, None).await?.body)?;
    assert_eq!((&body["error"], &body["x402Version"]), (&json!("insufficient_balance"), &json!(1)));
    assert_eq!(body["accepts"][0]["network"], "base-sepolia");
    Ok(())
}

#[tokio::test]
async fn a_wallet_that_suffices_goes_before_an_offer_and_a_payment_before_the_wallet() -> Result<(), Failure>
{
    let sandbox = asking(OpenPayments::v2()).balance("0.02").start().await?;
    let balance = || sandbox.control().balance(sandbox.user_key()).map(NanoUsd::nanos);
    assert_eq!(route(&sandbox, 2, None).await?.status, 200);
    assert_eq!(balance(), Some(10_000_000));
    sandbox.control().set_balance(sandbox.user_key(), "0")?;
    let first = route(&sandbox, 2, None).await?;
    sandbox.control().set_balance(sandbox.user_key(), "0.01")?;
    assert_eq!(route(&sandbox, 2, Some(&pay(&offer(&first)?, NOW, &[])?)).await?.status, 200);
    assert_eq!((balance(), sandbox.control().settlements().len()), (Some(10_000_000), 1));
    // What is wrong with the request is said before anything is paid.
    let key = format!("Bearer {}", sandbox.user_key());
    let payment = pay(&offer(&first)?, NOW, &[("nonce", &format!("0x{}", "08".repeat(32)))])?;
    let headers = [("Authorization", key.as_str()), ("PAYMENT-SIGNATURE", payment.as_str())];
    let answer = send(sandbox.url(), "POST", ROUTE, &headers, Some(br#"{"task":""}"#)).await?;
    assert_eq!((answer.status, sandbox.control().settlements().len()), (400, 1));
    Ok(())
}

#[tokio::test]
async fn callers_without_a_wallet_pay_when_they_are_asked_to() -> Result<(), Failure> {
    let task = br#"{"task":"x"}"#;
    let sandbox = asking(OpenPayments::v2()).start().await?;
    assert_eq!(send(sandbox.url(), "POST", ROUTE, &[], Some(task)).await?.status, 200);

    let sandbox = asking(OpenPayments::v2().also_without_principal()).start().await?;
    let operator = format!("Bearer {}", sandbox.server_key());
    for (number, key) in [None, Some(("Authorization", operator.as_str()))].into_iter().enumerate() {
        let mut headers: Vec<_> = key.into_iter().collect();
        let first = send(sandbox.url(), "POST", ROUTE, &headers, Some(task)).await?;
        assert_eq!((first.status, first.body.as_str()), (402, "{}"));
        assert_eq!(first.header("x-amply-principal-bound"), Some("0"));
        let nonce = format!("0x{}", format!("{number:02}").repeat(32));
        let payment = pay(&offer(&first)?, NOW, &[("nonce", &nonce)])?;
        headers.push(("PAYMENT-SIGNATURE", &payment));
        let paid = send(sandbox.url(), "POST", ROUTE, &headers, Some(task)).await?;
        assert_eq!(paid.status, 200, "{paid:?}");
    }
    let settlements = sandbox.control().settlements();
    assert_eq!(settlements.iter().map(|one| &one.idempotency_key).collect::<Vec<_>>(), [&None, &None]);
    let trial = send(sandbox.url(), "POST", ROUTE, &[], Some(br#"{"task":"x","sandbox_mode":true}"#)).await?;
    assert_eq!(trial.status, 200);

    let open = OpenPayments::in_amply_object().also_without_principal();
    let sandbox = asking(open).start().await?;
    let body: Value = serde_json::from_str(&send(sandbox.url(), "POST", ROUTE, &[], Some(task)).await?.body)?;
    assert_eq!((body.get("balance_usd"), body["x402"].get("top_up")), (None, None));
    assert_eq!(body["shortfall_usd"], 0.01);
    Ok(())
}

#[tokio::test]
async fn an_address_that_is_none_is_told_at_the_start_and_the_default_follows_from_the_seed()
-> Result<(), Failure> {
    let wrong = Sandbox::builder().open_payments(OpenPayments::v1().pay_to("0x12")).start().await;
    assert!(matches!(wrong, Err(StartError::PayTo { address }) if address == "0x12"));
    let mut seen = Vec::new();
    for seed in [1, 1, 2] {
        let open = OpenPayments::v2().max_timeout(Duration::from_secs(300));
        let builder = Sandbox::builder().balance("0").strict_wallet(true).seed(seed).open_payments(open);
        let offer = offer(&route(&builder.start().await?, 2, None).await?)?;
        assert_eq!(offer["maxTimeoutSeconds"], 300);
        seen.push(offer["payTo"].clone());
    }
    assert_eq!(seen[0], seen[1]);
    assert_ne!(seen[0], seen[2]);
    Ok(())
}

#[tokio::test]
async fn open_payments_are_announced() -> Result<(), Failure> {
    let sandbox = asking(OpenPayments::both().networks([Network::Base, Network::Polygon])).start().await?;
    let (_, manifest) = request(&sandbox, "GET", "/api/v1/agent", None, None).await?;
    assert_eq!(
        manifest["workflow"]["x402"],
        json!({
            "enabled": true,
            "spec": "amply.x402/1",
            "open": {"versions": [2, 1], "networks": ["base", "polygon"]},
        })
    );
    Ok(())
}

#[tokio::test]
async fn open_payments_are_spoiled_over_http_too() -> Result<(), Failure> {
    let sandbox = asking(OpenPayments::v2()).start().await?;
    let control = async |method: &str, path: &str, body: Value| {
        let path = format!("/__sandbox/{path}");
        let body = (!body.is_null()).then_some(body);
        request(&sandbox, method, &path, Some(sandbox.admin_secret()), body.as_ref()).await
    };
    let offering = json!({
        "calls": {"nth": 1}, "changing_pay_to": true, "upfront": true, "amount": "0.5", "set": {"/asset": 1},
        "without": ["/scheme"], "set_around": {"/error": "pay"},
    });
    assert_eq!(control("POST", "offerings", offering).await?.1, json!({"ok": true}));
    let answer = route(&sandbox, 2, None).await?;
    let wrong = offer(&answer)?;
    assert_eq!((&wrong["amount"], &wrong["asset"], wrong.get("scheme")), (&json!("0.5"), &json!(1), None));
    assert_eq!(wrong["extra"]["paymentFlow"], "upfront");
    assert_eq!(decoded(answer.header("payment-required").ok_or("none")?)?["error"], "pay");

    for (number, (settling, status)) in [
        (json!({"money": "never", "says": {"failed": "insufficient_funds"}}), 402),
        (json!({"money": {"late": 9}, "says": {"failed_with_transaction": "settlement_pending"}}), 402),
        (json!({"says": {"refused": "no"}}), 402),
        (json!({"says": {"status": 502}}), 502),
        (json!({"says": "no_receipt"}), 200),
        (json!({"says": "garbage_receipt"}), 200),
        (json!({"says": {"receipt": {"success": false}}}), 200),
        (json!({"says": "settled", "handler_fails": true}), 500),
        (json!({"calls": {"first": 1}}), 200),
    ]
    .into_iter()
    .enumerate()
    {
        control("POST", "settlings", settling.clone()).await?;
        let nonce = format!("0x{}", format!("{number:02}").repeat(32));
        assert_eq!(paid(&sandbox, 2, &[("nonce", &nonce)]).await?.status, status, "{settling}");
        control("DELETE", "settlings", Value::Null).await?;
    }
    // Looked at nine times by now: the one that was late is there as well.
    assert_eq!(sandbox.control().settlements().len(), 6);

    let payer = json!({"address": PAYER});
    assert_eq!(control("POST", "payers", payer.clone()).await?.1["balance_usd"], Value::Null);
    let limit = json!({"address": PAYER, "set_usd": "0.05"});
    assert_eq!(control("POST", "payers", limit).await?.1["balance_usd"], 0.05);
    assert_eq!(control("POST", "payers", payer).await?.1["balance_usd"], 0.05);
    control("DELETE", "offerings", Value::Null).await?;
    for (path, body) in [
        ("payers", json!({"address": "0x1"})),
        ("payers", json!({"address": PAYER, "set_usd": -1})),
        ("offerings", json!({"sets": {}})),
        ("settlings", json!({"money": "later"})),
        ("settlings", json!({"says": {"failed": 1}})),
    ] {
        assert_eq!(control("POST", path, body.clone()).await?.0.status, 400, "{path} {body}");
    }
    for path in ["payers", "offerings", "settlings"] {
        let (answer, _) =
            request(&sandbox, "POST", &format!("/__sandbox/{path}"), None, Some(&json!({}))).await?;
        assert_eq!(answer.status, 401);
    }
    Ok(())
}
