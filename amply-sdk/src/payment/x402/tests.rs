//! The open protocol against what the reference implementations signed, offered and answered.

use std::collections::BTreeMap;
use std::fs;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::answer::{Came, Class, Row, Sent, not_taken};
use super::eip712::{Address, U256, hex};
use super::network::{Asset, Network};
use super::offer::{OfferSet, TIMEOUT_SECONDS, Terms};
use super::payment::Authorization;
use super::signer::{LocalSigner, Signer, sign};
use super::{Version, header};
use crate::money::Usd;
use crate::wire::raw;

pub(super) const PAYER: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/x402");

/// What the payer of the vectors may do.
pub(super) fn terms() -> Terms<'static> {
    Terms {
        networks: &[Network::BASE, Network::BASE_SEPOLIA],
        payer: PAYER.parse().unwrap(),
        host: "api.example.com",
        per_payment_nano_usd: 50_000_000,
        remaining_nano_usd: u64::MAX,
        pins: &[],
        allow_upfront: false,
        timeout_seconds: TIMEOUT_SECONDS,
        extra_assets: &[],
    }
}

/// The offers of a challenge, brought the way that its version brings them.
pub(super) fn offers(version: Version, challenge: &str) -> OfferSet {
    let mut headers = HeaderMap::new();
    let body = match version {
        Version::One => Bytes::copy_from_slice(challenge.as_bytes()),
        Version::Two => {
            headers.insert(header::OFFERS, header::encode(challenge).unwrap());
            Bytes::from_static(b"{}")
        }
    };
    OfferSet::read(&headers, &body).unwrap().unwrap()
}

#[derive(Deserialize)]
struct Vectors {
    private_key: String,
    address: String,
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    id: String,
    version: u8,
    now: u64,
    chain_id: u64,
    payment_required: Box<RawValue>,
    domain: BTreeMap<String, Value>,
    message: BTreeMap<String, String>,
    domain_separator: String,
    struct_hash: String,
    digest: String,
    signature: String,
    r: String,
    s: String,
    v: u8,
    header_name: String,
    payload_json: String,
    header_value: String,
}

