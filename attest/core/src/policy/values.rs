//! What single values of a policy mean.

use std::time::Duration;

use super::PolicyError;
use crate::digest::Sha256Digest;
use crate::encoding::{parse_hex, parse_hex_vec};
use crate::retention::RetentionMode;

/// Exactly `N` bytes of lower-case hexadecimal.
pub(super) fn hex<const N: usize>(
    field: &'static str,
    value: String,
) -> Result<[u8; N], PolicyError> {
    parse_hex::<N>(&value).map_err(|_| PolicyError::Hex {
        field,
        value,
        bytes: N,
    })
}

/// One to `max` bytes of lower-case hexadecimal.
pub(super) fn hex_up_to(
    max: usize,
) -> impl Fn(&'static str, String) -> Result<Vec<u8>, PolicyError> {
    move |field, value| match parse_hex_vec(&value, max) {
        Ok(bytes) if !bytes.is_empty() => Ok(bytes),
        _ => Err(PolicyError::HexUpTo { field, value, max }),
    }
}

pub(super) fn digest(field: &'static str, value: String) -> Result<Sha256Digest, PolicyError> {
    Sha256Digest::parse(&value).map_err(|_| PolicyError::Digest { field, value })
}

/// Any text, as it is.
pub(super) fn text(_: &'static str, value: String) -> Result<String, PolicyError> {
    Ok(value)
}

/// A number and one of `s`, `m`, `h`, `d`; more than nothing.
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

/// A word that means something; `known` names those that do.
pub(super) fn word<T>(
    known: &'static str,
    meaning: impl Fn(&str) -> Option<T>,
) -> impl Fn(&'static str, String) -> Result<T, PolicyError> {
    move |field, value| {
        meaning(&value).ok_or(PolicyError::Word {
            field,
            value,
            known,
        })
    }
}

/// The same from a table of the words.
pub(super) fn one_of<T: Copy + 'static>(
    known: &'static str,
    words: &'static [(&'static str, T)],
) -> impl Fn(&'static str, String) -> Result<T, PolicyError> {
    word(known, |text| {
        let (_, meant) = words.iter().find(|(word, _)| *word == text)?;
        Some(*meant)
    })
}

/// What may follow evidence in its buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TrailingBytes {
    Any,
    Zero,
    None,
}

const TRAILING_BYTES: [(&str, TrailingBytes); 3] = [
    ("any", TrailingBytes::Any),
    ("zero", TrailingBytes::Zero),
    ("none", TrailingBytes::None),
];

impl TrailingBytes {
    pub(super) fn read(field: &'static str, value: String) -> Result<Self, PolicyError> {
        one_of("any, zero, none", &TRAILING_BYTES)(field, value)
    }

    /// Whether `count` bytes are tolerated, of which each is zero if `all_zero`.
    pub(crate) fn allow(self, count: usize, all_zero: bool) -> bool {
        match self {
            Self::Any => true,
            Self::Zero => all_zero,
            Self::None => count == 0,
        }
    }
}

/// How much a service retains.
pub(super) fn retention_mode(
    field: &'static str,
    value: String,
) -> Result<RetentionMode, PolicyError> {
    word("zero, metadata, content", RetentionMode::parse)(field, value)
}
