//! Where the API is: checked once, joined in one place.

use reqwest::Url;

use crate::error::Error;
use crate::text::one_line;

/// The public API (API documentation).
pub(crate) const DEFAULT: &str = "https://www.useamply.com/api/v1";

/// The longest path with its query that the HTTP library takes, and more than any server does.
const MAX_PATH: usize = 60_000;

/// A base URL without a trailing slash. It is https, or it is this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BaseUrl(Url);

impl BaseUrl {
    /// Reads a base URL; one without a path gets `/api/v1`.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let mut url = Self::read(text, "the base URL")?;
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(if path.is_empty() { "/api/v1" } else { &path });
        Ok(Self(url))
    }

    /// Reads the URL of a top-up service, which is used as it is.
    pub(crate) fn of_service(text: &str) -> Result<Self, Error> {
        Self::read(text, "the top-up URL").map(Self)
    }

    fn read(text: &str, what: &str) -> Result<Url, Error> {
        // What follows is never repeated: a password, or a key in a query.
        if text.contains('@') {
            return Err(Error::config(format!(
                "{what} has credentials in it (an `@`); remove them and pass the key by itself"
            )));
        }
        let shown = one_line(text.split(['?', '#']).next().unwrap_or_default(), 200);
        let refuse = |why: &str| Error::config(format!("{what} `{shown}` {why}"));
        if text.trim() != text || text.is_empty() {
            return Err(Error::config(format!(
                "{what} `{shown}` is empty or has blanks around it; write it like {DEFAULT}"
            )));
        }
        let url = match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "https" | "http") => url,
            // `localhost:8080` parses as a URL whose scheme is `localhost`.
            _ if !text.contains("://") => {
                return Err(refuse("has no scheme; put https:// in front of it"));
            }
            Ok(_) => {
                return Err(refuse("is neither https nor http; write it like https://host/api/v1"));
            }
            Err(error) => {
                return Err(refuse(&format!("is not a URL ({error}); write it like {DEFAULT}")));
            }
        };
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refuse("has a query or a fragment; write it up to the path, without ? or #"));
        }
        if url.scheme() == "http" && !is_loopback(&url) {
            return Err(refuse("would send the key unencrypted; use https (http is for this machine only)"));
        }
        Ok(url)
    }

    /// The URL of a path below the base, such as `/route` or `/route/audit?request_id=…`.
    pub(crate) fn join(&self, path: &str) -> Result<Url, Error> {
        let refuse = |why: &str| Error::invalid("path", format!("the path `{}` {why}", one_line(path, 100)));
        if !path.starts_with('/') || path.starts_with("//") {
            return Err(refuse("does not begin with one slash; write it below the base URL, like `/status`"));
        }
        if path.contains(['\\', '#']) || path.chars().any(|c| c.is_control() || c == ' ') {
            return Err(refuse("holds a character that a path cannot have; percent-encode it"));
        }
        if path.len() > MAX_PATH {
            return Err(refuse(&format!("is {} bytes long; at most {MAX_PATH} are sent", path.len())));
        }
        // Scheme and host were read once, and are not read again for every call.
        let mut url = self.0.clone();
        let (segments, query) = match path.split_once('?') {
            Some((segments, query)) => (segments, Some(query)),
            None => (path, None),
        };
        url.set_path(&format!("{}{segments}", self.0.path()));
        url.set_query(query);
        // `..` in any spelling is resolved by the parser; what is left must still be below the base.
        match url.path().strip_prefix(self.0.path()) {
            Some(rest) if rest.starts_with('/') && self.is_same_origin(&url) => Ok(url),
            _ => Err(refuse("leads out of the base URL; write it without `..`")),
        }
    }

    /// Refuses a link in a server's answer that would lead to another origin, or out of its folder by `..`; says where it leads.
    pub(crate) fn check_link(&self, link: &str) -> Result<(), String> {
        if link.contains('\\') || link.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err("holds a character that no path has".to_owned());
        }
        if climbs(link) {
            return Err("leads out of its folder by `..`".to_owned());
        }
        if link.starts_with("//") {
            return Err("names another host".to_owned());
        }
        if link.starts_with('/') {
            return Ok(());
        }
        match Url::parse(link) {
            Ok(url) if !url.username().is_empty() || url.password().is_some() => {
                Err("has credentials in it".to_owned())
            }
            Ok(url) if self.is_same_origin(&url) => Ok(()),
            Ok(url) => Err(format!("leads to `{}`", one_line(&elsewhere(&url), 100))),
            Err(_) => Err("does not begin with a slash".to_owned()),
        }
    }

    pub(crate) fn is_same_origin(&self, url: &Url) -> bool {
        self.0.origin() == url.origin()
    }

    /// Whether this is a server on this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        is_loopback(&self.0)
    }

    pub(crate) fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Scheme, host and port.
    pub(crate) fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    /// The address of a page for people on the API's site.
    pub(crate) fn page(&self, path: &str) -> String {
        format!("{}{path}", self.origin())
    }

    pub(crate) fn url(&self) -> &Url {
        &self.0
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// Whether a path has a segment `..`, in any spelling that a server or a proxy may read so: encoded once or twice, and with
/// parameters behind it.
fn climbs(link: &str) -> bool {
    let path = link.split(['?', '#']).next().unwrap_or_default();
    let once = decoded(path.as_bytes());
    let twice = decoded(&once);
    let leads_up = |segment: &[u8]| segment.split(|byte| *byte == b';').next() == Some(b"..");
    [path.as_bytes(), &once, &twice]
        .iter()
        .any(|path| path.split(|byte| matches!(byte, b'/' | b'\\')).any(leads_up))
}

/// A path without its percent-encoding.
fn decoded(path: &[u8]) -> Vec<u8> {
    let digit = |at: usize| char::from(*path.get(at)?).to_digit(16);
    let (mut text, mut at) = (Vec::with_capacity(path.len()), 0);
    while let Some(byte) = path.get(at) {
        let pair = digit(at + 1).zip(digit(at + 2)).filter(|_| *byte == b'%');
        match pair.and_then(|(high, low)| u8::try_from(high * 16 + low).ok()) {
            Some(byte) => {
                text.push(byte);
                at += 3;
            }
            None => {
                text.push(*byte);
                at += 1;
            }
        }
    }
    text
}

/// Where a URL leads: its origin, or its scheme where it has none.
fn elsewhere(url: &Url) -> String {
    match url.origin().is_tuple() {
        true => url.origin().ascii_serialization(),
        false => format!("{}:", url.scheme()),
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_gets_the_api_path_and_a_path_is_kept() {
        for (given, used) in [
            ("https://www.useamply.com", "https://www.useamply.com/api/v1"),
            ("https://www.useamply.com/", "https://www.useamply.com/api/v1"),
            ("https://gateway.example/amply/", "https://gateway.example/amply"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/api/v1"),
            ("http://[::1]:8080/v2", "http://[::1]:8080/v2"),
            ("HTTP://LOCALHOST:80", "http://localhost/api/v1"),
        ] {
            assert_eq!(BaseUrl::parse(given).unwrap().as_str(), used);
        }
    }

    #[test]
    fn a_base_url_that_cannot_be_meant_is_refused_with_what_to_do() {
        for (given, says) in [
            ("www.useamply.com", "put https:// in front"),
            ("localhost:8080", "put https:// in front"),
            ("ftp://host/api", "neither https nor http"),
            ("https://", "is not a URL"),
            ("https://user:pw@host/api/v1", "credentials"),
            ("user:pw@host", "credentials"),
            (" ftp://user:pw@host:99999", "credentials"),
            ("https://host?api_key=pw", "a query or a fragment"),
            (" https://host?api_key=pw", "blanks around"),
            ("http://example.com/api/v1", "unencrypted"),
            ("http://127.0.0.1.example.com", "unencrypted"),
            ("https://host/api/v1?key=1", "a query or a fragment"),
            (" https://host", "blanks around"),
            ("", "is empty"),
        ] {
            let error = BaseUrl::parse(given).unwrap_err().to_string();
            assert!(error.contains(says) && !error.contains("pw"), "{given}: {error}");
        }
    }

    #[test]
    fn a_link_of_the_server_stays_on_its_origin() {
        let base = BaseUrl::parse("https://host/gateway/v1").unwrap();
        for link in [
            "/api/v1/route",
            "/route/audit?request_id={id}",
            "/users/@me",
            "/a/..b/%2e",
            "/a/b;..%/%zz/%2",
            "https://host/api",
            "HTTPS://HOST:443/api",
        ] {
            assert_eq!(base.check_link(link), Ok(()), "{link}");
        }
        for (link, why) in [
            ("https://evil.example/route", "leads to `https://evil.example`"),
            ("http://host/route", "leads to `http://host`"),
            ("https://host:444/route", "leads to `https://host:444`"),
            ("https:evil.example/route", "leads to `https://evil.example`"),
            ("javascript:alert(1)", "leads to `javascript:`"),
            ("//evil.example/route", "names another host"),
            ("/\\evil.example", "holds a character that no path has"),
            ("\thttps://host/", "holds a character that no path has"),
            ("https://user@host/route", "has credentials in it"),
            ("https://host@evil.example/", "has credentials in it"),
            ("/api/../../admin", "leads out of its folder by `..`"),
            ("/api/%2E%2e/admin", "leads out of its folder by `..`"),
            ("/api/x%2f..%2fadmin", "leads out of its folder by `..`"),
            ("https://host/../x", "leads out of its folder by `..`"),
            ("/api/..;/admin", "leads out of its folder by `..`"),
            ("/api/..;a=b", "leads out of its folder by `..`"),
            ("/api/%2e.%3bx/admin", "leads out of its folder by `..`"),
            ("/api/%252e%252e/admin", "leads out of its folder by `..`"),
            ("/api/.%252E%252Fadmin", "leads out of its folder by `..`"),
            ("/api/x%255c..%255cadmin", "leads out of its folder by `..`"),
            ("route", "does not begin with a slash"),
            ("", "does not begin with a slash"),
        ] {
            assert_eq!(base.check_link(link), Err(why.to_owned()), "{link}");
        }
    }

    #[test]
    fn a_path_stays_below_the_base() {
        let base = BaseUrl::parse("https://host/api/v1").unwrap();
        assert_eq!(base.join("/route?a=b").unwrap().as_str(), "https://host/api/v1/route?a=b");
        for path in [
            "route",
            "//evil.example/x",
            "/../v2",
            "/%2e%2e/x",
            "/..",
            "/a b",
            "/a\n",
            "/\\evil",
            "@evil.example/",
        ] {
            assert!(base.join(path).is_err(), "{path}");
        }
    }
}
