//! From nothing to a key: the order of the manifest's steps, and the signup.

use std::sync::Arc;

use amply_sdk::{AgentManifest, Client, Error, NewAccount, Signup};
use pyo3::prelude::*;

use crate::answer::{Source, ToPython};
use crate::core::Core;
use crate::desk::Pending;
use crate::json;

/// The ids of a manifest's steps, in the order in which they are to be done, from its JSON.
#[pyfunction]
pub(crate) fn read_steps(text: &str) -> PyResult<Vec<String>> {
    let manifest: AgentManifest = serde_json::from_str(text).map_err(|why| {
        pyo3::exceptions::PyValueError::new_err(format!("this is not the JSON of a manifest: {why}"))
    })?;
    Ok(manifest.steps().iter().map(|step| step.id.clone()).collect())
}

/// Signs up; gives the answer without the key with its source, the key, and the whole answer.
#[pyfunction]
#[pyo3(signature = (core, accept_tos_version, token))]
pub(crate) fn signup(
    py: Python<'_>,
    core: &Core,
    accept_tos_version: String,
    token: Option<String>,
) -> PyResult<Py<PyAny>> {
    let signup = accepting(accept_tos_version, token);
    core.ask(py, move |client| signed_up(client, signup))
}

#[pyfunction]
#[pyo3(signature = (core, accept_tos_version, token))]
pub(crate) fn signup_async(
    py: Python<'_>,
    core: &Core,
    accept_tos_version: String,
    token: Option<String>,
) -> PyResult<Pending> {
    let signup = accepting(accept_tos_version, token);
    core.start(py, move |client| signed_up(client, signup))
}

fn accepting(tos_version: String, token: Option<String>) -> Signup {
    let signup = Signup::accepting(tos_version);
    match token {
        Some(token) => signup.token(token),
        None => signup,
    }
}

async fn signed_up(client: Arc<Client>, signup: Signup) -> Result<NewAccount, Error> {
    client.signup(signup).await
}

impl ToPython for NewAccount {
    fn to_python(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let raw = (json::parse(py, self.text())?, Source::of(self.meta().clone()));
        let secrets = (self.api_key.expose(), self.expose_text());
        Ok((raw, secrets.0, secrets.1).into_pyobject(py)?.into_any().unbind())
    }
}
