//! Unattested upstreams against a server with scripted faults.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::prompt_body::EditOutOfPlace;
use super::*;
use crate::prompt::Prompt;
use gateway_base::config::{BaseUrl, Timeouts, Upstream};
use gateway_base::request::Name;

const WHOLE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const BODY: &[u8] = br#"{"model":"m"}"#;

/// What a connection does with each request it has read; `false` closes the connection.
type Script = fn(usize) -> (&'static [u8], bool);

struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
    closed: Arc<AtomicUsize>,
}

impl Server {
    async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let server = Self {
            address: listener.local_addr().expect("an address"),
            connections: Arc::default(),
            requests: Arc::default(),
            closed: Arc::default(),
        };
        let (connections, requests, closed) = (
            server.connections.clone(),
            server.requests.clone(),
            server.closed.clone(),
        );
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, script, requests.clone(), closed.clone()));
            }
        });
        server
    }

    fn engine(&self) -> LocalEngine {
        let upstream = upstream(&format!("http://{}", self.address));
        let model = Name::from_operator("m").expect("a name");
        LocalEngine::new(&upstream, &model, &timeouts(), Arc::default()).expect("a local engine")
    }
}

async fn serve(
    mut stream: TcpStream,
    script: Script,
    requests: Arc<AtomicUsize>,
    closed: Arc<AtomicUsize>,
) {
    let mut read = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(count) => read.extend_from_slice(&buffer[..count]),
        }
        if !read.ends_with(BODY) {
            continue;
        }
        read.clear();
        let (answer, keep_open) = script(requests.fetch_add(1, Ordering::SeqCst));
        if stream.write_all(answer).await.is_err() || !keep_open {
            break;
        }
    }
    closed.fetch_add(1, Ordering::SeqCst);
}

fn upstream(url: &str) -> Upstream {
    Upstream {
        name: Name::from_operator("engine").expect("a name"),
        url: BaseUrl::parse(url).expect("a URL"),
        model: None,
        api_key: None,
        region: None,
        cache_salt: false,
        stream_usage: true,
    }
}

/// `pool_idle` is as long as the default.
fn timeouts() -> Timeouts {
    let long = Duration::from_secs(30);
    Timeouts {
        connect: long,
        report: long,
        first_byte: long,
        idle: long,
        stream_comment: long,
        client_header: long,
        client_body: long,
        client_write: long,
        pool_idle: Duration::from_secs(4),
    }
}

fn prompt() -> OutgoingPrompt {
    ReceivedPrompt::new(Prompt::new(BODY.to_vec()))
        .with_edits(Vec::new())
        .expect("no edits")
}

async fn send(engine: &LocalEngine) -> Result<http::Response<UpstreamBody>, PlainFailure> {
    engine
        .http()
        .send_prompt(Endpoint::Chat, false, &prompt())
        .await
}

