//! What one request is asked to pay: the offers of each version, and the object they are in.
//!
//! Names and their order are those of the recorded servers.

use serde_json::{Value, json};

use super::{
    Version,
    accept::{Network, OpenPayments},
    misbehaviour::Offering,
};
use crate::{challenge::Document, money::NanoUsd};

const DESCRIPTION: &str = "Route a task to a provider";
const MIME_TYPE: &str = "application/json";

/// The offers of one request in one version.
#[derive(Clone, Debug)]
pub(crate) struct Demand {
    pub(crate) version: Version,
    offers: Vec<Document>,
    resource: String,
    offering: Offering,
}

/// What offers are made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Price<'a> {
    pub(crate) usd: NanoUsd,
    pub(crate) pay_to: &'a str,
    /// What is paid for, a full URL.
    pub(crate) resource: &'a str,
}

impl Demand {
    pub(crate) fn of(version: Version, open: &OpenPayments, price: Price<'_>, offering: &Offering) -> Self {
        let offers = open.networks.iter().map(|network| {
            let mut offer = offer(version, *network, open, price);
            offering.edit_offer(version, &mut offer);
            offer
        });
        Demand {
            version,
            offers: offers.collect(),
            resource: price.resource.to_owned(),
            offering: offering.clone(),
        }
    }

    /// As a payment has to fit them.
    pub(crate) fn offers(&self) -> Vec<Value> {
        self.texts().map(|text| serde_json::from_str(&text).unwrap_or_default()).collect()
    }

    /// Each as JSON text.
    pub(crate) fn texts(&self) -> impl Iterator<Item = String> {
        self.offers.iter().map(Document::text)
    }

    /// The object that says what has to be paid: the body of a 402 in version 1, its header in version 2.
    pub(crate) fn object(&self, error: &str) -> Document {
        let accepts = format!("[{}]", self.texts().collect::<Vec<_>>().join(","));
        let mut object = Document::default();
        let mut set = |path: &str, value: Value| object.set(path, value.to_string());
        match self.version {
            Version::V1 => {
                set("/x402Version", json!(1));
                set("/error", json!(error));
            }
            Version::V2 => {
                set("/x402Version", json!(2));
                set("/error", json!(error));
                set("/resource/url", json!(self.resource));
                set("/resource/description", json!(DESCRIPTION));
                set("/resource/mimeType", json!(MIME_TYPE));
            }
        }
        object.set("/accepts", accepts);
        self.offering.edit_around(self.version, &mut object);
        object
    }
}

fn offer(version: Version, network: Network, open: &OpenPayments, price: Price<'_>) -> Document {
    let mut offer = Document::default();
    let mut set = |path: &str, value: Value| offer.set(path, value.to_string());
    set("/scheme", json!("exact"));
    match version {
        Version::V1 => {
            set("/network", json!(network.name()));
            set("/maxAmountRequired", json!(atomic(price.usd)));
            set("/resource", json!(price.resource));
            set("/description", json!(DESCRIPTION));
            set("/mimeType", json!(MIME_TYPE));
            set("/payTo", json!(price.pay_to));
            set("/maxTimeoutSeconds", json!(open.max_timeout.as_secs()));
            set("/asset", json!(network.asset()));
            set("/outputSchema/input/type", json!("http"));
            set("/outputSchema/input/method", json!("POST"));
            set("/outputSchema/input/discoverable", json!(true));
        }
        Version::V2 => {
            set("/network", json!(format!("eip155:{}", network.chain_id())));
            set("/amount", json!(atomic(price.usd)));
            set("/asset", json!(network.asset()));
            set("/payTo", json!(price.pay_to));
            set("/maxTimeoutSeconds", json!(open.max_timeout.as_secs()));
        }
    }
    set("/extra/name", json!(network.asset_name()));
    set("/extra/version", json!("2"));
    offer
}

/// In millionths of a dollar, at par. [our] a price below one is one: it is never paid too little.
fn atomic(usd: NanoUsd) -> String {
    usd.nanos().unsigned_abs().div_ceil(1000).to_string()
}
