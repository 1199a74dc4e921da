//! How `--pay` pays: what was typed and what the environment says, made into one plan before anything is sent.
//!
//! Who pays a 402, and whether, is the SDK's affair. Here is only with what it is set up.

mod advice;
mod args;
mod by_hand;
mod caps;
mod notes;
mod x402;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use amply_sandbox::Sandbox;
use amply_sdk::{Address, AdminTopUp, ClientBuilder, Error, Network, Signer, SpendPolicy, TopUpService, env};
use zeroize::Zeroizing;

pub(crate) use self::advice::Advice;
pub(crate) use self::args::{PayArgs, check_caps};
pub(crate) use self::by_hand::by_hand;
pub(crate) use self::caps::Caps;
use self::notes::tell;
pub(crate) use self::x402::X402;
use crate::exit::Failed;
use crate::table::one_line;
use crate::term::Term;

/// How long the service may take for one top-up, and the signer for one signature.
const PAYER_LIMIT: Duration = Duration::from_secs(30);
/// How long the answer to a request that carries a payment is waited for; the SDK's own limit.
const PAID_ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// Who pays, and within what.
pub(crate) enum Means {
    /// Those who were named, within caps that the store keeps.
    Named { payers: Payers, caps: Caps, store: Result<PathBuf, Error> },
    /// The embedded sandbox itself, within caps of this process: by x402 where a network was named, else by its service.
    Sandbox { networks: Vec<Network>, caps: Caps },
    /// The embedded sandbox, with its admin secret.
    SandboxAdmin { caps: Caps },
    /// The person at the terminal. No payment of ours: no ledger, no cap.
    ByHand,
}

/// Those who hold money, or the key to it. Where a 402 can be paid in both ways the service goes first.
pub(crate) struct Payers {
    service: Option<Box<TopUpService>>,
    x402: Option<Box<X402>>,
    admin: Option<AdminTopUp>,
}

/// Where `--pay` is used.
pub(crate) struct Place<'a> {
    pub(crate) is_sandbox: bool,
    pub(crate) has_person: bool,
    /// `--store`.
    pub(crate) store: Option<&'a PathBuf>,
}

impl Means {
    /// What was configured; `None` without `--pay`.
    pub(crate) fn of(args: &PayArgs, place: &Place<'_>) -> Result<Option<Self>, Failed> {
        if !args.pay {
            return Ok(None);
        }
        if place.is_sandbox {
            let caps = Caps::read(args, &variable)?;
            return Ok(Some(Self::Sandbox { networks: args.networks(), caps }));
        }
        let url = topup_url(args)?;
        if url.is_none() && args.x402_network.is_empty() {
            return match place.has_person {
                true => Ok(Some(Self::ByHand)),
                false => Err(Failed::Usage(format!(
                    "`--pay` finds nobody who pays; name a top-up service with `--topup-url` or {}, or a network for x402 \
                     with `--x402-network`, or run it at a terminal, without `--json` and `--quiet`, and top up by hand",
                    env::TOPUP_URL
                ))),
            };
        }
        let caps = Caps::read(args, &variable)?;
        let service = match url {
            Some(url) => Some(Box::new(service(&url)?)),
            None => None,
        };
        let x402 = match args.networks() {
            networks if networks.is_empty() => None,
            networks => Some(Box::new(X402::of_environment(networks)?)),
        };
        let store = crate::place::of_store(place.store);
        Ok(Some(Self::Named { payers: Payers { service, x402, admin: None }, caps, store }))
    }

    /// The admin secret, for a top-up that is ordered; `None` is the embedded sandbox's own.
    pub(crate) fn of_admin(
        secret: Option<Zeroizing<String>>,
        caps: Caps,
        store: Option<&PathBuf>,
    ) -> Result<Self, Failed> {
        let Some(mut secret) = secret else { return Ok(Self::SandboxAdmin { caps }) };
        // The payer clears its memory, too.
        let mut admin = AdminTopUp::new(std::mem::take(&mut *secret))?;
        if let Some(file) = variable(env::CA_BUNDLE) {
            let pem = std::fs::read(&file).map_err(|error| {
                let file = one_line(&file.to_string_lossy());
                Failed::Usage(format!("the CA bundle `{file}` of {} cannot be read: {error}", env::CA_BUNDLE))
            })?;
            admin = admin.ca_certificate(pem)?;
        }
        let payers = Payers { service: None, x402: None, admin: Some(admin) };
        Ok(Self::Named { payers, caps, store: crate::place::of_store(store) })
    }

    pub(crate) fn caps(&self) -> Option<&Caps> {
        match self {
            Self::Named { caps, .. } | Self::Sandbox { caps, .. } | Self::SandboxAdmin { caps } => Some(caps),
            Self::ByHand => None,
        }
    }

