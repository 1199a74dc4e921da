//! The reports that a sandbox took, over HTTP.

use axum::{
    body::Body,
    extract::State,
    http::{Response, StatusCode},
};
use serde::Serialize;

use crate::{
    endpoint::reply::{self, KEYED},
    outcomes::ReportedOutcome,
    state::Shared,
};

pub(super) async fn outcomes(State(state): State<Shared>) -> Response<Body> {
    reply::json(StatusCode::OK, KEYED, &Outcomes { outcomes: state.control.outcomes() })
}

#[derive(Serialize)]
struct Outcomes {
    outcomes: Vec<ReportedOutcome>,
}
