//! Requests over leased connections: what is sent, what is returned, and when the connection is reused.

mod support;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, StreamBody};

use attest_channel::{AttestedChannel, Limits, NotSent, SendError, Timeouts};
use support::platform::Platform;
use support::server::{Answers, Identity, Server, respond};
use support::{eventually, get, text, timeouts};

async fn start(answers: Answers) -> (Server, Arc<AttestedChannel>) {
    start_with(answers, timeouts(), Limits::default()).await
}

async fn start_with(
    answers: Answers,
    timeouts: Timeouts,
    limits: Limits,
) -> (Server, Arc<AttestedChannel>) {
    let platform = Platform::new();
    let server = Server::start(vec![Identity::generate()], platform.in_front_of(answers)).await;
    let channel = AttestedChannel::with_limits(
        server.origin(),
        platform.trust(),
        timeouts,
        limits,
        platform.clock(),
    );
    (server, channel)
}

fn hello() -> Answers {
    Arc::new(|_, _| Box::pin(async { respond(200, "hello") }))
}

/// One chunk, then nothing more.
fn endless() -> Answers {
    Arc::new(|_, _| {
        let first = futures_util::stream::iter([Ok::<_, Infallible>(Frame::data(
            Bytes::from_static(b"data: 1\n\n"),
        ))]);
        let silence = futures_util::StreamExt::chain(first, futures_util::stream::pending());
        let response = Response::new(StreamBody::new(silence).boxed_unsync());
        Box::pin(async { response })
    })
}

#[tokio::test]
async fn sends_the_origins_host_and_the_path_in_origin_form() {
    let answers: Answers = Arc::new(|request, _| {
        let uri = request.uri().to_string();
        Box::pin(async move { respond(200, uri) })
    });
    let (server, channel) = start(answers).await;
    let absolute = format!("{}/v1/models?x=1", channel.origin());
    for uri in ["/v1/models?x=1", absolute.as_str()] {
        let mut request = get(uri);
        request.headers_mut().insert(
            http::header::HOST,
            http::HeaderValue::from_static("other.test"),
        );
        let lease = channel.lease().await.expect("a lease");
        let response = lease.send(request).await.expect("a response");
        assert_eq!(text(response).await, "/v1/models?x=1");
    }
    let ours = server.address.to_string();
    assert!(server.seen.hosts().iter().all(|host| *host == ours));
}

#[tokio::test]
async fn a_request_for_another_origin_is_not_sent() {
    let (server, channel) = start(hello()).await;
    for uri in [
        "https://another.example/v1/models".to_owned(),
        format!("http://{}/v1/models", server.address),
    ] {
        let lease = channel.lease().await.expect("a lease");
        assert_eq!(
            lease.send(get(&uri)).await.err(),
            Some(SendError::NotSent(NotSent::WrongOrigin))
        );
    }
    assert_eq!(server.seen.others(), 0);
    server.seen.expect_handshakes(1).await;
}

#[tokio::test]
async fn a_request_body_arrives_as_it_was_and_the_answer_streams_back() {
    let echo: Answers = Arc::new(|request, _| {
        Box::pin(async move {
            let body = request.into_body().collect().await.expect("a body");
            respond(200, body.to_bytes())
        })
    });
    let (server, channel) = start(echo).await;
    let prompt = Bytes::from("x".repeat(3 * 1024 * 1024));
    for _ in 0..2 {
        let request = Request::builder()
            .method(Method::POST)
            .uri("/v1/chat/completions")
            .body(prompt.clone())
            .expect("a request");
        let lease = channel.lease().await.expect("a lease");
        let response = lease.send(request).await.expect("a response");
        let echoed = response.into_body().collect().await.expect("a body");
        assert!(echoed.to_bytes() == prompt);
    }
    server.seen.expect_handshakes(1).await;
}

#[tokio::test]
async fn an_unused_lease_returns_its_connection_to_the_pool() {
    let (server, channel) = start(hello()).await;
    for _ in 0..3 {
        drop(channel.lease().await.expect("a lease"));
    }
    server.seen.expect_handshakes(1).await;
}

#[tokio::test]
async fn an_empty_response_returns_the_connection_without_being_read() {
    let empty: Answers = Arc::new(|_, _| Box::pin(async { respond(204, "") }));
    let (server, channel) = start(empty).await;
    for _ in 0..3 {
        let lease = channel.lease().await.expect("a lease");
        let response = lease.send(get("/nothing")).await.expect("a response");
        assert_eq!(response.status(), 204);
        assert!(response.body().is_end_stream());
    }
    server.seen.expect_handshakes(1).await;
}

