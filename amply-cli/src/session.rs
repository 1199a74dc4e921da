//! From options to a client: flag before environment, and a sandbox that touches neither key nor network.

use std::io::Read;

use amply_sandbox::Sandbox;
use amply_sdk::{Answer, Binding, Client, ClientBuilder, PrincipalPolicy, Route};

use crate::args::{Global, Principal};
use crate::exit::Failed;
use crate::term::Term;

/// The most that is read from standard input: far above any key or task.
const MAX_STDIN: u64 = 1024 * 1024;

/// A client, and the sandbox that it calls, if any. The sandbox ends with the session.
pub(crate) struct Session {
    pub(crate) client: Client,
    sandbox: Option<Sandbox>,
    warns: bool,
}

impl Session {
    pub(crate) async fn open(global: &Global, term: &Term) -> Result<Self, Failed> {
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
        if global.api_key_stdin {
            builder = builder.api_key(read_stdin("the API key")?);
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

/// Standard input as text, without the line break that ends it.
pub(crate) fn read_stdin(what: &str) -> Result<String, Failed> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(MAX_STDIN + 1).read_to_string(&mut text);
    read.map_err(|error| Failed::Usage(format!("{what} cannot be read from standard input: {error}")))?;
    if text.len() as u64 > MAX_STDIN {
        return Err(Failed::Usage(format!("{what} on standard input is larger than {MAX_STDIN} bytes")));
    }
    let less = text.strip_suffix("\r\n").or_else(|| text.strip_suffix('\n')).map(str::len);
    text.truncate(less.unwrap_or(text.len()));
    Ok(text)
}
