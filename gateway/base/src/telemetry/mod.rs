//! Spans and sums of requests for a collector, over OTLP/HTTP in its JSON form.
//!
//! Off unless `[telemetry] otlp` names a collector. What is sent is made of the same closed events as the log: a
//! [`Tap`] hears them where the log does, and takes those of requests. Nothing waits for the collector: events that
//! it does not take in time are counted and given up.
//!
//! Specification: OpenTelemetry Protocol 1.x, OTLP/HTTP, `POST …/traces` and `POST …/metrics`.

mod collector;
mod span;
mod sums;
mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::config::Telemetry;
use crate::events::{self, Event, Listener, TelemetryFailure};
use collector::Collector;
use span::Span;
use sums::Sums;

/// Events that may wait for the next batch. Beyond that they are given up.
const WAITING: usize = 4096;
/// A batch with as many spans is sent before its time.
const FULL: usize = 1024;
/// For the last batch, when the service stops.
const FAREWELL: Duration = Duration::from_secs(2);

/// An event, and when it was heard.
struct Heard {
    event: Event,
    at: SystemTime,
}

/// Hears events where they leave, and hands those of requests to the exporter.
pub struct Tap {
    to: mpsc::Sender<Heard>,
    overrun: Arc<AtomicU64>,
}

impl Listener for Tap {
    fn hear(&self, event: &Event) {
        if !matches!(
            event,
            Event::RequestFinished { .. } | Event::RequestRefused { .. }
        ) {
            return;
        }
        let heard = Heard {
            event: event.clone(),
            at: SystemTime::now(),
        };
        if self.to.try_send(heard).is_err() {
            self.overrun.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Sends what its [`Tap`] hears, in batches.
pub struct Exporter {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Exporter {
    /// Begins to export, if the configuration names a collector.
    pub fn begin(config: &Telemetry) -> Option<(Self, Tap)> {
        let collector = Collector::new(config.otlp.as_ref()?, config.every)?;
        let (to, from) = mpsc::channel(WAITING);
        let overrun = Arc::new(AtomicU64::new(0));
        let (stop, stopped) = oneshot::channel();
        let work = Work {
            collector,
            from,
            overrun: overrun.clone(),
            every: config.every,
            batch: Batch::begin(),
        };
        let task = tokio::spawn(work.run(stopped));
        Some((Self { stop, task }, Tap { to, overrun }))
    }

    /// Sends what there is, and ends.
    pub async fn finish(self) {
        let _ = self.stop.send(());
        let _ = tokio::time::timeout(FAREWELL, self.task).await;
    }
}

/// What goes out together.
struct Batch {
    began: SystemTime,
    spans: Vec<Span>,
    sums: Sums,
}

impl Batch {
    fn begin() -> Self {
        Self {
            began: SystemTime::now(),
            spans: Vec::new(),
            sums: Sums::default(),
        }
    }

    fn take(&mut self, Heard { event, at }: Heard) {
        self.sums.add(&event);
        if let Event::RequestFinished {
            usage,
            keep: Some(keep),
        } = event
        {
            self.spans.push(Span::of(&usage, &keep, at));
        }
    }
}

struct Work {
    collector: Collector,
    from: mpsc::Receiver<Heard>,
    overrun: Arc<AtomicU64>,
    every: Duration,
    batch: Batch,
}

impl Work {
    async fn run(mut self, mut stopped: oneshot::Receiver<()>) {
        let mut due = tokio::time::interval(self.every);
        due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = &mut stopped => break,
                heard = self.from.recv() => match heard {
                    Some(heard) => self.batch.take(heard),
                    None => break,
                },
                _ = due.tick() => self.send().await,
            }
            if self.batch.spans.len() >= FULL {
                self.send().await;
            }
        }
        while let Ok(heard) = self.from.try_recv() {
            self.batch.take(heard);
        }
        self.send().await;
    }

    async fn send(&mut self) {
        let overrun = self.overrun.swap(0, Ordering::Relaxed);
        if overrun > 0 {
            failed(TelemetryFailure::Overrun, overrun);
        }
        let batch = std::mem::replace(&mut self.batch, Batch::begin());
        if batch.sums.is_empty() {
            return;
        }
        let metrics = wire::metrics(&batch.sums, batch.began, self.batch.began);
        let sent = async {
            if !batch.spans.is_empty() {
                let traces = wire::traces(&batch.spans);
                self.collector.post("traces", traces).await?;
            }
            self.collector.post("metrics", metrics).await
        };
        if let Err(failure) = sent.await {
            failed(failure, batch.sums.events());
        }
    }
}

fn failed(failure: TelemetryFailure, lost: u64) {
    events::emit(Event::TelemetryFailed { failure, lost });
}
