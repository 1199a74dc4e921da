//! How a client is set up. Kept as it was given, since a forked child sets the client up anew.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use amply_sdk::{
    AdminTopUp, Asset, Client, Error, LocalSigner, Network, PrincipalPolicy, RetryPolicy, SpendPolicy, Store,
    TopUpService, Usd, env,
};
use pyo3::conversion::FromPyObjectOwned;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use zeroize::Zeroizing;

use crate::core::seconds;
use crate::error;
use crate::events;
use crate::payer::{self, Asked};

/// The store that is no file, in SQLite's own word.
const MEMORY: &str = ":memory:";

pub(crate) struct Settings {
    from_env: bool,
    api_key: Option<Zeroizing<String>>,
    base_url: Option<String>,
    connect_timeout: Option<Duration>,
    ca_bundle: Option<PathBuf>,
    ca_certificate: Option<String>,
    /// What copies with other options start from.
    pub(crate) changes: Changes,
    store: Option<PathBuf>,
    spend: Option<Spend>,
    payer: Option<PayerGiven>,
    x402: Option<X402>,
    pays_first: Option<String>,
    payer_timeout: Option<Duration>,
    payment_headroom: Option<Duration>,
    report_queue: Option<usize>,
    outbox_limit: Option<u64>,
    reports_in_flight: Option<usize>,
    deliver_in_background: Option<bool>,
    on_event: Option<Arc<Py<PyAny>>>,
    event_loop: EventLoop,
}

/// Where coroutines of a payer or a signer run: the loop of an `AsyncClient`, once it is known.
pub(crate) type EventLoop = Arc<Mutex<Option<Py<PyAny>>>>;

/// Options that may differ from call to call.
#[derive(Clone, Default)]
pub(crate) struct Changes {
    timeout: Option<Duration>,
    attempt_timeout: Option<Duration>,
    max_attempts: Option<u32>,
    repeat_ambiguous: Option<bool>,
    principal: Option<PrincipalPolicy>,
}

#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Spend {
    per_topup: Option<String>,
    per_request: Option<String>,
    per_day: Option<String>,
    minimum_topup: Option<String>,
    per_process_only: bool,
    pay_to: Vec<(String, String)>,
    any_pay_to: bool,
    allow_upfront: bool,
    assets: Vec<(String, String, String, String, u8)>,
}

enum PayerGiven {
    Service { url: String, token: Option<Zeroizing<String>> },
    Admin(Zeroizing<String>),
    Callable(Arc<Py<PyAny>>),
}

struct X402 {
    signer: SignerGiven,
    networks: Vec<String>,
}

enum SignerGiven {
    Key(Zeroizing<String>),
    Callable { address: String, ask: Arc<Py<PyAny>> },
}

impl Settings {
    /// Reads what `_payment.py` and `_base.py` have checked and put together.
    pub(crate) fn read(given: &Bound<'_, PyDict>) -> PyResult<Self> {
        let py = given.py();
        let limit = |name: &str| -> PyResult<Option<Duration>> {
            get::<f64>(given, name)?.map(|limit| seconds(py, name, limit)).transpose()
        };
        let mut settings = Self {
            from_env: get(given, "from_env")?.unwrap_or(false),
            api_key: get::<String>(given, "api_key")?.map(Zeroizing::new),
            base_url: get(given, "base_url")?,
            connect_timeout: limit("connect_timeout")?,
            ca_bundle: get(given, "ca_bundle")?,
            ca_certificate: get(given, "ca_certificate")?,
            changes: Changes::read(given)?,
            store: get(given, "store")?,
            spend: get(given, "spend")?,
            payer: PayerGiven::read(given)?,
            x402: match given.get_item("x402")?.filter(|x402| !x402.is_none()) {
                Some(x402) => Some(X402::read(x402.cast::<PyDict>()?)?),
                None => None,
            },
            pays_first: get(given, "pays_first")?,
            payer_timeout: limit("payer_timeout")?,
            payment_headroom: limit("payment_headroom")?,
            report_queue: get(given, "report_queue")?,
            outbox_limit: get(given, "outbox_limit")?,
            reports_in_flight: get(given, "reports_in_flight")?,
            deliver_in_background: get(given, "deliver_in_background")?,
            on_event: get::<Py<PyAny>>(given, "on_event")?.map(Arc::new),
            event_loop: EventLoop::default(),
        };
        settings.read_env();
        Ok(settings)
    }

