//! The few fields of a body that routing needs, found without building a tree.
//!
//! One pass over the bytes checks that they are strict JSON and records where the top-level members that we read begin
//! and end. Nothing but the model's name is copied.
//!
//! Refused: a member that we read given twice, in any spelling. Parsers disagree about which of the two counts, and some
//! ignore case in names, so an upstream could serve another model, or stream differently, than we routed and recorded.

use std::ops::Range;

use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::{Constraints, Endpoint};
use gateway_base::errors::{Invalid, Member};
use gateway_quota::OutputLimit;

/// The longest model name that is read.
const MAX_MODEL: usize = 256;

/// The members of a body that decide how it is served. Spans are byte ranges of the body.
#[derive(Debug, PartialEq)]
pub struct Fields {
    /// The requested model, unescaped.
    pub model: String,
    /// The value of `model`, quotes included.
    pub model_span: Range<usize>,
    pub stream: bool,
    /// `stream_options.include_usage`, when given.
    pub include_usage: Option<bool>,
    /// The `provider` member with one of its commas, for removal. Present only if it contains ACI constraints.
    pub provider_span: Option<Range<usize>>,
    pub constraints: Constraints,
    /// The client's `cache_salt`.
    pub cache_salt: Option<CacheSalt>,
    /// `max_completion_tokens`, or else `max_tokens`.
    pub output_limit: OutputLimit,
    /// `n`: how many answers the request asks for.
    pub answers: u64,
}

/// The position of a client's `cache_salt`. Its value is read only if the configuration binds it.
#[derive(Debug, PartialEq)]
pub struct CacheSalt {
    pub value: Range<usize>,
    /// The member with one of its commas, for removal.
    pub cut: Range<usize>,
}

impl Fields {
    /// Reads a complete body.
    pub fn read(body: &[u8], endpoint: Endpoint) -> Result<Self, Invalid> {
        let text = std::str::from_utf8(body).map_err(|_| Invalid::NotUtf8)?;
        let members = Members::find(text)?;
        let (model, model_span) = members.model(text)?;
        let stream = match members.value(Member::Stream) {
            None | Some("null" | "false") => false,
            Some("true") if endpoint == Endpoint::Embeddings => {
                return Err(Invalid::EmbeddingsStream);
            }
            Some("true") => true,
            Some(_) => return Err(Invalid::StreamType),
        };
        let include_usage = members
            .value(Member::StreamOptions)
            .map_or(Ok(None), include_usage)?;
        let constraints = match members.value(Member::Provider) {
            Some(value) => Constraints::read(value)?,
            None => None,
        };
        let provider_span = constraints
            .as_ref()
            .and(members.found(Member::Provider))
            .map(|at| cut(text, at));
        let cache_salt = members.found(Member::CacheSalt).map(|at| CacheSalt {
            value: at.value_start..at.end(),
            cut: cut(text, at),
        });
        Ok(Self {
            model,
            model_span,
            stream,
            include_usage,
            provider_span,
            constraints: constraints.unwrap_or_default(),
            cache_salt,
            output_limit: members.output_limit(),
            answers: members.answers(),
        })
    }
}

/// The position of a member.
struct Found<'a> {
    /// The opening quote of its name.
    start: usize,
    value: &'a RawValue,
    value_start: usize,
}

impl Found<'_> {
    fn end(&self) -> usize {
        self.value_start + self.value.get().len()
    }
}

/// The members that we read, by their index in [`Member::ALL`].
struct Members<'a>([Option<Found<'a>>; Member::ALL.len()]);

impl<'a> Members<'a> {
    fn find(text: &'a str) -> Result<Self, Invalid> {
        let begins_object = text
            .trim_start_matches([' ', '\t', '\n', '\r'])
            .starts_with('{');
        let mut reader = serde_json::Deserializer::from_str(text);
        let outcome = if begins_object {
            reader
                .deserialize_map(TopLevel { text })
                .and_then(|found| reader.end().map(|()| found))
        } else {
            IgnoredAny::deserialize(&mut reader).map_err(|_| Invalid::NotJson)?;
            reader.end().map_err(|_| Invalid::NotJson)?;
            return Err(Invalid::NotAnObject);
        };
        outcome.map_err(|_| Invalid::NotJson)?
    }