    /// The networks that were named for x402.
    fn networks(&self) -> &[Network] {
        match self {
            Self::Named { payers: Payers { x402: Some(x402), .. }, .. } => &x402.networks,
            Self::Sandbox { networks, .. } => networks,
            _ => &[],
        }
    }

    /// Who pays by x402, where that is known before the sandbox has begun.
    fn payer(&self) -> Option<Address> {
        match self {
            Self::Named { payers, .. } => payers.x402.as_ref().map(|x402| x402.signer.address()),
            _ => None,
        }
    }

    /// Whether somebody tops up the wallet.
    fn has_service(&self) -> bool {
        match self {
            Self::Named { payers, .. } => payers.service.is_some(),
            Self::Sandbox { networks, .. } => networks.is_empty(),
            Self::SandboxAdmin { .. } | Self::ByHand => false,
        }
    }
}

impl Payers {
    /// The sandbox's own. Neither the environment's service nor its key is touched.
    pub(crate) fn of_sandbox(sandbox: &Sandbox, networks: Vec<Network>) -> Result<Self, Error> {
        Ok(match networks.is_empty() {
            true => {
                let service = TopUpService::new(sandbox.topup_url())?.token(sandbox.topup_token())?;
                Self { service: Some(Box::new(service)), x402: None, admin: None }
            }
            false => {
                let x402 = Some(Box::new(X402::of_sandbox(sandbox, networks)?));
                Self { service: None, x402, admin: None }
            }
        })
    }

    /// Who orders a top-up at the embedded sandbox.
    pub(crate) fn of_sandbox_admin(sandbox: &Sandbox) -> Result<Self, Error> {
        let admin = Some(AdminTopUp::new(sandbox.admin_secret())?);
        Ok(Self { service: None, x402: None, admin })
    }

    /// What may be running when the command ends, in words, and how long at most.
    pub(crate) fn longest(&self) -> Longest {
        match self.x402 {
            Some(_) => Longest { what: "a payment", limit: PAID_ANSWER_LIMIT },
            None => Longest { what: "a top-up", limit: PAYER_LIMIT },
        }
    }

    /// Has a client pay by them.
    pub(crate) fn pay_for(
        self,
        mut builder: ClientBuilder,
        policy: SpendPolicy,
        term: &Term,
    ) -> ClientBuilder {
        let (term, key_from) = (*term, self.x402.as_ref().map(|x402| x402.key_from));
        if let Some(service) = self.service {
            builder = builder.wallet_payer(*service);
        }
        if let Some(admin) = self.admin {
            builder = builder.wallet_payer(admin);
        }
        if let Some(x402) = self.x402 {
            builder = builder.x402(x402.signer, x402.networks);
        }
        builder
            .spend_policy(policy)
            .payer_timeout(PAYER_LIMIT)
            .on_event(move |event| tell(event, key_from, &term))
    }
}

/// The payment that takes longest.
#[derive(Clone, Copy)]
pub(crate) struct Longest {
    pub(crate) what: &'static str,
    pub(crate) limit: Duration,
}

/// Whether the environment names a service, so that `--pay` with a cap is all that is missing.
pub(crate) fn has_service() -> bool {
    variable(env::TOPUP_URL).is_some()
}

fn topup_url(args: &PayArgs) -> Result<Option<String>, Failed> {
    match (&args.topup_url, variable(env::TOPUP_URL)) {
        (Some(typed), _) => Ok(Some(typed.clone())),
        (None, Some(url)) => Ok(Some(url.into_string().map_err(|_| not_utf8(env::TOPUP_URL))?)),
        (None, None) => Ok(None),
    }
}

fn service(url: &str) -> Result<TopUpService, Failed> {
    let service = TopUpService::new(url)?;
    Ok(match secret(env::TOPUP_TOKEN)? {
        // The service clears its memory, too.
        Some(mut token) => service.token(std::mem::take(&mut *token))?,
        None => service,
    })
}

/// From the environment alone: an argument shows in the list of processes.
pub(crate) fn secret(name: &str) -> Result<Option<Zeroizing<String>>, Failed> {
    let Some(secret) = variable(name) else { return Ok(None) };
    match secret.into_string() {
        Ok(secret) => Ok(Some(Zeroizing::new(secret))),
        Err(secret) => {
            drop(Zeroizing::new(secret.into_encoded_bytes()));
            Err(not_utf8(name))
        }
    }
}

pub(crate) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

fn not_utf8(name: &str) -> Failed {
    Failed::Usage(format!("{name} is not valid UTF-8; set it again"))
}
