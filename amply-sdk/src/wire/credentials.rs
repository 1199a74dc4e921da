//! What `GET`, `POST` and `DELETE /credentials` take and answer. A secret goes one way: no answer has a field for it.

use serde::Serialize;

use super::fields::{Fields, FromFields};
use super::json::Extra;

/// What is sent of a credential that is stored.
#[derive(Serialize)]
pub(crate) struct CredentialBody<'a> {
    pub(crate) provider_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) label: Option<&'a str>,
    pub(crate) secret: &'a str,
}

/// The credentials that the server keeps for this key's principal (API documentation, `GET /credentials`).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct CredentialList {
    /// Whether the service answers.
    pub ok: Option<bool>,
    /// The credentials, in the server's order.
    pub credentials: Vec<Credential>,
    /// The id of this request.
    pub request_id: Option<String>,
    /// Milliseconds of work on the server.
    pub compute_ms: Option<u64>,
    /// Fields that have no name here.
    pub extra: Extra,
}

impl FromFields for CredentialList {
    fn from_fields(mut fields: Fields<'_>) -> Result<Self, String> {
        Ok(Self {
            ok: fields.take("ok"),
            credentials: fields.take("credentials").unwrap_or_default(),
            request_id: fields.take("request_id"),
            compute_ms: fields.take("compute_ms"),
            extra: fields.rest(),
        })
    }
}

/// A stored credential: everything but the secret, which the server never gives back.
// [our] the documentation names the endpoint, and not the fields
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Credential {
    /// What [`ExecuteRequest::with_credential`](crate::ExecuteRequest::with_credential) refers to it by.
    pub id: Option<String>,
    /// The provider that it is for, as routes name it.
    pub provider_id: Option<String>,
    /// The owner's own name for it.
    pub label: Option<String>,
    /// When it was stored, RFC 3339 UTC.
    pub created_at: Option<String>,
    /// When an execution used it last, RFC 3339 UTC; `None` when none has.
    pub last_used_at: Option<String>,
    /// Fields that have no name here.
    pub extra: Extra,
}

impl FromFields for Credential {
    fn from_fields(mut fields: Fields<'_>) -> Result<Self, String> {
        Ok(Self {
            id: fields.take("id"),
            provider_id: fields.take("provider_id"),
            label: fields.take("label"),
            created_at: fields.take("created_at"),
            last_used_at: fields.take("last_used_at"),
            extra: fields.rest(),
        })
    }
}

/// What the server says of a credential that it has stored (API documentation, `POST /credentials`).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AddedCredential {
    /// Whether it was stored.
    pub ok: Option<bool>,
    /// The credential, with its id.
    pub credential: Option<Credential>,
    /// The id of this request.
    pub request_id: Option<String>,
    /// Milliseconds of work on the server.
    pub compute_ms: Option<u64>,
    /// Fields that have no name here.
    pub extra: Extra,
}

impl AddedCredential {
    /// The id to refer to it by.
    pub fn id(&self) -> Option<&str> {
        self.credential.as_ref()?.id.as_deref()
    }
}

impl FromFields for AddedCredential {
    fn from_fields(mut fields: Fields<'_>) -> Result<Self, String> {
        Ok(Self {
            ok: fields.take("ok"),
            credential: fields.take("credential"),
            request_id: fields.take("request_id"),
            compute_ms: fields.take("compute_ms"),
            extra: fields.rest(),
        })
    }
}

/// What the server says of a credential that it has removed (API documentation, `DELETE /credentials/{id}`).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RemovalReceipt {
    /// Whether the service answers.
    pub ok: Option<bool>,
    /// Whether it was removed.
    pub deleted: Option<bool>,
    /// The credential's id.
    pub id: Option<String>,
    /// The id of this request.
    pub request_id: Option<String>,
    /// Milliseconds of work on the server.
    pub compute_ms: Option<u64>,
    /// Fields that have no name here.
    pub extra: Extra,
}

impl FromFields for RemovalReceipt {
    fn from_fields(mut fields: Fields<'_>) -> Result<Self, String> {
        Ok(Self {
            ok: fields.take("ok"),
            deleted: fields.take("deleted"),
            id: fields.take("id"),
            request_id: fields.take("request_id"),
            compute_ms: fields.take("compute_ms"),
            extra: fields.rest(),
        })
    }
}
