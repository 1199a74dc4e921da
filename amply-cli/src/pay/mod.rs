//! How `--pay` pays: what was typed and what the environment says, made into one plan before anything is sent.
//!
//! Who pays a 402, and whether, is the SDK's affair. Here is only with what it is set up.

mod advice;
mod args;
mod by_hand;
mod caps;
mod notes;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use amply_sdk::{Error, TopUpService, env};
use zeroize::Zeroizing;

pub(crate) use self::advice::Advice;
pub(crate) use self::args::PayArgs;
pub(crate) use self::by_hand::route_by_hand;
pub(crate) use self::caps::Caps;
pub(crate) use self::notes::tell;
use crate::exit::Failed;

/// How long the service may take for one top-up.
pub(crate) const PAYER_LIMIT: Duration = Duration::from_secs(30);

/// Who pays, and within what.
pub(crate) enum Means {
    /// A service that holds the money, within caps that the store keeps.
    Service { service: Box<TopUpService>, caps: Caps, store: Result<PathBuf, Error> },
    /// The service of the embedded sandbox, within caps of this process.
    Sandbox { caps: Caps },
    /// The person at the terminal. No payment of ours: no ledger, no cap.
    ByHand,
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
            return Ok(Some(Self::Sandbox { caps: Caps::read(args, &variable)? }));
        }
        let Some(url) = topup_url(args)? else {
            return match place.has_person {
                true => Ok(Some(Self::ByHand)),
                false => Err(Failed::Usage(format!(
                    "`--pay` finds nobody who pays; name a top-up service with `--topup-url` or {}, or run it at a \
                     terminal, without `--json` and `--quiet`, and top up by hand",
                    env::TOPUP_URL
                ))),
            };
        };
        let caps = Caps::read(args, &variable)?;
        let mut service = TopUpService::new(&url)?;
        if let Some(mut token) = token()? {
            // The service clears its memory, too.
            service = service.token(std::mem::take(&mut *token))?;
        }
        let store = crate::place::of_store(place.store);
        Ok(Some(Self::Service { service: Box::new(service), caps, store }))
    }

    pub(crate) fn caps(&self) -> Option<&Caps> {
        match self {
            Self::Service { caps, .. } | Self::Sandbox { caps } => Some(caps),
            Self::ByHand => None,
        }
    }
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

/// From the environment alone: an argument shows in the list of processes.
fn token() -> Result<Option<Zeroizing<String>>, Failed> {
    let Some(token) = variable(env::TOPUP_TOKEN) else { return Ok(None) };
    match token.into_string() {
        Ok(token) => Ok(Some(Zeroizing::new(token))),
        Err(token) => {
            drop(Zeroizing::new(token.into_encoded_bytes()));
            Err(not_utf8(env::TOPUP_TOKEN))
        }
    }
}

fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

fn not_utf8(name: &str) -> Failed {
    Failed::Usage(format!("{name} is not valid UTF-8; set it again"))
}
