//! Connections whose read buffers contain no old bytes while idle.
//!
//! A TLS session and an HTTP/1 connection each read into a buffer that lives as long as the
//! connection. Bytes that were read and consumed stay in it until later ones overwrite them. The
//! reader passes the unused part of its buffer down with every read. This wrapper, used both under
//! and over TLS, fills that part with zeros when there is nothing to read, at the end of the stream
//! and after an error. So the buffers of a connection that waits for its next request are scrubbed.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::control::nothing_is_wiped;

/// A connection that scrubs its reader's buffer when it goes idle.
#[derive(Debug)]
pub struct Scrubbed<Io> {
    io: Io,
    /// The part that was scrubbed last, unless bytes were read since.
    clean: Option<Place>,
    /// Whether all written bytes were flushed.
    flushed: bool,
}

/// The address range of a part of a buffer; compared only, never read through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    address: usize,
    length: usize,
}

impl Place {
    fn unused_of(buffer: &ReadBuf<'_>) -> Self {
        let filled = buffer.filled();
        Self {
            address: filled.as_ptr().addr() + filled.len(),
            length: buffer.remaining(),
        }
    }
}

impl<Io> Scrubbed<Io> {
    /// Wraps a connection.
    pub const fn new(io: Io) -> Self {
        Self {
            io,
            clean: None,
            flushed: true,
        }
    }

    /// Whether everything that was written has been flushed since.
    pub const fn is_flushed(&self) -> bool {
        self.flushed
    }

    /// The connection inside.
    pub const fn get_ref(&self) -> &Io {
        &self.io
    }

    /// Removes the wrapper.
    pub fn into_inner(self) -> Io {
        self.io
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Scrubbed<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(context, buffer);
        let got_bytes = matches!(read, Poll::Ready(Ok(()))) && buffer.filled().len() > before;
        // Pending, end of stream or an error: what is unused now stays so until the next bytes come.
        if got_bytes {
            self.clean = None;
        } else if !nothing_is_wiped() {
            self.scrub(buffer);
        }
        ready!(read)?;
        Poll::Ready(Ok(()))
    }
}

impl<Io> Scrubbed<Io> {
    /// A connection is polled many times while it is idle. A scrubbed part is still clean if it is at the same
    /// address and nothing was read since; a buffer that was freed and allocated again in between was wiped by the
    /// allocator.
    fn scrub(&mut self, buffer: &mut ReadBuf<'_>) {
        let unused = Place::unused_of(buffer);
        if self.clean == Some(unused) {
            return;
        }
        let written = buffer.initialized().len() - buffer.filled().len();
        // The part that was never written is initialized here, which fills it with zeros.
        let (written, _) = buffer.initialize_unfilled().split_at_mut(written);
        written.fill(0);
        self.clean = Some(unused);
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Scrubbed<Io> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.flushed = false;
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.flushed = false;
        Pin::new(&mut self.io).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(context);
        self.flushed = matches!(flushed, Poll::Ready(Ok(())));
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::io::AsyncWriteExt;

    async fn read_once(io: &mut (impl AsyncRead + Unpin), buffer: &mut ReadBuf<'_>) -> bool {
        poll_fn(|context| Poll::Ready(Pin::new(&mut *io).poll_read(context, buffer).is_ready()))
            .await
    }

    #[tokio::test]
    async fn an_idle_read_overwrites_the_unused_buffer_with_zeros() {
        let (mut there, here) = tokio::io::duplex(64);
        let mut here = Scrubbed::new(here);
        let mut storage = [0xA5; 32];
        let mut buffer = ReadBuf::new(&mut storage);
        there.write_all(b"prompt").await.unwrap();
        assert!(read_once(&mut here, &mut buffer).await);
        assert_eq!(buffer.filled(), b"prompt");
        assert!(
            !read_once(&mut here, &mut buffer).await,
            "nothing more to read"
        );
        assert_eq!(storage[..6], *b"prompt");
        assert_eq!(storage[6..], [0; 26]);
    }

    #[tokio::test]
    async fn scrubs_a_buffer_again_only_if_it_may_have_changed() {
        let (mut there, here) = tokio::io::duplex(64);
        let mut here = Scrubbed::new(here);
        let mut storage = [0xA5; 32];
        let idle = async |here: &mut Scrubbed<_>, buffer: &mut ReadBuf<'_>| {
            assert!(!read_once(here, buffer).await, "nothing to read");
        };
        idle(&mut here, &mut ReadBuf::new(&mut storage)).await;
        assert_eq!(storage, [0; 32]);

        // The connection cannot know that it was written to.
        storage = [0x5A; 32];
        idle(&mut here, &mut ReadBuf::new(&mut storage)).await;
        assert_eq!(storage, [0x5A; 32], "it was scrubbed for nothing");

        // Another part of it.
        idle(&mut here, &mut ReadBuf::new(&mut storage[8..])).await;
        assert_eq!(storage[8..], [0; 24]);

        // The first part again: it is scrubbed again, since other parts were used in between.
        idle(&mut here, &mut ReadBuf::new(&mut storage)).await;
        assert_eq!(storage, [0; 32]);

        // Bytes were read into it and consumed.
        there.write_all(b"prompt").await.unwrap();
        assert!(read_once(&mut here, &mut ReadBuf::new(&mut storage)).await);
        assert_eq!(storage[..6], *b"prompt");
        idle(&mut here, &mut ReadBuf::new(&mut storage)).await;
        assert_eq!(storage, [0; 32]);
    }

    #[tokio::test]
    async fn is_flushed_after_a_flush_only() {
        let (_there, here) = tokio::io::duplex(4);
        let mut here = Scrubbed::new(here);
        assert!(here.is_flushed(), "nothing was written");
        assert_eq!(here.write(b"head").await.unwrap(), 4);
        assert!(!here.is_flushed());
        here.flush().await.unwrap();
        assert!(here.is_flushed());
        // There is no room for more.
        let full = poll_fn(|context| {
            Poll::Ready(
                Pin::new(&mut here)
                    .poll_write(context, b"more")
                    .is_pending(),
            )
        });
        assert!(full.await);
        assert!(!here.is_flushed());
    }

    #[tokio::test]
    async fn memory_that_was_never_written_to_is_initialized_with_zeros() {
        let (_there, here) = tokio::io::duplex(64);
        let mut here = Scrubbed::new(here);
        let mut storage = [std::mem::MaybeUninit::new(0xA5); 16];
        let mut buffer = ReadBuf::uninit(&mut storage);
        buffer.put_slice(b"kept");
        assert!(!read_once(&mut here, &mut buffer).await);
        assert_eq!(buffer.filled(), b"kept");
        assert_eq!(buffer.initialized()[4..], [0; 12]);
    }

    #[tokio::test]
    async fn the_end_of_the_stream_scrubs_as_well() {
        let (there, here) = tokio::io::duplex(64);
        let mut here = Scrubbed::new(here);
        drop(there);
        let mut storage = [0xA5; 8];
        let mut buffer = ReadBuf::new(&mut storage);
        assert!(read_once(&mut here, &mut buffer).await);
        assert_eq!(storage, [0; 8]);
    }
}
