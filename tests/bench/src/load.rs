//! The shapes of load: as fast as answers come (closed loop), at a fixed rate whatever the answers do (open loop), and
//! streams whose chunks are paced by the engine.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::Instant;

use crate::client::{Connection, Endpoint};
use crate::cpu;

#[derive(clap::Args, Clone)]
pub struct Settings {
    /// Where chat completions are posted.
    #[arg(long)]
    pub url: String,
    #[arg(long)]
    pub key: Option<String>,
    #[arg(long)]
    pub model: String,
    #[arg(long)]
    pub connections: usize,
    /// Requests per second; 0 sends the next one when the last was answered.
    #[arg(long, default_value_t = 0)]
    pub rate: u32,
    /// Chunks per stream; 0 asks for whole answers.
    #[arg(long, default_value_t = 0)]
    pub chunks: u32,
    #[arg(long, default_value_t = 0)]
    pub pause_us: u64,
    /// About how long the prompt is.
    #[arg(long, default_value_t = 528)]
    pub prompt_bytes: usize,
    /// Connects and never sends a request.
    #[arg(long, action = clap::ArgAction::Set, default_value_t = false)]
    pub connect_only: bool,
    /// Ends once so many requests were answered, instead of after a time.
    #[arg(long)]
    pub requests: Option<u64>,
    #[arg(long, default_value_t = 400)]
    pub warmup_ms: u64,
    #[arg(long, default_value_t = 2000)]
    pub measure_ms: u64,
    /// The process whose CPU time is read.
    #[arg(long)]
    pub pid: Option<u32>,
}

/// What one measurement saw.
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
pub struct Outcome {
    /// While it was measured.
    pub requests: u64,
    /// Before, meanwhile and after.
    pub answered: u64,
    pub failures: u64,
    pub first_failure: Option<String>,
    pub requests_per_second: f64,
    pub latency_p50_us: Option<f64>,
    pub latency_p99_us: Option<f64>,
    pub first_chunk_p50_us: Option<f64>,
    pub chunks: u64,
    pub cpu_us: f64,
    /// After the last answer, until the process was idle.
    pub deferred_us: f64,
    pub resident_mib: f64,
}

/// Counted only while `measuring`.
#[derive(Default)]
struct Seen {
    measuring: Cell<bool>,
    /// Connections that have had an answer.
    in_use: Cell<usize>,
    /// No further request is begun. Those under way are waited for, so that each answer is counted.
    ending: Cell<bool>,
    ended: Notify,
    requests: Cell<u64>,
    answered: Cell<u64>,
    /// Ends the load once so many were answered.
    wanted: Option<u64>,
    failures: Cell<u64>,
    first_failure: RefCell<Option<String>>,
    chunks: Cell<u64>,
    latency: RefCell<Vec<Duration>>,
    first_chunk: RefCell<Vec<Duration>>,
    due: RefCell<VecDeque<Instant>>,
    more_due: Notify,
}

impl Seen {
    fn fail(&self, error: &anyhow::Error) {
        self.failures.set(self.failures.get() + 1);
        self.first_failure
            .borrow_mut()
            .get_or_insert_with(|| format!("{error:#}"));
    }

    fn answered(&self, started: Instant) {
        self.answered.set(self.answered.get() + 1);
        if self
            .wanted
            .is_some_and(|wanted| self.answered.get() >= wanted)
        {
            self.end();
        }
        if self.measuring.get() {
            self.requests.set(self.requests.get() + 1);
            self.latency.borrow_mut().push(started.elapsed());
        }
    }

    fn end(&self) {
        self.ending.set(true);
        self.more_due.notify_waiters();
        // Kept for a waiter that comes later.
        self.ended.notify_one();
    }

    fn chunks(&self, number: u64, first: bool, started: Instant) {
        if self.measuring.get() {
            self.chunks.set(self.chunks.get() + number);
            if first {
                self.first_chunk.borrow_mut().push(started.elapsed());
            }
        }
    }
}

struct Job {
    endpoint: Endpoint,
    request: Vec<u8>,
    streams: bool,
    open_loop: bool,
    connect_only: bool,
}

pub fn drive(settings: &Settings) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let outcome = LocalSet::new().block_on(&runtime, measure(settings))?;
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}

