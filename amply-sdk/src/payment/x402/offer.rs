//! What a 402 offers by the open protocol, and which of the offers is taken.
//!
//! Each offer is read by itself and kept as the JSON it came in: one that cannot be read costs none of the others,
//! and version 2 wants the accepted one back byte for byte. The choice knows everything it needs from its arguments.
//! Without an offer that passes every rule nothing is signed.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::SystemTime;

use bytes::Bytes;
use http::HeaderMap;
use reqwest::Url;
use rust_decimal::Decimal;

use super::Version;
use super::eip712::{Address, U256};
use super::header;
use super::network::{Asset, Network};
use crate::money::Usd;
use crate::text::one_line;
use crate::wire::{Fields, First, FromFields, RawJson, check_depth, read, text_of};

/// The window in which an offer may be settled, in seconds, where the policy says nothing else.
pub(crate) const TIMEOUT_SECONDS: RangeInclusive<u64> = 10..=600;

/// No server needs more offers than this, each network and token that there is included.
const MOST_OFFERS: usize = 64;

/// What a 402 offers.
#[derive(Clone, Debug)]
pub(crate) struct OfferSet {
    entries: Vec<Entry>,
    /// What is sold, for the offers of version 2.
    resource: Option<RawJson>,
    extensions: Option<RawJson>,
    /// Until when the challenge around the offers stands, where it says so.
    expires_at: Option<SystemTime>,
}

/// One offer as it came. Without a version it cannot be told what its fields are called.
#[derive(Clone, Debug)]
struct Entry {
    version: Option<Version>,
    offer: RawJson,
}

impl OfferSet {
    /// Finds the offers of a 402: those of version 2 in the header, else those of version 1 in the body, else those
    /// within Amply's own challenge. `None` when there are none.
    ///
    /// # Errors
    /// When there are offers that cannot be read. A header that is broken is not replaced by a body that is whole:
    /// it is the newer word of the same server.
    pub(crate) fn read(headers: &HeaderMap, body: &Bytes) -> Result<Option<Self>, ChallengeRefusal> {
        match header::single(headers, header::OFFERS) {
            Ok(Some(json)) => Self::from_header(&json).map(Some),
            Ok(None) => Self::from_body(body),
            Err(header::Unreadable) => Err(ChallengeRefusal::MalformedHeader),
        }
    }

    fn from_header(json: &Bytes) -> Result<Self, ChallengeRefusal> {
        let mut fields = object(json).ok_or(ChallengeRefusal::MalformedHeader)?;
        let version = fields.take::<RawJson>("x402Version");
        if version.as_ref().map(RawJson::text) != Some("2") {
            return Err(ChallengeRefusal::UnknownVersion(shown(version.as_ref())));
        }
        Ok(Self {
            entries: entries(fields.take("accepts").as_ref(), |_| Some(Version::Two))?,
            resource: fields.take("resource"),
            extensions: fields.take("extensions"),
            expires_at: None,
        })
    }

    fn from_body(body: &Bytes) -> Result<Option<Self>, ChallengeRefusal> {
        let Some(mut fields) = object(body) else { return Ok(None) };
        let version = fields.take::<RawJson>("x402Version");
        match version.as_ref().map(RawJson::text) {
            Some("1") => Ok(Some(Self {
                entries: entries(fields.take("accepts").as_ref(), |_| Some(Version::One))?,
                resource: None,
                extensions: None,
                expires_at: None,
            })),
            // The body of version 2 carries no meaning; its offers are in the header, which did not come.
            Some("2") | None => match fields.take::<RawJson>("x402") {
                Some(challenge) => Self::from_challenge(&challenge),
                None => Ok(None),
            },
            Some(_) => Err(ChallengeRefusal::UnknownVersion(shown(version.as_ref()))),
        }
    }

