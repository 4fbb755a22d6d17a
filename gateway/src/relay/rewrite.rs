//! What is forwarded instead of what was received: the upstream's name for the model, and no serving constraints.
//!
//! A rewrite is a list of edits on the received text. Everything else — order, white space, number spelling — goes
//! out exactly as it came in, so a receipt's two request hashes differ only where we say they do (ACI §5.3, §7.4).

use bytes::Bytes;
use std::ops::Range;

use super::object_spans::{ObjectSpans, object_spans};
use crate::channel::Edit;

/// The constraints we consume carry this prefix (ACI §5.3).
const CONSUMED: &str = "aci_";

/// Spans of a received body that a rewrite may touch.
pub struct Spans {
    /// The value of `model`, quotes included.
    pub model: Range<usize>,
    /// The `provider` member from its name to its value, with one adjoining comma.
    pub provider: Option<Range<usize>>,
}

/// Edits that name the model as this upstream does; none when it already is so named.
pub fn model_edit(spans: &Spans, requested: &str, upstream_model: &str) -> Option<Edit> {
    (requested != upstream_model).then(|| Edit {
        range: spans.model.clone(),
        with: Bytes::from(serde_json::Value::from(upstream_model).to_string()),
    })
}

/// Edits that take our own constraints out of `provider` and leave the rest of it alone.
pub fn provider_edits(body: &[u8], spans: &Spans) -> Vec<Edit> {
    let Some(whole) = spans.provider.clone() else {
        return Vec::new();
    };
    let colon = body
        .get(whole.clone())
        .and_then(|member| member.iter().position(|b| *b == b':'));
    let object = colon.and_then(|colon| object_spans(body, whole.start + colon + 1));
    let Some(object) = object else {
        return Vec::new();
    };
    let consumed = |index: usize| {
        object
            .members
            .get(index)
            .is_some_and(|m| m.name.starts_with(CONSUMED))
    };
    let count = object.members.len();
    match (0..count).filter(|index| consumed(*index)).count() {
        0 => Vec::new(),
        all if all == count => vec![remove(whole)],
        _ => keep_only(&object, &|index| !consumed(index)),
    }
}

/// All edits for one upstream, in order of position.
pub fn edits(body: &[u8], spans: &Spans, requested: &str, upstream_model: &str) -> Vec<Edit> {
    let mut edits = provider_edits(body, spans);
    edits.extend(model_edit(spans, requested, upstream_model));
    edits.sort_by_key(|edit| edit.range.start);
    edits
}

fn remove(range: Range<usize>) -> Edit {
    Edit {
        range,
        with: Bytes::new(),
    }
}

