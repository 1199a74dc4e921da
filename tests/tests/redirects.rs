//! Redirects: within the origin they repeat the request as it was, and nowhere else do they lead.

use amply_sdk::{Client, ClientBuilder};
use amply_tests::{Act, Authority, Scripted, answer};

fn redirect(status: &str, to: &str) -> Vec<Act> {
    vec![Act::Send(answer(&format!("{status}\r\nLocation: {to}"), "")), Act::KeepOpen]
}

fn fine() -> Vec<Act> {
    vec![Act::Send(answer("200 OK", r#"{"recommended":"qdrant"}"#)), Act::KeepOpen]
}

fn with_key(server: &Scripted) -> ClientBuilder {
    Client::builder().base_url(server.url()).api_key("hidden-key")
}

#[tokio::test]
async fn a_redirect_within_the_origin_repeats_method_body_and_idempotency_key() {
    for status in ["307 Temporary Redirect", "308 Permanent Redirect"] {
        let server = Scripted::following(vec![
            redirect(status, "/api/v1/elsewhere?a=b"),
            redirect(status, "again"),
            redirect(status, "./again/../route"),
            fine(),
        ]);
        let route = with_key(&server).build().unwrap().route_task("store 1M vectors").await.unwrap();
        assert_eq!((route.recommended.as_str(), route.meta().attempts()), ("qdrant", 1));
        let seen = server.seen();
        let rest = |request: &str| request.split_once("\r\n").unwrap().1.to_owned();
        let lines: Vec<_> = seen.iter().map(|request| request.lines().next().unwrap()).collect();
        assert_eq!(
            lines,
            [
                "POST /api/v1/route HTTP/1.1",
                "POST /api/v1/elsewhere?a=b HTTP/1.1",
                "POST /api/v1/again HTTP/1.1",
                "POST /api/v1/route HTTP/1.1"
            ]
        );
        assert!(rest(&seen[0]).contains("hidden-key") && rest(&seen[0]).contains("idempotency-key: 0"));
        assert!(seen.iter().all(|request| rest(request) == rest(&seen[0])), "{seen:#?}");
    }
}

#[tokio::test]
async fn an_absolute_address_of_the_same_origin_is_followed() {
    let server = Scripted::knowing_its_origin(|origin| {
        let (_, address) = origin.split_once("//").unwrap();
        let to = |to: String| redirect("308 Permanent Redirect", &to);
        vec![to(format!("{origin}/api/v1/a")), to(format!("//{address}/api/v1/b")), fine()]
    });
    with_key(&server).build().unwrap().route_task("store 1M vectors").await.unwrap();
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn more_than_three_redirects_are_not_followed() {
    let server = Scripted::following(vec![redirect("308 Permanent Redirect", "/api/v1/route")]);
    let error = with_key(&server).build().unwrap().route_task("store 1M vectors").await.unwrap_err();
    assert_eq!((error.code(), error.may_have_been_charged()), ("protocol", false), "{error}");
    assert!(error.to_string().starts_with("more than 3 redirects in a row"), "{error}");
    assert_eq!(server.seen().len(), 4);
}

#[tokio::test]
async fn a_redirect_to_another_origin_never_draws_the_key_there() {
    // Other clients follow such redirects with the key.
    let other = Scripted::following(vec![fine()]);
    let port = other.port();
    for status in [
        "301 Moved Permanently",
        "302 Found",
        "303 See Other",
        "307 Temporary Redirect",
        "308 Permanent Redirect",
    ] {
        for to in [
            format!("http://127.0.0.1:{port}/api/v1/route"),
            format!("//127.0.0.1:{port}/api/v1/route"),
            format!("http://localhost:{port}/api/v1/route"),
            format!("http://u:p@127.0.0.1:{port}/api/v1/route"),
            format!("https://127.0.0.1:{port}/api/v1/route"),
            format!("\\\\127.0.0.1:{port}\\route"),
            "ftp://127.0.0.1/".to_owned(),
            "http://".to_owned(),
        ] {
            let server = Scripted::following(vec![redirect(status, &to)]);
            let client = with_key(&server).build().unwrap();
            let error = client.route_task("store 1M vectors").await.unwrap_err();
            let message = error.to_string();
            assert_eq!(error.code(), "protocol", "{message}");
            // By 303 a server says that it has done what was asked.
            assert_eq!(error.may_have_been_charged(), status.starts_with("303"), "{message}");
            assert!(message.contains("the server redirects to "), "{message}");
            assert!(!message.contains("hidden-key") && !message.contains("u:p"), "{message}");
            assert_eq!(client.status().await.unwrap_err().code(), "protocol");
            assert_eq!(server.seen().len(), 2, "{status} to {to} is not tried again");
        }
    }
    assert_eq!((other.connections(), other.seen().len()), (0, 0));
}

#[tokio::test]
async fn a_redirect_that_changes_the_request_is_not_followed() {
    for status in
        ["300 Multiple Choices", "301 Moved Permanently", "302 Found", "303 See Other", "304 Not Modified"]
    {
        let server = Scripted::following(vec![redirect(status, "/api/v1/other"), fine()]);
        let error = with_key(&server).build().unwrap().route_task("store 1M vectors").await.unwrap_err();
        assert_eq!((error.code(), server.seen().len()), ("protocol", 1), "{status}: {error}");
        assert!(error.to_string().contains("which is not followed"), "{error}");
        assert!(status.starts_with(error.status().unwrap().as_str()), "{status}");
    }
}

#[tokio::test]
async fn a_redirect_without_a_usable_address_is_not_followed() {
    for answer in [
        answer("308 Permanent Redirect", ""),
        answer("308 Permanent Redirect\r\nLocation: http://[", ""),
        [&b"HTTP/1.1 308 Permanent Redirect\r\nLocation: /\xff\r\nContent-Length: 0\r\n\r\n"[..]].concat(),
    ] {
        let server = Scripted::start(vec![Some(answer)]);
        let error = with_key(&server).build().unwrap().route_task("store 1M vectors").await.unwrap_err();
        assert_eq!((error.code(), server.seen().len()), ("protocol", 1), "{error}");
        assert!(error.to_string().contains("redirects to nowhere (308)"), "{error}");
    }
}

#[tokio::test]
async fn a_redirect_with_credentials_is_not_followed() {
    let server = Scripted::knowing_its_origin(|origin| {
        let to = origin.replace("//", "//u:p@");
        vec![redirect("308 Permanent Redirect", &format!("{to}/api/v1/route")), fine()]
    });
    let error = with_key(&server).build().unwrap().route_task("store 1M vectors").await.unwrap_err();
    assert_eq!((error.code(), server.seen().len()), ("protocol", 1), "{error}");
    assert!(!error.to_string().contains("u:p"), "{error}");
}

#[tokio::test]
async fn a_redirect_from_https_to_http_is_not_followed() {
    let authority = Authority::new();
    let plain = Scripted::following(vec![fine()]);
    let to = format!("http://localhost:{}/api/v1/route", plain.port());
    let server = Scripted::following_over_tls(
        vec![redirect("308 Permanent Redirect", &to)],
        authority.server("localhost"),
    );
    let client = with_key(&server).ca_certificate(authority.pem()).build().unwrap();
    let error = client.route_task("store 1M vectors").await.unwrap_err();
    assert_eq!((error.code(), error.may_have_been_charged()), ("protocol", false), "{error}");
    assert!(error.to_string().contains("nothing was sent there"), "{error}");
    assert_eq!((server.seen().len(), plain.connections()), (1, 0));
}
