//! How a call is paid for on the open rail: write down, sign, send once, and write down what came of it. It runs in a task
//! of its own from the first to the last, so that a call that ends takes no payment with it.
//!
//! A call has one nonce, ever. What was signed is kept in memory only.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderValue};
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use super::answer::{Asked, Caller, Came, Class, Receipt, Resend, Sent, Verdict};
use super::network::{Asset, Network};
use super::offer::{NoOffer, OfferRefusal, OfferSet, TIMEOUT_SECONDS, Terms};
use super::payment::{Authorization, new_nonce};
use super::signer::{Signer, sign};
use crate::base_url::BaseUrl;
use crate::client::ClientBuilder;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::event::{Event, Observer};
use crate::money::Usd;
use crate::payment::challenge::{PaymentChallenge, Refusal};
use crate::payment::crew::{Broken, Crew};
use crate::payment::ledger::{BegunOpen, EndedOpen, Ledger, OpenTerms, Over, WantedOpen};
use crate::payment::open::{OpenEnd, OpenRail, OpenSetup, Order, Running};
use crate::payment::policy::{Cap, SpendPolicy};
use crate::payment::record::{OpenPayment, PaidAnswer, Payment, PaymentState, Rail};
use crate::payment::running::{Counted, Spawner, Stage, hold};
use crate::transport::{Fault, HttpAnswer, HttpRequest, Transport};
use crate::wire::{Fields, text_of};

/// How long a request that carries a payment is read for.
const TO_ITS_END: Duration = Duration::from_secs(60);
/// How many signatures are asked for at once. Others wait, within the signer's limit.
pub(crate) const SIGNATURES: usize = 16;
/// For the task that reads it, which has a limit of its own.
const AND_A_LITTLE: Duration = Duration::from_secs(1);

/// What is decided once for all payments of a client.
pub(crate) struct Setup {
    pub(crate) base: BaseUrl,
    pub(crate) key_hash: String,
    pub(crate) signer: Arc<dyn Signer>,
    pub(crate) networks: Vec<Network>,
    pub(crate) policy: SpendPolicy,
    pub(crate) ledger: Ledger,
    pub(crate) observer: Observer,
    pub(crate) spawner: Spawner,
    pub(crate) send: Box<dyn SendPaid>,
    pub(crate) paying: watch::Sender<usize>,
    pub(crate) signers: Crew,
    /// For the signer.
    pub(crate) limit: Duration,
}

/// How a request that carries a payment is sent: once.
pub(crate) trait SendPaid: Send + Sync {
    fn send(&self, request: HttpRequest) -> Pin<Box<dyn Future<Output = Result<HttpAnswer, Fault>> + Send>>;
}

/// Over connections of its own, on the runtime of the background.
pub(crate) struct OverHttp(pub(crate) Arc<Transport>);

impl SendPaid for OverHttp {
    fn send(&self, request: HttpRequest) -> Pin<Box<dyn Future<Output = Result<HttpAnswer, Fault>> + Send>> {
        let transport = self.0.clone();
        Box::pin(async move { transport.send(&request, Instant::now() + TO_ITS_END).await })
    }
}

/// Pays by the open x402 protocol.
pub(crate) struct X402Rail(pub(crate) Setup);

impl OpenRail for X402Rail {
    fn is_asked_for(&self, headers: &HeaderMap, body: &Bytes) -> bool {
        // What cannot be read is refused with its reason.
        !matches!(OfferSet::read(headers, body), Ok(None))
    }

    fn payer(&self) -> (String, Vec<String>) {
        let networks = self.0.networks.iter().map(ToString::to_string).collect();
        (self.0.signer.address().to_string(), networks)
    }

    fn pay(self: Arc<Self>, order: Order) -> Running {
        let (tell, ended) = oneshot::channel();
        let stage = Arc::new(Stage::default());
        let (rail, reached) = (self.clone(), stage.clone());
        let task = async move {
            let end = rail.run(order, &reached, &tell).await.unwrap_or_else(|end| end);
            // A call that has gone needs no answer; it is in the books.
            let _ = tell.send(end);
        };
        if let Err(error) = self.0.spawner.spawn(task) {
            tracing::warn!("no payment is made: {error}");
        }
        Running { ended, stage }
    }
}

