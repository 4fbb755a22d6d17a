//! `[[model]]` and `[[model.upstream]]`: models, the upstreams of each, and how an upstream's URL is read.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::{NamedTrust, Sensitive};
use crate::request::Endpoint;
use crate::request::Name;

/// `[[model]]`
#[derive(Debug)]
pub struct Model {
    pub id: Name,
    pub aliases: Vec<Name>,
    /// Served only by verified enclaves, or by this very enclave in `direct` mode.
    pub confidential: bool,
    /// Policy and roots for its upstreams. Present exactly when the model is confidential and not served directly.
    pub attestation: Option<Arc<NamedTrust>>,
    /// In order of preference; at least one.
    pub upstreams: Vec<Arc<Upstream>>,
}

/// `[[model.upstream]]`
#[derive(Debug)]
pub struct Upstream {
    pub name: Name,
    pub url: BaseUrl,
    /// The upstream's name for the model, if it differs from ours.
    pub model: Option<Name>,
    pub api_key: Option<ApiKey>,
    /// Where it is, for authorization rules.
    pub region: Option<Name>,
    /// Whether it partitions its prefix cache by the `cache_salt` of a request, as vLLM does.
    pub cache_salt: bool,
    /// Whether the gateway requests usage for streams whose callers did not, so that they are metered.
    pub stream_usage: bool,
}

/// An upstream's credential, read from a file and never published.
#[derive(Debug)]
pub struct ApiKey {
    pub file: PathBuf,
    pub key: Sensitive<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    Http,
    Https,
}

/// `http(s)://host[:port][/prefix]` without credentials, query or fragment.
///
/// The prefix is what stands before `/chat/completions`; a URL without a path means `/v1`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BaseUrl {
    pub scheme: Scheme,
    /// Without brackets for IPv6.
    pub host: String,
    pub port: u16,
    /// Begins with a slash, does not end with one; empty when the URL ends with a bare slash.
    pub prefix: String,
}

/// Suffixes that a base URL must not have, the longest first.
const ENDPOINTS: [&str; 6] = [
    "/chat/completions",
    "/completions",
    "/embeddings",
    "/responses",
    "/messages",
    "/models",
];

/// Why a text is not a base URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    #[error("must begin with https:// or http://")]
    Scheme,
    #[error("must not contain a user name or password; use api_key_file")]
    Credentials,
    #[error("must not contain a query or fragment")]
    Query,
    #[error(
        "is an address of Azure's deployment API, which is not supported; its v1 API is: url = {base:?}, and as model the deployment's name"
    )]
    AzureDeployment { base: String },
    #[error(
        "already contains an endpoint, and the endpoint is added to each request; write {base:?}"
    )]
    Endpoint { base: String },
    #[error("has no usable host")]
    Host,
    #[error("has a port that is not a number from 1 to 65535")]
    Port,
    #[error("contains a character that does not belong into a URL")]
    Character,
}

impl BaseUrl {
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        if text
            .bytes()
            .any(|b| !(0x21..=0x7e).contains(&b) || b"\"<>\\^`{|}".contains(&b))
        {
            return Err(UrlError::Character);
        }
        let (scheme, rest) = if let Some(rest) = text.strip_prefix("https://") {
            (Scheme::Https, rest)
        } else if let Some(rest) = text.strip_prefix("http://") {
            (Scheme::Http, rest)
        } else {
            return Err(UrlError::Scheme);
        };
        if let Some((origin, _)) = rest.split_once("/openai/deployments/") {
            let base = format!("{}://{origin}/openai/v1", scheme.as_str());
            return Err(UrlError::AzureDeployment { base });
        }
        if rest.contains(['?', '#']) {
            return Err(UrlError::Query);
        }
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, "/v1"),
        };
        if authority.contains('@') {
            return Err(UrlError::Credentials);
        }
        let (host, port) = split_authority(authority)?;
        let port = match (port, scheme) {
            (Some(port), _) => port
                .parse()
                .ok()
                .filter(|p| *p != 0)
                .ok_or(UrlError::Port)?,
            (None, Scheme::Https) => 443,
            (None, Scheme::Http) => 80,
        };
        Ok(Self {
            scheme,
            host: host.to_ascii_lowercase(),
            port,
            prefix: path.trim_end_matches('/').to_owned(),
        })
    }

    /// Parses a URL to which endpoint paths are appended; refuses one that already ends in an endpoint.
    pub fn parse_for_endpoints(text: &str) -> Result<Self, UrlError> {
        let url = Self::parse(text)?;
        match ENDPOINTS
            .iter()
            .find_map(|end| url.prefix.strip_suffix(end))
        {
            Some(before) => {
                let base = format!("{}://{}{before}", url.scheme.as_str(), url.authority());
                Err(UrlError::Endpoint { base })
            }
            None => Ok(url),
        }
    }

    /// The request target for an endpoint.
    pub fn endpoint_path(&self, endpoint: Endpoint) -> String {
        format!("{}{}", self.prefix, endpoint.suffix())
    }

    /// `host` or `host:port`, as a `Host` header carries it.
    pub fn authority(&self) -> String {
        let host = self.bracketed_host();
        match (self.scheme, self.port) {
            (Scheme::Https, 443) | (Scheme::Http, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }

    /// `scheme://host:port`, the port always written.
    pub fn origin(&self) -> String {
        format!(
            "{}://{}:{}",
            self.scheme.as_str(),
            self.bracketed_host(),
            self.port
        )
    }

    /// Whether the host is a loopback address or `localhost`.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost"
            || self
                .host
                .parse::<std::net::IpAddr>()
                .is_ok_and(|ip| ip.is_loopback())
    }

    fn bracketed_host(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        }
    }
}

