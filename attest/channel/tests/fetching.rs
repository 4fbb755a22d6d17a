//! Fetching a report from a peer that is not trusted yet.

mod support;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Response;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};

use attest_channel::{ChannelError, Dialer, MAX_REPORT, ObservedConnection, Stage, Timeouts};
use attest_core::Nonce;
use support::server::{Answers, Body, Identity, Server, always, full, respond};
use support::timeouts;

const NONCE: [u8; 32] = [0xA7; 32];

async fn start(answers: Answers) -> (Server, ObservedConnection) {
    start_with(answers, timeouts()).await
}

async fn start_with(answers: Answers, timeouts: Timeouts) -> (Server, ObservedConnection) {
    let server = Server::start(vec![Identity::generate()], answers).await;
    let connection = Dialer::new(timeouts)
        .dial(&server.origin())
        .await
        .expect("a connection");
    (server, connection)
}

async fn fetch(answers: Answers) -> Result<Vec<u8>, ChannelError> {
    let (_server, mut connection) = start(answers).await;
    connection.fetch_report(&Nonce::from_bytes(NONCE)).await
}

/// `total` bytes in pieces, length not announced.
fn chunked(total: usize) -> Body {
    let pieces = (0..total.div_ceil(65536)).map(move |piece| {
        let size = (total - piece * 65536).min(65536);
        Ok::<_, Infallible>(Frame::data(Bytes::from(vec![b'x'; size])))
    });
    StreamBody::new(futures_util::stream::iter(pieces)).boxed_unsync()
}

#[tokio::test]
async fn requests_the_report_with_nonce_collateral_and_the_origins_host() {
    let answers: Answers = Arc::new(|request, _| {
        let query = request.uri().to_string();
        Box::pin(async move { respond(200, query) })
    });
    let (server, mut connection) = start(answers).await;
    let nonce = Nonce::from_bytes(NONCE);
    let report = connection.fetch_report(&nonce).await.expect("a report");
    assert_eq!(
        String::from_utf8(report).expect("text"),
        format!("/v1/aci/attestation?nonce={}&collateral=1", "a7".repeat(32))
    );
    assert_eq!(server.seen.hosts(), [server.address.to_string()]);
    // And again on the same connection.
    assert!(connection.fetch_report(&nonce).await.is_ok());
    server.seen.expect_handshakes(1).await;
}

#[tokio::test]
async fn reports_a_status_other_than_200_and_does_not_follow_a_redirect() {
    for status in [301, 307, 403, 404, 500, 204] {
        let (server, mut connection) = start(always(move || {
            let mut response = respond(status, "");
            response.headers_mut().insert(
                http::header::LOCATION,
                http::HeaderValue::from_static("/elsewhere"),
            );
            response
        }))
        .await;
        assert_eq!(
            connection.fetch_report(&Nonce::from_bytes(NONCE)).await,
            Err(ChannelError::ReportStatus(status))
        );
        assert_eq!(server.seen.requests().len(), 1);
    }
}

/// Answers `times` requests with `status` and this `Retry-After`, the following ones with a report.
fn busy(times: usize, status: u16, retry_after: Option<&'static str>) -> Answers {
    let left = AtomicUsize::new(times);
    let take = move || {
        let taken = left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1));
        taken.is_ok()
    };
    always(move || {
        if !take() {
            return respond(200, "a report");
        }
        let mut response = respond(status, "{\"error\":{}}");
        if let Some(value) = retry_after {
            let value = http::HeaderValue::from_static(value);
            let headers = response.headers_mut();
            headers.insert(http::header::RETRY_AFTER, value);
        }
        response
    })
}

#[tokio::test]
async fn retries_a_busy_peer_on_the_same_connection_after_its_retry_after() {
    for (status, retry_after) in [(429, Some("1")), (503, None), (429, Some("soon"))] {
        let (server, mut connection) = start(busy(2, status, retry_after)).await;
        let began = Instant::now();
        let report = connection.fetch_report(&Nonce::from_bytes(NONCE)).await;
        assert_eq!(report, Ok(b"a report".to_vec()), "{status} {retry_after:?}");
        assert!(began.elapsed() >= Duration::from_secs(1));
        assert_eq!(server.seen.requests().len(), 3);
        server.seen.expect_handshakes(1).await;
    }
}

