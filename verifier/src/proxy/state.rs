//! The proxy's shared state: what it was configured with, what it remembers about the service, and the tasks that
//! outlive a request.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use tokio::task::JoinSet;

use super::journal::Journal;
use super::receipt_archive::ReceiptArchive;
use super::refusal::Refusal;
use super::response_body::ResponseError;
use super::upstream_models::{KnownModels, Upstreams};
use attest_channel::{AttestedChannel, ChannelError};
use attest_core::Verdict;

/// The body of every response of the proxy.
pub type LocalBody = UnsyncBoxBody<Bytes, ResponseError>;

/// Makes a response that the proxy generated itself.
pub(super) fn local(response: Response<Bytes>) -> Response<LocalBody> {
    response.map(|bytes| {
        Full::new(bytes)
            .map_err(|never| match never {})
            .boxed_unsync()
    })
}

/// What the command line selects.
pub struct Options {
    pub require_receipt: bool,
    pub upstreams: Upstreams,
    pub archive: Option<ReceiptArchive>,
    pub max_body: usize,
}

/// The proxy, shared by its connections.
pub struct Proxy {
    pub(super) channel: Arc<AttestedChannel>,
    pub(super) options: Options,
    pub(super) journal: Arc<dyn Journal>,
    pub(super) distrust: Distrust,
    pub(super) last_rejection: LastRejection,
    pub(super) tasks: Tasks,
    pub(super) models: KnownModels,
}

impl Proxy {
    pub fn new(
        channel: Arc<AttestedChannel>,
        options: Options,
        journal: Arc<dyn Journal>,
    ) -> Arc<Self> {
        Arc::new(Self {
            channel,
            options,
            journal,
            distrust: Distrust::default(),
            last_rejection: LastRejection::default(),
            tasks: Tasks::default(),
            models: KnownModels::default(),
        })
    }

    /// The refusal for an error of the channel. Rejected evidence is remembered for the status page.
    pub(super) fn refusal(&self, error: ChannelError) -> Refusal {
        if let ChannelError::Rejected(verdict) = &error {
            self.last_rejection.set(verdict);
        }
        Refusal::from(error)
    }
}

/// Set by a receipt that contradicted an exchange. Only a restart clears it.
#[derive(Default)]
pub struct Distrust(AtomicBool);

impl Distrust {
    // SeqCst: a request that begins after the contradiction was found must not be sent.
    pub fn set(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    pub fn check(&self) -> Result<(), Refusal> {
        if self.is_set() {
            Err(Refusal::Distrusted)
        } else {
            Ok(())
        }
    }
}

/// The verdict that led to the latest refusal, for the status page.
#[derive(Default)]
pub struct LastRejection(Mutex<Option<Value>>);

impl LastRejection {
    pub fn set(&self, verdict: &Verdict) {
        // A poisoned lock loses one line of the status page, so it is not worth a panic.
        if let Ok(mut last) = self.0.lock() {
            *last = Some(verdict.to_json());
        }
    }

    pub fn get(&self) -> Option<Value> {
        self.0.lock().ok().and_then(|last| last.clone())
    }
}

/// Owns the work that outlives a request: receipt checks. A shutdown waits for it; a request never does, since the
/// lock is held for one `spawn` only.
#[derive(Default)]
pub struct Tasks(Mutex<JoinSet<()>>);

impl Tasks {
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Ok(mut set) = self.0.lock() {
            // Results of finished tasks are dropped here; otherwise the set would grow with every receipt.
            while set.try_join_next().is_some() {}
            set.spawn(work);
        }
    }

    /// Waits until everything is done, but not longer than `timeout`.
    pub async fn drain(&self, timeout: Duration) {
        // Taken out of the lock, which must not be held across the await.
        let mut set = match self.0.lock() {
            Ok(mut tasks) => std::mem::take(&mut *tasks),
            Err(_) => return,
        };
        let all = async { while set.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(timeout, all).await;
    }
}