impl From<Error> for OpenEnd {
    fn from(error: Error) -> Self {
        match error {
            Error::Config(message) => Self::Config(message),
            Error::Store(message) => Self::Store(message),
            other => Self::Store(other.to_string()),
        }
    }
}

impl X402Rail {
    /// One payment, from the offers to the last word on it. What ends it early is an error only in that sense.
    async fn run(
        &self,
        order: Order,
        stage: &Stage,
        caller: &oneshot::Sender<OpenEnd>,
    ) -> Result<OpenEnd, OpenEnd> {
        let Setup { ledger, policy, observer, base, .. } = &self.0;
        let asked = Request::of(&order.request);
        if let Some(led) = ledger.led_by(&order.key).await? {
            return self.has_led(led, &asked).await;
        }
        let authorization = self.choose(&order).await?;
        let amount = amount_of(&authorization);
        if !stage.begin() {
            return Ok(OpenEnd::GivenUp);
        }
        let _counted = Counted::new(&self.0.paying);
        let begun = ledger.begin_open(
            WantedOpen {
                base_url: base.as_str().to_owned(),
                origin: base.origin(),
                key_hash: self.0.key_hash.clone(),
                call_key: order.key.clone(),
                asked: asked.hash.clone(),
                amount,
                open: in_books(&authorization),
            },
            policy,
        );
        let payment = match begun.await? {
            BegunOpen::Intended(payment) => *payment,
            BegunOpen::HasLed(payment) => return self.has_led(*payment, &asked).await,
            BegunOpen::Over(over) => return Err(self.over(over)),
            BegunOpen::ForeignPayee => {
                let chosen = authorization.chosen();
                return Err(
                    self.refuse(vec![offer(chosen.index, &OfferRefusal::ForeignPayTo(chosen.pay_to))])
                );
            }
            BegunOpen::Refusing(reason) => {
                return Err(self.refuse(vec![Refusal::OriginKeepsRejecting(reason)]));
            }
        };
        stage.begun(&payment.id);
        observer.tell(Event::PaymentIntended { payment_id: payment.id.clone(), rail: Rail::X402, amount });
        let header = match self.sign(&payment, &authorization).await {
            Ok(header) => header,
            Err(why) => {
                let ended = EndedOpen::not_sent(why);
                let payment = ledger.end_open(&payment.id, ended).await?;
                self.announce(&payment);
                return Ok(OpenEnd::Failed(Box::new(payment)));
            }
        };
        ledger.sent(&payment.id).await?;
        let mut request = order.request;
        request.payment = Some(header);
        let sent = Sent {
            version: authorization.chosen().version,
            payer: self.0.signer.address(),
            network: authorization.chosen().network(),
        };
        let (class, verdict, answered) = self.send(&payment, &request, sent, &authorization, caller).await;
        let ended = EndedOpen::of(class, &verdict, &answered);
        let payment = match ledger.end_open(&payment.id, ended).await {
            Ok(payment) => payment,
            Err(error) => {
                tracing::warn!("the end of the payment {} could not be written: {error}", payment.id);
                let state = EndedOpen::of(class, &verdict, &answered).state;
                Payment { state, reason: Some(error.to_string()), ..payment }
            }
        };
        for mismatch in &verdict.mismatches {
            tracing::warn!("the receipt of the payment {} is about another: {mismatch:?}", payment.id);
        }
        self.announce(&payment);
        Ok(OpenEnd::Sent { payment: Box::new(payment), answered })
    }

    /// A key that led a payment leads no other: its answer is given again, as long as it is kept, to the same request where it
    /// came from.
    async fn has_led(&self, led: Payment, asked: &Request) -> Result<OpenEnd, OpenEnd> {
        if led.base_url != self.0.base.as_str() || led.wallet != self.0.key_hash || !asked.is_what_led(&led) {
            return Ok(OpenEnd::LedElsewhere(Box::new(led)));
        }
        let answer = self.0.ledger.answer(&led.id).await?;
        Ok(OpenEnd::HasLed(Box::new(led), answer))
    }