async fn measure(settings: &Settings) -> Result<Outcome> {
    let endpoint = Endpoint::parse(&settings.url)?;
    let request = endpoint.request("POST", settings.key.as_deref(), &chat_body(settings));
    let job = Rc::new(Job {
        endpoint,
        request,
        streams: settings.chunks > 0,
        open_loop: settings.rate > 0,
        connect_only: settings.connect_only,
    });
    let seen = Rc::new(Seen {
        wanted: settings.requests,
        ..Seen::default()
    });
    let mut workers = Vec::new();
    for number in 0..settings.connections {
        // Streams that start together would send all their chunks on the same tick.
        let lag = if job.streams {
            Duration::from_micros(number as u64 * 7_300 % 100_000)
        } else {
            Duration::ZERO
        };
        let (job, seen) = (job.clone(), seen.clone());
        workers.push(spawn_local(async move {
            tokio::time::sleep(lag).await;
            work(&job, &seen).await;
        }));
    }
    if settings.rate > 0 {
        spawn_local(due_times(settings.rate, seen.clone()));
    }
    tokio::time::sleep(Duration::from_millis(settings.warmup_ms)).await;
    let give_up = Instant::now() + ALL_IN_USE;
    while seen.in_use.get() < settings.connections && Instant::now() < give_up {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let before = settings.pid.map(cpu::Usage::of);
    let started = Instant::now();
    seen.measuring.set(true);
    match settings.requests {
        Some(_) => seen.ended.notified().await,
        None => tokio::time::sleep(Duration::from_millis(settings.measure_ms)).await,
    }
    seen.measuring.set(false);
    let seconds = started.elapsed().as_secs_f64();
    let spent = settings
        .pid
        .zip(before)
        .map_or(Duration::ZERO, |(pid, before)| {
            cpu::Usage::of(pid).since(&before)
        });
    let resident_mib = settings.pid.map_or(0.0, cpu::resident_mib);
    seen.end();
    for worker in workers {
        tokio::time::timeout(LAST_ANSWER, worker)
            .await
            .context("an answer does not end")??;
    }
    let deferred = match settings.pid {
        Some(pid) => cpu::until_idle(pid).await,
        None => Duration::ZERO,
    };
    Ok(Outcome {
        answered: seen.answered.get(),
        requests: seen.requests.get(),
        failures: seen.failures.get(),
        first_failure: seen.first_failure.borrow().clone(),
        requests_per_second: seen.requests.get() as f64 / seconds,
        latency_p50_us: quantile(&seen.latency, 0.50),
        latency_p99_us: quantile(&seen.latency, 0.99),
        first_chunk_p50_us: quantile(&seen.first_chunk, 0.50),
        chunks: seen.chunks.get(),
        cpu_us: spent.as_secs_f64() * 1e6,
        deferred_us: deferred.as_secs_f64() * 1e6,
        resident_mib,
    })
}

/// Nothing is counted before every connection has had an answer, but for this long at most.
const ALL_IN_USE: Duration = Duration::from_secs(20);

/// How long the last answers may take.
const LAST_ANSWER: Duration = Duration::from_secs(30);

fn chat_body(settings: &Settings) -> String {
    let words = "the quick brown fox jumps over the lazy dog ";
    let prompt = words.repeat(settings.prompt_bytes / words.len());
    serde_json::json!({
        "model": settings.model, "stream": settings.chunks > 0, "max_tokens": settings.chunks.max(1),
        "bench_pause_us": settings.pause_us,
        "messages": [{"role": "system", "content": "You are a helpful assistant."}, {"role": "user", "content": prompt}]
    })
    .to_string()
}

/// Nothing when nothing of the kind was seen.
fn quantile(samples: &RefCell<Vec<Duration>>, at: f64) -> Option<f64> {
    let mut samples = samples.borrow_mut();
    samples.sort_unstable();
    let last = samples.len().saturating_sub(1) as f64;
    let sample = samples.get((last * at).round() as usize)?;
    Some(sample.as_secs_f64() * 1e6)
}

/// Open loop: start times are handed out whether or not a connection is free to take one.
async fn due_times(rate: u32, seen: Rc<Seen>) {
    let gap = Duration::from_secs(1) / rate;
    let mut next = Instant::now();
    loop {
        next += gap;
        tokio::time::sleep_until(next).await;
        // The timer's own lateness is the load's, so the clock starts here.
        seen.due.borrow_mut().push_back(Instant::now());
        seen.more_due.notify_one();
    }
}

async fn work(job: &Job, seen: &Seen) {
    let mut connection = None;
    let mut answered = false;
    while !seen.ending.get() {
        let started = match job.open_loop {
            true => next_due(seen).await,
            false => Some(Instant::now()),
        };
        let Some(started) = started else {
            return;
        };
        match exchange(job, seen, &mut connection, started).await {
            Ok(()) => {
                if !std::mem::replace(&mut answered, true) {
                    seen.in_use.set(seen.in_use.get() + 1);
                }
                seen.answered(started);
            }
            Err(error) => {
                connection = None;
                seen.fail(&error);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
}

/// `None` once the load ends.
async fn next_due(seen: &Seen) -> Option<Instant> {
    while !seen.ending.get() {
        let due = seen.due.borrow_mut().pop_front();
        if let Some(due) = due {
            if !seen.due.borrow().is_empty() {
                seen.more_due.notify_one();
            }
            return Some(due);
        }
        seen.more_due.notified().await;
    }
    None
}

async fn exchange(
    job: &Job,
    seen: &Seen,
    slot: &mut Option<Connection>,
    started: Instant,
) -> Result<()> {
    let connection = match slot {
        Some(connection) => connection,
        None => slot.insert(job.endpoint.connect().await?),
    };
    if job.connect_only {
        *slot = None;
        return Ok(());
    }
    connection.send(&job.request).await?;
    let head = connection.head().await?;
    let mut length = 0;
    let mut first = true;
    connection
        .body(&head, |piece| {
            length += piece.len();
            if job.streams {
                // A chunk that two reads cut apart is counted where its first bytes are.
                let number = memchr::memmem::find_iter(piece, b"data: {").count() as u64;
                if number > 0 {
                    seen.chunks(number, first, started);
                    first = false;
                }
            }
        })
        .await?;
    ensure!(head.status == 200, "the answer has status {}", head.status);
    ensure!(length > 200, "the answer has {length} bytes");
    Ok(())
}
