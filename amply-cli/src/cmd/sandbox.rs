//! `amply sandbox`: a local Amply until Ctrl-C.

use std::path::PathBuf;

use amply_sandbox::{Catalog, Sandbox};
use serde_json::json;

use crate::exit::Failed;
use crate::term::Term;

#[derive(clap::Args)]
pub(crate) struct SandboxArgs {
    /// The port to listen on, on 127.0.0.1; 0 takes a free one
    #[arg(long, value_name = "N", default_value_t = 0)]
    port: u16,
    /// A JSON file with the providers to rank
    #[arg(long, value_name = "FILE")]
    catalog: Option<PathBuf>,
    /// What ids and keys are made from: the same seed, the same ids
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

pub(crate) async fn run(args: &SandboxArgs, term: &Term) -> Result<(), Failed> {
    let mut builder = Sandbox::builder().port(args.port).seed(args.seed);
    if let Some(file) = &args.catalog {
        let refuse = |why: String| Failed::Usage(format!("the catalog `{}` {why}", file.display()));
        let text =
            std::fs::read_to_string(file).map_err(|error| refuse(format!("cannot be read: {error}")))?;
        builder = builder
            .catalog(Catalog::from_json(&text).map_err(|error| refuse(format!("cannot be used: {error}")))?);
    }
    let sandbox = builder.start().await.map_err(|error| Failed::Local(error.to_string()))?;
    let facts = [
        ("url", sandbox.url()),
        ("user_key", sandbox.user_key()),
        ("server_key", sandbox.server_key()),
        ("admin_secret", sandbox.admin_secret()),
    ];
    if term.is_json() {
        let [url, user_key, server_key, admin_secret] = facts.map(|(_, value)| value);
        let line =
            json!({"url": url, "user_key": user_key, "server_key": server_key, "admin_secret": admin_secret});
        term.print(&line.to_string())?;
    } else {
        term.print(&facts.map(|(name, value)| format!("{name}={value}")).join(" "))?;
    }
    term.note("serving until Ctrl-C; the keys are this sandbox's own and open nothing else");
    until_stopped().await;
    sandbox.stop().await;
    Ok(())
}

/// Ctrl-C, or a request to end. Both are the usual end of this command.
async fn until_stopped() {
    #[cfg(unix)]
    if let Ok(mut end) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => return,
            _ = end.recv() => return,
        }
    }
    // Nothing else to wait for: without a handler the signal itself ends the process.
    let _ = tokio::signal::ctrl_c().await;
}
