//! Reading the members of collateral, each wrong one by its name.

use serde_json::{Map, Value};

use super::CollateralError;
use crate::encoding::parse_base64;

pub(super) fn object<'a>(
    value: &'a Value,
    what: &'static str,
) -> Result<&'a Map<String, Value>, CollateralError> {
    value.as_object().ok_or(CollateralError::NotAnObject(what))
}

pub(super) fn refuse_unknown(
    members: &Map<String, Value>,
    known: &[&str],
) -> Result<(), CollateralError> {
    match members.keys().find(|key| !known.contains(&key.as_str())) {
        Some(unknown) => Err(CollateralError::Unknown(unknown.clone())),
        None => Ok(()),
    }
}

pub(super) fn text<'a>(
    members: &'a Map<String, Value>,
    field: &'static str,
) -> Result<&'a str, CollateralError> {
    members
        .get(field)
        .ok_or(CollateralError::Missing(field))?
        .as_str()
        .ok_or(CollateralError::NotAString(field))
}

pub(super) fn base64(
    members: &Map<String, Value>,
    field: &'static str,
    max_len: usize,
) -> Result<Vec<u8>, CollateralError> {
    parse_base64(text(members, field)?, max_len)
        .map_err(|error| CollateralError::Base64 { field, error })
}

pub(super) fn base64_if_present(
    members: &Map<String, Value>,
    field: &'static str,
    max_len: usize,
) -> Result<Option<Vec<u8>>, CollateralError> {
    match members.contains_key(field) {
        true => base64(members, field, max_len).map(Some),
        false => Ok(None),
    }
}

/// A list of at most `max_count`, empty if the member is absent.
pub(super) fn base64_list(
    members: &Map<String, Value>,
    field: &'static str,
    max_count: usize,
    max_len: usize,
) -> Result<Vec<Vec<u8>>, CollateralError> {
    let Some(list) = members.get(field) else {
        return Ok(Vec::new());
    };
    let list = list.as_array().ok_or(CollateralError::NotAList(field))?;
    if list.len() > max_count {
        return Err(CollateralError::TooMany(field));
    }
    list.iter()
        .map(|entry| {
            let text = entry.as_str().ok_or(CollateralError::NotAString(field))?;
            parse_base64(text, max_len).map_err(|error| CollateralError::Base64 { field, error })
        })
        .collect()
}
