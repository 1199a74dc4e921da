//! `amply wallet`: what the wallet holds, and topping it up with the admin secret.

use std::io::{BufRead, Write};

use amply_sdk::{ClientBuilder, Error, Payment, PaymentState, TopUpOrder, Usd, env};
use clap::Subcommand;
use zeroize::Zeroizing;

use crate::args::Global;
use crate::exit::Failed;
use crate::pay::{Caps, Means, check_caps, secret, variable};
use crate::session::{Session, Setup, admin_secret_from_stdin};
use crate::table::{self, cents};
use crate::term::{Term, write_stderr};

#[derive(Subcommand)]
pub(crate) enum WalletCommand {
    /// Show what the wallet holds and how many routes that pays for
    Balance,
    /// Credit a wallet; for operators, as it takes the admin secret, from AMPLY_ADMIN_SECRET. As JSON it is the payment, as
    /// `amply payments show` has it
    Topup(TopUpArgs),
}

#[derive(clap::Args)]
pub(crate) struct TopUpArgs {
    /// How much, in whole cents
    #[arg(value_name = "USD", allow_negative_numbers = true)]
    amount: Usd,
    /// Whose wallet; that of your own key unless given
    #[arg(long, value_name = "ID")]
    principal_id: Option<String>,
    /// What it is for, in words
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// The same for every time that this job is run: what was topped up under a key is not topped up again. The store sees to
    /// that; another store sends the API the same key, which it does not promise to heed
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Read the admin secret from standard input
    #[arg(long)]
    admin_secret_stdin: bool,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// The most that one top-up may take
    #[arg(long, value_name = "USD", allow_negative_numbers = true)]
    max_topup_usd: Option<Usd>,
    /// The most that all payments of a UTC day may take, by the store; required, here or as AMPLY_MAX_DAILY_USD
    #[arg(long, value_name = "USD", allow_negative_numbers = true)]
    max_daily_usd: Option<Usd>,
}

/// A top-up that was confirmed.
pub(crate) struct Planned {
    order: TopUpOrder,
    pub(crate) setup: Setup,
}

impl TopUpArgs {
    /// Options that exclude each other.
    pub(crate) fn check(&self, global: &Global) -> Result<(), Failed> {
        let refuse = |message: &str| Err(Failed::Usage(message.to_owned()));
        if self.admin_secret_stdin && global.api_key_stdin {
            return refuse(
                "`--admin-secret-stdin` cannot be used with `--api-key-stdin`: both would read standard input",
            );
        }
        if self.admin_secret_stdin && global.sandbox {
            return refuse(
                "`--admin-secret-stdin` cannot be used with `--sandbox`: it has a secret of its own",
            );
        }
        check_caps(&[("--max-topup-usd", self.max_topup_usd), ("--max-daily-usd", self.max_daily_usd)])
    }

    /// What is to be topped up, by whom, and that the person wants it.
    pub(crate) fn plan(&self, global: &Global, term: &Term) -> Result<Planned, Failed> {
        let order = self.order()?;
        let caps = Caps::of_topup(self.max_topup_usd, self.max_daily_usd, &variable)?;
        let secret = match (global.sandbox, self.admin_secret_stdin) {
            (true, _) => None,
            (false, true) => Some(Zeroizing::new(admin_secret_from_stdin()?)),
            (false, false) => Some(secret(env::ADMIN_SECRET)?.ok_or_else(|| {
                Failed::Usage(format!(
                    "there is no admin secret; set {}, or pass it with `--admin-secret-stdin`",
                    env::ADMIN_SECRET
                ))
            })?),
        };
        let means = Means::of_admin(secret, caps, global.store.as_ref())?;
        self.confirm(global, &caps, term)?;
        Ok(Planned { order, setup: Setup { means: Some(means), ..Setup::default() } })
    }

