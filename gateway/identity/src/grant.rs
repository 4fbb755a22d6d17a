//! What an issuer's rules make of a verified token: a subject, and the tenant or the role that is granted to it.

use std::sync::Arc;

use attest_core::BodyHasher;
use gateway_base::config::identity::{Condition, Grant, Issuer, Rule};
use gateway_base::errors::TokenFault;
use gateway_base::request::{Name, Role};
use jwt::{Validity, VerifiedClaims};

/// Separates this digest from every other one.
const SUBJECT_DOMAIN: &[u8] = b"sealgate/token-subject/1\0";

/// A token that was verified and that a rule grants something to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedToken {
    pub subject: Subject,
    pub granted: Granted,
    /// The roles of a caller.
    pub roles: Arc<[Name]>,
    /// The configured name of its issuer.
    pub issuer: Name,
    pub(crate) validity: Validity,
}

/// Issuer and subject of a token, as a digest: the same for every token of one subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Subject([u8; 32]);

/// What a rule grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Granted {
    Tenant(Name),
    Role(Role),
}

impl Subject {
    pub fn new(issuer: &str, subject: &str) -> Self {
        let mut hasher = BodyHasher::new();
        hasher.update(SUBJECT_DOMAIN);
        // The length says where the issuer ends: without it, two pairs could be one text.
        hasher.update(&(issuer.len() as u64).to_be_bytes());
        hasher.update(issuer.as_bytes());
        hasher.update(subject.as_bytes());
        Self(*hasher.finish().as_bytes())
    }

    pub fn digest(&self) -> &[u8; 32] {
        &self.0
    }

    /// The public id: `jwt-` and 16 hex characters.
    pub fn public_id(&self) -> String {
        format!("jwt-{}", attest_core::to_hex(&self.0[..8]))
    }
}

/// Applies the issuer's rules; the first that matches decides.
pub(crate) fn grant(issuer: &Issuer, claims: &VerifiedClaims) -> Result<VerifiedToken, TokenFault> {
    let mut rules = issuer.rules.iter();
    let granted = rules.find_map(|rule| Some((apply(rule, claims)?, Arc::clone(&rule.roles))));
    let (granted, roles) = granted.ok_or(TokenFault::NotMapped)?;
    Ok(VerifiedToken {
        subject: Subject::new(&issuer.issuer, claims.subject()),
        granted,
        roles,
        issuer: issuer.name.clone(),
        validity: claims.validity(),
    })
}

fn apply(rule: &Rule, claims: &VerifiedClaims) -> Option<Granted> {
    let matched = match &rule.condition {
        Condition::Always => None,
        Condition::Claim { path, values } => Some(claims.first_of(path, values)?),
    };
    match &rule.grant {
        Grant::Tenant(name) => Some(Granted::Tenant(name.clone())),
        Grant::Role(role) => Some(Granted::Role(*role)),
        // The name is the operator's: a token chooses one of them, and its text goes no further.
        Grant::TenantOf(names) => {
            let named = names.iter().find(|name| Some(name.as_str()) == matched);
            named.cloned().map(Granted::Tenant)
        }
    }
}
