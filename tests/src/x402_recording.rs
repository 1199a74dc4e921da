//! The exchanges recorded with the reference implementations of the open x402 protocol, and how a client that pays today is
//! given the recorded answers.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use amply_sdk::{
    Client, Error, LocalSigner, Network, PaidAnswer, Payment, Refusal, RemoteSigner, Signer, SpendPolicy,
    Store,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::recording::{Recording, Response};
use crate::{Act, Scripted, root};

/// The headers that carry a payment, as a client sends them.
const PAYMENTS: [&str; 2] = ["x-payment", "payment-signature"];

/// One case.
#[derive(Deserialize)]
pub struct Case {
    /// The requests and answers, in order.
    pub exchange: Vec<Recording>,
    /// The headers that are base64 in the exchange, by `N.response.NAME`.
    decoded: Map<String, Value>,
    /// How many payments were taken, whatever the client was told.
    pub settled_authorizations: usize,
}

/// What is known of the money after one recorded answer to a payment.
#[derive(Deserialize)]
pub struct Classified {
    /// `settled`, `settled_not_delivered`, `unknown` or `rejected`.
    pub class: String,
}

/// All cases, by name.
pub fn cases() -> BTreeMap<String, Case> {
    let files = fs::read_dir(root().join("tests/fixtures/x402")).unwrap();
    let names = files.map(|file| file.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned());
    names
        .filter(|name| name.starts_with("v1-") || name.starts_with("v2-"))
        .map(|name| (name.clone(), read(&name)))
        .collect()
}

/// What is known after each recorded answer to a payment, by case.
pub fn classes() -> BTreeMap<String, Vec<Classified>> {
    #[derive(Deserialize)]
    struct Classes {
        cases: BTreeMap<String, Vec<Classified>>,
    }
    read::<Classes>("classes").cases
}

fn read<T: DeserializeOwned>(name: &str) -> T {
    let file = root().join(format!("tests/fixtures/x402/{name}.json"));
    serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}

impl Case {
    /// What was answered first, to a request without a payment.
    pub fn challenge(&self) -> Option<&Response> {
        let first = self.exchange.first().unwrap();
        (!pays(first)).then_some(&first.response)
    }

    /// What was answered to the requests that carried a payment, in order.
    pub fn paid(&self) -> Vec<&Response> {
        self.exchange.iter().filter(|exchange| pays(exchange)).map(|exchange| &exchange.response).collect()
    }

    /// The transaction that the last of the first answers to a payment names, if any does.
    pub fn transaction(&self, answers: usize) -> Option<String> {
        let paid = self.exchange.iter().enumerate().filter(|(_, exchange)| pays(exchange)).take(answers);
        let receipt = |(index, _)| {
            let named = |name: &str| self.decoded.get(&format!("{index}.response.{name}"));
            named("payment-response").or(named("x-payment-response"))
        };
        let named = |receipt: &Value| receipt.get("transaction")?.as_str().map(str::to_owned);
        paid.filter_map(receipt).filter_map(named).filter(|transaction| !transaction.is_empty()).last()
    }
}

fn pays(exchange: &Recording) -> bool {
    exchange.request.headers().any(|(name, _)| PAYMENTS.contains(&name.to_ascii_lowercase().as_str()))
}

/// The key that the recorded clients paid with, so that the recorded receipts are about the payer. It is published in the
/// documentation of tools for developers, and never holds anything.
fn key() -> LocalSigner {
    let vectors: Value = read("vectors");
    LocalSigner::from_hex(vectors.get("private_key").unwrap().as_str().unwrap()).unwrap()
}

/// What a client made of recorded answers.
#[derive(Debug)]
pub struct Played {
    /// `answer`, the code of an error, or `refused: ` and the reasons.
    pub told: String,
    /// The body that came to the caller: of the answer, or of the one inside the error.
    pub body: String,
    /// What the error says of the money; `None` with an answer.
    pub may_have_been_charged: Option<bool>,
    /// The requests that came without a payment.
    pub unpaid: usize,
    /// The headers with a payment, in the order in which they came.
    pub payments: Vec<String>,
    /// How often the signer was asked.
    pub signatures: usize,
    /// The ledger afterwards, and the answers that it keeps.
    pub ledger: Vec<(Payment, Option<PaidAnswer>)>,
}

/// The state in the ledger that goes with what the caller is told; `None` when nothing is written.
pub fn ledger_state(told: &str) -> Option<&'static str> {
    match told {
        "answer" => Some("settled"),
        "payment_not_applied" => Some("settled_not_applied"),
        "payment_unknown" => Some("unknown"),
        "payment_failed" => Some("rejected"),
        _ => None,
    }
}

