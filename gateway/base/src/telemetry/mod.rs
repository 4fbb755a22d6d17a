//! Spans and sums of requests for a collector, over OTLP/HTTP in its JSON form.
//!
//! Off unless `[telemetry] otlp` names a collector. The data comes from the same closed set of events as the log: a
//! [`TelemetrySink`] receives them and queues those of requests. No request waits for the collector: events that do not
//! fit into the queue are dropped and counted.
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
use crate::events::{self, Event, EventSink, TelemetryFailure};
use collector::Collector;
use span::Span;
use sums::Sums;

/// Events that wait for the exporter. Further ones are dropped.
const QUEUE_LENGTH: usize = 4096;
/// A batch with this many spans is sent at once.
const MAX_SPANS: usize = 1024;
/// Time limit for the last batch when the service stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// An event with the time of its arrival.
struct ReceivedEvent {
    event: Event,
    at: SystemTime,
}

/// Queues events of requests for the exporter.
pub struct TelemetrySink {
    // Bounded, and never awaited: a slow collector must not delay a request.
    to: mpsc::Sender<ReceivedEvent>,
    // Counts events that found the queue full. The exporter takes the count and reports it.
    overrun: Arc<AtomicU64>,
}

impl EventSink for TelemetrySink {
    fn handle(&self, event: &Event) {
        if !matches!(
            event,
            Event::RequestFinished { .. } | Event::RequestRefused { .. }
        ) {
            return;
        }
        let received = ReceivedEvent {
            event: event.clone(),
            at: SystemTime::now(),
        };
        if self.to.try_send(received).is_err() {
            self.overrun.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Sends the events of its [`TelemetrySink`] in batches.
pub struct Exporter {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Exporter {
    /// Starts the exporter task if the configuration names a collector.
    pub fn start(config: &Telemetry) -> Option<(Self, TelemetrySink)> {
        let collector = Collector::new(config.otlp.as_ref()?, config.every)?;
        let (to, from) = mpsc::channel(QUEUE_LENGTH);
        let overrun = Arc::new(AtomicU64::new(0));
        let (stop, stopped) = oneshot::channel();
        let work = ExportTask {
            collector,
            from,
            overrun: overrun.clone(),
            every: config.every,
            batch: Batch::new(),
        };
        let task = tokio::spawn(work.run(stopped));
        Some((Self { stop, task }, TelemetrySink { to, overrun }))
    }

    /// Sends the last batch and stops the task.
    pub async fn finish(self) {
        let _ = self.stop.send(());
        let _ = tokio::time::timeout(STOP_TIMEOUT, self.task).await;
    }
}

/// The data of one export.
struct Batch {
    began: SystemTime,
    spans: Vec<Span>,
    sums: Sums,
}

impl Batch {
    fn new() -> Self {
        Self {
            began: SystemTime::now(),
            spans: Vec::new(),
            sums: Sums::default(),
        }
    }

    fn take(&mut self, ReceivedEvent { event, at }: ReceivedEvent) {
        self.sums.add(&event);
        if let Event::RequestFinished {
            usage,
            retention: Some(retention),
        } = event
        {
            self.spans.push(Span::from_usage(usage, retention, at));
        }
    }
}

struct ExportTask {
    collector: Collector,
    from: mpsc::Receiver<ReceivedEvent>,
    // Shared with the sink, which counts up.
    overrun: Arc<AtomicU64>,
    every: Duration,
    batch: Batch,
}

impl ExportTask {
    async fn run(mut self, mut stopped: oneshot::Receiver<()>) {
        let mut due = tokio::time::interval(self.every);
        due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            // Every branch can be dropped half-way without loss: `recv` takes an event only when it returns one, and a
            // batch is sent outside of the waiting.
            tokio::select! {
                _ = &mut stopped => break,
                received = self.from.recv() => match received {
                    Some(received) => self.batch.take(received),
                    None => break,
                },
                _ = due.tick() => self.send().await,
            }
            if self.batch.spans.len() >= MAX_SPANS {
                self.send().await;
            }
        }
        // Not closed first: events of the last requests are emitted before `finish` is called, and none follows.
        while let Ok(received) = self.from.try_recv() {
            self.batch.take(received);
        }
        self.send().await;
    }

    async fn send(&mut self) {
        // Swapped, so that each lost event is reported once. Relaxed: only the number matters.
        let overrun = self.overrun.swap(0, Ordering::Relaxed);
        if overrun > 0 {
            failed(TelemetryFailure::Overrun, overrun);
        }
        // Taken before sending, whether that succeeds or not: a collector that is down must not make the batch grow.
        let batch = std::mem::replace(&mut self.batch, Batch::new());
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