    fn from_challenge(challenge: &RawJson) -> Result<Option<Self>, ChallengeRefusal> {
        // [our] offers of both versions may be within Amply's own challenge
        let Some(challenge) = read::<Challenge>(challenge) else { return Ok(None) };
        let (true, Some(accepts)) = (challenge.is_known(), &challenge.accepts) else { return Ok(None) };
        let expires_at = match &challenge.expires_at {
            Some(text) => Some(moment(text).ok_or_else(|| ChallengeRefusal::BadExpiry(shown(Some(text))))?),
            None => None,
        };
        Ok(Some(Self {
            entries: entries(Some(accepts), version_of)?,
            resource: challenge.resource,
            extensions: None,
            expires_at,
        }))
    }

    /// Picks the offer to pay: of those that pass every rule the one on the network that the policy names first,
    /// then the cheapest, then the one that the server names first.
    ///
    /// # Errors
    /// When none passes, with the first rule that each one breaks.
    pub(crate) fn choose(&self, terms: &Terms<'_>) -> Result<Chosen, NoOffer> {
        let (mut best, mut refused) = (None::<Chosen>, Vec::new());
        for (index, entry) in self.entries.iter().enumerate() {
            match self.judge(index, entry, terms) {
                Ok(chosen) => {
                    let rank = |chosen: &Chosen| {
                        (
                            terms.networks.iter().position(|network| *network == chosen.network()),
                            chosen.nano_usd,
                        )
                    };
                    if best.as_ref().is_none_or(|best| rank(&chosen) < rank(best)) {
                        best = Some(chosen);
                    }
                }
                Err((reason, breaks)) => refused.push(RefusedOffer { index, reason, breaks }),
            }
        }
        best.ok_or(NoOffer { refused })
    }

    fn judge(
        &self,
        index: usize,
        entry: &Entry,
        terms: &Terms<'_>,
    ) -> Result<Chosen, (OfferRefusal, Breaks)> {
        let others = |reason| (reason, Breaks::Others);
        let malformed = || others(OfferRefusal::Malformed);
        let version = entry.version.ok_or_else(malformed)?;
        let offer: Offer = read(&entry.offer).ok_or_else(malformed)?;
        let extra: Extra = match &offer.extra {
            Some(extra) => read(extra).ok_or_else(malformed)?,
            None => Extra::default(),
        };

        extra.check_scheme(&offer, terms).map_err(others)?;
        let network = network(version, &offer, terms).map_err(others)?;
        let asset = extra.check_asset(network, &offer, terms).map_err(others)?;
        let price = match version {
            Version::One => &offer.max_amount_required,
            Version::Two => &offer.amount,
        };
        let value = amount(price.as_ref()).map_err(others)?;
        let within = terms.check_caps(value.nano_usd(asset.decimals()));
        let rest = self.check_rest(version, &offer, &asset, terms);
        let (nano_usd, rest) = match (within, rest) {
            (Ok(nano_usd), Ok(rest)) => (nano_usd, rest),
            (Err(cap), Ok(_)) => return Err((cap, Breaks::CapsAlone)),
            (Err(cap), Err(_)) => return Err((cap, Breaks::Others)),
            (Ok(_), Err(reason)) => return Err(others(reason)),
        };
        Ok(Chosen {
            index,
            version,
            offer: entry.offer.clone(),
            resource: self.resource.clone(),
            extensions: self.extensions.clone(),
            asset,
            value,
            nano_usd,
            pay_to: rest.pay_to,
            pay_to_text: rest.pay_to_text,
            timeout_seconds: rest.timeout_seconds,
        })
    }