impl Played {
    /// Checks what holds however a payment ended, when the caller was told `told` and `last` was answered last.
    pub fn check(&self, name: &str, told: &str, last: Option<&Response>) {
        let state = ledger_state(told);
        let may_have_been_charged = !matches!(state, None | Some("rejected"));
        let said = (told != "answer").then_some(may_have_been_charged);
        assert_eq!((self.told.as_str(), self.may_have_been_charged), (told, said), "{name}");
        assert_eq!(self.unpaid, 1, "{name}");
        let Some(state) = state else {
            assert_eq!(
                (self.signatures, self.payments.len(), self.ledger.len()),
                (0, 0, 0),
                "{name}: signed"
            );
            return;
        };
        assert_eq!((self.signatures, self.ledger.len()), (1, 1), "{name}: one payment for a call");
        assert!(self.payments.iter().all(|sent| Some(sent) == self.payments.first()), "{name}: sent another");
        let (payment, kept) = self.ledger.first().unwrap();
        assert_eq!(payment.state.as_str(), state, "{name}");
        // What came last came to the caller whole, and is in the ledger.
        let kept = kept.as_ref().unwrap();
        assert_eq!(kept.status, last.unwrap().status, "{name}");
        assert_eq!(self.body.as_bytes(), &*kept.body, "{name}");
    }
}

/// Lets a client ask for one route at a server that gives these answers.
pub async fn play(answers: Vec<Vec<u8>>, policy: SpendPolicy, networks: &[Network]) -> Played {
    let scripts = answers.into_iter().map(|answer| vec![Act::Send(answer), Act::KeepOpen]).collect();
    let server = Scripted::following(scripts);
    let (signer, asked) = counted();
    let store = Store::in_memory();
    let client = Client::builder()
        .base_url(server.url())
        .store(store.clone())
        .spend_policy(policy)
        .x402(signer, networks.iter().copied())
        .build()
        .unwrap();
    let outcome = client.route_task("Store 1M vectors").await;
    let requests = server.seen();
    same_but_for_the_payment(&requests);
    let payments: Vec<String> = requests.iter().filter_map(|request| payment(request)).collect();
    let mut ledger = Vec::new();
    for payment in store.payments().list().await.unwrap() {
        let answer = store.payments().answer(&payment.id).await.unwrap();
        ledger.push((payment, answer));
    }
    let (told, body, may_have_been_charged) = match outcome {
        Ok(route) => ("answer".to_owned(), route.text().to_owned(), None),
        Err(error) => (said(&error), body_of(&error), Some(error.may_have_been_charged())),
    };
    let (unpaid, signatures) = (requests.len() - payments.len(), asked.load(Ordering::SeqCst));
    Played { told, body, may_have_been_charged, unpaid, payments, signatures, ledger }
}

/// A signer that counts what it is asked.
fn counted() -> (RemoteSigner, Arc<AtomicUsize>) {
    let (key, asked) = (Arc::new(key()), Arc::new(AtomicUsize::new(0)));
    let count = asked.clone();
    let signer = RemoteSigner::new(key.address(), move |digest| {
        count.fetch_add(1, Ordering::SeqCst);
        let key = key.clone();
        async move { key.sign_digest(digest).await }
    });
    (signer, asked)
}

fn said(error: &Error) -> String {
    match error {
        Error::PaymentRefused { reasons, .. } => {
            format!("refused: {}", reasons.iter().map(Refusal::code).collect::<Vec<_>>().join(", "))
        }
        error => error.code().to_owned(),
    }
}

fn body_of(error: &Error) -> String {
    let failure = match error {
        Error::Protocol(failure) => failure,
        error => error.payment_problem().unwrap().failure(),
    };
    String::from_utf8(failure.body().to_vec()).unwrap()
}

/// Each request asks for the same route under the same key.
fn same_but_for_the_payment(requests: &[String]) {
    let without = |request: &str| {
        let is_payment = |line: &&str| PAYMENTS.iter().any(|name| line.starts_with(&format!("{name}: ")));
        request.lines().filter(|line| !is_payment(line)).map(str::to_owned).collect::<Vec<_>>()
    };
    let asked: Vec<Vec<String>> = requests.iter().map(|request| without(request)).collect();
    let first = asked.first().unwrap();
    assert_eq!(first.first().unwrap(), "POST /api/v1/route HTTP/1.1");
    assert!(first.iter().any(|line| line.starts_with("idempotency-key: ")), "{first:?}");
    assert!(asked.iter().all(|other| other == first), "{asked:?}");
}

fn payment(request: &str) -> Option<String> {
    let header = |line: &str| {
        let (name, value) = line.split_once(": ")?;
        PAYMENTS.contains(&name).then(|| value.to_owned())
    };
    request.lines().find_map(header)
}
