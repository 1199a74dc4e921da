//! Ctrl-C: it ends the waiting for an answer, and never a payment that runs.

use std::io;
use std::pin::pin;
use std::thread;
use std::time::Duration;

use tokio::signal::ctrl_c;

use crate::exit::Failed;
use crate::pay::Longest;
use crate::session::Session;
use crate::term::Term;

/// Does some work until Ctrl-C is pressed. Work that listens itself is told first.
pub(crate) async fn or_ctrl_c<T>(work: impl Future<Output = Result<T, Failed>>) -> Result<T, Failed> {
    // Whoever started us with it ignored (a script, in the background) wants it so.
    #[cfg(unix)]
    if crate::child::ignored().contains(signal_hook::consts::SIGINT) {
        return work.await;
    }
    tokio::select! {
        biased;
        done = work => done,
        _ = ctrl_c() => Err(Failed::Interrupted(None)),
    }
}

/// Listens for Ctrl-C on a thread of its own, for work that holds up the one that listens else. `listens` is called first.
pub(crate) fn on_ctrl_c(
    listens: impl FnOnce() + Send + 'static,
    is_pressed: impl FnOnce() + Send + 'static,
) -> io::Result<()> {
    #[cfg(unix)]
    if crate::child::ignored().contains(signal_hook::consts::SIGINT) {
        listens();
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listen = async {
        let mut pressed = pin!(ctrl_c());
        tokio::select! {
            biased;
            _ = &mut pressed => return is_pressed(),
            () = std::future::ready(()) => listens(),
        }
        if pressed.await.is_ok() {
            is_pressed();
        }
    };
    thread::Builder::new().spawn(move || runtime.block_on(listen)).map(drop)
}

/// Waits for the end of a payment that runs, whose own limit bounds it. Ctrl-C ends that at once; the payment is unknown then.
pub(crate) async fn let_payment_end(session: &Session, term: &Term) {
    let Some(Longest { what, limit }) = session.longest_payment().filter(|_| session.client.is_paying())
    else {
        return;
    };
    let ended = async {
        term.note(&format!(
            "{what} is being made; waiting for its end, at most {} s (Ctrl-C ends at once, and leaves it unknown)",
            limit.as_secs()
        ));
        session.client.close(Duration::ZERO).await;
    };
    tokio::select! {
        biased;
        // Listened for before anybody is told of it.
        _ = ctrl_c() => {}
        () = ended => {}
    }
}
