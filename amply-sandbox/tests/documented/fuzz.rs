//! Requests that the document describes, and what becomes of them when they are bent: never an answer that it does not have.
//!
//! Everything follows from seeds: what fails once fails again.

use std::collections::BTreeSet;

use amply_sandbox::{Release, Sandbox};
use fastrand::Rng;
use serde_json::{Map, Value, json};

use crate::call::get;
use crate::common::{Failure, send};
use crate::contract::{Contract, Operation, resolved};
use crate::openapi::sandboxes;

/// For each operation of each sandbox.
const REQUESTS: usize = 30;

/// What a sandbox gave out, to be asked about.
#[derive(Default)]
struct Known {
    route: String,
    credential: String,
}

#[tokio::test]
async fn whatever_is_asked_the_answer_is_one_that_is_declared() -> Result<(), Failure> {
    let (mut breaches, mut good) = (Vec::new(), BTreeSet::new());
    for (builder, seed) in sandboxes(Release::V3_1_13)?.into_iter().zip(0..) {
        let sandbox = builder.seed(seed).start().await?;
        let contract = Contract::of(get(&sandbox, "/api/v1/openapi").await?.1)?;
        let mut random = Rng::with_seed(seed);
        let mut known = Known::default();
        for _ in 0..REQUESTS {
            for operation in contract.operations() {
                let request = Request::of(operation, &contract.document, &known, &sandbox, &mut random);
                let headers: Vec<_> =
                    request.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
                let body = request.body.as_deref();
                let answer = send(sandbox.url(), operation.method, &request.path, &headers, body).await?;
                let found = contract.breaches(operation, &answer);
                breaches.extend(found.into_iter().map(|breach| format!("{breach}\n  of {}", request.told())));
                if answer.status < 300 {
                    good.insert(format!("{} {}", operation.method, operation.path));
                    known.learn(operation, &serde_json::from_str(&answer.body)?);
                }
                if answer.status == 500 && body != Some(b"null") {
                    breaches.push(format!("500 of {}", request.told()));
                }
            }
        }
    }
    assert!(
        breaches.is_empty(),
        "{} breaches, among them:\n{}",
        breaches.len(),
        breaches.iter().take(10).cloned().collect::<Vec<_>>().join("\n")
    );
    // Not all of them were refused, or there would be little to see.
    let all = Contract::of(get(&Sandbox::builder().start().await?, "/api/v1/openapi").await?.1)?;
    let all: BTreeSet<_> = all.operations().map(|one| format!("{} {}", one.method, one.path)).collect();
    assert_eq!(good, all);
    Ok(())
}

impl Known {
    fn learn(&mut self, operation: Operation<'_>, answer: &Value) {
        if operation.path == "/api/v1/route"
            && let Some(id) = answer["request_id"].as_str()
        {
            id.clone_into(&mut self.route);
        }
        if let Some(id) = answer.pointer("/credential/id").and_then(Value::as_str) {
            id.clone_into(&mut self.credential);
        }
    }
}

struct Request {
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Option<Vec<u8>>,
}

impl Request {
    fn of(
        operation: Operation<'_>,
        document: &Value,
        known: &Known,
        sandbox: &Sandbox,
        random: &mut Rng,
    ) -> Self {
        let keys = [
            sandbox.user_key(),
            sandbox.user_key(),
            sandbox.user_key(),
            sandbox.server_key(),
            sandbox.admin_secret(),
            "unknown",
            "",
        ];
        let mut headers = Vec::new();
        let is_for_admins = operation.of.pointer("/security/0/adminSecret").is_some();
        let key =
            if is_for_admins && random.bool() { Some(sandbox.admin_secret()) } else { pick(random, &keys) };
        match random.u8(..8) {
            0 => {}
            1 => headers.push(("Authorization", format!("Basic {}", key.unwrap_or_default()))),
            _ => headers.push(("Authorization", format!("Bearer {}", key.unwrap_or_default()))),
        }
        // Mostly from another address each time, so that not all is refused for its number.
        if random.u8(..4) > 0 {
            headers.push(("X-Forwarded-For", format!("203.0.113.{}", random.u8(..))));
        }
        for (name, values) in [
            ("X-PAYMENT", ["", "e30=", "not base64"]),
            ("PAYMENT-SIGNATURE", ["", "bnVsbA==", "{}"]),
            ("X-Amply-Agent-Signup-Token", ["hush", "hush", "else"]),
            ("Idempotency-Key", ["", "a", "a b"]),
        ] {
            if random.u8(..4) == 0 {
                headers.extend(pick(random, &values).map(|value| (name, value.to_owned())));
            }
        }
        let ids = [known.credential.as_str(), "cred_x", "a%2Fb", "..", "%0A", "%ff", "%", "~", "{id}"];
        let id = pick(random, &ids).filter(|id| !id.is_empty()).unwrap_or("cred_x");
        let mut path = operation.path.replace("{id}", id);
        let routes = [known.route.as_str(), known.route.as_str(), "x", "", "%00", "a&request_id=b"];
        if operation.path == "/api/v1/route/audit" && random.u8(..8) > 0 {
            path = format!("{path}?request_id={}", pick(random, &routes).unwrap_or_default());
        }
        let body =
            operation.request().map(|(_, schema)| bent(sample(document, schema, "", known, random), random));
        Request { path, headers, body }
    }

    fn told(&self) -> String {
        let body = self.body.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
        format!("{} {:?} {}", self.path, self.headers, body.chars().take(300).collect::<String>())
    }
}