#[tokio::test]
async fn every_vector_is_signed_and_sent_byte_for_byte_as_the_reference_clients_do() {
    let vectors: Vectors = json("vectors");
    let signer = LocalSigner::from_hex(vectors.private_key.as_str()).unwrap();
    assert_eq!(signer.address().to_string(), vectors.address);
    assert_eq!(vectors.vectors.len(), 16);
    for vector in &vectors.vectors {
        let Vector { id, message, .. } = vector;
        let authorization = authorization(vector, signer.address());

        let transfer = authorization.transfer();
        assert_eq!(transfer.from.to_string(), message["from"], "{id}");
        assert_eq!(transfer.to, message["to"].parse().unwrap(), "{id}");
        assert_eq!(transfer.value.to_string(), message["value"], "{id}");
        assert_eq!(transfer.valid_after.to_string(), message["validAfter"], "{id}");
        assert_eq!(transfer.valid_before.to_string(), message["validBefore"], "{id}");

        let domain = authorization.chosen().asset.domain();
        assert_eq!(
            (domain.name, domain.version),
            (text(&vector.domain["name"]), text(&vector.domain["version"]))
        );
        assert_eq!(prefixed(&domain.separator()), vector.domain_separator, "{id}");
        assert_eq!(prefixed(&transfer.struct_hash()), vector.struct_hash, "{id}");
        let digest = authorization.digest();
        assert_eq!(prefixed(&digest), vector.digest, "{id}");

        let signature = sign(&signer, digest).await.unwrap();
        let parts = signer.sign_digest(digest).await.unwrap();
        assert_eq!(signature.to_hex(), vector.signature, "{id}");
        assert_eq!(prefixed(&parts[..32]), vector.r, "{id}");
        assert_eq!(prefixed(&parts[32..64]), vector.s, "{id}");
        assert_eq!(parts[64], vector.v, "{id}");

        let (name, value) = authorization.header(&signature).unwrap();
        assert!(name.eq_ignore_ascii_case(&vector.header_name), "{id}");
        let payload = header::decode(value.as_bytes()).unwrap();
        let mut payload = std::str::from_utf8(&payload).unwrap().to_owned();
        if id == "v1-newer-client-order" {
            // Both orders are accepted; ours is that of the older client. The bytes are the same but for it.
            let signature = format!(r#""signature":"{}","#, vector.signature);
            let before = payload.len();
            payload = payload.replacen(&signature, "", 1);
            assert_eq!(payload.len() + signature.len(), before);
            let end = payload.rfind("}}").unwrap();
            payload.insert_str(end, &format!(",{}", signature.trim_end_matches(',')));
        } else {
            assert_eq!(value.to_str().unwrap(), vector.header_value, "{id}");
        }
        assert_eq!(payload, vector.payload_json, "{id}");
        assert_eq!(header::encode(&payload).unwrap().to_str().unwrap(), vector.header_value, "{id}");
    }
}

fn authorization(vector: &Vector, payer: Address) -> Authorization {
    // The reference has this token too; for us it is one that a policy names.
    let flare: Network = "flare".parse().unwrap();
    let usdt0 = "0xe7cd86e13AC4309349F30B3435a9d337750fC82D".parse().unwrap();
    let extra = [Asset::at_par(flare, usdt0, "USD₮0", "1", 6).unwrap()];
    let network: Network = format!("eip155:{}", vector.chain_id).parse().unwrap();
    let terms =
        Terms { networks: &[network], per_payment_nano_usd: u64::MAX, extra_assets: &extra, ..terms() };

    let challenge = compact(vector.payment_required.get());
    // No cap is high enough for this amount, so it is put in after the choice.
    let (huge, small) = ("340282366920938463463374607431768211456", "10000");
    let set = offers(version(vector.version), &challenge.replace(huge, small));
    let mut chosen = set.choose(&terms).unwrap();
    if challenge.contains(huge) {
        chosen.value = U256::from_decimal(huge).unwrap();
        chosen.offer = raw(&chosen.offer.text().replace(small, huge));
    }
    let mut nonce = [0; 32];
    super::eip712::unhex(vector.message["nonce"].trim_start_matches("0x"), &mut nonce).unwrap();
    Authorization::new(chosen, payer, vector.now, nonce)
}

#[derive(Deserialize)]
struct Decisions {
    policy: Policy,
    cases: Vec<Decision>,
}

#[derive(Clone, Deserialize)]
struct Policy {
    cap_usd: Usd,
    networks: Vec<String>,
    payer: String,
    max_timeout_seconds: u64,
    pay_to: Option<String>,
}

#[derive(Deserialize)]
struct Decision {
    id: String,
    version: u8,
    request_url: String,
    offer: Box<RawValue>,
    expect: String,
    policy: Option<Policy>,
}

#[test]
fn every_offer_is_decided_as_published() {
    let decisions: Decisions = json("offers");
    assert_eq!(decisions.cases.len(), 97);
    for case in &decisions.cases {
        let policy = case.policy.as_ref().unwrap_or(&decisions.policy);
        let networks: Vec<Network> = policy.networks.iter().map(|name| name.parse().unwrap()).collect();
        let pins: Vec<_> = networks
            .iter()
            .filter_map(|network| Some((*network, policy.pay_to.as_ref()?.parse().unwrap())))
            .collect();
        let url: reqwest::Url = case.request_url.parse().unwrap();
        let terms = Terms {
            networks: &networks,
            payer: policy.payer.parse().unwrap(),
            host: url.host_str().unwrap(),
            per_payment_nano_usd: nano(policy.cap_usd),
            pins: &pins,
            timeout_seconds: 10..=policy.max_timeout_seconds,
            ..terms()
        };
        let challenge = format!(r#"{{"x402Version":{},"accepts":[{}]}}"#, case.version, case.offer.get());
        let decided = match offers(version(case.version), &challenge).choose(&terms) {
            Ok(chosen) => {
                assert_eq!(chosen.offer.text(), case.offer.get());
                "pay".to_owned()
            }
            Err(none) => {
                assert_eq!(none.refused.len(), 1);
                let reason = &none.refused[0].reason;
                assert_eq!(none.by_caps_alone().is_some(), reason.code() == "above_cap", "{}", case.id);
                assert!(!reason.to_string().contains('\n') && !reason.to_string().ends_with('.'));
                format!("refuse:{}", reason.code())
            }
        };
        assert_eq!(decided, case.expect, "{}", case.id);
    }
}

#[derive(Deserialize)]
struct Recording {
    exchange: Vec<Exchange>,
    settled_authorizations: u32,
}

#[derive(Deserialize)]
struct Exchange {
    request: Request,
    response: Response,
}

#[derive(Deserialize)]
struct Request {
    headers: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Response {
    status: u16,
    headers: BTreeMap<String, String>,
    body: Box<RawValue>,
}

impl Request {
    /// The payment that it carries, if it carries one.
    fn payment(&self) -> Option<Sent> {
        let (version, value) =
            self.headers.iter().find_map(|(name, value)| match name.to_ascii_lowercase().as_str() {
                header::PAYMENT_V1 => Some((Version::One, value)),
                header::PAYMENT_V2 => Some((Version::Two, value)),
                _ => None,
            })?;
        // One recording has a header that is no payment.
        let payment = header::decode(value.as_bytes()).ok();
        let payment: Value =
            payment.map_or(Value::Null, |json| serde_json::from_slice(&json).unwrap_or_default());
        let network =
            [&payment["network"], &payment["accepted"]["network"]].into_iter().find_map(Value::as_str);
        let network = network.map_or(Network::BASE_SEPOLIA, |name| name.parse().unwrap());
        Some(Sent { version, payer: PAYER.parse().unwrap(), network })
    }
}

impl Response {
    fn headers(&self) -> HeaderMap {
        let header = |(name, value): (&String, &String)| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap())
        };
        self.headers.iter().map(header).collect()
    }

    fn body(&self) -> Bytes {
        let text = self.body.get();
        serde_json::from_str::<String>(text).unwrap_or_else(|_| text.to_owned()).into()
    }
}

fn recordings() -> BTreeMap<String, Recording> {
    let names = fs::read_dir(FIXTURES)
        .unwrap()
        .map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned());
    names
        .filter(|name| name.starts_with('v') && name != "vectors")
        .map(|name| (name.clone(), json(&name)))
        .collect()
}

