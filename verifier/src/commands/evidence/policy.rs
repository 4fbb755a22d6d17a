//! The policy that evidence is appraised under: from a file, the document, flags, or none. Two
//! policies are refused, since it would be unclear which one is meant.

use std::path::Path;

use serde_json::Value;

use super::pins::PinArgs;
use crate::failure::Failure;
use crate::qualified_verdict::PolicyOrigin;
use crate::render::sorted;
use crate::trust_inputs;
use attest_core::AttestationPolicy;

/// The places that may state a policy.
pub(super) struct PolicySources<'a> {
    pub(super) file: Option<&'a Path>,
    pub(super) document: Option<&'a Value>,
    pub(super) pins: &'a PinArgs,
}

impl PolicySources<'_> {
    /// The policy for evidence with these sections, and whether the caller stated it.
    pub(super) fn policy(
        &self,
        sections: &[&'static str],
    ) -> Result<(AttestationPolicy, PolicyOrigin), Failure> {
        self.only_one()?;
        if let Some(path) = self.file {
            return Ok((trust_inputs::policy(Some(path))?, PolicyOrigin::Given));
        }
        let (what, text, origin) = match (self.document, self.pins.is_empty()) {
            (Some(Value::String(text)), _) => (
                "--input: policy".to_owned(),
                text.clone(),
                PolicyOrigin::Given,
            ),
            (Some(value), _) => (
                "--input: policy".to_owned(),
                toml_of(value)?,
                PolicyOrigin::Given,
            ),
            (None, false) => {
                let policy = self.pins.policy(sections)?;
                let origin = match self.pins.pin_a_workload(sections) {
                    true => PolicyOrigin::Given,
                    false => PolicyOrigin::NoMeasurement,
                };
                (self.pins.described(), toml_of(&policy)?, origin)
            }
            (None, true) => ("no policy".to_owned(), none(sections), PolicyOrigin::Absent),
        };
        let policy = AttestationPolicy::parse(&text).map_err(|e| Failure::malformed(what, e))?;
        Ok((policy, origin))
    }

    fn only_one(&self) -> Result<(), Failure> {
        let two = match (self.file, self.document, self.pins.is_empty()) {
            (Some(_), Some(_), _) => "the document states a policy beside --policy",
            (_, Some(_), false) => "the document states a policy beside the flags'",
            (Some(_), None, false) => "flags state a policy beside --policy",
            _ => return Ok(()),
        };
        let first = match self.pins.is_empty() {
            true => String::new(),
            false => format!(" (--{})", self.pins.first()),
        };
        Err(Failure::Usage(format!(
            "{two}{first}: give only one of them"
        )))
    }
}

/// Used if no policy was stated; the verdict then reports that (`policy.given`).
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

