//! A look at the wallet: whose it is, and what it holds. What a payer is told of the payee comes from here and never from
//! a 402.

use std::pin::Pin;
use std::time::Duration;

use crate::client::Options;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::exchange::{Exchange, Request};
use crate::money::Usd;
use crate::wire::{Fields, RawJson, exact_usd, text_of};

const LIMIT: Duration = Duration::from_secs(15);

/// What a look found.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Looked {
    /// The server knows the wallet, or says that it has none of the kind (403, 404, 405): then with neither.
    Wallet { principal_id: Option<String>, balance: Option<Usd> },
    /// It cannot be known now.
    Failed(String),
}

/// How the wallet is looked at.
pub(crate) trait Look: Send + Sync {
    fn look(&self) -> Pin<Box<dyn Future<Output = Looked> + Send + '_>>;
}

/// By `GET /billing/status` with the client's own key, over connections of its own.
pub(crate) struct BillingStatusLook {
    pub(crate) exchange: Exchange,
    pub(crate) options: Options,
}

impl Look for BillingStatusLook {
    fn look(&self) -> Pin<Box<dyn Future<Output = Looked> + Send + '_>> {
        Box::pin(self.ask())
    }
}

impl BillingStatusLook {
    async fn ask(&self) -> Looked {
        let Endpoint { method, path, repeat, stake } = Endpoint::BILLING_STATUS;
        let url = match self.exchange.transport().base().join(path) {
            Ok(url) => url,
            Err(error) => return Looked::Failed(error.to_string()),
        };
        let request = Request {
            method,
            url,
            body: None,
            repeat,
            stake,
            idempotency_key: None,
            concealed: Default::default(),
        };
        let options = self.options.clone().timeout(LIMIT);
        let reply = match self.exchange.begin(request, &options).send().await {
            Ok(reply) => reply,
            Err(Error::Forbidden(_) | Error::NotFound(_) | Error::Unsupported(_)) => {
                return Looked::Wallet { principal_id: None, balance: None };
            }
            Err(error) => return Looked::Failed(error.message()),
        };
        let fields = text_of(&reply.body).ok().and_then(|text| Fields::parse(&reply.body, text).ok());
        let Some(mut fields) = fields else {
            return Looked::Failed("the billing status is not a JSON object".to_owned());
        };
        let currency: Option<String> = fields.take("currency");
        if let Some(currency) = currency.filter(|currency| currency != "USD") {
            return Looked::Failed(format!("the wallet is in {}", crate::text::one_line(&currency, 20)));
        }
        Looked::Wallet {
            principal_id: fields.take::<String>("principal_id").filter(|id| !id.is_empty()),
            balance: fields.take::<RawJson>("balance_usd").and_then(|raw| exact_usd(&raw)),
        }
    }
}