    /// Reads the environment, once: a forked child has the client of its parent, whatever became of the environment. Where a
    /// variable cannot be read, that is left to the SDK, which says so.
    fn read_env(&mut self) {
        let read = |name: &str| {
            let value = std::env::var_os(name).filter(|value| !value.is_empty());
            value.map(|value| value.into_string().map_err(drop)).transpose()
        };
        let parsed = |limit: Option<String>| match limit {
            Some(limit) => env::parse_timeout(&limit).map(Some).map_err(drop),
            None => Ok(None),
        };
        if !self.from_env {
            return;
        }
        let (Ok(key), Ok(url), Ok(limit)) =
            (read(env::API_KEY), read(env::BASE_URL), read(env::TIMEOUT).and_then(parsed))
        else {
            return;
        };
        self.api_key = self.api_key.take().or(key.map(Zeroizing::new));
        self.base_url = self.base_url.take().or(url);
        self.changes.timeout = self.changes.timeout.or(limit);
        let file = std::env::var_os(env::CA_BUNDLE).filter(|file| !file.is_empty());
        self.ca_bundle = self.ca_bundle.take().or(file.map(PathBuf::from));
        self.from_env = false;
    }

    /// Whether a payer may be asked, for which a call may have to wait.
    pub(crate) fn has_payer(&self) -> bool {
        self.payer.is_some()
    }

    /// Whether reports can be committed to a file.
    pub(crate) fn has_file(&self) -> bool {
        self.store.as_ref().is_some_and(|file| file.as_os_str() != MEMORY)
    }

    /// The loop that coroutines of a payer run on from now on.
    pub(crate) fn on_loop(&self, py: Python<'_>, event_loop: &Py<PyAny>) {
        let event_loop = event_loop.clone_ref(py);
        let before = self.event_loop.lock().unwrap_or_else(PoisonError::into_inner).replace(event_loop);
        // Without the lock: the end of a loop is Python, which may do anything.
        drop(before);
    }

    /// A client of the SDK.
    pub(crate) fn build(&self) -> Result<Client, Error> {
        let mut builder = match self.from_env {
            true => amply_sdk::ClientBuilder::from_env(),
            false => Client::builder(),
        };
        if let Some(key) = &self.api_key {
            builder = builder.api_key(key.as_str());
        }
        if let Some(url) = &self.base_url {
            builder = builder.base_url(url);
        }
        if let Some(file) = &self.ca_bundle {
            builder = builder.ca_bundle(file);
        }
        if let Some(pem) = &self.ca_certificate {
            builder = builder.ca_certificate(pem);
        }
        if let Some(limit) = self.connect_timeout {
            builder = builder.connect_timeout(limit);
        }
        let Changes { timeout, attempt_timeout, principal, .. } = self.changes;
        if let Some(limit) = timeout {
            builder = builder.timeout(limit);
        }
        if let Some(limit) = attempt_timeout {
            builder = builder.attempt_timeout(limit);
        }
        if let Some(policy) = principal {
            builder = builder.principal_policy(policy);
        }
        if let Some(retry) = self.changes.retry() {
            builder = builder.retry(retry);
        }
        if let Some(file) = &self.store {
            let store = match file.as_os_str() == MEMORY {
                true => Store::in_memory(),
                false => Store::open(file)?,
            };
            builder = builder.store(store);
        }
        if let Some(spend) = &self.spend {
            builder = builder.spend_policy(spend.policy()?);
        }
        if let Some(limit) = self.payer_timeout {
            builder = builder.payer_timeout(limit);
        }
        if let Some(least) = self.payment_headroom {
            builder = builder.payment_headroom(least);
        }
        if let Some(most) = self.report_queue {
            builder = builder.report_queue(most);
        }
        if let Some(most) = self.outbox_limit {
            builder = builder.outbox_limit(most);
        }
        if let Some(most) = self.reports_in_flight {
            builder = builder.reports_in_flight(most);
        }
        if let Some(deliver) = self.deliver_in_background {
            builder = builder.deliver_in_background(deliver);
        }
        if let Some(observer) = &self.on_event {
            let observer = Arc::clone(observer);
            builder = builder.on_event(move |event| events::tell(&observer, event));
        }
        // The rail that is set first is the one that is preferred.
        if self.pays_first.as_deref() == Some("x402") {
            builder = self.wallet(self.open(builder)?)?;
        } else {
            builder = self.open(self.wallet(builder)?)?;
        }
        builder.build()
    }

