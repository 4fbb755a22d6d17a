//! One bounded exchange, retried a few times if another attempt may help: after status 429, 500, 502, 503 or 504,
//! a failed connection, or an interrupted answer. A complete answer that is wrong is not retried,
//! nor is one that did not arrive before the timeout.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, StatusCode, Url, redirect};

use crate::{CertificateProblem, FetchError};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often one request is sent at most.
const ATTEMPTS: u32 = 3;
/// Before the second attempt at a service that failed; twice as long before the third.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// How long to wait after status 429 without `Retry-After`.
const DEFAULT_WAIT: Duration = Duration::from_secs(2);
/// A longer `Retry-After` than this is reported, not waited for.
const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// A complete answer with status 200, within its limit.
pub(crate) struct Answer {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// A requested part: its name in errors, and how large it can be.
#[derive(Clone, Copy)]
pub(crate) struct Part {
    pub(crate) what: &'static str,
    pub(crate) limit: usize,
}

/// A client that follows no redirects, ignores the environment's proxy settings, and trusts the machine's
/// certificate authorities.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    client: Client,
    longest_wait: Duration,
}

impl Http {
    /// `timeout` is for a whole answer.
    pub(crate) fn new(timeout: Duration) -> Result<Self, FetchError> {
        Ok(Self {
            client: client(timeout)?,
            longest_wait: LONGEST_WAIT,
        })
    }

    pub(crate) async fn get(&self, url: Url, part: Part) -> Result<Answer, FetchError> {
        self.with_retries(|| self.client.get(url.clone()), part)
            .await
    }

    pub(crate) async fn post(
        &self,
        url: Url,
        content_type: &'static str,
        body: Vec<u8>,
        part: Part,
    ) -> Result<Answer, FetchError> {
        let request = || {
            self.client
                .post(url.clone())
                .header(CONTENT_TYPE, content_type)
                .body(body.clone())
        };
        self.with_retries(request, part).await
    }

    async fn with_retries(
        &self,
        request: impl Fn() -> RequestBuilder,
        part: Part,
    ) -> Result<Answer, FetchError> {
        let mut attempt = 1;
        loop {
            let error = match exchange(request(), part).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            // A wait that a service asks for is either kept or reported: asking earlier would only be refused again.
            match pause(&error, attempt) {
                Some(wait) if attempt < ATTEMPTS && wait <= self.longest_wait => {
                    tokio::time::sleep(wait).await;
                    attempt += 1;
                }
                _ => return Err(error),
            }
        }
    }
}

/// How long to wait before the request is sent again; `None` if that cannot help.
fn pause(error: &FetchError, attempt: u32) -> Option<Duration> {
    match error {
        FetchError::RateLimited { retry_after, .. } => Some(retry_after.unwrap_or(DEFAULT_WAIT)),
        FetchError::Connect { .. }
        | FetchError::BrokenOff { .. }
        | FetchError::Status {
            status: 500 | 502 | 503 | 504,
            ..
        } => Some(FIRST_PAUSE * attempt),
        _ => None,
    }
}

fn client(timeout: Duration) -> Result<Client, FetchError> {
    let failed = |error: &dyn std::fmt::Display| FetchError::Client(error.to_string());
    let tls = tls_client::client_config(tls_client::system_authorities());
    Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(redirect::Policy::none())
        .no_proxy()
        .dns_resolver(crate::NameResolver)
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(timeout)
        .build()
        .map_err(|error| failed(&error))
}

async fn exchange(request: RequestBuilder, part: Part) -> Result<Answer, FetchError> {
    let Part { what, limit } = part;
    let mut response =
        request
            .send()
            .await
            .map_err(|error| match CertificateProblem::in_causes_of(&error) {
                Some(problem) => FetchError::Certificate { what, problem },
                None if error.is_timeout() => FetchError::Timeout { what },
                None => FetchError::Connect { what },
            })?;
    match response.status() {
        StatusCode::OK => {}
        StatusCode::TOO_MANY_REQUESTS => {
            let retry_after = retry_after(response.headers());
            return Err(FetchError::RateLimited { what, retry_after });
        }
        status => {
            let status = status.as_u16();
            return Err(FetchError::Status { what, status });
        }
    }
    let headers = std::mem::take(response.headers_mut());
    if is_web_page(&headers) {
        return Err(FetchError::Page { what });
    }
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            // Checked before the chunk is stored: `Content-Length` is the server's claim, and there may be none.
            Ok(Some(chunk)) if body.len() + chunk.len() > limit => {
                return Err(FetchError::TooLarge { what });
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(Answer { headers, body }),
            Err(error) if error.is_timeout() => return Err(FetchError::Timeout { what }),
            Err(_) => return Err(FetchError::BrokenOff { what }),
        }
    }
}

/// In seconds, as the services state it; a date is ignored.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse();
    seconds.ok().map(Duration::from_secs)
}

/// A web page, such as that of a captive portal or a proxy.
fn is_web_page(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| {
            value
                .trim_start()
                .to_ascii_lowercase()
                .starts_with("text/html")
        })
}

/// An http or https URL with a host.
pub(crate) fn http_url(text: &str) -> Result<Url, FetchError> {
    Url::parse(text)
        .ok()
        .filter(|url| ["http", "https"].contains(&url.scheme()) && url.has_host())
        .ok_or(FetchError::BaseUrl)
}
