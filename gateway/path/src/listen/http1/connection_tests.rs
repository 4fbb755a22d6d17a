use std::time::Duration;

use futures_util::stream;
use http::Version;
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream, duplex};
use tokio::time::timeout;

use super::*;

const TO: ResponseTo = ResponseTo {
    version: Version::HTTP_11,
    is_head_method: false,
    closes: false,
};
const LIMITS: HeadLimits = HeadLimits {
    bytes: 4096,
    fields: 32,
};

/// A client, and the server's side of its connection.
fn connected() -> (DuplexStream, Connection<BufReader<DuplexStream>>) {
    let (client, server) = duplex(64 * 1024);
    (client, Connection::new(BufReader::new(server), LIMITS))
}

async fn received(server: &mut Connection<BufReader<DuplexStream>>) -> Box<Head> {
    match poll_fn(|cx| server.poll_head(cx))
        .await
        .expect("a connection")
    {
        Received::Request(head) => head,
        other => panic!("{other:?}"),
    }
}

/// What the client has been sent so far, without dates.
async fn sent(client: &mut DuplexStream) -> String {
    let mut bytes = vec![0; 64 * 1024];
    let mut text = String::new();
    while let Ok(Ok(read @ 1..)) = timeout(Duration::ZERO, client.read(&mut bytes)).await {
        text += std::str::from_utf8(&bytes[..read]).expect("text");
    }
    let lines = text.split_inclusive("\r\n");
    lines.filter(|line| !line.starts_with("date: ")).collect()
}

fn whole(text: &'static str) -> Response<Full<Bytes>> {
    Response::new(Full::from(text))
}

/// A body of unknown length in these pieces, each of which is ready at once.
fn pieces(
    pieces: Vec<Result<&'static str, io::Error>>,
) -> Response<impl Body<Data = Bytes, Error = io::Error> + Unpin> {
    let frames = pieces
        .into_iter()
        .map(|piece| piece.map(|piece| Frame::data(Bytes::from(piece))));
    Response::new(StreamBody::new(stream::iter(frames)))
}

#[tokio::test]
async fn pipelined_requests_are_answered_one_after_another() {
    let (mut client, mut server) = connected();
    let two = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /b HTTP/1.1\r\nHost: a\r\n\r\n";
    client.write_all(two.as_bytes()).await.expect("written");
    assert_eq!(received(&mut server).await.request.uri, "/a");
    let body = RequestBody(&mut server);
    assert_eq!(body.size_hint().exact(), Some(3));
    assert_eq!(body.collect().await.expect("a body").to_bytes(), "abc");
    let flushes = Flushes::counted();
    let ends = server.send(whole("one"), TO, &flushes).await.expect("sent");
    assert!(!ends && flushes.completed() == 1);
    assert_eq!(received(&mut server).await.request.uri, "/b");
    let closes = ResponseTo { closes: true, ..TO };
    assert!(
        server
            .send(whole("two"), closes, &flushes)
            .await
            .expect("sent")
    );
    assert_eq!(
        sent(&mut client).await,
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\noneHTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\ntwo"
    );
}

#[tokio::test]
async fn a_client_that_waits_to_continue_is_asked_for_its_body_when_it_is_read() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
    let (mut client, mut server) = connected();
    client.write_all(head.as_bytes()).await.expect("written");
    received(&mut server).await;
    assert_eq!(sent(&mut client).await, "");
    let mut body = RequestBody(&mut server);
    assert!(timeout(Duration::ZERO, body.frame()).await.is_err());
    assert_eq!(sent(&mut client).await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.write_all(b"abc").await.expect("written");
    assert_eq!(body.collect().await.expect("a body").to_bytes(), "abc");
    assert_eq!(sent(&mut client).await, "");

    let (mut client, mut server) = connected();
    client.write_all(head.as_bytes()).await.expect("written");
    received(&mut server).await;
    assert!(!server.discard_body().await, "it was not asked for");
    assert_eq!(sent(&mut client).await, "");
}