    fn wallet(&self, builder: amply_sdk::ClientBuilder) -> Result<amply_sdk::ClientBuilder, Error> {
        Ok(match &self.payer {
            None => builder,
            Some(PayerGiven::Service { url, token }) => {
                let service = TopUpService::new(url)?;
                builder.wallet_payer(match token {
                    Some(token) => service.token(token.as_str())?,
                    None => service,
                })
            }
            Some(PayerGiven::Admin(secret)) => {
                let mut admin = AdminTopUp::new(secret.as_str())?;
                if let Some(file) = &self.ca_bundle {
                    let pem = std::fs::read(file)
                        .map_err(|why| Error::Config(format!("the CA bundle cannot be read: {why}")))?;
                    admin = admin.ca_certificate(pem)?;
                }
                if let Some(pem) = &self.ca_certificate {
                    admin = admin.ca_certificate(pem)?;
                }
                builder.wallet_payer(admin)
            }
            Some(PayerGiven::Callable(ask)) => {
                let asked = Asked::new(Arc::clone(ask), Arc::clone(&self.event_loop));
                builder.wallet_payer(move |request| payer::top_up(asked.clone(), request))
            }
        })
    }

    fn open(&self, builder: amply_sdk::ClientBuilder) -> Result<amply_sdk::ClientBuilder, Error> {
        let Some(x402) = &self.x402 else { return Ok(builder) };
        let networks = x402.networks.iter().map(|name| network(name)).collect::<Result<Vec<_>, _>>()?;
        Ok(match &x402.signer {
            SignerGiven::Key(key) => builder.x402(LocalSigner::from_hex(key.as_str())?, networks),
            SignerGiven::Callable { address, ask } => {
                let address = address.parse().map_err(|why| Error::Config(format!("x402: {why}")))?;
                let asked = Asked::new(Arc::clone(ask), Arc::clone(&self.event_loop));
                let signer =
                    amply_sdk::RemoteSigner::new(address, move |digest| payer::sign(asked.clone(), digest));
                builder.x402(signer, networks)
            }
        })
    }
}

impl Changes {
    pub(crate) fn read(given: &Bound<'_, PyDict>) -> PyResult<Self> {
        let py = given.py();
        let limit = |name: &str| -> PyResult<Option<Duration>> {
            match get::<f64>(given, name)? {
                // A limit that is over at once is a slip of the pen.
                Some(0.0) => Err(error::config(py, &format!("{name} is 0 s; it must be above 0"))),
                Some(limit) => seconds(py, name, limit).map(Some),
                None => Ok(None),
            }
        };
        Ok(Self {
            timeout: limit("timeout")?,
            attempt_timeout: limit("attempt_timeout")?,
            max_attempts: get(given, "max_attempts")?,
            repeat_ambiguous: get(given, "repeat_ambiguous")?,
            principal: match get::<String>(given, "principal")?.as_deref() {
                None => None,
                Some("ignore") => Some(PrincipalPolicy::Ignore),
                Some("warn") => Some(PrincipalPolicy::Warn),
                Some("require") => Some(PrincipalPolicy::Require),
                Some(word) => {
                    let word = amply_sdk::printable(word);
                    return Err(error::config(
                        py,
                        &format!("principal is `{word}`; it must be `require`, `warn` or `ignore`"),
                    ));
                }
            },
        })
    }

    /// These, with later ones in their place where there are any.
    pub(crate) fn and(self, later: Self) -> Self {
        Self {
            timeout: later.timeout.or(self.timeout),
            attempt_timeout: later.attempt_timeout.or(self.attempt_timeout),
            max_attempts: later.max_attempts.or(self.max_attempts),
            repeat_ambiguous: later.repeat_ambiguous.or(self.repeat_ambiguous),
            principal: later.principal.or(self.principal),
        }
    }