/// A policy's JSON form as TOML, with inline tables. Keys are sorted, so that the policy's digest does not depend on the
/// order in which this build keeps the members of a JSON object.
fn toml_of(policy: &Value) -> Result<String, Failure> {
    let Value::Object(members) = sorted(policy) else {
        return Err(Failure::malformed(
            "--input: policy",
            "neither TOML text nor an object",
        ));
    };
    let mut text = String::new();
    for (key, value) in &members {
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
            let why = "null is not a value of a policy";
            return Err(Failure::malformed("--input: policy", why));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::fields::{FIELDS, Field, Kind, TD_MEASUREMENTS};
    use super::*;
    use serde_json::json;

    #[test]
    fn a_policy_in_json_equals_the_policy_in_toml() {
        let value = json!({
            "name": "quoted \"name\"",
            "snp": { "measurements": "any", "min_tcb": { "turin": { "fmc": 1 } }, "keys": ["VLEK"] },
        });
        let policy = AttestationPolicy::parse(&toml_of(&value).unwrap()).unwrap();
        assert_eq!(policy.name(), "quoted \"name\"");
        assert!(toml_of(&json!([])).is_err());
        assert!(toml_of(&json!({ "name": null })).is_err());
    }

    /// A value that the field takes.
    fn sample(field: &Field) -> &'static str {
        const ZERO_48: &str = "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000";
        match (field.kind, field.flag) {
            (Kind::Number, _) => "0",
            (Kind::Entry, "grace-days") => "INTEL-SA-00001=1",
            (Kind::Entry, _) => "snp=1",
            (Kind::Turned(_), _) => "",
            (_, "seam-attributes" | "td-attributes" | "xfam" | "xfam-mask" | "xfam-allowed") => {
                "0000000000000000"
            }
            (_, "host-data") => &ZERO_48[..64],
            (_, "compose-hash" | "os-image-hash") => &ZERO_48[..64],
            (_, "chip-id") => {
                "00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
            }
            (_, "family-id" | "image-id" | "min-tee-tcb-svn" | "min-tee-tcb-svn2") => {
                &ZERO_48[..32]
            }
            (_, "app-id") => &ZERO_48[..40],
            (_, "ppid") => "00",
            (_, "fmspc") => "000000000000",
            (_, "pce-id") => "0000",
            (_, "tcb-status") => "OutOfDate",
            (_, "deny-advisory") => "INTEL-SA-00001",
            (_, "max-collateral-age" | "max-crl-age" | "max-ocsp-age") => "1d",
            (_, "trailing-bytes" | "gpu-trailing-bytes") => "any",
            (_, "product") => "Milan",
            (_, "key-kind") => "VLEK",
            (_, "require-guest-policy") => "single_socket",
            (_, "require-platform") => "ecc",
            (_, "architecture") => "HOPPER",
            (_, "rims") => "optional",
            (_, "rim-digest") => {
                "sha256:0000000000000000000000000000000000000000000000000000000000000000"
            }
            (_, "rim-signer-dates") => "ignored",
            (_, "rim-revocation" | "gpu-revocation" | "topology") => "off",
            (_, "gpu-mode") => "SPT",
            (_, "event-log-register") => "rtmr3",
            (_, "csp-id" | "driver-version" | "vbios-version") => "any text",
            _ => ZERO_48,
        }
    }

    fn pins(arguments: &[&str]) -> PinArgs {
        use clap::{Args as _, FromArgMatches as _};
        let command = PinArgs::augment_args(clap::Command::new("pins"));
        let matches = command.try_get_matches_from([&["pins"][..], arguments].concat());
        PinArgs::from_arg_matches(&matches.expect("flags")).expect("pins")
    }

    fn one_flag(field: &Field) -> PinArgs {
        let flag = format!("--{}", field.flag);
        match field.kind {
            Kind::Turned(_) => pins(&[&flag]),
            // It selects the bits of --xfam that are compared.
            _ if field.flag == "xfam-mask" => {
                pins(&[&flag, sample(field), "--xfam", sample(field)])
            }
            _ => pins(&[&flag, sample(field)]),
        }
    }

    const MACHINES: [&[&str]; 6] = [
        &["tdx"],
        &["snp"],
        &["nvidia"],
        &["tdx", "event_log"],
        &["tdx", "event_log", "nvidia"],
        &["snp", "nvidia"],
    ];

    #[test]
    fn no_single_flag_accepts_a_workload_that_it_does_not_pin() {
        for field in FIELDS {
            let pins = one_flag(field);
            let stated = PolicySources {
                file: None,
                document: None,
                pins: &pins,
            };
            for machine in MACHINES {
                let other_tee = ["tdx", "snp"].contains(&field.section);
                if other_tee && !machine.contains(&field.section) {
                    let refused = stated.policy(machine).expect_err(field.flag);
                    assert!(matches!(refused, Failure::Usage(_)), "{}", field.flag);
                    continue;
                }
                let (_, origin) = stated.policy(machine).expect(field.flag);
                let measured = match machine[0] {
                    "tdx" => &["mrtd", "rtmr0", "rtmr1", "rtmr2", "rtmr3"][..],
                    "snp" => &["measurement"],
                    _ => &["rim-digest", "driver-version", "vbios-version"],
                };
                let expected = match measured.contains(&field.flag) {
                    true => PolicyOrigin::Given,
                    false => PolicyOrigin::NoMeasurement,
                };
                assert_eq!(origin, expected, "--{} for {machine:?}", field.flag);
            }
        }
    }

    #[test]
    fn a_flag_sets_only_the_field_that_it_names() {
        for field in FIELDS {
            let machine = [field.section];
            let without = pins(&["--any-measurement"]).policy(&machine).expect("any");
            let mut with = one_flag(field).policy(&machine).expect(field.flag);
            let section = with[field.section].as_object_mut().expect("a section");
            let stated = match field.field.split_once('.') {
                Some((table, _)) => section.remove(table),
                None => section.remove(field.field),
            };
            assert!(stated.is_some(), "--{} states nothing", field.flag);
            if field.flag == "xfam-mask" {
                section.remove("xfam");
            }
            let is_pin = TD_MEASUREMENTS.contains(&field.field) || field.flag == "measurement";
            if is_pin {
                section.insert("measurements".to_owned(), "any".into());
            }
            if field.field != "required" {
                assert_eq!(with, without, "--{} states more", field.flag);
            }
        }
    }

    #[test]
    fn any_measurement_accepts_any_workload() {
        let pins = pins(&["--any-measurement", "--min-pce-svn", "0"]);
        let stated = PolicySources {
            file: None,
            document: None,
            pins: &pins,
        };
        let (_, origin) = stated.policy(&["tdx"]).expect("a policy");
        assert_eq!(origin, PolicyOrigin::Given);
    }

    #[test]
    fn each_kind_of_evidence_has_a_built_in_policy() {
        let pins = PinArgs::default();
        let stated = PolicySources {
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
