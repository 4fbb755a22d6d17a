//! The request head that is sent to one upstream: prepared once, the same for every request.
//!
//! No header of the client is in it. In particular the client's credential is not forwarded: the upstream gets ours.

use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Uri};

use super::prompt_body::{OutgoingPrompt, PromptBody};
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

/// An upstream's names and the fixed parts of requests to it.
pub(super) struct Target {
    pub name: Name,
    pub model: Name,
    host: HeaderValue,
    authorization: Option<HeaderValue>,
    chat: Uri,
    completions: Uri,
    embeddings: Uri,
}

impl Target {
    pub(super) fn new(upstream: &Upstream, model_id: &Name) -> Result<Self, TargetError> {
        let uri = |endpoint| {
            upstream
                .url
                .endpoint_path(endpoint)
                .parse()
                .map_err(|_| TargetError::Url)
        };
        Ok(Self {
            name: upstream.name.clone(),
            model: upstream.model.as_ref().unwrap_or(model_id).clone(),
            host: HeaderValue::try_from(upstream.url.authority()).map_err(|_| TargetError::Url)?,
            authorization: authorization(upstream)?,
            chat: uri(Endpoint::Chat)?,
            completions: uri(Endpoint::Completions)?,
            embeddings: uri(Endpoint::Embeddings)?,
        })
    }

    /// A complete request with the prompt as its body.
    pub(super) fn request(
        &self,
        endpoint: Endpoint,
        stream: bool,
        prompt: &OutgoingPrompt,
    ) -> Request<PromptBody> {
        let mut request = Request::new(prompt.body());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = match endpoint {
            Endpoint::Chat => self.chat.clone(),
            Endpoint::Completions => self.completions.clone(),
            Endpoint::Embeddings => self.embeddings.clone(),
        };
        let mut headers = HeaderMap::with_capacity(6);
        headers.insert(HOST, self.host.clone());
        headers.insert(CONTENT_TYPE, JSON);
        headers.insert(ACCEPT, if stream { EVENTS } else { JSON });
        // Without this header the upstream may use any coding (RFC 9110 §12.5.3).
        headers.insert(ACCEPT_ENCODING, IDENTITY);
        headers.insert(USER_AGENT, OUR_NAME);
        if let Some(ours) = &self.authorization {
            headers.insert(AUTHORIZATION, ours.clone());
        }
        *request.headers_mut() = headers;
        request
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