fn pick<T: Clone>(random: &mut Rng, all: &[T]) -> Option<T> {
    random.choice(all).cloned()
}

/// A value that the schema describes, and, where a name says what is meant, one that there is.
fn sample(document: &Value, schema: &Value, name: &str, known: &Known, random: &mut Rng) -> Value {
    let schema = resolved(document, schema);
    let meant = match name {
        "accept_tos_version" => "2026-11-01",
        "credential_ref" => known.credential.as_str(),
        "provider_id" => pick(random, &["qdrant", "a"]).unwrap_or("a"),
        "request_id" | "route_id" => known.route.as_str(),
        "url" => "https://example.com/run",
        "error_code" => "timeout",
        // What the schema only says in words: a principal of this server, a number as a text.
        "principal_id" => return Value::Null,
        "amount_usd" => return pick(random, &[json!(0.5), json!("0.001"), json!(3)]).unwrap_or_default(),
        _ => "",
    };
    if !meant.is_empty() {
        return json!(meant);
    }
    if let Some(choices) = schema["enum"].as_array() {
        return random.choice(choices).cloned().unwrap_or_default();
    }
    let bound = |name: &str| schema[name].as_u64();
    match schema["type"].as_str() {
        Some("object") => object(document, schema, known, random),
        Some("string") => {
            let least = bound("minLength").unwrap_or(0);
            let most = bound("maxLength").unwrap_or(20).min(least + 40);
            let length = usize::try_from(random.u64(least..=most)).unwrap_or_default();
            json!((0..length).map(|_| random.alphanumeric()).collect::<String>())
        }
        Some("integer") => {
            json!(random.u64(bound("minimum").unwrap_or(0)..=bound("maximum").unwrap_or(1000)))
        }
        Some("number") => json!(f64::from(random.u16(1..)) / 8.0),
        Some("boolean") => json!(random.bool()),
        _ => pick_junk(random),
    }
}

fn object(document: &Value, schema: &Value, known: &Known, random: &mut Rng) -> Value {
    let mut required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut barred = Vec::new();
    // One of several sets of fields, and then none of the others.
    if let Some(choices) = schema["oneOf"].as_array() {
        let chosen = random.usize(..choices.len().max(1));
        for (i, choice) in choices.iter().enumerate() {
            let names = choice["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
            if i == chosen { required.extend(names) } else { barred.extend(names) }
        }
    }
    let mut fields = Map::new();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let is_in = required.contains(&name.as_str()) || random.u8(..3) == 0;
        if is_in && !barred.contains(&name.as_str()) {
            fields.insert(name.clone(), sample(document, field, name, known, random));
        }
    }
    // The one thing that is said in words alone: which mode goes with which field.
    if required.contains(&"credential_ref") {
        fields.insert("mode".to_owned(), json!("vault_ref"));
    } else if required.contains(&"target") {
        fields.insert("mode".to_owned(), json!("byo_runtime"));
    }
    Value::Object(fields)
}

/// The bytes of a body: half the time as it is, else with something wrong in it or around it.
fn bent(mut body: Value, random: &mut Rng) -> Vec<u8> {
    if random.bool() {
        return body.to_string().into_bytes();
    }
    let names: Vec<String> = body.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
    let name = random.choice(&names).cloned().unwrap_or_default();
    match random.u8(..8) {
        0 => {
            body.as_object_mut().and_then(|fields| fields.remove(&name));
        }
        1..=3 => {
            put(&mut body, name, random);
        }
        4 => {
            put(&mut body, "unknown".to_owned(), random);
        }
        5 => {
            // Deeper: in the first object that is in it.
            if let Some(inner) =
                body.as_object_mut().into_iter().flatten().find_map(|(_, field)| field.as_object_mut())
            {
                let names: Vec<String> = inner.keys().cloned().collect();
                let name = random.choice(&names).cloned().unwrap_or_default();
                inner.insert(name, pick_junk(random));
            }
        }
        6 => body = pick_junk(random),
        _ => {
            let mut bytes = body.to_string().into_bytes();
            match random.u8(..4) {
                0 => bytes.truncate(random.usize(..bytes.len().max(1))),
                1 => bytes.extend(b"}\xff\xfe"),
                2 => bytes = vec![b'['; 300],
                _ => {
                    bytes =
                        br#"{"task":"\ud800","task":"\u0000","secret":"\udfff","period":"30d\n"}"#.to_vec()
                }
            }
            return bytes;
        }
    }
    body.to_string().into_bytes()
}

fn put(body: &mut Value, name: String, random: &mut Rng) {
    if let Some(fields) = body.as_object_mut() {
        fields.insert(name, pick_junk(random));
    }
}

fn pick_junk(random: &mut Rng) -> Value {
    let junk = [
        json!(null),
        json!(true),
        json!(-1),
        json!(0),
        json!(1.5),
        json!(1e308),
        json!(u64::MAX),
        json!(""),
        json!(" "),
        json!("Infinity"),
        json!("-0x1f"),
        json!("a\nb\u{0}"),
        json!("🦀".repeat(4001)),
        json!("cred_aaaaaaaaaaaaaaaaaaaaaaaa"),
        json!("https://u:p@example.com/"),
        json!([]),
        json!({}),
        json!([[["x"]]]),
        json!({"url": "ftp://x", "mode": "vault_ref", "secret": "s"}),
    ];
    random.choice(&junk).cloned().unwrap_or_default()
}
