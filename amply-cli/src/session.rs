//! From options to a client: flag before environment, and a sandbox that touches neither key nor network.

use std::io::Read;

use amply_sandbox::{NanoUsd, OpenPayments, Sandbox};
use amply_sdk::{Answer, Binding, Client, ClientBuilder, Error, PrincipalPolicy, Route, Store, env};
use zeroize::Zeroizing;

use crate::args::{Global, Principal};
use crate::exit::Failed;
use crate::pay::{Longest, Means, Payers};
use crate::place;
use crate::term::Term;

/// More bytes than any key has.
const MAX_KEY: usize = 4096;
/// More bytes than any ticket has.
const MAX_TICKET: usize = 16 * 1024;
/// Far more bytes than the longest task has.
const MAX_TASK: usize = 1024 * 1024;

/// A client, and the sandbox that it calls, if any. The sandbox ends with the session.
pub(crate) struct Session {
    pub(crate) client: Client,
    sandbox: Option<Sandbox>,
    warns: bool,
    unpaid: Option<String>,
    longest: Option<Longest>,
    keeps_reports: bool,
}

/// What a command has to do with reports, and so which store it needs.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Reports {
    /// Nothing.
    #[default]
    None,
    /// It makes them, and looks up what was made before where there is a store.
    Known,
    /// It hands them over to the store.
    Kept,
    /// The same, and goes on without one. What waits in it is delivered meanwhile.
    KeptWherePossible,
}

/// What a session is to have besides what holds for every command.
#[derive(Default)]
pub(crate) struct Setup {
    /// Who pays.
    pub(crate) means: Option<Means>,
    /// Of the embedded sandbox: whether it answers 402, and what its wallet holds.
    pub(crate) strict: bool,
    pub(crate) balance: Option<NanoUsd>,
    /// Which open payments it asks for.
    pub(crate) open: Option<OpenPayments>,
    pub(crate) reports: Reports,
}

impl Session {
    /// `key` is the one that came from standard input, if any.
    pub(crate) async fn open(
        global: &Global,
        key: Option<String>,
        setup: Setup,
        term: &Term,
    ) -> Result<Self, Failed> {
        let (mut builder, sandbox) = match global.sandbox {
            true => {
                let mut sandbox = Sandbox::builder().strict_wallet(setup.strict);
                if let Some(balance) = setup.balance {
                    sandbox = sandbox.balance(balance);
                }
                if let Some(open) = setup.open {
                    sandbox = sandbox.open_payments(open);
                }
                let sandbox = sandbox.start().await.map_err(|error| Failed::Local(error.to_string()))?;
                term.note("this is the embedded sandbox: a local server with sample data");
                let builder = Client::builder().base_url(sandbox.url()).api_key(sandbox.user_key());
                (builder, Some(sandbox))
            }
            false => (ClientBuilder::from_env(), None),
        };
        if let Some(url) = &global.base_url {
            builder = builder.base_url(url);
        }
        if let Some(key) = key {
            builder = builder.api_key(key);
        }
        if let Some(limit) = global.timeout {
            builder = builder.timeout(limit);
        }
        builder = builder.principal_policy(match global.principal {
            Principal::Require => PrincipalPolicy::Require,
            Principal::Warn => PrincipalPolicy::Warn,
            Principal::Ignore => PrincipalPolicy::Ignore,
        });
        let (mut unpaid, mut longest, mut kept) = (None, None, None);
        match (setup.means, &sandbox) {
            (Some(Means::Named { payers, caps, store }), _) => match place::open(store).await {
                Ok(store) => {
                    longest = Some(payers.longest());
                    kept = Some(store.clone());
                    builder = payers.pay_for(builder, caps.policy(), term);
                }
                Err(error) => {
                    term.warn(&format!("nothing will be paid: {}", error.message()));
                    unpaid = Some(error.message());
                }
            },
            (Some(Means::Sandbox { networks, caps }), Some(sandbox)) => {
                let payers = Payers::of_sandbox(sandbox, networks)?;
                longest = Some(payers.longest());
                builder = payers.pay_for(builder, caps.policy().per_process_only(), term);
            }
            _ => {}
        }
        if kept.is_none() && sandbox.is_none() {
            kept = store_of_reports(global, setup.reports, term).await?;
        }
        let keeps_reports = kept.is_some();
        if let Some(store) = kept {
            builder = builder.store(store);
        }
        // Whoever is gone in a moment delivers what it was asked to deliver.
        builder = builder.deliver_in_background(setup.reports == Reports::KeptWherePossible);
        let warns = global.principal == Principal::Warn;
        Ok(Self { client: builder.build()?, sandbox, warns, unpaid, longest, keeps_reports })
    }

