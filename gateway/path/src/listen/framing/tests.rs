use std::convert::Infallible;
use std::sync::Mutex;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use super::*;

const LIMITS: HeadLimits = HeadLimits {
    bytes: 4096,
    fields: 32,
};
const LENGTH: &str = "Content-Length: 5\r\n";
const CODING: &str = "Transfer-Encoding: chunked\r\n";

fn request(headers: &str, body: &str) -> String {
    format!("POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n{body}")
}

fn parsed(head: &str) -> Result<BodyFraming, HeadFault> {
    head::parse(head.as_bytes(), LIMITS)
}

fn fault(headers: &str) -> Option<HeadFault> {
    parsed(&request(headers, "")).err()
}

/// A connection whose bytes come in these pieces, one with each read.
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
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(mut piece) = self.0.pop() {
            let now = piece.len().min(buffer.remaining());
            let rest = piece.split_off(now);
            buffer.put_slice(&piece);
            if !rest.is_empty() {
                self.0.push(rest);
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// What the library is given of a stream, which request of it is refused and why, and where the guard stands.
#[derive(Debug, PartialEq)]
struct Passed {
    bytes: String,
    refused: Option<(u64, HeadFault)>,
    position: Position,
}

async fn passed(stream: &[u8], cuts: &[usize], most: usize) -> Passed {
    let findings = Findings::default();
    let mut guard = FramingGuard::new(Pieces::cut(stream, cuts), LIMITS, findings.clone());
    let mut bytes = Vec::new();
    let mut room = vec![0; most];
    while let Ok(read) = guard.read(&mut room).await {
        if read == 0 {
            break;
        }
        bytes.extend_from_slice(&room[..read]);
    }
    let position = guard.state.position;
    Passed {
        bytes: String::from_utf8_lossy(&bytes).into_owned(),
        refused: findings.0.refused.get().copied(),
        position,
    }
}

/// The same for a text that comes at once.
async fn pass(stream: &str) -> Passed {
    passed(stream.as_bytes(), &[], 64 * 1024).await
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
    assert!(pass(&of_size(LIMITS.bytes)).await.refused.is_none());
    let expected = Some((1, HeadFault::TooLarge { limit: 4096 }));
    assert_eq!(pass(&of_size(LIMITS.bytes + 1)).await.refused, expected);
    // Also where its end has not come.
    let open = pass(&of_size(LIMITS.bytes + 1)[..LIMITS.bytes]).await;
    assert_eq!(open.refused, expected);
}

#[tokio::test]
async fn reads_chunk_sizes_in_any_spelling() {
    let whole = |body: &str| request(CODING, body);
    let canonical = whole("3c\r\n") + &"x".repeat(0x3c) + "\r\n0\r\n\r\n";
    let expected = Passed {
        bytes: canonical.clone(),
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
            let found = pass(&whole(&body)).await;
            assert_eq!(found, expected, "{size:?} {end:?}");
        }
    }
}

#[tokio::test]
async fn checks_a_request_after_a_padded_chunk_size() {
    let body = format!("{}3c\r\n{}\r\n0\r\n\r\n", "0".repeat(63), "x".repeat(0x3c));
    let bad = request(&format!("{LENGTH}{CODING}"), "0\r\n\r\n");
    let found = pass(&(request(CODING, &body) + &bad)).await;
    assert_eq!(found.refused, Some((2, HeadFault::LengthAndCoding)));
}

#[tokio::test]
async fn a_malformed_body_ends_in_an_error() {
    let bad = request(&format!("{LENGTH}{CODING}"), "");
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
        let found = pass(&(request(CODING, body) + &bad)).await;
        assert_eq!(
            (found.refused, found.position),
            (None, Position::Broken),
            "{body:?}"
        );
        assert!(!found.bytes.ends_with("0\r\n\r\n"), "{body:?}");
    }
    let padded = format!("{}1\r\nx\r\n", "0".repeat(5000));
    let extended = format!("1;{}\r\nx\r\n", "a".repeat(4000)).repeat(20);
    let trailers = format!("0\r\n{}", format!("X: {}\r\n", "a".repeat(4000)).repeat(20));
    for body in [padded, extended, trailers] {
        assert_eq!(
            pass(&request(CODING, &body)).await.position,
            Position::Broken
        );
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
    let found = pass(&fine).await;
    assert_eq!((found.refused, found.position), (None, Position::Head));
    assert_eq!(found.bytes, fine);
    let bad = request(&format!("{LENGTH}{CODING}"), "");
    let found = pass(&format!("{fine}\r\n\r\n{bad}{fine}{bad}")).await;
    assert_eq!(found.refused, Some((6, HeadFault::LengthAndCoding)));
    assert_eq!(found.bytes, fine + std::str::from_utf8(REFUSED).unwrap());
}

#[tokio::test]
async fn bytes_that_were_passed_on_are_overwritten() {
    let stream = request(LENGTH, "12345") + "GET / HTTP/1.1\r\nauthorization: Bearer secr";
    let mut guard = FramingGuard::new(
        Pieces::cut(stream.as_bytes(), &[]),
        LIMITS,
        Findings::default(),
    );
    let mut room = vec![0; 1 << 16];
    let read = guard.read(&mut room).await.unwrap();
    assert_eq!(read, stream.find("GET").unwrap());
    let held = guard.state.held.bytes(usize::MAX);
    assert!(held.is_empty(), "only what exists is held");
    let whole = format!("{:?}", guard.state.held);
    let zeros = whole.matches(" 0,").count();
    assert!(zeros >= read - 1, "{zeros} zeros before what is still held");
}

/// What a server of the library makes of a stream: path and body of each request, `None` where the body broke off.
async fn served(io: impl AsyncRead + AsyncWrite + Unpin + Send) -> Vec<(String, Option<Vec<u8>>)> {
    let seen = Mutex::new(Vec::new());
    let service = service_fn(|request: Request<Incoming>| async {
        let path = request.uri().path().to_owned();
        let body = request.into_body().collect().await;
        let body = body.ok().map(|body| body.to_bytes().to_vec());
        seen.lock().unwrap().push((path, body));
        Ok::<_, Infallible>(http::Response::new(Full::<Bytes>::default()))
    });
    let _ = http1::Builder::new()
        .max_headers(200)
        .half_close(true)
        .serve_connection(TokioIo::new(io), service)
        .await;
    seen.into_inner().unwrap()
}

/// The library reads `stream`, behind a guard or alone.
async fn library(
    stream: &[u8],
    guarded: Option<(Findings, &[usize])>,
) -> Vec<(String, Option<Vec<u8>>)> {
    let (mut client, server) = duplex(1 << 20);
    client.write_all(stream).await.unwrap();
    client.shutdown().await.unwrap();
    match guarded {
        None => served(server).await,
        Some((findings, cuts)) => {
            let io = tokio::io::join(Pieces::cut(stream, cuts), server);
            served(FramingGuard::new(io, LIMITS, findings)).await
        }
    }
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
    fn guard_and_library_find_the_same_requests_or_the_guard_refuses(
        requests in prop::collection::vec(any_request(), 1..5),
        cuts in prop::collection::vec(any::<usize>(), 0..24),
    ) {
        let stream = requests.concat();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let findings = Findings::default();
            let alone = library(stream.as_bytes(), None).await;
            let mut guarded = library(stream.as_bytes(), Some((findings.clone(), &cuts))).await;
            if let Some((number, _)) = findings.0.refused.get() {
                // The refused one in its place, and nothing after it. The library may have closed before.
                prop_assert!(guarded.len() as u64 <= *number);
                if guarded.len() as u64 == *number {
                    guarded.pop();
                }
            } else {
                let broken = guarded.last().is_some_and(|(_, body)| body.is_none());
                prop_assert!(broken || guarded.len() >= alone.len());
            }
            if guarded.last().is_some_and(|(_, body)| body.is_none()) {
                // The guard follows less of a body than the library may.
                guarded.pop();
            }
            prop_assert!(
                guarded.len() <= alone.len() && guarded[..] == alone[..guarded.len()],
                "{:?} beside {:?}", guarded, alone
            );
            Ok(())
        })?;
    }

    #[test]
    fn the_result_does_not_depend_on_the_pieces_read(
        requests in prop::collection::vec(any_request(), 1..5),
        cuts in prop::collection::vec(any::<usize>(), 0..24),
        most in 1..9000_usize,
    ) {
        let stream = requests.concat();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (whole, cut) = runtime.block_on(async {
            (pass(&stream).await, passed(stream.as_bytes(), &cuts, most).await)
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
            (passed(&stream, &[], 1 << 16).await, passed(&stream, &every, 7).await)
        });
        prop_assert_eq!(whole, cut);
    }
}
