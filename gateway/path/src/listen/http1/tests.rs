use std::convert::Infallible;
use std::sync::Mutex;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf, duplex};

use super::head::{self, BodyFraming};
use super::reader::Position;
use super::*;
use gateway_base::errors::HeadFault;

const LIMITS: HeadLimits = HeadLimits {
    bytes: 4096,
    fields: 32,
};
const LENGTH: &str = "Content-Length: 5\r\n";
const CODING: &str = "Transfer-Encoding: chunked\r\n";
const BAD: &str =
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n";

fn request(headers: &str, body: &str) -> String {
    format!("POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n{body}")
}

fn head(text: &str) -> Result<Head, HeadFault> {
    head::parse(&Bytes::copy_from_slice(text.as_bytes()), LIMITS)
}

fn parsed(text: &str) -> Result<BodyFraming, HeadFault> {
    head(text).map(|head| head.framing)
}

fn fault(headers: &str) -> Option<HeadFault> {
    parsed(&request(headers, "")).err()
}

/// A connection whose bytes come in these pieces.
struct Pieces(Vec<Vec<u8>>);

impl Pieces {
    fn cut(bytes: &[u8], cuts: &[usize]) -> Self {
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
        at.extend([0, bytes.len()]);
        at.sort_unstable();
        let pieces = at.windows(2).map(|pair| bytes[pair[0]..pair[1]].to_vec());
        Self(pieces.filter(|piece| !piece.is_empty()).rev().collect())
    }
}

impl AsyncRead for Pieces {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let piece = self.0.last().map(Vec::as_slice).unwrap_or_default();
        let now = piece.len().min(buffer.remaining());
        buffer.put_slice(&piece[..now]);
        self.consume(now);
        Poll::Ready(Ok(()))
    }
}

impl AsyncBufRead for Pieces {
    fn poll_fill_buf(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let piece = self.get_mut().0.last();
        Poll::Ready(Ok(piece.map(Vec::as_slice).unwrap_or_default()))
    }

    fn consume(mut self: Pin<&mut Self>, used: usize) {
        if let Some(piece) = self.0.last_mut() {
            piece.drain(..used);
        }
        self.0.pop_if(|piece| piece.is_empty());
    }
}

/// Path and body of each request, `None` where the body broke off.
type Requests = Vec<(String, Option<Vec<u8>>)>;

/// The requests in a stream, which one is refused and why, and where the reader stands.
#[derive(Debug, PartialEq)]
struct Found {
    requests: Requests,
    refused: Option<(usize, HeadFault)>,
    position: Position,
}

async fn found(stream: &[u8], cuts: &[usize]) -> Found {
    let mut io = Pieces::cut(stream, cuts);
    let mut reader = Reader::new(LIMITS);
    let (mut requests, mut refused) = (Vec::new(), None);
    while let Ok(received) = poll_fn(|cx| reader.poll_head(&mut io, cx)).await {
        match received {
            Received::Closed => break,
            Received::Refused { fault, .. } => {
                refused = Some((requests.len() + 1, fault));
                break;
            }
            Received::Request(head) => {
                let mut body = Some(Vec::new());
                while let Some(piece) = poll_fn(|cx| reader.poll_body(&mut io, cx)).await {
                    let Ok(piece) = piece else {
                        body = None;
                        break;
                    };
                    assert!(!piece.is_empty());
                    body.as_mut().unwrap().extend_from_slice(&piece);
                }
                let is_last = body.is_none() || !head.keep_alive;
                requests.push((head.request.uri.path().to_owned(), body));
                if is_last {
                    break;
                }
            }
        }
    }
    Found {
        requests,
        refused,
        position: reader.position(),
    }
}

/// The same for a text that comes at once.
async fn find(stream: &str) -> Found {
    found(stream.as_bytes(), &[]).await
}

