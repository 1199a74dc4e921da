//! What can be typed about paying.

use amply_sdk::{Network, Usd};
use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::exit::Failed;

#[derive(clap::Args)]
#[command(next_help_heading = "Payment")]
pub(crate) struct PayArgs {
    /// Have a route paid for that the wallet does not cover, then go on: by a service or by x402 within the caps below, or, at
    /// a terminal where neither is named, by you while the command waits
    #[arg(long)]
    pub(crate) pay: bool,
    /// The service that tops up the wallet; its token is read from AMPLY_TOPUP_TOKEN
    #[arg(long, value_name = "URL")]
    pub(crate) topup_url: Option<String>,
    /// Pay by x402, in USDC on this network, where a server asks for it; may be given more than once, the preferred one first.
    /// The private key that signs is read from AMPLY_X402_KEY
    #[arg(long, value_name = "NAME", ignore_case = true, value_parser = network())]
    pub(crate) x402_network: Vec<Network>,
    /// The most that one top-up may take
    #[arg(long, value_name = "USD", allow_negative_numbers = true)]
    pub(crate) max_topup_usd: Option<Usd>,
    /// The most that this route may cost; x402 needs it
    #[arg(long, value_name = "USD", allow_negative_numbers = true)]
    pub(crate) max_request_usd: Option<Usd>,
    /// The most that all payments of a UTC day may take, by the store; a service and x402 need it
    #[arg(long, value_name = "USD", allow_negative_numbers = true)]
    pub(crate) max_daily_usd: Option<Usd>,
}

/// The networks whose USDC is known: on any other, every offer would be refused.
fn network() -> impl TypedValueParser<Value = Network> {
    PossibleValuesParser::new(Network::WITH_USDC.into_iter().filter_map(Network::v1_name))
        .try_map(|name| name.parse::<Network>())
}

impl PayArgs {
    /// What cannot be meant, whatever the environment says.
    pub(crate) fn check(&self, is_sandbox: bool) -> Result<(), Failed> {
        let caps = [
            ("--max-topup-usd", self.max_topup_usd),
            ("--max-request-usd", self.max_request_usd),
            ("--max-daily-usd", self.max_daily_usd),
        ];
        check_caps(&caps)?;
        let typed = caps.iter().find(|(_, amount)| amount.is_some()).map(|(flag, _)| *flag);
        let typed = self.x402_network.first().map(|_| "--x402-network").or(typed);
        let typed = self.topup_url.as_ref().map(|_| "--topup-url").or(typed);
        if let Some(flag) = typed.filter(|_| !self.pay) {
            return Err(Failed::Usage(format!("`{flag}` needs `--pay`: without it nothing is ever paid")));
        }
        if is_sandbox && self.topup_url.is_some() {
            return Err(Failed::Usage(
                "`--sandbox` cannot be used with `--topup-url`: it has a service of its own".to_owned(),
            ));
        }
        Ok(())
    }

    /// The networks for x402, each once.
    pub(crate) fn networks(&self) -> Vec<Network> {
        let mut networks = Vec::new();
        for network in &self.x402_network {
            if !networks.contains(network) {
                networks.push(*network);
            }
        }
        networks
    }
}

/// Refuses a cap under which nothing could be paid.
pub(crate) fn check_caps(caps: &[(&str, Option<Usd>)]) -> Result<(), Failed> {
    for (flag, amount) in caps {
        if let Some(amount) = amount.filter(|amount| !amount.is_positive()) {
            return Err(Failed::Usage(format!("`{flag}` is {amount} USD; it must be above 0")));
        }
    }
    Ok(())
}
