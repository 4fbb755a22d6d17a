//! `make bench-flood`: does a flood of report requests lock a verifier out, or slow chats down?
//!
//! An enclave whose quotes take a while serves chats with a key from one address. Then connections
//! without a key, from ten other addresses, ask for reports without end. Meanwhile `sealgate-verify
//! endpoint` verifies the enclave again and again from an address that is neither. The last line has
//! the figures; the exit code is 1 where a verification was refused or took more than two seconds, or
//! where the chats' 99th percentile more than doubled.

use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::time::{Instant, sleep, timeout};

use blackbox::asking::{CHAT, chat};
use blackbox::flood::{Flood, Shape};
use blackbox::identity;
use blackbox::world::{Alone, MODEL};
use testkit::client::{Connection, TlsClient};
use testkit::process::{run, sibling};

const SLOWEST_ACCEPTED: Duration = Duration::from_secs(2);
const MOST_SLOWDOWN: f64 = 2.0;
/// Where the chats come from: not the verifier's address, and not one of the flood's.
const CHATTING: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 200);

struct Settings {
    connections: usize,
    quote: Duration,
    seconds: u64,
}

/// `bench-flood [CONNECTIONS [QUOTE_MS [SECONDS]]]`
fn settings() -> Result<Settings> {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<u64>());
    let mut next = |default| numbers.next().unwrap_or(Ok(default));
    Ok(Settings {
        connections: usize::try_from(next(1000)?)?,
        quote: Duration::from_millis(next(100)?),
        seconds: next(20)?,
    })
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let settings = settings()?;
    let mut slow = identity("enclave");
    slow.quote_delay = settings.quote;
    let world = Alone::as_identity("bench-flood", slow, |config, _| config).await?;
    let measured = Duration::from_secs(settings.seconds);
    let mut chatting = Chatting::open(&world).await?;
    chatting.run(Duration::from_secs(2)).await?;
    let quiet = chatting.run(measured).await?;

    let shape = Shape {
        connections: settings.connections,
        addresses: 10,
        pause: Duration::from_millis(50),
    };
    let flood = Flood::start(world.enclave.address(), shape);
    let connected = all_connected(&flood, settings.connections).await;
    let (reports, refusals) = counts(&flood);
    let (verified, flooded) = tokio::join!(verify_for(&world, measured), chatting.run(measured));
    let (verified, flooded) = (verified?, flooded?);
    let (more_reports, more_refusals) = counts(&flood);

    let slowdown = flooded.p99.as_secs_f64() / quiet.p99.as_secs_f64();
    let accepted_in_time =
        verified.accepted == verified.tried && verified.slowest <= SLOWEST_ACCEPTED;
    let passed = accepted_in_time && slowdown <= MOST_SLOWDOWN;
    println!(
        "{connected} of {} connections from 10 addresses, quote {} ms: verifier accepted {}/{}, slowest {:.2} s (bound {} s); \
         chat p99 {:.2} ms quiet, {:.2} ms flooded, {slowdown:.2}x (bound {MOST_SLOWDOWN}x), p50 {:.2} and {:.2} ms; \
         the flood got {:.1} reports/s and {:.0} refusals/s: {}",
        settings.connections,
        settings.quote.as_millis(),
        verified.accepted,
        verified.tried,
        verified.slowest.as_secs_f64(),
        SLOWEST_ACCEPTED.as_secs(),
        millis(quiet.p99),
        millis(flooded.p99),
        millis(quiet.p50),
        millis(flooded.p50),
        (more_reports - reports) as f64 / measured.as_secs_f64(),
        (more_refusals - refusals) as f64 / measured.as_secs_f64(),
        if passed { "ok" } else { "FAILED" },
    );
    Ok(match passed {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// Gives the flood half a minute to open its connections; the listener may not take all of them.
async fn all_connected(flood: &Flood, wanted: usize) -> u64 {
    let connected = || flood.seen().connected.load(Ordering::Relaxed);
    let _ = timeout(Duration::from_secs(30), async {
        while connected() < wanted as u64 {
            sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    connected().min(wanted as u64)
}

fn counts(flood: &Flood) -> (u64, u64) {
    let seen = flood.seen();
    (
        seen.reports.load(Ordering::Relaxed),
        seen.refusals.load(Ordering::Relaxed),
    )
}

struct Verified {
    tried: u32,
    accepted: u32,
    slowest: Duration,
}

/// Verifies as a user would, one time after the other.
async fn verify_for(world: &Alone, measured: Duration) -> Result<Verified> {
    let program = sibling("sealgate-verify")?;
    let (url, directory) = (world.enclave.url(), world.directory.path());
    let mut verified = Verified {
        tried: 0,
        accepted: 0,
        slowest: Duration::ZERO,
    };
    let end = Instant::now() + measured;
    while Instant::now() < end {
        let began = Instant::now();
        let arguments = [
            "endpoint",
            &url,
            "--policy",
            "enclave-policy.toml",
            "--roots",
            "roots",
        ];
        let output = run(&program, arguments, directory).await?;
        verified.tried += 1;
        verified.accepted += u32::from(output.status.success());
        verified.slowest = verified.slowest.max(began.elapsed());
        sleep(Duration::from_millis(300)).await;
    }
    Ok(verified)
}

struct Latencies {
    p50: Duration,
    p99: Duration,
}

/// A client that verified earlier and goes on using its connection.
struct Chatting {
    connection: Connection,
    key: String,
}

impl Chatting {
    async fn open(world: &Alone) -> Result<Self> {
        let address = world.enclave.address();
        Ok(Chatting {
            connection: TlsClient::observing()
                .connect_from(CHATTING, address)
                .await?,
            key: world.key.clone(),
        })
    }

    /// A hundred chats a second, if the answers allow it.
    async fn run(&mut self, measured: Duration) -> Result<Latencies> {
        let question = chat(MODEL, "does the flood slow me down?");
        let mut latencies = Vec::new();
        let end = Instant::now() + measured;
        while Instant::now() < end {
            let began = Instant::now();
            let answer = self.connection.post(&self.key, CHAT, &question).await?;
            ensure!(
                answer.status == 200,
                "a chat was answered with {}",
                answer.status
            );
            answer.bytes().await?;
            latencies.push(began.elapsed());
            sleep(Duration::from_millis(10).saturating_sub(began.elapsed())).await;
        }
        latencies.sort();
        let at = |share: usize| latencies.get(latencies.len() * share / 100).copied();
        Ok(Latencies {
            p50: at(50).context("no chats")?,
            p99: at(99).context("no chats")?,
        })
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
