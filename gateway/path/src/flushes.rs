//! Knowing that a connection has written what it was handed.
//!
//! The HTTP library keeps a write buffer of its own and drops it when a response body ends in an error. It flushes the
//! connection below only when that buffer is empty, so each flush that completes there means: every byte handed over
//! before has been written to the operating system. [`CountsFlushes`] counts those, below the library; a response
//! that is to be broken off, or whose receipt says what was sent, waits for the next one through [`Flushes`].

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How often a connection has been flushed. Clones are of the same connection.
#[derive(Clone, Default)]
pub struct Flushes(Option<Arc<Counted>>);

#[derive(Default)]
struct Counted {
    completed: AtomicU64,
    /// The one response that waits. Requests of a connection are served one after another.
    waiting: AtomicWaker,
}

impl Flushes {
    /// For a connection behind [`CountsFlushes`].
    pub fn counted() -> Self {
        Self(Some(Arc::default()))
    }

    /// How many flushes have completed; none where nothing counts them.
    pub fn completed(&self) -> u64 {
        let counted = self.0.as_ref();
        counted.map_or(0, |counted| counted.completed.load(Ordering::Acquire))
    }

    /// Ready once more than `before` flushes have completed; at once where nothing counts them.
    pub fn poll_after(&self, before: u64, cx: &mut Context<'_>) -> Poll<()> {
        let Some(counted) = &self.0 else {
            return Poll::Ready(());
        };
        // Registered first, so that a flush between the check and the return is not missed.
        counted.waiting.register(cx.waker());
        if counted.completed.load(Ordering::Acquire) > before {
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// Whether anything counts them.
    pub fn are_counted(&self) -> bool {
        self.0.is_some()
    }

    fn complete(&self) {
        if let Some(counted) = &self.0 {
            counted.completed.fetch_add(1, Ordering::AcqRel);
            counted.waiting.wake();
        }
    }
}

/// A connection whose completed flushes are counted.
pub struct CountsFlushes<Io> {
    io: Io,
    flushes: Flushes,
}

impl<Io> CountsFlushes<Io> {
    pub fn new(io: Io, flushes: Flushes) -> Self {
        Self { io, flushes }
    }

    pub fn into_inner(self) -> Io {
        self.io
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for CountsFlushes<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for CountsFlushes<Io> {
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
    async fn a_wait_ends_with_the_next_completed_flush_and_not_before() {
        let (_there, here) = tokio::io::duplex(64);
        let flushes = Flushes::counted();
        let mut here = CountsFlushes::new(here, flushes.clone());
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
    fn where_nothing_is_counted_nothing_waits() {
        let waker = noop_waker();
        let mut cx = Context::from_waker(&waker);
        assert!(Flushes::default().poll_after(7, &mut cx).is_ready());
    }
}
