//! When an API key ends, as an operator writes it: a time, a duration from now, or `never`.

use std::time::Duration;

use super::units::parse_duration;
use attest_core::UnixTime;

/// Why a text does not say when a key ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpiryError {
    #[error("is not a time such as 2027-01-31T12:00:00Z, a duration such as 30d, or never")]
    Malformed,
    #[error("is not in the future")]
    Past,
}

/// Reads the end of a key's time; `None` for `never`.
pub fn parse_expiry(text: &str, now: UnixTime) -> Result<Option<UnixTime>, ExpiryError> {
    if text == "never" {
        return Ok(None);
    }
    let at = match UnixTime::parse_rfc3339(text) {
        Ok(at) => at,
        Err(_) => now.plus(parse_overlap(text)?),
    };
    if at <= now {
        return Err(ExpiryError::Past);
    }
    Ok(Some(at))
}

/// Reads how long a key stays valid beside the one that replaces it.
pub fn parse_overlap(text: &str) -> Result<Duration, ExpiryError> {
    parse_duration(text).map_err(|_| ExpiryError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_time_a_duration_and_never() {
        let now = UnixTime::from_secs(1_800_000_000);
        assert_eq!(parse_expiry("never", now), Ok(None));
        let later = UnixTime::from_secs(1_800_003_600);
        assert_eq!(parse_expiry("1h", now), Ok(Some(later)));
        assert_eq!(parse_expiry(&later.to_string(), now), Ok(Some(later)));
        assert_eq!(parse_expiry(&now.to_string(), now), Err(ExpiryError::Past));
        assert_eq!(parse_expiry("0s", now), Err(ExpiryError::Past));
        assert_eq!(
            parse_expiry("500ms", now),
            Err(ExpiryError::Past),
            "less than a second"
        );
        for text in ["", "soon", "-1h", "2027-02-30T00:00:00Z", "2027-01-31"] {
            assert_eq!(
                parse_expiry(text, now),
                Err(ExpiryError::Malformed),
                "{text}"
            );
        }
    }
}