    /// The rules after the price.
    fn check_rest(
        &self,
        version: Version,
        offer: &Offer,
        asset: &Asset,
        terms: &Terms<'_>,
    ) -> Result<Rest, OfferRefusal> {
        let pay_to_text = text(offer.pay_to.as_ref()).unwrap_or_default();
        let refuse = || OfferRefusal::BadPayTo(shown(offer.pay_to.as_ref()));
        let pay_to: Address = pay_to_text.parse().map_err(|_| refuse())?;
        // Money that goes to the token's own contract is lost, and money to oneself is no payment.
        if [Address::ZERO, terms.payer, asset.address()].contains(&pay_to) {
            return Err(refuse());
        }
        let mut pins = terms.pins.iter().filter(|(network, _)| *network == asset.network()).peekable();
        if pins.peek().is_some() && !pins.any(|(_, pin)| *pin == pay_to) {
            return Err(OfferRefusal::ForeignPayTo(pay_to));
        }

        let timeout = offer.max_timeout_seconds.as_ref();
        // A number with a fraction or in quotes is not what the specification says, and a guess at it would be signed.
        let timeout_seconds = timeout
            .and_then(|timeout| timeout.text().parse().ok())
            .filter(|seconds| terms.timeout_seconds.contains(seconds))
            .ok_or_else(|| OfferRefusal::BadTimeout(shown(timeout)))?;

        let resource = match (version, &self.resource) {
            (Version::One, _) => offer.resource.clone(),
            (Version::Two, Some(resource)) => match read::<Resource>(resource) {
                Some(resource) => resource.url,
                None => return Err(OfferRefusal::ForeignResource(shown(Some(resource)))),
            },
            (Version::Two, None) => None,
        };
        match resource {
            Some(resource) if !is_at(&resource, terms.host) => {
                Err(OfferRefusal::ForeignResource(shown(Some(&resource))))
            }
            _ => Ok(Rest { pay_to, pay_to_text, timeout_seconds }),
        }
    }

    /// The known networks that are offered, in the server's order, each once.
    pub(crate) fn networks(&self) -> Vec<Network> {
        let mut networks = Vec::new();
        for entry in &self.entries {
            let named = entry.version.and_then(|version| {
                let offer: Offer = read(&entry.offer)?;
                Network::named(&text(offer.network.as_ref())?, version)
            });
            if let Some(network) = named.filter(|network| !networks.contains(network)) {
                networks.push(network);
            }
        }
        networks
    }

    /// Whether the challenge around the offers is past its time.
    ///
    /// # Errors
    /// [`ChallengeRefusal::Expired`].
    pub(crate) fn check_expiry(&self, now: SystemTime) -> Result<(), ChallengeRefusal> {
        match self.expires_at {
            Some(end) if end <= now => Err(ChallengeRefusal::Expired),
            _ => Ok(()),
        }
    }
}

/// What the choice goes by.
#[derive(Clone, Debug)]
pub(crate) struct Terms<'a> {
    /// The networks that may be paid on, the preferred one first.
    pub(crate) networks: &'a [Network],
    pub(crate) payer: Address,
    /// The host that the request went to, without a port.
    pub(crate) host: &'a str,
    /// The most that one payment may be, in USD × 10⁻⁹.
    pub(crate) per_payment_nano_usd: u64,
    /// What the caps over time leave, in USD × 10⁻⁹.
    pub(crate) remaining_nano_usd: u64,
    /// Who may be paid. A network that is not in it is open to any.
    pub(crate) pins: &'a [(Network, Address)],
    /// Whether an offer is taken that settles before the request is handled.
    pub(crate) allow_upfront: bool,
    pub(crate) timeout_seconds: RangeInclusive<u64>,
    /// Tokens that are taken at par besides the known ones.
    pub(crate) extra_assets: &'a [Asset],
}

impl Terms<'_> {
    fn check_caps(&self, nano_usd: Option<u64>) -> Result<u64, OfferRefusal> {
        let price = nano_usd.map(usd);
        let nano_usd = nano_usd.unwrap_or(u64::MAX);
        if price.is_none() || nano_usd > self.per_payment_nano_usd {
            return Err(OfferRefusal::AboveCap { price, cap: usd(self.per_payment_nano_usd) });
        }
        if nano_usd > self.remaining_nano_usd {
            return Err(OfferRefusal::AboveRemainingCap { price, left: usd(self.remaining_nano_usd) });
        }
        Ok(nano_usd)
    }
}

