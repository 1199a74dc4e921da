//! What is answered where there is no endpoint: a page for people, a redirect, or nothing at all.

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, Response, StatusCode, Uri, header},
};

use super::reply;

const REFRESH: HeaderName = HeaderName::from_static("refresh");
/// The server answers with a page of its web site; this one is shorter and equally not JSON.
const PAGE: &str = "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"/><title>404</title></head><body>\
<h1>404</h1><h2>Page Not Found</h2><p>The page you&#x27;re looking for doesn&#x27;t exist or has been moved.</p></body></html>";

pub(super) async fn no_such_path(uri: Uri) -> Response<Body> {
    match without_trailing_slash(&uri).and_then(|location| redirect(&location)) {
        Some(redirect) => redirect,
        None => page(),
    }
}

pub(super) async fn wrong_method() -> Response<Body> {
    reply::empty(StatusCode::METHOD_NOT_ALLOWED)
}

pub(super) fn page() -> Response<Body> {
    let mut response = Response::new(Body::from(PAGE));
    *response.status_mut() = StatusCode::NOT_FOUND;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    response
}

/// `/api/v1/route` for `/api/v1/route/`, with the query; `None` when no slash is too many.
fn without_trailing_slash(uri: &Uri) -> Option<String> {
    // Slashes in front go too: `//host` in a `location` would be another origin.
    let path = uri.path().strip_suffix('/')?.trim_matches('/');
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    (!path.is_empty()).then(|| format!("/{path}{query}"))
}

fn redirect(location: &str) -> Option<Response<Body>> {
    let mut response = Response::new(Body::from(location.to_owned()));
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    response.headers_mut().insert(header::LOCATION, HeaderValue::from_str(location).ok()?);
    response.headers_mut().insert(REFRESH, HeaderValue::from_str(&format!("0;url={location}")).ok()?);
    Some(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trailing_slash_is_taken_away_and_leads_nowhere_else() {
        for (uri, location) in [
            ("/api/v1/route/", Some("/api/v1/route")),
            ("/api/v1/route/?a=b/", Some("/api/v1/route?a=b/")),
            ("/a//", Some("/a")),
            ("//example.com/", Some("/example.com")),
            ("/", None),
            ("//", None),
            ("/api/v1", None),
        ] {
            assert_eq!(without_trailing_slash(&uri.parse().unwrap()).as_deref(), location, "{uri}");
        }
    }
}
