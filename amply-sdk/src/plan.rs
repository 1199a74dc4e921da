//! What a call would do, without doing it: what would be sent, who would pay, and what the caps leave. Nothing is sent; the
//! books are asked, and nobody else.

use http::header::{AUTHORIZATION, HeaderMap};
use indexmap::IndexMap;
use serde::Serialize;

use crate::call::encode;
use crate::client::Client;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::exchange::Request;
use crate::key::KeyKind;
use crate::money::Usd;
use crate::payment::{Cap, Outlook, Payers, Rail, SpendPolicy};
use crate::principal::PrincipalPolicy;
use crate::secret::Concealed;
use crate::wire::{RawJson, RouteRequest};

/// What a route would send and who would pay for it, from [`Client::plan`]. No secret is in it. As JSON: the same names,
/// amounts as text in USD.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Plan {
    /// Whether the call would be sent at all.
    pub would_be_sent: bool,
    /// Why it would be refused before it is sent, and what to do; `None` where it would be sent.
    pub refusal: Option<String>,
    /// The HTTP method.
    pub method: String,
    /// Where it would go.
    pub url: String,
    /// Its headers, without the secret. `idempotency-key` is among them where it is the caller's own; else each call has a new
    /// one.
    pub headers: IndexMap<String, String>,
    /// The body, byte for byte.
    pub body: RawJson,
    /// What the form of the key says; `None` without a key.
    pub key_kind: Option<KeyKind>,
    /// What the policy on principals makes of it.
    pub principal: PlannedPrincipal,
    /// Who would pay, and what the caps leave.
    pub payment: PlannedPayment,
    /// The limit for the call, retries and waits included, in seconds.
    pub timeout_s: f64,
    /// The limit for one HTTP request of it, in seconds.
    pub attempt_timeout_s: f64,
    /// When it would be sent again.
    pub retry: PlannedRetry,
}

/// What the policy on principals makes of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PlannedPrincipal {
    /// The policy.
    pub policy: PrincipalPolicy,
    /// What it comes to with this key, in words.
    pub consequence: String,
}

/// Who would pay for a call that the wallet does not cover.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PlannedPayment {
    /// Whether anybody would: there is a payer or a signer that can, and nothing keeps it from paying now.
    pub would_pay: bool,
    /// Who can, the one that goes first where a 402 offers several ways before the others.
    pub rails: Vec<PlannedRail>,
    /// What the caps leave; empty where nobody can pay.
    pub caps: Vec<PlannedCap>,
    /// Why nothing at all is paid now; `None` where nothing keeps payments from being made.
    pub blocked: Option<String>,
    /// The payment that this wallet waits for: nobody tops it up before it is known what became of it. Only payments that were
    /// begun with this key are looked at: whose wallet it is, and so what others have begun for it, the server would have to say.
    pub open_payment_id: Option<String>,
}

/// One way to pay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PlannedRail {
    /// Which.
    pub rail: Rail,
    /// Who pays, for people: the payer's name, or the address that signs.
    pub payer: String,
    /// The networks that are paid on, the preferred one first; empty for top-ups.
    pub networks: Vec<String>,
    /// Why it cannot pay for this call; `None` where it can.
    pub obstacle: Option<String>,
}

/// A cap, and what is left of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PlannedCap {
    /// Which.
    pub cap: Cap,
    /// The cap, in USD.
    pub limit_usd: Usd,
    /// What of it is used up, in USD: by the payments of this store today. `None` where that cannot be known now.
    pub used_usd: Option<Usd>,
    /// What is left, in USD. `None` where that cannot be known now.
    pub left_usd: Option<Usd>,
}

/// When a call is sent again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PlannedRetry {
    /// How many HTTP requests it takes at most.
    pub max_attempts: u32,
    /// Whether it is sent again too when the server may have seen it, so that it may be charged twice.
    pub repeat_ambiguous: bool,
}

