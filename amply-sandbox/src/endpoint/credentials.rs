//! `GET` and `POST /credentials`, `DELETE /credentials/{id}`: what executions of a principal may use at providers.

use axum::{
    Extension,
    body::Body,
    extract,
    http::{HeaderMap, Response, StatusCode, Uri},
};
use serde::Serialize;

use super::{
    exchange::ReceivedBody,
    fields::Fields,
    gate, percent,
    reply::{self, CREDENTIALS, Problem, Stamp},
};
use crate::{
    catalog::Catalog,
    credentials::{NewCredential, StoredCredential},
    proof::Hash,
    state::{Shared, State},
};

/// Whether it is the path of these endpoints, however it is written: what is sent there is not for the eyes of others.
pub(super) fn are_at(uri: &Uri) -> bool {
    percent::decoded(uri.path()).contains("credentials")
}

/// The fields of a new credential that others may see; of any other nobody knows what is in it.
pub(super) const READABLE: [&str; 2] = ["provider_id", "label"];

/// [our] the longest label, in characters.
const LABEL_AT_MOST: usize = 100;
/// [our] the longest secret, in bytes.
const SECRET_AT_MOST: usize = 8192;

const PROVIDER: &str = "provider_id must be the id of a provider of this server";
const LABEL: &str = "label must be 1 to 100 characters when provided";
const SECRET: &str = "secret is required (1 to 8192 bytes)";

pub(super) async fn get(extract::State(state): extract::State<Shared>, headers: HeaderMap) -> Response<Body> {
    answer(&state, &headers, |stamp, principal| {
        let stored = state.control.stored().of(principal);
        let credentials = stored.iter().map(CredentialBody::of).collect();
        let body =
            List { ok: true, credentials, request_id: &stamp.request_id, compute_ms: stamp.compute_ms() };
        Ok(stamp.on(body.compute_ms, reply::json(StatusCode::OK, CREDENTIALS, &body)))
    })
}

pub(super) async fn post(
    extract::State(state): extract::State<Shared>,
    headers: HeaderMap,
    Extension(body): Extension<ReceivedBody>,
) -> Response<Body> {
    answer(&state, &headers, |stamp, principal| {
        let new = body.read(|fields| read(fields, &state.catalog))?;
        let stored = state.control.stored().add(principal, new, state.control.clock().now());
        let credential = CredentialBody::of(&stored);
        let body =
            Added { ok: true, credential, request_id: &stamp.request_id, compute_ms: stamp.compute_ms() };
        Ok(stamp.on(body.compute_ms, reply::json(StatusCode::CREATED, CREDENTIALS, &body)))
    })
}

pub(super) async fn delete(
    extract::State(state): extract::State<Shared>,
    headers: HeaderMap,
    uri: Uri,
) -> Response<Body> {
    answer(&state, &headers, |stamp, principal| {
        let id = percent::decoded(uri.path().rsplit('/').next().unwrap_or_default());
        if !state.control.stored().remove(principal, &id) {
            return Err(not_found());
        }
        let body = Removed {
            ok: true,
            deleted: true,
            id: &id,
            request_id: &stamp.request_id,
            compute_ms: stamp.compute_ms(),
        };
        Ok(stamp.on(body.compute_ms, reply::json(StatusCode::OK, CREDENTIALS, &body)))
    })
}

/// [our] the same of one that there is not and of another's.
pub(super) fn not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "No credential of yours has this id").code("credential_not_found")
}

fn answer(
    state: &State,
    headers: &HeaderMap,
    then: impl FnOnce(&Stamp, &str) -> Result<Response<Body>, Problem>,
) -> Response<Body> {
    let stamp = Stamp::new(state);
    gate::principal(state, headers, "credentials")
        .and_then(|principal| then(&stamp, &principal))
        .unwrap_or_else(|problem| problem.reply(&stamp, CREDENTIALS))
}

/// [our] every check: the documentation has no fields.
fn read(fields: &Fields<'_>, catalog: &Catalog) -> Result<NewCredential, &'static str> {
    let is_known = |id: &String| catalog.providers().iter().any(|provider| provider.id == *id);
    let provider_id = fields.text("provider_id").filter(is_known).ok_or(PROVIDER)?;
    let label = match fields.get("label") {
        None => None,
        Some(_) => {
            let fits = |label: &String| (1..=LABEL_AT_MOST).contains(&label.chars().count());
            Some(fields.text("label").filter(fits).ok_or(LABEL)?)
        }
    };
    let secret = fields.text("secret").filter(|secret| (1..=SECRET_AT_MOST).contains(&secret.len()));
    let secret = Hash::of(&secret.ok_or(SECRET)?);
    Ok(NewCredential { provider_id, label, secret })
}

// The order of these fields is the order on the wire. [our] all names. Nowhere is there a secret.

#[derive(Serialize)]
struct CredentialBody<'a> {
    id: &'a str,
    provider_id: &'a str,
    label: Option<&'a str>,
    created_at: &'a str,
    last_used_at: Option<&'a str>,
}

impl<'a> CredentialBody<'a> {
    fn of(stored: &'a StoredCredential) -> Self {
        CredentialBody {
            id: &stored.id,
            provider_id: &stored.provider_id,
            label: stored.label.as_deref(),
            created_at: &stored.created_at,
            last_used_at: stored.last_used_at.as_deref(),
        }
    }
}

#[derive(Serialize)]
struct List<'a> {
    ok: bool,
    credentials: Vec<CredentialBody<'a>>,
    request_id: &'a str,
    compute_ms: u64,
}

#[derive(Serialize)]
struct Added<'a> {
    ok: bool,
    credential: CredentialBody<'a>,
    request_id: &'a str,
    compute_ms: u64,
}

#[derive(Serialize)]
struct Removed<'a> {
    ok: bool,
    deleted: bool,
    id: &'a str,
    request_id: &'a str,
    compute_ms: u64,
}