#[derive(Deserialize)]
struct Classes {
    list_a: Vec<String>,
    cases: BTreeMap<String, Vec<Expected>>,
}

#[derive(Deserialize)]
struct Expected {
    status: u16,
    class: String,
    rule: u8,
}

#[test]
fn every_recorded_answer_to_a_payment_is_classified_as_published() {
    let classes: Classes = json("classes");
    assert_eq!(classes.list_a, not_taken());
    assert!(not_taken().is_sorted());
    let recordings = recordings();
    assert_eq!(recordings.len(), 62);
    for (name, recording) in &recordings {
        let paid =
            recording.exchange.iter().filter_map(|exchange| Some((exchange.request.payment()?, exchange)));
        let paid: Vec<_> = paid.collect();
        let expected = &classes.cases[name];
        assert_eq!(paid.len(), expected.len(), "{name}");
        let mut known = None;
        for ((sent, Exchange { response, .. }), expected) in paid.iter().zip(expected) {
            assert_eq!(response.status, expected.status, "{name}");
            let status = StatusCode::from_u16(response.status).unwrap();
            let (headers, body) = (response.headers(), response.body());
            let verdict = sent.classify(Some(Came { status, headers: &headers, body: Some(&body) }));
            let class = match (verdict.class, verdict.row) {
                (Class::Settled, Row::Delivered) => "settled",
                (Class::Settled, _) => "settled_not_delivered",
                (Class::Unknown, _) => "unknown",
                (Class::Rejected, _) => "rejected",
            };
            assert_eq!((class, verdict.row as u8), (expected.class.as_str(), expected.rule), "{name}");
            assert_eq!(verdict.delivered, status.is_success(), "{name}");
            assert_eq!(verdict.mismatches, [], "{name}");
            let has_receipt = header::RECEIPTS.iter().any(|receipt| headers.contains_key(*receipt));
            assert_eq!(verdict.receipt.is_some(), has_receipt, "{name}");
            known = Some(verdict.class.after(known));

            let settled = recording.settled_authorizations > 0;
            assert!(!settled || verdict.class != Class::Rejected, "{name}: money moved");
            assert!(settled || verdict.class != Class::Settled, "{name}: no money moved");
        }
        if recording.settled_authorizations > 0 {
            assert!(known > Some(Class::Rejected), "{name}");
        }
    }
}

