//! Which peers are trusted, which are not, and what is sent to each of them.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use attest_channel::{
    Accept, AttestedChannel, ChannelError, Dialer, Lease, Limits, Stage, Timeouts,
};
use attest_core::{TrustedPeer, UnixTime};
use support::platform::{Platform, nonce_of};
use support::server::{Answers, Identity, Server, respond};
use support::{eventually, get, text, timeouts};

fn channel(server: &Server, platform: &Platform) -> Arc<AttestedChannel> {
    AttestedChannel::new(
        server.origin(),
        platform.trust(),
        timeouts(),
        platform.clock(),
    )
}

#[tokio::test]
async fn a_peer_is_verified_once_and_used_over_one_connection() {
    let platform = Platform::new();
    let server = Server::start(vec![Identity::generate()], platform.service()).await;
    let channel = channel(&server, &platform);
    for _ in 0..5 {
        let lease = channel.lease().await.expect("a lease");
        let response = lease.send(get("/hello")).await.expect("a response");
        assert_eq!(text(response).await, "hello");
    }
    assert_eq!(server.seen.reports(), 1);
    assert_eq!(server.seen.others(), 5);
    server.seen.expect_handshakes(1).await;
    assert_eq!(
        server.seen.requests().first().map(String::as_str),
        Some("GET /v1/aci/attestation")
    );
    assert_eq!(channel.peers().len(), 1);
}

#[tokio::test]
async fn a_rejected_peer_sees_the_report_request_and_nothing_else() {
    let platform = Platform::new();
    let bad_evidence: [Answers; 3] = [
        Arc::new(|_, _| Box::pin(async { respond(200, "{}") })),
        Arc::new(|_, _| Box::pin(async { respond(200, "not JSON \u{0}\u{1}") })),
        Arc::new(|_, _| Box::pin(async { respond(200, "") })),
    ];
    for answers in bad_evidence {
        let server = Server::start(vec![Identity::generate()], answers).await;
        let channel = channel(&server, &platform);
        let refused = channel.lease().await.err();
        assert!(
            matches!(refused, Some(ChannelError::Rejected(_))),
            "{refused:?}"
        );
        assert_eq!(server.seen.requests(), ["GET /v1/aci/attestation"]);
        assert!(channel.peers().is_empty());
    }
}

#[tokio::test]
async fn many_leases_of_an_unknown_key_make_one_verification() {
    let platform = Platform::new();
    let server = Server::start(vec![Identity::generate()], platform.slow_service()).await;
    let channel = channel(&server, &platform);
    let leases = (0..20).map(|_| {
        let channel = Arc::clone(&channel);
        tokio::spawn(async move {
            let lease = channel.lease().await.expect("a lease");
            text(lease.send(get("/hello")).await.expect("a response")).await
        })
    });
    for lease in leases.collect::<Vec<_>>() {
        assert_eq!(lease.await.expect("no panic"), "hello");
    }
    assert_eq!(server.seen.reports(), 1);
    assert_eq!(server.seen.others(), 20);
}

#[tokio::test]
async fn a_rejected_key_is_verified_once_until_the_rejection_expires() {
    let platform = Platform::new();
    let answers: Answers = Arc::new(|_, _| {
        Box::pin(async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            respond(200, "{}")
        })
    });
    let server = Server::start(vec![Identity::generate()], answers).await;
    let limits = Limits {
        refusal_memory: Duration::from_secs(3),
        ..Limits::default()
    };
    let channel = AttestedChannel::with_limits(
        server.origin(),
        platform.trust(),
        timeouts(),
        limits,
        platform.clock(),
    );
    let flood = (0..20).map(|_| {
        let channel = Arc::clone(&channel);
        tokio::spawn(async move { channel.lease().await.err() })
    });
    for refused in flood.collect::<Vec<_>>() {
        let refused = refused.await.expect("no panic");
        assert!(matches!(refused, Some(ChannelError::Rejected(_))));
    }
    assert_eq!(server.seen.reports(), 1);
    tokio::time::sleep(Duration::from_millis(3100)).await;
    assert!(channel.lease().await.is_err());
    assert_eq!(server.seen.reports(), 2);
}

#[tokio::test]
async fn a_failure_to_fetch_the_report_is_not_remembered() {
    let platform = Platform::new();
    let count = Arc::new(AtomicUsize::new(0));
    let inner = platform.service();
    let answers: Answers =
        Arc::new(
            move |request, identity| match count.fetch_add(1, Ordering::SeqCst) {
                0 => Box::pin(async { respond(500, "") }),
                _ => inner(request, identity),
            },
        );
    let server = Server::start(vec![Identity::generate()], answers).await;
    let channel = channel(&server, &platform);
    assert_eq!(
        channel.lease().await.err(),
        Some(ChannelError::ReportStatus(500))
    );
    assert!(channel.lease().await.is_ok());
}

