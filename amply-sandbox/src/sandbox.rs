//! A sandbox that runs, until it is stopped. How it is started is in `builder`, what it answers in `endpoint`.

use std::{fmt, io, time::Duration};

use tokio::{sync::oneshot, task::JoinHandle};

use crate::{builder::SandboxBuilder, control::Control, money::AmountError, state::Shared};

/// How long [`Sandbox::stop`] waits for calls that are being answered.
const STOP_WITHIN: Duration = Duration::from_secs(2);

/// A running Amply server on this machine. Stops when dropped.
pub struct Sandbox {
    pub(crate) url: String,
    pub(crate) topup_url: String,
    pub(crate) state: Shared,
    pub(crate) stop: Option<oneshot::Sender<()>>,
    pub(crate) server: Option<JoinHandle<()>>,
}

impl Sandbox {
    /// A builder with the defaults: the newest release, seed 0, a free port, the default catalog, open to calls without a key.
    pub fn builder() -> SandboxBuilder {
        SandboxBuilder::new()
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

    /// Whom [`user_key`](Sandbox::user_key) is bound to, and whose wallet it is.
    #[must_use]
    pub fn principal_id(&self) -> &str {
        &self.state.keys.principal
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

    /// The guarded top-up service, e.g. `http://127.0.0.1:40123/topup`. It stands for a customer's own, which holds the admin
    /// secret so that agents need not.
    ///
    /// It takes `POST` with [`topup_token`](Sandbox::topup_token) as Bearer, an `Idempotency-Key`, and
    /// `{"amount_usd": "0.05", "principal_id": …, "idempotency_key": …, "reason": …}`; it answers `{"ok": true,
    /// "credited_usd": …, "balance_usd": …, "topup_id": …}`. Release 3.1.12 has no wallets and no such service.
    #[must_use]
    pub fn topup_url(&self) -> &str {
        &self.topup_url
    }

    /// The token for [`topup_url`](Sandbox::topup_url). It opens nothing else.
    #[must_use]
    pub fn topup_token(&self) -> &str {
        &self.state.keys.topup
    }

    /// A private key to sign open payments with: `0x` and 64 hexadecimal digits. It is anybody's who knows the seed, and is for
    /// this sandbox alone, which takes payments of any other key as well.
    #[must_use]
    pub fn x402_key(&self) -> &str {
        &self.state.keys.x402
    }

    /// What the sandbox saw, and what it shall do next.
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

    /// A balance or a charge that was given to the builder is no amount.
    #[error(transparent)]
    Amount(#[from] AmountError),

    /// The address that open payments are to go to is none.
    #[error("`{address}` is no address to pay to; write 0x and 40 hexadecimal digits")]
    PayTo {
        /// What was given.
        address: String,
    },

    /// There is no tokio runtime to run on.
    #[error("a sandbox runs on a tokio runtime and there is none here; call `start` from inside one")]
    NoRuntime,
}

impl StartError {
    pub(crate) fn of(port: u16, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::AddrInUse {
            StartError::PortTaken { port, source }
        } else {
            StartError::Bind { port, source }
        }
    }
}