#[tokio::test]
async fn reports_a_peer_that_stays_busy_as_busy_before_the_report_timeout() {
    let short_timeouts = Timeouts {
        report: Duration::from_secs(3),
        ..timeouts()
    };
    let expected = |status, seconds| {
        Err(ChannelError::Busy {
            status,
            retry_after: Some(Duration::from_secs(seconds)),
        })
    };
    let (server, mut connection) =
        start_with(busy(usize::MAX, 429, Some("1")), short_timeouts).await;
    let fetched = connection.fetch_report(&Nonce::from_bytes(NONCE)).await;
    assert_eq!(fetched, expected(429, 1));
    assert!((2..=4).contains(&server.seen.requests().len()));
    // Where it asks for more time than there is, waiting would be for nothing.
    let (server, mut connection) =
        start_with(busy(usize::MAX, 503, Some("3600")), short_timeouts).await;
    let fetched = connection.fetch_report(&Nonce::from_bytes(NONCE)).await;
    assert_eq!(fetched, expected(503, 3600));
    assert_eq!(server.seen.requests().len(), 1);
}

#[tokio::test]
async fn reports_a_peer_that_answers_busy_and_then_nothing_as_busy() {
    let short_timeouts = Timeouts {
        report: Duration::from_secs(3),
        ..timeouts()
    };
    let asked = AtomicUsize::new(0);
    let answers: Answers = Arc::new(move |_, _| match asked.fetch_add(1, SeqCst) {
        0 => Box::pin(async { respond(503, "") }),
        _ => Box::pin(std::future::pending()),
    });
    let (_server, mut connection) = start_with(answers, short_timeouts).await;
    assert_eq!(
        connection.fetch_report(&Nonce::from_bytes(NONCE)).await,
        Err(ChannelError::Busy {
            status: 503,
            retry_after: None
        })
    );
}

#[tokio::test]
async fn refuses_a_report_over_the_limit_with_and_without_content_length() {
    let announced = always(|| respond(200, vec![b'x'; MAX_REPORT + 1]));
    assert_eq!(fetch(announced).await, Err(ChannelError::ReportTooLarge));
    let growing = always(|| Response::new(chunked(MAX_REPORT + 1)));
    assert_eq!(fetch(growing).await, Err(ChannelError::ReportTooLarge));
}

#[tokio::test]
async fn accepts_a_report_at_the_limit_with_and_without_content_length() {
    let announced = always(|| respond(200, vec![b'x'; MAX_REPORT]));
    assert_eq!(
        fetch(announced).await.map(|report| report.len()),
        Ok(MAX_REPORT)
    );
    let growing = always(|| Response::new(chunked(MAX_REPORT)));
    assert_eq!(
        fetch(growing).await.map(|report| report.len()),
        Ok(MAX_REPORT)
    );
}

#[tokio::test]
async fn times_out_when_no_report_comes() {
    let short_timeouts = Timeouts {
        report: Duration::from_millis(200),
        ..timeouts()
    };
    let headless: Answers = Arc::new(|_, _| Box::pin(std::future::pending()));
    let endless = always(|| {
        let first = futures_util::stream::iter([Ok::<_, Infallible>(Frame::data(
            Bytes::from_static(b"{"),
        ))]);
        let silence = futures_util::StreamExt::chain(first, futures_util::stream::pending());
        Response::new(StreamBody::new(silence).boxed_unsync())
    });
    for answers in [headless, endless] {
        let (_server, mut connection) = start_with(answers, short_timeouts).await;
        assert_eq!(
            connection.fetch_report(&Nonce::from_bytes(NONCE)).await,
            Err(ChannelError::Timeout {
                stage: Stage::Report
            })
        );
    }
}

#[tokio::test]
async fn a_connection_that_breaks_before_or_within_the_report_is_an_error() {
    let (server, mut connection) = start(always(|| respond(200, "late"))).await;
    server.cut().await;
    assert!(matches!(
        connection.fetch_report(&Nonce::from_bytes(NONCE)).await,
        Err(ChannelError::Http(_))
    ));

    let lying = always(|| {
        let mut response = Response::new(full("short"));
        response.headers_mut().insert(
            http::header::CONTENT_LENGTH,
            http::HeaderValue::from_static("500"),
        );
        response
    });
    assert!(matches!(fetch(lying).await, Err(ChannelError::Http(_))));
}
