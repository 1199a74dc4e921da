//! What the sandbox serves, and where. One file per endpoint; `reply` has what their answers share.

mod admin;
mod agent;
mod audit;
mod billing;
mod credentials;
mod exchange;
mod fallback;
mod fault;
mod fields;
mod gate;
mod health;
mod manifest;
mod measured;
mod open_payment;
mod openapi;
mod outcome;
mod payment_required;
mod percent;
mod platform_metrics;
mod providers;
mod reply;
mod report;
mod route;
mod signup;
mod status;
mod topup_service;

use axum::{
    Router, middleware,
    routing::{MethodRouter, delete, get, post},
};

use crate::{outcomes::ReportedVia, state::Shared};

/// Path that every endpoint begins with.
pub(crate) const BASE: &str = "/api/v1";
/// Path of the guarded top-up service, which is no part of Amply.
pub(crate) const TOPUP_SERVICE: &str = "/topup";

pub(crate) fn app(state: Shared) -> Router {
    let public = |method: MethodRouter<Shared>| method.options(|| async { reply::options(reply::PUBLIC) });
    let keyed = |method: MethodRouter<Shared>| method.options(|| async { reply::options(reply::KEYED) });
    let credential =
        |method: MethodRouter<Shared>| method.options(|| async { reply::options(reply::CREDENTIALS) });
    let recorded = Router::new()
        .route("/openapi", public(get(openapi::get)))
        .route("/platform-metrics", public(get(platform_metrics::get)))
        .route("/providers", public(get(providers::get)))
        .route("/route", keyed(post(route::post)))
        .route("/status", public(get(status::get)));
    let endpoints = if state.settings.release.is_documented() {
        let documented = recorded
            .route("/agent", public(get(agent::get)))
            .route("/billing/status", keyed(get(billing::status::get)))
            .route("/billing/topup", keyed(post(billing::topup::post)))
            .route("/credentials", credential(get(credentials::get).post(credentials::post)))
            .route("/credentials/{id}", credential(delete(credentials::delete)))
            .route("/health", keyed(get(health::get)))
            .route("/report", keyed(post(report::post)))
            .route("/route/audit", keyed(get(audit::get)))
            .route("/route/execute", keyed(post(route::post_execute)))
            .route("/signup/agent", keyed(post(signup::post)));
        let reports = ReportedVia::ALL.into_iter().filter(|via| state.settings.has(*via));
        reports.fold(documented, |router, via| {
            let method = match via {
                ReportedVia::Outcome => post(outcome::preferred::post),
                ReportedVia::RouteOutcome => post(outcome::older::post),
            };
            router.route(via.path(), keyed(method))
        })
    } else {
        recorded
    };
    let elsewhere = if state.settings.release.is_documented() {
        Router::new().route(TOPUP_SERVICE, post(topup_service::post))
    } else {
        Router::new()
    };
    let served = elsewhere
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
