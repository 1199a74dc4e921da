//! From options to a client: flag before environment, and a sandbox that touches neither key nor network.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use amply_sandbox::{NanoUsd, OpenPayments, Sandbox};
use amply_sdk::{
    Binding, Client, ClientBuilder, Error, Failure, PrincipalBinding, PrincipalPolicy, Store, env,
};
use zeroize::Zeroizing;

use crate::args::{Global, Principal};
use crate::exit::Failed;
use crate::pay::{Longest, Means, Payers};
use crate::place;
use crate::table::one_line;
use crate::term::Term;

/// More bytes than any key has.
const MAX_KEY: usize = 4096;
/// More bytes than any ticket has.
const MAX_TICKET: usize = 16 * 1024;
/// Far more bytes than the longest task has.
const MAX_TASK: usize = 1024 * 1024;
/// As many bytes as the input of an execution may have.
const MAX_INPUT: usize = 8 * 1024 * 1024;
/// As many bytes as a credential's secret may have.
pub(crate) const MAX_SECRET: usize = 8192;
/// More bytes than the headers for a target have.
const MAX_HEADERS: usize = 64 * 1024;

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
    /// Of the embedded sandbox: whether agents may sign up.
    pub(crate) agent_signup: bool,
    /// No key is sent, so that a malformed one is no hindrance.
    pub(crate) is_keyless: bool,
    /// Nothing is sent, and no store is made. One that is there is opened as for any command.
    pub(crate) is_dry_run: bool,
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
                let mut sandbox =
                    Sandbox::builder().strict_wallet(setup.strict).agent_signup(setup.agent_signup);
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
        if setup.is_keyless {
            builder = builder.without_api_key();
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
            (Some(Means::Named { payers, caps, store }), _) => match open(store, setup.is_dry_run).await {
                Ok(store) => {
                    longest = Some(payers.longest());
                    // Where there is no store nothing was spent yet.
                    let policy = caps.policy();
                    let policy = if store.is_some() { policy } else { policy.per_process_only() };
                    kept = store;
                    builder = payers.pay_for(builder, policy, term);
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
            (Some(Means::SandboxAdmin { caps }), Some(sandbox)) => {
                let payers = Payers::of_sandbox_admin(sandbox)?;
                longest = Some(payers.longest());
                builder = payers.pay_for(builder, caps.policy().per_process_only(), term);
            }
            _ => {}
        }
        if setup.is_dry_run {
            builder = builder.plans_only();
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

    /// What to do where there is no such credential.
    pub(crate) fn advise_on_credential(&self, failed: Failed) -> Failed {
        match failed {
            Failed::Call { error, .. }
                if error.failure().and_then(Failure::server_code) == Some("credential_not_found") =>
            {
                let hint = match self.is_sandbox() {
                    true => {
                        "the sandbox of `--sandbox` ends with its command, and keeps nothing for another one; serve one with \
                         `amply sandbox`, and name it with `--base-url`"
                    }
                    false => "`amply credentials list` shows the credentials of this key",
                };
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
    pub(crate) fn principal_warning(&self, binding: &PrincipalBinding) -> Option<&'static str> {
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

/// The store of payments. One that is not there is not made only to look at it. One that is there is opened as ever: brought up to
/// this version, and set aside where it cannot be read.
async fn open(file: Result<PathBuf, Error>, is_dry_run: bool) -> Result<Option<Store>, Error> {
    match is_dry_run {
        true => place::open_if_there(file?).await,
        false => place::open(file).await.map(Some),
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

/// The token of a signup, from standard input.
pub(crate) fn signup_token_from_stdin() -> Result<Zeroizing<String>, Failed> {
    read_stdin("the token", MAX_KEY).map(Zeroizing::new)
}

/// The task, from standard input.
pub(crate) fn task_from_stdin() -> Result<String, Failed> {
    read_stdin("the task", MAX_TASK)
}

/// The body of a call, from standard input.
pub(crate) fn body_from_stdin(most: usize) -> Result<String, Failed> {
    read_stdin("the body", most)
}

/// The same from a file, of which no more is read than may be sent.
pub(crate) fn body_from_file(file: &Path, most: usize) -> Result<String, Failed> {
    secret_text("the body", file, most).map(|mut text| std::mem::take(&mut *text))
}

/// A ticket, from standard input.
pub(crate) fn ticket_from_stdin() -> Result<String, Failed> {
    read_stdin("the ticket", MAX_TICKET)
}

/// The admin secret, from standard input.
pub(crate) fn admin_secret_from_stdin() -> Result<String, Failed> {
    read_stdin("the admin secret", MAX_KEY)
}

/// The secret of a credential, from standard input.
pub(crate) fn secret_from_stdin() -> Result<Zeroizing<String>, Failed> {
    read_stdin("the secret", MAX_SECRET).map(Zeroizing::new)
}

/// The same from a file.
pub(crate) fn secret_from_file(file: &Path) -> Result<Zeroizing<String>, Failed> {
    secret_text("the secret", file, MAX_SECRET)
}

/// The headers for a target, from a file.
pub(crate) fn headers_from_file(file: &Path) -> Result<Zeroizing<String>, Failed> {
    secret_text("the file of headers", file, MAX_HEADERS)
}

/// The input of an execution, from standard input.
pub(crate) fn input_from_stdin() -> Result<String, Failed> {
    read_stdin("the input", MAX_INPUT)
}

/// The same from a file.
pub(crate) fn input_from_file(file: &Path) -> Result<String, Failed> {
    secret_text("the input", file, MAX_INPUT).map(|mut text| std::mem::take(&mut *text))
}

/// A file as text, without the line break that ends it.
fn secret_text(what: &str, file: &Path, most: usize) -> Result<Zeroizing<String>, Failed> {
    let origin = format!("in `{}`", one_line(&file.to_string_lossy()));
    let opened = File::open(file);
    let opened = opened.map_err(|error| Failed::Usage(format!("{what} {origin} cannot be read: {error}")))?;
    read_text(what, &origin, opened, most).map(Zeroizing::new)
}

/// Standard input as text, without the line break that ends it.
fn read_stdin(what: &str, most: usize) -> Result<String, Failed> {
    read_text(what, "on standard input", std::io::stdin().lock(), most)
}

fn read_text(what: &str, origin: &str, from: impl Read, most: usize) -> Result<String, Failed> {
    // One buffer that is never left behind as it grows: a key fits into its first.
    let mut bytes = Zeroizing::new(Vec::with_capacity(most.min(MAX_TASK) + 1));
    let read = from.take(most as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|error| Failed::Usage(format!("{what} {origin} cannot be read: {error}")))?;
    if bytes.len() > most {
        return Err(Failed::Usage(format!("{what} {origin} is longer than {most} bytes")));
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
        Failed::Usage(format!("{what} {origin} is not UTF-8 from byte {at} on"))
    })
}