impl Client {
    /// What [`route_task`](Self::route_task) with this request would send and who would pay for it. Nothing is sent, and no
    /// payer is asked; what the caps leave comes from the ledger. There a payment whose process has died is noted as what is known
    /// of it, as whenever the ledger is looked at.
    ///
    /// # Errors
    /// [`Error::Invalid`] as `route_task`. A store that cannot be read is no error here: the plan says that nothing would be
    /// paid, and why.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let (url, key) = ("http://127.0.0.1:9", "amply_sk_Ab3_-xYzAb3_-xYzAb3_-xYzAb3_-xYz");
    /// use amply_sdk::{Client, RouteRequest};
    ///
    /// let client = Client::builder().base_url(url).api_key(key).build()?;
    /// let plan = client.plan(&RouteRequest::new("store 1M vectors").dimension(1536)).await?;
    /// assert!(plan.would_be_sent && !plan.payment.would_pay);
    /// assert_eq!(plan.url, "http://127.0.0.1:9/api/v1/route");
    /// assert_eq!(plan.body.text(), r#"{"task":"store 1M vectors","dimension":1536}"#);
    /// assert_eq!(plan.headers["authorization"], "Bearer [not shown]");
    /// # Ok(()) }
    /// ```
    pub async fn plan(&self, request: &RouteRequest) -> Result<Plan, Error> {
        request.validate()?;
        let body = encode(request)?;
        let own_key = request.own_idempotency_key().map(str::to_owned);
        let has_own_key = own_key.is_some();
        let Endpoint { method, path, repeat, stake } = Endpoint::ROUTE;
        let url = self.exchange.transport().base().join(path)?;
        let call = Request {
            method,
            url,
            body: Some(body.clone()),
            repeat,
            stake,
            idempotency_key: own_key,
            concealed: Concealed::default(),
        };
        let http = self.exchange.begin(call, &self.options).request();
        let refusal = self.refusal_for_want_of_a_principal();
        let options = &self.options;
        Ok(Plan {
            would_be_sent: refusal.is_none(),
            refusal: refusal.map(|error| error.to_string()),
            method: http.method.to_string(),
            url: http.url.to_string(),
            headers: shown(&self.exchange.transport().headers(&http), has_own_key),
            body: RawJson::written(body),
            key_kind: self.key_kind(),
            principal: self.planned_principal(),
            payment: self.planned_payment().await,
            timeout_s: options.timeout.as_secs_f64(),
            attempt_timeout_s: options.attempt_timeout.as_secs_f64(),
            retry: PlannedRetry {
                max_attempts: options.retry.attempts(),
                repeat_ambiguous: options.retry.repeats_ambiguous(),
            },
        })
    }

    fn planned_principal(&self) -> PlannedPrincipal {
        let policy = self.options.principal;
        let consequence = match (policy, self.key_kind()) {
            (PrincipalPolicy::Require, Some(KeyKind::User)) => {
                "an answer that does not say that it is bound to a principal would be an error"
            }
            (PrincipalPolicy::Require, _) => "refused before it is sent: the key is bound to no principal",
            (_, None) => "it would count for no wallet and no history: there is no key",
            (PrincipalPolicy::Ignore, Some(KeyKind::Server)) => {
                "it would count for no wallet and no history: the key is bound to no principal"
            }
            (_, Some(KeyKind::Server)) => {
                "a warning: it would count for no wallet and no history, as the key is bound to no principal"
            }
            (PrincipalPolicy::Ignore, _) => "whether the answer is bound to a principal is not looked at",
            (_, Some(KeyKind::User)) => "a warning where the answer says that it is bound to no principal",
        };
        PlannedPrincipal { policy, consequence: consequence.to_owned() }
    }

    async fn planned_payment(&self) -> PlannedPayment {
        let (Some(payers), Some(policy)) = (&self.payers, &self.policy) else {
            return PlannedPayment {
                would_pay: false,
                rails: Vec::new(),
                caps: Vec::new(),
                blocked: None,
                open_payment_id: None,
            };
        };
        let outlook = match payers.check_process() {
            Ok(()) => {
                let wallet = payers.wallet.as_ref().map(|coordinator| coordinator.wallet().clone());
                payers.ledger.outlook(wallet).await
            }
            Err(error) => Err(error),
        };
        let (blocked, spent, open) = match outlook {
            Ok(Outlook { blocked, spent, open }) => (blocked, Some(spent), open),
            Err(error) => (Some(error.message()), None, None),
        };
        let open_payment_id = open.map(|payment| payment.id);
        let caps = planned_caps(policy, spent);
        let rails = self.planned_rails(payers, open_payment_id.as_deref(), &caps);
        PlannedPayment {
            would_pay: blocked.is_none() && rails.iter().any(|rail| rail.obstacle.is_none()),
            rails,
            caps,
            blocked,
            open_payment_id,
        }
    }

