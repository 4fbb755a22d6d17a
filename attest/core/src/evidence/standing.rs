//! How far evidence got.

use crate::time::UnixTime;
use crate::verdict::Why;

/// How much of the facts of some evidence may be relied on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// All of them, until this second.
    Genuine { valid_until: UnixTime },
    /// What the guest's hardware signed; not what the vendor says of the platform.
    SignedOnly(Why),
    /// None of them.
    Unproven(Why),
}
