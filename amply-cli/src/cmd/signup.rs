//! `amply signup`: shows the terms, asks, and shows the key once, or puts it into a file that was not there before.
//!
//! The file is made before anything is sent, and removed again where no key came. What came and cannot be read goes where the
//! key would have gone: the key may be in it, and no server shows it twice.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use amply_sdk::{Error, Failure, NewAccount, Signup, env};
use zeroize::Zeroizing;

use crate::args::Global;
use crate::exit::Failed;
use crate::session::{Session, Setup, signup_token_from_stdin};
use crate::table;
use crate::term::Term;

#[derive(clap::Args)]
pub(crate) struct SignupArgs {
    /// Accept the terms of this version without being asked; needed where there is no terminal
    #[arg(long, value_name = "VERSION")]
    accept_tos: Option<String>,
    /// Write the key into a new file that only you can read, and show it nowhere
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Read the token that some servers ask for from standard input, not from AMPLY_SIGNUP_TOKEN
    #[arg(long)]
    token_stdin: bool,
}

/// A signup that can begin.
pub(crate) struct Planned {
    accept_tos: Option<String>,
    token: Option<Zeroizing<String>>,
    key_file: Option<KeyFile>,
}

impl SignupArgs {
    pub(crate) fn check(&self, global: &Global) -> Result<(), Failed> {
        let refuse = |message: &str| Err(Failed::Usage(message.to_owned()));
        if global.api_key_stdin {
            return refuse(
                "`amply signup` cannot be used with `--api-key-stdin`: it is sent without a key, and gets one",
            );
        }
        if global.sandbox && self.token_stdin {
            return refuse("`--token-stdin` cannot be used with `--sandbox`: it asks for no token");
        }
        Ok(())
    }

    /// Reads the token, and makes the key file, so that nothing is asked and nothing sent where it cannot be made.
    pub(crate) fn plan(&self, global: &Global, term: &Term) -> Result<Planned, Failed> {
        if self.accept_tos.is_none() && (self.token_stdin || !term.has_person()) {
            return Err(Failed::Usage(
                "nobody can be asked whether the terms are accepted; read them, and accept them with `--accept-tos VERSION` \
                 (`amply status --json` has the version in `diagnostics.agent_signup`)"
                    .to_owned(),
            ));
        }
        let token = match self.token_stdin {
            true => Some(signup_token_from_stdin()?),
            // The sandbox reads no secret of yours.
            false if global.sandbox => None,
            false => token_from_env()?,
        };
        let key_file = self.key_file.as_deref().map(KeyFile::create).transpose()?;
        Ok(Planned { accept_tos: self.accept_tos.clone(), token, key_file })
    }
}

fn token_from_env() -> Result<Option<Zeroizing<String>>, Failed> {
    let Some(token) = std::env::var_os(env::SIGNUP_TOKEN).filter(|token| !token.is_empty()) else {
        return Ok(None);
    };
    let token = token.into_string().map_err(|token| {
        drop(Zeroizing::new(token.into_encoded_bytes()));
        Failed::Usage(format!("{} is not valid UTF-8; set it again", env::SIGNUP_TOKEN))
    })?;
    Ok(Some(Zeroizing::new(token)))
}

pub(crate) fn setup() -> Setup {
    Setup { agent_signup: true, is_keyless: true, ..Setup::default() }
}

pub(crate) async fn run(session: &Session, planned: Planned, term: &Term) -> Result<(), Failed> {
    let Planned { accept_tos, token, mut key_file } = planned;
    let accepted = match accept_tos {
        Some(version) => version,
        None => ask(session, term).await?,
    };
    let mut signup = Signup::accepting(accepted);
    if let Some(mut token) = token {
        signup = signup.token(std::mem::take(&mut *token));
    }
    let mut under_way = UnderWay { term, has_ended: false };
    let signed_up = session.client.signup(signup).await;
    under_way.has_ended = true;
    let account = match signed_up {
        Ok(account) => account,
        Err(error) => return Err(keep_unread(error, key_file.as_mut(), term)),
    };
    show(&account, key_file.as_mut(), term)?;
    match (session.is_sandbox(), &key_file) {
        (true, _) => term.note("the sandbox of `--sandbox` ends with this command, and the key with it"),
        (_, Some(_)) => term.note("the key is nowhere else; `AMPLY_API_KEY=$(cat FILE)` uses it"),
        (_, None) => {
            term.note("the key is shown this once; keep it with your secrets, and set AMPLY_API_KEY to it")
        }
    }
    Ok(())
}

/// Shows the terms and asks whether they are accepted; gives their version.
async fn ask(session: &Session, term: &Term) -> Result<String, Failed> {
    let client = &session.client;
    let terms = client.signup_terms().await?;
    let Some(version) = terms.tos_version else {
        return Err(Failed::Local(
            "the server does not say which terms are to be accepted; ask whoever runs it, and name them with `--accept-tos`"
                .to_owned(),
        ));
    };
    let origin: Vec<&str> = client.base_url().split('/').take(3).collect();
    // Where the server names no page, they are somewhere on its site.
    let place = terms.tos_url.unwrap_or_else(|| format!("{}/", origin.join("/")));
    term.note("a signup accepts the terms of the server; read them first");
    term.list(&[
        ("server", client.base_url().to_owned()),
        ("terms", version.clone()),
        ("to be read at", place),
    ]);
    let question = format!("Do you accept the terms of version {}?", table::one_line(&version));
    let answered = term.ask(&question).await;
    match answered {
        Ok(true) => Ok(version),
        Ok(false) => {
            Err(Failed::Local("the terms were not accepted, so that nobody was signed up".to_owned()))
        }
        Err(error) => Err(Failed::Local(format!("the answer cannot be read: {error}"))),
    }
}

