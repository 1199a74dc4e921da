//! From settings to a running sandbox.

use std::{net::Ipv4Addr, sync::Arc};

use tokio::{net::TcpListener, sync::oneshot};

use crate::{
    catalog::Catalog,
    control::Control,
    endpoint,
    ids::Ids,
    keys::Keys,
    release::Release,
    sandbox::{Sandbox, StartError},
    settings::Settings,
    state::{Decisions, State},
};

/// Settings of a sandbox before it starts. From [`Sandbox::builder`].
///
/// A method that is a switch of the real server names its environment variable.
#[derive(Clone, Debug)]
#[must_use = "a sandbox is started by `start`"]
pub struct SandboxBuilder {
    seed: u64,
    port: u16,
    catalog: Catalog,
    settings: Settings,
}

impl SandboxBuilder {
    pub(crate) fn new() -> Self {
        SandboxBuilder { seed: 0, port: 0, catalog: Catalog::default(), settings: Settings::default() }
    }

    /// Ids and keys follow from this number. Default 0.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The port on `127.0.0.1`; 0, the default, takes a free one.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// The providers to choose from.
    pub fn catalog(mut self, catalog: Catalog) -> Self {
        self.catalog = catalog;
        self
    }

    /// Which release of the server to be. Default [`Release::V3_1_13`].
    pub fn release(mut self, release: Release) -> Self {
        self.settings.release = release;
        self
    }

    /// Whether a route needs a key, as with `AMPLY_REQUIRE_API_KEY` on the server. Default false: an open server, which
    /// still refuses a key that it does not know.
    pub fn require_api_key(mut self, require: bool) -> Self {
        self.settings.require_api_key = require;
        self
    }

    /// Starts the server on the current tokio runtime, which needs its I/O and time drivers.
    ///
    /// It answers as long as that runtime runs: with a current-thread runtime, while something is awaited on it.
    ///
    /// # Errors
    /// [`StartError::PortTaken`] when something else listens on the port, [`StartError::Bind`] when the system refuses it
    /// for another reason, [`StartError::NoRuntime`] outside of a tokio runtime.
    pub async fn start(self) -> Result<Sandbox, StartError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| StartError::NoRuntime)?;
        let refused = |source| StartError::of(self.port, source);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).await.map_err(refused)?;
        let origin = format!("http://{}", listener.local_addr().map_err(refused)?);

        let state = Arc::new(State {
            catalog: self.catalog,
            control: Control::default(),
            decisions: Decisions::default(),
            ids: Ids::from_seed(self.seed),
            keys: Keys::from_seed(self.seed),
            settings: self.settings,
            origin: origin.clone(),
        });
        let (stop, stopped) = oneshot::channel();
        let app = endpoint::app(Arc::clone(&state));
        let server = runtime.spawn(async move {
            let until = async move {
                // An error is the sandbox dropped without a word, which means the same.
                let _ = stopped.await;
            };
            // Never fails: errors of single connections stay with them.
            let _ = axum::serve(listener, app).with_graceful_shutdown(until).await;
        });
        Ok(Sandbox {
            url: format!("{origin}{}", endpoint::BASE),
            state,
            stop: Some(stop),
            server: Some(server),
        })
    }
}
