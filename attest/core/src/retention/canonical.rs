//! The canonical form: RFC 8785 JSON with every default written out.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::document::Document;
use super::{Field, KeptMetadata, PolicySalt, Rule, Terms};
use crate::json;

/// Units and their seconds, the largest first.
pub(super) const UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)];

/// `salt` is of the form that a service keeps; it is never published.
pub(super) fn text<T: WrittenName, R: WrittenName>(
    document: &Document<T, R>,
    salt: Option<&PolicySalt>,
) -> String {
    let rules = &document.rules;
    let mut value = json!({
        "format": document.format.as_str(),
        "epoch": document.epoch,
        "predecessor": document.predecessor.map(|digest| digest.to_string()),
        "description": document.description,
        "default": terms(&rules.default),
        "rule": rules.rules.iter().map(rule).collect::<Vec<_>>(),
    });
    if let Some(salt) = salt {
        value["salt"] = salt.to_hex().into();
    }
    canonical(&value)
}

/// Tenants, recipients and rules in the order of their texts, so that the order in which they were written says
/// nothing about who they are.
pub(super) fn sorted<T: WrittenName, R: WrittenName>(
    mut document: Document<T, R>,
) -> Document<T, R> {
    let rules = &mut document.rules;
    for rule in &mut rules.rules {
        if let Some(tenants) = &mut rule.tenants {
            tenants.sort_by_key(WrittenName::written);
        }
        if let Terms::Content { recipients, .. } = &mut rule.terms {
            recipients.sort_by_key(WrittenName::written);
        }
    }
    rules.rules.sort_by_cached_key(|one| canonical(&rule(one)));
    document
}

/// A tenant or recipient as documents spell it.
pub(super) trait WrittenName {
    fn written(&self) -> String;
}

fn canonical(value: &Value) -> String {
    let bytes = json::canonicalize(value).expect("made of strings and small integers");
    String::from_utf8(bytes).expect("canonical JSON is UTF-8")
}

fn rule<T: WrittenName, R: WrittenName>(rule: &Rule<T, R>) -> Value {
    let mut value = terms(&rule.terms);
    let tenants = rule.tenants.as_deref().map(written);
    value.insert("tenants".to_owned(), json!(tenants));
    value.insert("models".to_owned(), json!(rule.models));
    Value::Object(value)
}

fn terms<R: WrittenName>(terms: &Terms<R>) -> Map<String, Value> {
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
        value.insert("recipients".to_owned(), written(recipients).into());
        value.insert("deletion".to_owned(), deletion.as_str().into());
    }
    value
}

fn written<N: WrittenName>(names: &[N]) -> Vec<String> {
    names.iter().map(WrittenName::written).collect()
}

/// In the largest unit in which it is a whole number.
pub(super) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let exact = |(_, factor): &&(&str, u64)| seconds >= *factor && seconds.is_multiple_of(*factor);
    let (unit, factor) = UNITS.iter().find(exact).unwrap_or(&("s", 1));
    format!("{}{unit}", seconds / factor)
}
