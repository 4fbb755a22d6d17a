//! A flood of report requests: many connections without a key, from several addresses, that ask
//! again whatever they are answered.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use tokio::task::JoinSet;
use tokio::time::sleep;

use testkit::client::{Connection, TlsClient};

#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub connections: usize,
    /// 127.0.0.2 and the following ones. 127.0.0.1 is left to everybody else.
    pub addresses: u8,
    /// After an answer other than a report.
    pub pause: Duration,
}

/// What the flood got so far.
#[derive(Default)]
pub struct Seen {
    pub connected: AtomicU64,
    pub reports: AtomicU64,
    pub refusals: AtomicU64,
    nonces: AtomicU64,
}

/// Ends when dropped.
pub struct Flood {
    seen: Arc<Seen>,
    _tasks: JoinSet<()>,
}

impl Flood {
    pub fn start(target: SocketAddr, shape: Shape) -> Self {
        let seen = Arc::new(Seen::default());
        let mut tasks = JoinSet::new();
        for number in 0..shape.connections {
            let last = 2 + u8::try_from(number % usize::from(shape.addresses)).unwrap_or(0);
            let source = Ipv4Addr::new(127, 0, 0, last);
            let seen = Arc::clone(&seen);
            tasks.spawn(async move {
                loop {
                    let _ = ask_until_closed(source, target, shape.pause, &seen).await;
                    sleep(Duration::from_millis(200)).await;
                }
            });
        }
        Flood {
            seen,
            _tasks: tasks,
        }
    }

    pub fn seen(&self) -> &Seen {
        &self.seen
    }
}

async fn ask_until_closed(
    source: Ipv4Addr,
    target: SocketAddr,
    pause: Duration,
    seen: &Seen,
) -> Result<()> {
    let mut connection = TlsClient::observing().connect_from(source, target).await?;
    seen.connected.fetch_add(1, Ordering::Relaxed);
    loop {
        match ask(&mut connection, seen).await? {
            200 => seen.reports.fetch_add(1, Ordering::Relaxed),
            _ => seen.refusals.fetch_add(1, Ordering::Relaxed),
        };
        sleep(pause).await;
    }
}

async fn ask(connection: &mut Connection, seen: &Seen) -> Result<u16> {
    let number = seen.nonces.fetch_add(1, Ordering::Relaxed);
    let path = format!("/v1/aci/attestation?nonce={number:064x}");
    let answer = connection.get(&path).await?;
    let status = answer.status.as_u16();
    answer.bytes().await?;
    Ok(status)
}
