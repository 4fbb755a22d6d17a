//! Certificates and lists as AMD and NVIDIA sign them, checked with ring.
//!
//! Intel's chains go through the library that verifies its quotes; these vendors' hierarchies have
//! fixed shapes of three and five links that are walked link by link. Refused: any other signature
//! algorithm than the two of [`SignedObjectError::Algorithm`]'s key kinds, and trailing bytes.

mod certificate;
pub(crate) mod der;
mod signed;
mod validity;

pub use certificate::X509Error;
pub(crate) use certificate::{Certificate, unix};
pub use signed::SignedObjectError;
pub(crate) use signed::{IssuerKey, SignedObject};
pub(crate) use validity::Validities;
