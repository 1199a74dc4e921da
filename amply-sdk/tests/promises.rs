//! What the types promise to a program that links the library.

use amply_sdk::{Answer, Client, Error, Meta, PrincipalPolicy, Route, RouteRequest, Usd};

fn is_send_and_sync<T: Send + Sync + 'static>() {}

fn is_send_and_static(_: impl Future + Send + 'static) {}

#[test]
fn everything_can_move_to_another_thread() {
    is_send_and_sync::<Client>();
    is_send_and_sync::<Error>();
    is_send_and_sync::<Answer<Route>>();
    is_send_and_sync::<Meta>();
    is_send_and_sync::<RouteRequest>();
    is_send_and_sync::<Usd>();
    let client = Client::builder().base_url("http://127.0.0.1:9").build().unwrap();
    let moved = client.clone();
    is_send_and_static(async move { moved.route_task("x").await });
    is_send_and_static(async move { client.status().await });
}

#[tokio::test]
async fn debug_output_of_an_error_shows_neither_headers_nor_body() {
    let sandbox = amply_sandbox::Sandbox::builder().start().await.unwrap();
    let client = Client::builder()
        .base_url(sandbox.url())
        .api_key("hidden-key")
        .principal_policy(PrincipalPolicy::Ignore)
        .build()
        .unwrap();
    let error = client.route_task("x").await.unwrap_err();
    let shown = format!("{error:?} {client:?}");
    assert!(shown.contains("Unauthorized") && shown.contains("status: Some(401)"), "{shown}");
    assert!(!shown.contains("hidden-key") && !shown.contains("access-control"), "{shown}");
    assert_eq!(error.meta().unwrap().key_kind(), Some(amply_sdk::KeyKind::Server));
}