#[test]
fn reads_whether_a_head_announces_a_length_chunks_or_no_body() {
    for (headers, framing) in [
        ("", BodyFraming::Length(0)),
        (LENGTH, BodyFraming::Length(5)),
        ("content-length:\t0005 \r\n", BodyFraming::Length(5)),
        (CODING, BodyFraming::Chunked),
        ("TRANSFER-ENCODING:CHUNKED\r\n", BodyFraming::Chunked),
        (
            "X-Transfer-Encoding: gzip\r\nX: Content-Length: 5\r\nContent-Lengthy: 7\r\n",
            BodyFraming::Length(0),
        ),
    ] {
        assert_eq!(parsed(&request(headers, "")), Ok(framing), "{headers}");
    }
    let zeros = format!("Content-Length: {}5\r\n", "0".repeat(200));
    assert_eq!(parsed(&request(&zeros, "")), Ok(BodyFraming::Length(5)));
}

#[test]
fn rejects_a_length_beside_chunks_in_either_order_and_any_case() {
    for headers in [
        format!("{LENGTH}{CODING}"),
        format!("{CODING}{LENGTH}"),
        format!("{CODING}Accept: */*\r\ncontent-LENGTH:5\r\n"),
        format!("{LENGTH}transfer-encoding: gzip, chunked\r\n"),
        format!("{CODING}Content-Length: {}5\r\n", " ".repeat(100)),
    ] {
        let found = fault(&headers);
        assert_eq!(found, Some(HeadFault::LengthAndCoding), "{headers}");
    }
}

#[test]
fn rejects_lengths_that_are_repeated_or_no_number() {
    for headers in [
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5\r\ncontent-length: 05\r\n",
    ] {
        let found = fault(headers);
        assert_eq!(found, Some(HeadFault::LengthRepeated), "{headers}");
    }
    for value in [
        "",
        "five",
        "+5",
        "-5",
        "5, 5",
        "5,",
        "0x5",
        "5 5",
        "5;",
        "18446744073709551616",
    ] {
        let found = fault(&format!("Content-Length: {value}\r\n"));
        assert_eq!(found, Some(HeadFault::LengthInvalid), "{value}");
    }
}

#[test]
fn rejects_every_transfer_coding_but_one_final_chunked() {
    for (value, expected) in [
        ("gzip, chunked", HeadFault::CodingUnknown),
        ("identity, chunked", HeadFault::CodingUnknown),
        (
            "identity\r\nTransfer-Encoding: chunked",
            HeadFault::CodingUnknown,
        ),
        ("gzip;q=1, chunked", HeadFault::CodingUnknown),
        ("chunked, chunked", HeadFault::CodingNotChunked),
        (
            "chunked\r\nTransfer-Encoding: chunked",
            HeadFault::CodingNotChunked,
        ),
        ("chunked, identity", HeadFault::CodingNotChunked),
        (
            "chunked\r\nTransfer-Encoding: identity",
            HeadFault::CodingNotChunked,
        ),
        ("identity", HeadFault::CodingNotChunked),
        ("gzip", HeadFault::CodingNotChunked),
        ("xchunked", HeadFault::CodingNotChunked),
        ("chunkedd", HeadFault::CodingNotChunked),
        ("chunked;x=y", HeadFault::CodingNotChunked),
        ("\"chunked\"", HeadFault::CodingNotChunked),
        ("chunked,", HeadFault::CodingNotChunked),
        (",chunked", HeadFault::CodingNotChunked),
        ("", HeadFault::CodingNotChunked),
    ] {
        let found = fault(&format!("Transfer-Encoding: {value}\r\n"));
        assert_eq!(found, Some(expected), "{value:?}");
    }
}

