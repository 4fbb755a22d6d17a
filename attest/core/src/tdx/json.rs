//! Members of Intel's signed JSON, each by its name and type.
//!
//! The text is parsed once, by the crate's strict parser, which takes no member twice. What Intel has
//! added since is collected under its name: it is signed, and nothing here depends on it.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::status::TcbStatus;
use crate::encoding::parse_hex;
use crate::json::{self, JsonError};
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

/// One JSON object.
#[derive(Clone, Copy)]
pub(super) struct Object<'v>(&'v Map<String, Value>);

pub(super) fn parse(text: &str) -> Result<Value, SignedTextError> {
    json::parse(text.as_bytes(), MAX_TEXT_LEN).map_err(SignedTextError::Json)
}

pub(super) fn object<'v>(
    value: &'v Value,
    name: &'static str,
    known: &[&str],
    unknown: &mut Unknown,
) -> Result<Object<'v>, SignedTextError> {
    let members = value.as_object().ok_or(SignedTextError::Member(name))?;
    for member in members.keys() {
        if !known.contains(&member.as_str()) {
            unknown.0.insert(format!("{name}.{member}"));
        }
    }
    Ok(Object(members))
}

impl<'v> Object<'v> {
    pub(super) fn optional(self, name: &'static str) -> Option<&'v Value> {
        self.0.get(name)
    }

    pub(super) fn member(self, name: &'static str) -> Result<&'v Value, SignedTextError> {
        self.optional(name).ok_or(SignedTextError::Member(name))
    }

    pub(super) fn text(self, name: &'static str) -> Result<&'v str, SignedTextError> {
        let text = self.member(name)?.as_str();
        text.ok_or(SignedTextError::Member(name))
    }

    pub(super) fn number<T: TryFrom<u64>>(self, name: &'static str) -> Result<T, SignedTextError> {
        let number = self.member(name)?.as_u64();
        let number = number.and_then(|number| T::try_from(number).ok());
        number.ok_or(SignedTextError::Member(name))
    }

    pub(super) fn date(self, name: &'static str) -> Result<UnixTime, SignedTextError> {
        UnixTime::parse_rfc3339(self.text(name)?).map_err(|_| SignedTextError::Member(name))
    }

    /// Hexadecimal in either case, as Intel writes it.
    pub(super) fn hex<const N: usize>(
        self,
        name: &'static str,
    ) -> Result<[u8; N], SignedTextError> {
        let text = self.text(name)?.to_ascii_lowercase();
        parse_hex(&text).map_err(|_| SignedTextError::Member(name))
    }

    /// A list that is not empty.
    pub(super) fn list(self, name: &'static str) -> Result<&'v [Value], SignedTextError> {
        let list = self.member(name)?.as_array().map(Vec::as_slice);
        let list = list.filter(|list| !list.is_empty());
        list.ok_or(SignedTextError::Member(name))
    }
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
        let word = level.text("tcbStatus")?;
        let status = TcbStatus::parse(word).filter(|status| statuses.contains(status));
        let status = status.ok_or_else(|| SignedTextError::Status {
            member,
            status: word.to_owned(),
        })?;
        let advisories = match level.optional("advisoryIDs") {
            None => Vec::new(),
            Some(list) => {
                let malformed = SignedTextError::Member("advisoryIDs");
                let list = list.as_array().ok_or(malformed.clone())?;
                let texts = list.iter().map(|it| it.as_str().map(str::to_owned));
                texts.collect::<Option<_>>().ok_or(malformed)?
            }
        };
        Ok(Self {
            status,
            date: level.date("tcbDate")?,
            advisories,
        })
    }
}
