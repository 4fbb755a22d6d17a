//! The HTTP client of the OTLP collector.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Client, redirect};
use serde_json::Value;

use crate::config::BaseUrl;
use crate::events::TelemetryFailure;

/// The longest timeout of one batch.
const MAX_TIMEOUT: Duration = Duration::from_secs(10);
const JSON: HeaderValue = HeaderValue::from_static("application/json");

pub(super) struct Collector {
    client: Client,
    base: String,
}

impl Collector {
    /// A client that follows no redirects, uses no proxy of the environment, and trusts the machine's certificate
    /// authorities. `None` if TLS cannot be configured.
    pub(super) fn new(base: &BaseUrl, every: Duration) -> Option<Self> {
        let tls = tls_client::client_config(tls_client::system_authorities());
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .dns_resolver(attest_fetch::NameResolver)
            .timeout(every.min(MAX_TIMEOUT).max(Duration::from_secs(1)))
            .build()
            .ok()?;
        Some(Self {
            client,
            base: base.to_string(),
        })
    }

    /// Posts one document to `/traces` or `/metrics` below the base. The body of the
    /// response is not read.
    pub(super) async fn post(&self, what: &str, body: Value) -> Result<(), TelemetryFailure> {
        let request = self
            .client
            .post(format!("{}/{what}", self.base))
            .header(CONTENT_TYPE, JSON)
            .body(body.to_string());
        let response = request.send().await.map_err(|error| {
            if error.is_timeout() {
                TelemetryFailure::Timeout
            } else {
                TelemetryFailure::Unreachable
            }
        })?;
        if response.status().is_success() {
            Ok(())
        } else {
            Err(TelemetryFailure::Refused)
        }
    }
}
