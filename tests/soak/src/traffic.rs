//! Clients of every kind, and the outcome of each request.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use serde_json::json;
use tokio::time::{sleep, timeout};

use crate::stage::{Door, Stage, TENANTS};
use testkit::client::{Connection, TlsClient, post, send_in_any_epoch};

const CHAT: &str = "/v1/chat/completions";
/// Connections at a time. Every third of the run has each of them, so that thirds can be compared.
const CONNECTIONS: [usize; 4] = [1, 8, 32, 128];
const THIRDS: u32 = 3;
/// Requests a second of all connections together: less than the machine could do, so that its load is no subject here.
const RATE: u32 = 150;
const TIMEOUT: Duration = Duration::from_secs(60);
/// More than these are not kept in words.
const SHOWN: usize = 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Whole,
    Streamed,
    Aborted,
    UnknownModel,
    NotJson,
    UnknownKey,
    EngineFails,
    EngineRefuses,
}

/// Of twenty requests.
const MIX: [(Kind, u32); 8] = [
    (Kind::Whole, 8),
    (Kind::Streamed, 5),
    (Kind::Aborted, 1),
    (Kind::UnknownModel, 2),
    (Kind::NotJson, 1),
    (Kind::UnknownKey, 1),
    (Kind::EngineFails, 1),
    (Kind::EngineRefuses, 1),
];

impl Kind {
    fn chosen(number: u32) -> Self {
        let mut left = number % MIX.iter().map(|(_, weight)| weight).sum::<u32>();
        for (kind, weight) in MIX {
            match left.checked_sub(weight) {
                Some(rest) => left = rest,
                None => return kind,
            }
        }
        Kind::Whole
    }

    fn name(self) -> &'static str {
        match self {
            Kind::Whole => "whole",
            Kind::Streamed => "streamed",
            Kind::Aborted => "aborted",
            Kind::UnknownModel => "unknown model",
            Kind::NotJson => "not JSON",
            Kind::UnknownKey => "unknown key",
            Kind::EngineFails => "engine fails",
            Kind::EngineRefuses => "engine refuses",
        }
    }

    fn statuses(self) -> &'static [u16] {
        match self {
            Kind::Whole | Kind::Streamed | Kind::Aborted => &[200],
            Kind::UnknownModel => &[404],
            Kind::NotJson | Kind::EngineRefuses => &[400],
            Kind::UnknownKey => &[401],
            Kind::EngineFails => &[500, 502, 503],
        }
    }

    fn body(self) -> Bytes {
        let model = match self {
            Kind::Aborted => "slow-stream",
            Kind::UnknownModel => "no-such-model",
            Kind::EngineFails => "fail-500",
            Kind::EngineRefuses => "fail-400",
            _ => "chat",
        };
        let content = "words for the engine to repeat ".repeat(20);
        let mut body = json!({"model": model, "messages": [{"role": "user", "content": content}]});
        if matches!(self, Kind::Streamed | Kind::Aborted) {
            body["stream"] = json!(true);
        }
        let mut text = body.to_string();
        if self == Kind::NotJson {
            text.truncate(text.len() - 3);
        }
        Bytes::from(text)
    }
}

/// An answer that carried a receipt's id.
#[derive(Clone, Debug)]
pub struct Answered {
    pub gateway: usize,
    pub tenant: usize,
    pub receipt: String,
}

#[derive(Default)]
struct Records {
    counts: BTreeMap<Kind, u64>,
    answered: Vec<Answered>,
    reloads: u64,
    faults: u64,
    shown: Vec<String>,
}

/// Every request, and what became of it.
#[derive(Clone, Default)]
pub struct Traffic(Arc<Mutex<Records>>);

impl Traffic {
    fn records(&self) -> std::sync::MutexGuard<'_, Records> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drives every door for `length`.
    pub async fn drive(&self, stage: &Stage, length: Duration) {
        let wave = length / (THIRDS * CONNECTIONS.len() as u32);
        for third in 0..THIRDS {
            for connections in CONNECTIONS {
                let ends = Instant::now() + wave;
                let clients = (0..connections).map(|number| {
                    let door = &stage.doors[number % stage.doors.len()];
                    self.client(door, number as u32 + third * 1000, connections as u32, ends)
                });
                let clients = futures_util::future::join_all(clients);
                tokio::join!(clients, self.reload_after(stage, wave / 2));
                eprintln!("soak: {} requests", self.total());
            }
        }
    }

