//! The values of a policy's keys. Each reader gets the full name of the key, for its error.

use attest_core::UnixTime;
use gateway_base::quota::Offset;
use gateway_base::request::{ModelPattern, Name};

use crate::condition::{UserName, is_key_id};
use crate::error::PolicyError;
use crate::limits::MAX_CODE;
use crate::schedule::Hours;

pub(super) fn name(key: String, text: &str) -> Result<Name, PolicyError> {
    Name::from_operator(text).map_err(|reason| PolicyError::Name {
        key,
        found: text.to_owned(),
        reason,
    })
}

pub(super) fn code(key: String, text: &str) -> Result<Name, PolicyError> {
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
    let begins = text
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_lowercase());
    if !begins || text.len() > MAX_CODE || !text.bytes().all(allowed) {
        let found = text.to_owned();
        return Err(PolicyError::Code { key, found });
    }
    name(key, text)
}

pub(super) fn user(key: String, text: &str) -> Result<UserName, PolicyError> {
    text.parse().map_err(|reason| PolicyError::User {
        key,
        found: text.to_owned(),
        reason,
    })
}

pub(super) fn key_id(key: String, text: &str) -> Result<String, PolicyError> {
    let found = text.to_owned();
    match is_key_id(text) {
        true => Ok(found),
        false => Err(PolicyError::KeyId { key, found }),
    }
}

pub(super) fn model(key: String, text: &str) -> Result<ModelPattern, PolicyError> {
    ModelPattern::parse(text).map_err(|reason| PolicyError::Name {
        key,
        found: text.to_owned(),
        reason,
    })
}

pub(super) fn hours(key: String, text: &str) -> Result<Hours, PolicyError> {
    Hours::parse(text).map_err(|reason| PolicyError::Hours {
        key,
        found: text.to_owned(),
        reason,
    })
}

pub(super) fn offset(key: String, text: &str) -> Result<Offset, PolicyError> {
    text.parse().map_err(|reason| PolicyError::Offset {
        key,
        found: text.to_owned(),
        reason,
    })
}

pub(super) fn time(key: String, text: &str) -> Result<UnixTime, PolicyError> {
    UnixTime::parse_rfc3339(text).map_err(|_| PolicyError::Time {
        key,
        found: text.to_owned(),
    })
}

/// One of a few words.
pub(super) fn word<T: Copy>(
    key: String,
    text: &str,
    all: &[T],
    as_str: fn(T) -> &'static str,
) -> Result<T, PolicyError> {
    if let Some(value) = all.iter().find(|value| as_str(**value) == text) {
        return Ok(*value);
    }
    let known: Vec<_> = all.iter().map(|value| as_str(*value)).collect();
    Err(PolicyError::UnknownWord {
        key,
        meant: strict_toml::nearest(text, &known),
        found: text.to_owned(),
        known,
    })
}