/// The offer that is paid.
#[derive(Clone, Debug)]
pub(crate) struct Chosen {
    /// Its place in the server's list.
    pub(crate) index: usize,
    pub(crate) version: Version,
    /// As it came.
    pub(crate) offer: RawJson,
    pub(crate) resource: Option<RawJson>,
    pub(crate) extensions: Option<RawJson>,
    pub(crate) asset: Asset,
    /// In units of the token.
    pub(crate) value: U256,
    /// The same in USD × 10⁻⁹, rounded up.
    pub(crate) nano_usd: u64,
    pub(crate) pay_to: Address,
    /// As it came.
    pub(crate) pay_to_text: String,
    pub(crate) timeout_seconds: u64,
}

impl Chosen {
    pub(crate) fn network(&self) -> Network {
        self.asset.network()
    }
}

/// No offer can be taken, so nothing is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NoOffer {
    /// Each offer in the server's order.
    pub(crate) refused: Vec<RefusedOffer>,
}

impl NoOffer {
    /// The first offer that would be taken but for the caps. Then the price is what stands in the way, not the
    /// server.
    pub(crate) fn by_caps_alone(&self) -> Option<&OfferRefusal> {
        self.refused.iter().find(|offer| offer.breaks == Breaks::CapsAlone).map(|offer| &offer.reason)
    }
}

/// An offer that is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RefusedOffer {
    /// Its place in the server's list.
    pub(crate) index: usize,
    /// The first rule that it breaks.
    pub(crate) reason: OfferRefusal,
    breaks: Breaks,
}

/// Which rules a refused offer breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Breaks {
    CapsAlone,
    Others,
}

/// Why an offer is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OfferRefusal {
    /// It is not an offer that can be read.
    Malformed,
    /// It is not of the scheme `exact`.
    UnknownScheme(String),
    /// It wants to be paid by another method than EIP-3009.
    UnsupportedTransferMethod(String),
    /// It wants to be paid in another order than after the request was handled, and the policy does not allow that.
    UnsupportedPaymentFlow(String),
    /// Its network is not a known one, or not named as its version does.
    UnknownNetwork(String),
    /// The policy does not list its network.
    NetworkNotAllowed(Network),
    /// Its token is not known to be worth a dollar.
    UnknownAsset(String),
    /// It gives its token another name or version than the token has.
    DomainMismatch,
    /// Its price is not a positive whole number of units in plain digits.
    BadAmount(String),
    /// It costs more than one payment may. No price: more than can be counted.
    AboveCap {
        /// What it costs, in USD.
        price: Option<Usd>,
        /// What one payment may cost, in USD.
        cap: Usd,
    },
    /// It costs more than the caps over time leave.
    AboveRemainingCap {
        /// What it costs, in USD.
        price: Option<Usd>,
        /// What is left, in USD.
        left: Usd,
    },
    /// Whom it pays is no address, nobody, the payer, or the token's contract.
    BadPayTo(String),
    /// It pays another address than the one that is expected on this network.
    ForeignPayTo(Address),
    /// The time in which it may be settled is no number of seconds, too short or too long.
    BadTimeout(String),
    /// It is for something on another host.
    ForeignResource(String),
}

impl OfferRefusal {
    /// The stable name of the reason.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Malformed => "malformed_offer",
            Self::UnknownScheme(_) => "unknown_scheme",
            Self::UnsupportedTransferMethod(_) => "unsupported_transfer_method",
            Self::UnsupportedPaymentFlow(_) => "unsupported_payment_flow",
            Self::UnknownNetwork(_) => "unknown_network",
            Self::NetworkNotAllowed(_) => "network_not_allowed",
            Self::UnknownAsset(_) => "unknown_asset",
            Self::DomainMismatch => "domain_mismatch",
            Self::BadAmount(_) => "bad_amount",
            Self::AboveCap { .. } => "above_cap",
            Self::AboveRemainingCap { .. } => "above_remaining_cap",
            Self::BadPayTo(_) => "bad_pay_to",
            Self::ForeignPayTo(_) => "foreign_pay_to",
            Self::BadTimeout(_) => "bad_timeout",
            Self::ForeignResource(_) => "foreign_resource",
        }
    }
}