#[test]
fn http_1_1_has_one_host_and_http_1_0_at_most_one() {
    let head = |version: &str, headers: &str| parsed(&format!("GET / {version}\r\n{headers}\r\n"));
    let (one, none) = ("Host: a\r\n", "");
    assert_eq!(head("HTTP/1.1", one), Ok(BodyFraming::Length(0)));
    assert_eq!(head("HTTP/1.0", one), Ok(BodyFraming::Length(0)));
    assert_eq!(head("HTTP/1.0", none), Ok(BodyFraming::Length(0)));
    assert_eq!(head("HTTP/1.1", "Host:\r\n"), Ok(BodyFraming::Length(0)));
    assert_eq!(head("HTTP/1.1", none), Err(HeadFault::HostMissing));
    for two in ["Host: a\r\nHost: a\r\n", "Host: a\r\nX: y\r\nhost: b\r\n"] {
        assert_eq!(head("HTTP/1.1", two), Err(HeadFault::HostRepeated));
        assert_eq!(head("HTTP/1.0", two), Err(HeadFault::HostRepeated));
    }
    for bad in ["a b", "a/b", "a@b", "a?b", "a#b", "a\"b", "\u{e4}"] {
        let found = head("HTTP/1.1", &format!("Host: {bad}\r\n"));
        assert_eq!(found, Err(HeadFault::HostInvalid), "{bad}");
    }
    for accepted in ["localhost:8443", "[::1]:8443", "a.example", "%41"] {
        let found = head("HTTP/1.1", &format!("Host: {accepted}\r\n"));
        assert_eq!(found, Ok(BodyFraming::Length(0)), "{accepted}");
    }
    let coded = head("HTTP/1.0", CODING);
    assert_eq!(coded, Err(HeadFault::CodingInHttp10));
}

#[test]
fn reads_whether_the_connection_continues_and_whether_the_client_waits() {
    let read = |version: &str, headers: &str| {
        let head = head(&format!("GET / {version}\r\nHost: a\r\n{headers}\r\n")).unwrap();
        (head.keep_alive, head.expects_continue)
    };
    for (version, headers, keep_alive) in [
        ("HTTP/1.1", "", true),
        ("HTTP/1.1", "Connection: Close\r\n", false),
        ("HTTP/1.1", "Connection: te, close\r\n", false),
        (
            "HTTP/1.1",
            "Connection: close\r\nConnection: keep-alive\r\n",
            false,
        ),
        ("HTTP/1.1", "Connection: closed\r\n", true),
        ("HTTP/1.0", "", false),
        ("HTTP/1.0", "Connection: Keep-Alive\r\n", true),
        ("HTTP/1.0", "Connection: keep-alive, close\r\n", false),
    ] {
        assert_eq!(
            read(version, headers),
            (keep_alive, false),
            "{version} {headers:?}"
        );
    }
    assert!(read("HTTP/1.1", "Expect: 100-Continue\r\n").1);
    assert!(!read("HTTP/1.1", "Expect: 200-ok\r\n").1);
    assert!(!read("HTTP/1.0", "Expect: 100-continue\r\n").1);
}

#[test]
fn rejects_heads_that_other_parsers_read_differently() {
    for (field, expected) in [
        ("Content-Length : 5", HeadFault::Field),
        (" Content-Length: 5", HeadFault::Field),
        ("X: a\r\n folded", HeadFault::Field),
        ("X: a\r\n\tfolded", HeadFault::Field),
        ("X: a\rb", HeadFault::Field),
        ("X: a\0b", HeadFault::Field),
        ("X\0: a", HeadFault::Field),
        ("no colon", HeadFault::Field),
        (": no name", HeadFault::Field),
        ("X(y): a", HeadFault::Field),
        ("X: a\nTransfer-Encoding: chunked", HeadFault::BareLineFeed),
    ] {
        let found = fault(&format!("{field}\r\n"));
        assert_eq!(found, Some(expected), "{field:?}");
    }
    for (line, expected) in [
        ("GET  / HTTP/1.1", HeadFault::RequestLine),
        ("GET / HTTP/1.1 ", HeadFault::RequestLine),
        (" GET / HTTP/1.1", HeadFault::RequestLine),
        ("GET /", HeadFault::RequestLine),
        ("GET\t/ HTTP/1.1", HeadFault::RequestLine),
        ("GET /\x7f HTTP/1.1", HeadFault::RequestLine),
        ("GET / http/1.1", HeadFault::RequestLine),
        ("GET ,/a HTTP/1.1", HeadFault::RequestLine),
        ("GET / HTTP/2.0", HeadFault::Version),
        ("GET / HTTP/1.2", HeadFault::Version),
        ("PRI * HTTP/2.0", HeadFault::Version),
        ("CONNECT a:1 HTTP/1.1", HeadFault::Connect),
    ] {
        let found = parsed(&format!("{line}\r\nHost: a\r\n\r\n"));
        assert_eq!(found, Err(expected), "{line:?}");
    }
}

