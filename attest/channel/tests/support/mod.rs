//! A TLS server on loopback that the tests script, and that remembers everything it was sent.

#![allow(dead_code)] // Each test binary uses its part.

pub mod platform;
pub mod server;

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;

use attest_channel::{AttestedBody, Timeouts};

/// Short enough for a test that waits for them, long enough for a loaded machine.
pub fn timeouts() -> Timeouts {
    Timeouts {
        connect: Duration::from_secs(10),
        report: Duration::from_secs(10),
        idle_pool: Duration::from_secs(30),
    }
}

/// Waits until `condition` holds; panics with `what` when it doesn't within five seconds.
pub async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..500 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("did not happen: {what}");
}

pub fn get(uri: &str) -> Request<Bytes> {
    Request::get(uri).body(Bytes::new()).expect("a request")
}

/// Reads a response to its end.
pub async fn text(response: Response<AttestedBody>) -> String {
    let body = response.into_body().collect().await.expect("a body");
    String::from_utf8(body.to_bytes().to_vec()).expect("text")
}
