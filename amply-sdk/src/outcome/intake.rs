//! From the queue in memory to the outbox.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::shared::Shared;
use super::ticket::Bound;
use super::value::Outcome;
use crate::error::Error;
use crate::event::Event;
use crate::store::outbox::{Added, Letter, LetterState};

/// How much of the queue is written down at once.
const BATCH: usize = 256;
/// How long reports are let gather before they are written down together.
const LINGER: Duration = Duration::from_millis(1);
/// How long a store that fails is left alone.
const STORE_AGAIN: Duration = Duration::from_millis(100);

/// What is in the queue.
pub(super) enum Handed {
    Report(Arc<Bound>, Outcome),
    /// Tell when all that came before is in the outbox.
    Mark(oneshot::Sender<()>),
}

/// Moves reports from the queue to the outbox until the last client is gone.
pub(super) async fn take_in(mut queue: mpsc::Receiver<Handed>, shared: Arc<Shared>) {
    let mut batch = Vec::with_capacity(BATCH);
    let mut has_warned = false;
    while queue.recv_many(&mut batch, BATCH).await > 0 {
        let mut marks = Vec::new();
        let mut letters = Vec::with_capacity(batch.len());
        for handed in batch.drain(..) {
            match handed {
                Handed::Report(bound, outcome) => {
                    letters.push(shared.letter(&bound, &outcome, LetterState::Pending));
                }
                Handed::Mark(mark) => marks.push(mark),
            }
        }
        while !letters.is_empty() {
            let stop = shared.stop.notified();
            let trouble = write_down(&shared, &mut letters).await.err();
            shared.call_courier();
            if letters.is_empty() {
                has_warned = false;
                break;
            }
            // Meanwhile the queue fills, and whoever hands over is told.
            if !has_warned {
                has_warned = true;
                let reason = match trouble {
                    Some(error) => error.to_string(),
                    None => format!("{} reports wait in the outbox already", shared.outbox_limit()),
                };
                tracing::warn!("reports wait in memory, since the store does not take them: {reason}");
                shared.observer.tell(Event::OutboxFailed { reason });
            }
            if shared.is_orphaned.load(Ordering::Acquire) || shared.is_over.load(Ordering::Acquire) {
                shared.lose_from_memory(letters.len() as u64);
                break;
            }
            let _ = tokio::time::timeout(STORE_AGAIN, stop).await;
        }
        for mark in marks {
            let _ = mark.send(());
        }
        // While it sleeps nobody who hands over has to wake it, which is what costs most of a hand-over.
        tokio::time::sleep(LINGER).await;
    }
    // The last client is gone. Where a courier works it sees to the rest.
    if !shared.store.is_durable() && !shared.limits.in_background && !shared.is_closed.load(Ordering::Acquire)
    {
        shared.lose(shared.pending().await.unwrap_or(0));
    }
}

/// Writes down what came from the queue; what does not fit stays for the next time.
async fn write_down(shared: &Shared, handed: &mut Vec<Letter>) -> Result<(), Error> {
    let (letters, limit) = (handed.clone(), shared.outbox_limit());
    let added = shared.store.letters(move |rows| {
        let mut added = Vec::with_capacity(letters.len());
        for letter in &letters {
            added.push(rows.add(letter, limit)?);
            // Those behind it find no room either.
            if added.last() == Some(&Added::Full) {
                break;
            }
        }
        Ok(added)
    });
    let added = added.await?;
    let repeated = added.iter().filter(|added| **added == Added::Known).count();
    let done = added.iter().filter(|added| **added != Added::Full).count();
    shared.counters.repeated.add(repeated as u64);
    shared.taken_in.fetch_add(done as u64, Ordering::Relaxed);
    handed.drain(..done.min(handed.len()));
    Ok(())
}