#[tokio::test]
async fn a_waiting_request_takes_over_a_cancelled_verification() {
    let platform = Platform::new();
    let count = Arc::new(AtomicUsize::new(0));
    let inner = platform.service();
    let answers: Answers =
        Arc::new(
            move |request, identity| match count.fetch_add(1, Ordering::SeqCst) {
                0 => Box::pin(std::future::pending()),
                _ => inner(request, identity),
            },
        );
    let server = Server::start(vec![Identity::generate()], answers).await;
    let channel = channel(&server, &platform);
    let first = tokio::spawn({
        let channel = Arc::clone(&channel);
        async move { channel.lease().await.is_ok() }
    });
    eventually("the first report request", || server.seen.reports() == 1).await;
    let second = tokio::spawn({
        let channel = Arc::clone(&channel);
        async move { channel.lease().await.is_ok() }
    });
    eventually("the second connection", || server.seen.handshakes() == 2).await;
    assert_eq!(server.seen.reports(), 1);
    first.abort();
    assert!(second.await.expect("no panic"));
    assert_eq!(server.seen.reports(), 2);
}

#[tokio::test]
async fn each_replica_behind_an_address_is_verified_when_it_first_answers() {
    let platform = Platform::new();
    let replicas = vec![
        Identity::generate(),
        Identity::generate(),
        Identity::generate(),
    ];
    let server = Server::start(replicas.clone(), platform.service()).await;
    let channel = channel(&server, &platform);
    // Held at the same time, so that each needs a separate connection.
    let mut leases = Vec::new();
    for _ in 0..9 {
        leases.push(channel.lease().await.expect("a lease"));
    }
    server.seen.expect_handshakes(9).await;
    assert_eq!(server.seen.reports(), 3);
    assert_eq!(channel.peers().len(), 3);
    for replica in &replicas {
        let held = leases
            .iter()
            .filter(|lease| lease.peer().spki() == replica.spki)
            .count();
        assert_eq!(held, 3);
    }
}

#[tokio::test]
async fn lease_for_finds_an_accepted_replica_or_ends_the_search() {
    let platform = Platform::new();
    let replicas = vec![Identity::generate(), Identity::generate()];
    let server = Server::start(replicas.clone(), platform.service()).await;
    let channel = channel(&server, &platform);
    for wanted in [replicas[1].spki, replicas[0].spki, replicas[1].spki] {
        let choose = |peer: &TrustedPeer| match peer.spki() == wanted {
            true => Accept::Yes,
            false => Accept::No,
        };
        let lease = channel.lease_for(&choose).await.expect("a lease");
        assert_eq!(lease.peer().spki(), wanted);
    }
    let before = server.seen.handshakes();
    assert_eq!(
        channel.lease_for(&|_: &TrustedPeer| Accept::No).await.err(),
        Some(ChannelError::NoneAccepted)
    );
    // One attempt more than there are known peers.
    server.seen.expect_handshakes(before + 3).await;
    assert_eq!(server.seen.others(), 0);
}

#[tokio::test]
async fn an_expired_peer_is_verified_again() {
    let platform = Platform::new();
    let server = Server::start(vec![Identity::generate()], platform.service()).await;
    let channel = channel(&server, &platform);
    drop(channel.lease().await.expect("a lease"));
    assert_eq!(server.seen.reports(), 1);
    let expiry = channel.peers()[0].expires_at();
    platform.set_time(expiry);
    assert!(channel.peers().is_empty());
    // The same key, whose evidence is appraised at the new time.
    let lease = channel.lease().await.expect("a lease");
    assert!(lease.peer().expires_at() > expiry);
    assert_eq!(server.seen.reports(), 2);
    // The connection of the expired peer was not used for it.
    server.seen.expect_handshakes(2).await;
}

#[tokio::test]
async fn trust_expires_although_the_clock_was_set_back() {
    let platform = Platform::new();
    let server = Server::start(vec![Identity::generate()], platform.service()).await;
    let channel = channel(&server, &platform);
    let peer = channel.ensure_verified().await.expect("a peer");
    let start = platform.clock().now();
    let lifetime = peer.expires_at().since(start).expect("a lifetime");
    platform.set_time(UnixTime::from_secs(start.secs() - 86_400));
    platform.pass(lifetime - Duration::from_secs(1));
    assert_eq!(channel.peers().len(), 1);
    platform.pass(Duration::from_secs(1));
    assert!(channel.peers().is_empty());
}

