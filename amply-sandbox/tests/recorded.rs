//! Every exchange recorded from a server 3.1.12 is sent again, to a sandbox, and the answers are compared.
//!
//! Compared are status, headers that carry meaning, and the body with the order of its keys and the form of its numbers.
//! What is not compared is listed in the two tables below, with the reason.

mod common;
mod compare;
mod recordings;

use std::{
    collections::HashSet,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use amply_sandbox::{Release, Sandbox};
use common::{Answer, Failure, send};
use compare::{at, fields};
use recordings::{Recording, Request, Response, fallback_catalog, full_task, live_catalog, recordings, text};
use serde_json::value::RawValue;

/// What the recorded server had answered before, as far as it matters: the names of the exchanges, and how many seconds
/// passed after them.
const BEFORE: [(&str, &[(&str, u64)]); 5] = [
    // It counts the routes that were answered before it, and not the one that was refused.
    (
        "catalog-platform-metrics",
        &[
            ("catalog-route-user-key", 0),
            ("catalog-401-wrong-user-key", 0),
            ("catalog-route-user-key-all-hints", 0),
        ],
    ),
    ("ratelimit-429", &[("ratelimit-route-1-of-2", 0), ("ratelimit-400-counts-2-of-2", 1)]),
    (
        "ratelimit-429-later",
        &[("ratelimit-route-1-of-2", 0), ("ratelimit-400-counts-2-of-2", 1), ("ratelimit-429", 3)],
    ),
    ("ratelimit-status-not-limited", &[("ratelimit-route-1-of-2", 0), ("ratelimit-400-counts-2-of-2", 0)]),
    (
        "ratelimit-apikey-429-right-key",
        &[("ratelimit-apikey-401-1-of-2", 0), ("ratelimit-apikey-401-2-of-2", 0)],
    ),
];

/// Parts of bodies that are not compared, by the beginning of the recording's name. A part is a JSON pointer; "" is the
/// whole body.
const NOT_COMPARED_IN: [(&str, &[&str], &str); 13] = [
    ("apikey-404-", &[""], "the page is the web site's, and cut in the recording"),
    ("apikey-openapi", &[""], "own words; the schema of the request is compared by a test of its own"),
    ("open-openapi", &[""], "own words; the schema of the request is compared by a test of its own"),
    ("apikey-platform-metrics", &["/methodology_url", "/as_of"], "its own address and time"),
    (
        "apikey-platform-metrics",
        &["/telemetry_ready", "/error_code"],
        "that server had no database to count in",
    ),
    ("open-platform-metrics", &["/methodology_url", "/as_of"], "its own address and time"),
    (
        "open-platform-metrics",
        &["/telemetry_ready", "/error_code"],
        "that server had no database to count in",
    ),
    ("catalog-platform-metrics", &["/methodology_url", "/as_of"], "its own address and time"),
    (
        "catalog-platform-metrics-db-down",
        &["/telemetry_ready", "/error_code"],
        "that server's database was down",
    ),
    ("", &["/diagnostics/user_api_keys_store_ready"], "the sandbox knows its user key without a database"),
    (
        "",
        &["/diagnostics/allow_anonymous_route_env"],
        "no switch that lets calls without a key into a production build: the sandbox is open or not",
    ),
    ("catalog-status", &["/diagnostics/amply_catalog_cache_ms"], "set for that recording only"),
    (
        "catalog-status-db-down",
        &["/diagnostics/catalog_issue", "/diagnostics/catalog_error_code"],
        "no such switch",
    ),
];

#[tokio::test]
async fn every_recording_is_answered_as_it_was_recorded() -> Result<(), Failure> {
    let mut wrong = Vec::new();
    let recordings = recordings()?;
    for (name, recording) in &recordings {
        let sandbox = sandbox_for(name, recording).await?;
        let before = BEFORE.iter().find(|(later, _)| later == name).map(|(_, before)| *before);
        for (before, seconds) in before.unwrap_or_default() {
            replay(before, recordings.get(*before).ok_or("no such recording")?, &sandbox).await?;
            sandbox.control().advance(Duration::from_secs(*seconds));
        }
        let answer = replay(name, recording, &sandbox).await?;
        wrong.extend(
            differences(name, &recording.response, &answer)?
                .into_iter()
                .map(|what| format!("{name}: {what}")),
        );
        sandbox.stop().await;
    }
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
    Ok(())
}

#[test]
fn what_is_listed_as_not_compared_exists() -> Result<(), Failure> {
    let recordings = recordings()?;
    assert_eq!(recordings.len(), 114);
    for (name, _) in BEFORE {
        assert!(recordings.contains_key(name), "{name}");
    }
    for (prefix, pointers, _) in NOT_COMPARED_IN {
        for pointer in pointers {
            let occurs = recordings.iter().any(|(name, recording)| {
                let body = serde_json::from_str::<serde_json::Value>(recording.response.body.get());
                name.starts_with(prefix) && body.is_ok_and(|body| body.pointer(pointer).is_some())
            });
            assert!(occurs, "{prefix}* {pointer}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_schema_of_a_route_request_is_the_recorded_one() -> Result<(), Failure> {
    let recordings = recordings()?;
    let recorded = recordings.get("open-openapi").ok_or("no recording open-openapi")?;
    let sandbox = Sandbox::builder().release(Release::V3_1_12).start().await?;
    let answer = replay("open-openapi", recorded, &sandbox).await?;
    let served = RawValue::from_string(answer.body)?;

    let pointer = ["paths", "/api/v1/route", "post", "requestBody"];
    let mut wrong = Vec::new();
    compare::json(
        "",
        at(&recorded.response.body, &pointer)?,
        at(&served, &pointer)?,
        &HashSet::new(),
        &mut wrong,
    )?;
    assert_eq!(wrong, Vec::<String>::new());
    let paths = |document| {
        at(document, &["paths"]).and_then(fields).map(|paths| paths.keys().cloned().collect::<Vec<_>>())
    };
    assert_eq!(paths(&served)?, paths(&recorded.response.body)?);
    assert_eq!(at(&served, &["openapi"])?.get(), "\"3.0.3\"");
    let servers = at(&served, &["servers"])?.get();
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(servers)?,
        serde_json::json!([{
            "url": sandbox.url().trim_end_matches("/api/v1"),
        }])
    );
    Ok(())
}

/// A sandbox in the configuration of the recorded server, as far as it has the switches.
async fn sandbox_for(name: &str, recording: &Recording) -> Result<Sandbox, Failure> {
    let date = recording.response.headers.get("Date").ok_or("no date")?;
    let builder = Sandbox::builder().seed(1).release(Release::V3_1_12).clock_standing_at(recorded_at(date)?);
    let (kind, _) = recording.config.split_once(':').unwrap_or((&recording.config, ""));
    let builder = match kind {
        "open" => builder,
        "rate limit" | "rate limit + api_key" => builder.rate_limit(2),
        // The server's default.
        _ => builder.rate_limit(120),
    };
    Ok(match kind {
        "open" | "rate limit" => builder,
        "api_key" | "strict" | "rate limit + api_key" => builder.require_api_key(true),
        "catalog" if !name.ends_with("-empty-table") => {
            builder.require_api_key(true).catalog(live_catalog(name)?)
        }
        "catalog" | "catalog down" => builder.require_api_key(true).catalog(fallback_catalog()?),
        other => return Err(format!("{name}: unknown configuration `{other}`").into()),
    }
    .start()
    .await?)
}

/// `Mon, 23 Nov 2026 17:57:44 GMT`. All were recorded on that day.
fn recorded_at(date: &str) -> Result<SystemTime, Failure> {
    let time = date.strip_prefix("Mon, 23 Nov 2026 ").and_then(|rest| rest.strip_suffix(" GMT"));
    let seconds = time
        .ok_or("another day")?
        .split(':')
        .try_fold(0, |sum: u64, part| part.parse::<u64>().map(|part| sum * 60 + part))?;
    Ok(UNIX_EPOCH + Duration::from_secs(1_795_392_000 + seconds))
}

async fn replay(name: &str, recording: &Recording, sandbox: &Sandbox) -> Result<Answer, Failure> {
    let Request { method, path, headers, body } = &recording.request;
    let with_key = |value: &String| {
        if name.starts_with("strict-") {
            return value.clone();
        }
        value
            .replace("srv_test_key_1", sandbox.server_key())
            .replace("srv_test_key_2", sandbox.server_key())
            .replace("amply_sk_Ab3_-xYzAb3_-xYzAb3_-xYzAb3_-xYz", sandbox.user_key())
    };
    let headers: Vec<(&str, String)> = headers
        .iter()
        .filter(|(name, _)| !["host", "content-length", "connection"].contains(&name.to_lowercase().as_str()))
        .map(|(name, value)| (name.as_str(), with_key(value)))
        .collect();
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let body = full_task(name).or(text(body)?);
    send(sandbox.url(), method, path, &headers, body.as_deref().map(str::as_bytes)).await
}

fn differences(name: &str, recorded: &Response, answer: &Answer) -> Result<Vec<String>, Failure> {
    let mut wrong = Vec::new();
    if recorded.status != answer.status {
        wrong.push(format!("status {} and not {}", answer.status, recorded.status));
    }
    compare_headers(recorded, answer, &mut wrong);

    let ignored: HashSet<&str> = NOT_COMPARED_IN
        .iter()
        .filter(|(prefix, ..)| name.starts_with(prefix))
        .flat_map(|(_, pointers, _)| pointers.iter().copied())
        .collect();
    if ignored.contains("") {
        return Ok(wrong);
    }
    if recorded.body.get().starts_with('"') {
        if text(&recorded.body)?.as_deref() != Some(&answer.body) {
            wrong.push(format!("body {:?} and not {}", answer.body, recorded.body));
        }
        return Ok(wrong);
    }
    let Ok(body) = RawValue::from_string(answer.body.clone()) else {
        wrong.push(format!("body {:?} is not JSON", answer.body));
        return Ok(wrong);
    };
    compare::json("", &recorded.body, &body, &ignored, &mut wrong)?;
    let fields = fields(&body)?;
    if let Some(id) = fields.get("request_id").filter(|_| recorded.headers.contains_key("x-amply-request-id"))
        && answer.header("x-amply-request-id") != Some(id.get().trim_matches('"'))
    {
        wrong.push("the request id of the header is not that of the body".to_owned());
    }
    Ok(wrong)
}

fn compare_headers(recorded: &Response, answer: &Answer, wrong: &mut Vec<String>) {
    let equal = [
        "access-control-allow-headers",
        "access-control-allow-methods",
        "access-control-allow-origin",
        "allow",
        "content-type",
        "location",
        "refresh",
        "retry-after",
    ];
    let recorded_header = |name: &str| {
        let header = recorded.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        header.map(|(_, value)| value.as_str())
    };
    for name in equal {
        if recorded_header(name) != answer.header(name) {
            wrong.push(format!("{name} {:?} and not {:?}", answer.header(name), recorded_header(name)));
        }
    }
    if recorded.status != 404 && recorded_header("vary") != answer.header("vary") {
        wrong.push(format!("vary {:?}", answer.header("vary")));
    }
    for name in ["x-amply-request-id", "x-amply-compute-ms"] {
        if recorded_header(name).is_some() != answer.header(name).is_some() {
            wrong.push(format!("{name} {:?}", answer.header(name)));
        }
    }
}
