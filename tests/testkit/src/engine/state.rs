//! What the engine has received, and the behaviour that a test configured.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::HeaderMap;
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

/// Counters, as the library and `GET /_engine/stats` give them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Prompt-carrying requests whose body arrived in full.
    pub prompts: u64,
    /// Answers that were abandoned because the client went away.
    pub hang_ups: u64,
    /// Chunks of streamed answers handed to the network.
    pub chunks_sent: u64,
    /// SHA-256 of the last prompt-carrying body, in hex.
    pub last_body_sha256: Option<String>,
}

impl Stats {
    pub fn to_json(&self) -> Value {
        json!({
            "prompts": self.prompts,
            "hang_ups": self.hang_ups,
            "chunks_sent": self.chunks_sent,
            "last_body_sha256": self.last_body_sha256,
        })
    }
}

/// An answer given byte for byte.
#[derive(Clone, Debug)]
pub struct Script {
    pub status: u16,
    pub content_type: String,
    /// Each is written on its own.
    pub chunks: Vec<Bytes>,
}

impl Script {
    pub fn event_stream<B: Into<Bytes>>(chunks: impl IntoIterator<Item = B>) -> Self {
        Self {
            status: 200,
            content_type: "text/event-stream".to_owned(),
            chunks: chunks.into_iter().map(Into::into).collect(),
        }
    }

    pub fn json(status: u16, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            content_type: "application/json".to_owned(),
            chunks: vec![body.into()],
        }
    }
}

/// Releases the chunks of streamed answers one by one.
#[derive(Clone)]
pub struct Stepper(Arc<Semaphore>);

impl Stepper {
    /// Lets `chunks` more chunks leave.
    pub fn release(&self, chunks: usize) {
        self.0.add_permits(chunks);
    }
}

#[derive(Clone)]
pub struct ReceivedRequest {
    pub headers: HeaderMap,
    pub body: Bytes,
}

#[derive(Default)]
pub struct Shared {
    prompts: AtomicU64,
    hang_ups: AtomicU64,
    chunks_sent: AtomicU64,
    last: Mutex<Option<ReceivedRequest>>,
    scripts: Mutex<HashMap<String, Script>>,
    steps: Mutex<Option<Arc<Semaphore>>>,
}

impl Shared {
    pub fn received(&self, headers: &HeaderMap, body: &Bytes) {
        *lock(&self.last) = Some(ReceivedRequest {
            headers: headers.clone(),
            body: body.clone(),
        });
        self.prompts.fetch_add(1, Ordering::SeqCst);
    }

    pub fn last_request(&self) -> Option<ReceivedRequest> {
        lock(&self.last).clone()
    }

    pub fn stats(&self) -> Stats {
        Stats {
            prompts: self.prompts.load(Ordering::SeqCst),
            hang_ups: self.hang_ups.load(Ordering::SeqCst),
            chunks_sent: self.chunks_sent.load(Ordering::SeqCst),
            last_body_sha256: self.last_request().map(|request| {
                let hash = digest(&SHA256, &request.body);
                hash.as_ref()
                    .iter()
                    .map(|byte| format!("{byte:02x}"))
                    .collect()
            }),
        }
    }

    pub fn script(&self, model: &str, script: Script) {
        lock(&self.scripts).insert(model.to_owned(), script);
    }

    pub fn scripted(&self, model: &str) -> Option<Script> {
        lock(&self.scripts).get(model).cloned()
    }

    pub fn step(&self) -> Stepper {
        let semaphore = Arc::new(Semaphore::new(0));
        *lock(&self.steps) = Some(semaphore.clone());
        Stepper(semaphore)
    }

    /// Waits until the test, if it steps, lets another chunk leave.
    pub async fn next_chunk_may_leave(&self) {
        let steps = lock(&self.steps).clone();
        if let Some(steps) = steps {
            steps
                .acquire()
                .await
                .expect("the semaphore is never closed")
                .forget();
        }
        self.chunks_sent.fetch_add(1, Ordering::SeqCst);
    }

    /// Counts a hang-up unless the answer is [finished](Watch::finish) before the watch is dropped.
    pub fn watch_for_hang_up(self: &Arc<Self>) -> Watch {
        Watch {
            shared: self.clone(),
            finished: false,
        }
    }
}

pub struct Watch {
    shared: Arc<Shared>,
    finished: bool,
}

impl Watch {
    pub fn finish(&mut self) {
        self.finished = true;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !self.finished {
            self.shared.hang_ups.fetch_add(1, Ordering::SeqCst);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
