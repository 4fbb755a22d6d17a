//! One bounded GET.

use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Client, StatusCode, Url, redirect};

use crate::FetchError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// An answer with status 200 that came whole and within its bound.
pub(crate) struct Answer {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// A client that follows no redirects, uses no proxy of the environment, and trusts the system's
/// certificate authorities. `timeout` is for a whole answer.
pub(crate) fn client(timeout: Duration) -> Result<Client, FetchError> {
    let failed = |error: &dyn std::fmt::Display| FetchError::Client(error.to_string());
    let mut authorities = rustls::RootCertStore::empty();
    authorities.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = rustls::crypto::ring::default_provider();
    let tls = rustls::ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(&error))?
        .with_root_certificates(authorities)
        .with_no_client_auth();
    Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(redirect::Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(timeout)
        .build()
        .map_err(|error| failed(&error))
}

pub(crate) async fn get(
    client: &Client,
    url: Url,
    what: &'static str,
    limit: usize,
) -> Result<Answer, FetchError> {
    let mut response = client.get(url).send().await.map_err(|error| {
        if error.is_timeout() {
            FetchError::Timeout { what }
        } else {
            FetchError::Connect { what }
        }
    })?;
    if response.status() != StatusCode::OK {
        return Err(FetchError::Status {
            what,
            status: response.status().as_u16(),
        });
    }
    let headers = std::mem::take(response.headers_mut());
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
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