    /// Whether a report that is handed over outlives this process.
    pub(crate) fn keeps_reports(&self) -> bool {
        self.keeps_reports
    }

    /// What to do where the sandbox of this process does not know a route.
    pub(crate) fn advise_on_route(&self, failed: Failed) -> Failed {
        match failed {
            Failed::Call { error, .. } if self.is_sandbox() && matches!(*error, Error::NotFound(_)) => {
                let hint = "the sandbox of `--sandbox` ends with its command, and knows no route of another one; serve one \
                            with `amply sandbox`, and name it with `--base-url`";
                Failed::Call { error, hint: Some(hint.to_owned()) }
            }
            other => other,
        }
    }

    /// The payment that may be running when the command ends.
    pub(crate) fn longest_payment(&self) -> Option<Longest> {
        self.longest
    }

    /// Why nothing is paid though somebody could pay.
    pub(crate) fn unpaid(&self) -> Option<&str> {
        self.unpaid.as_deref()
    }

    /// What to say about a route that is not bound to a principal.
    pub(crate) fn principal_warning(&self, route: &Answer<Route>) -> Option<&'static str> {
        let binding = route.principal();
        let concerns = self.warns && binding.binding == Binding::NotBound && binding.key_kind.is_some();
        concerns.then_some(match binding.is_contradictory {
            true => "the server contradicts itself on whether this route counts for a wallet and a history",
            false => "this route counts for no wallet and no history: the key is bound to no principal",
        })
    }

    /// Whether the server is the one inside this process.
    pub(crate) fn is_sandbox(&self) -> bool {
        self.sandbox.is_some()
    }
}

async fn store_of_reports(global: &Global, reports: Reports, term: &Term) -> Result<Option<Store>, Failed> {
    let file = || place::of_store(global.store.as_ref());
    let opened = match reports {
        Reports::None => return Ok(None),
        Reports::Kept => return Ok(Some(place::open(file()).await?)),
        Reports::Known => match file() {
            Ok(file) => place::open_if_there(file).await,
            // There is none where there is no place for it.
            Err(_) => Ok(None),
        },
        Reports::KeptWherePossible => place::open(file()).await.map(Some),
    };
    Ok(opened.unwrap_or_else(|error| {
        term.warn(&format!("reports are made at once and not kept: {}", error.message()));
        None
    }))
}

/// Where the key comes from, in words; `None` where there is none, or the sandbox's own.
pub(crate) fn key_from(global: &Global) -> Option<&'static str> {
    let is_set = std::env::var_os(env::API_KEY).is_some_and(|key| !key.is_empty());
    match () {
        () if global.sandbox => None,
        () if global.api_key_stdin => Some("standard input"),
        () if is_set => Some("`AMPLY_API_KEY`"),
        () => None,
    }
}

/// The key, where it is to come from standard input.
pub(crate) fn key_from_stdin(global: &Global) -> Result<Option<String>, Failed> {
    match global.api_key_stdin {
        true => read_stdin("the API key", MAX_KEY).map(Some),
        false => Ok(None),
    }
}

/// The task, from standard input.
pub(crate) fn task_from_stdin() -> Result<String, Failed> {
    read_stdin("the task", MAX_TASK)
}

/// The body of a call, from standard input.
pub(crate) fn body_from_stdin(most: usize) -> Result<String, Failed> {
    read_stdin("the body", most)
}

/// A ticket, from standard input.
pub(crate) fn ticket_from_stdin() -> Result<String, Failed> {
    read_stdin("the ticket", MAX_TICKET)
}

/// Standard input as text, without the line break that ends it.
fn read_stdin(what: &str, most: usize) -> Result<String, Failed> {
    // One buffer that never grows, so that no copy of a key is left behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(most + 1));
    let read = std::io::stdin().lock().take(most as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|error| Failed::Usage(format!("{what} cannot be read from standard input: {error}")))?;
    if bytes.len() > most {
        return Err(Failed::Usage(format!("{what} on standard input is longer than {most} bytes")));
    }
    for end in [b"\n", b"\r"] {
        let less = bytes.strip_suffix(end).map(<[u8]>::len);
        match less {
            Some(less) => bytes.truncate(less),
            None => break,
        }
    }
    String::from_utf8(std::mem::take(&mut bytes)).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        // The bytes may be a key.
        drop(Zeroizing::new(error.into_bytes()));
        Failed::Usage(format!("{what} on standard input is not UTF-8 from byte {at} on"))
    })
}
