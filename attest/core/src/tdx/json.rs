//! Members of Intel's signed JSON, each by its name and type.
//!
//! The text is parsed once, by the crate's strict parser, which takes no member twice. What Intel has
//! added since is collected under its name: it is signed, and nothing here depends on it.

use std::collections::BTreeSet;

use super::status::TcbStatus;
use crate::json::{self, JsonError, MemberError, Tree};
use crate::time::UnixTime;

/// TCB info with all its levels is near 20 KiB.
const MAX_TEXT_LEN: usize = 1 << 20;

/// Why a text is not TCB info or QE identity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignedTextError {
    /// Not strict JSON.
    #[error("{0}")]
    Json(JsonError),
    /// A member is missing, or is not what Intel specifies.
    #[error("{0} is missing or malformed")]
    Member(&'static str),
    /// A version of the format that this verifier does not know.
    #[error("version {0} is not supported")]
    Version(u64),
    /// A kind of TCB that this verifier cannot compare.
    #[error("TCB type {0} is not supported")]
    TcbType(u64),
    /// A status that Intel does not use there.
    #[error("\"{status}\" is no status of {member}")]
    Status {
        /// Where.
        member: &'static str,
        /// The status.
        status: String,
    },
    /// Two levels, or two modules, that nothing tells apart.
    #[error("two entries of {0} are about the same")]
    Ambiguous(&'static str),
}

/// The members that were not known, with the object they stand in.
#[derive(Debug, Default)]
pub(super) struct Unknown(BTreeSet<String>);

impl Unknown {
    pub(super) fn into_names(self) -> Vec<String> {
        self.0.into_iter().collect()
    }
}

/// The members of one of Intel's objects.
pub(super) type Object<'v> = json::Members<'v, SignedTextError, Tree<'v>>;

impl From<MemberError> for SignedTextError {
    fn from(error: MemberError) -> Self {
        Self::Member(match error.member {
            "" => error.object,
            member => member,
        })
    }
}

pub(super) fn parse(text: &str) -> Result<Tree<'_>, SignedTextError> {
    json::parse_borrowed(text.as_bytes(), MAX_TEXT_LEN).map_err(SignedTextError::Json)
}

pub(super) fn object<'v>(
    value: &'v Tree<'v>,
    name: &'static str,
    known: &[&str],
    unknown: &mut Unknown,
) -> Result<Object<'v>, SignedTextError> {
    let object = Object::new(value, name)?;
    let names = object.unknown(known);
    unknown
        .0
        .extend(names.map(|member| format!("{name}.{member}")));
    Ok(object)
}

/// What every level says besides what it is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Assessment {
    pub(crate) status: TcbStatus,
    pub(crate) date: UnixTime,
    pub(crate) advisories: Vec<String>,
}

/// The members that each level has.
pub(super) const LEVEL: [&str; 4] = ["tcb", "tcbDate", "tcbStatus", "advisoryIDs"];

impl Assessment {
    pub(super) fn read(
        level: Object<'_>,
        member: &'static str,
        statuses: &[TcbStatus],
    ) -> Result<Self, SignedTextError> {
        let word = level.string("tcbStatus")?;
        let status = TcbStatus::parse(word).filter(|status| statuses.contains(status));
        let status = status.ok_or_else(|| SignedTextError::Status {
            member,
            status: word.to_owned(),
        })?;
        let advisories = match level.get("advisoryIDs") {
            None => Vec::new(),
            Some(_) => level.strings("advisoryIDs")?,
        };
        Ok(Self {
            status,
            date: level.rfc3339("tcbDate")?,
            advisories,
        })
    }
}
