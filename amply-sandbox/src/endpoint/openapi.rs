//! `GET /openapi`: the document of what this sandbox serves, one for each release, less the endpoints that are switched off.

use std::borrow::Cow;

use axum::{body::Body, extract::State, http::Response, http::StatusCode};
use indexmap::IndexMap;
use serde_json::value::{RawValue, to_raw_value};

use super::{
    BASE,
    reply::{self, PUBLIC},
};
use crate::{outcomes::ReportedVia, release::Release, settings::Settings, state::Shared};

/// With a stand-in where the server's own address belongs.
fn document(release: Release) -> &'static str {
    match release {
        Release::V3_1_12 => include_str!("openapi/3.1.12.json"),
        Release::V3_1_13 => include_str!("openapi/3.1.13.json"),
    }
}

const STAND_IN: &str = "http://origin.invalid";

pub(super) async fn get(State(state): State<Shared>) -> Response<Body> {
    let document = served(document(state.settings.release), &state.settings).replace(STAND_IN, &state.origin);
    reply::json_text(StatusCode::OK, PUBLIC, document)
}

/// The document without what this server does not have; all else stays as it is written.
fn served<'a>(document: &'a str, settings: &Settings) -> Cow<'a, str> {
    let missing = ReportedVia::ALL.into_iter().filter(|via| !settings.has(*via));
    let missing: Vec<String> = missing.map(|via| format!("{BASE}{}", via.path())).collect();
    let less = if missing.is_empty() { None } else { without(document, &missing) };
    less.map_or(Cow::Borrowed(document), Cow::Owned)
}

fn without(document: &str, missing: &[String]) -> Option<String> {
    let mut parts: IndexMap<&str, Box<RawValue>> = serde_json::from_str(document).ok()?;
    let paths = parts.get_mut("paths")?;
    let mut kept: IndexMap<&str, &RawValue> = serde_json::from_str(paths.get()).ok()?;
    kept.retain(|path, _| !missing.iter().any(|missing| missing == path));
    *paths = to_raw_value(&kept).ok()?;
    serde_json::to_string(&parts).ok()
}
