//! `GET /openapi`: the document of what this sandbox serves, one for each release.

use axum::{body::Body, extract::State, http::Response, http::StatusCode};

use super::reply::{self, PUBLIC};
use crate::{release::Release, state::Shared};

/// With a stand-in where the server's own address belongs.
fn document(release: Release) -> &'static str {
    match release {
        Release::V3_1_12 => include_str!("openapi/3.1.12.json"),
        Release::V3_1_13 => include_str!("openapi/3.1.13.json"),
    }
}

const STAND_IN: &str = "http://origin.invalid";

pub(super) async fn get(State(state): State<Shared>) -> Response<Body> {
    let document = document(state.settings.release).replace(STAND_IN, &state.origin);
    reply::json_text(StatusCode::OK, PUBLIC, document)
}
