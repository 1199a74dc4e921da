//! Whether a request was still waiting for its connection when its time ran out.
//!
//! Only then it is certain that nothing was sent. The HTTP library does not tell, so its connector is watched: a
//! request that waits for a new connection drives the connector at each poll, and one that has a connection does
//! not. What is looked at is the last poll alone, so that a request which got the connection of another one in the
//! meantime counts as sent.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

thread_local! {
    /// Whether the connector was driven, and is not done, since somebody asked.
    static CONNECTING: Cell<bool> = const { Cell::new(false) };
}

/// Drives a request and keeps `connecting` up to date.
pub(super) async fn watch<F: Future>(request: F, connecting: &mut bool) -> F::Output {
    let mut request = pin!(request);
    poll_fn(|context| {
        CONNECTING.set(false);
        let polled = request.as_mut().poll(context);
        *connecting = CONNECTING.take() && polled.is_pending();
        polled
    })
    .await
}

/// Makes a connector tell when it is driven.
#[derive(Clone)]
pub(super) struct Watch;

impl<S> Layer<S> for Watch {
    type Service = Watched<S>;

    fn layer(&self, inner: S) -> Watched<S> {
        Watched(inner)
    }
}

#[derive(Clone)]
pub(super) struct Watched<T>(T);

impl<R, S> Service<R> for Watched<S>
where
    S: Service<R, Future: Unpin>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Watched<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, target: R) -> Watched<S::Future> {
        Watched(self.0.call(target))
    }
}

impl<F: Future + Unpin> Future for Watched<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let polled = Pin::new(&mut self.0).poll(context);
        CONNECTING.set(polled.is_pending());
        polled
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::task::Waker;

    use super::*;

    fn connecting_after(polls: usize, request: impl Future<Output = ()>) -> bool {
        let mut connecting = false;
        let mut watched = Box::pin(watch(request, &mut connecting));
        for _ in 0..polls {
            let _ = watched.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        }
        drop(watched);
        connecting
    }

    #[test]
    fn only_a_request_that_still_waits_for_the_connector_is_connecting() {
        assert!(connecting_after(1, Watched(Box::pin(pending()))));
        assert!(!connecting_after(1, Watched(ready(()))), "the connection is there");
        assert!(!connecting_after(1, pending()), "the connection was there from the beginning");
    }

    #[test]
    fn a_request_that_got_another_connection_counts_as_sent() {
        // The connector is driven once, then never again.
        let mut connector = Watched(Box::pin(pending::<()>()));
        let mut polls = 0;
        let mut request = || {
            let connector = &mut connector;
            connecting_after(
                2,
                poll_fn(|context| {
                    polls += 1;
                    if polls == 1 { Pin::new(&mut *connector).poll(context) } else { Poll::Pending }
                }),
            )
        };
        assert!(!request());
    }
}
