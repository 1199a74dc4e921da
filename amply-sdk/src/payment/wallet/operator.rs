//! Top-ups by who holds the admin secret: as a payer, and in advance, without a 402. For operators; an agent asks a service
//! that guards the secret.

use std::fmt;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use zeroize::Zeroizing;

use super::payer::{Payer, TopUp, TopUpFuture, TopUpRequest};
use super::service::Asked;
use crate::base_url::BaseUrl;
use crate::client::Client;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::exchange::later;
use crate::key;
use crate::money::Usd;
use crate::payment::Payment;
use crate::payment::problem::without_a_call;
use crate::text::acts_on_a_terminal;
use crate::tls;
use crate::transport::{Settings, Transport};

/// What the secret is called in an error.
const SECRET: &str = "the admin secret";
/// More characters than any reason needs.
const REASON_AT_MOST: usize = 500;
const PRINCIPAL_AT_MOST: usize = 200;

/// Tops up a wallet by the API itself (`POST /billing/topup`), with the admin secret. Feature `operator`.
///
/// Whoever holds this secret can credit any wallet: give it to no agent, but to a service of yours that agents ask
/// ([`TopUpService`](crate::TopUpService)). It goes to the base URL of the client that this payer is given to, and nowhere else; a
/// redirect to another origin is not followed. Its memory is cleared, and no log, error or `Debug` shows it.
///
/// The closed list of [`TopUpService`](crate::TopUpService) says which answer means what. The API does not promise to heed an
/// idempotency key, so a top-up whose result is not known is never asked for again: a person clears it up. A top-up for which
/// nobody says whose wallet it is is rejected.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let sandbox = amply_sandbox::Sandbox::builder().balance("0").start().await?;
/// # let (url, key, secret) = (sandbox.url(), sandbox.user_key(), sandbox.admin_secret());
/// use amply_sdk::{AdminTopUp, Client, SpendPolicy, TopUpOrder, Usd};
///
/// let client = Client::builder()
///     .base_url(url)
///     .api_key(key)
///     .wallet_payer(AdminTopUp::new(secret)?)
///     .spend_policy(SpendPolicy::per_topup(Usd::dollars(20)).per_day(Usd::dollars(50)).per_process_only())
///     .build()?;
/// let payment = client.top_up(TopUpOrder::new(Usd::dollars(10)).reason("monthly budget")).await?;
/// assert_eq!(payment.receipt.and_then(|receipt| receipt.balance_usd), Some(Usd::dollars(10)));
/// # Ok(()) }
/// ```
pub struct AdminTopUp {
    secret: Zeroizing<String>,
    certificates: Vec<CertificateDer<'static>>,
}

impl AdminTopUp {
    /// A payer that holds the admin secret.
    ///
    /// # Errors
    /// [`Error::Config`] when it is empty or cannot be sent; it is not shown.
    pub fn new(secret: impl Into<String>) -> Result<Self, Error> {
        let secret = Zeroizing::new(secret.into());
        key::bearer(secret.clone(), SECRET)?;
        Ok(Self { secret, certificates: Vec::new() })
    }

    /// Certificates to trust besides those of the system, as the text of a PEM file: those that the client was given, too.
    ///
    /// # Errors
    /// [`Error::Config`] when there is none in it.
    pub fn ca_certificate(mut self, pem: impl AsRef<[u8]>) -> Result<Self, Error> {
        self.certificates
            .extend(tls::certificates(pem.as_ref(), "the CA certificate of the admin's top-ups")?);
        Ok(self)
    }

    async fn ask(&self, request: &TopUpRequest) -> TopUp {
        if request.principal_id.is_none() {
            return TopUp::Rejected(
                "the server does not say whose wallet it is, so nothing was asked".to_owned(),
            );
        }
        // Whose base URL it is was said by the client's configuration, never by a server.
        let reached = self.transport(&request.base_url).and_then(|transport| {
            let url = transport.base().join(Endpoint::BILLING_TOPUP.path)?;
            Ok((transport, url))
        });
        match reached {
            Ok((transport, url)) => {
                Asked { who: "the API", transport: &transport, url, secret: Some(&self.secret) }
                    .ask(request)
                    .await
            }
            Err(error) => TopUp::Rejected(error.message()),
        }
    }

