//! Proxies from the environment, and what is never asked of them.

use amply_tests::{Act, Authority, Finished, Proxy, Scripted, amply, answer, write};

const BODY: &str = r#"{"ok":true}"#;

/// A server that only the proxy can find, as `https://HOST`.
struct Hidden {
    server: Scripted,
    /// The file with its authority's certificate.
    bundle: String,
    host: &'static str,
}

impl Hidden {
    fn start(host: &'static str) -> Self {
        let authority = Authority::new();
        let fine = vec![Act::Send(answer("200 OK", BODY))];
        let server = Scripted::following_over_tls(vec![fine], authority.server(host));
        let bundle = format!("{}/proxy-{}.pem", env!("CARGO_TARGET_TMPDIR"), server.port());
        write(bundle.as_ref(), &authority.pem());
        Self { server, bundle, host }
    }

    /// Asks for its status, with every attempt shown.
    fn status(&self, variables: &[(&str, &str)]) -> Finished {
        let fixed = [("AMPLY_CA_BUNDLE", &*self.bundle), ("AMPLY_API_KEY", "hidden-key")];
        let url = format!("https://{}", self.host);
        amply(&["status", "-v", "--json", "--base-url", &url], &[&fixed[..], variables].concat(), b"")
    }
}

#[test]
fn a_proxy_of_the_environment_connects_and_does_not_see_the_key() {
    let hidden = Hidden::start("amply.test");
    for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"] {
        let proxy = Proxy::start(Some(hidden.server.port()));
        let finished = hidden.status(&[(name, &format!("http://{}", proxy.address()))]);
        assert_eq!(
            (finished.code, finished.stdout.trim_end()),
            (Some(0), BODY),
            "{name}: {}",
            finished.stderr
        );
        let asked = proxy.asked();
        assert_eq!(asked.len(), 1, "{name}");
        assert!(asked[0].starts_with("CONNECT amply.test:443 HTTP/1.1\r\n"), "{name}: {asked:?}");
        assert!(!asked[0].contains("hidden-key"), "{name}: {asked:?}");
    }
    let seen = hidden.server.seen();
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().all(|request| request.contains("hidden-key")));
}

#[test]
fn credentials_of_a_proxy_go_to_the_proxy_alone_and_are_never_shown() {
    let hidden = Hidden::start("amply.test");
    let proxy = Proxy::start(Some(hidden.server.port()));
    let address = format!("http://someone:proxy-secret@{}", proxy.address());
    let finished = hidden.status(&[("HTTPS_PROXY", &address)]);
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    // `someone:proxy-secret` in Base64.
    assert!(proxy.asked()[0].contains("c29tZW9uZTpwcm94eS1zZWNyZXQ="), "{:?}", proxy.asked());
    let seen = hidden.server.seen();
    assert!(!seen[0].to_ascii_lowercase().contains("proxy-authorization"), "{seen:?}");
    assert!(!finished.stderr.contains("proxy-secret"), "{}", finished.stderr);
}

#[test]
fn a_proxy_that_wants_credentials_is_named_as_the_reason() {
    let hidden = Hidden::start("amply.test");
    let proxy = Proxy::start(None);
    let address = format!("http://someone:proxy-secret@{}", proxy.address());
    let finished = hidden.status(&[("HTTPS_PROXY", &address)]);
    assert_eq!(finished.code, Some(7), "{}", finished.stderr);
    assert!(finished.stderr.contains("cannot connect to https://amply.test: "), "{}", finished.stderr);
    assert!(finished.stderr.contains("proxy authorization required"), "{}", finished.stderr);
    assert!(!finished.stderr.contains("proxy-secret"), "{}", finished.stderr);
    assert_eq!(hidden.server.connections(), 0);
}

#[test]
fn a_host_of_no_proxy_is_not_asked_of_the_proxy() {
    // A label has at most 63 characters: the resolver refuses this name without asking anybody.
    const HOST: &str = "a123456789a123456789a123456789a123456789a123456789a123456789a123456789.test";
    let hidden = Hidden::start("amply.test");
    let hidden = Hidden { host: HOST, ..hidden };
    let proxy = Proxy::start(Some(hidden.server.port()));
    let address = format!("http://{}", proxy.address());

    for no_proxy in [HOST, "example.org,.test", "*"] {
        let finished = hidden.status(&[("HTTPS_PROXY", &address), ("NO_PROXY", no_proxy)]);
        assert_eq!(finished.code, Some(7), "{}", finished.stderr);
        let says = format!("cannot connect to https://{HOST}: ");
        assert!(finished.stderr.contains(&says), "{no_proxy}: {}", finished.stderr);
        assert_eq!(proxy.asked(), Vec::<String>::new(), "{no_proxy}");
    }
    hidden.status(&[("HTTPS_PROXY", &address), ("NO_PROXY", "example.org")]);
    assert!(!proxy.asked().is_empty(), "any other host is asked of the proxy");
}

#[test]
fn a_server_on_this_machine_is_never_asked_of_a_proxy() {
    let server = Scripted::answering("200 OK", "application/json", BODY);
    let proxy = Proxy::start(None);
    let address = format!("http://{}", proxy.address());
    let variables = [("HTTP_PROXY", &*address), ("http_proxy", &address), ("ALL_PROXY", &address)];
    let finished = amply(&["status", "--json", "--base-url", server.url()], &variables, b"");
    assert_eq!((finished.code, proxy.asked().len()), (Some(0), 0), "{}", finished.stderr);
}
