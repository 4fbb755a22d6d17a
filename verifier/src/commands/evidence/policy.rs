//! The one policy that evidence is judged by: of a file, of the document, of flags, or none. Two of
//! them would leave it to chance which is meant, so they are refused.

use std::path::Path;

use attest_core::AttestationPolicy;
use serde_json::Value;

use super::pins::PinArgs;
use crate::failure::Failure;
use crate::judge;
use crate::judged::PolicyOrigin;

/// Everything that may state a policy.
pub(super) struct Stated<'a> {
    pub(super) file: Option<&'a Path>,
    pub(super) document: Option<&'a Value>,
    pub(super) pins: &'a PinArgs,
}

impl Stated<'_> {
    /// The policy for evidence with these sections, and whether anybody stated it.
    pub(super) fn policy(
        &self,
        sections: &[&'static str],
    ) -> Result<(AttestationPolicy, PolicyOrigin), Failure> {
        self.only_one()?;
        if let Some(path) = self.file {
            return Ok((judge::policy(Some(path))?, PolicyOrigin::Given));
        }
        let (what, text, origin) = match (self.document, self.pins.is_empty()) {
            (Some(Value::String(text)), _) => {
                ("--input: policy", text.clone(), PolicyOrigin::Given)
            }
            (Some(value), _) => ("--input: policy", toml_of(value)?, PolicyOrigin::Given),
            (None, false) => {
                let policy = self.pins.policy(sections)?;
                ("pins", toml_of(&policy)?, PolicyOrigin::Given)
            }
            (None, true) => ("no policy", none(sections), PolicyOrigin::Absent),
        };
        let policy = AttestationPolicy::parse(&text).map_err(|e| Failure::malformed(what, e))?;
        Ok((policy, origin))
    }

    fn only_one(&self) -> Result<(), Failure> {
        let two = match (self.file, self.document, self.pins.is_empty()) {
            (Some(_), Some(_), _) => "the document states a policy of its own beside --policy",
            (_, Some(_), false) => "the document states a policy of its own beside the flags'",
            (Some(_), None, false) => "flags state a policy of their own beside --policy",
            _ => return Ok(()),
        };
        let first = match self.pins.is_empty() {
            true => String::new(),
            false => format!(" (--{})", self.pins.first()),
        };
        Err(Failure::Usage(format!(
            "{two}{first}: say which one is meant by leaving the other out"
        )))
    }
}

/// Stands in where nobody says what is wanted; whoever shows a verdict says so.
fn none(sections: &[&'static str]) -> String {
    let mut text = "name = \"none given: any workload\"\n".to_owned();
    for section in sections {
        text.push_str(&match *section {
            "tdx" | "snp" => format!("[{section}]\nmeasurements = \"any\"\n"),
            other => format!("[{other}]\n"),
        });
    }
    text
}

/// A policy's JSON form as TOML: inline tables all the way down.
fn toml_of(policy: &Value) -> Result<String, Failure> {
    let Value::Object(members) = policy else {
        return Err(Failure::malformed(
            "--input: policy",
            "neither TOML text nor an object",
        ));
    };
    let mut text = String::new();
    for (key, value) in members {
        text.push_str(&format!(
            "{} = {}\n",
            Value::from(key.as_str()),
            inline(value)?
        ));
    }
    Ok(text)
}

fn inline(value: &Value) -> Result<String, Failure> {
    Ok(match value {
        // A JSON string is a TOML string: they escape alike.
        Value::String(_) | Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(inline).collect::<Result<_, _>>()?;
            format!("[{}]", items.join(", "))
        }
        Value::Object(members) => {
            let write = |(key, value): (&String, &Value)| {
                Ok(format!(
                    "{} = {}",
                    Value::from(key.as_str()),
                    inline(value)?
                ))
            };
            let members: Vec<_> = members.iter().map(write).collect::<Result<_, Failure>>()?;
            format!("{{ {} }}", members.join(", "))
        }
        Value::Null => {
            let why = "null is no value of a policy's";
            return Err(Failure::malformed("--input: policy", why));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_policy_in_json_is_the_policy_in_toml() {
        let value = json!({
            "name": "quoted \"name\"",
            "snp": { "measurements": "any", "min_tcb": { "turin": { "fmc": 1 } }, "keys": ["VLEK"] },
        });
        let policy = AttestationPolicy::parse(&toml_of(&value).unwrap()).unwrap();
        assert_eq!(policy.name(), "quoted \"name\"");
        assert!(toml_of(&json!([])).is_err());
        assert!(toml_of(&json!({ "name": null })).is_err());
    }

    #[test]
    fn without_a_policy_each_kind_has_a_stand_in() {
        let pins = PinArgs::default();
        let stated = Stated {
            file: None,
            document: None,
            pins: &pins,
        };
        for sections in [
            &["tdx"][..],
            &["snp"],
            &["nvidia"],
            &["tdx", "event_log", "nvidia"],
        ] {
            let (_, origin) = stated.policy(sections).expect("a stand-in");
            assert_eq!(origin, PolicyOrigin::Absent);
        }
    }
}
