//! A local Amply server in this process, on a thread of its own.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use amply_sandbox::{OpenPayments, Release, Sandbox, SandboxBuilder};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::desk;

/// A running sandbox. `_sandbox.py` has its words.
#[pyclass(frozen, module = "amply_sdk._native")]
pub(crate) struct Server {
    process: u32,
    runtime: Handle,
    running: Mutex<Option<Sandbox>>,
    #[pyo3(get)]
    url: String,
    #[pyo3(get)]
    user_key: String,
    #[pyo3(get)]
    server_key: String,
    #[pyo3(get)]
    admin_secret: String,
    #[pyo3(get)]
    principal_id: String,
    #[pyo3(get)]
    topup_url: String,
    #[pyo3(get)]
    topup_token: String,
    #[pyo3(get)]
    x402_key: String,
}

#[pymethods]
impl Server {
    #[new]
    fn new(py: Python<'_>, settings: &Bound<'_, PyDict>) -> PyResult<Self> {
        let builder = read(settings)?;
        let runtime = runtime().map_err(|why| PyRuntimeError::new_err(why.to_string()))?;
        let started = py.detach(|| -> Result<Sandbox, String> {
            let (tell, told) = oneshot::channel();
            runtime.spawn(async move {
                let started = builder.start().await;
                // It is waited for below.
                let _ = tell.send(started);
            });
            match told.blocking_recv() {
                Ok(Ok(sandbox)) => Ok(sandbox),
                Ok(Err(why)) => Err(why.to_string()),
                Err(_) => Err("the sandbox ended at once".to_owned()),
            }
        });
        let sandbox = started.map_err(PyRuntimeError::new_err)?;
        Ok(Self {
            process: std::process::id(),
            runtime,
            url: sandbox.url().to_owned(),
            user_key: sandbox.user_key().to_owned(),
            server_key: sandbox.server_key().to_owned(),
            admin_secret: sandbox.admin_secret().to_owned(),
            principal_id: sandbox.principal_id().to_owned(),
            topup_url: sandbox.topup_url().to_owned(),
            topup_token: sandbox.topup_token().to_owned(),
            x402_key: sandbox.x402_key().to_owned(),
            running: Mutex::new(Some(sandbox)),
        })
    }

    /// Stops it, and waits for the calls that are being answered.
    fn stop(&self, py: Python<'_>) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(sandbox) = running else { return };
        if self.process != std::process::id() {
            // The parent's; nobody here drives it.
            std::mem::forget(sandbox);
            return;
        }
        py.detach(|| {
            let (tell, told) = oneshot::channel();
            self.runtime.spawn(async move {
                sandbox.stop().await;
                let _ = tell.send(());
            });
            // It takes two seconds at most.
            let _ = told.blocking_recv();
        });
    }
}

/// The runtime of all sandboxes of this process. Only looked at while attached to Python, so that no fork meets the lock taken.
fn runtime() -> std::io::Result<Handle> {
    static RUNTIME: Mutex<Option<(u32, Handle)>> = Mutex::new(None);
    let mut kept = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    let process = std::process::id();
    match &*kept {
        Some((of, runtime)) if *of == process => Ok(runtime.clone()),
        _ => {
            let runtime = desk::start("amply-sandbox")?;
            // The parent's goes without a word: nobody here drives it.
            std::mem::forget(kept.replace((process, runtime.clone())));
            Ok(runtime)
        }
    }
}

fn read(given: &Bound<'_, PyDict>) -> PyResult<SandboxBuilder> {
    let mut builder = Sandbox::builder();
    for (name, value) in given.iter() {
        if value.is_none() {
            continue;
        }
        let name: String = name.extract()?;
        builder = match name.as_str() {
            "seed" => builder.seed(value.extract()?),
            "port" => builder.port(value.extract()?),
            "release" => builder.release(match value.extract::<String>()?.as_str() {
                "3.1.12" => Release::V3_1_12,
                "3.1.13" => Release::V3_1_13,
                other => {
                    let message = format!("release is `{other}`; it must be `3.1.12` or `3.1.13`");
                    return Err(PyValueError::new_err(message));
                }
            }),
            "require_api_key" => builder.require_api_key(value.extract()?),
            "require_principal" => builder.require_principal(value.extract()?),
            "metering" => builder.metering(value.extract()?),
            "rate_limit" => builder.rate_limit(value.extract()?),
            "daily_quota" => builder.daily_quota(value.extract()?),
            "agent_signup" => builder.agent_signup(value.extract()?),
            "agent_signup_secret" => builder.agent_signup_secret(value.extract::<String>()?),
            "x402" => builder.x402(value.extract()?),
            "balance" => builder.balance(value.extract::<String>()?.as_str()),
            "charge_per_route" => builder.charge_per_route(value.extract::<String>()?.as_str()),
            "strict_wallet" => builder.strict_wallet(value.extract()?),
            "open_payments" => builder.open_payments(match value.extract::<String>()?.as_str() {
                "v1" => OpenPayments::v1(),
                "v2" => OpenPayments::v2(),
                "both" => OpenPayments::both(),
                "amply" => OpenPayments::in_amply_object(),
                other => {
                    let message =
                        format!("open_payments is `{other}`; it must be `v1`, `v2`, `both` or `amply`");
                    return Err(PyValueError::new_err(message));
                }
            }),
            "outcome_endpoint" => builder.outcome_endpoint(value.extract()?),
            "route_outcome_endpoint" => builder.route_outcome_endpoint(value.extract()?),
            "clock_standing_at_s" => {
                let since = Duration::try_from_secs_f64(value.extract()?)
                    .map_err(|_| PyValueError::new_err("the clock must stand at a time after 1970"))?;
                builder.clock_standing_at(std::time::SystemTime::UNIX_EPOCH + since)
            }
            other => return Err(PyValueError::new_err(format!("`{other}` is no setting of a sandbox"))),
        };
    }
    Ok(builder)
}
