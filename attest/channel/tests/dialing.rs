//! Opening a connection: which key is observed, and which peers are refused before a request is sent.

mod support;

use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};

use attest_channel::{ChannelError, Dialer, Origin, Stage, Timeouts};
use support::server::{Identity, Server, always, respond};
use support::timeouts;

fn short_timeouts() -> Timeouts {
    Timeouts {
        connect: Duration::from_millis(200),
        ..timeouts()
    }
}

fn origin(port: u16) -> Origin {
    Origin::parse(&format!("https://127.0.0.1:{port}")).expect("an origin")
}

#[tokio::test]
async fn observes_the_certificates_key_whatever_names_it_carries() {
    let identity = Identity::generate();
    let server = Server::start(vec![identity.clone()], always(|| respond(200, ""))).await;
    let connection = Dialer::new(timeouts())
        .dial(&server.origin())
        .await
        .expect("a connection");
    assert_eq!(connection.spki(), identity.spki);
    assert_eq!(connection.certificate_der(), identity.certificate.as_ref());
    assert_eq!(server.seen.requests(), Vec::<String>::new());
}

#[tokio::test]
async fn every_connection_presents_its_key_although_the_server_offers_resumption() {
    let identities = vec![Identity::generate(), Identity::generate()];
    let server = Server::start(identities.clone(), always(|| respond(200, ""))).await;
    let dialer = Dialer::new(timeouts());
    for round in 0..4 {
        let connection = dialer.dial(&server.origin()).await.expect("a connection");
        assert_eq!(connection.spki(), identities[round % 2].spki);
    }
}

#[tokio::test]
async fn a_server_with_tls_1_2_only_is_refused() {
    let server = Server::start(vec![Identity::tls12_only()], always(|| respond(200, ""))).await;
    let refused = Dialer::new(timeouts()).dial(&server.origin()).await.err();
    assert!(
        matches!(&refused, Some(ChannelError::Tls(why)) if why == "the peer does not support TLS 1.3"),
        "{refused:?}"
    );
    server.seen.expect_handshakes(0).await;
}

#[tokio::test]
async fn reports_a_closed_port_as_a_connect_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    assert_eq!(
        Dialer::new(timeouts()).dial(&origin(port)).await.err(),
        Some(ChannelError::Connect(std::io::ErrorKind::ConnectionRefused))
    );
}

#[tokio::test]
async fn reports_a_name_that_does_not_resolve_as_a_resolve_error() {
    let nowhere = Origin::parse("https://nowhere.invalid").expect("an origin");
    let refused = Dialer::new(timeouts()).dial(&nowhere).await.err();
    // On a machine without a resolver the lookup may take until the timeout.
    assert!(
        matches!(
            refused,
            Some(
                ChannelError::Resolve
                    | ChannelError::Timeout {
                        stage: Stage::Resolve
                    }
            )
        ),
        "{refused:?}"
    );
}

#[tokio::test]
async fn times_out_when_the_listener_accepts_no_connection() {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket
        .bind("127.0.0.1:0".parse().expect("an address"))
        .expect("a port");
    let listener = socket.listen(1).expect("a listener");
    let address = listener.local_addr().expect("an address");
    // Fills the queue of connections that are not accepted.
    let mut queued = Vec::new();
    for _ in 0..4 {
        queued.push(tokio::spawn(tokio::net::TcpStream::connect(address)));
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(
        Dialer::new(short_timeouts())
            .dial(&origin(address.port()))
            .await
            .err(),
        Some(ChannelError::Timeout {
            stage: Stage::Connect
        })
    );
}

#[tokio::test]
async fn times_out_when_the_peer_is_silent_during_the_handshake() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let silent = tokio::spawn(async move { listener.accept().await });
    assert_eq!(
        Dialer::new(short_timeouts())
            .dial(&origin(port))
            .await
            .err(),
        Some(ChannelError::Timeout { stage: Stage::Tls })
    );
    assert!(silent.await.expect("no panic").is_ok());
}

#[tokio::test]
async fn refuses_a_peer_that_does_not_answer_with_tls() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        use tokio::io::AsyncWriteExt;
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        }
    });
    let refused = Dialer::new(timeouts()).dial(&origin(port)).await.err();
    assert!(matches!(refused, Some(ChannelError::Tls(_))), "{refused:?}");
}
