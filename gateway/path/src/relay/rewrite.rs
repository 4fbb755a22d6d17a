//! Changes to a body before it is forwarded: the upstream's name for the model, our salt for its prefix cache or none, but
//! never the client's, a request for a stream's usage, and no serving constraints.
//!
//! A rewrite is a list of edits of the received text. Everything else (order, white space, spelling of numbers) is
//! forwarded unchanged, so a receipt's two request hashes differ only by the members it lists (ACI §5.3, §7.4).

use std::ops::Range;

use bytes::Bytes;

use super::object_spans::{ObjectSpans, object_spans};
use crate::admit::CacheSalt;
use gateway_upstream::channel::Edit;

/// The constraints that we consume have this prefix (ACI §5.3).
const CONSUMED: &str = "aci_";

/// Engines that divide their prefix cache read this member.
const CACHE_SALT: &str = "cache_salt";

const STREAM_OPTIONS: &str = "stream_options";

/// Spans of a received body that a rewrite may touch.
pub struct Spans {
    /// The value of `model`, quotes included.
    pub model: Range<usize>,
    /// The `provider` member from its name to its value, with one adjoining comma.
    pub provider: Option<Range<usize>>,
    pub cache_salt: Option<CacheSalt>,
}

/// The members that are set or replaced for one upstream.
pub struct Rewrites<'a> {
    /// Its name for the model, if that differs from the one in the request.
    pub model: Option<&'a str>,
    /// The salt for its prefix cache, if it uses one.
    pub cache_salt: Option<&'a str>,
    /// Whether to request the usage of a stream.
    pub usage: bool,
}

