//! Certificates and lists as Intel, AMD and NVIDIA sign them, read here and checked with ring.
//!
//! PEM, certificates and signed objects have one reader each, for all vendors. The hierarchies have
//! fixed shapes of two to five links that each vendor's module walks link by link. Refused: any other
//! signature algorithm than the three of [`SignedObjectError::Algorithm`]'s key kinds, and trailing
//! bytes.

mod certificate;
mod crl;
pub(crate) mod der;
pub(crate) mod pem;
mod signed;
mod strict;
mod strict_certificate;
mod summary;
mod validity;

pub use certificate::X509Error;
pub(crate) use certificate::{Certificate, unix};
pub(crate) use crl::RevocationList;
pub use crl::RevocationListError;
pub use pem::PemError;
pub use signed::SignedObjectError;
pub(crate) use signed::{IssuerKey, SignedObject};
pub(crate) use strict::common_name;
pub(crate) use strict_certificate::StrictCertificate;
pub use summary::{CertificateSummary, RevocationListSummary};
pub(crate) use validity::Validities;