    fn transport(&self, base_url: &str) -> Result<Transport, Error> {
        let base = BaseUrl::parse(base_url)?;
        let tls =
            if base.is_https() { tls::system_trust(self.certificates.clone())? } else { tls::no_trust()? };
        let authorization = Some(key::bearer(self.secret.clone(), SECRET)?);
        let connect_timeout = Duration::from_secs(5);
        Transport::new(Settings { base, authorization, signup_token: None, tls, connect_timeout })
    }
}

impl Payer for AdminTopUp {
    fn top_up<'a>(&'a self, request: &'a TopUpRequest) -> TopUpFuture<'a> {
        Box::pin(self.ask(request))
    }

    fn name(&self) -> String {
        "the API itself, with the admin secret".to_owned()
    }
}

impl fmt::Debug for AdminTopUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminTopUp").finish_non_exhaustive()
    }
}

/// A top-up that is wanted without a 402, for [`Client::top_up`]. Feature `operator`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct TopUpOrder {
    pub(super) amount: Usd,
    pub(super) principal_id: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) idempotency_key: Option<String>,
}

impl TopUpOrder {
    /// A top-up by exactly this much, in whole cents.
    pub fn new(amount: impl Into<Usd>) -> Self {
        Self { amount: amount.into(), principal_id: None, reason: None, idempotency_key: None }
    }

    /// Whose wallet; by default that of the client's own key, by the server's billing status.
    pub fn principal_id(mut self, id: impl Into<String>) -> Self {
        self.principal_id = Some(id.into());
        self
    }

    /// What it is for, in words: for the API's own records, and the ledger.
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// The caller's own key for this top-up, 1 to 255 visible ASCII characters. A top-up that was made under it is not made
    /// again: its payment is the answer to the same order. For another amount, wallet or server the key is refused.
    ///
    /// The store sees to that. From another store the same order is sent under the same key, made of base URL, principal, amount
    /// and this one; only a payer that heeds it pays once then, and the API does not promise to.
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.idempotency_key = Some(key.into());
        self
    }

    /// Refuses what cannot be meant. [`Client::top_up`] does this before anything else.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the first field that is wrong.
    pub fn validate(&self) -> Result<(), Error> {
        let amount = self.amount;
        if !amount.is_positive() {
            return Err(Error::invalid(
                "amount_usd",
                format!("amount_usd is {amount} USD; it must be above 0"),
            ));
        }
        if amount.up_to_a_cent() != amount {
            return Err(Error::invalid(
                "amount_usd",
                format!("amount_usd is {amount} USD; a top-up is in whole cents, such as 10 or 0.05"),
            ));
        }
        if amount.to_nano_up().is_none() {
            return Err(Error::invalid(
                "amount_usd",
                format!("amount_usd is {amount} USD, which no ledger can hold"),
            ));
        }
        check_words("principal_id", self.principal_id.as_deref(), PRINCIPAL_AT_MOST)?;
        check_words("reason", self.reason.as_deref(), REASON_AT_MOST)?;
        self.idempotency_key.as_deref().map_or(Ok(()), crate::wire::check_key)
    }
}

fn check_words(field: &'static str, words: Option<&str>, most: usize) -> Result<(), Error> {
    let refuse = |why: String| Err(Error::invalid(field, format!("{field} {why}")));
    match words {
        None => Ok(()),
        Some(words) if words.trim().is_empty() => refuse("is empty; leave it out".to_owned()),
        Some(words) if words.chars().count() > most => refuse(format!("is longer than {most} characters")),
        Some(words) if words.chars().any(acts_on_a_terminal) => {
            refuse("holds a line break or another control character; write it on one line".to_owned())
        }
        Some(_) => Ok(()),
    }
}

