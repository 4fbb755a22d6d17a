//! The claims of a token whose signature was verified.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::TokenError;

/// The last second of the year 9999: later dates are not dates.
const LAST_SECOND: f64 = 253_402_300_799.0;
/// Longer subjects are refused.
const MAX_SUBJECT: usize = 512;

/// Claims that were signed by the expected issuer, for the expected audience. Only [`verify`](crate::verify()) makes them.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifiedClaims {
    claims: Map<String, Value>,
    subject: String,
    validity: Validity,
}

/// When a token is valid, with the clock's skew allowed for. In seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    not_before: u64,
    expires: u64,
}

impl Validity {
    pub fn check(&self, now: u64) -> Result<(), TokenError> {
        if now >= self.expires {
            Err(TokenError::Expired)
        } else if now < self.not_before {
            Err(TokenError::NotYetValid)
        } else {
            Ok(())
        }
    }
}

impl VerifiedClaims {
    /// Checks the registered claims (RFC 7519 §4.1): `sub`, `exp`, `aud`, and where present `nbf` and `iat`.
    pub(crate) fn check(
        claims: Map<String, Value>,
        audiences: &[String],
        clock_skew: Duration,
        now: u64,
    ) -> Result<Self, TokenError> {
        let subject = claims.get("sub").and_then(Value::as_str);
        let subject = subject
            .filter(|subject| (1..=MAX_SUBJECT).contains(&subject.len()))
            .ok_or(TokenError::Claims)?
            .to_owned();
        let validity = validity(&claims, clock_skew)?;
        check_audience(&claims, audiences)?;
        validity.check(now)?;
        Ok(Self {
            claims,
            subject,
            validity,
        })
    }

    pub fn subject(&self) -> &str {
        &self.subject
    }

    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// The first of `values` that the claim at `path` is or, if it is a list, contains.
    pub fn first_of<'v>(&self, path: &[String], values: &'v [String]) -> Option<&'v str> {
        let (last, parents) = path.split_last()?;
        let mut object = &self.claims;
        for name in parents {
            object = object.get(name)?.as_object()?;
        }
        let claim = object.get(last)?;
        let has = |wanted: &&String| match claim {
            Value::String(text) => text == *wanted,
            Value::Array(items) => items.iter().any(|item| item.as_str() == Some(wanted)),
            _ => false,
        };
        values.iter().find(has).map(String::as_str)
    }
}

fn check_audience(claims: &Map<String, Value>, accepted: &[String]) -> Result<(), TokenError> {
    let is_accepted = |value: &Value| {
        let named = value.as_str();
        named.is_some_and(|named| accepted.iter().any(|one| one == named))
    };
    let found = match claims.get("aud").ok_or(TokenError::Claims)? {
        one @ Value::String(_) => is_accepted(one),
        Value::Array(several) => several.iter().any(is_accepted),
        _ => return Err(TokenError::Claims),
    };
    if found {
        Ok(())
    } else {
        Err(TokenError::Audience)
    }
}

fn validity(claims: &Map<String, Value>, skew: Duration) -> Result<Validity, TokenError> {
    let expires = date(claims, "exp")?.ok_or(TokenError::Claims)?;
    let not_before = date(claims, "nbf")?.unwrap_or(0);
    let issued = date(claims, "iat")?.unwrap_or(0);
    Ok(Validity {
        not_before: not_before.max(issued).saturating_sub(skew.as_secs()),
        expires: expires.saturating_add(skew.as_secs()),
    })
}

/// A `NumericDate` (RFC 7519 §2) in whole seconds.
fn date(claims: &Map<String, Value>, name: &str) -> Result<Option<u64>, TokenError> {
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    let seconds = value.as_f64().ok_or(TokenError::Claims)?;
    if (0.0..=LAST_SECOND).contains(&seconds) {
        Ok(Some(seconds as u64))
    } else {
        Err(TokenError::Claims)
    }
}
