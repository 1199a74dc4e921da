//! Whether a request was still waiting for its connection when its time ran out.
//!
//! Only then it is certain that nothing was sent. The HTTP library does not tell, so its connector is watched: a
//! request that waits for a new connection drives the connector at each poll, and one that has a connection does
//! not. What is looked at is the last poll alone, so that a request which got the connection of another one in the
//! meantime counts as sent.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
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
///
/// The HTTP library copies its connector several times for each request, and few requests need one. So a copy shares the
/// connector, and one of its own is made where a connection is.
#[derive(Clone)]
pub(super) struct Watch;

impl<S> Layer<S> for Watch {
    type Service = Watched<S>;

    fn layer(&self, inner: S) -> Watched<S> {
        Watched(Arc::new(inner))
    }
}

pub(super) struct Watched<S>(Arc<S>);

impl<S> Clone for Watched<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<R, S> Service<R> for Watched<S>
where
    R: Send + 'static,
    S: Service<R, Future: Send> + Clone + Send + Sync + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Connecting<S::Response, S::Error>;

    /// The one that makes the connection waits until it is ready.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, target: R) -> Self::Future {
        let mut connector = S::clone(&self.0);
        Connecting(Box::pin(async move {
            poll_fn(|context| connector.poll_ready(context)).await?;
            connector.call(target).await
        }))
    }
}

/// A connection on its way.
pub(super) struct Connecting<C, E>(Pin<Box<dyn Future<Output = Result<C, E>> + Send>>);

impl<C, E> Future for Connecting<C, E> {
    type Output = Result<C, E>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<C, E>> {
        let polled = self.0.as_mut().poll(context);
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

    fn connecting(connector: impl Future<Output = ()> + Send + 'static) -> impl Future<Output = ()> + Unpin {
        let mut connection = Connecting::<(), ()>(Box::pin(async {
            connector.await;
            Ok(())
        }));
        poll_fn(move |context| Pin::new(&mut connection).poll(context).map(drop))
    }

    #[test]
    fn only_a_request_that_still_waits_for_the_connector_is_connecting() {
        assert!(connecting_after(1, connecting(pending())));
        assert!(!connecting_after(1, connecting(ready(()))), "the connection is there");
        assert!(!connecting_after(1, pending()), "the connection was there from the beginning");
    }

    #[test]
    fn a_request_that_got_another_connection_counts_as_sent() {
        // The connector is driven once, then never again.
        let mut connector = connecting(pending());
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
