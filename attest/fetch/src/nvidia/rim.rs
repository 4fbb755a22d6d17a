//! NVIDIA's service of reference integrity manifests: `GET /v1/rim/{id}` returns a JSON object with
//! the signed XML in base64 (`rim`) and a digest (`sha256`).
//!
//! The digest detects a damaged answer and proves nothing. NVIDIA does not document whether it is
//! of the manifest or of its base64 form, so either is accepted.

use std::time::Duration;

use reqwest::Url;
use serde::Deserialize;

use super::names::ManifestName;
use crate::FetchError;
use crate::http::{Http, Part, http_url};
use attest_core::MAX_RIM_LEN;
use attest_core::{Sha256Digest, parse_base64};

/// NVIDIA's service.
pub const NVIDIA_RIM: &str = "https://rim.attestation.nvidia.com";

const TIMEOUT: Duration = Duration::from_secs(20);
const MAX_ANSWER: usize = 2 * MAX_RIM_LEN;

/// A RIM service at one address.
#[derive(Clone, Debug)]
pub struct NvidiaRim {
    base: Url,
    http: Http,
}

#[derive(Deserialize)]
struct Manifest {
    id: Option<String>,
    rim: String,
    sha256: Option<String>,
}

impl NvidiaRim {
    /// The service at `base_url`, for instance [`NVIDIA_RIM`].
    pub fn new(base_url: &str) -> Result<Self, FetchError> {
        Ok(Self {
            base: http_url(&format!("{}/", base_url.trim_end_matches('/')))?,
            http: Http::new(TIMEOUT)?,
        })
    }

    /// The same with another timeout for each answer.
    pub fn with_timeout(self, timeout: Duration) -> Result<Self, FetchError> {
        Ok(Self {
            http: Http::new(timeout)?,
            ..self
        })
    }

    pub(super) async fn fetch(&self, name: &ManifestName) -> Result<Vec<u8>, FetchError> {
        let what = name.what;
        let url = self
            .base
            .join(&format!("v1/rim/{}", name.id))
            .map_err(|_| FetchError::BaseUrl)?;
        let part = Part {
            what,
            limit: MAX_ANSWER,
        };
        let answer = self.http.get(url, part).await?;
        manifest(&answer.body, name)
    }
}

fn manifest(body: &[u8], name: &ManifestName) -> Result<Vec<u8>, FetchError> {
    let what = name.what;
    let malformed = || FetchError::Malformed { what };
    let answer: Manifest = serde_json::from_slice(body).map_err(|_| malformed())?;
    if answer.id.is_some_and(|id| id != name.id) {
        return Err(malformed());
    }
    let rim = parse_base64(&answer.rim, MAX_RIM_LEN).map_err(|_| malformed())?;
    let digests = [&rim[..], answer.rim.as_bytes()].map(|bytes| Sha256Digest::hash(bytes).to_hex());
    match answer.sha256 {
        Some(stated) if !digests.contains(&stated.to_ascii_lowercase()) => {
            Err(FetchError::Digest { what })
        }
        _ => Ok(rim),
    }
}
