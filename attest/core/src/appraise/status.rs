//! What the verification of one piece of evidence showed: all facts genuine, only those the hardware signed, or none.

use crate::time::UnixTime;
use crate::verdict::Why;

/// What verification showed of some evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum VerificationStatus {
    /// All facts are genuine until this second.
    Genuine { valid_until: UnixTime },
    /// Genuine is what the guest's hardware signed; not what the vendor says of the platform.
    SignedOnly(Why),
    /// No fact is shown to be genuine.
    Unproven(Why),
}
