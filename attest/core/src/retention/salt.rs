//! The secret from which a policy's name salts are derived, and what opens a commitment.
//!
//! ```text
//! name salt  = HMAC-SHA256(policy salt, kind || 0x00 || name)          kind is "tenant" or "recipient"
//! commitment = SHA-256("sealgate/log-subject/v1" || 0x00 || name salt || kind || " " || name)
//! ```
//!
//! Each name has its own salt, so that an opening for one name says nothing about another.

use std::fmt;

use ring::hmac;
use zeroize::Zeroizing;

use crate::encoding::{EncodingError, parse_hex, to_hex};
use crate::log::{Commitment, Salt};

/// 32 secret random bytes that the operator writes into the policy. Their holder can test guesses of names
/// against a published policy. Successors keep them, so that openings stay valid.
#[derive(Clone, PartialEq, Eq)]
pub struct PolicySalt(Zeroizing<[u8; 32]>);

/// Why a text is not a policy salt.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SaltError {
    /// Not 64 lower-case hexadecimal digits.
    #[error("is not 64 lower-case hexadecimal digits: {0}")]
    Hex(EncodingError),
    /// A placeholder: with a salt that can be guessed, names can be guessed too.
    #[error("is one byte repeated, which can be guessed")]
    Repeated,
}

/// What a name is the name of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NameKind {
    /// A tenant.
    Tenant,
    /// An age recipient.
    Recipient,
}

/// A name and the salt that opens its commitment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameOpening {
    /// What it is the name of.
    pub kind: NameKind,
    /// The name.
    pub name: String,
    /// The salt of this name and of no other.
    pub salt: Salt,
}

/// What one tenant may learn about the names in a policy: its own, and those of the recipients of its records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantOpening {
    /// The tenant.
    pub tenant: NameOpening,
    /// Whether a rule names it. Where none does, the opening matches no commitment, which proves nothing: a wrong salt
    /// matches none either.
    pub named: bool,
    /// The recipients in the rules that name it.
    pub recipients: Vec<NameOpening>,
}

impl PolicySalt {
    /// Reads 64 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, SaltError> {
        let bytes = Zeroizing::new(parse_hex::<32>(text).map_err(SaltError::Hex)?);
        if bytes.iter().all(|byte| *byte == bytes[0]) {
            return Err(SaltError::Repeated);
        }
        Ok(Self(bytes))
    }

    /// As the policy has it.
    pub fn to_hex(&self) -> String {
        to_hex(&self.0[..])
    }

    /// What opens the commitment to this name.
    pub fn opening(&self, kind: NameKind, name: &str) -> NameOpening {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.0[..]);
        let input = [kind.as_str().as_bytes(), &[0], name.as_bytes()].concat();
        let tag = hmac::sign(&key, &input);
        let mut salt = [0; 32];
        salt.copy_from_slice(tag.as_ref());
        NameOpening {
            kind,
            name: name.to_owned(),
            salt,
        }
    }
}

/// Never the bytes.
impl fmt::Debug for PolicySalt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[salt]")
    }
}

impl NameKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Recipient => "recipient",
        }
    }
}

impl NameOpening {
    /// The commitment that it opens.
    pub fn commitment(&self) -> Commitment {
        let text = format!("{} {}", self.kind.as_str(), self.name);
        Commitment::to(&text, &self.salt)
    }
}