impl Client {
    /// Has the wallet topped up now, without a 402, by the client's [`wallet_payer`](crate::ClientBuilder::wallet_payer) and
    /// within its policy. Feature `operator`.
    ///
    /// It is a payment like any other: in the ledger before the payer is asked, counted by the caps, one at a time for a wallet,
    /// and never asked for again when its result is not known. Dropping the call ends the waiting, never the payment.
    ///
    /// The payment that is returned was made. It is [`SettledNotApplied`](crate::PaymentState::SettledNotApplied) where the
    /// wallet did not show it within a few seconds.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an order that cannot be meant, and where nobody says whose wallet it is; [`Error::Config`] without a
    /// payer; [`Error::SpendLimit`] when a cap forbids it; [`Error::PaymentFailed`] when the payer said no;
    /// [`Error::PaymentUnknown`] when money may have moved, and while another payment of this wallet is open;
    /// [`Error::PaymentNotApplied`] where its idempotency key led another payment, which was made;
    /// [`Error::PaymentRefused`] when the billing status cannot be had; [`Error::Store`]. The example is at [`AdminTopUp`].
    pub async fn top_up(&self, order: TopUpOrder) -> Result<Payment, Error> {
        order.validate()?;
        self.check_open()?;
        let payers = self.payers.as_ref().filter(|payers| payers.wallet.is_some());
        let Some((payers, coordinator)) = payers.and_then(|payers| Some((payers, payers.wallet.as_ref()?)))
        else {
            return Err(Error::config("nobody tops up the wallet; set `wallet_payer` and `spend_policy`"));
        };
        payers.check_process()?;
        let deadline = later(tokio::time::Instant::now(), self.options.timeout);
        coordinator.top_up(order, self.key_kind(), deadline).await.map_err(|unfilled| {
            let request = format!(
                "{} {}{}",
                Endpoint::BILLING_TOPUP.method,
                self.base_url(),
                Endpoint::BILLING_TOPUP.path
            );
            without_a_call(unfilled, request, payers.ledger.now_ms())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd(text: &str) -> Usd {
        text.parse().unwrap()
    }

    #[test]
    fn an_order_that_cannot_be_meant_is_refused_with_what_to_do() {
        let order = || TopUpOrder::new(usd("1"));
        for (order, says) in [
            (TopUpOrder::new(usd("0")), "amount_usd is 0 USD; it must be above 0"),
            (TopUpOrder::new(usd("-1")), "amount_usd is -1 USD; it must be above 0"),
            (TopUpOrder::new(usd("0.001")), "amount_usd is 0.001 USD; a top-up is in whole cents"),
            (TopUpOrder::new(usd("10000000000")), "which no ledger can hold"),
            (order().principal_id(" "), "principal_id is empty"),
            (order().principal_id("a\nb"), "principal_id holds a line break"),
            (order().reason("x".repeat(501)), "reason is longer than 500"),
            (order().idempotency_key("a b"), "idempotency_key holds a character"),
        ] {
            let error = order.validate().unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
        assert!(order().principal_id("prn_1").reason("budget for März").validate().is_ok());
    }

    #[test]
    fn the_secret_is_in_no_debug_output_and_no_error() {
        let payer = AdminTopUp::new("hidden-secret").unwrap();
        assert!(!format!("{payer:?} {}", payer.name()).contains("hidden"));
        let error = AdminTopUp::new("hid den").unwrap_err().to_string();
        assert!(error.contains("the admin secret holds a character") && !error.contains("hid"), "{error}");
        assert!(payer.ca_certificate("no certificate").unwrap_err().to_string().contains("certificate"));
    }

    #[tokio::test]
    async fn what_would_send_the_secret_unencrypted_or_to_nobodys_wallet_is_rejected_without_a_question() {
        let payer = AdminTopUp::new("hidden-secret").unwrap();
        let request = |base_url: &str, principal_id: Option<&str>| TopUpRequest {
            amount_usd: usd("1"),
            principal_id: principal_id.map(str::to_owned),
            idempotency_key: "k".to_owned(),
            reason: "r".to_owned(),
            base_url: base_url.to_owned(),
            suggested_usd: None,
        };
        for (request, says) in [
            (request("http://127.0.0.1:9", None), "whose wallet"),
            (request("http://example.com", Some("prn")), "unencrypted"),
        ] {
            let TopUp::Rejected(why) = payer.ask(&request).await else { panic!("asked") };
            assert!(why.contains(says), "{why}");
        }
    }
}