impl fmt::Display for OfferRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let costs = |price: &Option<Usd>| match price {
            Some(price) => format!("it costs {price} USD"),
            None => "it costs more than can be counted".to_owned(),
        };
        match self {
            Self::Malformed => f.write_str("it is not an offer that this client can read"),
            Self::UnknownScheme(scheme) => write!(f, "its scheme is {scheme}; only exact is paid"),
            Self::UnsupportedTransferMethod(method) => {
                write!(f, "it wants to be paid by {method}; only eip3009 is spoken")
            }
            Self::UnsupportedPaymentFlow(flow) => {
                write!(f, "its payment flow is {flow}; allow upfront in the policy if it is that")
            }
            Self::UnknownNetwork(network) => write!(f, "its network {network} is not known"),
            Self::NetworkNotAllowed(network) => {
                write!(f, "its network {network} is not in the policy; add it if it may be paid on")
            }
            Self::UnknownAsset(asset) => {
                write!(
                    f,
                    "its token {asset} is not known to be worth a dollar; add it to the policy if it is"
                )
            }
            Self::DomainMismatch => {
                f.write_str("it gives its token another name or version than the token has")
            }
            Self::BadAmount(amount) => {
                write!(f, "its price {amount} is not a positive whole number of units")
            }
            Self::AboveCap { price, cap } => {
                write!(f, "{}, and the policy allows {cap} USD per request", costs(price))
            }
            Self::AboveRemainingCap { price, left } => {
                write!(f, "{}, and the policy's caps leave {left} USD", costs(price))
            }
            Self::BadPayTo(pay_to) => write!(f, "it pays {pay_to}, where no payment can go"),
            Self::ForeignPayTo(pay_to) => {
                write!(
                    f,
                    "it pays {pay_to}, not who is expected on this network; check with whoever runs the server"
                )
            }
            Self::BadTimeout(timeout) => {
                write!(f, "its maxTimeoutSeconds {timeout} is not a whole number within the policy's limits")
            }
            Self::ForeignResource(resource) => write!(f, "it is for {resource}, which is on another host"),
        }
    }
}

/// Why no offer of a 402 is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ChallengeRefusal {
    /// The header with the offers is not JSON in base64, is too long, or came more than once.
    MalformedHeader,
    /// The offers are of a version that is not known.
    UnknownVersion(String),
    /// The offers are not a list.
    MalformedOffers,
    /// There are more offers than are looked at.
    TooManyOffers,
    /// When the challenge ends cannot be read.
    BadExpiry(String),
    /// The challenge's time is over.
    Expired,
}

impl ChallengeRefusal {
    /// The stable name of the reason.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::MalformedHeader => "malformed_header",
            Self::UnknownVersion(_) => "unknown_version",
            Self::MalformedOffers => "malformed_offers",
            Self::TooManyOffers => "too_many_offers",
            Self::BadExpiry(_) => "bad_expiry",
            Self::Expired => "expired",
        }
    }
}

impl fmt::Display for ChallengeRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MalformedHeader => f.write_str("the server's payment offers cannot be read"),
            Self::UnknownVersion(version) => {
                write!(f, "the server's payment offers are of x402 version {version}; 1 and 2 are known")
            }
            Self::MalformedOffers => f.write_str("the server's payment offers are not a list"),
            Self::TooManyOffers => {
                write!(f, "the server makes more than {MOST_OFFERS} payment offers, which are not looked at")
            }
            Self::BadExpiry(text) => write!(f, "the server's challenge ends at {text}, which is no time"),
            Self::Expired => f.write_str("the server's challenge has expired; make the call again"),
        }
    }
}

