//! What the sandbox serves, and where. One file per endpoint; `reply` has what their answers share.

mod admin;
mod agent;
mod exchange;
mod fallback;
mod fault;
mod gate;
mod health;
mod manifest;
mod measured;
mod openapi;
mod platform_metrics;
mod providers;
mod reply;
mod route;
mod signup;
mod status;

use axum::{
    Router, middleware,
    routing::{MethodRouter, get, post},
};

use crate::state::Shared;

/// Path that every endpoint begins with.
pub(crate) const BASE: &str = "/api/v1";

pub(crate) fn app(state: Shared) -> Router {
    let public = |method: MethodRouter<Shared>| method.options(|| async { reply::options(reply::PUBLIC) });
    let keyed = |method: MethodRouter<Shared>| method.options(|| async { reply::options(reply::KEYED) });
    let recorded = Router::new()
        .route("/openapi", public(get(openapi::get)))
        .route("/platform-metrics", public(get(platform_metrics::get)))
        .route("/providers", public(get(providers::get)))
        .route("/route", keyed(post(route::post)))
        .route("/status", public(get(status::get)));
    let endpoints = if state.settings.release.is_documented() {
        recorded
            .route("/agent", public(get(agent::get)))
            .route("/health", keyed(get(health::get)))
            .route("/signup/agent", keyed(post(signup::post)))
    } else {
        recorded
    };
    let served = Router::new()
        .nest(BASE, endpoints)
        .fallback(fallback::no_such_path)
        .method_not_allowed_fallback(fallback::wrong_method)
        .with_state(state.clone());
    // A router around the router: within one, a 405 gets its `Allow` only after the last layer has seen it.
    let observed = Router::new()
        .fallback_service(served)
        .layer(middleware::from_fn_with_state(Shared::clone(&state), exchange::observe));
    Router::new().nest(admin::BASE, admin::router(state)).fallback_service(observed)
}