fn show(account: &NewAccount, key_file: Option<&mut KeyFile>, term: &Term) -> Result<(), Failed> {
    let key = account.api_key.expose();
    if let Some(file) = key_file {
        if let Err(error) = file.write(key.as_bytes()) {
            // It is shown once, and must not be lost for want of room on a disk.
            printed(term.print(key))?;
            return Err(Failed::Local(format!(
                "the key cannot be written to {}: {error}; it is on standard output, and nowhere else",
                file.name()
            )));
        }
        if term.is_json() {
            return Ok(term.print_json(account.text())?);
        }
        return Ok(term.print(&facts(account, Some(file.name()), term))?);
    }
    if term.is_json() {
        return print_with_key(account, term);
    }
    // Alone on its line, so that it is copied whole.
    printed(term.print(key))?;
    Ok(term.print(&format!("\n{}", facts(account, None, term)))?)
}

/// Prints the answer, or what `--jq` makes of it. Where that is not the key the answer is printed whole: it is the one with it.
fn print_with_key(account: &NewAccount, term: &Term) -> Result<(), Failed> {
    let json = account.expose_text();
    let is_whole = "the answer is on standard output, whole, as its key is shown this once";
    let failed = match term.print_json_with(json, account.api_key.expose()).map_err(Failed::from) {
        Ok(true) => return Ok(()),
        Ok(false) => Failed::Local(format!(
            "what the expression of `--jq` made of the answer has no key in it; {is_whole}"
        )),
        Err(Failed::Output(error)) => return Err(lost(&error)),
        Err(Failed::Jq { why, .. }) => {
            Failed::Local(format!("the expression of `--jq` does not fit: {why}; {is_whole}"))
        }
        Err(other) => other,
    };
    printed(term.print(&amply_sdk::printable(json)))?;
    Err(failed)
}

/// What has the key in it was printed, or the key is lost: a reader that has gone is no reason to be silent about that.
fn printed(printed: io::Result<()>) -> Result<(), Failed> {
    printed.map_err(|error| lost(&error))
}

fn lost(error: &io::Error) -> Failed {
    Failed::Local(format!(
        "a key was made and cannot be shown, so that it is lost: {error}; sign up again, with `--key-file FILE`"
    ))
}

fn facts(account: &NewAccount, key_is_in: Option<String>, term: &Term) -> String {
    let pairs = vec![
        ("key", key_is_in.map(|file| format!("in {file}"))),
        ("principal", account.principal_id.clone()),
        ("terms", account.tos_version.clone()),
    ];
    table::pairs(pairs, term.width())
}

/// Puts what came, where a key may be in it though the signup failed, where the key would have gone.
fn keep_unread(error: Error, key_file: Option<&mut KeyFile>, term: &Term) -> Failed {
    let Some(came) = error.failure().and_then(Failure::expose_sealed_body) else { return error.into() };
    let written = match key_file {
        Some(file) => file.write(came).map(|()| file.name()),
        None => Err(io::Error::from(ErrorKind::NotFound)),
    };
    let place = match written {
        Ok(file) => format!("in {file}"),
        // To a terminal it goes without what would act on it.
        Err(_) => match term.print(&amply_sdk::printable(&String::from_utf8_lossy(came))) {
            Ok(()) => "on standard output".to_owned(),
            Err(error) => return lost(&error),
        },
    };
    let or_else = match &error {
        Error::Protocol(_) => "sign up again",
        other => other.hint().unwrap_or("sign up again"),
    };
    let hint = format!("what came is {place}; look for the key in it; if there is none, {or_else}");
    Failed::Call { error: Box::new(error), hint: Some(hint) }
}

/// A signup that Ctrl-C may break off after the server has heard it.
struct UnderWay<'a> {
    term: &'a Term,
    has_ended: bool,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if !self.has_ended {
            self.term
                .warn("broken off: a key may have been made that nobody has seen; sign up again to get one");
        }
    }
}

/// A file that was made for the key. It goes again if nothing is written to it.
struct KeyFile {
    path: PathBuf,
    file: File,
    is_written: bool,
}

impl KeyFile {
    fn create(path: &Path) -> Result<Self, Failed> {
        let mut options = OpenOptions::new();
        // Never over a file that is there, nor through a link.
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let name = named(path);
        match options.open(path) {
            Ok(file) => Ok(Self { path: path.to_owned(), file, is_written: false }),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(Failed::Local(format!(
                "{name} is there already, and is never written over; name another file for the key"
            ))),
            Err(error) => Err(Failed::Local(format!("{name} cannot be made for the key: {error}"))),
        }
    }

    fn write(&mut self, secret: &[u8]) -> io::Result<()> {
        self.file.write_all(secret)?;
        self.file.write_all(b"\n")?;
        self.file.sync_all()?;
        self.is_written = true;
        Ok(())
    }

    fn name(&self) -> String {
        named(&self.path)
    }
}

impl Drop for KeyFile {
    fn drop(&mut self) {
        if !self.is_written {
            // Nothing that anybody needs is in it.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// A file's name for a message.
fn named(path: &Path) -> String {
    format!("`{}`", table::one_line(&path.to_string_lossy()))
}
