//! Parses one complete request head (RFC 9112 §2 to §6).
//!
//! The grammar is strict, so that no other parser reads an accepted head differently: every line ends in CR LF, no field is
//! folded, no name is followed by whitespace, and a body's end is announced in one way or not at all.

use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING,
};
use http::{Method, Request, Uri, Version, request};

use gateway_base::errors::HeadFault;

/// Limits for a head.
#[derive(Clone, Copy, Debug)]
pub(in crate::listen) struct HeadLimits {
    /// The largest size in bytes, from the request line to the empty line.
    pub bytes: usize,
    /// The largest number of field lines.
    pub fields: usize,
}

/// How the body after a head ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::listen) enum BodyFraming {
    /// After this many bytes; 0 without a body.
    Length(u64),
    Chunked,
}

/// A request's head.
#[derive(Debug)]
pub(in crate::listen) struct Head {
    pub request: request::Parts,
    pub framing: BodyFraming,
    /// Whether the client may send another request on the connection.
    pub keep_alive: bool,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
    /// Its size in bytes.
    pub size: usize,
}

/// Parses a head that ends with its only empty line. Names and values of the result share the memory of `head`.
pub(super) fn parse(head: &Bytes, limits: HeadLimits) -> Result<Head, HeadFault> {
    if head.len() > limits.bytes {
        return Err(HeadFault::TooLarge {
            limit: limits.bytes,
        });
    }
    let mut lines = Lines(head);
    let (method, target, version) = request_line(lines.next().ok_or(HeadFault::RequestLine)??)?;
    let target = Uri::from_maybe_shared(head.slice_ref(target));
    // As many as there are lines, without the first and the empty one.
    let lines_left = memchr::memchr_iter(b'\n', lines.0).count();
    let mut fields = Fields::new(version, lines_left.saturating_sub(1).min(limits.fields));
    for line in lines {
        let line = line?;
        if line.is_empty() {
            break;
        }
        if fields.headers.len() >= limits.fields {
            return Err(HeadFault::TooManyFields {
                limit: limits.fields,
            });
        }
        fields.take(head, line)?;
    }
    let framing = fields.framing(version)?;
    // The parser of the HTTP library, which other parts of the target's grammar are left to.
    let (mut request, ()) = Request::new(()).into_parts();
    request.method = method;
    request.uri = target.map_err(|_| HeadFault::RequestLine)?;
    request.version = version;
    request.headers = fields.headers;
    Ok(Head {
        request,
        framing,
        keep_alive: fields.keeps_alive && !fields.closes,
        expects_continue: fields.expects_continue && version == Version::HTTP_11,
        size: head.len(),
    })
}

/// Lines without their CR LF.
struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = Result<&'a [u8], HeadFault>;

    fn next(&mut self) -> Option<Self::Item> {
        let end = memchr::memchr(b'\n', self.0)?;
        let (line, rest) = self.0.split_at(end + 1);
        self.0 = rest;
        Some(line.strip_suffix(b"\r\n").ok_or(HeadFault::BareLineFeed))
    }
}

/// `method SP request-target SP HTTP-version`.
fn request_line(line: &[u8]) -> Result<(Method, &[u8], Version), HeadFault> {
    let mut parts = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(HeadFault::RequestLine);
    };
    if method.is_empty() || !method.iter().all(is_token) {
        return Err(HeadFault::RequestLine);
    }
    if target.is_empty() || !target.iter().all(u8::is_ascii_graphic) {
        return Err(HeadFault::RequestLine);
    }
    let method = Method::from_bytes(method).map_err(|_| HeadFault::RequestLine)?;
    if method == Method::CONNECT {
        return Err(HeadFault::Connect);
    }
    match version {
        b"HTTP/1.1" => Ok((method, target, Version::HTTP_11)),
        b"HTTP/1.0" => Ok((method, target, Version::HTTP_10)),
        _ if version.starts_with(b"HTTP/") => Err(HeadFault::Version),
        _ => Err(HeadFault::RequestLine),
    }
}

/// The fields so far, and what they say about the connection and the body.
struct Fields {
    headers: HeaderMap,
    closes: bool,
    keeps_alive: bool,
    expects_continue: bool,
    hosts: usize,
    length: Option<u64>,
    codings: Codings,
}

/// All `Transfer-Encoding` lines together.
#[derive(Default)]
struct Codings {
    present: bool,
    /// `chunked` is the last coding.
    ends_chunked: bool,
    /// `chunked` is followed by another coding, or a coding is malformed.
    malformed: bool,
    others: bool,
}

impl Fields {
    fn new(version: Version, capacity: usize) -> Self {
        Self {
            headers: HeaderMap::with_capacity(capacity),
            closes: false,
            // HTTP/1.0 has to ask for it.
            keeps_alive: version == Version::HTTP_11,
            expects_continue: false,
            hosts: 0,
            length: None,
            codings: Codings::default(),
        }
    }

