//! What can be typed about paying.

use amply_sdk::Usd;

use crate::exit::Failed;

#[derive(clap::Args)]
#[command(next_help_heading = "Payment")]
pub(crate) struct PayArgs {
    /// Have the wallet topped up if it does not cover the route, then go on: by a service within the caps below, or, at a
    /// terminal where none is named, by you while the command waits
    #[arg(long)]
    pub(crate) pay: bool,
    /// The service that tops up the wallet; its token is read from AMPLY_TOPUP_TOKEN
    #[arg(long, value_name = "URL")]
    pub(crate) topup_url: Option<String>,
    /// The most that one top-up may take
    #[arg(long, value_name = "USD", allow_negative_numbers = true)]
    pub(crate) max_topup_usd: Option<Usd>,
    /// The most that this route may cost
    #[arg(long, value_name = "USD", allow_negative_numbers = true)]
    pub(crate) max_request_usd: Option<Usd>,
    /// The most that all top-ups of a UTC day may take, by the store; a service needs it
    #[arg(long, value_name = "USD", allow_negative_numbers = true)]
    pub(crate) max_daily_usd: Option<Usd>,
}

impl PayArgs {
    /// What cannot be meant, whatever the environment says.
    pub(crate) fn check(&self, is_sandbox: bool) -> Result<(), Failed> {
        let caps = [
            ("--max-topup-usd", self.max_topup_usd),
            ("--max-request-usd", self.max_request_usd),
            ("--max-daily-usd", self.max_daily_usd),
        ];
        for (flag, amount) in caps {
            if let Some(amount) = amount.filter(|amount| !amount.is_positive()) {
                return Err(Failed::Usage(format!("`{flag}` is {amount} USD; it must be above 0")));
            }
        }
        let typed = caps.iter().find(|(_, amount)| amount.is_some()).map(|(flag, _)| *flag);
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
}