    /// The offer that is taken, with a nonce of its own.
    async fn choose(&self, order: &Order) -> Result<Authorization, OpenEnd> {
        let Setup { ledger, policy, base, signer, networks, .. } = &self.0;
        let offers = match OfferSet::read(&order.headers, &order.body) {
            Ok(Some(offers)) => offers,
            Ok(None) => return Err(self.refuse(vec![Refusal::NoAmount])),
            Err(refusal) => return Err(self.refuse(vec![open_challenge(&refusal)])),
        };
        let now_ms = ledger.now_ms();
        let now = std::time::UNIX_EPOCH + Duration::from_millis(u64::try_from(now_ms).unwrap_or_default());
        offers.check_expiry(now).map_err(|refusal| self.refuse(vec![open_challenge(&refusal)]))?;
        let names = networks.iter().map(|network| network.caip2()).collect();
        let books = ledger.open_terms(base.origin(), names, policy).await?;
        let pins = policy.open_rules().pins(&books.payees);
        let host = base.url().host_str().unwrap_or_default();
        let terms = |networks: &[Network]| {
            offers.choose(&Terms {
                networks,
                payer: signer.address(),
                host,
                per_payment_nano_usd: nano(policy.per_request_cap()),
                remaining_nano_usd: nano(books.left_of_day),
                pins: &pins,
                allow_upfront: policy.open_rules().allow_upfront,
                timeout_seconds: TIMEOUT_SECONDS,
                extra_assets: &policy.open_rules().assets,
            })
        };
        let is_refusing = |network: &Network| {
            books.refusing.iter().find(|(refusing, _)| *refusing == network.caip2()).map(|(_, reason)| reason)
        };
        let open: Vec<Network> =
            networks.iter().copied().filter(|network| is_refusing(network).is_none()).collect();
        let chosen = match terms(&open) {
            Ok(chosen) => chosen,
            Err(no_offer) => {
                // One that keeps refusing would have been taken.
                let refusing = terms(networks).ok().and_then(|chosen| is_refusing(&chosen.network()));
                if let Some(reason) = refusing {
                    return Err(self.refuse(vec![Refusal::OriginKeepsRejecting(reason.clone())]));
                }
                return Err(self.no_offer(&no_offer, &books));
            }
        };
        let nonce = new_nonce().map_err(|error| OpenEnd::Config(error.to_string()))?;
        let now_unix = u64::try_from(now_ms / 1000).unwrap_or_default();
        Ok(Authorization::new(chosen, signer.address(), now_unix, nonce))
    }

    /// Name and value of the header that pays, signed within the limit. The payment is held meanwhile.
    async fn sign(
        &self,
        payment: &Payment,
        authorization: &Authorization,
    ) -> Result<(&'static str, HeaderValue), String> {
        let (signer, digest) = (self.0.signer.clone(), authorization.digest());
        let signing = self.0.signers.begin_in_turn(async move { sign(&*signer, digest).await });
        let signature = match hold(&self.0.ledger, &payment.id, signing, self.0.limit).await {
            Some(Ok(signed)) => signed.map_err(|error| error.to_string())?,
            Some(Err(Broken::NotBegun(why))) => return Err(why),
            Some(Err(_)) => return Err("the signer panicked".to_owned()),
            None => return Err(format!("the signer did not answer within {} s", self.0.limit.as_secs_f64())),
        };
        authorization.header(&signature).map_err(|error| error.to_string())
    }

    /// Sends the request that carries the payment, and the same once more where that may tell what became of it.
    async fn send(
        &self,
        payment: &Payment,
        request: &HttpRequest,
        sent: Sent,
        authorization: &Authorization,
        caller: &oneshot::Sender<OpenEnd>,
    ) -> (Class, Verdict, Result<HttpAnswer, Fault>) {
        let mut earlier: Option<(Class, Option<Receipt>)> = None;
        let mut times = 1;
        loop {
            let answered = self.send_once(payment, request.clone()).await;
            let (earlier_class, earlier_receipt) = earlier.take().unzip();
            let verdict = sent.classify(came(&answered)).keeping(earlier_receipt.flatten());
            let class = verdict.class.after(earlier_class);
            let resend = Resend {
                asked: asked_for(request),
                caller: if caller.is_closed() { Caller::Gone } else { Caller::Waits },
                sent: times,
                now_unix: u64::try_from(self.0.ledger.now_ms() / 1000).unwrap_or_default(),
                valid_before: authorization.transfer().valid_before,
            };
            if !resend.may_follow(&verdict) {
                return (class, verdict, answered);
            }
            tracing::debug!(
                "the same payment {} is sent once more: nothing tells what became of it",
                payment.id
            );
            earlier = Some((class, verdict.receipt));
            times += 1;
        }
    }