/// The fields of an offer, each as it came.
struct Offer {
    scheme: Option<RawJson>,
    network: Option<RawJson>,
    amount: Option<RawJson>,
    max_amount_required: Option<RawJson>,
    asset: Option<RawJson>,
    pay_to: Option<RawJson>,
    max_timeout_seconds: Option<RawJson>,
    extra: Option<RawJson>,
    resource: Option<RawJson>,
}

impl FromFields for Offer {
    fn from_fields(mut fields: Fields<'_>) -> Result<Self, String> {
        Ok(Self {
            scheme: fields.take("scheme"),
            network: fields.take("network"),
            amount: fields.take("amount"),
            max_amount_required: fields.take("maxAmountRequired"),
            asset: fields.take("asset"),
            pay_to: fields.take("payTo"),
            max_timeout_seconds: fields.take("maxTimeoutSeconds"),
            extra: fields.take("extra"),
            resource: fields.take("resource"),
        })
    }
}

#[derive(Default)]
struct Extra {
    name: Option<RawJson>,
    version: Option<RawJson>,
    asset_transfer_method: Option<RawJson>,
    payment_flow: Option<RawJson>,
}

impl FromFields for Extra {
    fn from_fields(mut fields: Fields<'_>) -> Result<Self, String> {
        Ok(Self {
            name: fields.take("name"),
            version: fields.take("version"),
            asset_transfer_method: fields.take("assetTransferMethod"),
            payment_flow: fields.take("paymentFlow"),
        })
    }
}

impl Extra {
    fn check_scheme(&self, offer: &Offer, terms: &Terms<'_>) -> Result<(), OfferRefusal> {
        if text(offer.scheme.as_ref()).as_deref() != Some("exact") {
            return Err(OfferRefusal::UnknownScheme(shown(offer.scheme.as_ref())));
        }
        if let Some(method) = &self.asset_transfer_method
            && text(Some(method)).as_deref() != Some("eip3009")
        {
            return Err(OfferRefusal::UnsupportedTransferMethod(shown(Some(method))));
        }
        match &self.payment_flow {
            None => Ok(()),
            Some(flow) => match text(Some(flow)).as_deref() {
                Some("authorization") => Ok(()),
                Some("upfront") if terms.allow_upfront => Ok(()),
                _ => Err(OfferRefusal::UnsupportedPaymentFlow(shown(Some(flow)))),
            },
        }
    }

    fn check_asset(&self, network: Network, offer: &Offer, terms: &Terms<'_>) -> Result<Asset, OfferRefusal> {
        let asset = text(offer.asset.as_ref())
            .and_then(|asset| Address::without_checksum(&asset))
            .and_then(|address| Asset::find(network, address, terms.extra_assets))
            .ok_or_else(|| OfferRefusal::UnknownAsset(shown(offer.asset.as_ref())))?;
        let domain = asset.domain();
        for (given, own) in [(&self.name, domain.name), (&self.version, domain.version)] {
            if given.is_some() && text(given.as_ref()).as_deref() != Some(own) {
                return Err(OfferRefusal::DomainMismatch);
            }
        }
        Ok(asset)
    }
}

struct Resource {
    url: Option<RawJson>,
}

impl FromFields for Resource {
    fn from_fields(mut fields: Fields<'_>) -> Result<Self, String> {
        Ok(Self { url: fields.take("url") })
    }
}

/// What of Amply's own challenge concerns the open protocol.
struct Challenge {
    spec: Option<RawJson>,
    accepts: Option<RawJson>,
    resource: Option<RawJson>,
    expires_at: Option<RawJson>,
}

impl Challenge {
    fn is_known(&self) -> bool {
        text(self.spec.as_ref()).as_deref() == Some("amply.x402/1")
    }
}