/// Removes every member not kept, together with exactly the commas that joined it.
fn keep_only(object: &ObjectSpans<'_>, keep: &dyn Fn(usize) -> bool) -> Vec<Edit> {
    let mut edits = Vec::new();
    let mut last_kept: Option<usize> = None;
    let mut dropped_since = false;
    for (index, member) in object.members.iter().enumerate() {
        if !keep(index) {
            dropped_since = true;
            continue;
        }
        let kept_before = last_kept.and_then(|index| object.members.get(index));
        match kept_before {
            Some(before) if dropped_since => edits.push(Edit {
                range: before.whole.end..member.whole.start,
                with: Bytes::from_static(b","),
            }),
            None if dropped_since => edits.push(remove(object.inside.start..member.whole.start)),
            _ => {}
        }
        last_kept = Some(index);
        dropped_since = false;
    }
    if let (Some(last), true) = (
        last_kept.and_then(|index| object.members.get(index)),
        dropped_since,
    ) {
        edits.push(remove(last.whole.end..object.inside.end));
    }
    edits
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    fn spans(body: &[u8]) -> Spans {
        let object = object_spans(body, 0).expect("an object");
        let at = |name: &str| object.members.iter().position(|member| member.name == name);
        let model = object.members[at("model").expect("model")].whole.clone();
        let text = std::str::from_utf8(&body[model.clone()]).expect("utf-8");
        let after_colon = text.split_once(':').expect("a member").1.trim_start();
        let model = model.end - after_colon.len()..model.end;
        let provider = at("provider").map(|index| match object.members.get(index + 1) {
            Some(next) => object.members[index].whole.start..next.whole.start,
            None => {
                let before = index
                    .checked_sub(1)
                    .map(|before| object.members[before].whole.end);
                before.unwrap_or(object.inside.start)..object.members[index].whole.end
            }
        });
        Spans { model, provider }
    }

    fn rewritten(body: &str, upstream_model: &str) -> String {
        let spans = spans(body.as_bytes());
        let requested: Value = serde_json::from_str(&body[spans.model.clone()]).expect("a string");
        let mut out = Vec::new();
        let mut at = 0;
        for edit in edits(
            body.as_bytes(),
            &spans,
            requested.as_str().expect("a string"),
            upstream_model,
        ) {
            assert!(edit.range.start >= at, "edits overlap");
            out.extend_from_slice(&body.as_bytes()[at..edit.range.start]);
            out.extend_from_slice(&edit.with);
            at = edit.range.end;
        }
        out.extend_from_slice(&body.as_bytes()[at..]);
        String::from_utf8(out).expect("utf-8")
    }

    #[test]
    fn only_the_named_members_change_and_every_other_byte_stays() {
        let cases = [
            (
                r#"{ "model" : "a" , "n":1.0e0 }"#,
                r#"{ "model" : "b\"c" , "n":1.0e0 }"#,
            ),
            (
                r#"{"model":"a","provider":{"aci_verified":true}}"#,
                r#"{"model":"b\"c"}"#,
            ),
            (
                r#"{"provider":{"aci_verified":true},"model":"a"}"#,
                r#"{"model":"b\"c"}"#,
            ),
            (
                r#"{"model":"a","provider":{"order":["x"]} }"#,
                r#"{"model":"b\"c","provider":{"order":["x"]} }"#,
            ),
            (
                r#"{"model":"a","provider":{}}"#,
                r#"{"model":"b\"c","provider":{}}"#,
            ),
            (
                r#"{"model":"a","provider":null}"#,
                r#"{"model":"b\"c","provider":null}"#,
            ),
            (
                r#"{"model":"a","provider":{ "aci_verified":true , "order" : ["x"], "z":1}}"#,
                r#"{"model":"b\"c","provider":{"order" : ["x"], "z":1}}"#,
            ),
            (
                r#"{"model":"a","provider":{"order":1, "aci_verified":true ,"aci_session_ids":["q"], "z":1 }}"#,
                r#"{"model":"b\"c","provider":{"order":1,"z":1 }}"#,
            ),
            (
                r#"{"model":"a","provider":{"order":1 , "\u0061ci_verified":true } }"#,
                r#"{"model":"b\"c","provider":{"order":1} }"#,
            ),
        ];
        for (before, after) in cases {
            assert_eq!(rewritten(before, "b\"c"), after);
        }
    }

    #[test]
    fn a_body_that_needs_no_change_is_not_edited() {
        let body = r#"{"model":"mod\u0065l","provider":{"order":[]}}"#;
        assert!(edits(body.as_bytes(), &spans(body.as_bytes()), "model", "model").is_empty());
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,16}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                members(inner).prop_map(Value::from),
            ]
        })
    }

    fn members(inner: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
        prop::collection::btree_map("model|provider|aci_x|.{0,6}", inner, 0..5)
            .prop_map(|map| map.into_iter().collect())
    }

    proptest! {
        #[test]
        fn any_object_stays_the_same_but_for_the_replaced_members(
            mut object in members(value()),
            model in ".{0,12}",
            upstream_model in ".{0,12}",
            provider in prop::option::of(prop::collection::btree_map("aci_[a-z]{0,3}|[a-zA-Z\"\\\\]{0,5}", value(), 0..5)),
            pretty in any::<bool>(),
        ) {
            object.remove("provider");
            object.insert("model".to_owned(), model.into());
            if let Some(provider) = &provider {
                object.insert("provider".to_owned(), json!(provider));
            }
            let before = Value::from(object.clone());
            let text = if pretty { format!("{before:#}") } else { before.to_string() };

            let mut expected = object;
            expected.insert("model".to_owned(), upstream_model.clone().into());
            if let Some(mut provider) = provider {
                let had = provider.len();
                provider.retain(|name, _| !name.starts_with("aci_"));
                if provider.is_empty() && had > 0 {
                    expected.remove("provider");
                } else {
                    expected.insert("provider".to_owned(), json!(provider));
                }
            }
            let after: Value = serde_json::from_str(&rewritten(&text, &upstream_model)).expect("json");
            prop_assert_eq!(after, Value::from(expected));
        }
    }
}