#[test]
fn what_must_not_be_paid_in_the_recordings_is_refused_and_the_rest_is_chosen() {
    let refusals = BTreeMap::from([
        ("v1-above-cap", "above_cap"),
        ("v1-fractional-amount", "bad_amount"),
        ("v1-unknown-asset", "unknown_asset"),
        ("v2-above-cap", "above_cap"),
        ("v2-permit2-offer", "unsupported_transfer_method"),
        ("v2-unknown-asset", "unknown_asset"),
        ("v2-upfront", "unsupported_payment_flow"),
        ("v2-upfront-handler-failed", "unsupported_payment_flow"),
    ]);
    for (name, recording) in recordings() {
        let response = &recording.exchange[0].response;
        // In a few recordings the payment was made beforehand, so that there is no challenge.
        if response.status != 402 || recording.exchange[0].request.payment().is_some() {
            continue;
        }
        let set = OfferSet::read(&response.headers(), &response.body()).unwrap().unwrap();
        let terms = Terms { host: "127.0.0.1", ..terms() };
        match (set.choose(&terms), refusals.get(name.as_str())) {
            (Ok(chosen), None) => {
                let version = if name.starts_with("v1") { Version::One } else { Version::Two };
                assert_eq!(chosen.version, version, "{name}");
            }
            (Err(none), Some(code)) => {
                assert!(none.refused.iter().any(|offer| offer.reason.code() == *code), "{name}: {none:?}");
            }
            (chosen, expected) => panic!("{name}: {chosen:?}, but {expected:?}"),
        }
    }
}

#[derive(Deserialize)]
struct Networks {
    v1_names: BTreeMap<String, u64>,
    networks: Vec<Published>,
}

#[derive(Deserialize)]
struct Published {
    chain_id: u64,
    caip2: String,
    v1_name: Option<String>,
    testnet: bool,
    symbol: String,
    asset: String,
    eip712_name: String,
    eip712_version: String,
    decimals: u8,
}

#[test]
fn the_tables_are_those_of_the_reference_and_only_four_tokens_are_trusted() {
    let published: Networks = json("networks");
    for (name, chain_id) in &published.v1_names {
        assert_eq!(Network::named(name, Version::One).unwrap().chain_id(), *chain_id, "{name}");
    }
    let trusted = [Network::BASE, Network::BASE_SEPOLIA, Network::AVALANCHE, Network::POLYGON];
    for row in &published.networks {
        let network = Network::named(&row.caip2, Version::Two).unwrap();
        assert_eq!(network.chain_id(), row.chain_id);
        assert_eq!(network.is_testnet(), row.testnet, "{network}");
        assert_eq!(network.v1_name(), row.v1_name.as_deref(), "{network}");
        let address = row.asset.parse().unwrap();
        let found = Asset::find(network, address, &[]);
        assert_eq!(found.is_some(), trusted.contains(&network), "{network}");
        if let Some(asset) = found {
            let domain = asset.domain();
            assert_eq!((domain.name, domain.version), (&*row.eip712_name, &*row.eip712_version), "{network}");
            assert_eq!((asset.decimals(), row.symbol.as_str()), (row.decimals, "USDC"), "{network}");
            assert_eq!((domain.chain_id, domain.verifying_contract), (row.chain_id, address), "{network}");
        }
    }
}

fn json<T: for<'de> Deserialize<'de>>(name: &str) -> T {
    serde_json::from_str(&fs::read_to_string(format!("{FIXTURES}/{name}.json")).unwrap()).unwrap()
}

fn version(number: u8) -> Version {
    match number {
        1 => Version::One,
        2 => Version::Two,
        other => panic!("version {other}"),
    }
}

fn nano(amount: Usd) -> u64 {
    let nano = amount.to_decimal() * rust_decimal::Decimal::from(1_000_000_000);
    nano.normalize().to_string().parse().unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn prefixed(bytes: &[u8]) -> String {
    format!("0x{}", hex(bytes))
}

/// Takes out the blanks between the parts of a JSON text, and leaves the order of keys as it is.
fn compact(json: &str) -> String {
    let (mut in_string, mut escaped) = (false, false);
    json.chars()
        .filter(|c| {
            let was_in_string = in_string;
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = in_string,
                '"' => in_string = !in_string,
                _ => {}
            }
            was_in_string || !c.is_whitespace()
        })
        .collect()
}
