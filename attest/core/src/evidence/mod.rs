//! Evidence on its way from bytes to something one may rely on.
//!
//! [`UnverifiedEvidence`] is bytes anyone may hand over. [`VerifiedEvidence`] is what hardware
//! vouched for, at a stated time, under stated roots; only verification makes it. It does not say
//! that what was vouched for is wanted: that is the policy's to say, and a
//! [`TrustedPeer`](crate::TrustedPeer) is what comes of it.

mod cache;
mod unverified;
mod verified;

pub use cache::EndorsementCache;
pub use unverified::UnverifiedEvidence;
pub use verified::VerifiedEvidence;