#[tokio::test]
async fn a_short_body_that_has_arrived_is_discarded_and_no_other() {
    for (length, body, discarded) in [
        ("Content-Length: 3", "abc".to_owned(), true),
        ("Content-Length: 4", "abc".to_owned(), false),
        (
            "Transfer-Encoding: chunked",
            "3\r\nabc\r\n0\r\n\r\n".to_owned(),
            true,
        ),
        (
            "Transfer-Encoding: chunked",
            "3\r\nabc\r\n".to_owned(),
            false,
        ),
        ("Transfer-Encoding: chunked", "g\r\n".to_owned(), false),
        ("Content-Length: 50000", "x".repeat(50_000), false),
    ] {
        let (mut client, mut server) = connected();
        let request = format!("POST / HTTP/1.1\r\nHost: a\r\n{length}\r\n\r\n{body}");
        client.write_all(request.as_bytes()).await.expect("written");
        received(&mut server).await;
        assert_eq!(server.discard_body().await, discarded, "{length}");
    }
}

#[tokio::test]
async fn the_close_of_a_client_ends_its_request() {
    let (mut client, mut server) = connected();
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .expect("written");
    received(&mut server).await;
    assert!(
        timeout(Duration::ZERO, poll_fn(|cx| server.poll_closed(cx)))
            .await
            .is_err()
    );
    drop(client);
    poll_fn(|cx| server.poll_closed(cx)).await;
    let never = StreamBody::new(stream::pending::<Result<Frame<Bytes>, io::Error>>());
    let outcome = server
        .send(Response::new(never), TO, &Flushes::default())
        .await;
    assert!(matches!(outcome, Err(SendError::Closed)));
}

#[tokio::test]
async fn pieces_that_are_ready_together_leave_together_and_those_before_an_error_too() {
    let (mut client, mut server) = connected();
    let flushes = Flushes::counted();
    let response = pieces(vec![Ok("a"), Ok("bc")]);
    assert!(!server.send(response, TO, &flushes).await.expect("sent"));
    assert_eq!(flushes.completed(), 1);
    assert_eq!(
        sent(&mut client).await,
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"
    );
    let broken = pieces(vec![Ok("a"), Err(io::ErrorKind::Other.into())]);
    let outcome = server.send(broken, TO, &flushes).await;
    assert!(matches!(outcome, Err(SendError::Interrupted)));
    // A body that wants its bytes written before it ends in an error waits for a flush.
    assert_eq!(
        (flushes.completed(), sent(&mut client).await.as_str()),
        (1, "")
    );
}

#[tokio::test]
async fn a_body_is_asked_again_after_each_flush() {
    let (mut client, mut server) = connected();
    let flushes = Flushes::counted();
    let counted = flushes.clone();
    let mut step = 0;
    // Without a waker: only the flush can be the reason to ask again.
    let body = StreamBody::new(stream::poll_fn(move |_| {
        step += 1;
        match step {
            1 => Poll::Ready(Some(Ok::<_, io::Error>(Frame::data(Bytes::from("a"))))),
            2 => Poll::Pending,
            _ if counted.are_after(0) => Poll::Ready(None),
            _ => Poll::Pending,
        }
    }));
    let sending = server.send(Response::new(body), TO, &flushes);
    timeout(Duration::from_secs(60), sending)
        .await
        .expect("asked again")
        .expect("sent");
    assert!(sent(&mut client).await.ends_with("1\r\na\r\n0\r\n\r\n"));
}

#[tokio::test]
async fn a_body_without_its_end_is_an_error() {
    let (feeder, body) = fed_body();
    feeder.send(Some(Ok(Bytes::from("a")))).await.expect("room");
    drop(feeder);
    body.collect().await.expect_err("cut");
    let (feeder, body) = fed_body();
    let feeding = tokio::spawn(async move {
        for piece in [Some(Ok(Bytes::from("a"))), Some(Ok(Bytes::from("b"))), None] {
            feeder.send(piece).await.expect("room");
        }
    });
    assert_eq!(body.collect().await.expect("whole").to_bytes(), "ab");
    feeding.await.expect("fed");
}
