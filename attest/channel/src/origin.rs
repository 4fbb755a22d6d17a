//! An `https` origin: host and port, and no other part of a URL.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderValue, Request, Uri};
use rustls_pki_types::ServerName;

const DEFAULT_PORT: u16 = 443;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    #[error("not a URL")]
    NotAUrl,
    #[error("scheme is {found:?}, only https is supported")]
    Scheme { found: String },
    #[error("no host")]
    NoHost,
    #[error("{host:?} is neither a host name nor an IP address")]
    Host { host: String },
    #[error("not a port number")]
    Port,
    /// User names, paths and queries would be ignored silently.
    #[error("an origin has no user name, path or query")]
    MoreThanAnOrigin,
}

/// The request is for another origin.
pub(crate) struct WrongOrigin;

/// Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin(Arc<Parts>);

#[derive(Debug, PartialEq, Eq, Hash)]
struct Parts {
    host: String,
    port: u16,
    server_name: ServerName<'static>,
    authority: HeaderValue,
}

impl Origin {
    pub fn parse(text: &str) -> Result<Self, OriginError> {
        let uri: Uri = text.parse().map_err(|_| OriginError::NotAUrl)?;
        match uri.scheme_str() {
            Some("https") => {}
            Some(other) => {
                return Err(OriginError::Scheme {
                    found: other.to_owned(),
                });
            }
            None => return Err(OriginError::NotAUrl),
        }
        let authority = uri.authority().ok_or(OriginError::NoHost)?;
        let bare = uri
            .path_and_query()
            .is_none_or(|rest| rest.as_str() == "/" || rest.as_str().is_empty());
        if authority.as_str().contains('@') || text.contains('#') || !bare {
            return Err(OriginError::MoreThanAnOrigin);
        }
        let bracketed = authority.host();
        let port = match authority.as_str().get(bracketed.len()..) {
            Some("") => DEFAULT_PORT,
            Some(rest) => port(rest)?,
            None => return Err(OriginError::NotAUrl),
        };
        Self::new(bracketed, port)
    }

    fn new(bracketed: &str, port: u16) -> Result<Self, OriginError> {
        let host = bracketed
            .strip_prefix('[')
            .and_then(|inner| inner.strip_suffix(']'))
            .unwrap_or(bracketed)
            .to_ascii_lowercase();
        if host.is_empty() {
            return Err(OriginError::NoHost);
        }
        let refused = || OriginError::Host { host: host.clone() };
        let server_name = ServerName::try_from(host.clone()).map_err(|_| refused())?;
        let authority = authority(&host, port);
        let authority = HeaderValue::from_str(&authority).map_err(|_| refused())?;
        Ok(Origin(Arc::new(Parts {
            host,
            port,
            server_name,
            authority,
        })))
    }

    /// Host name or address, lower case, without brackets.
    pub fn host(&self) -> &str {
        &self.0.host
    }

    pub fn port(&self) -> u16 {
        self.0.port
    }

    /// The value of the `Host` header.
    pub fn authority(&self) -> &HeaderValue {
        &self.0.authority
    }

    /// Puts `request` into the form that is sent to this origin: path in origin form, and the origin's `Host`.
    pub(crate) fn address<B>(&self, request: &mut Request<B>) -> Result<(), WrongOrigin> {
        if let Some(authority) = request.uri().authority() {
            let same_scheme = request.uri().scheme_str() == Some("https");
            let ours = self.authority().as_bytes();
            if !same_scheme || !authority.as_str().as_bytes().eq_ignore_ascii_case(ours) {
                return Err(WrongOrigin);
            }
            let path = request.uri().path_and_query().cloned();
            *request.uri_mut() = path.map_or_else(Uri::default, Uri::from);
        }
        request
            .headers_mut()
            .insert(http::header::HOST, self.authority().clone());
        Ok(())
    }

    pub(crate) fn server_name(&self) -> ServerName<'static> {
        self.0.server_name.clone()
    }
}

fn port(rest: &str) -> Result<u16, OriginError> {
    let digits = rest.strip_prefix(':').ok_or(OriginError::Port)?;
    match digits.parse() {
        Ok(0) | Err(_) => Err(OriginError::Port),
        Ok(port) => Ok(port),
    }
}

fn authority(host: &str, port: u16) -> String {
    let host = match host.parse() {
        Ok(IpAddr::V6(_)) => format!("[{host}]"),
        _ => host.to_owned(),
    };
    if port == DEFAULT_PORT {
        host
    } else {
        format!("{host}:{port}")
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}", authority(&self.0.host, self.0.port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (String, u16, String) {
        let origin = Origin::parse(text).expect("an origin");
        (
            origin.host().to_owned(),
            origin.port(),
            origin.authority().to_str().expect("text").to_owned(),
        )
    }

    #[test]
    fn parses_host_port_and_authority() {
        let cases = [
            (
                "https://localhost:9443",
                "localhost",
                9443,
                "localhost:9443",
            ),
            ("https://Example.COM/", "example.com", 443, "example.com"),
            ("https://example.com:443", "example.com", 443, "example.com"),
            (
                "https://127.0.0.1:8443",
                "127.0.0.1",
                8443,
                "127.0.0.1:8443",
            ),
            ("https://[::1]:8443", "::1", 8443, "[::1]:8443"),
            ("https://[::1]", "::1", 443, "[::1]"),
        ];
        for (text, host, port, authority) in cases {
            assert_eq!(
                parts(text),
                (host.to_owned(), port, authority.to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn displays_an_origin_as_a_url() {
        for text in [
            "https://localhost:9443",
            "https://a.example",
            "https://[::1]:1",
        ] {
            assert_eq!(Origin::parse(text).expect("an origin").to_string(), text);
        }
    }

    #[test]
    fn refuses_what_is_not_an_origin_with_the_reason() {
        let scheme = |found: &str| OriginError::Scheme {
            found: found.to_owned(),
        };
        let cases = [
            ("http://localhost", scheme("http")),
            ("ftp://localhost", scheme("ftp")),
            ("localhost", OriginError::NotAUrl),
            ("", OriginError::NotAUrl),
            ("/v1", OriginError::NotAUrl),
            ("https://", OriginError::NotAUrl),
            ("https://user@host", OriginError::MoreThanAnOrigin),
            ("https://user:secret@host:1", OriginError::MoreThanAnOrigin),
            ("https://host/v1", OriginError::MoreThanAnOrigin),
            ("https://host/?a=b", OriginError::MoreThanAnOrigin),
            ("https://host/#x", OriginError::MoreThanAnOrigin),
            ("https://host:0", OriginError::Port),
            ("https://host:65536", OriginError::Port),
            ("https://host:", OriginError::Port),
        ];
        for (text, expected) in cases {
            assert_eq!(Origin::parse(text), Err(expected), "{text}");
        }
        assert!(matches!(
            Origin::parse("https://bad_-.name-"),
            Err(OriginError::Host { .. })
        ));
    }
}
