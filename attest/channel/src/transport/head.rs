//! The head of a response, and what it says of the body and of the connection.

use std::mem::MaybeUninit;
use std::ops::Range;

use bytes::BytesMut;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version};

use super::connection::ExchangeError;
use super::framing::Framing;

/// A head that is longer is refused.
pub(super) const MAX_HEAD: usize = 64 * 1024;

/// A head with more fields is refused.
const MAX_FIELDS: usize = 200;

/// The final head of a response.
pub(super) struct ResponseHead {
    pub response: Response<()>,
    pub framing: Framing,
    /// Whether the connection may carry another exchange after this one.
    pub keep_alive: bool,
}

/// Takes the head of a response from `buffer`; `None` if more has to be read. Interim responses are skipped.
pub(super) fn take(
    buffer: &mut BytesMut,
    is_for_head_only: bool,
) -> Result<Option<ResponseHead>, ExchangeError> {
    loop {
        let Some(response) = take_one(buffer)? else {
            return match buffer.len() < MAX_HEAD {
                true => Ok(None),
                false => Err(ExchangeError::HeadTooLarge),
            };
        };
        match response.status() {
            // No request of ours asks for another protocol.
            StatusCode::SWITCHING_PROTOCOLS => return Err(ExchangeError::Head),
            status if status.is_informational() => {}
            _ => return final_head(response, is_for_head_only).map(Some),
        }
    }
}

fn take_one(buffer: &mut BytesMut) -> Result<Option<Response<()>>, ExchangeError> {
    let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut parsed = httparse::Response::new(&mut []);
    let length = httparse::ParserConfig::default()
        .parse_response_with_uninit_headers(&mut parsed, buffer, &mut fields)
        .map_err(|error| match error {
            httparse::Error::TooManyHeaders => ExchangeError::HeadTooLarge,
            _ => ExchangeError::Head,
        })?;
    let httparse::Status::Complete(length) = length else {
        return Ok(None);
    };
    let mut response = Response::new(());
    let status = parsed.code.unwrap_or_default();
    *response.status_mut() = StatusCode::from_u16(status).map_err(|_| ExchangeError::Head)?;
    *response.version_mut() = match parsed.version {
        Some(0) => Version::HTTP_10,
        _ => Version::HTTP_11,
    };
    let start = buffer.as_ptr().addr();
    let fields: Vec<(HeaderName, Range<usize>)> = parsed
        .headers
        .iter()
        .map(|field| {
            let at = field.value.as_ptr().addr() - start;
            let name = HeaderName::from_bytes(field.name.as_bytes());
            Ok((name?, at..at + field.value.len()))
        })
        .collect::<Result<_, http::header::InvalidHeaderName>>()
        .map_err(|_| ExchangeError::Head)?;
    let head = buffer.split_to(length).freeze();
    response.headers_mut().reserve(fields.len());
    for (name, value) in fields {
        let value = HeaderValue::from_maybe_shared(head.slice(value));
        let value = value.map_err(|_| ExchangeError::Head)?;
        response.headers_mut().append(name, value);
    }
    Ok(Some(response))
}

fn final_head(
    response: Response<()>,
    is_for_head_only: bool,
) -> Result<ResponseHead, ExchangeError> {
    let (headers, version) = (response.headers(), response.version());
    let framing = match response.status() {
        _ if is_for_head_only => Framing::Ended,
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => Framing::Ended,
        _ => body_framing(headers, version)?,
    };
    let asked_for = |token| has_token(headers, token);
    // A message with both is read as chunked (RFC 9112 §6.3), and is the last one: its peers may disagree on its length.
    let ambiguous = headers.contains_key(TRANSFER_ENCODING) && headers.contains_key(CONTENT_LENGTH);
    let keep_alive = framing != Framing::UntilClose
        && !ambiguous
        && !asked_for("close")
        && (version == Version::HTTP_11 || asked_for("keep-alive"));
    Ok(ResponseHead {
        response,
        framing,
        keep_alive,
    })
}

fn body_framing(headers: &HeaderMap, version: Version) -> Result<Framing, ExchangeError> {
    if let Some(coding) = headers.get_all(TRANSFER_ENCODING).iter().next_back() {
        if version == Version::HTTP_10 {
            return Err(ExchangeError::Head);
        }
        let last = coding
            .to_str()
            .ok()
            .and_then(|text| text.rsplit(',').next());
        let chunked = last.is_some_and(|last| last.trim().eq_ignore_ascii_case("chunked"));
        return Ok(match chunked {
            true => Framing::chunked(),
            false => Framing::UntilClose,
        });
    }
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter().peekable();
    if lengths.peek().is_none() {
        return Ok(Framing::UntilClose);
    }
    let mut length = None;
    for value in lengths {
        for text in value.to_str().unwrap_or_default().split(',') {
            let given = digits(text.trim()).ok_or(ExchangeError::Head)?;
            if *length.get_or_insert(given) != given {
                return Err(ExchangeError::Head);
            }
        }
    }
    Ok(Framing::with_length(length.unwrap_or_default()))
}

