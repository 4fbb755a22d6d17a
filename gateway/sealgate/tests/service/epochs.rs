//! Epochs and draining: what changes at once, which requests may finish, and which are aborted.

use std::sync::Arc;
use std::time::Duration;

use crate::support::platform::NoTee;
use crate::support::{CHAT, Gateway, Setup, TIMEOUT, eventually, streamed};
use gateway_base::config::Config;
use sealgate::ServeError;
use sealgate::serve;
use testkit::client::TlsClient;
use testkit::engine::Engine;
use testkit::scratch::ScratchDir;

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_changes_every_key_and_prevents_session_resumption() {
    let gateway = Gateway::plain().await;
    let client = TlsClient::observing();
    let mut first = client.connect(gateway.address).await.expect("a connection");
    first
        .get("/healthz")
        .await
        .expect("an answer")
        .bytes()
        .await
        .expect("tickets arrive with the first answer");
    let second = client.connect(gateway.address).await.expect("a connection");
    assert!(
        second.was_resumed(),
        "within an epoch sessions resume, so that the next lines test something"
    );

    gateway.reload().await;
    let mut third = client.connect(gateway.address).await.expect("a connection");
    assert!(!third.was_resumed());
    assert_ne!(third.spki_sha256(), first.spki_sha256());
    third
        .get("/healthz")
        .await
        .expect("an answer")
        .bytes()
        .await
        .expect("a body");
    eventually("idle connections of the old epoch are closed", async || {
        first.is_closed() && second.is_closed()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_cannot_be_served_changes_nothing() {
    let gateway = Gateway::plain().await;
    let key = gateway.connect().await.spki_sha256();
    let good = std::fs::read_to_string(gateway.directory.path().join("sealgate.toml"))
        .expect("a configuration");
    for bad in [
        "nonsense".to_owned(),
        good.replace("[[model]]", "[[modle]]"),
        good.replace("127.0.0.1:0", "127.0.0.1:1"),
        good.replace("state_dir = \"state\"", "state_dir = \"other\""),
        good.replace("[tee]", "[receipts]\nkeep = \"1d\"\n[tee]"),
    ] {
        assert_ne!(bad, good);
        gateway.write_config(&bad);
        gateway.ask_for_reload().await;
        // The next wish is taken up only after this one was dealt with.
        gateway.ask_for_reload().await;
        gateway.ask_for_reload().await;
        assert_eq!(gateway.connect().await.spki_sha256(), key, "{bad}");
    }
    assert_eq!(gateway.chat().await.status, 200);
    gateway.write_config(&good);
    gateway.reload().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_configuration_applies_to_new_connections_only() {
    let gateway = Gateway::plain().await;
    let good = std::fs::read_to_string(gateway.directory.path().join("sealgate.toml"))
        .expect("a configuration");
    let stepper = gateway.engine.stepping();
    let mut old = gateway.connect().await;
    let mut stream = old
        .post(&gateway.key, CHAT, &streamed("finish"))
        .await
        .expect("an answer");
    stepper.release(1);
    stream.chunk().await.expect("a chunk");
    gateway.write_config(&good.replace("id = \"demo-model\"", "id = \"renamed\""));
    gateway.reload().await;
    let mut new = gateway.connect().await;
    let list = new
        .get_as(&gateway.key, "/v1/models")
        .await
        .expect("an answer")
        .json()
        .await
        .expect("JSON");
    assert_eq!(list["data"][0]["id"], "renamed");
    stepper.release(1000);
    let rest = tokio::time::timeout(TIMEOUT, stream.bytes())
        .await
        .expect("in time")
        .expect("a whole body");
    assert!(rest.ends_with(b"data: [DONE]\n\n"));
    eventually("the old connection is closed", async || old.is_closed()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_exceed_the_drain_timeout_are_aborted() {
    let gateway =
        Gateway::start(Setup::new("drain_timeout = \"300ms\"", ""), Arc::new(NoTee)).await;
    let stepper = gateway.engine.stepping();
    let mut old = gateway.connect().await;
    let mut stream = old
        .post(&gateway.key, CHAT, &streamed("never ends"))
        .await
        .expect("an answer");
    stepper.release(1);
    stream.chunk().await.expect("a chunk");
    gateway.reload().await;
    let rest = tokio::time::timeout(TIMEOUT, stream.bytes())
        .await
        .expect("in time");
    assert!(
        rest.is_err(),
        "a cut response must not look like a whole one"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn epochs_renew_themselves_before_they_expire() {
    let gateway = Gateway::start(Setup::new("epoch_lifetime = \"1s\"", ""), Arc::new(NoTee)).await;
    let key = gateway.connect().await.spki_sha256();
    eventually("a new epoch", async || {
        gateway.connect().await.spki_sha256() != key
    })
    .await;
    assert_eq!(
        gateway
            .connect()
            .await
            .get("/readyz")
            .await
            .expect("an answer")
            .status,
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_finishes_requests_in_flight_and_refuses_new_ones() {
    let mut gateway = Gateway::plain().await;
    let stepper = gateway.engine.stepping();
    let mut connection = gateway.connect().await;
    let mut stream = connection
        .post(&gateway.key, CHAT, &streamed("finish"))
        .await
        .expect("an answer");
    stepper.release(1);
    stream.chunk().await.expect("a chunk");
    gateway.begin_stop();
    let address = gateway.address;
    eventually("new connections are refused", async || {
        TlsClient::observing().connect(address).await.is_err()
    })
    .await;
    stepper.release(1000);
    let rest = tokio::time::timeout(TIMEOUT, stream.bytes())
        .await
        .expect("in time")
        .expect("a whole body");
    assert!(rest.ends_with(b"data: [DONE]\n\n"));
    gateway.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_records_are_on_disk_after_shutdown() {
    let mut gateway = Gateway::plain().await;
    let answer = gateway.chat().await;
    let id = answer
        .header("x-receipt-id")
        .expect("a receipt id")
        .to_owned();
    answer.bytes().await.expect("a body");
    gateway.stopped().await;
    let ledger =
        gateway_store::ledger::Ledger::open_for_keys(&gateway.directory.path().join("state"))
            .await
            .expect("a ledger");
    let digest = *attest_core::Sha256Digest::hash(gateway.key.as_bytes()).as_bytes();
    assert!(
        ledger
            .receipts()
            .find(&id, &digest)
            .await
            .expect("readable")
            .is_some()
    );
    assert!(
        ledger
            .receipts()
            .find(&id, &[0; 32])
            .await
            .expect("readable")
            .is_none()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn accepts_only_tls_1_3() {
    let gateway = Gateway::plain().await;
    let mut roots = rustls::RootCertStore::empty();
    let pem = std::fs::read(gateway.directory.path().join("state/certificate.pem"))
        .expect("the public certificate");
    use rustls_pki_types::pem::PemObject;
    for certificate in rustls_pki_types::CertificateDer::pem_slice_iter(&pem) {
        roots
            .add(certificate.expect("a certificate"))
            .expect("added");
    }
    let connect = async |version: &'static rustls::SupportedProtocolVersion| {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .expect("a version")
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
        let tcp = tokio::net::TcpStream::connect(gateway.address)
            .await
            .expect("connected");
        let name = rustls_pki_types::ServerName::try_from("localhost").expect("a name");
        tokio_rustls::TlsConnector::from(Arc::new(config))
            .connect(name, tcp)
            .await
            .map(|_| ())
    };
    connect(&rustls::version::TLS13)
        .await
        .expect("TLS 1.3, and the published certificate is the one shown");
    assert!(connect(&rustls::version::TLS12).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_gets_no_answer() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let gateway = Gateway::plain().await;
    let mut tcp = tokio::net::TcpStream::connect(gateway.address)
        .await
        .expect("connected");
    tcp.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await
        .expect("written");
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(TIMEOUT, tcp.read_to_end(&mut answer))
        .await
        .expect("it is closed");
    assert!(!answer.starts_with(b"HTTP/"));
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_on_their_own_listener_and_count_by_configured_names() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|l| l.local_addr())
        .expect("a free port");
    let gateway = Gateway::start(
        Setup::new("", &format!("[metrics]\nlisten = \"{port}\"")),
        Arc::new(NoTee),
    )
    .await;
    let answer = gateway.chat().await;
    answer.bytes().await.expect("a body");
    let refused = gateway
        .connect()
        .await
        .post("sk-wrong", CHAT, &streamed("x"))
        .await
        .expect("an answer");
    assert_eq!(refused.status, 401);
    let mut text = String::new();
    eventually("the request is counted", async || {
        let mut connection = testkit::client::Connection::plain(port)
            .await
            .expect("connected");
        let bytes = connection
            .get("/metrics")
            .await
            .expect("an answer")
            .bytes()
            .await
            .expect("a body");
        text = String::from_utf8(bytes).expect("text");
        text.contains("sealgate_requests_total{")
    })
    .await;
    for line in [
        "sealgate_requests_total{endpoint=\"chat\",model=\"demo-model\",outcome=\"completed\"} 1",
        "sealgate_refusals_total{status=\"401\",type=\"invalid_request_error\"} 1",
        "sealgate_epoch 1",
        "sealgate_in_flight 0",
        "sealgate_ledger_rows_lost 0",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "no {line:?} in\n{text}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_requires_a_tee_does_not_start_without_one() {
    let directory = ScratchDir::new("front-tee").expect("a directory");
    let engine = Engine::start().await.expect("an engine");
    let file = directory
        .write("sealgate.toml", Setup::attested("").text(&engine))
        .expect("written");
    assert!(Config::load(&file).is_ok());
    let outcome = serve(&file, Arc::new(NoTee), std::future::pending(), |_| {});
    let outcome = tokio::time::timeout(Duration::from_secs(10), outcome)
        .await
        .expect("it does not serve");
    assert!(
        matches!(outcome, Err(ServeError::NoEvidence { wanted: "tdx" })),
        "{outcome:?}"
    );
}
