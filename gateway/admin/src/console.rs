//! The console: one page, one style sheet, one script, the same for every client.
//!
//! The page calls the admin API like any other client. The admin key stays in the script's memory: no cookie, no
//! storage, nothing that another page could make a browser send along. The policy of the page allows what is served
//! here and nothing else; there are no inline scripts and no third parties.

use axum::body::Body;
use http::Response;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";
const OPENER: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

pub(super) async fn page() -> Response<Body> {
    asset(
        "text/html; charset=utf-8",
        include_str!("console/index.html"),
    )
}

pub(super) async fn style() -> Response<Body> {
    asset(
        "text/css; charset=utf-8",
        include_str!("console/console.css"),
    )
}

pub(super) async fn script() -> Response<Body> {
    asset(
        "text/javascript; charset=utf-8",
        include_str!("console/console.js"),
    )
}

fn asset(kind: &'static str, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, kind),
        (CONTENT_SECURITY_POLICY, POLICY),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (OPENER, "same-origin"),
        (RESOURCE, "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
