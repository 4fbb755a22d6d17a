//! Intel's two revocation lists: the root's and the PCK authority's.

use crate::x509::{RevocationList, RevocationListError, SignedObjectError};

use super::chain::{ChainError, Role};
use crate::x509::StrictCertificate as Certificate;

/// Which revocation list something is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum List {
    /// The root's: of PCK authorities, signers, and the root itself.
    Root,
    /// A PCK authority's: of PCK certificates.
    Pck,
}

impl List {
    /// What people call it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root revocation list",
            Self::Pck => "PCK revocation list",
        }
    }
}

/// Why a revocation list says nothing about certificates.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CrlError {
    /// It cannot be read.
    #[error("{}: {error}", list.as_str())]
    Format {
        /// Which.
        list: List,
        /// Why.
        error: RevocationListError,
    },
    /// It is not signed by its authority.
    #[error("{}: {error}", list.as_str())]
    Signature {
        /// Which.
        list: List,
        /// What is wrong with it.
        error: SignedObjectError,
    },
    /// The chain of its authority does not lead to the root.
    #[error("the PCK revocation list's authority: {0}")]
    IssuerChain(ChainError),
    /// It is the list of another authority than the one that issued the PCK certificate.
    #[error("the PCK revocation list is not of the authority that issued the PCK certificate")]
    OtherAuthority,
}

/// A revocation list whose signature leads to the root. Whether it is current is checked at every
/// use.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct AuthenticCrl {
    /// The authority's name and public key, DER.
    authority: (Vec<u8>, Vec<u8>),
    /// In ascending order.
    revoked: Vec<Vec<u8>>,
}

impl AuthenticCrl {
    pub(crate) fn authenticate(
        which: List,
        list: RevocationList<'_>,
        authority: &Certificate<'_>,
    ) -> Result<Self, CrlError> {
        let signed = list.verify_issued_by(authority);
        signed.map_err(|error| CrlError::Signature { list: which, error })?;
        let mut revoked = list.revoked;
        revoked.sort_unstable();
        Ok(Self {
            authority: authority.name_and_key(),
            revoked,
        })
    }

    /// Whether the list is of this authority.
    pub(crate) fn is_of(&self, authority: &(Vec<u8>, Vec<u8>)) -> bool {
        self.authority == *authority
    }

    /// The first of these certificates, by serial number, that was revoked.
    pub(crate) fn first_revoked<'s>(
        &self,
        certificates: impl IntoIterator<Item = (Role, &'s Vec<u8>)>,
    ) -> Option<Role> {
        let mut certificates = certificates.into_iter();
        let found = certificates.find(|(_, serial)| self.revoked.binary_search(serial).is_ok());
        found.map(|(role, _)| role)
    }
}