    fn planned_rails(
        &self,
        payers: &Payers,
        open_payment_id: Option<&str>,
        caps: &[PlannedCap],
    ) -> Vec<PlannedRail> {
        // Of one request and one top-up nothing is used up before it is made; the day's cap holds for each way to pay.
        let used_up = caps.iter().find(|cap| cap.left_usd == Some(Usd::ZERO));
        let used_up = used_up.map(|cap| format!("nothing is left of the {}", cap.cap));
        let wallet = payers.wallet.as_ref().map(|coordinator| PlannedRail {
            rail: Rail::Wallet,
            payer: coordinator.payer_name(),
            networks: Vec::new(),
            obstacle: match (self.key_kind(), open_payment_id) {
                (Some(KeyKind::User), None) => used_up.clone(),
                (Some(KeyKind::User), Some(id)) => {
                    Some(format!("the payment {id} is open, and nobody tops up this wallet before it is not"))
                }
                _ => Some("the key belongs to no wallet".to_owned()),
            },
        });
        let open = payers.open.as_ref().map(|rail| {
            let (payer, networks) = rail.payer();
            PlannedRail { rail: Rail::X402, payer, networks, obstacle: used_up }
        });
        let mut rails: Vec<PlannedRail> = wallet.into_iter().chain(open).collect();
        rails.sort_by_key(|rail| rail.rail != payers.first);
        rails
    }
}

fn planned_caps(policy: &SpendPolicy, spent: Option<Usd>) -> Vec<PlannedCap> {
    let cap = |over: crate::payment::Over| {
        // Of one request and one top-up nothing is used before it is made.
        let used_usd = if over.cap == Cap::PerDay { spent } else { Some(Usd::ZERO) };
        PlannedCap { cap: over.cap, limit_usd: over.limit, left_usd: used_usd.map(|_| over.left), used_usd }
    };
    policy.outlook(spent.unwrap_or_default()).into_iter().map(cap).collect()
}