/// Not `parse` alone: it accepts a sign.
fn digits(text: &str) -> Option<u64> {
    let only_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    only_digits.then(|| text.parse().ok())?
}

fn has_token(headers: &HeaderMap, token: &str) -> bool {
    let values = headers.get_all(CONNECTION).iter();
    values.filter_map(|value| value.to_str().ok()).any(|text| {
        text.split(',')
            .any(|given| given.trim().eq_ignore_ascii_case(token))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The framing, and whether the connection may be used again.
    fn read(head: &str) -> Result<Option<(Framing, bool)>, ExchangeError> {
        let mut buffer = BytesMut::from(format!("HTTP/1.{head}").as_bytes());
        let taken = take(&mut buffer, false)?;
        Ok(taken.map(|head| (head.framing, head.keep_alive)))
    }

    #[test]
    fn the_framing_of_a_body_follows_from_the_head() {
        let of_length = Framing::with_length;
        for (head, framing, keep_alive) in [
            ("1 200 OK\r\ncontent-length: 5\r\n\r\n", of_length(5), true),
            ("1 200 OK\ncontent-length: 0\n\n", Framing::Ended, true),
            (
                "1 200\r\nContent-Length: 5, 5\r\ncontent-length:5\r\n\r\n",
                of_length(5),
                true,
            ),
            (
                "1 200 OK\r\ntransfer-encoding: gzip, Chunked\r\n\r\n",
                Framing::chunked(),
                true,
            ),
            (
                "1 200 OK\r\ntransfer-encoding: chunked, gzip\r\n\r\n",
                Framing::UntilClose,
                false,
            ),
            (
                "1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n",
                Framing::chunked(),
                false,
            ),
            ("1 200 OK\r\n\r\n", Framing::UntilClose, false),
            (
                "1 204 None\r\ncontent-length: 5\r\n\r\n",
                Framing::Ended,
                true,
            ),
            ("1 304 Same\r\n\r\n", Framing::Ended, true),
            (
                "1 200 OK\r\ncontent-length: 5\r\nconnection: x, Close\r\n\r\n",
                of_length(5),
                false,
            ),
            ("0 200 OK\r\ncontent-length: 5\r\n\r\n", of_length(5), false),
            (
                "0 200 OK\r\ncontent-length: 5\r\nconnection: keep-alive\r\n\r\n",
                of_length(5),
                true,
            ),
        ] {
            assert_eq!(read(head), Ok(Some((framing, keep_alive))), "{head:?}");
        }
    }

    #[test]
    fn interim_responses_are_skipped_and_an_incomplete_head_is_waited_for() {
        let both =
            "1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nlink: x\r\n\r\nHTTP/1.1 204 None\r\n\r\n";
        assert_eq!(read(both), Ok(Some((Framing::Ended, true))));
        for end in 0..both.len() - 1 {
            assert_eq!(read(&both[..end]), Ok(None), "{end}");
        }
    }

    #[test]
    fn rejects_heads_that_cannot_be_read() {
        for head in [
            "1 101 Switching\r\nupgrade: x\r\n\r\n",
            "1 200 OK\r\ncontent-length: 5, 6\r\n\r\n",
            "1 200 OK\r\ncontent-length: +5\r\n\r\n",
            "1 200 OK\r\ncontent-length:\r\n\r\n",
            "1 200 OK\r\ncontent-length: 18446744073709551616\r\n\r\n",
            "1 200 OK\r\ncontent-length: 5\r\ncontent-length: x\r\n\r\n",
            "0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            "1 200 OK\r\nname : x\r\n\r\n",
            "1 200 OK\r\nname: x\r\n y\r\n\r\n",
            "2 200 OK\r\n\r\n",
            "1 2000 OK\r\n\r\n",
        ] {
            assert_eq!(read(head), Err(ExchangeError::Head), "{head:?}");
        }
        let many = format!("1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(MAX_FIELDS + 1));
        let long = format!("1 200 OK\r\na: {}", "b".repeat(MAX_HEAD));
        for head in [many, long] {
            assert_eq!(read(&head), Err(ExchangeError::HeadTooLarge));
        }
    }

    #[test]
    fn a_response_without_a_body_by_its_request_has_none() {
        let mut buffer = BytesMut::from(&b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"[..]);
        let head = take(&mut buffer, true)
            .expect("readable")
            .expect("complete");
        assert_eq!((head.framing, head.keep_alive), (Framing::Ended, true));
        assert_eq!(head.response.headers()["content-length"], "5");
    }
}
