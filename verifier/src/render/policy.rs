//! Renders what a policy demands, field by field.

use serde_json::{Map, Value};

use attest_core::AttestationPolicy;

const TEES: [(&str, &str); 2] = [("tdx", "Intel TDX"), ("snp", "AMD SEV-SNP")];

pub fn policy_text(policy: &AttestationPolicy, stated: &Map<String, Value>) -> String {
    let mut out = format!("policy {:?}\n{}\n", policy.name(), policy.digest());
    for (section, tee) in TEES {
        let verb = match stated.contains_key(section) {
            true => "accepted, if",
            false => "not accepted",
        };
        out.push_str(&format!("\nevidence of {tee}: {verb}\n"));
        if let Some(Value::Object(fields)) = stated.get(section) {
            if !fields.contains_key("measurements") {
                out.push_str("  measurements: pinned (by default)\n");
            }
            demands(fields, 1, &mut out);
        }
    }
    let others = stated
        .iter()
        .filter(|(name, _)| TEES.iter().all(|(section, _)| section != name));
    for (name, value) in others {
        if let Value::Object(fields) = value {
            out.push_str(&format!("\n{name}\n"));
            demands(fields, 1, &mut out);
        }
    }
    out.push_str("\nWhat is not listed keeps the default of policies/attestation/README.md.\n");
    out
}

fn demands(fields: &Map<String, Value>, depth: usize, out: &mut String) {
    let margin = "  ".repeat(depth);
    for (field, value) in fields {
        match value {
            Value::Array(items) if items.iter().all(Value::is_object) => {
                for (index, item) in items.iter().filter_map(Value::as_object).enumerate() {
                    out.push_str(&format!("{margin}{field} {}, all of:\n", index + 1));
                    demands(item, depth + 1, out);
                }
            }
            Value::Array(items) => {
                let number = match items.len() {
                    1 => String::new(),
                    several => format!(" one of {several}:"),
                };
                let items: Vec<_> = items.iter().map(plain).collect();
                out.push_str(&format!("{margin}{field}:{number} {}\n", items.join(", ")));
            }
            Value::Object(fields) => {
                out.push_str(&format!("{margin}{field}:\n"));
                demands(fields, depth + 1, out);
            }
            single => out.push_str(&format!("{margin}{field}: {}\n", plain(single))),
        }
    }
}

/// A value without its quotes, with control characters escaped.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.escape_debug().to_string(),
        Value::Number(number) => number.to_string(),
        Value::Bool(is) => is.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => "(see the file)".to_owned(),
    }
}
