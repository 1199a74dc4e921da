//! From settings to a running sandbox.

use std::{net::Ipv4Addr, sync::Arc, time::SystemTime};

use tokio::{net::TcpListener, sync::oneshot};

use crate::{
    catalog::Catalog,
    clock::{Clock, Timestamp},
    control::Control,
    credentials::Credentials,
    endpoint,
    ids::Ids,
    keys::Keys,
    limits::Windows,
    metering::Metering,
    money::{AmountError, NanoUsd},
    release::Release,
    sandbox::{Sandbox, StartError},
    settings::{Secret, Settings},
    state::{Decisions, State},
    wire::{Peer, Wires},
    x402::accept::OpenPayments,
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
    operator_keys: Vec<Secret>,
    stands_at: Option<Timestamp>,
    /// The first amount that was none.
    wrong_amount: Option<AmountError>,
}

impl SandboxBuilder {
    pub(crate) fn new() -> Self {
        SandboxBuilder {
            seed: 0,
            port: 0,
            catalog: Catalog::default(),
            settings: Settings::default(),
            operator_keys: Vec::new(),
            stands_at: None,
            wrong_amount: None,
        }
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

    /// More keys of operators besides [`Sandbox::server_key`]; `AMPLY_API_KEYS` on the server. They are let in and bind no
    /// principal. Called twice, it adds.
    pub fn operator_keys(mut self, keys: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.operator_keys.extend(keys.into_iter().map(|key| Secret(key.into())));
        self
    }

    /// Whether a route is refused with 403 `principal_required` unless a principal stands behind the key or the request has
    /// `sandbox_mode: true`; `AMPLY_ROUTE_REQUIRE_PRINCIPAL_BOUND` on the server. Default false. Since release 3.1.13.
    pub fn require_principal(mut self, require: bool) -> Self {
        self.settings.require_principal = require;
        self
    }

    /// Whether routes are metered: answers then say so in their headers and have `integration`, and a user's route has its
    /// price. The server has such a switch, whose variable is not documented. Default true. Since release 3.1.13.
    pub fn metering(mut self, on: bool) -> Self {
        self.settings.metering = on;
        self
    }

    /// How many `POST /route` a client address may send in a minute, refused ones included, before it gets 429
    /// `rate_limited`; `AMPLY_V1_RATE_LIMIT_PER_MIN` on the server, whose default is 120. Default here: no limit.
    ///
    /// The first entry of `X-Forwarded-For` is the client where there is one.
    pub fn rate_limit(mut self, per_minute: u32) -> Self {
        self.settings.rate_limit = Some(per_minute);
        self
    }

    /// How many routes a principal gets in a UTC day before it gets 429 `quota_exceeded`. The server has such a switch, whose
    /// variable is not documented. Default: no quota. Since release 3.1.13.
    pub fn daily_quota(mut self, per_principal: u32) -> Self {
        self.settings.daily_quota = Some(per_principal);
        self
    }

    /// Whether agents may sign up for a user key at `POST /signup/agent`; `AMPLY_AGENT_SIGNUP` on the server. Default false.
    /// Since release 3.1.13.
    pub fn agent_signup(mut self, on: bool) -> Self {
        self.settings.agent_signup = on;
        self
    }

    /// The secret that a signup must show in `X-Amply-Agent-Signup-Token`; `AMPLY_AGENT_SIGNUP_SHARED_SECRET` on the server. Default: none is needed.
    pub fn agent_signup_secret(mut self, secret: impl Into<String>) -> Self {
        self.settings.agent_signup_secret = Some(Secret(secret.into()));
        self
    }

    /// Whether the server announces payments by x402, and shapes its 402s as `amply.x402/1`; `AMPLY_X402_ENABLED` on the
    /// server. Default false. Since release 3.1.13.
    pub fn x402(mut self, on: bool) -> Self {
        self.settings.x402 = on;
        self
    }

    /// What the wallet of [`Sandbox::user_key`] holds at the start, in USD: text such as `"10.00"`, or [`NanoUsd`]. Default 10.
    /// Those of keys that are signed up for begin with nothing.
    ///
    /// What is no amount is told by [`start`](SandboxBuilder::start).
    pub fn balance<A>(mut self, usd: A) -> Self
    where
        A: TryInto<NanoUsd>,
        AmountError: From<A::Error>,
    {
        match usd.try_into().map_err(AmountError::from) {
            Ok(balance) => self.settings.balance = balance,
            Err(error) => self.wrong_amount = self.wrong_amount.or(Some(error)),
        }
        self
    }

    /// What a route costs the principal behind it, in USD: text such as `"0.01"`, the default, or [`NanoUsd`]. Not charged
    /// without [metering](SandboxBuilder::metering) or in `sandbox_mode`. Since release 3.1.13.
    ///
    /// What is no amount, or negative, is told by [`start`](SandboxBuilder::start).
    pub fn charge_per_route<A>(mut self, usd: A) -> Self
    where
        A: TryInto<NanoUsd>,
        AmountError: From<A::Error>,
    {
        match usd.try_into().map_err(AmountError::from) {
            Ok(charge) if charge >= NanoUsd::default() => self.settings.charge_per_route = charge,
            Ok(_) => self.wrong_amount = self.wrong_amount.or(Some(AmountError::Negative)),
            Err(error) => self.wrong_amount = self.wrong_amount.or(Some(error)),
        }
        self
    }

    /// Whether a route is refused with 402 `insufficient_balance` when the wallet behind it holds less than it costs. The server
    /// has such a switch, whose variable is not documented. Default false: such a route is served, and takes the balance below
    /// zero. Since release 3.1.13.
    pub fn strict_wallet(mut self, strict: bool) -> Self {
        self.settings.strict_wallet = strict;
        self
    }

    /// Lets routes be paid by open x402 payments as well: a route that is refused with 402 has offers, and one that comes with a
    /// payment for one of them is served and the payment settled, in the sandbox's own books. Each signature is checked as a
    /// chain would. Default: none.
    ///
    /// A principal is refused only with [`strict_wallet`](SandboxBuilder::strict_wallet), and a caller without one only with
    /// [`OpenPayments::also_without_principal`]. A payment goes before the wallet, which is then not debited. Since release
    /// 3.1.13, whose documentation says only that there may be such offers.
    pub fn open_payments(mut self, payments: OpenPayments) -> Self {
        self.settings.open_payments = Some(payments);
        self
    }

    /// Whether there is `POST /outcome`. Default true. Without it the path is a 404 with a page, as of every endpoint that a
    /// server does not have, and the answers of routes lead to `/route/outcome`. Since release 3.1.13.
    pub fn outcome_endpoint(mut self, on: bool) -> Self {
        self.settings.outcome_endpoint = on;
        self
    }

    /// Whether there is the older `POST /route/outcome`. Default true. With neither of the two the answers of routes have no
    /// `agent_hints`. Since release 3.1.13.
    pub fn route_outcome_endpoint(mut self, on: bool) -> Self {
        self.settings.route_outcome_endpoint = on;
        self
    }

    /// Makes every execution of `POST /route/execute` end as `failed`, with this `error_code`. Without it every one succeeds. The
    /// route itself is served, and paid for, either way. Since release 3.1.13.
    pub fn execution_fails(mut self, error_code: impl Into<String>) -> Self {
        self.settings.execution_fails = Some(error_code.into());
        self
    }

    /// Makes the sandbox's clock stand at `time`, so that every time it says is known beforehand. [`Control::advance`] moves it.
    pub fn clock_standing_at(mut self, time: SystemTime) -> Self {
        self.stands_at = Some(Timestamp::of(time));
        self
    }

    /// Starts the server on the current tokio runtime, which needs its I/O and time drivers.
    ///
    /// It answers as long as that runtime runs: with a current-thread runtime, while something is awaited on it.
    ///
    /// # Errors
    /// [`StartError::PortTaken`] when something else listens on the port, [`StartError::Bind`] when the system refuses it
    /// for another reason, [`StartError::NoRuntime`] outside of a tokio runtime, [`StartError::Amount`] when an amount that
    /// was given is none, [`StartError::PayTo`] when an address is.
    pub async fn start(mut self) -> Result<Sandbox, StartError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| StartError::NoRuntime)?;
        if let Some(error) = self.wrong_amount {
            return Err(StartError::Amount(error));
        }
        if let Some(open) = self.settings.open_payments.take() {
            let open = open.paid_to_someone(self.seed);
            self.settings.open_payments = Some(open.map_err(|address| StartError::PayTo { address })?);
        }
        let refused = |source| StartError::of(self.port, source);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).await.map_err(refused)?;
        let origin = format!("http://{}", listener.local_addr().map_err(refused)?);

        let keys = Arc::new(Keys::from_seed(self.seed).with_servers(self.operator_keys));
        let control = Control::new(
            Clock::standing_at(self.stands_at),
            Arc::clone(&keys),
            Credentials::from_seed(self.seed),
        );
        control.wallets().set_balance(&keys.principal, self.settings.balance);
        let state = Arc::new(State {
            catalog: self.catalog,
            control,
            decisions: Decisions::default(),
            ids: Ids::from_seed(self.seed),
            keys,
            metering: Metering::default(),
            minutes: Windows::default(),
            hours: Windows::default(),
            days: Windows::default(),
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
            let _ = axum::serve(Wires(listener), app.into_make_service_with_connect_info::<Peer>())
                .with_graceful_shutdown(until)
                .await;
        });
        Ok(Sandbox {
            url: format!("{origin}{}", endpoint::BASE),
            topup_url: format!("{origin}{}", endpoint::TOPUP_SERVICE),
            state,
            stop: Some(stop),
            server: Some(server),
        })
    }
}