#[tokio::test]
async fn renewal_fetches_a_report_on_a_pooled_connection_and_replaces_the_peer() {
    let platform = Platform::new();
    let server = Server::start(vec![Identity::generate()], platform.service()).await;
    let channel = channel(&server, &platform);
    let before = channel.ensure_verified().await.expect("a peer");
    let again = channel.ensure_verified().await.expect("a peer");
    assert!(Arc::ptr_eq(&before, &again));
    assert_eq!(server.seen.reports(), 1);
    let after = channel.renew().await.expect("a renewed peer");
    assert!(!Arc::ptr_eq(&before, &after));
    assert_eq!(server.seen.reports(), 2);
    server.seen.expect_handshakes(1).await;
    let lease = channel.lease().await.expect("a lease");
    assert!(Arc::ptr_eq(lease.peer(), &after));
}

#[tokio::test]
async fn a_rejected_renewal_ends_the_trust_and_an_unreachable_peer_does_not() {
    let platform = Platform::new();
    let count = Arc::new(AtomicUsize::new(0));
    let inner = platform.service();
    let answers: Answers =
        Arc::new(
            move |request, identity| match count.fetch_add(1, Ordering::SeqCst) {
                1 => Box::pin(async { respond(500, "") }),
                2 => Box::pin(async { respond(200, "{}") }),
                _ => inner(request, identity),
            },
        );
    let server = Server::start(vec![Identity::generate()], answers).await;
    let channel = channel(&server, &platform);
    let peer = channel.ensure_verified().await.expect("a peer");
    assert_eq!(
        channel.renew().await.err(),
        Some(ChannelError::ReportStatus(500))
    );
    assert!(Arc::ptr_eq(&peer, &channel.peers()[0]));
    assert!(matches!(
        channel.renew().await.err(),
        Some(ChannelError::Rejected(_))
    ));
    assert!(channel.peers().is_empty());
    assert!(matches!(
        channel.lease().await.err(),
        Some(ChannelError::Rejected(_))
    ));
    assert_eq!(server.seen.others(), 0);
}

#[tokio::test]
async fn a_new_key_is_verified_before_anything_is_sent_to_it() {
    let platform = Platform::new();
    let server = Server::start(vec![Identity::generate()], platform.service()).await;
    let channel = channel(&server, &platform);
    let lease = channel.lease().await.expect("a lease");
    text(lease.send(get("/hello")).await.expect("a response")).await;
    let next = Identity::generate();
    server.present(vec![next.clone()]);
    server.cut().await;
    eventually("the end of the old connection", || server.seen.open() == 0).await;
    // Right after the cut the pool may not have noticed that its connection is closed: that is safe to retry.
    let lease = match channel.lease().await {
        Ok(lease) => lease,
        Err(error) => panic!("{error:?}"),
    };
    let response = match lease.send(get("/hello")).await {
        Ok(response) => response,
        Err(attest_channel::SendError::NotSent(_)) => {
            let lease = channel.lease().await.expect("a lease");
            lease.send(get("/hello")).await.expect("a response")
        }
        Err(error) => panic!("{error:?}"),
    };
    assert_eq!(text(response).await, "hello");
    assert_eq!(
        server.seen.requests(),
        [
            "GET /v1/aci/attestation",
            "GET /hello",
            "GET /v1/aci/attestation",
            "GET /hello"
        ]
    );
    assert!(channel.peers().iter().any(|peer| peer.spki() == next.spki));
}

#[tokio::test]
async fn a_report_timeout_reaches_every_waiting_request() {
    let platform = Platform::new();
    let answers: Answers = Arc::new(|_, _| Box::pin(std::future::pending()));
    let server = Server::start(vec![Identity::generate()], answers).await;
    let short_timeouts = Timeouts {
        report: Duration::from_millis(300),
        ..timeouts()
    };
    let channel = AttestedChannel::new(
        server.origin(),
        platform.trust(),
        short_timeouts,
        platform.clock(),
    );
    let leases = (0..5).map(|_| {
        let channel = Arc::clone(&channel);
        tokio::spawn(async move { channel.lease().await.err() })
    });
    for refused in leases.collect::<Vec<_>>() {
        assert_eq!(
            refused.await.expect("no panic"),
            Some(ChannelError::Timeout {
                stage: Stage::Report
            })
        );
    }
}

