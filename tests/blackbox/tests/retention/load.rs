//! Clients that send requests in a loop, each over a connection on which it has read the policy first.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use http::StatusCode;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::operated::{CANARY, Operated};
use attest_core::retention::PublishedPolicy;
use attest_core::{Event, Receipt, Sha256Digest};
use blackbox::asking::{CHAT, eventually, streamed};
use blackbox::world::MODEL;
use testkit::client::{Connection, TlsClient, get, send_in_any_epoch};

const CLIENTS: usize = 8;
/// Between two requests of one client: the other parties want to be served, too.
const BREATH: Duration = Duration::from_millis(50);

/// An answer, the policy that its client was shown on the same connection, and what the receipt says.
pub struct Served {
    pub id: String,
    pub attested: Sha256Digest,
    pub applied: Sha256Digest,
    pub mode: String,
}

#[derive(Default)]
struct Shared {
    over: AtomicBool,
    answers: AtomicUsize,
}

pub struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<Result<Vec<Served>>>>,
}

impl Load {
    pub fn begin(world: &Operated) -> Self {
        let shared = Arc::<Shared>::default();
        let client = |_| {
            let (address, key) = (world.service.address(), world.key.clone());
            tokio::spawn(ask_until_over(address, key, shared.clone()))
        };
        let clients = (0..CLIENTS).map(client).collect();
        Self { shared, clients }
    }

    /// Waits until so many more answers are there.
    pub async fn more(&self, answers: usize) {
        let wanted = self.shared.answers.load(Ordering::Acquire) + answers;
        eventually("the load goes on", async || {
            self.shared.answers.load(Ordering::Acquire) >= wanted
        })
        .await;
    }

    pub async fn end(self) -> Result<Vec<Served>> {
        self.shared.over.store(true, Ordering::Release);
        let mut all = Vec::new();
        for client in self.clients {
            all.extend(client.await??);
        }
        Ok(all)
    }
}

async fn ask_until_over(
    address: SocketAddr,
    key: String,
    shared: Arc<Shared>,
) -> Result<Vec<Served>> {
    let mut served = Vec::new();
    while !shared.over.load(Ordering::Acquire) {
        sleep(BREATH).await;
        let mut connection = connect(address).await?;
        // A request on a connection whose epoch has ended is refused unread with 421, or meets a closed
        // connection: that is no answer.
        let Some((attested, id)) = ask(&mut connection, &key).await? else {
            continue;
        };
        let found = Receipt::parse(&fetch(address, &key, &id).await?)?;
        let applied = found.body().events.iter().find_map(|event| match event {
            Event::PolicyApplied {
                retention, mode, ..
            } => Some((*retention, mode.clone())),
            _ => None,
        });
        let (applied, mode) = applied.context("no policy.applied")?;
        served.push(Served {
            id,
            attested,
            applied,
            mode,
        });
        shared.answers.fetch_add(1, Ordering::AcqRel);
    }
    Ok(served)
}

/// The policy shown, and the receipt's id; nothing where the connection's epoch ended before there was an answer.
async fn ask(connection: &mut Connection, key: &str) -> Result<Option<(Sha256Digest, String)>> {
    let Ok(report) = connection.get("/v1/aci/attestation").await else {
        return Ok(None);
    };
    if report.is_from_ended_epoch() {
        return Ok(None);
    }
    let report: Value = report.json().await?;
    let text = &report["attestation"]["evidence"]["documents"]["retention"];
    let shown = PublishedPolicy::parse(text.as_str().context("a policy")?)?;
    let Ok(answer) = connection.post(key, CHAT, &streamed(MODEL, CANARY)).await else {
        return Ok(None);
    };
    if answer.is_from_ended_epoch() {
        return Ok(None);
    }
    ensure!(answer.status == 200, "{}", answer.status);
    let id = answer.header("x-receipt-id").context("an id")?.to_owned();
    answer
        .bytes()
        .await
        .context("an answer that was begun is finished")?;
    Ok(Some((shown.digest(), id)))
}

/// The receipt, once it is there, over another connection should an epoch end in between.
async fn fetch(address: SocketAddr, key: &str, id: &str) -> Result<Vec<u8>> {
    let path = format!("/v1/aci/receipts/{id}");
    let mut open = None;
    for _ in 0..400 {
        let request = || (get(&path, key), Bytes::new());
        let sent = send_in_any_epoch(&mut open, || connect(address), request);
        match sent.await {
            Ok(answer) if answer.status == StatusCode::OK => return answer.bytes().await,
            // Not there yet; or a new connection was closed before this client, on a busy machine, sent its request.
            Ok(_) | Err(_) => sleep(BREATH).await,
        }
    }
    bail!("no receipt {id}")
}

async fn connect(address: SocketAddr) -> Result<Connection> {
    TlsClient::observing().connect(address).await
}
