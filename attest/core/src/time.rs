//! Points in time, handed in by the caller: nothing in this crate reads a clock.
//!
//! [`UnixTime`] is whole seconds since 1970. Its text form is RFC 3339 in UTC and nothing else:
//! offsets, fractions of a second, lower-case letters and leap seconds are refused, so that one
//! instant has one spelling (ACI/1 timestamps, Intel collateral dates, `--at`).

use std::fmt;
use std::time::Duration;

/// Whole seconds since 1970-01-01T00:00:00Z.
///
/// ```
/// use attest_core::UnixTime;
/// let at = UnixTime::parse_rfc3339("2026-01-02T03:04:05Z").unwrap();
/// assert_eq!(at.secs(), 1_767_323_045);
/// assert_eq!(at.to_string(), "2026-01-02T03:04:05Z");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(u64);

/// Why a text is not a timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// Not of the form `YYYY-MM-DDTHH:MM:SSZ`.
    #[error("a timestamp is written YYYY-MM-DDTHH:MM:SSZ")]
    Shape,
    /// The form is right but no such day or second exists.
    #[error("no such date or time of day")]
    NoSuchTime,
    /// Earlier than 1970.
    #[error("the time is before 1970")]
    BeforeEpoch,
}

const SECS_PER_DAY: u64 = 86_400;
/// Days from 0000-03-01 to 1970-01-01 in the proleptic Gregorian calendar.
const EPOCH_SHIFT_DAYS: u64 = 719_468;
const DAYS_PER_ERA: u64 = 146_097;

impl UnixTime {
    /// The time that many seconds after the epoch.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs)
    }

    /// Seconds since the epoch.
    pub const fn secs(self) -> u64 {
        self.0
    }

    /// This time moved later, whole seconds only, stopping at the end of what can be represented.
    #[must_use]
    pub const fn plus(self, later: Duration) -> Self {
        Self(self.0.saturating_add(later.as_secs()))
    }

    /// The time from `earlier` until this one, or nothing if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Option<Duration> {
        match self.0.checked_sub(earlier.0) {
            Some(secs) => Some(Duration::from_secs(secs)),
            None => None,
        }
    }

    /// Reads `YYYY-MM-DDTHH:MM:SSZ`.
    pub fn parse_rfc3339(text: &str) -> Result<Self, TimeError> {
        let bytes: &[u8; 20] = text.as_bytes().try_into().map_err(|_| TimeError::Shape)?;
        let [
            y0,
            y1,
            y2,
            y3,
            b'-',
            m0,
            m1,
            b'-',
            d0,
            d1,
            b'T',
            h0,
            h1,
            b':',
            i0,
            i1,
            b':',
            s0,
            s1,
            b'Z',
        ] = *bytes
        else {
            return Err(TimeError::Shape);
        };
        let year = digits(&[y0, y1, y2, y3])?;
        let month = digits(&[m0, m1])?;
        let day = digits(&[d0, d1])?;
        let hour = digits(&[h0, h1])?;
        let minute = digits(&[i0, i1])?;
        let second = digits(&[s0, s1])?;
        if !(1..=12).contains(&month) || !(1..=days_in_month(year, month)).contains(&day) {
            return Err(TimeError::NoSuchTime);
        }
        if hour > 23 || minute > 59 || second > 59 {
            return Err(TimeError::NoSuchTime);
        }
        if year < 1970 {
            return Err(TimeError::BeforeEpoch);
        }
        let days = days_from_civil(year, month, day);
        Ok(Self(
            days * SECS_PER_DAY + hour * 3600 + minute * 60 + second,
        ))
    }
}

impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil_from_days(self.0 / SECS_PER_DAY);
        let second_of_day = self.0 % SECS_PER_DAY;
        // Without the formatting of each number: every log line begins with a time.
        let mut text = *b"0000-00-00T00:00:00Z";
        for (end, number) in [
            (4, year % 10_000),
            (7, month),
            (10, day),
            (13, second_of_day / 3600),
            (16, second_of_day / 60 % 60),
            (19, second_of_day % 60),
        ] {
            let mut rest = number;
            for digit in text[..end]
                .iter_mut()
                .rev()
                .take_while(|digit| digit.is_ascii_digit())
            {
                *digit = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
        }
        if year >= 10_000 {
            write!(f, "{}", year / 10_000)?;
        }
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

fn digits(text: &[u8]) -> Result<u64, TimeError> {
    text.iter().try_fold(0, |value, byte| match byte {
        b'0'..=b'9' => Ok(value * 10 + u64::from(byte - b'0')),
        _ => Err(TimeError::Shape),
    })
}

fn days_in_month(year: u64, month: u64) -> u64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        _ => 31,
    }
}

/// Days since the epoch of a date not before it. Years are counted from March, so that the leap
/// day is a year's last; an era is the 400 years after which the calendar repeats.
fn days_from_civil(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let year_of_era = year % 400;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (year / 400) * DAYS_PER_ERA + day_of_era - EPOCH_SHIFT_DAYS
}

fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let days = days + EPOCH_SHIFT_DAYS;
    let day_of_era = days % DAYS_PER_ERA;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = days / DAYS_PER_ERA * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_instants_are_read_and_written() {
        for (text, secs) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1999-12-31T23:59:59Z", 946_684_799),
            ("2000-02-29T12:00:00Z", 951_825_600),
            ("2024-02-29T00:00:00Z", 1_709_164_800),
            ("2025-07-04T10:16:31Z", 1_751_624_191),
            ("2100-03-01T00:00:00Z", 4_107_542_400),
            ("9999-12-31T23:59:59Z", 253_402_300_799),
        ] {
            assert_eq!(UnixTime::parse_rfc3339(text), Ok(UnixTime::from_secs(secs)));
            assert_eq!(UnixTime::from_secs(secs).to_string(), text);
        }
    }

    #[test]
    fn every_day_of_four_centuries_survives_the_round_trip() {
        for day in 0..146_097 {
            let at = UnixTime::from_secs(day * SECS_PER_DAY + 1);
            assert_eq!(UnixTime::parse_rfc3339(&at.to_string()), Ok(at));
        }
    }

    #[test]
    fn other_spellings_are_refused_each_with_its_own_error() {
        for text in [
            "",
            "2025-07-04T10:16:31",
            "2025-07-04T10:16:31z",
            "2025-07-04 10:16:31Z",
            "2025-07-04T10:16:31+00:00",
            "2025-07-04T10:16:31.5Z",
            "+025-07-04T10:16:31Z",
            "2025-07-04T10:16:3éZ",
        ] {
            assert_eq!(
                UnixTime::parse_rfc3339(text),
                Err(TimeError::Shape),
                "{text}"
            );
        }
        for text in [
            "2025-02-29T00:00:00Z",
            "2100-02-29T00:00:00Z",
            "2025-13-01T00:00:00Z",
            "2025-00-01T00:00:00Z",
            "2025-04-31T00:00:00Z",
            "2025-01-00T00:00:00Z",
            "2025-01-01T24:00:00Z",
            "2025-01-01T00:60:00Z",
            "2016-12-31T23:59:60Z",
        ] {
            assert_eq!(
                UnixTime::parse_rfc3339(text),
                Err(TimeError::NoSuchTime),
                "{text}"
            );
        }
        assert_eq!(
            UnixTime::parse_rfc3339("1969-12-31T23:59:59Z"),
            Err(TimeError::BeforeEpoch)
        );
    }

    #[test]
    fn addition_stops_at_the_end_of_time() {
        assert_eq!(
            UnixTime::from_secs(u64::MAX).plus(Duration::from_secs(1)),
            UnixTime::from_secs(u64::MAX)
        );
        // Far beyond year 9999 there is still a rendering, never a panic.
        assert!(UnixTime::from_secs(u64::MAX).to_string().ends_with('Z'));
    }
}
