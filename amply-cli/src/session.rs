//! From options to a client: flag before environment, and a sandbox that touches neither key nor network.

use std::io::Read;

use amply_sandbox::Sandbox;
use amply_sdk::{Answer, Binding, Client, ClientBuilder, PrincipalPolicy, Route};
use zeroize::Zeroizing;

use crate::args::{Global, Principal};
use crate::exit::Failed;
use crate::term::Term;

/// More bytes than any key has.
const MAX_KEY: usize = 4096;
/// Far more bytes than the longest task has.
const MAX_TASK: usize = 1024 * 1024;

/// A client, and the sandbox that it calls, if any. The sandbox ends with the session.
pub(crate) struct Session {
    pub(crate) client: Client,
    sandbox: Option<Sandbox>,
    warns: bool,
}

impl Session {
    /// `key` is the one that came from standard input, if any.
    pub(crate) async fn open(global: &Global, key: Option<String>, term: &Term) -> Result<Self, Failed> {
        let (mut builder, sandbox) = match global.sandbox {
            true => {
                let sandbox =
                    Sandbox::builder().start().await.map_err(|error| Failed::Local(error.to_string()))?;
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
        Ok(Self { client: builder.build()?, sandbox, warns: global.principal == Principal::Warn })
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