impl Scheme {
    pub fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin(), self.prefix)
    }
}

fn split_authority(authority: &str) -> Result<(&str, Option<&str>), UrlError> {
    let (host, port) = if let Some(inner) = authority.strip_prefix('[') {
        let (host, after) = inner.split_once(']').ok_or(UrlError::Host)?;
        host.parse::<std::net::Ipv6Addr>()
            .map_err(|_| UrlError::Host)?;
        match after.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if after.is_empty() => (host, None),
            None => return Err(UrlError::Host),
        }
    } else {
        match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        }
    };
    let is_host = |b: u8| b.is_ascii_alphanumeric() || b"-._:".contains(&b);
    if host.is_empty() || !host.bytes().all(is_host) {
        return Err(UrlError::Host);
    }
    if port.is_some_and(|p| p.is_empty() || !p.bytes().all(|b| b.is_ascii_digit())) {
        return Err(UrlError::Port);
    }
    Ok((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_without_a_path_gets_the_prefix_v1() {
        let url = BaseUrl::parse("https://127.0.0.1:9443").expect("a URL");
        assert_eq!(url.endpoint_path(Endpoint::Chat), "/v1/chat/completions");
        assert_eq!(
            (url.origin(), url.is_loopback()),
            ("https://127.0.0.1:9443".into(), true)
        );
    }

    #[test]
    fn preserves_an_explicit_prefix() {
        for (text, path) in [
            ("http://localhost:8000/v1", "/v1/embeddings"),
            ("http://localhost:8000/v1/", "/v1/embeddings"),
            ("https://api.example.com/openai/v1", "/openai/v1/embeddings"),
            ("https://api.example.com/", "/embeddings"),
        ] {
            assert_eq!(
                BaseUrl::parse(text)
                    .expect("a URL")
                    .endpoint_path(Endpoint::Embeddings),
                path,
                "{text}"
            );
        }
    }

    #[test]
    fn omits_default_ports_in_the_host_header() {
        let authority = |text| BaseUrl::parse(text).expect("a URL").authority();
        assert_eq!(authority("https://a.example"), "a.example");
        assert_eq!(authority("http://a.example:80"), "a.example");
        assert_eq!(authority("https://a.example:80"), "a.example:80");
        assert_eq!(authority("https://[::1]:9443"), "[::1]:9443");
    }

    #[test]
    fn rejects_invalid_base_urls_with_the_reason() {
        for (text, reason) in [
            ("ftp://a", UrlError::Scheme),
            ("a.example", UrlError::Scheme),
            ("https://user:pw@a", UrlError::Credentials),
            ("https://a/v1?key=1", UrlError::Query),
            ("https://a#x", UrlError::Query),
            ("https://", UrlError::Host),
            ("https://:443", UrlError::Host),
            ("https://[::1", UrlError::Host),
            ("https://[nope]", UrlError::Host),
            ("https://a:", UrlError::Port),
            ("https://a:0", UrlError::Port),
            ("https://a:70000", UrlError::Port),
            ("https://a:+1", UrlError::Port),
            ("https://a b", UrlError::Character),
            ("https://a\r\nb", UrlError::Character),
        ] {
            assert_eq!(BaseUrl::parse(text), Err(reason), "{text}");
        }
    }
}
