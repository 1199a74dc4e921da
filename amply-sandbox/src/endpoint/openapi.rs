//! `GET /openapi`: the document of what this sandbox serves.

use axum::{body::Body, extract::State, http::Response, http::StatusCode};

use super::reply::{self, PUBLIC};
use crate::state::Shared;

/// With a stand-in where the server's own address belongs.
const DOCUMENT: &str = include_str!("openapi.json");
const STAND_IN: &str = "http://origin.invalid";

pub(super) async fn get(State(state): State<Shared>) -> Response<Body> {
    reply::json_text(StatusCode::OK, PUBLIC, DOCUMENT.replace(STAND_IN, &state.origin))
}
