//! Reading the values that policies are made of.

use std::time::Duration;

use super::PolicyError;
use crate::digest::Sha256Digest;
use crate::encoding::{parse_hex, parse_hex_vec};

pub(super) fn list<T>(
    field: &'static str,
    values: Option<Vec<String>>,
    read: impl Fn(String) -> Result<T, PolicyError>,
) -> Result<Option<Vec<T>>, PolicyError> {
    match values {
        None => Ok(None),
        Some(values) if values.is_empty() => Err(PolicyError::EmptyList(field)),
        Some(values) => values
            .into_iter()
            .map(read)
            .collect::<Result<_, _>>()
            .map(Some),
    }
}

pub(super) fn hex_list<const N: usize>(
    field: &'static str,
    values: Option<Vec<String>>,
) -> Result<Option<Vec<[u8; N]>>, PolicyError> {
    list(field, values, |value| {
        parse_hex::<N>(&value).map_err(|_| PolicyError::Hex {
            field,
            value,
            bytes: N,
        })
    })
}

pub(super) fn hex_vec_list(
    field: &'static str,
    values: Option<Vec<String>>,
    max: usize,
) -> Result<Option<Vec<Vec<u8>>>, PolicyError> {
    list(field, values, |value| match parse_hex_vec(&value, max) {
        Ok(bytes) if !bytes.is_empty() => Ok(bytes),
        _ => Err(PolicyError::Hex {
            field,
            value,
            bytes: max,
        }),
    })
}

pub(super) fn digests(
    field: &'static str,
    values: Option<Vec<String>>,
) -> Result<Option<Vec<Sha256Digest>>, PolicyError> {
    list(field, values, |value| {
        Sha256Digest::parse(&value).map_err(|_| PolicyError::Digest { field, value })
    })
}

pub(super) fn duration(field: &'static str, value: String) -> Result<Duration, PolicyError> {
    let read = |text: &str| {
        let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86_400,
            _ => return None,
        };
        let plain = !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit());
        let number: u64 = plain.then(|| number.parse().ok())??;
        Some(Duration::from_secs(number.checked_mul(seconds)?)).filter(|it| !it.is_zero())
    };
    read(&value).ok_or(PolicyError::Duration { field, value })
}

/// A list of words, each of which means something.
pub(super) fn words<T>(
    field: &'static str,
    values: Option<Vec<String>>,
    known: &'static str,
    meaning: impl Fn(&str) -> Option<T>,
) -> Result<Option<Vec<T>>, PolicyError> {
    list(field, values, |value| match meaning(&value) {
        Some(meant) => Ok(meant),
        None => Err(PolicyError::Word {
            field,
            value,
            known,
        }),
    })
}