#[tokio::test]
async fn dropping_a_response_before_its_end_closes_the_connection() {
    let (server, channel) = start(endless()).await;
    let lease = channel.lease().await.expect("a lease");
    let mut body = lease
        .send(get("/stream"))
        .await
        .expect("a response")
        .into_body();
    assert!(body.frame().await.is_some());
    server.seen.expect_handshakes(1).await;
    drop(body);
    eventually("the peer sees the close", || server.seen.open() == 0).await;
    drop(channel.lease().await.expect("a lease"));
    server.seen.expect_handshakes(2).await;
}

#[tokio::test]
async fn dropping_a_request_before_its_response_closes_the_connection() {
    let silent: Answers = Arc::new(|_, _| Box::pin(std::future::pending()));
    let (server, channel) = start(silent).await;
    let lease = channel.lease().await.expect("a lease");
    let sending = tokio::spawn(lease.send(get("/slow")));
    eventually("the request arrives", || server.seen.others() == 1).await;
    sending.abort();
    assert!(sending.await.is_err(), "there was no response");
    eventually("the peer sees the close", || server.seen.open() == 0).await;
}

#[tokio::test]
async fn replaces_a_connection_that_was_closed_while_idle() {
    let (server, channel) = start(hello()).await;
    for _ in 0..3 {
        let lease = channel.lease().await.expect("a lease");
        let response = lease.send(get("/hello")).await.expect("a response");
        assert_eq!(text(response).await, "hello");
        server.cut().await;
    }
    assert_eq!(server.seen.others(), 3);
    server.seen.expect_handshakes(3).await;
    assert_eq!(server.seen.reports(), 1);
}

#[tokio::test]
async fn a_lease_whose_connection_closes_is_sent_over_another_one() {
    let (server, channel) = start(hello()).await;
    drop(channel.lease().await.expect("a lease"));
    let lease = channel.lease().await.expect("a pooled lease");
    server.cut().await;
    eventually("the end of the connection", || server.seen.open() == 0).await;
    // Waits until the close has arrived on this side.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let response = lease.send(get("/hello")).await.expect("a response");
    assert_eq!(text(response).await, "hello");
    assert_eq!(server.seen.others(), 1);
    assert_eq!(server.seen.reports(), 1);
}

#[tokio::test]
async fn a_lease_whose_connection_closed_is_not_sent_to_a_peer_with_another_key() {
    let (server, channel) = start(hello()).await;
    drop(channel.lease().await.expect("a lease"));
    let lease = channel.lease().await.expect("a pooled lease");
    server.present(vec![Identity::generate()]);
    server.cut().await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(
        lease.send(get("/hello")).await.err(),
        Some(SendError::NotSent(NotSent::Stale))
    );
    assert_eq!(server.seen.others(), 0);
    // The new key has been verified in the meantime, and its connection waits.
    let lease = channel.lease().await.expect("a lease");
    assert!(lease.send(get("/hello")).await.is_ok());
    server.seen.expect_handshakes(2).await;
}

#[tokio::test]
async fn a_request_that_may_have_left_is_reported_as_such_and_not_repeated() {
    let (server, channel) = start(Arc::new(|_, _| Box::pin(std::future::pending()))).await;
    let lease = channel.lease().await.expect("a lease");
    let sending = tokio::spawn(lease.send(get("/once")));
    eventually("the request arrives", || server.seen.others() == 1).await;
    server.cut().await;
    let failed = sending.await.expect("no panic").err();
    assert!(
        matches!(failed, Some(SendError::Interrupted(_))),
        "{failed:?}"
    );
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(server.seen.others(), 1);
}

#[tokio::test]
async fn a_truncated_response_is_an_error_and_closes_its_connection() {
    let (server, channel) = start(endless()).await;
    let lease = channel.lease().await.expect("a lease");
    let mut body = lease
        .send(get("/stream"))
        .await
        .expect("a response")
        .into_body();
    assert!(matches!(body.frame().await, Some(Ok(_))));
    server.cut().await;
    assert!(matches!(body.frame().await, Some(Err(_))));
    drop(body);
    drop(channel.lease().await.expect("a lease"));
    server.seen.expect_handshakes(2).await;
}

#[tokio::test]
async fn idle_connections_are_bounded_in_number_and_time() {
    let timeouts = Timeouts {
        idle_pool: Duration::from_millis(300),
        ..timeouts()
    };
    let limits = Limits {
        idle_connections: 2,
        ..Limits::default()
    };
    let (server, channel) = start_with(hello(), timeouts, limits).await;
    let mut leases = Vec::new();
    for _ in 0..5 {
        leases.push(channel.lease().await.expect("a lease"));
    }
    server.seen.expect_handshakes(5).await;
    drop(leases);
    eventually("three are closed at once", || server.seen.open() == 2).await;
    eventually("the rest in time", || server.seen.open() == 0).await;
    assert!(channel.lease().await.is_ok());
}