    fn take(&mut self, head: &Bytes, line: &[u8]) -> Result<(), HeadFault> {
        let (name, value) = field(line).ok_or(HeadFault::Field)?;
        let name = HeaderName::from_bytes(name).map_err(|_| HeadFault::Field)?;
        match name {
            HOST => {
                self.hosts += 1;
                if self.hosts > 1 {
                    return Err(HeadFault::HostRepeated);
                }
                if !is_host(value) {
                    return Err(HeadFault::HostInvalid);
                }
            }
            CONTENT_LENGTH => {
                let length = number(value, 10).ok_or(HeadFault::LengthInvalid)?;
                if self.length.replace(length).is_some() {
                    return Err(HeadFault::LengthRepeated);
                }
            }
            TRANSFER_ENCODING => self.codings.take(value),
            CONNECTION => self.connection(value),
            EXPECT => self.expects_continue = value.eq_ignore_ascii_case(b"100-continue"),
            _ => {}
        }
        let value = HeaderValue::from_maybe_shared(head.slice_ref(value));
        let value = value.map_err(|_| HeadFault::Field)?;
        let appended = self.headers.try_append(name, value);
        appended.map(|_| ()).map_err(|_| HeadFault::Field)
    }

    fn connection(&mut self, value: &[u8]) {
        for option in value.split(|byte| *byte == b',').map(trim) {
            self.closes |= option.eq_ignore_ascii_case(b"close");
            self.keeps_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    fn framing(&self, version: Version) -> Result<BodyFraming, HeadFault> {
        if version == Version::HTTP_11 && self.hosts == 0 {
            return Err(HeadFault::HostMissing);
        }
        if !self.codings.present {
            return Ok(BodyFraming::Length(self.length.unwrap_or(0)));
        }
        // Parsers differ in which of the two counts (RFC 9112 §6.3).
        if self.length.is_some() {
            return Err(HeadFault::LengthAndCoding);
        }
        // An HTTP/1.0 parser does not know codings, and would take chunks for the body itself.
        if version == Version::HTTP_10 {
            return Err(HeadFault::CodingInHttp10);
        }
        if self.codings.malformed || !self.codings.ends_chunked {
            return Err(HeadFault::CodingNotChunked);
        }
        if self.codings.others {
            return Err(HeadFault::CodingUnknown);
        }
        Ok(BodyFraming::Chunked)
    }
}

impl Codings {
    fn take(&mut self, value: &[u8]) {
        self.present = true;
        for coding in value.split(|byte| *byte == b',') {
            let coding = trim(coding);
            // Nothing may follow `chunked`.
            // Over all lines together: two `Transfer-Encoding` fields are one list.
            self.malformed |= self.ends_chunked;
            if coding.eq_ignore_ascii_case(b"chunked") {
                self.ends_chunked = true;
            } else if is_coding(coding) {
                self.others = true;
            } else {
                self.malformed = true;
            }
        }
    }
}

/// A token, possibly with parameters, that is not `chunked`.
fn is_coding(coding: &[u8]) -> bool {
    let name = coding.split(|byte| *byte == b';').next().map(trim);
    name.is_some_and(|name| {
        !name.is_empty() && name.iter().all(is_token) && !name.eq_ignore_ascii_case(b"chunked")
    })
}

/// A field line's name and value. `None` if it is malformed.
pub(super) fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = memchr::memchr(b':', line)?;
    let (name, value) = (line.get(..colon)?, line.get(colon + 1..)?);
    let valid = !name.is_empty() && name.iter().all(is_token) && value.iter().all(is_field_byte);
    valid.then(|| (name, trim(value)))
}

/// Whether all characters may occur in `uri-host [ ":" port ]`. Empty if the target has no authority.
fn is_host(value: &[u8]) -> bool {
    value
        .iter()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(byte))
}

/// Digits only, with any number of leading zeros; `None` beyond 64 bits.
pub(super) fn number(digits: &[u8], radix: u32) -> Option<u64> {
    let mut number: u64 = 0;
    for byte in digits {
        let digit = char::from(*byte).to_digit(radix)?;
        number = number
            .checked_mul(u64::from(radix))?
            .checked_add(u64::from(digit))?;
    }
    (!digits.is_empty()).then_some(number)
}

/// Without spaces and tabs around it.
fn trim(value: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().position(|byte| !blank(byte));
    let end = value.iter().rposition(|byte| !blank(byte));
    match (start, end) {
        (Some(start), Some(end)) => value.get(start..=end).unwrap_or_default(),
        _ => &[],
    }
}

/// `tchar` (RFC 9110 §5.6.2).
fn is_token(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte)
}

/// Space, tab, visible ASCII and bytes beyond ASCII.
pub(super) fn is_field_byte(byte: &u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}