    fn found(&self, member: Member) -> Option<&Found<'a>> {
        self.0
            .iter()
            .zip(Member::ALL)
            .find(|(_, known)| *known == member)
            .and_then(|(found, _)| found.as_ref())
    }

    fn value(&self, member: Member) -> Option<&'a str> {
        self.found(member).map(|found| found.value.get())
    }

    /// The larger of the two, if both are given: engines differ in which one they read.
    fn output_limit(&self) -> OutputLimit {
        let members = [Member::MaxCompletionTokens, Member::MaxTokens];
        let texts = members.into_iter().filter_map(|member| self.value(member));
        let limits = texts.filter(|text| *text != "null").map(output_limit);
        limits.max().unwrap_or_default()
    }

    /// One, unless it is a number above: an engine refuses anything else.
    fn answers(&self) -> u64 {
        let value = self.value(Member::Answers);
        value.and_then(|text| text.parse().ok()).unwrap_or(1).max(1)
    }

    fn model(&self, text: &str) -> Result<(String, Range<usize>), Invalid> {
        let found = self.found(Member::Model).ok_or(Invalid::ModelMissing)?;
        let span = found.value_start..found.end();
        debug_assert_eq!(text.get(span.clone()), Some(found.value.get()));
        if span.len() > 6 * MAX_MODEL {
            return Err(Invalid::ModelType);
        }
        let model: String =
            serde_json::from_str(found.value.get()).map_err(|_| Invalid::ModelType)?;
        if model.is_empty() || model.len() > MAX_MODEL {
            return Err(Invalid::ModelType);
        }
        Ok((model, span))
    }
}

/// Visits the top level of an object. The inner error is an ambiguity, the outer one means that it is not JSON.
struct TopLevel<'a> {
    text: &'a str,
}

impl<'de> Visitor<'de> for TopLevel<'de> {
    type Value = Result<Members<'de>, Invalid>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Members([const { None }; Member::ALL.len()]);
        let mut ambiguous = None;
        // Names are read raw: they have to be valid JSON strings, but only few of them need unescaping.
        while let Some(name) = map.next_key::<&RawValue>()? {
            let value: &RawValue = map.next_value()?;
            let Some((index, exact)) = recognise(name.get()).map_err(A::Error::custom)? else {
                continue;
            };
            let Some(slot) = members.0.get_mut(index) else {
                continue;
            };
            if slot.is_some() || !exact {
                ambiguous = ambiguous.or(Member::ALL.get(index).copied());
                continue;
            }
            *slot = Some(Found {
                start: offset(self.text, name.get()),
                value,
                value_start: offset(self.text, value.get()),
            });
        }
        Ok(match ambiguous {
            Some(member) => Err(Invalid::Ambiguous(member)),
            None => Ok(members),
        })
    }
}

/// Which of our members a parser could take a quoted name for, and whether it is spelled exactly like it.
fn recognise(quoted: &str) -> Result<Option<(usize, bool)>, serde_json::Error> {
    let inner = quoted
        .get(1..quoted.len().saturating_sub(1))
        .unwrap_or_default();
    if !inner.contains('\\') {
        return Ok(position(inner));
    }
    let unescaped: String = serde_json::from_str(quoted)?;
    Ok(position(&unescaped))
}

fn position(name: &str) -> Option<(usize, bool)> {
    // The longest spelling: a letter of max_completion_tokens as U+017F or U+212A takes up to three bytes.
    if name.len() > 3 * "max_completion_tokens".len() {
        return None;
    }
    let index = Member::ALL
        .iter()
        .position(|member| folds_to(name, member.name()))?;
    Some((
        index,
        Member::ALL
            .get(index)
            .is_some_and(|member| member.name() == name),
    ))
}

/// Equality under simple Unicode case folding, as case-insensitive JSON parsers apply it, with an ASCII name.
fn folds_to(name: &str, ours: &str) -> bool {
    let fold = |c: char| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    };
    name.chars().map(fold).eq(ours.chars())
}

/// The offset of `part` in the `whole` it was borrowed from.
fn offset(whole: &str, part: &str) -> usize {
    part.as_ptr().addr().saturating_sub(whole.as_ptr().addr())
}

/// A member and the comma that has to be removed with it.
fn cut(text: &str, found: &Found<'_>) -> Range<usize> {
    let blank = [' ', '\t', '\n', '\r'];
    let after = text.get(found.end()..).unwrap_or_default();
    let following = after.trim_start_matches(blank);
    if following.starts_with(',') {
        let end = found.end() + (after.len() - following.len()) + 1;
        return found.start..end;
    }
    let before = text
        .get(..found.start)
        .unwrap_or_default()
        .trim_end_matches(blank);
    if before.ends_with(',') {
        before.len() - 1..found.end()
    } else {
        found.start..found.end()
    }
}

fn include_usage(value: &str) -> Result<Option<bool>, Invalid> {
    #[derive(Deserialize)]
    struct Options {
        include_usage: Option<bool>,
    }
    let options: Option<Options> =
        serde_json::from_str(value).map_err(|_| Invalid::StreamOptions)?;
    Ok(options.and_then(|options| options.include_usage))
}

fn output_limit(value: &str) -> OutputLimit {
    match value.parse::<i64>() {
        Ok(tokens) => u64::try_from(tokens).map_or(OutputLimit::None, OutputLimit::Tokens),
        Err(_) => OutputLimit::Unreadable,
    }
}

#[cfg(test)]
mod tests;
