//! `amply credentials`: what the server keeps for executions. A secret comes from a file, a pipe or a prompt, and never from an
//! argument, which shows in the list of processes.

use std::path::PathBuf;

use amply_sdk::{NewCredential, RemovedCredential};
use clap::Subcommand;
use serde::Serialize;

use crate::args::Global;
use crate::exit::Failed;
use crate::prompt;
use crate::session::{Session, secret_from_file, secret_from_stdin};
use crate::table::{self, text, whole};
use crate::term::Term;

#[derive(Subcommand)]
pub(crate) enum CredentialsCommand {
    /// List the credentials that the server keeps, without their secrets
    List,
    /// Have the server keep a secret, read from standard input or a file
    Add {
        /// The provider that it is for, as routes name it
        #[arg(value_name = "PROVIDER")]
        provider: String,
        /// A name to tell it from others by
        #[arg(long, value_name = "LABEL")]
        label: Option<String>,
        /// The file to read the secret from, instead of standard input
        #[arg(long, value_name = "FILE")]
        secret_file: Option<PathBuf>,
    },
    /// Have the server forget a credential
    Remove {
        /// The credential's id
        #[arg(value_name = "ID")]
        id: String,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
}

/// What is to be done, with the secret read and the question answered.
pub(crate) enum Planned {
    List,
    Add(NewCredential),
    Remove(String),
}

impl CredentialsCommand {
    /// What cannot be read from standard input besides a key.
    pub(crate) fn check(&self, global: &Global) -> Result<(), Failed> {
        let refuse = |message: &str| Err(Failed::Usage(message.to_owned()));
        match self {
            Self::Add { secret_file: None, .. } if global.api_key_stdin => refuse(
                "`--api-key-stdin` needs `--secret-file`: both the key and the secret would be read from standard input",
            ),
            Self::Remove { yes: false, .. } if global.api_key_stdin => refuse(
                "`--api-key-stdin` needs `--yes`: both the key and the answer would be read from standard input",
            ),
            _ => Ok(()),
        }
    }

    pub(crate) fn plan(&self, term: &Term) -> Result<Planned, Failed> {
        Ok(match self {
            Self::List => Planned::List,
            Self::Add { provider, label, secret_file } => {
                let mut secret = match secret_file {
                    Some(file) => secret_from_file(file)?,
                    None if term.has_person() => {
                        prompt::secret(&format!("secret for {}", table::one_line(provider)))?
                    }
                    None => secret_from_stdin()?,
                };
                // The library clears its memory, too.
                let mut credential = NewCredential::new(provider, std::mem::take(&mut *secret));
                if let Some(label) = label {
                    credential = credential.label(label);
                }
                credential.validate()?;
                Planned::Add(credential)
            }
            Self::Remove { id, yes: true } => Planned::Remove(id.clone()),
            Self::Remove { id, .. } if term.has_person() => {
                let question = format!(
                    "remove the credential `{}`? executions that use it will fail",
                    table::one_line(id)
                );
                match prompt::confirm(&question)? {
                    true => Planned::Remove(id.clone()),
                    false => return Err(Failed::Local("the credential was not removed".to_owned())),
                }
            }
            Self::Remove { .. } => {
                return Err(Failed::Usage(
                    "`amply credentials remove` asks first, and there is no terminal to ask at; add `--yes`"
                        .to_owned(),
                ));
            }
        })
    }
}

pub(crate) async fn run(session: &Session, planned: Planned, term: &Term) -> Result<(), Failed> {
    let credentials = session.client.credentials();
    match planned {
        Planned::List => list(session, term).await,
        Planned::Add(credential) => {
            let added = credentials.add(credential).await?;
            if term.is_json() {
                return Ok(term.print_json(added.text())?);
            }
            let id = added.id().map_or_else(|| "without an id".to_owned(), table::one_line);
            Ok(term.print(&format!("added {id}; `amply execute TASK --vault-ref ID` uses it"))?)
        }
        Planned::Remove(id) => {
            let removed = credentials.remove(&id).await;
            show_removed(&removed.map_err(|error| session.advise_on_credential(error.into()))?, term)
        }
    }
}

async fn list(session: &Session, term: &Term) -> Result<(), Failed> {
    let list = session.client.credentials().list().await?;
    if term.is_json() {
        return Ok(term.print_json(list.text())?);
    }
    if list.credentials.is_empty() {
        return Ok(term.print("no credentials")?);
    }
    let columns = [whole("ID"), text("PROVIDER"), text("LABEL"), text("CREATED"), text("LAST USED")];
    let rows = list.credentials.iter().map(|credential| {
        let last_used = credential.last_used_at.clone().unwrap_or_else(|| "never".to_owned());
        vec![
            table::or_dash(credential.id.as_ref()),
            table::or_dash(credential.provider_id.as_ref()),
            table::or_dash(credential.label.as_ref()),
            table::or_dash(credential.created_at.as_ref()),
            last_used,
        ]
    });
    Ok(term.print(&table::lines(&columns, rows.collect(), term.width()).join("\n"))?)
}

/// What is printed where no answer of the server tells. The last field is ours and says whose answer this is.
#[derive(Serialize)]
struct Gone<'a> {
    ok: bool,
    /// Always null: not known.
    deleted: Option<bool>,
    id: &'a str,
    amply_answered_from: &'static str,
}

fn show_removed(removed: &RemovedCredential, term: &Term) -> Result<(), Failed> {
    let id = table::one_line(&removed.id);
    match (term.is_json(), &removed.receipt) {
        (true, Some(receipt)) => Ok(term.print_json(receipt.text())?),
        (true, None) => {
            let gone = Gone { ok: true, deleted: None, id: &removed.id, amply_answered_from: "retry" };
            // A text and two flags can always be written.
            Ok(term.print_json(&serde_json::to_string(&gone).unwrap_or_default())?)
        }
        (false, Some(_)) => Ok(term.print(&format!("removed {id}"))?),
        (false, None) => Ok(term.print(&format!("{id} is gone; whether this call removed it is not known"))?),
    }
}