impl FromFields for Challenge {
    fn from_fields(mut fields: Fields<'_>) -> Result<Self, String> {
        Ok(Self {
            spec: fields.take("spec"),
            accepts: fields.take("accepts"),
            resource: fields.take("resource"),
            expires_at: fields.take("expires_at"),
        })
    }
}

/// What an offer says after its price.
struct Rest {
    pay_to: Address,
    pay_to_text: String,
    timeout_seconds: u64,
}

/// The fields of a JSON object; `None` when it is none.
pub(super) fn object(json: &Bytes) -> Option<Fields<'_>> {
    let text = text_of(json).ok()?;
    check_depth(text).ok()?;
    Fields::parse(json, text).ok()
}

/// A JSON text's value; `None` when there is none, or it is of another type.
pub(super) fn text(value: Option<&RawJson>) -> Option<String> {
    value?.parse().ok()
}

fn entries(
    accepts: Option<&RawJson>,
    version: impl Fn(&RawJson) -> Option<Version>,
) -> Result<Vec<Entry>, ChallengeRefusal> {
    let offers: First<MOST_OFFERS> = accepts.and_then(read).ok_or(ChallengeRefusal::MalformedOffers)?;
    if offers.has_more {
        return Err(ChallengeRefusal::TooManyOffers);
    }
    Ok(offers.items.into_iter().map(|offer| Entry { version: version(&offer), offer }).collect())
}

/// The version that the fields of an offer belong to.
fn version_of(offer: &RawJson) -> Option<Version> {
    let offer: Offer = read(offer)?;
    let is_caip2 = text(offer.network.as_ref()).is_some_and(|network| network.contains(':'));
    match (offer.amount, offer.max_amount_required) {
        (Some(_), _) if is_caip2 => Some(Version::Two),
        (_, Some(_)) => Some(Version::One),
        _ => None,
    }
}

fn network(version: Version, offer: &Offer, terms: &Terms<'_>) -> Result<Network, OfferRefusal> {
    let network = text(offer.network.as_ref())
        .and_then(|name| Network::named(&name, version))
        .ok_or_else(|| OfferRefusal::UnknownNetwork(shown(offer.network.as_ref())))?;
    match terms.networks.contains(&network) {
        true => Ok(network),
        false => Err(OfferRefusal::NetworkNotAllowed(network)),
    }
}

fn amount(price: Option<&RawJson>) -> Result<U256, OfferRefusal> {
    text(price)
        .and_then(|digits| U256::from_decimal(&digits))
        .filter(|amount| *amount != U256::ZERO)
        .ok_or_else(|| OfferRefusal::BadAmount(shown(price)))
}

/// Whether a resource is on a host. Scheme and port are not compared: a server behind a TLS proxy knows neither.
fn is_at(resource: &RawJson, host: &str) -> bool {
    let url = text(Some(resource)).and_then(|url| Url::parse(&url).ok());
    url.is_some_and(|url| {
        matches!(url.scheme(), "https" | "http")
            && url.host_str().is_some_and(|own| own.eq_ignore_ascii_case(host))
    })
}

/// A point in time, of RFC 3339 in UTC.
fn moment(text: &RawJson) -> Option<SystemTime> {
    let text: String = text.parse().ok()?;
    // The parser slices by bytes.
    text.is_ascii().then(|| humantime::parse_rfc3339(&text).ok())?
}

fn usd(nano_usd: u64) -> Usd {
    Usd::from(Decimal::from_i128_with_scale(i128::from(nano_usd), 9))
}

/// A value for a sentence.
fn shown(value: Option<&RawJson>) -> String {
    match value {
        Some(value) => {
            format!("`{}`", one_line(&text(Some(value)).unwrap_or_else(|| value.text().to_owned()), 60))
        }
        None => "(none)".to_owned(),
    }
}

#[cfg(test)]
mod tests;