/// The members that a rewrite touches, for the receipt.
pub fn changed(spans: &Spans, rewrites: &Rewrites<'_>) -> Vec<&'static str> {
    let salt = spans.cache_salt.is_some() || rewrites.cache_salt.is_some();
    [
        ("model", rewrites.model.is_some()),
        ("provider", spans.provider.is_some()),
        (CACHE_SALT, salt),
        (STREAM_OPTIONS, rewrites.usage),
    ]
    .into_iter()
    .filter_map(|(name, touched)| touched.then_some(name))
    .collect()
}

/// All edits for one upstream, in order of position.
pub fn edits(body: &[u8], spans: &Spans, rewrites: &Rewrites<'_>) -> Vec<Edit> {
    let provider = provider(body, spans);
    let mut edits = provider.within;
    let removed_salt = spans
        .cache_salt
        .as_ref()
        .filter(|_| rewrites.cache_salt.is_none());
    match (provider.removed, removed_salt) {
        // Each span includes a comma, and it may be the same one.
        (Some(_), Some(_)) => edits.extend(drop_members(body, &["provider", CACHE_SALT])),
        (Some(range), None) => edits.push(remove(range)),
        (None, Some(salt)) => edits.push(remove(salt.cut.clone())),
        (None, None) => {}
    }
    edits.extend(rewrites.model.map(|name| Edit {
        range: spans.model.clone(),
        replacement: quoted(name),
    }));
    edits.extend(
        rewrites
            .cache_salt
            .and_then(|salt| set_salt(body, spans, salt)),
    );
    if rewrites.usage {
        edits.extend(request_usage(body));
    }
    // By end as well: an insertion and a removal may begin at the same place, and the insertion, which is empty, comes
    // first.
    edits.sort_by_key(|edit| (edit.range.start, edit.range.end));
    edits
}

/// Edits of `provider`.
#[derive(Default)]
struct Provider {
    /// It contains nothing but our constraints: the whole member is removed.
    removed: Option<Range<usize>>,
    /// Edits that remove our constraints from it.
    within: Vec<Edit>,
}

fn provider(body: &[u8], spans: &Spans) -> Provider {
    let Some(whole) = spans.provider.clone() else {
        return Provider::default();
    };
    let colon = body
        .get(whole.clone())
        .and_then(|member| member.iter().position(|b| *b == b':'));
    let object = colon.and_then(|colon| object_spans(body, whole.start + colon + 1));
    let Some(object) = object else {
        return Provider::default();
    };
    let consumed = |index: usize| {
        object
            .members
            .get(index)
            .is_some_and(|m| m.name.starts_with(CONSUMED))
    };
    let count = object.members.len();
    match (0..count).filter(|index| consumed(*index)).count() {
        0 => Provider::default(),
        all if all == count => Provider {
            removed: Some(whole),
            within: Vec::new(),
        },
        _ => Provider {
            removed: None,
            within: keep_only(&object, &|index| !consumed(index)),
        },
    }
}

/// Replaces the client's salt, or inserts ours as the first member; an object with a model has another member after it.
fn set_salt(body: &[u8], spans: &Spans, salt: &str) -> Option<Edit> {
    if let Some(own) = &spans.cache_salt {
        return Some(Edit {
            range: own.value.clone(),
            replacement: quoted(salt),
        });
    }
    let inside = body.iter().position(|b| *b == b'{')? + 1;
    let member = format!("\"{CACHE_SALT}\":\"{salt}\",");
    Some(Edit {
        range: inside..inside,
        replacement: Bytes::from(member),
    })
}

/// Sets `stream_options.include_usage`. Admission has checked that they are an object or null and a boolean or null, each
/// given at most once.
fn request_usage(body: &[u8]) -> Option<Edit> {
    const MEMBER: &str = r#""include_usage":true"#;
    let object = object_spans(body, 0)?;
    let options = object.members.iter().find(|m| m.name == STREAM_OPTIONS);
    let insert = |at: usize, text: String| {
        Some(Edit {
            range: at..at,
            replacement: Bytes::from(text),
        })
    };
    let Some(options) = options else {
        let member = format!("\"stream_options\":{{{MEMBER}}},");
        return insert(object.inside.start, member);
    };
    let Some(inner) = object_spans(body, options.value.start) else {
        return Some(Edit {
            range: options.value.clone(),
            replacement: Bytes::from(format!("{{{MEMBER}}}")),
        });
    };
    match inner.members.iter().find(|m| m.name == "include_usage") {
        Some(given) => Some(Edit {
            range: given.value.clone(),
            replacement: Bytes::from_static(b"true"),
        }),
        None if inner.members.is_empty() => insert(inner.inside.start, MEMBER.to_owned()),
        None => insert(inner.inside.start, format!("{MEMBER},")),
    }
}

fn drop_members(body: &[u8], names: &[&str]) -> Vec<Edit> {
    let Some(object) = object_spans(body, 0) else {
        return Vec::new();
    };
    let removed = |index: usize| {
        let member = object.members.get(index);
        member.is_some_and(|member| names.contains(&&*member.name))
    };
    keep_only(&object, &|index| !removed(index))
}

fn quoted(text: &str) -> Bytes {
    Bytes::from(serde_json::Value::from(text).to_string())
}

fn remove(range: Range<usize>) -> Edit {
    Edit {
        range,
        replacement: Bytes::new(),
    }
}

/// Removes every member that is not kept, with its comma.
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
                replacement: Bytes::from_static(b","),
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

    use crate::admit::Fields;
    use gateway_base::request::Endpoint;

    const NAME: Rewrites<'static> = Rewrites {
        model: Some("b\"c"),
        cache_salt: None,
        usage: false,
    };

    fn spans(body: &[u8]) -> Spans {
        let fields = Fields::read(body, Endpoint::Chat).expect("admissible");
        Spans {
            model: fields.model_span,
            provider: fields.provider_span,
            cache_salt: fields.cache_salt,
        }
    }

    fn rewritten(body: &str, rewrites: &Rewrites<'_>) -> String {
        let mut out = Vec::new();
        let mut at = 0;
        for edit in edits(body.as_bytes(), &spans(body.as_bytes()), rewrites) {
            assert!(edit.range.start >= at, "edits overlap");
            out.extend_from_slice(&body.as_bytes()[at..edit.range.start]);
            out.extend_from_slice(&edit.replacement);
            at = edit.range.end;
        }
        out.extend_from_slice(&body.as_bytes()[at..]);
        String::from_utf8(out).expect("utf-8")
    }

    #[test]
    fn a_salt_is_inserted_or_replaced_and_the_clients_never_forwarded() {
        const OURS: Rewrites<'static> = Rewrites {
            model: None,
            cache_salt: Some("ours"),
            usage: false,
        };
        const NONE: Rewrites<'static> = Rewrites {
            model: None,
            cache_salt: None,
            usage: false,
        };
        let cases = [
            (
                r#" {"model":"a"}"#,
                r#" {"cache_salt":"ours","model":"a"}"#,
                r#" {"model":"a"}"#,
            ),
            (
                r#"{"model":"a", "cache_salt" : {"x":[1]} }"#,
                r#"{"model":"a", "cache_salt" : "ours" }"#,
                r#"{"model":"a" }"#,
            ),
            (
                r#"{"c\u0061che_salt":null,"model":"a"}"#,
                r#"{"c\u0061che_salt":"ours","model":"a"}"#,
                r#"{"model":"a"}"#,
            ),
            (
                r#"{"model":"a","provider":{"aci_verified":true},"cache_salt":"x"}"#,
                r#"{"model":"a","cache_salt":"ours"}"#,
                r#"{"model":"a"}"#,
            ),
            (
                r#"{"cache_salt":"x","provider":{"aci_verified":true,"k":1},"model":"a"}"#,
                r#"{"cache_salt":"ours","provider":{"k":1},"model":"a"}"#,
                r#"{"provider":{"k":1},"model":"a"}"#,
            ),
            (
                r#"{"provider":{"aci_verified":true},"model":"a"}"#,
                r#"{"cache_salt":"ours","model":"a"}"#,
                r#"{"model":"a"}"#,
            ),
        ];
        for (before, with, without) in cases {
            assert_eq!(rewritten(before, &OURS), with);
            assert_eq!(rewritten(before, &NONE), without);
        }
    }

    #[test]
    fn usage_is_requested_with_any_stream_options_of_the_client() {
        const USAGE: Rewrites<'static> = Rewrites {
            model: None,
            cache_salt: None,
            usage: true,
        };
        for (before, after) in [
            (
                r#"{ "model":"a","stream":true}"#,
                r#"{"stream_options":{"include_usage":true}, "model":"a","stream":true}"#,
            ),
            (
                r#"{"model":"a","stream_options" : { } }"#,
                r#"{"model":"a","stream_options" : {"include_usage":true } }"#,
            ),
            (
                r#"{"model":"a","stream_options":null}"#,
                r#"{"model":"a","stream_options":{"include_usage":true}}"#,
            ),
            (
                r#"{"model":"a","stream_options":{"include_usage": false , "x":1}}"#,
                r#"{"model":"a","stream_options":{"include_usage": true , "x":1}}"#,
            ),
            (
                r#"{"model":"a","stream_opti\u006fns":{"x":{"include_usage":false}}}"#,
                r#"{"model":"a","stream_opti\u006fns":{"include_usage":true,"x":{"include_usage":false}}}"#,
            ),
            (
                r#"{"provider":{"aci_verified":true},"model":"a","stream_options":{"include_usage":null}}"#,
                r#"{"model":"a","stream_options":{"include_usage":true}}"#,
            ),
        ] {
            assert_eq!(rewritten(before, &USAGE), after);
        }
        const BOTH: Rewrites<'static> = Rewrites {
            model: Some("b"),
            cache_salt: Some("s"),
            usage: true,
        };
        let out = rewritten(r#"{"provider":{"aci_verified":true},"model":"a"}"#, &BOTH);
        let read: Value = serde_json::from_str(&out).expect("JSON");
        let rewrites =
            json!({"model": "b", "cache_salt": "s", "stream_options": {"include_usage": true}});
        assert_eq!(read, rewrites, "{out}");
    }

    #[test]
    fn rejects_a_salt_given_twice_or_in_another_spelling() {
        use gateway_base::errors::{Invalid, Member};
        for body in [
            r#"{"model":"a","cache_salt":"x","cache_salt":"y"}"#,
            r#"{"model":"a","cache_salt":"x","c\u0061che_salt":"y"}"#,
            r#"{"model":"a","Cache_Salt":"x"}"#,
        ] {
            let refused = Fields::read(body.as_bytes(), Endpoint::Chat);
            assert_eq!(
                refused,
                Err(Invalid::Ambiguous(Member::CacheSalt)),
                "{body}"
            );
        }
    }

    #[test]
    fn only_the_listed_members_change() {
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
                r#"{"model":"a","provider":{"order":1, "aci_verified":true ,"aci_session_ids":["0000000000000000000000000000000000000000000000000000000000000000"], "z":1 }}"#,
                r#"{"model":"b\"c","provider":{"order":1,"z":1 }}"#,
            ),
            (
                r#"{"model":"a","provider":{"order":1 , "\u0061ci_verified":true } }"#,
                r#"{"model":"b\"c","provider":{"order":1} }"#,
            ),
        ];
        for (before, after) in cases {
            assert_eq!(rewritten(before, &NAME), after);
        }
    }

    #[test]
    fn an_unchanged_body_has_no_edits() {
        let body = r#"{"model":"mod\u0065l","provider":{"order":[]}}"#;
        let unchanged = Rewrites {
            model: None,
            cache_salt: None,
            usage: false,
        };
        assert!(edits(body.as_bytes(), &spans(body.as_bytes()), &unchanged).is_empty());
    }

    /// Members that admission reads.
    const READ: [&str; 5] = [
        "model",
        "stream",
        "stream_options",
        "provider",
        "cache_salt",
    ];

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
        fn any_object_is_unchanged_except_for_the_replaced_members(
            mut object in members(value()),
            model in ".{1,12}",
            upstream_model in ".{0,12}",
            provider in prop::option::of((any::<bool>(), prop::collection::btree_map("[a-zA-Z\"\\\\]{0,5}", value(), 0..5))),
            own_salt in prop::option::of(value()),
            our_salt in prop::option::of("[A-Za-z0-9_-]{43}"),
            pretty in any::<bool>(),
        ) {
            object.retain(|name, _| !READ.contains(&name.to_lowercase().as_str()));
            object.insert("model".to_owned(), model.into());
            if let Some((constrained, members)) = provider.clone() {
                let mut provider: Map<String, Value> = members.into_iter().collect();
                if constrained {
                    provider.insert("aci_verified".to_owned(), true.into());
                }
                object.insert("provider".to_owned(), provider.into());
            }
            if let Some(own_salt) = own_salt {
                object.insert("cache_salt".to_owned(), own_salt);
            }
            let before = Value::from(object.clone());
            let text = if pretty { format!("{before:#}") } else { before.to_string() };

            let mut expected = object;
            expected.insert("model".to_owned(), upstream_model.clone().into());
            match provider {
                Some((true, members)) if members.is_empty() => {
                    expected.remove("provider");
                }
                Some((_, members)) => {
                    expected.insert("provider".to_owned(), json!(members));
                }
                None => {}
            }
            match &our_salt {
                Some(salt) => expected.insert("cache_salt".to_owned(), salt.clone().into()),
                None => expected.remove("cache_salt"),
            };
            let rewrites = Rewrites { model: Some(&upstream_model), cache_salt: our_salt.as_deref(), usage: false };
            let after: Value = serde_json::from_str(&rewritten(&text, &rewrites)).expect("json");
            prop_assert_eq!(after, Value::from(expected));
        }
    }
}
