//! The two members of a request that decide which upstream may serve it, read without decoding the rest of the body.
//!
//! Refused: a member that occurs twice, in any spelling, because two parsers could use two
//! different ones. The service refuses the same requests.

use serde::Deserializer as _;
use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The longest model name that is read.
const MAX_MODEL: usize = 256;
/// Longer than the two names in any spelling.
const MAX_NAME: usize = 64;

/// Which upstream may serve a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RequestFacts {
    pub(super) model: String,
    /// Only a verified upstream; otherwise the service refuses (ACI/1 §5.3).
    pub(super) demands_verified: bool,
}

impl RequestFacts {
    /// Absent unless `body` is one JSON object that names one model.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(body).ok()?;
        let mut reader = serde_json::Deserializer::from_str(text);
        let members = reader.deserialize_map(TopLevel).ok()?;
        reader.end().ok()?;
        let model: String = serde_json::from_str(members.model?.get()).ok()?;
        if model.is_empty() || model.len() > MAX_MODEL {
            return None;
        }
        let demands_verified = match members.provider {
            None => false,
            Some(provider) => demands_verified(provider.get())?,
        };
        Some(Self {
            model,
            demands_verified,
        })
    }
}

#[derive(Default)]
struct Members<'a> {
    model: Option<&'a RawValue>,
    provider: Option<&'a RawValue>,
}

struct TopLevel;

impl<'de> Visitor<'de> for TopLevel {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Members::default();
        while let Some(name) = map.next_key::<&RawValue>()? {
            let name = known_name(name.get()).map_err(A::Error::custom)?;
            let slot = match name.as_deref() {
                Some("model") => &mut members.model,
                Some("provider") => &mut members.provider,
                Some(other) if ["model", "provider"].iter().any(|it| folds_to(other, it)) => {
                    return Err(A::Error::custom("ambiguous"));
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            if slot.replace(map.next_value()?).is_some() {
                return Err(A::Error::custom("duplicate"));
            }
        }
        Ok(members)
    }
}

/// The member's name; `None` if it is too long to be one of the two.
fn known_name(quoted: &str) -> Result<Option<String>, serde_json::Error> {
    match quoted.len() > 6 * MAX_NAME {
        true => Ok(None),
        false => serde_json::from_str(quoted).map(Some),
    }
}

/// Equality under simple Unicode case folding, as case-insensitive JSON parsers apply it.
fn folds_to(name: &str, ours: &str) -> bool {
    let fold = |c: char| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    };
    name.chars().map(fold).eq(ours.chars())
}

/// `None` if `provider` is not of its documented form.
fn demands_verified(provider: &str) -> Option<bool> {
    #[derive(serde::Deserialize)]
    struct Provider {
        aci_verified: Option<bool>,
        aci_session_ids: Option<Vec<String>>,
    }
    let provider: Option<Provider> = serde_json::from_str(provider).ok()?;
    let Some(provider) = provider else {
        return Some(false);
    };
    let sessions = provider.aci_session_ids.is_some_and(|ids| !ids.is_empty());
    Some(sessions || provider.aci_verified == Some(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Option<(String, bool)> {
        let facts = RequestFacts::read(body.as_bytes())?;
        Some((facts.model, facts.demands_verified))
    }

    #[test]
    fn reads_the_model_and_the_demand() {
        let plain = Some(("m".to_owned(), false));
        let verified = Some(("m".to_owned(), true));
        assert_eq!(read(r#"{"model":"m","messages":[{"model":"x"}]}"#), plain);
        assert_eq!(read(r#"{"mod\u0065l":"m"}"#), plain);
        assert_eq!(read(r#"{"model":"m","provider":{"order":["x"]}}"#), plain);
        assert_eq!(read(r#"{"model":"m","provider":null}"#), plain);
        assert_eq!(
            read(r#"{"model":"m","provider":{"aci_verified":false}}"#),
            plain
        );
        assert_eq!(
            read(r#"{"provider":{"aci_verified":true},"model":"m"}"#),
            verified
        );
        assert_eq!(
            read(r#"{"model":"m","provider":{"aci_session_ids":["00"]}}"#),
            verified
        );
    }

    #[test]
    fn refuses_bodies_that_two_parsers_could_read_differently() {
        for body in [
            "",
            "[]",
            "{}",
            "{\"model\":\"m\"",
            "{\"model\":\"m\"} x",
            r#"{"model":1}"#,
            r#"{"model":""}"#,
            r#"{"model":"a","model":"b"}"#,
            r#"{"model":"a","mod\u0065l":"b"}"#,
            r#"{"model":"a","Model":"b"}"#,
            r#"{"model":"a","PROVIDER":{"aci_verified":true}}"#,
            r#"{"model":"a","provider":{"aci_verified":true,"aci_verified":false}}"#,
            r#"{"model":"a","provider":{"aci_verified":"true"}}"#,
            r#"{"model":"a","provider":[]}"#,
        ] {
            assert_eq!(read(body), None, "{body}");
        }
    }
}
