//! Serving constraints in the body's `provider` member (ACI/1 §5.3).
//!
//! They only tighten. An unknown member that begins with `aci_` is refused, not ignored: the client relies on it.

use std::borrow::Cow;
use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use attest_core::SessionId;
use gateway_base::errors::Invalid;

/// The most sessions a request may list.
pub const MAX_SESSIONS: usize = 64;

/// What the client requires of the upstream that serves the request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Constraints {
    /// Serve through a verified attested session only.
    pub verified: bool,
    /// Serve through one of these sessions only; implies `verified`.
    pub session_ids: Option<Vec<SessionId>>,
}

impl Constraints {
    /// Whether the prompt may be sent to verified upstreams only.
    pub fn require_verified(&self) -> bool {
        self.verified || self.session_ids.is_some()
    }

    /// Parses the value of `provider`; `None` if it contains no constraint.
    pub(super) fn read(value: &str) -> Result<Option<Self>, Invalid> {
        if !value.starts_with('{') {
            return if value == "null" {
                Ok(None)
            } else {
                Err(Invalid::ProviderType)
            };
        }
        let mut reader = serde_json::Deserializer::from_str(value);
        let members = Deserializer::deserialize_map(&mut reader, ProviderVisitor);
        let found = members.map_err(|_| Invalid::ConstraintValue)??;
        if found == Found::default() {
            return Ok(None);
        }
        if found.session_ids.is_some() && found.verified == Some(false) {
            return Err(Invalid::ConstraintConflict);
        }
        let verified = found.verified == Some(true) || found.session_ids.is_some();
        Ok(Some(Self {
            verified,
            session_ids: found.session_ids,
        }))
    }
}

/// The members found, before they are checked against each other.
#[derive(Default, PartialEq)]
struct Found {
    verified: Option<bool>,
    session_ids: Option<Vec<SessionId>>,
}

struct ProviderVisitor;

impl<'de> Visitor<'de> for ProviderVisitor {
    type Value = Result<Found, Invalid>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = Found::default();
        let mut refused = None;
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            match &*name {
                "aci_verified" if found.verified.is_none() => {
                    found.verified = Some(map.next_value()?)
                }
                "aci_session_ids" if found.session_ids.is_none() => {
                    found.session_ids = Some(map.next_value_seed(SessionList)?);
                }
                "aci_verified" | "aci_session_ids" => return Err(A::Error::custom("given twice")),
                name if name
                    .get(..4)
                    .is_some_and(|start| start.eq_ignore_ascii_case("aci_")) =>
                {
                    refused = Some(Invalid::UnknownConstraint);
                    map.next_value::<IgnoredAny>()?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(refused.map_or(Ok(found), Err))
    }
}

/// A list of 1 to [`MAX_SESSIONS`] session ids.
struct SessionList;

impl<'de> DeserializeSeed<'de> for SessionList {
    type Value = Vec<SessionId>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for SessionList {
    type Value = Vec<SessionId>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of session ids")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut ids = Vec::new();
        while let Some(text) = seq.next_element::<Cow<'de, str>>()? {
            if ids.len() >= MAX_SESSIONS {
                return Err(A::Error::custom("too many"));
            }
            ids.push(SessionId::parse(&text).map_err(A::Error::custom)?);
        }
        if ids.is_empty() {
            Err(A::Error::custom("empty"))
        } else {
            Ok(ids)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    #[test]
    fn constraints_only_tighten() {
        assert_eq!(Constraints::read("{}"), Ok(None));
        assert_eq!(Constraints::read("null"), Ok(None));
        assert_eq!(Constraints::read(r#"{"order":["a"]}"#), Ok(None));
        let verified = |value: &str| Constraints::read(value).map(|c| c.map(|c| c.verified));
        assert_eq!(verified(r#"{"aci_verified":true}"#), Ok(Some(true)));
        assert_eq!(verified(r#"{"aci_verified":false}"#), Ok(Some(false)));
        assert_eq!(
            verified(&format!(r#"{{"aci_session_ids":["{ID}"]}}"#)),
            Ok(Some(true))
        );
        let both = format!(r#"{{"aci_session_ids":["{ID}"],"aci_verified":true}}"#);
        let expected = Constraints {
            verified: true,
            session_ids: Some(vec![SessionId::parse(ID).expect("an id")]),
        };
        assert_eq!(Constraints::read(&both), Ok(Some(expected)));
    }

    #[test]
    fn rejects_invalid_constraints_with_their_reasons() {
        let conflict = format!(r#"{{"aci_session_ids":["{ID}"],"aci_verified":false}}"#);
        let many = format!(
            r#"{{"aci_session_ids":[{}]}}"#,
            vec![format!("{ID:?}"); MAX_SESSIONS + 1].join(",")
        );
        let upper = format!(r#"{{"aci_session_ids":["{}"]}}"#, ID.to_uppercase());
        for (value, reason) in [
            ("true", Invalid::ProviderType),
            ("[]", Invalid::ProviderType),
            ("\"x\"", Invalid::ProviderType),
            (r#"{"aci_pinned":1}"#, Invalid::UnknownConstraint),
            (r#"{"ACI_verified":true}"#, Invalid::UnknownConstraint),
            (
                r#"{"aci_verified":true,"aci_":0}"#,
                Invalid::UnknownConstraint,
            ),
            (r#"{"\u0061ci_x":0}"#, Invalid::UnknownConstraint),
            (r#"{"aci_verified":"true"}"#, Invalid::ConstraintValue),
            (r#"{"aci_verified":null}"#, Invalid::ConstraintValue),
            (
                r#"{"aci_verified":true,"aci_verified":true}"#,
                Invalid::ConstraintValue,
            ),
            (r#"{"aci_session_ids":[]}"#, Invalid::ConstraintValue),
            (r#"{"aci_session_ids":null}"#, Invalid::ConstraintValue),
            (r#"{"aci_session_ids":"x"}"#, Invalid::ConstraintValue),
            (r#"{"aci_session_ids":["00"]}"#, Invalid::ConstraintValue),
            (r#"{"aci_session_ids":[1]}"#, Invalid::ConstraintValue),
            (upper.as_str(), Invalid::ConstraintValue),
            (many.as_str(), Invalid::ConstraintValue),
            (conflict.as_str(), Invalid::ConstraintConflict),
        ] {
            assert_eq!(Constraints::read(value), Err(reason), "{value}");
        }
    }
}
