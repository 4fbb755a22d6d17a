//! Counts the completed flushes of a connection, to know when bytes were written.
//!
//! The HTTP library has a write buffer and drops it when a response body ends in an error. It flushes the connection below
//! only when that buffer is empty. So when a flush completes there, every byte handed to the library before has been
//! written to the operating system. [`FlushCounter`] counts these flushes, below the library; a response that is to be
//! aborted, or whose receipt hashes what was written, waits for the next one through [`Flushes`].

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The number of completed flushes of a connection. Clones belong to the same connection.
#[derive(Clone, Default)]
pub struct Flushes(Option<Arc<FlushCount>>);

#[derive(Default)]
struct FlushCount {
    /// Acquire and release: a reader that sees a flush also sees everything that was done before it.
    completed: AtomicU64,
    /// The response that waits. One is enough: the requests of a connection are served one after another.
    waiting: AtomicWaker,
}

impl Flushes {
    /// For a connection behind [`FlushCounter`].
    pub fn counted() -> Self {
        Self(Some(Arc::default()))
    }

    /// How many flushes have completed; 0 without a counter.
    pub fn completed(&self) -> u64 {
        let count = self.0.as_ref();
        count.map_or(0, |count| count.completed.load(Ordering::Acquire))
    }

    /// Ready once more than `before` flushes have completed; at once without a counter.
    pub fn poll_after(&self, before: u64, cx: &mut Context<'_>) -> Poll<()> {
        let Some(count) = &self.0 else {
            return Poll::Ready(());
        };
        // Registered first, so that a flush between the check and the return is not missed.
        count.waiting.register(cx.waker());
        if count.completed.load(Ordering::Acquire) > before {
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// Whether there is a counter.
    pub fn are_counted(&self) -> bool {
        self.0.is_some()
    }

    fn complete(&self) {
        if let Some(count) = &self.0 {
            // Counted before the response is woken: woken first, it could find the old number, register again and wait
            // for a flush that may never come.
            count.completed.fetch_add(1, Ordering::AcqRel);
            count.waiting.wake();
        }
    }
}

/// A connection whose completed flushes are counted.
pub struct FlushCounter<Io> {
    io: Io,
    flushes: Flushes,
}

impl<Io> FlushCounter<Io> {
    pub fn new(io: Io, flushes: Flushes) -> Self {
        Self { io, flushes }
    }

    pub fn into_inner(self) -> Io {
        self.io
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for FlushCounter<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for FlushCounter<Io> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        // A pending flush leaves bytes in TLS or in the socket's way, and a failed one loses them: neither says that
        // anything was written.
        if matches!(flushed, Poll::Ready(Ok(()))) {
            self.flushes.complete();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::task::noop_waker;
    use tokio::io::AsyncWriteExt;

    #[tokio::test]
    async fn a_wait_ends_with_the_next_completed_flush() {
        let (_there, here) = tokio::io::duplex(64);
        let flushes = Flushes::counted();
        let mut here = FlushCounter::new(here, flushes.clone());
        let waker = noop_waker();
        let mut cx = Context::from_waker(&waker);
        let before = flushes.completed();
        here.write_all(b"bytes").await.expect("written");
        assert!(flushes.poll_after(before, &mut cx).is_pending());
        here.flush().await.expect("flushed");
        assert!(flushes.poll_after(before, &mut cx).is_ready());
        assert!(
            flushes
                .poll_after(flushes.completed(), &mut cx)
                .is_pending()
        );
    }

    #[test]
    fn without_a_counter_no_response_waits_for_a_flush() {
        let waker = noop_waker();
        let mut cx = Context::from_waker(&waker);
        assert!(Flushes::default().poll_after(7, &mut cx).is_ready());
    }
}