#[tokio::test]
async fn rejects_a_head_that_is_too_large_or_has_too_many_fields() {
    let many: String = (0..LIMITS.fields)
        .map(|n| format!("x-{n}: a\r\n"))
        .collect();
    let expected = HeadFault::TooManyFields { limit: 32 };
    assert_eq!(fault(&many), Some(expected));
    let of_size = |size: usize| {
        let base = request("X: \r\n", "").len();
        request(&format!("X: {}\r\n", "a".repeat(size - base)), "")
    };
    assert!(find(&of_size(LIMITS.bytes)).await.refused.is_none());
    let expected = Some((1, HeadFault::TooLarge { limit: 4096 }));
    assert_eq!(find(&of_size(LIMITS.bytes + 1)).await.refused, expected);
    // Also where its end has not come.
    let open = find(&of_size(LIMITS.bytes + 1)[..LIMITS.bytes]).await;
    assert_eq!(open.refused, expected);
}

#[tokio::test]
async fn reads_chunk_sizes_in_any_spelling() {
    let whole = |body: &str| request(CODING, body);
    let expected = Found {
        requests: vec![("/v1/chat/completions".to_owned(), Some(vec![b'x'; 0x3c]))],
        refused: None,
        position: Position::Head,
    };
    for size in [
        "3c".to_owned(),
        "3C".to_owned(),
        "0".repeat(62) + "3c",
        "0".repeat(63) + "3c",
        "0".repeat(200) + "3c",
        "0".repeat(4000) + "3c",
        "3c;name=value".to_owned(),
        "3c ; name=\"quoted value\"".to_owned(),
        format!("3c;{}", "a".repeat(4000)),
    ] {
        for end in ["0", "00000000000000000000", "0;last"] {
            let body = format!(
                "{size}\r\n{}\r\n{end}\r\nX: trailer\r\n\r\n",
                "x".repeat(0x3c)
            );
            let found = find(&whole(&body)).await;
            assert_eq!(found, expected, "{size:?} {end:?}");
        }
    }
}

#[tokio::test]
async fn checks_a_request_after_a_padded_chunk_size() {
    let body = format!("{}3c\r\n{}\r\n0\r\n\r\n", "0".repeat(63), "x".repeat(0x3c));
    let found = find(&(request(CODING, &body) + BAD)).await;
    assert_eq!(found.refused, Some((2, HeadFault::LengthAndCoding)));
}