    async fn send_once(&self, payment: &Payment, request: HttpRequest) -> Result<HttpAnswer, Fault> {
        let lost = |why: &str| Fault::unanswered(format!("the request that carried the payment was {why}"));
        let sending = match self.0.spawner.spawn(self.0.send.send(request)) {
            Ok(sending) => sending.into(),
            Err(error) => return Err(lost(&error.to_string())),
        };
        match hold(&self.0.ledger, &payment.id, sending, TO_ITS_END + AND_A_LITTLE).await {
            Some(Ok(answered)) => answered,
            Some(Err(_)) => Err(lost("broken off")),
            None => Err(lost("not answered in time")),
        }
    }

    fn refuse(&self, reasons: Vec<Refusal>) -> OpenEnd {
        self.0.observer.tell(Event::PaymentRefused { reasons: reasons.clone() });
        OpenEnd::Refused(reasons)
    }

    fn over(&self, over: Over) -> OpenEnd {
        self.0.observer.tell(Event::CapReached { cap: over.cap, limit: over.limit });
        OpenEnd::SpendLimit(over)
    }

    fn no_offer(&self, no_offer: &NoOffer, books: &OpenTerms) -> OpenEnd {
        use OfferRefusal::{AboveCap, AboveRemainingCap};
        match no_offer.by_caps_alone() {
            Some(AboveCap { price, cap, .. }) => {
                self.over(Over { cap: Cap::PerRequest, limit: *cap, left: *cap, needed: *price })
            }
            Some(AboveRemainingCap { price, left, .. }) => {
                let limit = self.0.policy.per_day_cap().or(books.left_of_day).unwrap_or(*left);
                self.over(Over { cap: Cap::PerDay, limit, left: *left, needed: *price })
            }
            _ => {
                let reasons: Vec<Refusal> =
                    no_offer.refused.iter().map(|refused| offer(refused.index, &refused.reason)).collect();
                self.refuse(if reasons.is_empty() { vec![Refusal::NoAmount] } else { reasons })
            }
        }
    }

    fn announce(&self, payment: &Payment) {
        let (payment_id, rail) = (payment.id.clone(), Rail::X402);
        let reason = payment.reason.clone().unwrap_or_default();
        self.0.observer.tell(match payment.state {
            PaymentState::Settled => {
                Event::PaymentSettled { payment_id, rail, amount: payment.amount, credited: None }
            }
            PaymentState::SettledNotApplied => Event::PaymentNotApplied { payment_id, rail },
            PaymentState::Rejected => Event::PaymentRejected { payment_id, rail, reason },
            _ => Event::PaymentUnknown { payment_id, rail, reason },
        });
    }
}

/// What a call asks for, as far as an answer to it is one to the same call made again.
struct Request {
    hash: String,
    asked: Asked,
}

impl Request {
    fn of(request: &HttpRequest) -> Self {
        let mut whole = format!("{} {}\n", request.method, request.url.path()).into_bytes();
        whole.extend_from_slice(request.body.as_deref().unwrap_or_default());
        Self { hash: crate::key::sha256(whole), asked: asked_for(request) }
    }

    /// Whether this very request led a payment. Of what an earlier version wrote down nobody knows the request; executions were
    /// not paid for then.
    fn is_what_led(&self, led: &Payment) -> bool {
        match &led.asked {
            Some(hash) => *hash == self.hash,
            None => matches!(self.asked, Asked::Route),
        }
    }
}

fn asked_for(request: &HttpRequest) -> Asked {
    if request.url.path().ends_with(Endpoint::EXECUTE.path) { Asked::Execute } else { Asked::Route }
}

impl EndedOpen {
    /// Given up before anything left the process.
    fn not_sent(why: String) -> Self {
        Self {
            state: PaymentState::Rejected,
            reason: Some(why),
            transaction: None,
            receipt_json: None,
            answer: None,
            route_id: None,
        }
    }

