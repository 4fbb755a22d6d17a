//! A flood of report requests, and the clients that are still served during it.

use std::net::Ipv4Addr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::time::timeout;

use attest_core::Nonce;
use blackbox::asking::{CHAT, TIMEOUT, chat, eventually};
use blackbox::flood::{Flood, Shape};
use blackbox::identity;
use blackbox::world::{Alone, MODEL, appraise};
use testkit::client::{Connection, TlsClient};

/// More connections than any share, from ten addresses.
const TEN_ADDRESSES: Shape = Shape {
    connections: 400,
    addresses: 10,
    pause: Duration::from_millis(50),
};

/// An enclave whose quotes take a while, with a short queue so that few connections fill it.
async fn slow_enclave(name: &str) -> Result<Alone> {
    let mut slow = identity("enclave");
    slow.quote_delay = Duration::from_millis(100);
    Alone::as_identity(name, slow, |config, _| {
        config.and("[limits]\nattest_queue = 24\nattest_queue_per_address = 4")
    })
    .await
}

/// Waits until the flood is turned away, so that there is no free place left to find by chance.
async fn is_turned_away(flood: &Flood) {
    eventually("the queue is full", async || {
        flood.seen().refusals.load(Ordering::Relaxed) > 100
    })
    .await;
}

async fn report_status(connection: &mut Connection, key: Option<&str>) -> Result<u16> {
    let path = format!("/v1/aci/attestation?nonce={}", "cd".repeat(32));
    let answer = match key {
        Some(key) => connection.get_as(key, &path).await?,
        None => connection.get(&path).await?,
    };
    let status = answer.status.as_u16();
    answer.bytes().await?;
    Ok(status)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_from_ten_addresses_does_not_block_a_verifier_at_another_address() -> Result<()> {
    let world = slow_enclave("flood-ten").await?;
    let flood = Flood::start(world.enclave.address(), TEN_ADDRESSES);
    is_turned_away(&flood).await;
    for number in 0..6u8 {
        let mut connection = world.enclave.connect().await?;
        let nonce = Nonce::from_bytes([number; 32]);
        let appraisal = timeout(TIMEOUT, appraise(&mut connection, "enclave", nonce)).await??;
        assert!(appraisal.trusted().is_ok(), "verification {number}");
    }
    assert!(flood.seen().reports.load(Ordering::Relaxed) > 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn holders_of_a_key_and_addresses_where_one_was_used_pass_a_flood_from_their_own_network()
-> Result<()> {
    let world = slow_enclave("flood-own").await?;
    let flood = Flood::start(world.enclave.address(), TEN_ADDRESSES);
    is_turned_away(&flood).await;
    // The first of the flood's own addresses, whose share is always used up.
    let crowded = Ipv4Addr::new(127, 0, 0, 2);
    let client = TlsClient::observing();
    let mut connection = client
        .connect_from(crowded, world.enclave.address())
        .await?;
    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(timeout(TIMEOUT, report_status(&mut connection, Some(&world.key))).await??);
    }
    assert_eq!(statuses, [200; 6], "with a key");

    // An address that is not in the flood: from now on it is known by the key that was used there.
    let known = Ipv4Addr::new(127, 0, 0, 99);
    let mut connection = client.connect_from(known, world.enclave.address()).await?;
    let question = chat(MODEL, "I am a customer");
    let answer = connection.post(&world.key, CHAT, &question).await?;
    ensure!(answer.status == 200, "the chat was answered");
    answer.bytes().await?;
    for _ in 0..3 {
        let status = timeout(TIMEOUT, report_status(&mut connection, None)).await??;
        assert_eq!(status, 200, "without a key, from a known address");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_key_gets_no_priority_and_refusals_carry_retry_after() -> Result<()> {
    let world = slow_enclave("flood-refused").await?;
    let flood = Flood::start(world.enclave.address(), TEN_ADDRESSES);
    is_turned_away(&flood).await;
    let crowded = Ipv4Addr::new(127, 0, 0, 2);
    let path = format!("/v1/aci/attestation?nonce={}", "ef".repeat(32));
    let mut refused = 0;
    for _ in 0..20 {
        let mut connection = TlsClient::observing()
            .connect_from(crowded, world.enclave.address())
            .await?;
        let forged = format!("sk-sealgate-000000000000-{}", "A".repeat(43));
        let answer = timeout(TIMEOUT, connection.get_as(&forged, &path)).await??;
        if answer.status == 429 {
            let retry_after = answer.header("retry-after").context("no Retry-After")?;
            assert!(
                (1..=60).contains(&retry_after.parse::<u64>()?),
                "{retry_after}"
            );
            refused += 1;
        }
        answer.bytes().await?;
    }
    assert!(refused > 0, "a forged key passed the flood each time");
    Ok(())
}
