//! How a client is set up, and what is refused before the first call.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::sync::watch;
use zeroize::Zeroizing;

use super::{Client, Options};
use crate::base_url::{self, BaseUrl};
use crate::env;
use crate::error::Error;
use crate::event::{Event, Observer};
use crate::exchange::Exchange;
use crate::key::ApiKey;
use crate::outcome::{Limits as ReportLimits, Reporter, principal_of};
use crate::payment::wallet::{BillingStatusLook, Coordinator, Limits, Setup, check_payer};
use crate::payment::{
    Clock, Ledger, OpenBuilder, OpenSetup, Payer, Payers, Rail, Spawner, SpendPolicy, WalletId,
};
use crate::principal::PrincipalPolicy;
use crate::retry::RetryPolicy;
use crate::store::Store;
use crate::store::outbox::Sender;
use crate::tls;
use crate::transport::{Settings, Transport};

/// Sets up a [`Client`]. What is not set has the default that its method names; nothing is checked before
/// [`build`](Self::build).
#[must_use]
#[derive(Default)]
pub struct ClientBuilder {
    api_key: Option<Setting<Zeroizing<String>>>,
    base_url: Option<Setting<String>>,
    timeout: Option<Setting<Duration>>,
    ca_bundle: Option<PathBuf>,
    ca_certificates: Vec<Vec<u8>>,
    connect_timeout: Option<Duration>,
    options: Options,
    observer: Observer,
    store: Option<Store>,
    policy: Option<SpendPolicy>,
    payer: Option<Arc<dyn Payer>>,
    pub(crate) open: Option<OpenBuilder>,
    /// The rail that was set first.
    pub(crate) first_rail: Option<Rail>,
    payer_timeout: Option<Duration>,
    payment_headroom: Option<Duration>,
    reports: ReportLimits,
    plans_only: bool,
}

/// A value, or why it is none: told at `build`, unless something else is set in its place by then.
type Setting<T> = Result<T, String>;

impl ClientBuilder {
    /// Starts with what the environment says; see [`env`](crate::env) for the variables. What is set afterwards
    /// replaces it.
    pub fn from_env() -> Self {
        Self::from_lookup(&|name| std::env::var_os(name))
    }

    fn from_lookup(lookup: &dyn Fn(&str) -> Option<OsString>) -> Self {
        let mut builder = Self::default();
        if let Some(key) = env::read(lookup, env::API_KEY) {
            builder.api_key = Some(key.map(Zeroizing::new));
        }
        if let Some(url) = env::read(lookup, env::BASE_URL) {
            builder.base_url = Some(url);
        }
        if let Some(limit) = env::read(lookup, env::TIMEOUT) {
            let parse =
                |text: String| env::parse_timeout(&text).map_err(|why| format!("{}: {why}", env::TIMEOUT));
            builder.timeout = Some(limit.and_then(parse));
        }
        if let Some(file) = lookup(env::CA_BUNDLE).filter(|file| !file.is_empty()) {
            builder.ca_bundle = Some(file.into());
        }
        builder
    }

    /// The API key. Without one, calls are sent without: a server in open mode serves them.
    pub fn api_key(mut self, key: impl Into<String>) -> Self {
        self.api_key = Some(Ok(Zeroizing::new(key.into())));
        self
    }

    /// No API key, whatever the environment says: for a signup, which is sent without one.
    pub fn without_api_key(mut self) -> Self {
        self.api_key = None;
        self
    }