    /// Begins a new epoch of every gateway while clients are in the middle of their requests.
    async fn reload_after(&self, stage: &Stage, delay: Duration) {
        sleep(delay).await;
        for gateway in &stage.gateways {
            let reloaded = gateway.service.reload().await;
            let mut records = self.records();
            records.reloads += 1;
            if let Err(error) = reloaded {
                records.faults += 1;
                records
                    .shown
                    .push(format!("reload of {}: {error:#}", gateway.name));
            }
        }
    }

    /// One connection after another to a door, until `ends`.
    async fn client(&self, door: &Door, seed: u32, clients: u32, ends: Instant) {
        let pause = Duration::from_secs(1) * clients / RATE;
        let mut numbers = Numbers::new(seed);
        let mut open = None;
        while Instant::now() < ends {
            let began = Instant::now();
            let kind = Kind::chosen(numbers.next());
            let tenant = (numbers.next() % TENANTS.len() as u32) as usize;
            let exchange = exchange(&mut open, door, kind, tenant);
            let result = match timeout(TIMEOUT, exchange).await {
                Ok(result) => result,
                Err(_) => Err(anyhow::anyhow!("no answer within {} s", TIMEOUT.as_secs())),
            };
            if result.is_err() {
                open = None;
            }
            self.record(door, kind, tenant, result);
            sleep(pause.saturating_sub(began.elapsed())).await;
        }
    }

    fn record(&self, door: &Door, kind: Kind, tenant: usize, result: Result<Option<String>>) {
        let mut records = self.records();
        *records.counts.entry(kind).or_default() += 1;
        match result {
            Ok(Some(receipt)) => records.answered.push(Answered {
                gateway: door.gateway,
                tenant,
                receipt,
            }),
            Ok(None) => {}
            Err(error) => {
                records.faults += 1;
                if records.shown.len() < SHOWN {
                    let words = format!("{} through {}: {error:#}", kind.name(), door.name);
                    records.shown.push(words);
                }
            }
        }
    }

    pub fn total(&self) -> u64 {
        self.records().counts.values().sum()
    }

    pub fn answered(&self) -> Vec<Answered> {
        self.records().answered.clone()
    }

    pub fn summary(&self) -> String {
        let records = self.records();
        let counts = records.counts.iter();
        let words: Vec<_> = counts
            .map(|(kind, count)| format!("{count} {}", kind.name()))
            .collect();
        format!("{}, {} reloads", words.join(", "), records.reloads)
    }

    pub fn faults(&self) -> Vec<String> {
        let records = self.records();
        let mut faults = records.shown.clone();
        if records.faults > faults.len() as u64 {
            faults.push(format!("and {} more", records.faults - faults.len() as u64));
        }
        faults
    }
}

async fn connect(door: &Door) -> Result<Connection> {
    match door.tls {
        true => TlsClient::observing().connect(door.address).await,
        false => Connection::plain(door.address).await,
    }
}

/// One request and its answer; the id of its receipt, if it carried one.
async fn exchange(
    open: &mut Option<Connection>,
    door: &Door,
    kind: Kind,
    tenant: usize,
) -> Result<Option<String>> {
    let key = match kind {
        Kind::UnknownKey => "sk-unknown",
        _ => &door.keys[tenant],
    };
    let mut answer =
        send_in_any_epoch(open, || connect(door), || (post(CHAT, key), kind.body())).await?;
    let status = answer.status.as_u16();
    let receipt = answer.header("x-receipt-id").map(str::to_owned);
    if kind == Kind::Aborted && status == 200 {
        answer.chunk().await?.context("an aborted stream begins")?;
        // Dropping the connection is what a client does that leaves.
        *open = None;
        return Ok(receipt);
    }
    let body = answer.bytes().await.with_context(|| status.to_string())?;
    let text = String::from_utf8_lossy(&body);
    ensure!(
        kind.statuses().contains(&status),
        "{status}: {}",
        text.get(..200).unwrap_or(&text)
    );
    if kind == Kind::Streamed {
        ensure!(text.trim_end().ends_with("[DONE]"), "the stream has no end");
    }
    if matches!(kind, Kind::Whole | Kind::Streamed) {
        ensure!(receipt.is_some(), "the answer names no receipt");
    }
    Ok(receipt)
}

/// The same numbers for the same seed.
struct Numbers(u32);

impl Numbers {
    fn new(seed: u32) -> Self {
        Self(seed.wrapping_mul(2_654_435_761) | 1)
    }

    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0 >> 8
    }
}
