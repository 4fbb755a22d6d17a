//! The request heads that are sent to one upstream: rendered once, the same for every request.
//!
//! No header of the client is in it. In particular the client's credential is not forwarded: the upstream gets ours.

use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method};

use super::prompt_body::OutgoingPrompt;
use attest_channel::transport::{OutgoingRequest, RequestHead};
use gateway_base::config::Upstream;
use gateway_base::request::Endpoint;
use gateway_base::request::Name;

const OUR_NAME: HeaderValue =
    HeaderValue::from_static(concat!("sealgate/", env!("CARGO_PKG_VERSION")));
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");

const IDENTITY: HeaderValue = HeaderValue::from_static("identity");

/// A configured value that cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    #[error("its URL does not make a valid request target")]
    Url,
    #[error("its API key contains characters an HTTP header cannot carry")]
    ApiKey,
}

/// An upstream's names and the heads of requests to it.
pub(super) struct Target {
    pub name: Name,
    pub model: Name,
    chat: Heads,
    completions: Heads,
    embeddings: Heads,
}

/// The heads of requests to one endpoint.
struct Heads {
    whole: RequestHead,
    stream: RequestHead,
}

impl Target {
    pub(super) fn new(upstream: &Upstream, model_id: &Name) -> Result<Self, TargetError> {
        let host = HeaderValue::try_from(upstream.url.authority());
        Self::with_host(upstream, model_id, host.map_err(|_| TargetError::Url)?)
    }

    /// With this `Host` instead of the URL's.
    pub(super) fn with_host(
        upstream: &Upstream,
        model_id: &Name,
        host: HeaderValue,
    ) -> Result<Self, TargetError> {
        let mut headers = HeaderMap::with_capacity(6);
        headers.insert(HOST, host);
        headers.insert(CONTENT_TYPE, JSON);
        headers.insert(ACCEPT, JSON);
        // Without this header the upstream may use any coding (RFC 9110 §12.5.3).
        headers.insert(ACCEPT_ENCODING, IDENTITY);
        headers.insert(USER_AGENT, OUR_NAME);
        if let Some(ours) = authorization(upstream)? {
            headers.insert(AUTHORIZATION, ours);
        }
        let mut heads = |endpoint| {
            let uri = upstream.url.endpoint_path(endpoint).parse();
            let uri = uri.map_err(|_| TargetError::Url)?;
            let mut head = |accept| {
                headers.insert(ACCEPT, accept);
                RequestHead::new(&Method::POST, &uri, &headers)
            };
            Ok(Heads {
                whole: head(JSON),
                stream: head(EVENTS),
            })
        };
        Ok(Self {
            name: upstream.name.clone(),
            model: upstream.model.as_ref().unwrap_or(model_id).clone(),
            chat: heads(Endpoint::Chat)?,
            completions: heads(Endpoint::Completions)?,
            embeddings: heads(Endpoint::Embeddings)?,
        })
    }

    /// A complete request with the prompt as its body.
    pub(super) fn request(
        &self,
        endpoint: Endpoint,
        stream: bool,
        prompt: &OutgoingPrompt,
    ) -> OutgoingRequest {
        let heads = match endpoint {
            Endpoint::Chat => &self.chat,
            Endpoint::Completions => &self.completions,
            Endpoint::Embeddings => &self.embeddings,
        };
        let head = match stream {
            true => &heads.stream,
            false => &heads.whole,
        };
        head.with_body(prompt.pieces())
    }
}

fn authorization(upstream: &Upstream) -> Result<Option<HeaderValue>, TargetError> {
    let Some(api_key) = &upstream.api_key else {
        return Ok(None);
    };
    let text = zeroize::Zeroizing::new(format!("Bearer {}", api_key.key.expose().trim()));
    let mut value = HeaderValue::from_str(&text).map_err(|_| TargetError::ApiKey)?;
    value.set_sensitive(true);
    Ok(Some(value))
}
