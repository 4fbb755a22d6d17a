//! Requests whose framing two parsers could read differently, heads that are too long, and clients that are too slow.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use blackbox::asking::{CHAT, TIMEOUT, chat};
use blackbox::world::{Alone, MODEL};
use testkit::client::TlsClient;

/// Writes `request` byte for byte and reads until the service closes the connection or has nothing more to say.
async fn answer_to(world: &Alone, request: &[u8]) -> Result<String> {
    let mut stream = TlsClient::observing().raw(world.enclave.address()).await?;
    let _ = stream.write_all(request).await;
    let mut said = Vec::new();
    let mut piece = vec![0; 16 << 10];
    let mut limit = TIMEOUT;
    while let Ok(Ok(read)) = timeout(limit, stream.read(&mut piece)).await {
        if read == 0 {
            break;
        }
        said.extend_from_slice(&piece[..read]);
        // Something will come, however busy the machine; whether more does is not known.
        limit = Duration::from_millis(700);
    }
    Ok(String::from_utf8_lossy(&said).into_owned())
}

fn statuses(said: &str) -> Vec<&str> {
    said.match_indices("HTTP/1.1 ")
        .filter_map(|(at, found)| said.get(at + found.len()..at + found.len() + 3))
        .collect()
}

fn head(world: &Alone, more: &str) -> String {
    format!(
        "POST {CHAT} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n{more}\r\n",
        world.key
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_with_ambiguous_framing_is_rejected_and_its_connection_closed() -> Result<()> {
    let world = Alone::new("smuggling", |config, _| config).await?;
    let body = chat(MODEL, "hello").to_string();
    let length = body.len();
    let smuggled = "GET /v1/models HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let chunked = format!("{length:x}\r\n{body}\r\n0\r\n\r\n");
    let cases = [
        (
            "two lengths",
            format!("content-length: {length}\r\ncontent-length: 3\r\n"),
            body.clone(),
        ),
        (
            "a list of lengths",
            format!("content-length: {length}, 3\r\n"),
            body.clone(),
        ),
        (
            "a signed length",
            format!("content-length: +{length}\r\n"),
            body.clone(),
        ),
        (
            "equal lengths in two lines",
            format!("content-length: {length}\r\ncontent-length: {length}\r\n"),
            body.clone(),
        ),
        (
            "equal lengths in a list",
            format!("content-length: {length}, {length}\r\n"),
            body.clone(),
        ),
        (
            "an unknown coding",
            "transfer-encoding: chunkedd\r\n".to_owned(),
            chunked.clone(),
        ),
        (
            "chunked twice",
            "transfer-encoding: chunked, identity\r\n".to_owned(),
            chunked.clone(),
        ),
        (
            "a folded header",
            format!("x-folded: a\r\n b\r\ncontent-length: {length}\r\n"),
            body.clone(),
        ),
        (
            "space before the colon",
            format!("content-length : {length}\r\n"),
            body.clone(),
        ),
        (
            "a bare CR in a value",
            format!("x-bare: a\rb\r\ncontent-length: {length}\r\n"),
            body.clone(),
        ),
        (
            "a NUL in a value",
            format!("x-nul: a\0b\r\ncontent-length: {length}\r\n"),
            body.clone(),
        ),
        (
            "a chunk size that is none",
            "transfer-encoding: chunked\r\n".to_owned(),
            format!("{length:x}g\r\n{body}\r\n0\r\n\r\n"),
        ),
        (
            "a chunk size beyond all bounds",
            "transfer-encoding: chunked\r\n".to_owned(),
            format!("fffffffffffffffff\r\n{body}"),
        ),
    ];
    for (what, framing, body) in cases {
        let request = format!("{}{body}{smuggled}", head(&world, &framing));
        let said = answer_to(&world, request.as_bytes()).await?;
        let statuses = statuses(&said);
        assert_eq!(statuses, ["400"], "{what}");
        assert!(said.contains("connection: close"), "{what}: {said}");
        assert!(said.contains("invalid_request_error"), "{what}: {said}");
        assert_eq!(world.engine.stats().prompts, 0, "{what} reached the engine");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_length_beside_chunks_is_refused_unread_and_ends_the_connection() -> Result<()> {
    let world = Alone::new("length-and-chunks", |config, _| config).await?;
    let body = chat(MODEL, "hello").to_string();
    let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let coding = "transfer-encoding: chunked\r\n";
    let (whole, wrong) = (
        format!("content-length: {}\r\n", body.len()),
        "Content-Length: 5\r\n".to_owned(),
    );
    let smuggled = head(&world, &whole) + &body;
    // Behind requests of either kind, in the same write, it is found as well.
    let before = head(&world, &whole) + &body + &head(&world, coding) + &chunked;
    let mut prompts = 0;
    for length in [&whole, &wrong] {
        for framing in [[length, coding].concat(), [coding, length].concat()] {
            let disputed = head(&world, &framing) + &chunked + &smuggled;
            let said = answer_to(&world, disputed.as_bytes()).await?;
            assert_eq!(statuses(&said), ["400"], "{framing:?}: {said}");
            assert!(said.contains("connection: close"), "{framing:?}: {said}");
            assert!(
                said.contains("Content-Length and Transfer-Encoding"),
                "{said}"
            );
            assert_eq!(world.engine.stats().prompts, prompts, "{framing:?}");

            let said = answer_to(&world, (before.clone() + &disputed).as_bytes()).await?;
            assert_eq!(
                statuses(&said),
                ["200", "200", "400"],
                "{framing:?}: {said}"
            );
            prompts += 2;
            assert_eq!(world.engine.stats().prompts, prompts, "{framing:?}");
        }
    }
    Ok(())
}

/// A request in which `Host` and `Transfer-Encoding` are these lines.
fn with_lines(world: &Alone, hosts: &str, codings: &str) -> String {
    let body = chat(MODEL, "hello").to_string();
    format!(
        "POST {CHAT} HTTP/1.1\r\n{hosts}authorization: Bearer {}\r\ncontent-type: application/json\r\n{codings}\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        world.key,
        body.len()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn every_transfer_coding_but_one_final_chunked_is_refused() -> Result<()> {
    let world = Alone::new("codings", |config, _| config).await?;
    let host = "host: localhost\r\n";
    for (codings, status) in [
        ("transfer-encoding: gzip, chunked\r\n", "501"),
        (
            "transfer-encoding: identity\r\ntransfer-encoding: chunked\r\n",
            "501",
        ),
        ("transfer-encoding: chunked, chunked\r\n", "400"),
        (
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
            "400",
        ),
        ("transfer-encoding: chunked, gzip\r\n", "400"),
        ("transfer-encoding: identity\r\n", "400"),
        ("transfer-encoding: chunked;q=1\r\n", "400"),
    ] {
        let said = answer_to(&world, with_lines(&world, host, codings).as_bytes()).await?;
        assert_eq!(statuses(&said), [status], "{codings:?}: {said}");
        assert!(said.contains("connection: close"), "{codings:?}: {said}");
        assert!(
            said.contains("invalid_request_error"),
            "{codings:?}: {said}"
        );
    }
    assert_eq!(world.engine.stats().prompts, 0);
    let right = with_lines(&world, host, "Transfer-Encoding: Chunked\r\n");
    let said = answer_to(&world, right.as_bytes()).await?;
    assert_eq!(statuses(&said), ["200"], "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_has_exactly_one_host() -> Result<()> {
    let world = Alone::new("hosts", |config, _| config).await?;
    let coding = "transfer-encoding: chunked\r\n";
    for hosts in [
        "",
        "host: localhost\r\nhost: localhost\r\n",
        "host: localhost\r\nHost: other.example\r\n",
        "host: local host\r\n",
    ] {
        let said = answer_to(&world, with_lines(&world, hosts, coding).as_bytes()).await?;
        assert_eq!(statuses(&said), ["400"], "{hosts:?}: {said}");
        assert!(said.contains("connection: close"), "{hosts:?}: {said}");
    }
    assert_eq!(world.engine.stats().prompts, 0);
    // HTTP/1.0 did not have it yet.
    let said = answer_to(&world, b"GET /healthz HTTP/1.0\r\n\r\n").await?;
    assert!(said.contains(" 200 OK"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_size_with_many_zeros_is_read_right_and_the_next_request_is_checked() -> Result<()>
{
    let world = Alone::new("padded-chunks", |config, _| config).await?;
    let body = chat(MODEL, "hello").to_string();
    let chunked = head(&world, "transfer-encoding: chunked\r\n");
    let disputed = head(
        &world,
        "content-length: 6\r\ntransfer-encoding: chunked\r\n",
    );
    let mut prompts = 0;
    for zeros in [0, 1, 14, 61, 62, 63, 64, 200, 3000] {
        let first = format!(
            "{chunked}{}{:x}\r\n{body}\r\n0\r\n\r\n",
            "0".repeat(zeros),
            body.len()
        );
        let second = format!("{disputed}{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
        let said = answer_to(&world, (first + &second).as_bytes()).await?;
        assert_eq!(statuses(&said), ["200", "400"], "{zeros} zeros: {said}");
        prompts += 1;
        assert_eq!(world.engine.stats().prompts, prompts, "{zeros} zeros");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_of_the_largest_size_is_served_and_its_connection_closed() -> Result<()> {
    let world = Alone::new("large-head", |config, _| config).await?;
    let body = chat(MODEL, "hello").to_string();
    let length = format!("content-length: {}\r\n", body.len());
    let bare = head(&world, &format!("{length}x: \r\n")).len();
    let of_size = |size: usize| {
        let more = format!("{length}x: {}\r\n", "a".repeat(size - bare));
        head(&world, &more) + &body
    };
    let said = answer_to(&world, of_size(16 << 10).as_bytes()).await?;
    assert_eq!(statuses(&said), ["200"], "{said}");
    assert!(said.contains("connection: close"), "{said}");
    let said = answer_to(&world, of_size((16 << 10) + 1).as_bytes()).await?;
    assert_eq!(statuses(&said), ["431"], "{said}");
    assert!(said.contains("request_head_too_large"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_that_contains_header_syntax_is_accepted() -> Result<()> {
    let world = Alone::new("quoted-headers", |config, _| config).await?;
    let body = chat(MODEL, "Content-Length: 5 and Transfer-Encoding: chunked").to_string();
    let at = body.find("Content-Length").context("quoted")?;
    // Cut so that the words stand at the beginning of a line, as a header would.
    let (before, after) = body.split_at(at);
    let pieces = [before, after].map(|piece| format!("{:x}\r\n{piece}\r\n", piece.len()));
    let chunked = head(&world, "transfer-encoding: chunked\r\n") + &pieces.concat() + "0\r\n\r\n";
    let sized = head(&world, &format!("content-length: {}\r\n", body.len())) + &body;
    let said = answer_to(&world, (chunked.clone() + &sized + &chunked).as_bytes()).await?;
    assert_eq!(statuses(&said), ["200", "200", "200"], "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipelined_request_needs_its_own_key() -> Result<()> {
    let world = Alone::new("pipelined", |config, _| config).await?;
    let body = chat(MODEL, "hello").to_string();
    let first = head(&world, &format!("content-length: {}\r\n", body.len())) + &body;
    let second = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let said = answer_to(&world, (first + &second).as_bytes()).await?;
    assert_eq!(statuses(&said), ["200", "401"]);
    assert_eq!(world.engine.stats().prompts, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn bare_line_feeds_are_refused() -> Result<()> {
    let world = Alone::new("bare-lf", |config, _| config).await?;
    let body = chat(MODEL, "hello").to_string();
    // A parser that wants CRLF sees one header; one that takes LF sees two.
    let request = head(
        &world,
        &format!("x-a: b\nx-c: d\r\ncontent-length: {}\r\n", body.len()),
    ) + &body;
    let said = answer_to(&world, request.as_bytes()).await?;
    assert_eq!(statuses(&said), ["400"], "{said}");
    assert_eq!(world.engine.stats().prompts, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_too_long_is_431() -> Result<()> {
    let world = Alone::new("long-head", |config, _| config).await?;
    let long = format!("x-long: {}\r\n", "a".repeat(200 << 10));
    let many: String = (0..400).map(|n| format!("x-{n}: a\r\n")).collect();
    for more in [long, many] {
        let said = answer_to(&world, head(&world, &more).as_bytes()).await?;
        assert!(matches!(statuses(&said)[..], ["431"]), "{said}");
    }
    let path = format!(
        "GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n",
        "a".repeat(200 << 10)
    );
    let said = answer_to(&world, path.as_bytes()).await?;
    assert!(matches!(statuses(&said)[..], ["414"] | ["431"]), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_heads_are_closed_and_slow_bodies_are_408() -> Result<()> {
    let world = Alone::new("slow", |config, _| {
        config.and("[timeouts]\nclient_header = \"500ms\"\nclient_body = \"500ms\"")
    })
    .await?;
    let whole = head(&world, "content-length: 100\r\n");
    let slow = |sent: usize| {
        let bytes = whole.as_bytes()[..sent].to_vec();
        let address = world.enclave.address();
        async move {
            let mut stream = TlsClient::observing().raw(address).await?;
            stream.write_all(&bytes).await?;
            let began = Instant::now();
            let mut said = Vec::new();
            let mut dripping = tokio::time::interval(Duration::from_millis(100));
            let mut piece = [0; 4096];
            loop {
                tokio::select! {
                    read = stream.read(&mut piece) => match read {
                        Ok(0) | Err(_) => break,
                        Ok(read) => said.extend_from_slice(&piece[..read]),
                    },
                    // A byte now and then, which must not buy more time.
                    _ = dripping.tick() => if stream.write_all(b" ").await.is_err() { break },
                }
                assert!(began.elapsed() < TIMEOUT, "it is still open");
            }
            anyhow::Ok((String::from_utf8_lossy(&said).into_owned(), began.elapsed()))
        }
    };
    let (said, took) = slow(30).await?;
    assert!(matches!(statuses(&said)[..], [] | ["408"]), "{said}");
    assert!(took < Duration::from_secs(6), "{took:?}");
    let (said, took) = slow(whole.len()).await?;
    assert_eq!(statuses(&said), ["408"], "{said}");
    assert!(took < Duration::from_secs(6), "{took:?}");
    assert_eq!(world.engine.stats().prompts, 0);
    // The service is there for others meanwhile.
    let mut connection = world.enclave.connect().await?;
    assert_eq!(
        connection
            .post(&world.key, CHAT, &chat(MODEL, "hi"))
            .await?
            .status,
        200
    );
    Ok(())
}
