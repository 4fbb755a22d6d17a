//! Durations such as `24h` and sizes such as `4MiB`: one notation, parsed strictly.

use std::time::Duration;

/// Why a text is neither a duration nor a size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UnitError {
    #[error("does not begin with a whole number")]
    Number,
    #[error("has no unit; durations take ms, s, m, h or d, sizes take B, KiB, MiB or GiB")]
    NoUnit,
    #[error("has a unit that is not one of ms, s, m, h, d")]
    DurationUnit,
    #[error("has a unit that is not one of B, KiB, MiB, GiB")]
    SizeUnit,
    #[error("is too large")]
    TooLarge,
}

/// Reads `250ms`, `5s`, `10m`, `24h` or `30d`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let (number, unit) = split(text)?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(UnitError::DurationUnit),
    };
    number
        .checked_mul(millis)
        .map(Duration::from_millis)
        .ok_or(UnitError::TooLarge)
}

/// Reads `512B`, `8KiB`, `4MiB` or `1GiB`.
pub(crate) fn parse_size(text: &str) -> Result<u64, UnitError> {
    let (number, unit) = split(text)?;
    let factor = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(UnitError::SizeUnit),
    };
    number.checked_mul(factor).ok_or(UnitError::TooLarge)
}

/// Formats a duration in the largest unit without a remainder.
pub fn show_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    for (factor, unit) in [
        (86_400_000, "d"),
        (3_600_000, "h"),
        (60_000, "m"),
        (1_000, "s"),
    ] {
        if millis >= factor && millis.is_multiple_of(factor) {
            return format!("{}{unit}", millis / factor);
        }
    }
    format!("{millis}ms")
}

/// Formats a size in the largest unit without a remainder.
pub(crate) fn show_size(bytes: u64) -> String {
    for (factor, unit) in [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
        if bytes >= factor && bytes.is_multiple_of(factor) {
            return format!("{}{unit}", bytes / factor);
        }
    }
    format!("{bytes}B")
}

fn split(text: &str) -> Result<(u64, &str), UnitError> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err(UnitError::Number);
    }
    if unit.is_empty() {
        return Err(UnitError::NoUnit);
    }
    Ok((number.parse().map_err(|_| UnitError::TooLarge)?, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formatted_values_parse_to_the_same_value() {
        for text in ["1ms", "250ms", "5s", "90s", "10m", "36h", "1d", "30d"] {
            assert_eq!(show_duration(parse_duration(text).expect(text)), text);
        }
        for text in ["0B", "512B", "8KiB", "4MiB", "1GiB", "1025B"] {
            assert_eq!(show_size(parse_size(text).expect(text)), text);
        }
    }

    #[test]
    fn formats_in_the_largest_exact_unit() {
        assert_eq!(show_duration(Duration::from_secs(86_400)), "1d");
        assert_eq!(show_size(1 << 20), "1MiB");
    }

    #[test]
    fn rejects_invalid_values_with_the_reason() {
        assert_eq!(parse_duration("h"), Err(UnitError::Number));
        assert_eq!(parse_duration("-1s"), Err(UnitError::Number));
        assert_eq!(parse_duration("10"), Err(UnitError::NoUnit));
        assert_eq!(parse_duration("10 s"), Err(UnitError::DurationUnit));
        assert_eq!(parse_duration("1h30m"), Err(UnitError::DurationUnit));
        assert_eq!(
            parse_duration("99999999999999999999s"),
            Err(UnitError::TooLarge)
        );
        assert_eq!(
            parse_duration("18446744073709551615d"),
            Err(UnitError::TooLarge)
        );
        assert_eq!(parse_size("4MB"), Err(UnitError::SizeUnit));
        assert_eq!(
            parse_size("18446744073709551615GiB"),
            Err(UnitError::TooLarge)
        );
    }
}
