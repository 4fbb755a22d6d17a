//! A write timeout for clients that do not read.
//!
//! While a response waits for its client, so does everything that the request holds: its slot, its prompt, its upstream.
//! With [`TimedWrites`] a connection fails if its peer reads too little for too long; the response is dropped then, as if
//! the client had closed the connection.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// This many bytes have to be read by the peer within each period of `timeouts.client_write` in which writes are blocked.
const MIN_PROGRESS: usize = 16 * 1024;

/// A connection whose writes fail if its peer reads too slowly.
#[derive(Debug)]
pub(super) struct TimedWrites<Io> {
    io: Io,
    limit: Duration,
    /// Set while the system accepts less than it is given.
    blocked: Option<Blocked>,
}

#[derive(Debug)]
struct Blocked {
    timer: Pin<Box<Sleep>>,
    taken: usize,
}

impl<Io> TimedWrites<Io> {
    pub fn new(io: Io, limit: Duration) -> Self {
        Self {
            io,
            limit,
            blocked: None,
        }
    }

    /// Updates the timeout after a write of `offered` bytes.
    fn check_progress(
        &mut self,
        written: Poll<io::Result<usize>>,
        offered: usize,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match &written {
            // All of it was accepted: the peer reads at least as fast as we write, and the period starts again with the
            // next blockage.
            Poll::Ready(Ok(taken)) if *taken >= offered => self.blocked = None,
            // A part was accepted. The period continues: otherwise a peer that reads one byte now and then would hold
            // the connection without end.
            Poll::Ready(Ok(taken)) => {
                let limit = self.limit;
                let blocked = self.blocked.get_or_insert_with(|| Blocked::new(limit));
                blocked.taken += taken;
                if blocked.taken >= MIN_PROGRESS {
                    blocked.taken = 0;
                    blocked.timer.as_mut().reset(Instant::now() + limit);
                }
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                let limit = self.limit;
                let blocked = self.blocked.get_or_insert_with(|| Blocked::new(limit));
                // Polled only while the write itself is pending: so the task is woken by whichever comes first, and a
                // connection that has nothing to write cannot time out here.
                if blocked.timer.as_mut().poll(context).is_ready() {
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
            }
        }
        written
    }
}

impl Blocked {
    fn new(limit: Duration) -> Self {
        Self {
            timer: Box::pin(sleep(limit)),
            taken: 0,
        }
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for TimedWrites<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for TimedWrites<Io> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(context, bytes);
        self.check_progress(written, bytes.len(), context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let offered = slices.iter().map(|slice| slice.len()).sum();
        let written = Pin::new(&mut self.io).poll_write_vectored(context, slices);
        self.check_progress(written, offered, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    const SHORT: Duration = Duration::from_millis(100);
    const LONG: Duration = Duration::from_secs(60);

    async fn write(io: &mut TimedWrites<tokio::io::DuplexStream>, bytes: usize) -> io::Result<()> {
        let written = tokio::time::timeout(LONG, io.write_all(&vec![0; bytes])).await;
        written.expect("neither written nor timed out")
    }

    #[tokio::test]
    async fn a_write_fails_if_the_peer_reads_nothing() {
        let (_peer, here) = duplex(1000);
        let mut here = TimedWrites::new(here, SHORT);
        write(&mut here, 1000).await.expect("room");
        let begun = Instant::now();
        let error = write(&mut here, 1).await.expect_err("no room");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() >= SHORT);
    }

    #[tokio::test]
    async fn a_write_fails_if_the_peer_reads_too_little() {
        let (mut peer, here) = duplex(1000);
        let mut here = TimedWrites::new(here, SHORT);
        let reading = tokio::spawn(async move {
            while peer.read_u8().await.is_ok() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        let error = write(&mut here, 1 << 20).await.expect_err("too slow");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        reading.abort();
    }

    #[tokio::test]
    async fn a_slow_peer_that_makes_progress_gets_everything() {
        let (mut peer, here) = duplex(MIN_PROGRESS);
        let limit = Duration::from_secs(2);
        let mut here = TimedWrites::new(here, limit);
        let reading = tokio::spawn(async move {
            let mut part = vec![0; MIN_PROGRESS];
            let mut read = 0;
            while read < 160 * MIN_PROGRESS {
                peer.read_exact(&mut part).await.expect("more");
                read += part.len();
                tokio::time::sleep(Duration::from_millis(15)).await;
            }
        });
        let begun = Instant::now();
        write(&mut here, 160 * MIN_PROGRESS).await.expect("written");
        assert!(begun.elapsed() > limit);
        reading.await.expect("read");
    }

    #[tokio::test]
    async fn the_timeout_restarts_after_a_completed_write() {
        let (mut peer, here) = duplex(1000);
        let mut here = TimedWrites::new(here, SHORT);
        let first = tokio::spawn(async move {
            write(&mut here, 1500).await.expect("written");
            here
        });
        let mut part = vec![0; 1500];
        peer.read_exact(&mut part).await.expect("read");
        let mut here = first.await.expect("written");
        tokio::time::sleep(SHORT * 2).await;
        let begun = Instant::now();
        write(&mut here, 1001).await.expect_err("no room");
        assert!(begun.elapsed() >= SHORT);
    }
}