async fn text(response: http::Response<UpstreamBody>) -> Result<String, IncompleteBody> {
    let bytes = response.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

async fn eventually(counter: &AtomicUsize, expected: usize) {
    for _ in 0..500 {
        if counter.load(Ordering::SeqCst) == expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{} instead of {expected}", counter.load(Ordering::SeqCst));
}

#[tokio::test]
async fn consecutive_requests_reuse_a_connection() {
    let server = Server::start(|_| (WHOLE, true)).await;
    let engine = server.engine();
    for _ in 0..5 {
        let response = send(&engine).await.expect("a response");
        assert_eq!(text(response).await.as_deref(), Ok("ok"));
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
    assert_eq!(server.requests.load(Ordering::SeqCst), 5);
}

#[tokio::test]
async fn a_connection_is_reused_after_a_chunked_response() {
    let server = Server::start(|_| {
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            true,
        )
    })
    .await;
    let engine = server.engine();
    for _ in 0..3 {
        assert_eq!(
            text(send(&engine).await.expect("a response"))
                .await
                .as_deref(),
            Ok("ok")
        );
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_connection_closed_while_idle_is_replaced() {
    let server = Server::start(|_| (WHOLE, false)).await;
    let engine = server.engine();
    for sent in 1..=4 {
        let response = send(&engine).await.expect("a response");
        assert_eq!(text(response).await.as_deref(), Ok("ok"));
        eventually(&server.closed, sent).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 4);
    assert_eq!(server.requests.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn idle_connections_are_closed_after_their_timeout_and_not_before() {
    let server = Server::start(|_| (WHOLE, true)).await;
    let model = Name::from_operator("m").expect("a name");
    let timeouts = Timeouts {
        pool_idle: Duration::from_secs(1),
        ..timeouts()
    };
    let upstream = upstream(&format!("http://{}", server.address));
    let engine =
        LocalEngine::new(&upstream, &model, &timeouts, Arc::default()).expect("a local engine");
    for _ in 0..2 {
        let response = send(&engine).await.expect("a response");
        assert_eq!(text(response).await.as_deref(), Ok("ok"));
        assert_eq!(server.closed.load(Ordering::SeqCst), 0);
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
    // No request follows: the pool closes it by itself.
    eventually(&server.closed, 1).await;
    let response = send(&engine).await.expect("a response");
    assert_eq!(text(response).await.as_deref(), Ok("ok"));
    assert_eq!(server.connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn an_empty_response_returns_its_connection_to_the_pool() {
    let server = Server::start(|_| (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", true)).await;
    let engine = server.engine();
    for _ in 0..3 {
        drop(send(&engine).await.expect("a response"));
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_request_that_was_written_is_never_repeated() {
    let server = Server::start(|count| {
        if count == 0 {
            (WHOLE, true)
        } else {
            (b"", false)
        }
    })
    .await;
    let engine = server.engine();
    let first = send(&engine).await.expect("a response");
    assert_eq!(text(first).await.as_deref(), Ok("ok"));
    let second = send(&engine).await.err();
    let closed = SendFailure::MaybeSent(NoResponse::Closed);
    assert_eq!(second, Some(PlainFailure::Send(closed)));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(server.requests.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_response_that_ends_early_is_an_error_and_closes_the_connection() {
    let cut: [Script; 2] = [
        |_| (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok", false),
        |_| {
            (
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n",
                false,
            )
        },
    ];
    for script in cut {
        let server = Server::start(script).await;
        let engine = server.engine();
        for _ in 0..2 {
            assert_eq!(
                text(send(&engine).await.expect("a head")).await,
                Err(IncompleteBody)
            );
        }
        assert_eq!(server.connections.load(Ordering::SeqCst), 2);
    }
}

#[tokio::test]
async fn dropping_a_body_closes_its_connection_at_once() {
    let server = Server::start(|_| (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok", true)).await;
    let engine = server.engine();
    let response = send(&engine).await.expect("a head");
    drop(response);
    eventually(&server.closed, 1).await;
}

#[tokio::test]
async fn dropping_a_waiting_request_closes_its_connection_at_once() {
    let server = Server::start(|_| (b"", true)).await;
    let engine = server.engine();
    let waiting = tokio::time::timeout(Duration::from_millis(100), send(&engine)).await;
    assert!(waiting.is_err());
    eventually(&server.closed, 1).await;
}

#[tokio::test]
async fn reports_a_closed_port_as_connection_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let model = Name::from_operator("m").expect("a name");
    let engine = LocalEngine::new(
        &upstream(&format!("http://{address}")),
        &model,
        &timeouts(),
        Arc::default(),
    );
    let failure = send(&engine.expect("an engine")).await.err();
    assert_eq!(
        failure,
        Some(PlainFailure::Connect(ConnectFailure::Refused))
    );
}

#[test]
fn rejects_a_local_engine_on_another_machine() {
    let model = Name::from_operator("m").expect("a name");
    for url in [
        "http://192.0.2.1:80",
        "https://127.0.0.1:80",
        "http://engine.example",
        "http://0.0.0.0:1",
    ] {
        let built = LocalEngine::new(&upstream(url), &model, &timeouts(), Arc::default());
        assert_eq!(built.err(), Some(PlainError::NotLocal), "{url}");
    }
}

#[tokio::test]
async fn concurrent_requests_use_separate_connections() {
    let server = Server::start(|_| (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok", true)).await;
    let engine = server.engine();
    let first = send(&engine).await.expect("a head");
    let second = send(&engine).await.expect("a head");
    assert_eq!(server.connections.load(Ordering::SeqCst), 2);
    drop((first, second));
}

#[test]
fn edits_are_applied_to_the_body_and_its_digest() {
    let received = ReceivedPrompt::new(Prompt::new(b"hello world".to_vec()));
    let edit = |range, replacement: &'static str| Edit {
        range,
        replacement: replacement.into(),
    };
    let outgoing = received.with_edits(vec![
        edit(0..5, "HELLO!"),
        edit(6..6, "our "),
        edit(10..11, ""),
    ]);
    let outgoing = outgoing.expect("edits in place");
    assert_eq!(outgoing.length(), b"HELLO! our worl".len() as u64);
    assert_eq!(
        outgoing.digest(),
        attest_core::Sha256Digest::hash(b"HELLO! our worl")
    );
    for out_of_place in [vec![edit(0..12, "")], vec![edit(3..5, ""), edit(4..6, "")]] {
        assert_eq!(
            received.with_edits(out_of_place).err(),
            Some(EditOutOfPlace)
        );
    }
}

/// A TLS server for `localhost` under a new authority, which is returned.
async fn tls_server() -> (SocketAddr, rustls::RootCertStore, Arc<AtomicUsize>) {
    let made =
        rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).expect("an authority");
    let key =
        rustls_pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("a usable certificate");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("an address");
    let requests: Arc<AtomicUsize> = Arc::default();
    let seen = requests.clone();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let Ok(mut tls) = acceptor.accept(tcp).await else {
                continue;
            };
            let mut read = Vec::new();
            while !read.ends_with(BODY) {
                let count = tls.read_buf(&mut read).await.expect("a request");
                assert!(count > 0);
            }
            seen.fetch_add(1, Ordering::SeqCst);
            tls.write_all(WHOLE).await.expect("a response");
            let _ = tls.shutdown().await;
        }
    });
    (address, roots, requests)
}

#[tokio::test]
async fn rejects_an_api_whose_certificate_has_another_name_or_authority() {
    let (address, roots, requests) = tls_server().await;
    let model = Name::from_operator("m").expect("a name");
    let send_to = async |host: &str, roots: rustls::RootCertStore| {
        let upstream = upstream(&format!("https://{host}:{}", address.port()));
        let authorities = plain::WebPki::trusting(roots);
        let api = PlainUpstream::new(&upstream, &model, &timeouts(), Arc::default(), &authorities)
            .expect("an API");
        api.http()
            .send_prompt(Endpoint::Chat, false, &prompt())
            .await
    };
    let response = send_to("localhost", roots.clone())
        .await
        .expect("a response");
    assert_eq!(text(response).await.as_deref(), Ok("ok"));
    let (_, other_roots, _) = tls_server().await;
    for (host, roots) in [("127.0.0.1", roots), ("localhost", other_roots)] {
        let failure = send_to(host, roots).await.err();
        assert_eq!(
            failure,
            Some(PlainFailure::Connect(ConnectFailure::Tls)),
            "{host}"
        );
    }
    assert_eq!(requests.load(Ordering::SeqCst), 1);
}

/// Resolves every name to these addresses.
struct Addresses(Vec<SocketAddr>);

impl attest_channel::Resolve for Addresses {
    fn resolve<'a>(&'a self, _: &'a str, _: u16) -> attest_channel::Resolving<'a> {
        Box::pin(async { Ok(self.0.clone()) })
    }
}

#[tokio::test]
async fn connects_to_the_second_address_if_the_first_does_not_answer() {
    let server = Server::start(|_| (WHOLE, true)).await;
    // TEST-NET-3 (RFC 5737): packets to it are dropped or refused, never answered.
    let dead = SocketAddr::from(([203, 0, 113, 1], server.address.port()));
    let tcp = Arc::new(attest_channel::TcpDialer::new(Arc::new(Addresses(vec![
        dead,
        server.address,
    ]))));
    let upstream = upstream(&format!("http://api.example:{}", server.address.port()));
    let model = Name::from_operator("m").expect("a name");
    let api = PlainUpstream::new(
        &upstream,
        &model,
        &timeouts(),
        tcp,
        &plain::WebPki::default(),
    )
    .expect("an API");
    for _ in 0..3 {
        let answer = api
            .http()
            .send_prompt(Endpoint::Chat, false, &prompt())
            .await
            .expect("a response");
        assert_eq!(text(answer).await.as_deref(), Ok("ok"));
    }
}
