//! The record of one exchange while it is written: the request before it is forwarded, then the response as it passes.
//!
//! [`SealingRecord`] is given pieces and the end, and says when they are written and when the whole file is on the disk.
//! Which piece is the last, and what a client gets in the meantime, is decided by its caller.
//!
//! Files are written in blocking tasks. While one runs it owns the file, and the caller waits for it, so at most one piece
//! is in memory.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::task::{JoinHandle, spawn_blocking};

use super::age::SealError;
use super::records::{Part, Record, SealedFile};
use attest_core::retention::OnFailure;
use gateway_store::ledger::RecordState;

/// A flag: the record of a request could not be written completely. Clones share it.
// Set by the task body, read when the receipt is built after the body has ended.
#[derive(Clone, Default)]
pub struct RetentionFailure(Arc<AtomicBool>);

impl RetentionFailure {
    pub fn mark(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub fn is_marked(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// A record whose request is sealed, and whose response is to follow.
pub struct SealingRecord {
    record: Arc<Record>,
    on_failure: OnFailure,
    failure: RetentionFailure,
    response: ResponseFile,
    /// The state to store when the file that is being closed is on the disk.
    closing: Option<RecordState>,
    /// A state was stored: there is one for each record.
    stored: bool,
}

/// What a blocking task did: the file that is still open, or none after closing it.
type Written = Result<Option<Box<SealedFile>>, SealError>;

/// The response's file.
enum ResponseFile {
    /// There is no response yet.
    Awaited,
    /// Open. Boxed: each write moves it into a task and back.
    Idle(Box<SealedFile>),
    /// A blocking task owns the file.
    Busy(JoinHandle<Written>),
    /// Closed, or abandoned after a failure.
    Over,
}

impl SealingRecord {
    /// Seals the request. `bytes` are dropped as soon as they are sealed.
    pub async fn begin(
        record: Record,
        bytes: impl AsRef<[u8]> + Send + 'static,
        on_failure: OnFailure,
        failure: RetentionFailure,
    ) -> Result<Self, SealError> {
        let record = Arc::new(record);
        let sealing = Self {
            record: record.clone(),
            on_failure,
            failure,
            response: ResponseFile::Awaited,
            closing: None,
            stored: false,
        };
        // Awaited before the request is forwarded. If the caller stops waiting, the task still finishes the file, and
        // dropping `sealing` stores the record as refused.
        let task = spawn_blocking(move || {
            let mut file = record.open(Part::Request)?;
            file.write(bytes.as_ref())?;
            drop(bytes);
            record.close(file)
        });
        task.await.map_err(|_| SealError::Crypto)??;
        Ok(sealing)
    }

    /// A response begins.
    pub fn begin_response(&mut self) {
        let record = self.record.clone();
        self.work(move || Ok(Some(Box::new(record.open(Part::Response)?))));
    }

    /// Ready when everything that was given so far is written; after [`close`](Self::close), when the whole file is on the
    /// disk. After an error the record has failed, and the policy says whether the response may go on without it.
    pub fn poll_written(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), OnFailure>> {
        if let ResponseFile::Busy(work) = &mut self.response {
            let done = ready!(Pin::new(work).poll(cx));
            let Ok(Ok(file)) = done else {
                return Poll::Ready(Err(self.abandon()));
            };
            self.response = file.map_or(ResponseFile::Over, ResponseFile::Idle);
        }
        if let (ResponseFile::Over, Some(state)) = (&self.response, self.closing.take()) {
            self.store_state(state);
        }
        Poll::Ready(Ok(()))
    }

    /// Writes a piece of the response. Not before everything earlier is written.
    pub fn write(&mut self, piece: &Bytes) {
        match self.take_file() {
            Some(mut file) if !file.would_write(piece.len()) => match file.write(piece) {
                Ok(()) => self.response = ResponseFile::Idle(file),
                // Cannot happen without a write. If it does, it is reported like a failed write.
                Err(error) => self.work(move || Err(error)),
            },
            Some(mut file) => {
                // Shared, not copied: the task reads the same bytes that are relayed after it.
                let piece = piece.clone();
                self.work(move || {
                    file.write(&piece)?;
                    Ok(Some(file))
                });
            }
            None => self.work(|| Err(SealError::Crypto)),
        }
    }

    /// The response has ended, whole or cut: closes its file. Not before everything earlier is written.
    pub fn close(&mut self, state: RecordState) {
        let record = self.record.clone();
        self.closing = Some(state);
        match self.take_file() {
            Some(file) => self.work(move || record.close(*file).map(|()| None)),
            None => self.work(|| Err(SealError::Crypto)),
        }
    }

    /// The record cannot be completed before the client has to get its response.
    pub fn abandon(&mut self) -> OnFailure {
        self.response = ResponseFile::Over;
        // Marked before the response ends, so that the receipt, which is built at its end, reports it.
        self.failure.mark();
        self.store_state(RecordState::Failed);
        self.on_failure
    }

    /// The open file. Without one, out of turn, the caller reports a failed write: no piece may pass unrecorded.
    fn take_file(&mut self) -> Option<Box<SealedFile>> {
        match std::mem::replace(&mut self.response, ResponseFile::Over) {
            ResponseFile::Idle(file) => Some(file),
            _ => None,
        }
    }

    fn work(&mut self, work: impl FnOnce() -> Written + Send + 'static) {
        self.response = ResponseFile::Busy(spawn_blocking(work));
    }

    fn store_state(&mut self, state: RecordState) {
        if std::mem::replace(&mut self.stored, true) {
            return;
        }
        let record = self.record.clone();
        // Also called while a runtime shuts down, when nothing can be spawned: the row then stays open and is deleted
        // when it expires.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { record.store_state(state).await });
        }
    }
}

/// Without a response the record is stored as refused. If the caller or the upstream closed the connection early, the
/// received part is sealed, and the record is stored as cut.
impl Drop for SealingRecord {
    fn drop(&mut self) {
        // Not in the task that closes the file: an incomplete record is marked as such even if its file cannot be
        // closed.
        self.store_state(match self.response {
            ResponseFile::Awaited => RecordState::Refused,
            _ => RecordState::Cut,
        });
        let record = self.record.clone();
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        match std::mem::replace(&mut self.response, ResponseFile::Over) {
            ResponseFile::Idle(file) => {
                runtime.spawn_blocking(move || record.close(*file));
            }
            // The task owns the file. It is closed when the task returns it.
            ResponseFile::Busy(work) => {
                runtime.spawn(async move {
                    if let Ok(Ok(Some(file))) = work.await {
                        let _ = spawn_blocking(move || record.close(*file)).await;
                    }
                });
            }
            ResponseFile::Awaited | ResponseFile::Over => {}
        }
    }
}
