//! The canonical form: RFC 8785 JSON with every default written out.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::policy::Body;
use super::{Field, KeptMetadata, Recipient, Rule, Terms};
use crate::json;

/// Identifies the shape of the document.
pub(super) const FORMAT: &str = "sealgate/retention/1";

/// Units and their seconds, the largest first.
pub(super) const UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)];

pub(super) fn text(body: &Body) -> String {
    let value = json!({
        "format": FORMAT,
        "epoch": body.epoch,
        "predecessor": body.predecessor.map(|digest| digest.to_string()),
        "description": body.description,
        "default": terms(&body.default),
        "rule": body.rules.iter().map(rule).collect::<Vec<_>>(),
    });
    let bytes = json::canonicalize(&value).expect("made of strings and small integers");
    String::from_utf8(bytes).expect("canonical JSON is UTF-8")
}

fn rule(rule: &Rule) -> Value {
    let mut value = terms(&rule.terms);
    value.insert("tenants".to_owned(), json!(rule.tenants));
    value.insert("models".to_owned(), json!(rule.models));
    Value::Object(value)
}

fn terms(terms: &Terms) -> Map<String, Value> {
    let mut value = Map::new();
    value.insert("mode".to_owned(), terms.mode().as_str().into());
    if let Some(KeptMetadata {
        ttl,
        fields,
        on_failure,
    }) = terms.kept()
    {
        let fields: Vec<_> = fields.iter().copied().map(Field::as_str).collect();
        value.insert("ttl".to_owned(), duration(*ttl).into());
        value.insert("fields".to_owned(), fields.into());
        value.insert("on_failure".to_owned(), on_failure.as_str().into());
    }
    if let Terms::Content {
        recipients,
        deletion,
        ..
    } = terms
    {
        let recipients: Vec<_> = recipients.iter().map(Recipient::as_str).collect();
        value.insert("recipients".to_owned(), recipients.into());
        value.insert("deletion".to_owned(), deletion.as_str().into());
    }
    value
}

/// In the largest unit that says it exactly.
pub(super) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let exact = |(_, factor): &&(&str, u64)| seconds >= *factor && seconds.is_multiple_of(*factor);
    let (unit, factor) = UNITS.iter().find(exact).unwrap_or(&("s", 1));
    format!("{}{unit}", seconds / factor)
}
