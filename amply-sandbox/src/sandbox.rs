//! Starting and stopping a sandbox. What it answers is in `endpoint`.

use std::{fmt, io, net::Ipv4Addr, sync::Arc, time::Duration};

use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

use crate::{
    catalog::Catalog,
    control::Control,
    endpoint,
    ids::Ids,
    keys::Keys,
    state::{Decisions, Shared, State},
};

/// How long [`Sandbox::stop`] waits for calls that are being answered.
const STOP_WITHIN: Duration = Duration::from_secs(2);

/// A running Amply server on this machine. Stops when dropped.
pub struct Sandbox {
    url: String,
    state: Shared,
    stop: Option<oneshot::Sender<()>>,
    server: Option<JoinHandle<()>>,
}

impl Sandbox {
    /// A builder with the defaults: seed 0, a free port, the default catalog, open to calls without a key.
    pub fn builder() -> SandboxBuilder {
        SandboxBuilder { seed: 0, port: 0, catalog: Catalog::default(), require_api_key: false }
    }

    /// The base URL to give a client, e.g. `http://127.0.0.1:40123/api/v1`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A key bound to a user: `amply_sk_` and 32 characters of URL-safe base64.
    #[must_use]
    pub fn user_key(&self) -> &str {
        &self.state.keys.user
    }

    /// An operator's key: it is let in, but no principal stands behind it.
    #[must_use]
    pub fn server_key(&self) -> &str {
        &self.state.keys.server
    }

    /// The secret for operator endpoints. It is not an API key.
    #[must_use]
    pub fn admin_secret(&self) -> &str {
        &self.state.keys.admin
    }

    /// What the sandbox saw.
    #[must_use]
    pub fn control(&self) -> &Control {
        &self.state.control
    }

    /// Takes no more connections and waits until running calls are answered, at most two seconds.
    pub async fn stop(mut self) {
        if let Some(stop) = self.stop.take() {
            // The server may have ended by itself; then nobody listens, and there is nothing to stop.
            let _ = stop.send(());
        }
        if let Some(mut server) = self.server.take()
            && tokio::time::timeout(STOP_WITHIN, &mut server).await.is_err()
        {
            server.abort();
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Settings of a sandbox before it starts. From [`Sandbox::builder`].
#[derive(Clone, Debug)]
#[must_use = "a sandbox is started by `start`"]
pub struct SandboxBuilder {
    seed: u64,
    port: u16,
    catalog: Catalog,
    require_api_key: bool,
}

impl SandboxBuilder {
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

    /// Whether a route needs a key, as with `AMPLY_REQUIRE_API_KEY` on the server. Default false: an open server, which
    /// still refuses a key that it does not know.
    pub fn require_api_key(mut self, require: bool) -> Self {
        self.require_api_key = require;
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
            require_api_key: self.require_api_key,
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

/// Why a sandbox could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Another program, or another sandbox, listens there.
    #[error("port {port} on 127.0.0.1 is taken; choose another, or 0 for a free one")]
    PortTaken {
        /// The port that was asked for.
        port: u16,
        /// What the system said.
        source: io::Error,
    },

    /// The system does not let the sandbox listen there.
    #[error("cannot listen on port {port} of 127.0.0.1; choose one above 1023, or 0 for a free one")]
    Bind {
        /// The port that was asked for.
        port: u16,
        /// What the system said.
        source: io::Error,
    },

    /// There is no tokio runtime to run on.
    #[error("a sandbox runs on a tokio runtime and there is none here; call `start` from inside one")]
    NoRuntime,
}

impl StartError {
    fn of(port: u16, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::AddrInUse {
            StartError::PortTaken { port, source }
        } else {
            StartError::Bind { port, source }
        }
    }
}
