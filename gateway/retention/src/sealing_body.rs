//! A response on its way through, sealed as it passes.
//!
//! Bytes go on only after they were handed to the sealed file, and the last of them only when the whole file is on the
//! disk: a response is complete where its record is. What follows a failure is the policy's to say: the response is
//! broken off, or goes on unrecorded, and the receipt says so.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use attest_core::retention::OnFailure;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::task::{JoinHandle, spawn_blocking};

use super::age::SealError;
use super::records::{Part, Record, SealedFile};
use gateway_store::ledger::RecordState;

/// What marks the last event of a stream in every dialect we relay.
const DONE: &[u8] = b"data: [DONE]";

/// Says whether something of a request could not be kept.
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

/// A record with its request sealed, waiting for the response.
pub struct SealingRecord {
    record: Arc<Record>,
    on_failure: OnFailure,
    unkept: RetentionFailure,
    ended: bool,
}

/// Why a response went no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealingError<E> {
    /// The body itself went no further.
    Upstream(E),
    /// What the policy demands could not be kept.
    NotSealed,
}

impl SealingRecord {
    /// Seals the request. `bytes` are let go of when they are sealed.
    pub async fn begin(
        record: Record,
        bytes: Bytes,
        on_failure: OnFailure,
        unkept: RetentionFailure,
    ) -> Result<Self, SealError> {
        let record = Arc::new(record);
        let tape = Self {
            record: record.clone(),
            on_failure,
            unkept,
            ended: false,
        };
        let sealing = spawn_blocking(move || {
            let mut file = record.open(Part::Request)?;
            file.write(&bytes)?;
            drop(bytes);
            record.close(file)
        });
        sealing.await.map_err(|_| SealError::Crypto)??;
        Ok(tape)
    }

    fn note(&mut self, state: RecordState) {
        self.ended = true;
        let record = self.record.clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { record.note(state).await });
        }
    }
}

/// No response followed.
impl Drop for SealingRecord {
    fn drop(&mut self) {
        if !self.ended {
            self.note(RecordState::Refused);
        }
    }
}

type Written = Result<Option<Box<SealedFile>>, SealError>;

/// Where the response's file is.
enum File {
    /// Not there yet.
    Unopened,
    /// In a box: most responses have no file, and this one is moved at every write.
    Idle(Box<SealedFile>),
    /// Being written to; what is to go on afterwards.
    Busy(JoinHandle<Written>, Option<Bytes>),
    /// Complete, or given up.
    Over,
}

/// The body of a response, recorded where there is a tape.
pub struct SealingBody<B> {
    body: B,
    tape: Option<SealingRecord>,
    file: File,
    /// Bytes still to come, where the head said.
    left: Option<u64>,
    /// The last bytes, until the record is complete.
    held: Option<Bytes>,
    at_end: bool,
}

impl<B: Body<Data = Bytes> + Unpin> SealingBody<B> {
    pub fn new(body: B, tape: Option<SealingRecord>) -> Self {
        Self {
            left: body.size_hint().exact(),
            body,
            tape,
            file: File::Unopened,
            held: None,
            at_end: false,
        }
    }

    /// The body that is recorded.
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

    /// Hands bytes to the file; those that only fill its buffer cost nothing.
    fn take(&mut self, bytes: Bytes) -> Option<Bytes> {
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(bytes.len() as u64);
        }
        let is_last = self.left == Some(0) || ends_a_stream(&bytes);
        let file = std::mem::replace(&mut self.file, File::Over);
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
                // Without a write there is nothing that could fail; a task tells of it like of a write.
                Err(error) => File::Busy(spawn_blocking(move || Err(error)), Some(bytes)),
            },
            File::Idle(mut file) => {
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
        let Some(tape) = &self.tape else { return };
        let record = tape.record.clone();
        let work = spawn_blocking(move || record.close(*file).map(|()| None));
        self.file = File::Busy(work, None);
    }

    /// What a failed write means under this policy.
    fn failed(
        &mut self,
        passing: Option<Bytes>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, SealingError<B::Error>>>> {
        self.file = File::Over;
        let Some(mut tape) = self.tape.take() else {
            return Poll::Ready(passing.map(Ok));
        };
        tape.unkept.mark();
        tape.note(RecordState::Failed);
        match tape.on_failure {
            OnFailure::Refuse => Poll::Ready(Some(Err(SealingError::NotSealed))),
            OnFailure::Serve => match passing.or_else(|| self.held.take()) {
                Some(bytes) => Poll::Ready(Some(Ok(bytes))),
                None if self.at_end => Poll::Ready(None),
                None => self.poll_body(cx),
            },
        }
    }

    fn open(&mut self) {
        let Some(tape) = &self.tape else { return };
        let record = tape.record.clone();
        let work = spawn_blocking(move || Ok(Some(Box::new(record.open(Part::Response)?))));
        self.file = File::Busy(work, None);
    }

    fn poll_recorded(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, SealingError<B::Error>>>> {
        loop {
            match &mut self.file {
                File::Unopened => self.open(),
                File::Busy(work, passing) => {
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
                            if let Some(mut tape) = self.tape.take() {
                                tape.note(RecordState::Whole);
                            }
                            return Poll::Ready(self.held.take().map(Ok));
                        }
                        Ok(Err(_)) | Err(_) => return self.failed(passing, cx),
                    }
                }
                File::Idle(_) => {
                    let complete = self.at_end || self.left == Some(0);
                    if !complete {
                        match ready!(self.poll_body(cx)) {
                            Some(Ok(bytes)) => {
                                // Whatever was held was not the end.
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
        let next = match this.tape {
            None if this.held.is_none() => this.poll_body(cx),
            _ => this.poll_recorded(cx),
        };
        next.map(|next| next.map(|bytes| bytes.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The caller hung up, or the upstream broke off: what there was is sealed, and the record says that it is not all.
impl<B> Drop for SealingBody<B> {
    fn drop(&mut self) {
        let Some(mut tape) = self.tape.take() else {
            return;
        };
        tape.note(RecordState::Cut);
        let record = tape.record.clone();
        let file = std::mem::replace(&mut self.file, File::Over);
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        match file {
            File::Idle(file) => {
                runtime.spawn_blocking(move || record.close(*file));
            }
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
