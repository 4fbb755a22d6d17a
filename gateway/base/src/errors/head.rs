//! Errors in a request's head, including how it frames its body.

use http::StatusCode;

use super::{INVALID_REQUEST, Shape};

/// A malformed request head (RFC 9112). The rest is not read, and the connection closes after the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadFault {
    /// The head is longer than `limits.max_header`.
    TooLarge {
        limit: usize,
    },
    /// The head has more fields than `limits.max_header_fields`.
    TooManyFields {
        limit: usize,
    },
    /// A line ends in a bare line feed.
    BareLineFeed,
    RequestLine,
    /// Neither HTTP/1.0 nor HTTP/1.1.
    Version,
    Connect,
    /// A field line with a bad name, whitespace before its colon, a folded value, or a control character.
    Field,
    HostMissing,
    HostRepeated,
    HostInvalid,
    LengthRepeated,
    LengthInvalid,
    LengthAndCoding,
    /// `chunked` is not the last coding, or stands there twice, or carries parameters.
    CodingNotChunked,
    /// A transfer coding that is not decoded here, under a final `chunked`.
    CodingUnknown,
    /// HTTP/1.0 has no transfer codings.
    CodingInHttp10,
}

impl HeadFault {
    /// Its name in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "head_too_large",
            Self::TooManyFields { .. } => "too_many_fields",
            Self::BareLineFeed => "bare_line_feed",
            Self::RequestLine => "request_line",
            Self::Version => "version",
            Self::Connect => "connect",
            Self::Field => "field",
            Self::HostMissing => "host_missing",
            Self::HostRepeated => "host_repeated",
            Self::HostInvalid => "host_invalid",
            Self::LengthRepeated => "length_repeated",
            Self::LengthInvalid => "length_invalid",
            Self::LengthAndCoding => "length_and_coding",
            Self::CodingNotChunked => "coding_not_chunked",
            Self::CodingUnknown => "coding_unknown",
            Self::CodingInHttp10 => "coding_in_http_1_0",
        }
    }

    pub(super) fn shape(self) -> Shape {
        use StatusCode as S;
        let bad = (S::BAD_REQUEST, Some("invalid_request_head"));
        let large = (
            S::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Some("request_head_too_large"),
        );
        let ((status, code), message) = match self {
            Self::TooLarge { limit } => (
                large,
                format!("The request head is larger than the {limit} bytes accepted here."),
            ),
            Self::TooManyFields { limit } => (
                large,
                format!("The request head has more than the {limit} fields accepted here."),
            ),
            Self::Version => (
                (
                    S::HTTP_VERSION_NOT_SUPPORTED,
                    Some("http_version_not_supported"),
                ),
                "This service speaks HTTP/1.1 and HTTP/1.0.".to_owned(),
            ),
            Self::CodingUnknown => (
                (S::NOT_IMPLEMENTED, Some("transfer_coding_not_supported")),
                "The only Transfer-Encoding accepted here is chunked.".to_owned(),
            ),
            Self::Connect => (
                bad,
                "This service is not a proxy: CONNECT is not accepted.".to_owned(),
            ),
            Self::BareLineFeed => (
                bad,
                "A line of the request head does not end in CR LF.".to_owned(),
            ),
            Self::RequestLine => (bad, "The request line is malformed.".to_owned()),
            Self::Field => (bad, "A field of the request head is malformed.".to_owned()),
            Self::HostMissing => (bad, "The request has no Host.".to_owned()),
            Self::HostRepeated => (bad, "The request has more than one Host.".to_owned()),
            Self::HostInvalid => (bad, "The Host of the request is malformed.".to_owned()),
            Self::LengthRepeated => (
                bad,
                "The request has more than one Content-Length.".to_owned(),
            ),
            Self::LengthInvalid => (bad, "Content-Length is not a number.".to_owned()),
            Self::LengthAndCoding => (
                bad,
                "The request has both Content-Length and Transfer-Encoding.".to_owned(),
            ),
            Self::CodingNotChunked => (
                bad,
                "Transfer-Encoding must be chunked, once and without parameters.".to_owned(),
            ),
            Self::CodingInHttp10 => (bad, "HTTP/1.0 has no Transfer-Encoding.".to_owned()),
        };
        Shape {
            status,
            kind: INVALID_REQUEST,
            code,
            param: None,
            message,
        }
    }
}
