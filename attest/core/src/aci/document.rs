//! The error that all artifacts share: what is wrong with which member.

use super::API_VERSION;
use crate::{
    digest::Sha256Digest,
    encoding::EncodingError,
    json::{self, JsonError, MemberError, MemberProblem},
};

/// Why a JSON document is not the artifact it should be. `field` is a dotted path of member names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Not strict JSON, or longer than this artifact may be.
    #[error("{0}")]
    Json(#[from] JsonError),
    /// A member that must be there is not.
    #[error("{field} is missing")]
    Missing {
        /// Which.
        field: String,
    },
    /// A member of another JSON type than the artifact has there.
    #[error("{field} is not {expected}")]
    WrongType {
        /// Which.
        field: String,
        /// What was wanted, with its article.
        expected: &'static str,
    },
    /// A member in an object whose shape is fixed.
    #[error("{field} is not a member of this object")]
    UnknownMember {
        /// Which.
        field: String,
    },
    /// A string whose encoding has another, canonical, spelling, or none.
    #[error("{field}: {error}")]
    Encoding {
        /// Which.
        field: String,
        /// What is wrong with it.
        error: EncodingError,
    },
    /// A value outside the set that the specification enumerates.
    #[error("{field} has the unknown value {found:?}")]
    UnknownValue {
        /// Which.
        field: String,
        /// What it says.
        found: String,
    },
    /// A string that may not be empty.
    #[error("{field} is empty")]
    Empty {
        /// Which.
        field: String,
    },
    /// An artifact of another protocol version (appendix B).
    #[error("api_version is {found:?}, not \"aci/1\"")]
    Version {
        /// What it says.
        found: String,
    },
}

/// The members of one object of an artifact.
pub(crate) type Members<'a> = json::Members<'a, DocumentError>;

impl From<MemberError> for DocumentError {
    fn from(error: MemberError) -> Self {
        let field = error.path();
        match error.problem {
            MemberProblem::Missing => Self::Missing { field },
            MemberProblem::WrongType(expected) => Self::WrongType {
                field,
                expected: expected.as_str(),
            },
            MemberProblem::Unknown(_) => Self::UnknownMember { field },
            MemberProblem::Empty => Self::Empty { field },
            MemberProblem::Encoding(error) => Self::Encoding { field, error },
            MemberProblem::UnknownValue(found) => Self::UnknownValue { field, found },
        }
    }
}

impl Members<'_> {
    pub(crate) fn digest(&self, member: &'static str) -> Result<Sha256Digest, DocumentError> {
        self.encoded(member, Sha256Digest::parse)
    }

    /// Checks `api_version`.
    pub(crate) fn version(&self) -> Result<(), DocumentError> {
        match self.string("api_version")? {
            API_VERSION => Ok(()),
            other => Err(DocumentError::Version {
                found: other.to_owned(),
            }),
        }
    }
}
