//! What a rule can be about.

use std::fmt;
use std::str::FromStr;

use gateway_base::request::{KeyId, Name, NameError};

/// A condition of a rule, by the key that it has in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    Organisations,
    Tenants,
    Users,
    Keys,
    Roles,
    Models,
    Endpoints,
    Retention,
    Classes,
    Regions,
    Days,
    Hours,
}

impl Condition {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Organisations => "organisations",
            Self::Tenants => "tenants",
            Self::Users => "users",
            Self::Keys => "keys",
            Self::Roles => "roles",
            Self::Models => "models",
            Self::Endpoints => "endpoints",
            Self::Retention => "retention",
            Self::Classes => "classes",
            Self::Regions => "regions",
            Self::Days => "days",
            Self::Hours => "hours",
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How much is known of the upstream that a prompt is sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// An enclave whose evidence was accepted.
    Verified,
    /// The engine inside this machine.
    Local,
    /// An upstream without evidence.
    Unverified,
}

impl Class {
    pub const ALL: [Self; 3] = [Self::Verified, Self::Local, Self::Unverified];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Local => "local",
            Self::Unverified => "unverified",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A user or service account of a tenant, written `TENANT#NAME`: names of users are unique within their tenant only.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UserName {
    pub tenant: Name,
    pub name: Name,
}

/// Why a text names no user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserNameError {
    #[error("is not TENANT#NAME")]
    Form,
    #[error("{0}")]
    Name(#[from] NameError),
}

impl FromStr for UserName {
    type Err = UserNameError;

    fn from_str(text: &str) -> Result<Self, UserNameError> {
        let (tenant, name) = text.split_once('#').ok_or(UserNameError::Form)?;
        Ok(Self {
            tenant: Name::from_operator(tenant)?,
            name: Name::from_operator(name)?,
        })
    }
}

/// The public id of an API key, or of the subject of tokens.
pub(crate) fn is_key_id(text: &str) -> bool {
    match text.strip_prefix("jwt-") {
        Some(digits) => digits.len() == 16 && digits.bytes().all(is_lower_hex),
        None => KeyId::parse(text).is_some(),
    }
}

fn is_lower_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}