#[tokio::test]
async fn a_malformed_body_ends_in_an_error() {
    for body in [
        "g\r\n",
        "\r\n",
        "-1\r\n",
        "0x5\r\nxxxxx\r\n",
        " 5\r\nxxxxx\r\n",
        "5 \r\nxxxxx\r\n",
        "5,\r\nxxxxx\r\n",
        "5;a\rb\r\nxxxxx\r\n",
        "5;a\nb\r\nxxxxx\r\n",
        "5\nxxxxx\r\n",
        "fffffffffffffffff\r\n",
        "10000000000000000\r\n",
        "1\r\nxx\r\n",
        "1\r\nx0\r\n\r\n",
        "0\r\nno trailer\r\n\r\n",
        "0\r\n folded: x\r\n\r\n",
    ] {
        let found = find(&(request(CODING, body) + BAD)).await;
        let broken = ("/v1/chat/completions".to_owned(), None);
        assert_eq!(found.requests, [broken], "{body:?}");
        let end = (found.refused, found.position);
        assert_eq!(end, (None, Position::Lost), "{body:?}");
    }
    let padded = format!("{}1\r\nx\r\n", "0".repeat(5000));
    let extended = format!("1;{}\r\nx\r\n", "a".repeat(4000)).repeat(20);
    let trailers = format!("0\r\n{}", format!("X: {}\r\n", "a".repeat(4000)).repeat(20));
    for body in [padded, extended, trailers] {
        let found = find(&request(CODING, &body)).await;
        assert_eq!(found.position, Position::Lost);
    }
}

#[tokio::test]
async fn bodies_are_not_parsed_as_requests() {
    let hostile = format!("\r\n\r\n{LENGTH}{CODING}\r\n");
    let sized = request(&format!("content-length: {}\r\n", hostile.len()), &hostile);
    let chunked = request(
        CODING,
        &format!("{:x}\r\n{hostile}\r\n0\r\n\r\n", hostile.len()),
    );
    let bare = "GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n";
    let fine = format!("{sized}{chunked}{bare}{chunked}{sized}");
    let found = find(&fine).await;
    assert_eq!((found.refused, found.position), (None, Position::Head));
    let bodies = found.requests.into_iter().map(|(_, body)| body.unwrap());
    let hostile = hostile.into_bytes();
    let expected = [&hostile, &hostile, &vec![], &hostile, &hostile];
    assert!(bodies.eq(expected.into_iter().cloned()));
    let found = find(&format!("{fine}\r\n\r\n{BAD}{fine}{BAD}")).await;
    assert_eq!(found.refused, Some((6, HeadFault::LengthAndCoding)));
}

#[tokio::test]
async fn only_the_beginning_of_a_head_is_held() {
    let begun = "GET / HTTP/1.1\r\nauthorization: Bearer secr";
    let mut io = Pieces::cut((request(LENGTH, "12345") + begun).as_bytes(), &[]);
    let mut reader = Reader::new(LIMITS);
    assert!(reader.is_idle());
    let received = poll_fn(|cx| reader.poll_head(&mut io, cx)).await;
    assert!(matches!(received, Ok(Received::Request(_))));
    assert!(!reader.is_idle());
    let body = poll_fn(|cx| reader.poll_body(&mut io, cx)).await;
    assert_eq!(body.unwrap().unwrap(), "12345");
    assert!(reader.is_idle() && reader.held().capacity() == 0);
    let received = poll_fn(|cx| reader.poll_head(&mut io, cx)).await;
    assert!(matches!(received, Ok(Received::Closed)));
    assert_eq!(reader.held(), begun.as_bytes());
    assert!(!reader.is_idle());
}

/// What hyper, a second parser, makes of a stream.
async fn hyper_finds(stream: &[u8]) -> Requests {
    let (mut client, server) = duplex(1 << 20);
    client.write_all(stream).await.unwrap();
    client.shutdown().await.unwrap();
    let seen = Mutex::new(Vec::new());
    let service = service_fn(|request: Request<Incoming>| async {
        let path = request.uri().path().to_owned();
        let body = request.into_body().collect().await;
        let body = body.ok().map(|body| body.to_bytes().to_vec());
        seen.lock().unwrap().push((path, body));
        Ok::<_, Infallible>(http::Response::new(Full::<Bytes>::default()))
    });
    let _ = hyper::server::conn::http1::Builder::new()
        .max_headers(200)
        .half_close(true)
        .serve_connection(TokioIo::new(server), service)
        .await;
    seen.into_inner().unwrap()
}

