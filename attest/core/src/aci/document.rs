//! Reading members out of parsed JSON, each refusal naming the member it is about.

use serde_json::{Map, Value};

use super::API_VERSION;
use crate::{
    digest::Sha256Digest,
    encoding::{EncodingError, parse_hex},
    json::JsonError,
    time::UnixTime,
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

/// The members of one object, remembering where in the document it stands.
#[derive(Clone, Copy)]
pub(crate) struct Members<'a> {
    path: &'static str,
    map: &'a Map<String, Value>,
}

type Read<T> = Result<T, DocumentError>;

impl<'a> Members<'a> {
    /// The members of `value`; `path` is empty for the document itself.
    pub(crate) fn new(value: &'a Value, path: &'static str) -> Read<Self> {
        match value {
            Value::Object(map) => Ok(Self { path, map }),
            _ => Err(DocumentError::WrongType {
                field: if path.is_empty() { "document" } else { path }.to_owned(),
                expected: "an object",
            }),
        }
    }

    pub(crate) fn field(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    fn wrong_type<T>(&self, name: &str, expected: &'static str) -> Read<T> {
        Err(DocumentError::WrongType {
            field: self.field(name),
            expected,
        })
    }

    pub(crate) fn unknown_value<T>(&self, name: &str, found: &str) -> Read<T> {
        Err(DocumentError::UnknownValue {
            field: self.field(name),
            found: found.to_owned(),
        })
    }

    /// Refuses every member that is not in `known`.
    pub(crate) fn only(&self, known: &[&str]) -> Read<()> {
        match self.map.keys().find(|name| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => Err(DocumentError::UnknownMember {
                field: self.field(name),
            }),
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name)
    }

    pub(crate) fn required(&self, name: &str) -> Read<&'a Value> {
        self.get(name).ok_or_else(|| DocumentError::Missing {
            field: self.field(name),
        })
    }

    pub(crate) fn object(&self, name: &str, path: &'static str) -> Read<Members<'a>> {
        Members::new(self.required(name)?, path)
    }

    pub(crate) fn array(&self, name: &str) -> Read<&'a [Value]> {
        match self.required(name)? {
            Value::Array(items) => Ok(items),
            _ => self.wrong_type(name, "an array"),
        }
    }

    pub(crate) fn string(&self, name: &str) -> Read<&'a str> {
        match self.required(name)? {
            Value::String(text) => Ok(text),
            _ => self.wrong_type(name, "a string"),
        }
    }

    pub(crate) fn non_empty_string(&self, name: &str) -> Read<&'a str> {
        match self.string(name)? {
            "" => Err(DocumentError::Empty {
                field: self.field(name),
            }),
            text => Ok(text),
        }
    }

    /// A member that must be there and is a string or `null`.
    pub(crate) fn string_or_null(&self, name: &str) -> Read<Option<String>> {
        match self.required(name)? {
            Value::Null => Ok(None),
            Value::String(text) => Ok(Some(text.clone())),
            _ => self.wrong_type(name, "a string or null"),
        }
    }

    /// A string that may also be `null` or absent.
    pub(crate) fn optional_string(&self, name: &str) -> Read<Option<String>> {
        match self.get(name) {
            None => Ok(None),
            Some(_) => self.string_or_null(name),
        }
    }

    /// A string that may be absent but not `null`.
    pub(crate) fn string_if_present(&self, name: &str) -> Read<Option<String>> {
        match self.get(name) {
            None => Ok(None),
            Some(_) => self.string(name).map(|text| Some(text.to_owned())),
        }
    }

    pub(crate) fn boolean(&self, name: &str) -> Read<bool> {
        match self.required(name)? {
            Value::Bool(value) => Ok(*value),
            _ => self.wrong_type(name, "a boolean"),
        }
    }

    pub(crate) fn unsigned(&self, name: &str) -> Read<u64> {
        match self.required(name)?.as_u64() {
            Some(value) => Ok(value),
            None => self.wrong_type(name, "a non-negative integer"),
        }
    }

    pub(crate) fn time(&self, name: &str) -> Read<UnixTime> {
        self.unsigned(name).map(UnixTime::from_secs)
    }

    /// A string run through `parse`.
    pub(crate) fn encoded<T>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, EncodingError>,
    ) -> Read<T> {
        parse(self.string(name)?).map_err(|error| DocumentError::Encoding {
            field: self.field(name),
            error,
        })
    }

    pub(crate) fn hex<const N: usize>(&self, name: &str) -> Read<[u8; N]> {
        self.encoded(name, parse_hex)
    }

    pub(crate) fn digest(&self, name: &str) -> Read<Sha256Digest> {
        self.encoded(name, Sha256Digest::parse)
    }

    /// Checks `api_version`.
    pub(crate) fn version(&self) -> Read<()> {
        match self.string("api_version")? {
            API_VERSION => Ok(()),
            other => Err(DocumentError::Version {
                found: other.to_owned(),
            }),
        }
    }
}