    /// The base URL; one without a path gets `/api/v1`. `https://www.useamply.com/api/v1` unless set.
    ///
    /// It must be https; http is for this machine only.
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = Some(Ok(url.into()));
        self
    }

    /// The limit for one call, retries and waits included; 30 s unless set, 60 s with a payer.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(Ok(limit));
        self
    }

    /// The limit for one HTTP request of a call; 20 s unless set.
    pub fn attempt_timeout(mut self, limit: Duration) -> Self {
        self.options = self.options.attempt_timeout(limit);
        self
    }

    /// The limit for making a connection; 5 s unless set.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = Some(limit);
        self
    }

    /// How often, and after which failures, a call is sent again.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.options = self.options.retry(policy);
        self
    }

    /// What to do when a route is not bound to a principal; [`PrincipalPolicy::Warn`] unless set.
    ///
    /// Under [`PrincipalPolicy::Require`] every route on a server of release 3.1.12 ends in an error, because such a
    /// server never says whether a call is bound.
    pub fn principal_policy(mut self, policy: PrincipalPolicy) -> Self {
        self.options = self.options.principal_policy(policy);
        self
    }

    /// A PEM file with certificates to trust besides those of the system.
    pub fn ca_bundle(mut self, file: impl Into<PathBuf>) -> Self {
        self.ca_bundle = Some(file.into());
        self
    }

    /// Certificates to trust besides those of the system and of [`ca_bundle`](Self::ca_bundle), as the text of a PEM
    /// file. Each call adds to those before.
    pub fn ca_certificate(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.ca_certificates.push(pem.as_ref().to_vec());
        self
    }

    /// Where payments are written down; in memory unless set. A cap over time needs a store that outlives the process: with
    /// [`SpendPolicy::per_process_only`] leave it out. Only for a server on this machine may it then be one in memory.
    pub fn store(mut self, store: Store) -> Self {
        self.store = Some(store);
        self
    }

    /// What may be spent. Without it nothing is.
    pub fn spend_policy(mut self, policy: SpendPolicy) -> Self {
        self.policy = Some(policy);
        self
    }

    /// Who tops up the wallet when it does not cover a route: a [`TopUpService`](crate::TopUpService), a closure, or any other
    /// [`Payer`]. It needs a [`spend_policy`](Self::spend_policy). Where a 402 offers several ways to pay, the one that was set
    /// first on this builder is taken.
    pub fn wallet_payer(mut self, payer: impl Payer) -> Self {
        self.payer = Some(Arc::new(payer));
        self.first_rail.get_or_insert(Rail::Wallet);
        self
    }

    /// How long the payer may take for one top-up; 30 s unless set. Then the payment is unknown.
    pub fn payer_timeout(mut self, limit: Duration) -> Self {
        self.payer_timeout = Some(limit);
        self
    }

    /// What must be left of a call's time for it to begin a payment; 5 s unless set.
    pub fn payment_headroom(mut self, least: Duration) -> Self {
        self.payment_headroom = Some(least);
        self
    }

    /// How many reports may wait in memory before handing one over is [`Error::QueueFull`]; 8,192 unless set.
    pub fn report_queue(mut self, reports: usize) -> Self {
        self.reports.queue = reports;
        self
    }

    /// How many reports the outbox holds at most; 1,000,000 in a file and 10,000 in memory unless set. Delivered ones, which are
    /// remembered for a day, make room first.
    pub fn outbox_limit(mut self, reports: u64) -> Self {
        self.reports.outbox = Some(reports);
        self
    }

    /// How many reports are under way at once, and so how many connections they take; 4 unless set.
    pub fn reports_in_flight(mut self, reports: usize) -> Self {
        self.reports.in_flight = reports;
        self
    }

    /// Whether reports are delivered in the background, as is done unless set to `false`: then only
    /// [`Outbox::flush`](crate::Outbox::flush) delivers. For a process that hands over and ends.
    pub fn deliver_in_background(mut self, deliver: bool) -> Self {
        self.reports.in_background = deliver;
        self
    }

    /// Who is told what happens: each step of a payment, a cap that is reached, a report that is given up. It must not block.
    pub fn on_event(mut self, observe: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.observer = Observer::new(observe);
        self
    }

    /// Makes a client for a dry run: it answers [`Client::plan`] and sends nothing. What an earlier process left open is not
    /// looked after, no report is delivered, and every call is [`Error::Config`].
    pub fn plans_only(mut self) -> Self {
        self.plans_only = true;
        self
    }

    /// Checks the settings and makes the client. Nothing is sent, but for two things: where a payer is set and the store has
    /// a payment of this wallet that an earlier process left open, it is looked after in the background; and reports that
    /// an earlier process with the same key left in a store in a file are delivered there.
    ///
    /// With [`PrincipalPolicy::Require`], know that a server of release 3.1.12 says nothing about principals: every
    /// route there ends in [`Error::PrincipalNotBound`].
    ///
    /// # Errors
    /// [`Error::Config`] with the first setting that cannot be right.
    pub fn build(self) -> Result<Client, Error> {
        let key = match self.api_key {
            Some(key) => Some(ApiKey::new(std::mem::take(&mut *key.map_err(Error::Config)?))?),
            None => None,
        };
        let base_url = self.base_url.transpose().map_err(Error::Config)?;
        let base = BaseUrl::parse(base_url.as_deref().unwrap_or(base_url::DEFAULT))?;
        let mut options = self.options;
        options.timeout = match self.timeout {
            Some(limit) => limit.map_err(Error::Config)?,
            None if self.payer.is_some() || self.open.is_some() => WITH_PAYER,
            None => options.timeout,
        };
        let mut extra = self.ca_bundle.as_deref().map(read_certificates).transpose()?.unwrap_or_default();
        for pem in &self.ca_certificates {
            extra.extend(tls::certificates(pem, "the CA certificate given to the builder")?);
        }
        // The system's certificates take longer to read than a call to this machine takes.
        let tls = if base.is_https() { tls::system_trust(extra)? } else { tls::no_trust()? };
        let transport = Transport::new(Settings {
            authorization: key.as_ref().map(ApiKey::authorization),
            signup_token: None,
            base,
            tls,
            connect_timeout: self.connect_timeout.unwrap_or(Duration::from_secs(5)),
        })?;
        let exchange = Exchange::new(transport, key.as_ref().map(ApiKey::kind));
        let is_here = exchange.transport().base().is_loopback();
        let store = store(self.store, self.policy.as_ref(), is_here)?;
        if let Some(payer) = &self.payer {
            check_payer(&**payer)?;
        }
        if store.is_new() && self.policy.is_some() {
            let path = store.path().unwrap_or_default().to_string_lossy().into_owned();
            self.observer.tell(Event::StoreCreated { path });
        }
        let key_hash = key.as_ref().map(ApiKey::hash).unwrap_or_default().to_owned();
        let reports_of = key_hash.clone();
        let policy = self.policy.clone().map(Arc::new);
        let payers = match (self.payer.is_some() || self.open.is_some(), self.policy) {
            (false, _) => None,
            (true, None) => {
                return Err(Error::config(
                    "a payer needs a spend policy that says how much it may spend; set one",
                ));
            }
            (true, Some(policy)) => {
                let ledger = Ledger::new(store.clone(), Clock::System);
                let paying = watch::Sender::new(0);
                let limit = self.payer_timeout.unwrap_or(Duration::from_secs(30));
                let base_url = exchange.transport().base().as_str().to_owned();
                let wallet = match self.payer {
                    Some(payer) => Some(Coordinator::new(Setup {
                        wallet: WalletId { base_url, key_hash: key_hash.clone() },
                        policy: policy.clone(),
                        payer,
                        limits: Limits {
                            payer: limit,
                            headroom: self.payment_headroom.unwrap_or(Duration::from_secs(5)),
                        },
                        ledger: ledger.clone(),
                        look: Box::new(BillingStatusLook {
                            exchange: exchange.apart()?,
                            options: options.clone(),
                        }),
                        observer: self.observer.clone(),
                        spawner: Spawner::Background,
                        paying: paying.clone(),
                    })),
                    None => None,
                };
                let open = match self.open {
                    Some(open) => Some(open(OpenSetup {
                        transport: exchange.transport().apart()?,
                        key_hash,
                        policy,
                        ledger: ledger.clone(),
                        observer: self.observer.clone(),
                        paying: paying.clone(),
                        limit,
                    })?),
                    None => None,
                };
                let first = self.first_rail.unwrap_or(Rail::Wallet);
                let process = std::process::id();
                Some(Arc::new(Payers { wallet, open, first, ledger, paying, process }))
            }
        };
        let sender = Sender {
            base_url: exchange.transport().base().as_str().to_owned(),
            principal: principal_of(&reports_of),
        };
        let reporter = Reporter::new(
            sender,
            store.clone(),
            exchange.clone(),
            options.clone(),
            self.observer.clone(),
            self.reports,
        );
        // Nothing is left that could refuse this client.
        if self.plans_only {
            reporter.shut();
        } else {
            if let Some(wallet) = payers.as_ref().and_then(|payers| payers.wallet.as_ref()) {
                wallet.recover();
            }
            reporter.recover();
        }
        Ok(Client {
            exchange,
            options,
            has_warned: Arc::default(),
            is_closed: Arc::new(AtomicBool::new(self.plans_only)),
            observer: self.observer,
            store,
            payers,
            policy,
            reporter,
        })
    }
}

