//! The service, killed repeatedly under load: everything that it has sent is still there after the restart.
//!
//! Given away is: an answer read to its end, whose sealed record must then be whole and whose row must be there; a proof of
//! a receipt, which must still be provable, at its place; a head, of whose size there may be no other.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use tokio::time::sleep;

use crate::content::{content, open, tenant};
use crate::operated::{CANARY, Operated};
use attest_core::log::{ReceiptProof, SignedHead};
use blackbox::asking::{CHAT, chat, eventually, streamed};
use blackbox::world::MODEL;
use testkit::client::TlsClient;
use testkit::scratch::ScratchDir;

const KILLS: usize = 10;
const CLIENTS: usize = 4;
/// The longest that the service lives after it is ready.
const MAX_LIFE_MILLIS: u32 = 1200;

/// What the service gave away.
#[derive(Default)]
struct Given {
    /// By receipt id: the bytes of the answer.
    answers: BTreeMap<String, Vec<u8>>,
    /// By receipt id: the index of the batch that it is in.
    proofs: BTreeMap<String, u64>,
    /// By size: the root.
    heads: BTreeMap<u64, String>,
}

impl Given {
    fn head(&mut self, note: &[u8]) -> Result<()> {
        let head = SignedHead::parse(note)?;
        let (size, root) = (head.claimed().size, head.claimed().root.to_string());
        let earlier = self.heads.insert(size, root.clone());
        ensure!(
            earlier.as_ref().is_none_or(|earlier| *earlier == root),
            "two heads of {size} entries: {earlier:?} and {root}"
        );
        Ok(())
    }
}

/// Sends requests until the service has ended. An aborted answer does not count as sent.
async fn ask_until_killed(
    address: SocketAddr,
    key: String,
    given: Arc<Mutex<Given>>,
) -> Result<()> {
    let mut latest: Option<String> = None;
    for turn in 0.. {
        let request = match turn % 2 {
            0 => chat(MODEL, CANARY),
            _ => streamed(MODEL, CANARY),
        };
        let Ok(mut connection) = TlsClient::observing().connect(address).await else {
            return Ok(());
        };
        let Ok(answer) = connection.post(&key, CHAT, &request).await else {
            return Ok(());
        };
        ensure!(answer.status == 200, "{}", answer.status);
        let id = answer.header("x-receipt-id").context("an id")?.to_owned();
        let Ok(body) = answer.bytes().await else {
            return Ok(());
        };
        given
            .lock()
            .expect("a lock")
            .answers
            .insert(id.clone(), body);
        if let Some(earlier) = &latest {
            let path = format!("/v1/aci/receipts/{earlier}/proof");
            let Ok(answer) = connection.get_as(&key, &path).await else {
                return Ok(());
            };
            if answer.status == 200 {
                let Ok(proof) = answer.bytes().await else {
                    return Ok(());
                };
                let index = ReceiptProof::parse(&proof)?.index();
                let earlier = earlier.clone();
                given.lock().expect("a lock").proofs.insert(earlier, index);
                latest = None;
            }
        }
        let Ok(answer) = connection.get("/v1/aci/log/checkpoint").await else {
            return Ok(());
        };
        if let Ok(note) = answer.bytes().await {
            given.lock().expect("a lock").head(&note)?;
        }
        latest.get_or_insert(id);
    }
    Ok(())
}

async fn hold_to(world: &Operated, given: &Given, identity: Option<&PathBuf>) -> Result<()> {
    let mut ledger = world.ledger().await?;
    for (id, body) in &given.answers {
        let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM usage WHERE receipt_id = ?")
            .bind(id)
            .fetch_one(&mut ledger)
            .await?;
        assert_eq!(rows, 1, "rows of {id}");
        for part in ["request", "response"] {
            let file = world.state().join(format!("records/{id}.{part}.age"));
            ensure!(file.is_file(), "no sealed {part} of {id}");
            let Some(identity) = identity else { continue };
            let opened = open(identity, &file)?;
            ensure!(part == "request" || opened == *body, "{part} of {id}");
        }
    }
    let mut connection = world.service.connect().await?;
    for (id, index) in &given.proofs {
        let path = format!("/v1/aci/receipts/{id}/proof");
        let answer = connection.get_as(&world.key, &path).await?;
        ensure!(
            answer.status == 200,
            "{id} was proven once: {}",
            answer.status
        );
        let proof = ReceiptProof::parse(&answer.bytes().await?)?;
        assert_eq!(proof.index(), *index, "{id} has another place");
    }
    Ok(())
}

fn some_life() -> Duration {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let nanos = now.map_or(0, |now| now.subsec_nanos());
    Duration::from_millis((nanos / 1000 % MAX_LIFE_MILLIS).into())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_under_load_loses_no_record_proof_or_head_that_was_sent() -> Result<()> {
    let scratch = ScratchDir::new("killed-tenant")?;
    let keys = tenant(scratch.path())?;
    let unused = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";
    let (identity, recipient) = match &keys {
        Some((identity, recipient)) => (Some(identity), recipient.as_str()),
        None => (None, unused),
    };
    let mut world = Operated::new("killed", &content(recipient, "")).await?;
    let given = Arc::<Mutex<Given>>::default();
    for turn in 0..KILLS {
        let before = given.lock().expect("a lock").answers.len();
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let (address, key) = (world.service.address(), world.key.clone());
                tokio::spawn(ask_until_killed(address, key, given.clone()))
            })
            .collect();
        sleep(some_life()).await;
        if turn % 2 == 0 {
            eventually("it answers before it is killed", async || {
                given.lock().expect("a lock").answers.len() > before
            })
            .await;
        }
        world.service.end("KILL").await?;
        for client in clients {
            client.await??;
        }
        world.service.start_again().await?;
    }
    let given = std::mem::take(&mut *given.lock().expect("a lock"));
    hold_to(&world, &given, identity).await?;
    println!(
        "{KILLS} kills: {} answers, {} proofs and {} heads given away, all kept",
        given.answers.len(),
        given.proofs.len(),
        given.heads.len()
    );
    Ok(())
}