    fn of(class: Class, verdict: &Verdict, answered: &Result<HttpAnswer, Fault>) -> Self {
        let state = match class {
            Class::Settled if verdict.delivered => PaymentState::Settled,
            Class::Settled => PaymentState::SettledNotApplied,
            Class::Unknown => PaymentState::Unknown,
            Class::Rejected => PaymentState::Rejected,
        };
        let reason = match (state, &verdict.reason, answered) {
            (PaymentState::Settled, ..) => None,
            (_, Some(reason), _) => Some(crate::text::one_line(reason, 200)),
            (_, None, Ok(answer)) => Some(format!("the server answered {}", answer.status.as_u16())),
            (_, None, Err(fault)) => Some(fault.detail.clone()),
        };
        let receipt = verdict.receipt.as_ref();
        let answer = answered.as_ref().ok();
        Self {
            state,
            reason,
            transaction: receipt.map(|receipt| receipt.transaction.clone()).filter(|named| !named.is_empty()),
            receipt_json: receipt.map(|receipt| receipt.json.clone()),
            answer: answer.map(kept),
            route_id: answer
                .filter(|answer| answer.status.is_success())
                .and_then(|answer| route_id(&answer.body)),
        }
    }
}

fn came(answered: &Result<HttpAnswer, Fault>) -> Option<Came<'_>> {
    match answered {
        Ok(HttpAnswer { status, headers, body }) => Some(Came { status: *status, headers, body: Some(body) }),
        Err(fault) => {
            let (status, headers) = fault.head.as_deref()?;
            Some(Came { status: *status, headers, body: None })
        }
    }
}

fn kept(answer: &HttpAnswer) -> PaidAnswer {
    let header = |(name, value): (&http::HeaderName, &HeaderValue)| {
        Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
    };
    PaidAnswer {
        status: answer.status.as_u16(),
        headers: answer.headers.iter().filter_map(header).collect(),
        body: answer.body.clone(),
    }
}

fn route_id(body: &Bytes) -> Option<String> {
    Fields::parse(body, text_of(body).ok()?).ok()?.take("request_id")
}

fn amount_of(authorization: &Authorization) -> Usd {
    Usd::from_nano(i64::try_from(authorization.chosen().nano_usd).unwrap_or(i64::MAX))
}

fn in_books(authorization: &Authorization) -> OpenPayment {
    let (chosen, transfer) = (authorization.chosen(), authorization.transfer());
    OpenPayment {
        network: chosen.network().caip2(),
        asset: chosen.asset.address().to_string(),
        pay_to: chosen.pay_to.to_string(),
        nonce: format!("0x{}", super::eip712::hex(&transfer.nonce)),
        valid_before: i64::try_from(transfer.valid_before).unwrap_or(i64::MAX),
        transaction: None,
        receipt_json: None,
        has_left: false,
    }
}

/// A cap in billionths of a dollar, rounded down; without one there is nothing to spend.
fn nano(cap: Option<Usd>) -> u64 {
    let nano = cap.and_then(|cap| {
        let whole = cap.to_nano_up()?;
        let is_more = Usd::from_nano(whole) > cap;
        Some(whole - i64::from(is_more))
    });
    nano.and_then(|nano| u64::try_from(nano).ok()).unwrap_or_default()
}

fn offer(index: usize, reason: &OfferRefusal) -> Refusal {
    Refusal::Offer { index, code: reason.code(), words: reason.to_string() }
}

fn open_challenge(refusal: &super::offer::ChallengeRefusal) -> Refusal {
    Refusal::OpenChallenge { code: refusal.code(), words: refusal.to_string() }
}

/// What a policy says about payments of this rail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OpenRules {
    pub(crate) pay_to: Vec<(Network, super::eip712::Address)>,
    pub(crate) any_pay_to: bool,
    pub(crate) allow_upfront: bool,
    pub(crate) assets: Vec<Asset>,
}

impl OpenRules {
    /// Who may be paid: those that the policy lists, and on each network the first that was paid. Nobody else, unless the
    /// policy says so.
    fn pins(&self, payees: &[(String, String)]) -> Vec<(Network, super::eip712::Address)> {
        if self.any_pay_to {
            return Vec::new();
        }
        let known = payees.iter().filter_map(|(network, address)| {
            Some((network.parse::<Network>().ok()?, address.parse::<super::eip712::Address>().ok()?))
        });
        self.pay_to.iter().copied().chain(known).collect()
    }

