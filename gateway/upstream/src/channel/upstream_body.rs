//! A response body from any kind of upstream, without a box around each.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::connector::Unattested;
use attest_channel::AttestedBody;
use attest_channel::transport::LeasedBody;

/// The rest of an upstream's response. Dropped early, it closes the connection, so that the upstream stops working.
pub enum UpstreamBody {
    Enclave(AttestedBody),
    Unattested(LeasedBody<Unattested>),
}

/// The response ended before it was complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the upstream's response is incomplete")]
pub struct IncompleteBody;

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = IncompleteBody;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, IncompleteBody>>> {
        match self.get_mut() {
            UpstreamBody::Enclave(body) => Pin::new(body)
                .poll_frame(cx)
                .map(|next| next.map(|frame| frame.map_err(|_| IncompleteBody))),
            UpstreamBody::Unattested(body) => Pin::new(body)
                .poll_frame(cx)
                .map(|next| next.map(|frame| frame.map_err(|_| IncompleteBody))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            UpstreamBody::Enclave(body) => body.is_end_stream(),
            UpstreamBody::Unattested(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            UpstreamBody::Enclave(body) => body.size_hint(),
            UpstreamBody::Unattested(body) => body.size_hint(),
        }
    }
}
