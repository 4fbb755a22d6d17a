//! Fetches an issuer's keys: its discovery document, then its key set.
//!
//! No redirects, no proxy of the environment, TLS with the machine's certificate authorities or with those of the
//! issuer's `ca_file` alone, and limits on time and size.

use std::time::Duration;

use reqwest::header::{CACHE_CONTROL, HeaderMap};
use reqwest::{Client, StatusCode, Url, redirect};
use serde_json::Value;

use gateway_base::config::identity::{Issuer, KeySource};
use gateway_base::config::provider_url;
use gateway_base::events::IdentityFailure;
use jwt::{KeySet, parse_object};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For one whole answer.
const TIMEOUT: Duration = Duration::from_secs(10);
const MAX_DISCOVERY: usize = 64 * 1024;
const MAX_KEY_SET: usize = 256 * 1024;
/// How long a set without `Cache-Control` is used before it is fetched again.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(600);
const LIFETIMES: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(86_400));

/// A key set, and how long it can be used before it is fetched again.
#[derive(Debug, PartialEq)]
pub(crate) struct Fetched {
    pub(crate) keys: KeySet,
    pub(crate) lifetime: Duration,
}

/// Where the keys of one issuer come from.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    issuer: String,
    keys: KeySource,
    client: Option<Client>,
}

impl Source {
    pub(crate) fn new(issuer: &Issuer) -> Self {
        Self {
            issuer: issuer.issuer.clone(),
            keys: issuer.keys.clone(),
            client: client(issuer),
        }
    }

    pub(crate) async fn fetch(&self) -> Result<Fetched, IdentityFailure> {
        let client = self.client.as_ref().ok_or(IdentityFailure::Unreachable)?;
        let url = match &self.keys {
            KeySource::KeySet(url) => url.clone(),
            KeySource::Discovery(url) => {
                let document = get(client, url, MAX_DISCOVERY).await?;
                key_set_url(&document.body, &self.issuer).ok_or(IdentityFailure::Discovery)?
            }
        };
        let answer = get(client, &url, MAX_KEY_SET).await?;
        let keys = KeySet::parse(&answer.body).map_err(|_| IdentityFailure::KeySet)?;
        let lifetime = lifetime(&answer.headers);
        Ok(Fetched { keys, lifetime })
    }
}

/// `None` if TLS cannot be configured.
fn client(issuer: &Issuer) -> Option<Client> {
    let authorities = match &issuer.authorities {
        Some(pinned) => pinned.roots.clone(),
        None => tls_client::system_authorities(),
    };
    Client::builder()
        .tls_backend_preconfigured(tls_client::client_config(authorities))
        .redirect(redirect::Policy::none())
        .no_proxy()
        .dns_resolver(attest_fetch::NameResolver)
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TIMEOUT)
        // A key set is fetched every few minutes: a connection kept for that long would be closed by the other side.
        .pool_max_idle_per_host(0)
        .build()
        .ok()
}

struct Answer {
    headers: HeaderMap,
    body: Vec<u8>,
}

async fn get(client: &Client, url: &Url, limit: usize) -> Result<Answer, IdentityFailure> {
    let failed = |error: reqwest::Error| {
        if error.is_timeout() {
            IdentityFailure::Timeout
        } else {
            IdentityFailure::Unreachable
        }
    };
    let mut response = client.get(url.clone()).send().await.map_err(failed)?;
    if response.status() != StatusCode::OK {
        return Err(IdentityFailure::Status);
    }
    let headers = std::mem::take(response.headers_mut());
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        // Checked before the chunk is stored: `Content-Length` is the server's claim, and there may be none.
        if body.len() + chunk.len() > limit {
            return Err(IdentityFailure::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { headers, body })
}

/// The address of the key set in a discovery document (OpenID Connect Discovery 1.0 §3). The document must be about the
/// configured issuer (§4.3).
fn key_set_url(document: &[u8], issuer: &str) -> Option<Url> {
    let document = parse_object(document)?;
    let text = |name: &str| document.get(name).and_then(Value::as_str);
    if text("issuer") != Some(issuer) {
        return None;
    }
    provider_url(text("jwks_uri")?).ok()
}

/// By the answer's `Cache-Control`, within bounds.
fn lifetime(headers: &HeaderMap) -> Duration {
    let (least, most) = LIFETIMES;
    let mut age = None;
    for value in headers.get_all(CACHE_CONTROL) {
        for directive in value.to_str().unwrap_or_default().split(',') {
            let directive = directive.trim().to_ascii_lowercase();
            if directive == "no-store" || directive == "no-cache" {
                return least;
            }
            let seconds = directive.strip_prefix("max-age=");
            age = age.or(seconds.and_then(|seconds| seconds.trim_matches('"').parse().ok()));
        }
    }
    age.map_or(DEFAULT_LIFETIME, Duration::from_secs)
        .clamp(least, most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    const ISSUER: &str = "https://id.example.com/realm";

    #[test]
    fn the_lifetime_of_a_key_set_is_its_caches_within_bounds() {
        let with = |value: &'static str| {
            lifetime(&HeaderMap::from_iter([(
                CACHE_CONTROL,
                HeaderValue::from_static(value),
            )]))
        };
        assert_eq!(lifetime(&HeaderMap::new()), DEFAULT_LIFETIME);
        assert_eq!(with("public, max-age=3600"), Duration::from_secs(3600));
        assert_eq!(with("Max-Age=\"900\""), Duration::from_secs(900));
        for short in ["max-age=0", "no-store", "max-age=9, no-cache"] {
            assert_eq!(with(short), LIFETIMES.0, "{short}");
        }
        assert_eq!(with("max-age=99999999"), LIFETIMES.1);
        for none in ["max-age=soon", "max-age=-1", "private", ""] {
            assert_eq!(with(none), DEFAULT_LIFETIME, "{none}");
        }
    }

    #[test]
    fn a_discovery_document_is_about_the_configured_issuer_and_names_an_address_with_tls() {
        let document = |issuer: &str, keys: &str| {
            let text = format!(r#"{{"issuer":"{issuer}","jwks_uri":"{keys}"}}"#);
            key_set_url(text.as_bytes(), ISSUER).map(String::from)
        };
        let keys = "https://keys.example.com/jwks";
        assert_eq!(document(ISSUER, keys).as_deref(), Some(keys));
        assert_eq!(document("https://id.example.com/realm/", keys), None);
        assert_eq!(document("https://id.example.com", keys), None);
        for bad in [
            "http://keys.example.com/jwks",
            "file:///etc/passwd",
            "jwks",
            "",
        ] {
            assert_eq!(document(ISSUER, bad), None, "{bad}");
        }
        let twice = format!(r#"{{"issuer":"{ISSUER}","jwks_uri":"{keys}","issuer":"{ISSUER}"}}"#);
        assert_eq!(key_set_url(twice.as_bytes(), ISSUER), None);
    }
}