#[tokio::test]
async fn a_dropped_channel_closes_its_connections() {
    let (server, channel) = start(hello()).await;
    drop(channel.lease().await.expect("a lease"));
    server.seen.expect_handshakes(1).await;
    drop(channel);
    eventually("closed", || server.seen.open() == 0).await;
}

/// The next request on it would be read as a part of the one before.
#[tokio::test]
async fn a_connection_with_an_unfinished_request_is_not_reused() {
    let (server, channel) = start(hello()).await;
    // Larger than what the sockets hold: the server answers without reading it.
    let body = Bytes::from(vec![b' '; 32 * 1024 * 1024]);
    for _ in 0..2 {
        let request = Request::post("/hello").body(body.clone());
        let lease = channel.lease().await.expect("a lease");
        let response = lease.send(request.expect("a request")).await;
        assert_eq!(text(response.expect("a response")).await, "hello");
    }
    server.seen.expect_handshakes(2).await;
    let lease = channel.lease().await.expect("a lease");
    let response = lease.send(get("/hello")).await.expect("a response");
    assert_eq!(text(response).await, "hello");
    server.seen.expect_handshakes(3).await;
}

#[tokio::test]
async fn a_connection_that_the_peer_asks_to_close_is_not_reused() {
    let closing: Answers = Arc::new(|_, _| {
        let mut response = respond(200, "hello");
        response.headers_mut().insert(
            http::header::CONNECTION,
            http::HeaderValue::from_static("close"),
        );
        Box::pin(async { response })
    });
    let (server, channel) = start(closing).await;
    for _ in 0..3 {
        let lease = channel.lease().await.expect("a lease");
        let response = lease.send(get("/hello")).await.expect("a response");
        assert_eq!(text(response).await, "hello");
    }
    server.seen.expect_handshakes(3).await;
    assert_eq!(server.seen.reports(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn under_load_connections_are_reused_and_the_peer_is_verified_once() {
    const CALLERS: usize = 16;
    let (server, channel) = start(hello()).await;
    let callers = (0..CALLERS).map(|_| {
        let channel = Arc::clone(&channel);
        tokio::spawn(async move {
            for _ in 0..50 {
                let lease = channel.lease().await.expect("a lease");
                let response = lease.send(get("/hello")).await.expect("a response");
                assert_eq!(text(response).await, "hello");
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.expect("no panic");
    }
    assert_eq!(server.seen.reports(), 1);
    assert_eq!(server.seen.others(), CALLERS * 50);
    assert!(
        server.seen.handshakes() <= CALLERS,
        "{}",
        server.seen.handshakes()
    );
}

#[tokio::test]
async fn an_answer_of_421_returns_no_response_and_closes_the_idle_connections_to_that_key() {
    let answers: Answers = Arc::new(|request, _| {
        let status = match request.uri().path() {
            "/ended" => 421,
            _ => 200,
        };
        Box::pin(async move { respond(status, "hello") })
    });
    let (server, channel) = start(answers).await;
    let one = channel.lease().await.expect("a lease");
    let other = channel.lease().await.expect("a second lease");
    for lease in [one, other] {
        text(lease.send(get("/")).await.expect("a response")).await;
    }
    eventually("both connections are idle", || server.seen.open() == 2).await;

    let lease = channel.lease().await.expect("a pooled lease");
    let sent = lease.send(get("/ended")).await;
    assert_eq!(sent.err(), Some(SendError::Misdirected));
    eventually("both connections are closed", || server.seen.open() == 0).await;
}

#[tokio::test]
async fn a_report_request_that_is_answered_421_is_made_again_on_a_new_connection() {
    let platform = Platform::new();
    let reports = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let service = platform.service();
    let answers: Answers = Arc::new(move |request, identity| {
        let first = request.uri().path() == "/v1/aci/attestation"
            && reports.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
        if first {
            return Box::pin(async { respond(421, "") });
        }
        service(request, identity)
    });
    let server = Server::start(vec![Identity::generate()], answers).await;
    let channel = AttestedChannel::new(
        server.origin(),
        platform.trust(),
        timeouts(),
        platform.clock(),
    );
    let lease = channel.lease().await.expect("a lease");
    let response = lease.send(get("/")).await.expect("a response");
    assert_eq!(text(response).await, "hello");
    server.seen.expect_handshakes(2).await;
}
