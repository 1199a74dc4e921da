//! `docs/what-happens-when.md`, row by row: the page is the table that drives these tests.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::net::TcpListener;
use std::time::Duration;

use amply_sandbox::{Call, Challenge, Crediting, Fault, Offering, OpenPayments, Sandbox, Settling};
use amply_sdk::{
    Binding, Client, ClientBuilder, Error, LocalSigner, Method, Network, PrincipalPolicy, RemoteSigner,
    RetryPolicy, RouteRequest, SignError, Signer, SpendPolicy, Store, TopUpService,
};
use amply_tests::paying::{
    KEY, address, asked, asking_for, broke, client_of, credited, paid_requests, service_of, signing, started,
    states, usd,
};
use amply_tests::{Log, Refusing, Scripted, TempFolder, table};
use serde_json::Value;

const PAGE: &str = "docs/what-happens-when.md";
const JSON: &str = "application/json";
const HTML: &str = "<html></html>";
const USER_KEY: &str = "amply_sk_Ab3_-xYzAb3_-xYzAb3_-xYzAb3_-xYz";

/// A server that lets it happen, always.
fn server(what_happens: &str) -> Option<Scripted> {
    let bytes = |text: &str| Scripted::start(vec![Some(text.as_bytes().to_vec())]);
    Some(match what_happens {
        "429" => Scripted::answering(
            "429 Too Many Requests\r\nRetry-After: 0",
            JSON,
            r#"{"error":"rate_limited"}"#,
        ),
        "429 with a wait that is too long" => Scripted::answering("429 Slow\r\nRetry-After: 59", JSON, "{}"),
        "429, the day's quota" => Scripted::answering("429 Enough", JSON, r#"{"error":"quota_exceeded"}"#),
        "400" => Scripted::answering("400 Bad Request", JSON, "{}"),
        "401" => Scripted::answering("401 Unauthorized", JSON, "{}"),
        "402" => Scripted::answering("402 Payment Required", JSON, r#"{"shortfall_usd":0.01}"#),
        "403" => Scripted::answering("403 Forbidden", JSON, "{}"),
        "404 in JSON" => Scripted::answering("404 Not Found", JSON, "{}"),
        "404 in HTML" => Scripted::answering("404 Not Found", "text/html", HTML),
        "405" => Scripted::answering("405 Method Not Allowed", "text/plain", ""),
        "a redirect to another origin" => {
            Scripted::answering("308 Moved\r\nLocation: http://127.0.0.1:9/api/v1/route", JSON, "")
        }
        "408" => Scripted::answering("408 Request Timeout", JSON, "{}"),
        "500" => Scripted::answering("500 Internal Server Error", JSON, ""),
        "503 in HTML" => Scripted::answering("503 Service Unavailable", "text/html", HTML),
        "the answer is cut off" => {
            bytes("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"recommended\":\"qd")
        }
        "the connection closes without an answer" => bytes(""),
        "no answer within an attempt's limit" => Scripted::start(vec![None]),
        "200 with something else than an Amply answer" => Scripted::answering("200 OK", "text/html", HTML),
        _ => return None,
    })
}

#[tokio::test]
async fn a_call_is_sent_again_as_the_page_says() {
    let rows = table(PAGE, "When a call is sent again");
    assert_eq!(rows.len(), 19);
    for row in rows {
        let [what_happens, effect, get, route, opted_in, post, code, charged] = row.as_slice() else {
            panic!("{row:?}");
        };
        // What is charged, and what only a repeatable call repeats, is what cannot have had no effect.
        assert_eq!(effect != "none", charged == "yes", "{what_happens}");
        assert_eq!(
            effect == "unknown",
            (get.as_str(), route.as_str()) == ("3 times", "once"),
            "{what_happens}"
        );
        let server = server(what_happens);
        let closed = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
        let url = server.as_ref().map_or(format!("http://{closed}"), |server| server.url().to_owned());
        assert_eq!(server.is_none(), what_happens == "the connection is refused", "{what_happens}");
        // Only a server that keeps silent is waited for; for the others the limit is out of reach.
        let limit = Duration::from_millis(if what_happens.starts_with("no answer") { 50 } else { 10_000 });
        let client = Client::builder().base_url(url).attempt_timeout(limit).build().unwrap();
        let bold =
            client.with_options(|options| options.retry(RetryPolicy::default().repeat_ambiguous(true)));
        let body = Value::Null;

        let errors: [(&str, &String, Error); 4] = [
            ("GET", get, client.status().await.unwrap_err()),
            ("POST /route", route, client.route_task("x").await.unwrap_err()),
            ("repeat_ambiguous", opted_in, bold.route_task("x").await.unwrap_err()),
            (
                "other POST",
                post,
                client.request::<Value, _>(Method::POST, "/new", Some(&body)).await.unwrap_err(),
            ),
        ];
        let mut requests = 0;
        for (call, times, error) in errors {
            let attempts = error.meta().unwrap().attempts();
            let said = if attempts == 1 { "once".to_owned() } else { format!("{attempts} times") };
            assert_eq!((&said, error.code()), (times, code.as_str()), "{what_happens}, {call}: {error}");
            let may_have_been_charged = call != "GET" && charged == "yes";
            assert_eq!(
                error.may_have_been_charged(),
                may_have_been_charged,
                "{what_happens}, {call}: {error}"
            );
            requests += attempts;
        }
        if let Some(server) = server {
            assert_eq!(
                server.seen().len(),
                requests as usize,
                "{what_happens}: the server saw each attempt once"
            );
        }
    }
}

#[tokio::test]
async fn a_route_counts_for_whom_the_page_says() {
    let rows = table(PAGE, "Whose call it was");
    assert_eq!(rows.len(), 13);
    for row in rows {
        let [header, body, key, reading, ignore, warn, require] = row.as_slice() else { panic!("{row:?}") };
        let head = match header.as_str() {
            "–" => "200 OK".to_owned(),
            flag => format!("200 OK\r\nX-Amply-Principal-Bound: {flag}"),
        };
        let body = match body.as_str() {
            "–" => r#"{"recommended":"qdrant"}"#.to_owned(),
            flag => format!(r#"{{"recommended":"qdrant","integration":{{"principal_attached":{flag}}}}}"#),
        };
        for (policy, expected) in [
            (PrincipalPolicy::Ignore, ignore),
            (PrincipalPolicy::Warn, warn),
            (PrincipalPolicy::Require, require),
        ] {
            let server = Scripted::answering(&head, JSON, &body);
            let mut builder = Client::builder().base_url(server.url()).principal_policy(policy);
            match key.as_str() {
                "user" => builder = builder.api_key(USER_KEY),
                "operator" => builder = builder.api_key("srv_key"),
                _ => {}
            }
            let log = Log::default();
            let outcome = {
                let _guard = log.start();
                builder.build().unwrap().route_task("x").await
            };
            let seen = match &outcome {
                Ok(_) if log.text().contains("WARN") => "answer and warning",
                Ok(_) => "answer",
                Err(Error::PrincipalNotBound { answer: Some(_), .. }) => "error with the answer",
                Err(Error::PrincipalNotBound { answer: None, .. }) if server.seen().is_empty() => {
                    "refused, nothing sent"
                }
                Err(error) => panic!("{error}"),
            };
            assert_eq!(seen, expected, "{row:?} under {policy:?}");
            let principal = match outcome {
                Ok(route) => route.principal(),
                Err(Error::PrincipalNotBound { binding, answer: Some(_), .. }) => *binding,
                Err(_) => continue,
            };
            let mut words = match principal.binding {
                Binding::Bound => "bound".to_owned(),
                Binding::NotBound => "not bound".to_owned(),
                _ => "unknown".to_owned(),
            };
            if principal.is_contradictory {
                words.push_str(", contradictory");
            }
            assert_eq!(&words, reading, "{row:?}");
        }
    }
}

const TOPUP: &str = "/topup";

/// Who pays, and what goes wrong with it.
fn payer(what_happens: &str, sandbox: &Sandbox, client: ClientBuilder, nobody: &Refusing) -> ClientBuilder {
    let client = match what_happens {
        "nobody may pay" => return client,
        "nobody answers for the service" => {
            client.wallet_payer(TopUpService::new(&format!("{}{TOPUP}", nobody.url())).unwrap())
        }
        _ => client.wallet_payer(service_of(sandbox)),
    };
    match what_happens {
        "with `repeat_ambiguous`, the 402 comes after a 503" => {
            client.retry(RetryPolicy::default().repeat_ambiguous(true))
        }
        "less than 5 s of the call's time are left" => {
            client.payment_headroom(Duration::from_secs(5)).timeout(Duration::from_millis(4_900))
        }
        // Nothing will come of it, however long it is waited for.
        "the service pays, and the credit never shows"
        | "the credit never showed, and the call is made again"
        | "the service pays, and the server asks again"
        | "the service answers 500"
        | "it answered 500, and the call is made again"
        | "it answered 500, and the call is made again with another service"
        | "it answers 500 each time, and the call is made three times" => {
            client.timeout(Duration::from_millis(1_000))
        }
        _ => client,
    }
}

/// Makes it happen; how often the call is made.
fn arrange(what_happens: &str, sandbox: &Sandbox) -> usize {
    let control = sandbox.control();
    let challenge = |challenge: Challenge| control.challenge(challenge);
    let fault = |fault: Fault| control.fault(fault);
    match what_happens {
        "nobody may pay"
        | "the service pays"
        | "nobody answers for the service"
        | "less than 5 s of the call's time are left"
        | "the store could not be read and was set aside" => {}
        "the service pays, and the credit shows late" => control.crediting(Crediting::as_asked().late(4)),
        "the service pays, and its answer is lost" => {
            fault(Fault::on(TOPUP).first(1).after_effect().reset_before_headers());
        }
        "the service pays, and the credit never shows"
        | "the credit never showed, and the call is made again" => {
            control.crediting(Crediting::as_asked().late(u32::MAX));
        }
        "the service pays, and the server asks again" => challenge(Challenge::new().even_if_covered()),
        "the service pays, and the route then fails with 500" => {
            fault(Fault::on("/route").nth(2).status(500))
        }
        "the service pays, and the route is then refused (401)" => {
            fault(Fault::on("/route").nth(2).status(401));
        }
        "the service pays, and the answer cannot be read" => {
            fault(Fault::on("/route").nth(2).after_effect().status(200).body([1, 2, 3]));
        }
        "the service says no (401)" => fault(Fault::on(TOPUP).status(401)),
        "the service answers 500"
        | "it answered 500, and the call is made again"
        | "it answered 500, and the call is made again with another service" => {
            fault(Fault::on(TOPUP).first(1).status(500));
        }
        "it answers 500 each time, and the call is made three times" => fault(Fault::on(TOPUP).status(500)),
        "the 402 has expired" => challenge(Challenge::new().expired()),
        "the 402 is in EUR" => challenge(Challenge::new().currency("EUR")),
        "the 402 asks for less than is missing" => challenge(Challenge::new().amount(0.001)),
        "the 402 names no amount" => {
            challenge(Challenge::new().without("/shortfall_usd").without("/x402/amount_usd"));
        }
        "the 402 has a path to another host" => {
            challenge(Challenge::new().top_up_path("https://evil.example/pay"));
        }
        "the 402 says that the call has no principal" => challenge(Challenge::new().unbound()),
        "the 402 asks for more than the cap of a top-up" => {
            challenge(Challenge::new().shortfall(5.01).amount(5.01));
        }
        "with `repeat_ambiguous`, the 402 comes after a 503" => {
            fault(Fault::on("/route").first(1).status(503));
        }
        "nothing tells whose wallet it is (500)" => fault(Fault::on("/billing/status").status(500)),
        other => panic!("`{other}` is not known"),
    }
    match what_happens {
        "the credit never showed, and the call is made again"
        | "it answered 500, and the call is made again"
        | "it answered 500, and the call is made again with another service" => 2,
        "it answers 500 each time, and the call is made three times" => 3,
        _ => 1,
    }
}

fn listed(items: &[String]) -> String {
    if items.is_empty() { "–".to_owned() } else { items.join(", ") }
}

#[tokio::test]
async fn a_route_is_paid_for_as_the_page_says() {
    let rows = table(PAGE, "When a route must be paid for");
    assert_eq!(rows.len(), 27);
    // Side by side: some wait until their time is over.
    for row in rows.into_iter().map(|row| tokio::spawn(is_paid_for(row))).collect::<Vec<_>>() {
        row.await.unwrap();
    }
}

async fn is_paid_for(row: Vec<String>) {
    let [what_happens, top_ups, credits, end, payment, charged] = row.as_slice() else { panic!("{row:?}") };
    let sandbox = broke().await;
    let calls = arrange(what_happens, &sandbox);
    let folder = TempFolder::new("what-happens");
    let store = match what_happens.starts_with("the store could not be read") {
        true => {
            std::fs::write(folder.file("store.db"), "no database".repeat(400)).unwrap();
            Store::open(folder.file("store.db")).unwrap()
        }
        false => Store::in_memory(),
    };
    let nobody = Refusing::new();
    let mut client = payer(what_happens, &sandbox, client_of(&sandbox, &store), &nobody).build().unwrap();
    let mut outcome = client.route_task("store 1M vectors").await;
    if what_happens.ends_with("with another service") {
        let elsewhere = TopUpService::new(&format!("{}{TOPUP}", nobody.url())).unwrap();
        let another = client_of(&sandbox, &store).wallet_payer(elsewhere);
        client = another.timeout(Duration::from_millis(1_000)).build().unwrap();
    }
    for _ in 1..calls {
        outcome = client.route_task("store 1M vectors").await;
    }

    let seen = [
        asked(&sandbox, TOPUP).to_string(),
        listed(&credited(&sandbox)),
        outcome.as_ref().err().map_or("answer", Error::code).to_owned(),
        listed(&states(&store).await),
        match &outcome {
            Ok(_) => "–".to_owned(),
            Err(error) => if error.may_have_been_charged() { "yes" } else { "no" }.to_owned(),
        },
    ];
    assert_eq!(seen.each_ref(), [top_ups, credits, end, payment, charged], "{what_happens}: {outcome:?}");
    // However often it is asked for, a payment has one key.
    let asked: Vec<_> = sandbox.control().calls().into_iter().filter(|call| call.path == TOPUP).collect();
    let key_of = |call: &Call| call.headers.iter().find(|(name, _)| name == "idempotency-key").cloned();
    let keys: Vec<_> = asked.iter().map(key_of).collect();
    assert!(keys.iter().all(|key| key.is_some() && *key == keys[0]), "{what_happens}: {keys:?}");
}

/// A server that lets it happen, and its calls.
async fn asking(what_happens: &str) -> Sandbox {
    if what_happens == "the wallet's top-up fails, and x402 is offered too" {
        let open = OpenPayments::in_amply_object();
        return started(Sandbox::builder().open_payments(open)).await;
    }
    asking_for(match what_happens.contains("by version 1") {
        true => OpenPayments::v1(),
        false => OpenPayments::v2(),
    })
    .await
}

/// Makes it happen with open payments; how often the call is made.
fn arrange_open(what_happens: &str, sandbox: &Sandbox) -> usize {
    let control = sandbox.control();
    let settling = |settling: Settling| control.settling(settling);
    let fault = |fault: Fault| control.fault(fault);
    let other = "0x00000000000000000000000000000000000000aa";
    match what_happens {
        "nobody may sign"
        | "the server settles"
        | "the server settles, by version 1"
        | "the signer says no"
        | "the signature is by another key"
        | "its network was not named" => {}
        "it refuses the payment for a reason that is known to mean so"
        | "three payments were refused, and another call is made" => {
            settling(Settling::refused("invalid_exact_evm_signature"));
        }
        "it refuses the payment so, by version 1"
        | "the cap of the day was used up by a payment that was refused" => {
            settling(Settling::refused("insufficient_funds"));
        }
        "it says that settling failed for such a reason" => {
            settling(Settling::nothing().says_failed("insufficient_funds"));
        }
        "it settles, says that it failed, and then that the nonce is used" => {
            settling(Settling::as_asked().says_failed("boom").first(1));
        }
        "it settles and says that it failed, by version 1, each time" => {
            settling(Settling::as_asked().says_failed("boom"));
        }
        "it says that settling failed, and names a transaction" => {
            settling(Settling::nothing().says_failed_with_transaction("boom"));
        }
        "it settles and answers 502" => settling(Settling::as_asked().answers(502).first(1)),
        "it answers 502 and has not settled" => settling(Settling::nothing().answers(502).first(1)),
        "it answers 429 to each payment" => settling(Settling::nothing().answers(429)),
        "the route fails with 500 each time" => settling(Settling::as_asked().handler_fails()),
        "it settles, and the answer has no receipt" => settling(Settling::as_asked().without_receipt()),
        "it settles, and the receipt cannot be read" => settling(Settling::as_asked().garbage_receipt()),
        "it settles, and the answer is cut off after the receipt" => {
            fault(Fault::on("/route").nth(2).truncate(20));
        }
        "it settles, and closes the connection without an answer" => {
            fault(Fault::on("/route").nth(2).after_effect().reset_before_headers());
        }
        "it closes the connection without an answer, each time"
        | "the payment was unknown, and the call is made again under its key"
        | "the payment was unknown, and another call is made" => {
            fault(Fault::on("/route").nth(2).reset_before_headers());
            fault(Fault::on("/route").nth(3).reset_before_headers());
        }
        "it redirects the payment to another place" => {
            for number in [2, 3] {
                fault(
                    Fault::on("/route").nth(number).status(308).header("Location", "https://evil.example/"),
                );
            }
        }
        "it asks for another payee in its answer" => control.offering(Offering::new().pay_to(other).nth(2)),
        "the call's time ends while the payment is on its way"
        | "the call's time ended so, and it is made again under its key" => {
            fault(Fault::on("/route").nth(2).after_effect().delay(Duration::from_millis(3_000)));
        }
        "it costs more than the cap of a request" => control.offering(Offering::new().amount("100001")),
        "another payee than the first is to be paid" => {
            control.offering(Offering::new().pay_to(other).nth(3))
        }
        "it is to be paid before the route is handled" => control.offering(Offering::new().upfront()),
        "the offers cannot be read" => {
            fault(Fault::on("/route").status(402).header("PAYMENT-REQUIRED", "%%%"))
        }
        "the wallet's top-up fails, and x402 is offered too" => fault(Fault::on(TOPUP).status(401)),
        other => panic!("`{other}` is not known"),
    }
    match what_happens {
        "three payments were refused, and another call is made" => 4,
        "the call's time ended so, and it is made again under its key"
        | "the payment was unknown, and the call is made again under its key"
        | "the payment was unknown, and another call is made"
        | "the cap of the day was used up by a payment that was refused"
        | "another payee than the first is to be paid" => 2,
        _ => 1,
    }
}

/// Who signs, and within what.
fn open_client(what_happens: &str, sandbox: &Sandbox, store: &Store) -> ClientBuilder {
    let signs = |signer: RemoteSigner| signing(sandbox, store).x402(signer, [Network::BASE_SEPOLIA]);
    let local = || LocalSigner::from_hex(KEY).unwrap();
    match what_happens {
        "nobody may sign" => Client::builder().base_url(sandbox.url()),
        "the signer says no" => {
            signs(RemoteSigner::new(address(), |_| async { Err(SignError::Failed("locked".into())) }))
        }
        "the signature is by another key" => {
            let foreign = "0x90F79bf6EB2c4f870365E785982E1f101E93b906".parse().unwrap();
            signs(RemoteSigner::new(foreign, |digest| async move {
                LocalSigner::from_hex(KEY).unwrap().sign_digest(digest).await
            }))
        }
        "its network was not named" => signing(sandbox, store).x402(local(), [Network::BASE]),
        "the cap of the day was used up by a payment that was refused" => {
            let caps = SpendPolicy::default().per_request(usd("0.10")).per_day(usd("0.015"));
            signing(sandbox, store).spend_policy(caps.per_process_only())
        }
        "the call's time ends while the payment is on its way"
        | "the call's time ended so, and it is made again under its key" => {
            signing(sandbox, store).timeout(Duration::from_millis(1_500))
        }
        "the wallet's top-up fails, and x402 is offered too" => {
            let caps = SpendPolicy::per_topup(usd("1")).per_request(usd("0.10")).per_day(usd("1"));
            client_of(sandbox, store)
                .spend_policy(caps.per_process_only())
                .wallet_payer(service_of(sandbox))
                .x402(local(), [Network::BASE_SEPOLIA])
        }
        _ => signing(sandbox, store),
    }
}

#[tokio::test]
async fn a_route_is_paid_for_by_x402_as_the_page_says() {
    let rows = table(PAGE, "When a route is paid for by x402");
    assert_eq!(rows.len(), 34);
    for row in rows.into_iter().map(|row| tokio::spawn(is_paid_for_by_x402(row))).collect::<Vec<_>>() {
        row.await.unwrap();
    }
}

async fn is_paid_for_by_x402(row: Vec<String>) {
    let [what_happens, sent, settled, end, payment, charged] = row.as_slice() else { panic!("{row:?}") };
    let sandbox = asking(what_happens).await;
    let calls = arrange_open(what_happens, &sandbox);
    let store = Store::in_memory();
    let client = || open_client(what_happens, &sandbox, &store).build().unwrap();
    let request = || match what_happens.ends_with("under its key") {
        true => RouteRequest::new("store 1M vectors").idempotency_key("one-job"),
        false => RouteRequest::new("store 1M vectors"),
    };
    let mut outcome = None;
    for _ in 0..calls {
        let client = client();
        outcome = Some(client.route_task(request()).await);
        // What is on its way is waited for.
        client.close(Duration::ZERO).await;
    }

    let outcome = outcome.unwrap();
    let seen = [
        paid_requests(&sandbox).to_string(),
        sandbox.control().settlements().len().to_string(),
        outcome.as_ref().err().map_or("answer", Error::code).to_owned(),
        listed(&states(&store).await),
        match &outcome {
            Ok(_) => "–".to_owned(),
            Err(error) => if error.may_have_been_charged() { "yes" } else { "no" }.to_owned(),
        },
    ];
    assert_eq!(seen.each_ref(), [sent, settled, end, payment, charged], "{what_happens}: {outcome:?}");
    // However often it is sent, a payment is the same.
    let calls = sandbox.control().calls();
    let of = |call: &Call, pays: &[&str]| {
        let header = call.headers.iter().find(|(name, _)| pays.contains(&name.as_str()));
        header.map(|(_, value)| value.clone())
    };
    let sent: Vec<(Option<String>, String)> = calls
        .iter()
        .filter_map(|call| {
            Some((of(call, &["idempotency-key"]), of(call, &["payment-signature", "x-payment"])?))
        })
        .collect();
    for (key, payment) in &sent {
        let same = |(other_key, other): &&(Option<String>, String)| (other_key == key) != (other == payment);
        assert_eq!(sent.iter().find(same), None, "{what_happens}: one payment for a call");
    }
}