/// Heads and bodies, good ones and many that are not.
fn any_request() -> impl Strategy<Value = String> {
    let line = prop::sample::select(vec![
        "POST /a HTTP/1.1",
        "GET /b HTTP/1.1",
        "POST /c HTTP/1.0",
        "HEAD /d HTTP/1.1",
        "POST /e HTTP/2.0",
        "POST  /f HTTP/1.1",
        "POST /g",
        "PUT /h?x=%20 HTTP/1.1",
    ]);
    let host = prop::sample::select(vec![
        "Host: a\r\n",
        "Host: a\r\n",
        "Host: a\r\n",
        "",
        "Host: a\r\nHost: b\r\n",
    ]);
    let framing = prop::sample::select(vec![
        "",
        "Content-Length: 5\r\n",
        "Content-Length: 5\r\n",
        "Content-Length: 0\r\n",
        "content-length:005\r\n",
        "Transfer-Encoding: chunked\r\n",
        "transfer-encoding: Chunked\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: +5\r\n",
        "Content-Length : 5\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "X: y\n",
        "X: y\r\n folded\r\n",
        "X: y\rz\r\n",
        "X: y\0z\r\n",
    ]);
    let body = prop::sample::select(vec![
        "",
        "12345",
        "5\r\n12345\r\n0\r\n\r\n",
        "5\r\n12345\r\n0\r\n\r\n",
        "00000005;a=b\r\n12345\r\n0\r\nT: u\r\n\r\n",
        "1\r\nx\r\n4\r\n\r\n\r\n\r\n0\r\n\r\n",
        "5\n12345\n0\n\n",
        "6\r\n12345\r\n0\r\n\r\n",
        "0\r\n\r\n",
        "000000000000000000000000000000000000000000000000000000000000000000000000005\r\n12345\r\n0\r\n\r\n",
    ]);
    (line, host, framing, body)
        .prop_map(|(line, host, framing, body)| format!("{line}\r\n{host}{framing}\r\n{body}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn hyper_finds_the_same_requests_or_they_are_refused(
        requests in prop::collection::vec(any_request(), 1..5),
        cuts in prop::collection::vec(any::<usize>(), 0..24),
    ) {
        let stream = requests.concat();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (here, hyper) = runtime.block_on(async {
            (found(stream.as_bytes(), &cuts).await, hyper_finds(stream.as_bytes()).await)
        });
        let mut ours = here.requests;
        // Less of a body is followed here than hyper may follow.
        let is_broken = ours.pop_if(|(_, body)| body.is_none()).is_some();
        prop_assert!(ours.len() <= hyper.len(), "{:?} beside {:?}", ours, hyper);
        prop_assert_eq!(&ours[..], &hyper[..ours.len()]);
        prop_assert!(here.refused.is_some() || is_broken || ours.len() == hyper.len());
    }

    #[test]
    fn the_result_does_not_depend_on_the_pieces_read(
        requests in prop::collection::vec(any_request(), 1..5),
        cuts in prop::collection::vec(any::<usize>(), 0..24),
    ) {
        let stream = requests.concat();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (whole, cut) = runtime.block_on(async {
            (find(&stream).await, found(stream.as_bytes(), &cuts).await)
        });
        prop_assert_eq!(whole, cut);
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        bytes in prop::collection::vec(
            prop_oneof![any::<u8>(), Just(b'\n'), Just(b'\r'), Just(b':'), Just(b'0'), Just(b' ')],
            0..400,
        ),
        chunked in any::<bool>(),
    ) {
        let mut stream = if chunked { request(CODING, "").into_bytes() } else { Vec::new() };
        stream.extend(bytes);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let every: Vec<usize> = (0..stream.len()).collect();
        let (whole, cut) = runtime.block_on(async {
            (found(&stream, &[]).await, found(&stream, &every).await)
        });
        prop_assert_eq!(whole, cut);
    }
}
