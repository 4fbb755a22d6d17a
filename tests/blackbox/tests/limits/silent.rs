//! Thousands of connections that never send a byte.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use blackbox::asking::{CHAT, TIMEOUT, chat, eventually};
use blackbox::world::{Alone, MODEL};
use testkit::client::Connection;
use testkit::service::free_address;

/// Silent connections to one address, opened again as they are closed. They end with this.
struct Flood(#[expect(dead_code, reason = "the tasks end when it is dropped")] JoinSet<()>);

impl Flood {
    /// `connections` in all, from these loopback addresses in turn.
    async fn start(target: SocketAddr, connections: usize, from: &[Ipv4Addr]) -> Self {
        let mut tasks = JoinSet::new();
        for number in 0..connections {
            let from = from[number % from.len()];
            tasks.spawn(async move {
                loop {
                    if let Ok(mut connection) = silent(target, from).await {
                        let _ = connection.read(&mut [0; 64]).await;
                    }
                    sleep(Duration::from_millis(5)).await;
                }
            });
        }
        // They come in the order of their tasks, more or less: this one after most.
        sleep(Duration::from_millis(500)).await;
        Self(tasks)
    }
}

async fn silent(target: SocketAddr, from: Ipv4Addr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    socket.connect(target).await
}

/// A chat on a separate connection.
async fn chats(world: &Alone) -> Result<()> {
    let mut connection = world.enclave.connect().await?;
    let answer = connection
        .post(&world.key, CHAT, &chat(MODEL, "hello"))
        .await?;
    anyhow::ensure!(answer.status == 200, "{}", answer.status);
    answer.bytes().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn chats_are_served_while_silent_connections_use_every_slot() -> Result<()> {
    let health = free_address()?;
    let more = format!(
        "[limits]\nmax_unauthenticated = 50\n[health]\nlisten = \"{health}\"\n[timeouts]\nclient_header = \"10m\""
    );
    let world = Alone::new("silent", |config, _| config.and(&more)).await?;
    let mut before = world.enclave.connect().await?;
    let first = before.post(&world.key, CHAT, &chat(MODEL, "hello")).await?;
    assert_eq!(first.status, 200);
    first.bytes().await?;

    let one = [Ipv4Addr::LOCALHOST];
    let several: Vec<Ipv4Addr> = (2..12).map(|last| Ipv4Addr::new(127, 0, 0, last)).collect();
    for from in [&one[..], &several] {
        let flood = Flood::start(world.enclave.address(), 300, from).await;
        for number in 0..10 {
            timeout(TIMEOUT, chats(&world))
                .await
                .with_context(|| format!("chat {number} among connections from {from:?}"))??;
            let mut probe = Connection::plain(health).await?;
            assert_eq!(probe.get("/healthz").await?.status, 200);
        }
        drop(flood);
    }
    // The one that had authenticated a request was not taken.
    let last = before
        .post(&world.key, CHAT, &chat(MODEL, "still here"))
        .await?;
    assert_eq!(last.status, 200);
    let evicted = world.enclave.log().matches("connections_evicted").count();
    assert!((1..4).contains(&evicted), "{evicted} lines about it");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_health_listener_answers_only_health_checks() -> Result<()> {
    let health = free_address()?;
    let more = format!("[health]\nlisten = \"{health}\"");
    let world = Alone::new("health", |config, _| config.and(&more)).await?;
    for (path, status) in [
        ("/healthz", 200),
        ("/readyz", 200),
        ("/v1/models", 404),
        ("/metrics", 404),
        ("/v1/aci/attestation", 404),
    ] {
        let mut connection = Connection::plain(health).await?;
        let answer = connection.get_as(&world.key, path).await?;
        assert_eq!(answer.status, status, "{path}");
    }
    // Silent connections do not take it away either.
    let _flood = Flood::start(health, 100, &[Ipv4Addr::LOCALHOST]).await;
    for _ in 0..5 {
        let answer = async {
            let mut probe = Connection::plain(health).await?;
            probe.get("/readyz").await
        };
        assert_eq!(timeout(TIMEOUT, answer).await??.status, 200);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_descriptors_for_them_silent_connections_make_room_and_the_log_stays_short()
-> Result<()> {
    let world = Alone::new("descriptors", |config, _| config).await?;
    chats(&world).await?;
    let id = world.enclave.id().context("it runs")?;
    let open = std::fs::read_dir(format!("/proc/{id}/fd"))?.count();
    let limited = std::process::Command::new("prlimit")
        .args(["--pid", &id.to_string()])
        .arg(format!("--nofile={0}:{0}", open + 20))
        .status();
    if !limited.is_ok_and(|status| status.success()) {
        println!("skipped: there is no prlimit here");
        return Ok(());
    }
    let flood = Flood::start(world.enclave.address(), 100, &[Ipv4Addr::LOCALHOST]).await;
    eventually("the process is out of descriptors", async || {
        world.enclave.log().contains("accept_failed")
    })
    .await;
    for number in 0..3 {
        // Each may have to come again: its upstream connection needs a descriptor, too.
        eventually(&format!("chat {number} is served"), async || {
            timeout(TIMEOUT, chats(&world))
                .await
                .is_ok_and(|chat| chat.is_ok())
        })
        .await;
    }
    let log = world.enclave.log();
    let failed = log.matches("accept_failed").count();
    assert!((1..4).contains(&failed), "{failed} lines about it");
    drop(flood);
    Ok(())
}
