//! Fetches an attestation report on a connection whose key is not trusted yet (ACI/1 §4).

use std::future::poll_fn;
use std::time::Duration;

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderMap, Request, StatusCode};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::time::{Instant, sleep, timeout_at};

use crate::error::{ChannelError, Stage};
use crate::origin::Origin;
use crate::transport::{Connection, ExchangeError, Unanswered};
use attest_core::Nonce;

/// Larger reports are refused unread. A report with event log and collateral stays below 1 MiB.
pub const MAX_REPORT: usize = 4 * 1024 * 1024;

/// A challenge that no peer can have predicted.
pub(crate) fn fresh_nonce() -> Result<Nonce, ChannelError> {
    let mut bytes = [0u8; 32];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| ChannelError::NoRandomness)?;
    Ok(Nonce::from_bytes(bytes))
}

/// Requests the report, with collateral inside, and retries while the peer answers that it is busy, for
/// at most `limit` in total. Redirects are not followed: another address is another connection, whose key
/// this one says nothing about.
pub(crate) async fn fetch(
    http: &mut Connection,
    origin: &Origin,
    nonce: &Nonce,
    limit: Duration,
) -> Result<Vec<u8>, ChannelError> {
    let deadline = Instant::now() + limit;
    let mut refused: Option<Busy> = None;
    let mut default_pause = FIRST_PAUSE;
    loop {
        let answer = match timeout_at(deadline, exchange(http, origin, nonce)).await {
            Ok(answer) => answer,
            Err(_) => Err(ChannelError::Timeout {
                stage: Stage::Report,
            }),
        };
        let busy = match (answer, refused) {
            (Ok(Answer::Report(report)), _) => return Ok(report),
            (Ok(Answer::Busy(busy)), _) => busy,
            // The peer answered "busy", and then closed the connection or sent nothing: it is busy, not broken.
            (Err(ChannelError::Http(_) | ChannelError::Timeout { .. }), Some(busy)) => {
                return Err(busy.into());
            }
            (Err(error), _) => return Err(error),
        };
        let pause = with_jitter(busy.retry_after.unwrap_or(default_pause).max(FIRST_PAUSE))?;
        default_pause = (default_pause * 2).min(LAST_PAUSE);
        // A pause that would end after the deadline is not begun: the caller learns at once when to come back.
        if Instant::now() + pause >= deadline || !http.is_usable() {
            return Err(busy.into());
        }
        refused = Some(busy);
        sleep(pause).await;
    }
}

/// The pauses if a busy peer sends no `Retry-After`: doubled from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LAST_PAUSE: Duration = Duration::from_secs(8);

/// Longer than any deadline; it keeps the arithmetic within bounds.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(86_400);

/// How much is read of an answer that is no report.
const MAX_REFUSAL: usize = 64 * 1024;

enum Answer {
    Report(Vec<u8>),
    Busy(Busy),
}

/// The peer answered 429 or 503.
#[derive(Clone, Copy)]
struct Busy {
    status: u16,
    retry_after: Option<Duration>,
}

impl From<Busy> for ChannelError {
    fn from(busy: Busy) -> Self {
        ChannelError::Busy {
            status: busy.status,
            retry_after: busy.retry_after,
        }
    }
}

/// The pause plus up to a half of it, so that clients that were refused together do not retry together.
fn with_jitter(pause: Duration) -> Result<Duration, ChannelError> {
    let mut random = [0; 2];
    SystemRandom::new()
        .fill(&mut random)
        .map_err(|_| ChannelError::NoRandomness)?;
    let share = f64::from(u16::from_be_bytes(random)) / f64::from(u16::MAX);
    Ok(pause + (pause / 2).mul_f64(share))
}

async fn exchange(
    http: &mut Connection,
    origin: &Origin,
    nonce: &Nonce,
) -> Result<Answer, ChannelError> {
    let mut request = Request::get(format!("/v1/aci/attestation?nonce={nonce}&collateral=1"))
        .header(http::header::ACCEPT, "application/json")
        .body(Bytes::new())
        .map_err(|error| ChannelError::Http(error.to_string()))?;
    origin
        .address(&mut request)
        .map_err(|_| ChannelError::Http("request is for another origin".to_owned()))?;
    let response = match http.exchange(&request.into()).await {
        Ok(response) => response,
        Err(Unanswered::NotSent) => {
            return Err(ChannelError::Http("connection closed".to_owned()));
        }
        Err(Unanswered::MaybeSent(error)) => {
            return Err(ChannelError::Http(format!("request interrupted: {error}")));
        }
    };
    match response.status() {
        StatusCode::OK => {
            let report = read_bounded(http, MAX_REPORT).await?;
            Ok(Answer::Report(report))
        }
        status @ (StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) => {
            let busy = Busy {
                status: status.as_u16(),
                retry_after: retry_after(response.headers()),
            };
            // Read to its end, so that the connection can be used again.
            match read_bounded(http, MAX_REFUSAL).await {
                Ok(_) => Ok(Answer::Busy(busy)),
                Err(_) => Err(busy.into()),
            }
        }
        status => Err(ChannelError::ReportStatus(status.as_u16())),
    }
}

/// Whole seconds. A date is ignored: it would need a clock that agrees with the peer's.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?;
    let seconds: u64 = value.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER))
}

async fn read_bounded(http: &mut Connection, limit: usize) -> Result<Vec<u8>, ChannelError> {
    if http.size_hint().lower() > limit as u64 {
        return Err(ChannelError::ReportTooLarge);
    }
    let mut report = Vec::new();
    while let Some(piece) = poll_fn(|cx| http.poll_data(cx)).await {
        let piece = piece.map_err(|error: ExchangeError| ChannelError::Http(error.to_string()))?;
        if piece.len() > limit - report.len() {
            return Err(ChannelError::ReportTooLarge);
        }
        report.extend_from_slice(&piece);
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn retry_after_is_read_in_whole_seconds() {
        let read = |value: &'static str| {
            let value = HeaderValue::from_static(value);
            retry_after(&HeaderMap::from_iter([(RETRY_AFTER, value)]))
        };
        assert_eq!(read("7"), Some(Duration::from_secs(7)));
        assert_eq!(read(" 0 "), Some(Duration::ZERO));
        assert_eq!(read("18446744073709551615"), Some(LONGEST_RETRY_AFTER));
        for other in ["", "-1", "1.5", "soon", "Wed, 21 Oct 2026 07:28:00 GMT"] {
            assert_eq!(read(other), None, "{other}");
        }
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }

    #[test]
    fn jitter_never_shortens_a_pause_and_differs_between_calls() {
        let asked = Duration::from_secs(4);
        let pauses: Vec<_> = (0..50)
            .map(|_| with_jitter(asked).expect("random"))
            .collect();
        assert!(
            pauses
                .iter()
                .all(|pause| (asked..=asked * 3 / 2).contains(pause))
        );
        assert!(pauses.iter().any(|pause| pause != &pauses[0]));
        assert!(with_jitter(LONGEST_RETRY_AFTER).expect("random") >= LONGEST_RETRY_AFTER);
    }
}