    fn retry(&self) -> Option<RetryPolicy> {
        if self.max_attempts.is_none() && self.repeat_ambiguous.is_none() {
            return None;
        }
        let mut policy = RetryPolicy::default();
        if let Some(attempts) = self.max_attempts {
            policy = policy.max_attempts(attempts);
        }
        if let Some(repeat) = self.repeat_ambiguous {
            policy = policy.repeat_ambiguous(repeat);
        }
        Some(policy)
    }

    /// The client with these options.
    pub(crate) fn apply(&self, client: Arc<Client>) -> Arc<Client> {
        let retry = self.retry();
        let Self { timeout, attempt_timeout, principal, .. } = *self;
        if timeout.is_none() && attempt_timeout.is_none() && principal.is_none() && retry.is_none() {
            return client;
        }
        Arc::new(client.with_options(|mut options| {
            if let Some(limit) = timeout {
                options = options.timeout(limit);
            }
            if let Some(limit) = attempt_timeout {
                options = options.attempt_timeout(limit);
            }
            if let Some(policy) = principal {
                options = options.principal_policy(policy);
            }
            match retry {
                Some(policy) => options.retry(policy),
                None => options,
            }
        }))
    }
}

impl Spend {
    fn policy(&self) -> Result<SpendPolicy, Error> {
        let mut policy = match &self.per_topup {
            Some(most) => SpendPolicy::per_topup(usd("per_topup", most)?),
            None => SpendPolicy::default(),
        };
        if let Some(most) = &self.per_request {
            policy = policy.per_request(usd("per_request", most)?);
        }
        if let Some(most) = &self.per_day {
            policy = policy.per_day(usd("per_day", most)?);
        }
        if let Some(least) = &self.minimum_topup {
            policy = policy.minimum_topup(usd("minimum_topup", least)?);
        }
        if self.per_process_only {
            policy = policy.per_process_only();
        }
        for (on, to) in &self.pay_to {
            policy = policy.pay_to(network(on)?, address(to)?);
        }
        if self.any_pay_to {
            policy = policy.any_pay_to();
        }
        if self.allow_upfront {
            policy = policy.allow_upfront();
        }
        for (on, contract, name, version, decimals) in &self.assets {
            policy = policy.asset(Asset::at_par(network(on)?, address(contract)?, name, version, *decimals)?);
        }
        Ok(policy)
    }
}

impl PayerGiven {
    fn read(given: &Bound<'_, PyDict>) -> PyResult<Option<Self>> {
        let Some(payer) = given.get_item("payer")?.filter(|payer| !payer.is_none()) else { return Ok(None) };
        let Ok(fields) = payer.cast::<PyDict>() else {
            return Ok(Some(Self::Callable(Arc::new(payer.unbind()))));
        };
        if let Some(secret) = get::<String>(fields, "admin_secret")? {
            return Ok(Some(Self::Admin(Zeroizing::new(secret))));
        }
        let token = get::<String>(fields, "token")?.map(Zeroizing::new);
        Ok(Some(Self::Service { url: get(fields, "url")?.unwrap_or_default(), token }))
    }
}

impl X402 {
    fn read(given: &Bound<'_, PyDict>) -> PyResult<Self> {
        let signer = match get::<String>(given, "key")? {
            Some(key) => SignerGiven::Key(Zeroizing::new(key)),
            None => SignerGiven::Callable {
                address: get(given, "address")?.unwrap_or_default(),
                ask: Arc::new(given.as_any().get_item("signer")?.unbind()),
            },
        };
        Ok(Self { signer, networks: get(given, "networks")?.unwrap_or_default() })
    }
}

fn usd(name: &str, text: &str) -> Result<Usd, Error> {
    text.parse().map_err(|why| Error::Config(format!("the spend policy's {name}: {why}")))
}

fn network(name: &str) -> Result<Network, Error> {
    name.parse().map_err(|why: amply_sdk::ParseNetworkError| Error::Config(why.to_string()))
}

fn address(text: &str) -> Result<amply_sdk::Address, Error> {
    text.parse().map_err(|why: amply_sdk::ParseAddressError| Error::Config(why.to_string()))
}

/// A setting; None where there is none.
fn get<'py, T: FromPyObjectOwned<'py>>(given: &Bound<'py, PyDict>, name: &str) -> PyResult<Option<T>> {
    match given.get_item(name)?.filter(|value| !value.is_none()) {
        Some(value) => value.extract().map(Some).map_err(Into::into),
        None => Ok(None),
    }
}