#[tokio::test]
async fn rejects_a_relay_that_presents_its_own_key() {
    let platform = Platform::new();
    let genuine = Server::start(vec![Identity::generate()], platform.service()).await;
    let relay = Server::start(vec![Identity::generate()], relay_to(&genuine)).await;
    let channel = channel(&relay, &platform);
    assert_eq!(failures(channel.lease().await), ["channel.spki"]);
    assert_eq!(relay.seen.requests(), ["GET /v1/aci/attestation"]);
    assert_eq!(genuine.seen.requests(), ["GET /v1/aci/attestation"]);
}

#[tokio::test]
async fn refuses_a_relay_that_presents_the_genuine_certificate_without_its_key() {
    let platform = Platform::new();
    let genuine = Identity::generate();
    let thief = Server::start(
        vec![genuine.presented_without_its_key()],
        platform.service(),
    )
    .await;
    let refused = channel(&thief, &platform).lease().await.err();
    assert!(
        matches!(&refused, Some(ChannelError::Tls(why)) if why.contains("holds its certificate's key")),
        "{refused:?}"
    );
    assert_eq!(thief.seen.requests(), Vec::<String>::new());
}

#[tokio::test]
async fn rejects_a_report_for_an_earlier_nonce() {
    let platform = Platform::new();
    let replaying: Answers = {
        let platform = platform.clone();
        let old = attest_core::Nonce::from_bytes([9; 32]);
        Arc::new(move |_, identity| {
            let report = platform.report(old, identity.spki);
            Box::pin(async move { respond(200, report) })
        })
    };
    let server = Server::start(vec![Identity::generate()], replaying).await;
    let failed = failures(channel(&server, &platform).lease().await);
    assert!(failed.contains(&"freshness.nonce"), "{failed:?}");
    assert!(!failed.contains(&"channel.spki"), "{failed:?}");
}

#[tokio::test]
async fn rejects_a_peer_with_other_measurements() {
    let wanted = Platform::new();
    let other = Platform::running("impostor");
    let server = Server::start(vec![Identity::generate()], other.service()).await;
    let failed = failures(channel(&server, &wanted).lease().await);
    assert!(failed.contains(&"tdx.measurement.mrtd"), "{failed:?}");
    assert!(!failed.contains(&"channel.spki"), "{failed:?}");
    assert_eq!(server.seen.others(), 0);
}

#[tokio::test]
async fn a_connection_verified_without_a_channel_sends_one_request() {
    let platform = Platform::new();
    let server = Server::start(vec![Identity::generate()], platform.service()).await;
    let observed = Dialer::new(timeouts())
        .dial(&server.origin())
        .await
        .expect("a connection");
    let nonce = attest_core::Nonce::from_bytes([3; 32]);
    let now = platform.clock().now();
    let attested = observed
        .verify(&platform.trust(), nonce, now)
        .await
        .expect("a trusted peer");
    assert_eq!(attested.peer().verdict().exit_code(), 0);
    let response = attested.into_lease().send(get("/hello")).await;
    assert_eq!(text(response.expect("a response")).await, "hello");
    eventually("it is closed after that", || server.seen.open() == 0).await;
}

/// Which checks a rejection failed.
fn failures(outcome: Result<Lease, ChannelError>) -> Vec<&'static str> {
    match outcome {
        Err(ChannelError::Rejected(verdict)) => {
            verdict.failures().map(|(id, _)| id.as_str()).collect()
        }
        Err(other) => panic!("not a rejection: {other:?}"),
        Ok(_) => panic!("accepted"),
    }
}

/// Forwards every request to `genuine` over a separate connection, and returns the answer.
fn relay_to(genuine: &Server) -> Answers {
    let origin = genuine.origin();
    Arc::new(move |request, _| {
        let origin = origin.clone();
        Box::pin(async move {
            let mut behind = Dialer::new(timeouts())
                .dial(&origin)
                .await
                .expect("the genuine service");
            let report = behind.fetch_report(&nonce_of(&request)).await;
            respond(200, report.expect("its report"))
        })
    })
}

#[tokio::test]
async fn the_keys_trusted_at_one_time_are_bounded() {
    let platform = Platform::new();
    let replicas = (0..4).map(|_| Identity::generate()).collect();
    let server = Server::start(replicas, platform.service()).await;
    let limits = Limits {
        trusted_keys: 2,
        ..Limits::default()
    };
    let channel = AttestedChannel::with_limits(
        server.origin(),
        platform.trust(),
        timeouts(),
        limits,
        platform.clock(),
    );
    let mut leases = Vec::new();
    for _ in 0..4 {
        leases.push(channel.lease().await.expect("a lease"));
        assert!(channel.peers().len() <= 2);
    }
}
