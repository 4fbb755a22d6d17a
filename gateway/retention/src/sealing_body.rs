//! A response body that is sealed while it is relayed.
//!
//! Bytes are relayed only after they were written to the sealed file, and the last bytes only after the whole file is on
//! the disk. So a client never has a complete response without a complete record. After a failure the policy decides: the
//! response is aborted, or relayed without a record, and the receipt reports it.
//!
//! The file is written in blocking tasks. While one runs it owns the file, and the body waits for it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::task::{JoinHandle, spawn_blocking};

use super::age::SealError;
use super::records::{Part, Record, SealedFile};
use attest_core::retention::OnFailure;
use gateway_store::ledger::RecordState;

/// The last event of a stream in every relayed dialect.
const DONE: &[u8] = b"data: [DONE]";

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

/// A record whose request is sealed and whose response is to follow.
pub struct SealingRecord {
    record: Arc<Record>,
    on_failure: OnFailure,
    failure: RetentionFailure,
    ended: bool,
}

/// Why a response was aborted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealingError<E> {
    /// The upstream's body failed.
    Upstream(E),
    /// The record that the policy requires could not be written.
    NotSealed,
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
            ended: false,
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

    fn store_state(&mut self, state: RecordState) {
        // Set first, so that dropping this value afterwards does not store a second state.
        self.ended = true;
        let record = self.record.clone();
        // Also called while a runtime shuts down, when nothing can be spawned: the row then stays open and is deleted
        // when it expires.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { record.store_state(state).await });
        }
    }
}

/// Without a response the record is stored as refused.
impl Drop for SealingRecord {
    fn drop(&mut self) {
        if !self.ended {
            self.store_state(RecordState::Refused);
        }
    }
}

type Written = Result<Option<Box<SealedFile>>, SealError>;

/// The state of the response's file.
enum File {
    /// Not opened yet.
    Unopened,
    /// Open. Boxed: most responses have no file, and each write moves it into a task and back.
    Idle(Box<SealedFile>),
    /// A blocking task owns the file. The bytes are relayed after the task has succeeded.
    Busy(JoinHandle<Written>, Option<Bytes>),
    /// Closed, or abandoned after a failure.
    Over,
}

/// The body of a response. It is sealed if there is a record.
pub struct SealingBody<B> {
    body: B,
    sealing: Option<SealingRecord>,
    file: File,
    /// Remaining bytes, if the head has a length.
    left: Option<u64>,
    /// The last bytes, which are held back until the record is complete.
    held: Option<Bytes>,
    at_end: bool,
}

impl<B: Body<Data = Bytes> + Unpin> SealingBody<B> {
    pub fn new(body: B, sealing: Option<SealingRecord>) -> Self {
        Self {
            left: body.size_hint().exact(),
            body,
            sealing,
            file: File::Unopened,
            held: None,
            at_end: false,
        }
    }

    /// The inner body.
    pub fn body(&self) -> &B {
        &self.body
    }

    fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, SealingError<B::Error>>>> {
        loop {
            return Poll::Ready(match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                None => None,
                Some(Err(error)) => Some(Err(SealingError::Upstream(error))),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) if !bytes.is_empty() => Some(Ok(bytes)),
                    _ => continue,
                },
            });
        }
    }

    /// Writes bytes to the file. A blocking task is needed only if they do not fit into its buffer.
    fn take(&mut self, bytes: Bytes) -> Option<Bytes> {
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(bytes.len() as u64);
        }
        let is_last = self.left == Some(0) || ends_a_stream(&bytes);
        let file = std::mem::replace(&mut self.file, File::Over);
        // Each branch puts a file back; `Over` is only in place while this function runs.
        self.file = match file {
            File::Idle(mut file) if !file.would_write(bytes.len()) => match file.write(&bytes) {
                Ok(()) if is_last => {
                    self.held = Some(bytes);
                    self.file = File::Idle(file);
                    return None;
                }
                Ok(()) => {
                    self.file = File::Idle(file);
                    return Some(bytes);
                }
                // Cannot happen without a write. If it does, it is reported like a failed write.
                Err(error) => File::Busy(spawn_blocking(move || Err(error)), Some(bytes)),
            },
            File::Idle(mut file) => {
                // Shared, not copied: the task reads the same bytes that are relayed after it.
                let shared = bytes.clone();
                let work = spawn_blocking(move || {
                    file.write(&shared)?;
                    Ok(Some(file))
                });
                if is_last {
                    self.held = Some(bytes);
                    File::Busy(work, None)
                } else {
                    File::Busy(work, Some(bytes))
                }
            }
            other => {
                self.file = other;
                return Some(bytes);
            }
        };
        None
    }

    fn close(&mut self, file: Box<SealedFile>) {
        let Some(sealing) = &self.sealing else { return };
        let record = sealing.record.clone();
        let work = spawn_blocking(move || record.close(*file).map(|()| None));
        self.file = File::Busy(work, None);
    }

    /// Handles a failed write as the policy requires.
    fn failed(
        &mut self,
        passing: Option<Bytes>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, SealingError<B::Error>>>> {
        self.file = File::Over;
        let Some(mut sealing) = self.sealing.take() else {
            return Poll::Ready(passing.map(Ok));
        };
        // Marked before the response ends, so that the receipt, which is built at its end, reports it.
        sealing.failure.mark();
        sealing.store_state(RecordState::Failed);
        match sealing.on_failure {
            OnFailure::Refuse => Poll::Ready(Some(Err(SealingError::NotSealed))),
            OnFailure::Serve => match passing.or_else(|| self.held.take()) {
                Some(bytes) => Poll::Ready(Some(Ok(bytes))),
                None if self.at_end => Poll::Ready(None),
                None => self.poll_body(cx),
            },
        }
    }

    fn open(&mut self) {
        let Some(sealing) = &self.sealing else { return };
        let record = sealing.record.clone();
        let work = spawn_blocking(move || Ok(Some(Box::new(record.open(Part::Response)?))));
        self.file = File::Busy(work, None);
    }

    fn poll_sealed(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, SealingError<B::Error>>>> {
        loop {
            match &mut self.file {
                File::Unopened => self.open(),
                File::Busy(work, passing) => {
                    // The upstream is not polled while a write runs: a slow disk slows the upstream down, and at most
                    // one piece is in memory.
                    let done = ready!(Pin::new(work).poll(cx));
                    let passing = passing.take();
                    match done {
                        Ok(Ok(Some(file))) => {
                            self.file = File::Idle(file);
                            if passing.is_some() {
                                return Poll::Ready(passing.map(Ok));
                            }
                        }
                        Ok(Ok(None)) => {
                            self.file = File::Over;
                            if let Some(mut sealing) = self.sealing.take() {
                                // The file is on the disk: only now do the last bytes leave.
                                sealing.store_state(RecordState::Whole);
                            }
                            return Poll::Ready(self.held.take().map(Ok));
                        }
                        Ok(Err(_)) | Err(_) => return self.failed(passing, cx),
                    }
                }
                File::Idle(_) => {
                    // With an announced length the end is known before the upstream's end is seen, which a kept-alive
                    // connection may delay.
                    let complete = self.at_end || self.left == Some(0);
                    if !complete {
                        match ready!(self.poll_body(cx)) {
                            Some(Ok(bytes)) => {
                                // More bytes followed, so the held bytes were not the last.
                                let before = self.held.take();
                                let after = self.take(bytes);
                                match (before, after) {
                                    (None, Some(now)) | (Some(now), None) => {
                                        return Poll::Ready(Some(Ok(now)));
                                    }
                                    (Some(before), Some(now)) => {
                                        let both = [&before[..], &now[..]].concat();
                                        return Poll::Ready(Some(Ok(both.into())));
                                    }
                                    (None, None) => continue,
                                }
                            }
                            Some(Err(stopped)) => return Poll::Ready(Some(Err(stopped))),
                            // The response has ended, and its last bytes may still be held: the file is closed first.
                            None => self.at_end = true,
                        }
                    }
                    if let File::Idle(file) = std::mem::replace(&mut self.file, File::Over) {
                        self.close(file);
                    }
                }
                File::Over if self.held.is_some() => return Poll::Ready(self.held.take().map(Ok)),
                File::Over if self.at_end || self.left == Some(0) => return Poll::Ready(None),
                File::Over => return self.poll_body(cx),
            }
        }
    }
}

fn ends_a_stream(bytes: &[u8]) -> bool {
    bytes.starts_with(DONE)
        || memchr::memmem::find(bytes, DONE)
            .is_some_and(|at| at > 0 && bytes.get(at - 1) == Some(&b'\n'))
}

impl<B: Body<Data = Bytes> + Unpin> Body for SealingBody<B> {
    type Data = Bytes;
    type Error = SealingError<B::Error>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, SealingError<B::Error>>>> {
        let this = self.get_mut();
        let next = match this.sealing {
            // Without a record, or after a failure with no byte held back, the body is passed on as it is.
            None if this.held.is_none() => this.poll_body(cx),
            _ => this.poll_sealed(cx),
        };
        next.map(|next| next.map(|bytes| bytes.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The caller or the upstream closed the connection early: the received part is sealed, and the record is stored as cut.
impl<B> Drop for SealingBody<B> {
    fn drop(&mut self) {
        let Some(mut sealing) = self.sealing.take() else {
            return;
        };
        // Not in the task that closes the file: an incomplete record is marked as such even if its file cannot be
        // closed.
        sealing.store_state(RecordState::Cut);
        let record = sealing.record.clone();
        let file = std::mem::replace(&mut self.file, File::Over);
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        match file {
            File::Idle(file) => {
                runtime.spawn_blocking(move || record.close(*file));
            }
            // The task owns the file. It is closed when the task returns it.
            File::Busy(work, _) => {
                runtime.spawn(async move {
                    if let Ok(Ok(Some(file))) = work.await {
                        let _ = spawn_blocking(move || record.close(*file)).await;
                    }
                });
            }
            File::Unopened | File::Over => {}
        }
    }
}