    /// Whether a transfer may be made, where this one was paid first on its network.
    pub(crate) fn may_pay(&self, open: &OpenPayment, first: Option<String>) -> bool {
        let first: Vec<_> = first.map(|first| (open.network.clone(), first)).into_iter().collect();
        let pins = self.pins(&first);
        let mut here = pins.iter().filter(|(network, _)| network.caip2() == open.network).peekable();
        here.peek().is_none() || here.any(|(_, address)| address.to_string() == open.pay_to)
    }
}

impl SpendPolicy {
    /// Pays this address on a network, besides the first one that was paid there. Without a list the first is kept, and
    /// another one later is refused.
    pub fn pay_to(mut self, network: Network, address: super::eip712::Address) -> Self {
        self.open_rules_mut().pay_to.push((network, address));
        self
    }

    /// Pays whatever address a server names, also when it names another one each time.
    pub fn any_pay_to(mut self) -> Self {
        self.open_rules_mut().any_pay_to = true;
        self
    }

    /// Takes offers too that settle before the request is handled (`upfront`): what is paid for may then never come.
    pub fn allow_upfront(mut self) -> Self {
        self.open_rules_mut().allow_upfront = true;
        self
    }

    /// Takes a token at par besides the known ones. Whoever does so trusts whoever issues it.
    pub fn asset(mut self, asset: Asset) -> Self {
        self.open_rules_mut().assets.push(asset);
        self
    }
}

impl PaymentChallenge {
    /// The networks on which this 402 may be paid for by the open x402 protocol, by the server's word and in its order;
    /// empty where it offers none that is known. An offer may be refused all the same: a token, a price or a payee is not
    /// looked at here.
    pub fn offered_networks(&self) -> Vec<Network> {
        let failure = self.failure();
        let offers = OfferSet::read(failure.meta.headers(), &failure.body);
        offers.ok().flatten().map(|offers| offers.networks()).unwrap_or_default()
    }
}

impl ClientBuilder {
    /// Pays by the open x402 protocol, in USDC by a signed EIP-3009 authorization, on these networks, the preferred one first.
    /// It needs a [`spend_policy`](Self::spend_policy) with `per_request`. A call has one signature, ever.
    ///
    /// ```no_run
    /// use amply_sdk::{Client, LocalSigner, Network, SpendPolicy, Usd};
    ///
    /// let signer = LocalSigner::from_hex(std::env::var("PAYING_KEY").unwrap_or_default())?;
    /// let client = Client::builder()
    ///     .spend_policy(SpendPolicy::default().per_request(Usd::dollars(1)).per_day(Usd::dollars(5)).per_process_only())
    ///     .x402(signer, [Network::BASE])
    ///     .build()?;
    /// # Ok::<(), amply_sdk::Error>(())
    /// ```
    pub fn x402(
        mut self,
        signer: impl Signer + 'static,
        networks: impl IntoIterator<Item = Network>,
    ) -> Self {
        let signer: Arc<dyn Signer> = Arc::new(signer);
        let networks: Vec<Network> = networks.into_iter().collect();
        self.first_rail.get_or_insert(Rail::X402);
        self.open = Some(Box::new(move |setup: OpenSetup| {
            if networks.is_empty() {
                return Err(Error::config("x402 is to pay on no network; name one, such as `Network::BASE`"));
            }
            if setup.policy.per_request_cap().is_none() {
                return Err(Error::config("x402 needs a cap for one request; add one with `per_request`"));
            }
            let rail: Arc<dyn OpenRail> = Arc::new(X402Rail(Setup {
                base: setup.transport.base().clone(),
                key_hash: setup.key_hash,
                signer,
                networks,
                policy: setup.policy,
                ledger: setup.ledger,
                observer: setup.observer,
                spawner: Spawner::Background,
                send: Box::new(OverHttp(Arc::new(setup.transport))),
                paying: setup.paying,
                signers: Crew::new(Spawner::Background, SIGNATURES),
                limit: setup.limit,
            }));
            Ok(rail)
        }));
        self
    }
}
