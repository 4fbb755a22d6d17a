//! Limits for one tenant against retention policies that show names, or commitments in their place.

use serde_json::Value;

use super::{CONFIG, Made, made};
use crate::case::Expected;
use crate::kit::{Kit, accepted, rejected};
use attest_core::retention::RetentionPolicy;
use attest_core::{Sha256Digest, Subject, json, to_hex};

const SALT: &str = "salt = \"5f1d0c3b7a9e8d6c4b2a190f8e7d6c5b4a39281706f5e4d3c2b1a09f8e7d6c5b\"\n";
const RULES: &str = "[default]\nmode = \"metadata\"\nttl = \"30d\"\n\
    [[rule]]\ntenants = [\"clinic\"]\nmode = \"zero\"\n\
    [[rule]]\ntenants = [\"bank\"]\nmode = \"content\"\nttl = \"365d\"\n\
    recipients = [\"age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj\"]\n";

fn policy(format: u8) -> RetentionPolicy {
    let salt = if format == 2 { SALT } else { "" };
    let text = format!("format = \"sealgate/retention/{format}\"\nepoch = 1\n{salt}{RULES}");
    RetentionPolicy::from_toml(&text).expect("a policy")
}

/// A report that shows, and is bound to, this text.
fn showing(text: &str) -> Made {
    let mut made = made();
    made.documents.insert("retention".into(), text.into());
    let subject = Subject {
        config: Sha256Digest::hash(CONFIG.as_bytes()),
        retention: Sha256Digest::hash(text.as_bytes()),
    };
    made.keyset.subject = Some(subject.to_string());
    made
}

fn limited(limit: &str, tenant: &str, opening_of: Option<&str>) -> String {
    let salt = opening_of.map_or(String::new(), |name| {
        let opening = policy(2).tenant_opening(name).expect("a salt").tenant;
        format!("tenant_salt = \"{}\"\n", to_hex(&opening.salt))
    });
    format!("[retention]\nmax = \"{limit}\"\ntenant = \"{tenant}\"\n{salt}")
}

pub(super) fn add(kit: &mut Kit) {
    let refused = || rejected(&["contract.retention"]);
    let cases: [(&str, &str, u8, String, Expected); 9] = [
        (
            "named",
            "one tenant's limit and a policy of format 1, which shows names",
            1,
            limited("zero", "clinic", None),
            accepted(),
        ),
        (
            "named-above",
            "more kept of the tenant than its limit, format 1",
            1,
            limited("metadata", "bank", None),
            refused(),
        ),
        (
            "opened",
            "one tenant's limit, and the salt that opens its commitment",
            2,
            limited("zero", "clinic", Some("clinic")),
            accepted(),
        ),
        (
            "opened-above",
            "more kept of the tenant than its limit, its commitment opened",
            2,
            limited("metadata", "bank", Some("bank")),
            refused(),
        ),
        (
            "unopened",
            "no opening: the most lenient terms of any tenant count, and are above the limit",
            2,
            limited("zero", "clinic", None),
            refused(),
        ),
        (
            "unopened-within",
            "no opening: the most lenient terms of any tenant count, and are within the limit",
            2,
            limited("content", "clinic", None),
            accepted(),
        ),
        (
            "opening-of-another",
            "the salt of another tenant's name opens nothing: the most lenient terms count",
            2,
            limited("zero", "clinic", Some("bank")),
            refused(),
        ),
        (
            "opening-of-none",
            "a tenant that no rule names cannot prove it: the most lenient terms count",
            2,
            limited("metadata", "elsewhere", Some("elsewhere")),
            refused(),
        ),
        (
            "of-any",
            "a limit for every tenant counts all commitments",
            2,
            "[retention]\nmax = \"metadata\"\n".to_owned(),
            refused(),
        ),
    ];
    for (name, says, format, limits, expected) in cases {
        Made {
            policy: limits,
            ..showing(policy(format).published().text())
        }
        .add(kit, &format!("retention-tenant-{name}"), says, expected);
    }
    let stored = policy(2).stored_text();
    Made {
        policy: limited("content", "clinic", Some("clinic")),
        ..showing(&stored)
    }
    .add(
        kit,
        "retention-salt-shown",
        "the form with names and salt, which is not the one that is published",
        refused(),
    );
    let mut unsorted: Value = serde_json::from_str(policy(2).published().text()).expect("JSON");
    unsorted["rule"].as_array_mut().expect("rules").reverse();
    let unsorted = json::canonicalize(&unsorted).expect("strings and integers");
    let unsorted = String::from_utf8(unsorted).expect("text");
    Made {
        policy: limited("content", "clinic", None),
        ..showing(&unsorted)
    }
    .add(
        kit,
        "retention-commitments-unsorted",
        "rules in another order than that of their texts: not the canonical form",
        refused(),
    );
}
