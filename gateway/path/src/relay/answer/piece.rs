//! Pieces of a message.

use bytes::Bytes;

/// Bytes to be passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::relay) struct Piece {
    pub bytes: Bytes,
    pub place: Place,
}

/// Where a piece stands in its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::relay) enum Place {
    Middle,
    /// The stream's final event is in this piece or before it: a client may stop reading. The upstream's end was not seen
    /// yet.
    Final,
    /// The upstream's end was seen: nothing comes after this piece.
    Last,
}