    fn order(&self) -> Result<TopUpOrder, Failed> {
        let mut order = TopUpOrder::new(self.amount);
        if let Some(id) = &self.principal_id {
            order = order.principal_id(id);
        }
        if let Some(reason) = &self.reason {
            order = order.reason(reason);
        }
        if let Some(key) = &self.idempotency_key {
            order = order.idempotency_key(key);
        }
        order.validate()?;
        Ok(order)
    }

    /// Asks the person at the terminal. Where there is none it must have been said.
    fn confirm(&self, global: &Global, caps: &Caps, term: &Term) -> Result<(), Failed> {
        if self.yes {
            return Ok(());
        }
        if !term.has_person() || self.admin_secret_stdin || global.api_key_stdin {
            return Err(Failed::Usage(
                "`amply wallet topup` moves money, and nobody can be asked; add `--yes`".to_owned(),
            ));
        }
        let whose = self.principal_id.as_deref().map(table::one_line);
        let whose = whose.map_or_else(|| "your key".to_owned(), |id| format!("`{id}`"));
        write_stderr(&format!(
            "top up the wallet of {whose} at {} by {} USD, within {}? [y/N] ",
            server(global)?,
            cents(self.amount),
            caps.of_topup_in_words()
        ));
        let _ = std::io::stderr().flush();
        let mut said = String::new();
        let read = std::io::stdin().lock().read_line(&mut said);
        match read.is_ok() && matches!(said.trim(), "y" | "Y" | "yes") {
            true => Ok(()),
            false => Err(Failed::Local("it was not confirmed; nothing was paid".to_owned())),
        }
    }
}

/// Where the secret would go, for a sentence.
fn server(global: &Global) -> Result<String, Failed> {
    if global.sandbox {
        return Ok("the embedded sandbox".to_owned());
    }
    let builder = ClientBuilder::from_env();
    let builder = match &global.base_url {
        Some(url) => builder.base_url(url),
        None => builder,
    };
    Ok(builder.build()?.base_url().to_owned())
}

pub(crate) async fn top_up(session: &Session, planned: Planned, term: &Term) -> Result<(), Failed> {
    if let Some(why) = session.unpaid() {
        return Err(Error::Store(why.to_owned()).into());
    }
    let payment = session.client.top_up(planned.order).await?;
    if payment.state == PaymentState::SettledNotApplied {
        term.warn("the wallet does not show it yet; nobody pays for this wallet until it does");
    }
    if term.is_json() {
        // Texts, numbers and times can always be written.
        return Ok(term.print_json(&serde_json::to_string(&payment).unwrap_or_default())?);
    }
    Ok(term.print(&table::pairs(pairs_of(&payment), term.width()))?)
}

fn pairs_of(payment: &Payment) -> Vec<(&'static str, Option<String>)> {
    let receipt = payment.receipt.as_ref();
    let usd = |amount: Usd| format!("{} USD", cents(amount));
    vec![
        ("topped up", Some(usd(payment.amount))),
        ("balance", receipt.and_then(|receipt| receipt.balance_usd).map(usd)),
        ("principal", payment.principal_id.clone()),
        ("payment", Some(payment.id.clone())),
        ("top-up id", receipt.and_then(|receipt| receipt.topup_id.clone())),
    ]
}

pub(crate) async fn balance(session: &Session, term: &Term) -> Result<(), Failed> {
    let status = session.client.billing_status().await?;
    if status.can_call == Some(false) {
        term.warn("the balance does not cover a call; top up the wallet");
    }
    if term.is_json() {
        return Ok(term.print_json(status.text())?);
    }
    let currency = status.currency.as_deref().unwrap_or("USD");
    let amount =
        |amount: Option<amply_sdk::Usd>| amount.map(|amount| format!("{} {currency}", table::cents(amount)));
    let pairs = vec![
        ("balance", amount(status.balance_usd)),
        ("one route", amount(status.charge_per_route_usd)),
        ("runway", status.runway_routes().map(|routes| format!("{routes} routes"))),
        ("can call", status.can_call.map(|can| if can { "yes" } else { "no" }.to_owned())),
        ("principal", status.principal_id.clone()),
    ];
    Ok(term.print(&table::pairs(pairs, term.width()))?)
}