/// Headers for a person.
fn shown(headers: &HeaderMap, has_own_key: bool) -> IndexMap<String, String> {
    let mut shown = IndexMap::new();
    for (name, value) in headers {
        let value = match name {
            name if *name == AUTHORIZATION => "Bearer [not shown]".to_owned(),
            name if name.as_str() == "idempotency-key" && !has_own_key => continue,
            _ => String::from_utf8_lossy(value.as_bytes()).into_owned(),
        };
        shown.insert(name.as_str().to_owned(), value);
    }
    shown.sort_unstable_keys();
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payment::SpendPolicy;
    use crate::store::Store;

    const KEY: &str = "amply_sk_Ab3_-xYzAb3_-xYzAb3_-xYzAb3_-xYz";

    fn usd(text: &str) -> Usd {
        text.parse().unwrap()
    }

    /// Nobody listens there.
    fn builder() -> crate::ClientBuilder {
        Client::builder().base_url("http://127.0.0.1:9").plans_only()
    }

    async fn plan(client: &Client) -> Plan {
        client.plan(&RouteRequest::new("x")).await.unwrap()
    }

    #[tokio::test]
    async fn what_would_be_refused_before_it_is_sent_says_so_and_what_cannot_be_right_is_an_error() {
        for (key, policy, is_sent, says) in [
            (Some(KEY), PrincipalPolicy::Require, true, "would be an error"),
            (Some("server"), PrincipalPolicy::Require, false, "refused before it is sent"),
            (None, PrincipalPolicy::Require, false, "refused before it is sent"),
            (Some("server"), PrincipalPolicy::Warn, true, "a warning: it would count for no wallet"),
            (None, PrincipalPolicy::Warn, true, "there is no key"),
        ] {
            let mut builder = builder().principal_policy(policy);
            if let Some(key) = key {
                builder = builder.api_key(key);
            }
            let client = builder.build().unwrap();
            let plan = plan(&client).await;
            assert_eq!((plan.would_be_sent, plan.refusal.is_none()), (is_sent, is_sent), "{plan:?}");
            assert!(plan.principal.consequence.contains(says), "{plan:?}");
            assert!(!format!("{plan:?}{}", serde_json::to_string(&plan).unwrap()).contains("xYzAb3"));
            assert_eq!(client.plan(&RouteRequest::new(" ")).await.unwrap_err().code(), "invalid_request");
            let code = if is_sent { "config" } else { "principal_not_bound" };
            assert_eq!(client.route_task("x").await.unwrap_err().code(), code);
        }
    }

    #[tokio::test]
    async fn the_key_of_a_call_is_shown_where_it_is_the_callers_own() {
        let client = builder().api_key(KEY).build().unwrap();
        assert!(!plan(&client).await.headers.contains_key("idempotency-key"));
        let request = RouteRequest::new("x").idempotency_key("job-7");
        assert_eq!(client.plan(&request).await.unwrap().headers["idempotency-key"], "job-7");
    }

    #[tokio::test]
    async fn what_the_caps_leave_comes_from_the_ledger_and_an_open_payment_holds_the_wallet() {
        let store = Store::in_memory();
        let policy =
            SpendPolicy::per_topup(usd("2")).per_request(usd("1")).per_day(usd("5")).per_process_only();
        let client = || {
            let builder = builder().api_key(KEY).store(store.clone()).spend_policy(policy.clone());
            builder.wallet_payer(|_| std::future::pending()).build().unwrap()
        };
        let caps = |plan: &Plan| -> Vec<(Cap, String, String)> {
            let text = |amount: Option<Usd>| amount.unwrap().to_string();
            plan.payment.caps.iter().map(|cap| (cap.cap, text(cap.used_usd), text(cap.left_usd))).collect()
        };
        let of = |cap, used: &str, left: &str| (cap, used.to_owned(), left.to_owned());
        let before = plan(&client()).await;
        assert!(before.payment.would_pay && before.payment.blocked.is_none());
        assert_eq!(before.payment.rails[0].payer, "a payer of this program");
        assert_eq!(
            caps(&before),
            [of(Cap::PerRequest, "0", "1"), of(Cap::PerTopup, "0", "2"), of(Cap::PerDay, "0", "5")]
        );
        // Another process has a payment of this wallet under way.
        let ledger = crate::payment::Ledger::new(store.clone(), crate::payment::Clock::System);
        let mut wanted = crate::payment::wanted_for_tests(usd("1.25"));
        wanted.wallet = client().payers.as_ref().unwrap().wallet.as_ref().unwrap().wallet().clone();
        ledger.begin(wanted, &policy).await.unwrap();
        let after = plan(&client()).await;
        assert_eq!(caps(&after)[2], of(Cap::PerDay, "1.25", "3.75"));
        assert!(!after.payment.would_pay, "{after:?}");
        let id = after.payment.open_payment_id.as_deref().unwrap();
        assert!(after.payment.rails[0].obstacle.as_ref().is_some_and(|why| why.contains(id)));
    }

    #[tokio::test]
    async fn nobody_would_pay_where_nothing_is_left_of_the_days_cap() {
        let store = Store::in_memory();
        let policy = SpendPolicy::default().per_request(usd("1")).per_day(usd("5")).per_process_only();
        let builder = builder().api_key(KEY).store(store.clone()).spend_policy(policy.clone());
        let builder = builder.wallet_payer(|_| std::future::pending());
        #[cfg(feature = "x402-evm")]
        let builder = builder
            .x402(crate::LocalSigner::from_hex(format!("{:064x}", 7)).unwrap(), [crate::Network::BASE]);
        let client = builder.build().unwrap();
        assert!(plan(&client).await.payment.would_pay);
        let ledger = crate::payment::Ledger::new(store, crate::payment::Clock::System);
        ledger.begin(crate::payment::wanted_for_tests(usd("5")), &policy).await.unwrap();
        let plan = plan(&client).await;
        let obstacles: Vec<_> = plan.payment.rails.iter().map(|rail| rail.obstacle.as_deref()).collect();
        assert!(!plan.payment.would_pay && plan.payment.open_payment_id.is_none(), "{plan:?}");
        assert!(!obstacles.is_empty());
        assert!(
            obstacles.iter().all(|why| why.is_some_and(|why| why.contains("nothing is left of"))),
            "{plan:?}"
        );
    }
}
