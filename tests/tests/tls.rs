//! Whom an https server must prove to be, against real servers on this machine.

use std::path::PathBuf;

use amply_sdk::{Client, ClientBuilder};
use amply_tests::{Act, Authority, Scripted, amply, answer, write};

const BODY: &str = r#"{"recommended":"qdrant"}"#;

fn secure(authority: &Authority, name: &str) -> Scripted {
    let fine = vec![Act::Send(answer("200 OK", BODY)), Act::KeepOpen];
    Scripted::following_over_tls(vec![fine], authority.server(name))
}

fn with_key(server: &Scripted) -> ClientBuilder {
    Client::builder().base_url(server.url()).api_key("hidden-key")
}

/// A file with this authority's certificate, behind one of another.
fn bundle(authority: &Authority, name: &str) -> PathBuf {
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    write(&file, &format!("# mine\n{}\n{}", Authority::new().pem(), authority.pem()));
    file
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_not_trusted_and_nothing_is_sent() {
    let server = secure(&Authority::new(), "localhost");
    for builder in [with_key(&server), with_key(&server).ca_certificate(Authority::new().pem())] {
        let error = builder.build().unwrap().route_task("store 1M vectors").await.unwrap_err();
        let message = error.to_string();
        assert_eq!((error.code(), error.may_have_been_charged()), ("transport", false), "{message}");
        let says = format!("cannot connect to {}: its certificate is not trusted", server.url());
        assert!(message.starts_with(&says) && message.contains("AMPLY_CA_BUNDLE"), "{message}");
        assert_eq!(server.seen(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn an_authority_is_trusted_when_the_builder_says_so() {
    let authority = Authority::new();
    let server = secure(&authority, "localhost");
    for builder in [
        with_key(&server).ca_certificate(authority.pem()),
        with_key(&server).ca_certificate(Authority::new().pem()).ca_certificate(authority.pem().into_bytes()),
        with_key(&server).ca_bundle(bundle(&authority, "builder.pem")),
        with_key(&server).ca_bundle(bundle(&Authority::new(), "other.pem")).ca_certificate(authority.pem()),
    ] {
        let client = builder.build().unwrap();
        assert_eq!(client.route_task("store 1M vectors").await.unwrap().recommended, "qdrant");
        assert_eq!(client.route_task("store 1M vectors").await.unwrap().recommended, "qdrant");
    }
    assert_eq!(server.connections(), 4, "a connection is used again");
}

#[test]
fn an_authority_is_trusted_when_the_environment_says_so() {
    let authority = Authority::new();
    let server = secure(&authority, "localhost");
    let file = bundle(&authority, "environment.pem");
    let arguments = ["route", "store 1M vectors", "--base-url", server.url()];
    let finished = amply(&arguments, &[("AMPLY_CA_BUNDLE", file.to_str().unwrap())], b"");
    assert_eq!((finished.stdout, finished.code), (format!("{BODY}\n"), Some(0)), "{}", finished.stderr);

    let finished = amply(&arguments, &[], b"");
    assert_eq!(finished.code, Some(7), "{}", finished.stderr);
    assert!(finished.stderr.contains("its certificate is not trusted"), "{}", finished.stderr);
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_certificate_for_another_name_is_not_trusted() {
    let authority = Authority::new();
    let server = secure(&authority, "other.test");
    let client = with_key(&server).ca_certificate(authority.pem()).build().unwrap();
    let message = client.route_task("store 1M vectors").await.unwrap_err().to_string();
    assert!(
        message.contains("its certificate is not trusted") && message.contains("other.test"),
        "{message}"
    );
    assert_eq!(server.seen().len(), 0);
}

#[test]
fn a_certificate_that_is_none_is_refused_before_anything_is_sent() {
    let build = |pem: &[u8]| {
        let builder = Client::builder().base_url("https://127.0.0.1:9").ca_certificate(pem);
        builder.build().unwrap_err().to_string()
    };
    assert!(build(b"").contains("holds no certificate"), "{}", build(b""));
    assert!(build(b"\0\xff").contains("the CA certificate given to the builder"), "{}", build(b"\0\xff"));
    let hollow = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(build(hollow).contains("cannot be used"), "{}", build(hollow));
    let cut = b"-----BEGIN CERTIFICATE-----\nAAAA\n";
    assert!(build(cut).contains("not a readable PEM"), "{}", build(cut));
}