/// The default limit of a call that may wait for a payment.
const WITH_PAYER: Duration = Duration::from_secs(60);

/// Where payments are written down, if the policy agrees. `is_here`: the server is on this machine.
fn store(given: Option<Store>, policy: Option<&SpendPolicy>, is_here: bool) -> Result<Store, Error> {
    let Some(policy) = policy else { return Ok(given.unwrap_or_else(Store::in_memory)) };
    policy.check()?;
    match given {
        Some(store) if store.is_durable() => Ok(store),
        // A sandbox may be played with in any number of ledgers.
        Some(store) if policy.is_per_process_only() && is_here => Ok(store),
        Some(_) if policy.is_per_process_only() => Err(Error::config(
            "each store in memory would have caps of its own; leave `store` out, so that all clients of this process share one \
             (`per_process_only()`), or set one in a file",
        )),
        None if policy.is_per_process_only() => Ok(Store::of_process()),
        _ => Err(Error::config(
            "the spend policy's daily cap needs a store that outlives this process; set one with `store`, or say \
             `per_process_only()`",
        )),
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A base URL may have been given with a password in it.
        f.debug_struct("ClientBuilder")
            .field("options", &self.options)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

fn read_certificates(file: &Path) -> Result<Vec<rustls::pki_types::CertificateDer<'static>>, Error> {
    let origin = format!("the CA bundle `{}`", crate::text::one_line(&file.to_string_lossy(), 200));
    let pem = std::fs::read(file).map_err(|error| {
        Error::config(format!("{origin} cannot be read: {error}; check {} or the builder", env::CA_BUNDLE))
    })?;
    tls::certificates(&pem, &origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(variables: &[(&str, &str)]) -> ClientBuilder {
        let find = |name: &str| variables.iter().find(|(known, _)| *known == name);
        ClientBuilder::from_lookup(&|name| find(name).map(|(_, value)| value.into()))
    }

    #[test]
    fn every_variable_is_read_and_an_empty_one_counts_as_not_set() {
        let client = from(&[
            ("AMPLY_API_KEY", "amply_sk_Ab3_-xYzAb3_-xYzAb3_-xYzAb3_-xYz"),
            ("AMPLY_BASE_URL", "http://127.0.0.1:9"),
            ("AMPLY_TIMEOUT", "1.5"),
            ("AMPLY_CA_BUNDLE", ""),
        ])
        .build()
        .unwrap();
        assert_eq!(client.base_url(), "http://127.0.0.1:9/api/v1");
        assert_eq!(client.key_kind(), Some(crate::KeyKind::User));
        assert_eq!(client.options.timeout, Duration::from_millis(1500));

        let bare =
            from(&[("AMPLY_API_KEY", ""), ("AMPLY_BASE_URL", "http://[::1]:9"), ("AMPLY_TIMEOUT", "")]);
        let client = bare.build().unwrap();
        assert_eq!((client.key_kind(), client.options.timeout), (None, Duration::from_secs(30)));
    }

    #[test]
    fn what_is_set_in_code_replaces_a_broken_variable() {
        let broken = || from(&[("AMPLY_BASE_URL", "nonsense"), ("AMPLY_TIMEOUT", "soon")]);
        let error = broken().base_url("http://127.0.0.1:9").build().unwrap_err().to_string();
        assert!(error.starts_with("AMPLY_TIMEOUT: `soon` is not a time limit"), "{error}");
        assert!(broken().base_url("http://127.0.0.1:9").timeout(Duration::from_secs(1)).build().is_ok());
    }

    #[test]
    fn a_bundle_that_cannot_be_used_is_named() {
        let build = |file: &str| Client::builder().base_url("https://host").ca_bundle(file).build();
        let error = build("/no/such/file.pem").unwrap_err().to_string();
        assert!(error.contains("`/no/such/file.pem` cannot be read"), "{error}");
        let error = build(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap_err().to_string();
        assert!(error.contains("holds no certificate"), "{error}");
    }

    #[test]
    fn a_payer_that_may_be_asked_twice_says_who_it_is() {
        struct Nameless(&'static str);
        impl Payer for Nameless {
            fn top_up<'a>(&'a self, request: &'a crate::TopUpRequest) -> crate::TopUpFuture<'a> {
                panic!("asked for {request:?}")
            }

            fn idempotent_for(&self) -> Option<Duration> {
                Some(Duration::from_secs(60))
            }

            fn identity(&self) -> Option<String> {
                Some(self.0.to_owned())
            }
        }
        let policy = SpendPolicy::default().per_day(crate::Usd::dollars(1)).per_process_only();
        let build = |name| {
            let builder = Client::builder().base_url("http://127.0.0.1:9").spend_policy(policy.clone());
            builder.wallet_payer(Nameless(name)).build()
        };
        let error = build("").unwrap_err().to_string();
        assert!(error.contains("add `identity`"), "{error}");
        assert!(build("my service").is_ok());
    }

    #[test]
    fn a_process_has_one_ledger_in_memory_unless_it_plays_with_a_server_on_its_own_machine() {
        let build = |url: &str, store: Option<Store>| {
            let policy = SpendPolicy::default().per_day(crate::Usd::dollars(1)).per_process_only();
            let builder = Client::builder().base_url(url).spend_policy(policy);
            let builder = builder.wallet_payer(|_| std::future::pending());
            match store {
                Some(store) => builder.store(store).build(),
                None => builder.build(),
            }
        };
        let error = build("https://api.example", Some(Store::in_memory())).unwrap_err().to_string();
        assert!(error.contains("leave `store` out"), "{error}");
        assert!(build("https://api.example", None).is_ok());
        assert!(build("http://127.0.0.1:9", Some(Store::in_memory())).is_ok());
    }

    #[test]
    fn debug_output_shows_neither_key_nor_address() {
        let builder = Client::builder().api_key("hidden").base_url("https://u:hidden@host");
        assert!(!format!("{builder:?}").contains("hidden"));
    }
}
