//! The windows of time that limits and budgets are counted in.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use attest_core::UnixTime;

/// How long a window is. A day, a week (from Monday) and a month are those of the calendar.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Period {
    Minute,
    Hour,
    Day,
    Week,
    Month,
    /// One window without an end.
    Total,
}

/// From `start` on, before `end`; without an end, for ever.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    pub start: UnixTime,
    pub end: Option<UnixTime>,
}

/// What a local clock shows beyond UTC, in seconds. It does not change with the season.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Offset(i32);

/// Why a text is no offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not \"UTC\" or an offset from it such as \"+02:00\", up to 14 hours")]
pub struct OffsetError;

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;
/// 1970-01-01 was a Thursday: this much later a week began.
const FIRST_MONDAY: u64 = 4 * DAY;

impl Period {
    pub const ALL: [Period; 6] = [
        Period::Minute,
        Period::Hour,
        Period::Day,
        Period::Week,
        Period::Month,
        Period::Total,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Period::Minute => "minute",
            Period::Hour => "hour",
            Period::Day => "day",
            Period::Week => "week",
            Period::Month => "month",
            Period::Total => "total",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|period| period.as_str() == text)
    }

    /// The window that this moment is in.
    pub fn window(self, at: UnixTime, offset: Offset) -> Window {
        let local = offset.local(at);
        let (start, end) = match self {
            Period::Minute => cut(local, 60, 0),
            Period::Hour => cut(local, HOUR, 0),
            Period::Day => cut(local, DAY, 0),
            Period::Week => cut(local, 7 * DAY, FIRST_MONDAY),
            Period::Month => month(local),
            Period::Total => {
                return Window {
                    start: UnixTime::from_secs(0),
                    end: None,
                };
            }
        };
        Window {
            start: offset.utc(start),
            end: Some(offset.utc(end)),
        }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The window of this length that begins at a multiple of it after `first`.
fn cut(local: u64, length: u64, first: u64) -> (u64, u64) {
    let into = (local + length - first % length) % length;
    let start = local.saturating_sub(into);
    (start, local - into.min(local) + length)
}

/// From the first of the month to the first of the next. RFC 3339 begins with both numbers.
fn month(local: u64) -> (u64, u64) {
    let text = UnixTime::from_secs(local).to_string();
    let mut parts = text.split('-');
    let mut number = || -> Option<u64> { parts.next()?.parse().ok() };
    let (Some(year), Some(month)) = (number(), number()) else {
        // No such text is written: a window without an end counts everything.
        return (0, u64::MAX);
    };
    let next = if month == 12 {
        (year + 1, 1)
    } else {
        (year, month + 1)
    };
    let first = |(year, month): (u64, u64)| {
        let text = format!("{year:04}-{month:02}-01T00:00:00Z");
        UnixTime::parse_rfc3339(&text).map_or(u64::MAX, UnixTime::secs)
    };
    (first((year, month)), first(next))
}

impl Window {
    pub fn contains(&self, at: UnixTime) -> bool {
        self.start <= at && self.end.is_none_or(|end| at < end)
    }

    /// How long it is until the next window begins.
    pub fn remaining(&self, at: UnixTime) -> Option<Duration> {
        self.end?.since(at)
    }
}

impl Offset {
    pub const UTC: Self = Self(0);

    /// What the local clock shows, as seconds since its 1970 began. Before 1970, the beginning of 1970.
    pub fn local(self, at: UnixTime) -> u64 {
        at.secs().saturating_add_signed(self.0.into())
    }

    fn utc(self, local: u64) -> UnixTime {
        UnixTime::from_secs(local.saturating_add_signed(-i64::from(self.0)))
    }
}

impl FromStr for Offset {
    type Err = OffsetError;

    fn from_str(text: &str) -> Result<Self, OffsetError> {
        if text == "UTC" {
            return Ok(Self::UTC);
        }
        let (sign, rest) = match text.split_at_checked(1) {
            Some(("+", rest)) => (1, rest),
            Some(("-", rest)) => (-1, rest),
            _ => return Err(OffsetError),
        };
        let two_digits = |part: &str| -> Option<i32> {
            let is_number = part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
            is_number.then(|| part.parse().ok()).flatten()
        };
        let (hours, minutes) = rest.split_once(':').ok_or(OffsetError)?;
        match (two_digits(hours), two_digits(minutes)) {
            (Some(hours), Some(minutes)) if minutes < 60 && hours * 60 + minutes <= 14 * 60 => {
                Ok(Self(sign * (hours * 60 + minutes) * 60))
            }
            _ => Err(OffsetError),
        }
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("UTC");
        }
        let sign = if self.0 < 0 { '-' } else { '+' };
        let minutes = self.0.unsigned_abs() / 60;
        write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> UnixTime {
        UnixTime::parse_rfc3339(text).expect("a time")
    }

    #[test]
    fn windows_are_those_of_the_calendar() {
        let now = at("2026-12-01T03:14:15Z");
        for (period, offset, start, end) in [
            (
                Period::Minute,
                "UTC",
                "2026-12-01T03:14:00Z",
                "2026-12-01T03:15:00Z",
            ),
            (
                Period::Hour,
                "UTC",
                "2026-12-01T03:00:00Z",
                "2026-12-01T04:00:00Z",
            ),
            (
                Period::Day,
                "UTC",
                "2026-12-01T00:00:00Z",
                "2026-12-02T00:00:00Z",
            ),
            (
                Period::Week,
                "UTC",
                "2026-11-30T00:00:00Z",
                "2026-12-07T00:00:00Z",
            ),
            (
                Period::Month,
                "UTC",
                "2026-12-01T00:00:00Z",
                "2027-01-01T00:00:00Z",
            ),
            (
                Period::Day,
                "+09:30",
                "2026-11-30T14:30:00Z",
                "2026-12-01T14:30:00Z",
            ),
            (
                Period::Month,
                "-05:00",
                "2026-11-01T05:00:00Z",
                "2026-12-01T05:00:00Z",
            ),
        ] {
            let window = period.window(now, offset.parse().expect("an offset"));
            assert_eq!(
                (window.start, window.end),
                (at(start), Some(at(end))),
                "{period} {offset}"
            );
            assert!(window.contains(now));
        }
        let total = Period::Total.window(now, Offset::UTC);
        assert_eq!((total.end, total.remaining(now)), (None, None));
    }

    #[test]
    fn february_of_a_leap_year_has_29_days() {
        let window = Period::Month.window(at("2028-02-10T00:00:00Z"), Offset::UTC);
        assert_eq!(
            window.end.and_then(|end| end.since(window.start)),
            Some(Duration::from_secs(29 * DAY))
        );
    }

    #[test]
    fn rejects_time_zones_that_it_does_not_know() {
        for text in [
            "",
            "utc",
            "Z",
            "CET",
            "Europe/Berlin",
            "+2",
            "+02",
            "+0200",
            "+02:60",
            "+15:00",
            "02:00",
        ] {
            assert_eq!(text.parse::<Offset>(), Err(OffsetError), "{text}");
        }
        for text in ["UTC", "+02:00", "-11:30", "+14:00"] {
            assert_eq!(
                text.parse::<Offset>().map(|offset| offset.to_string()),
                Ok(text.to_owned())
            );
        }
    }

    proptest! {
        #[test]
        fn windows_follow_each_other_without_a_gap(secs in 1_000_000u64..250_000_000_000, minutes in -840i32..=840) {
            let offset = Offset(minutes * 60);
            for period in [Period::Minute, Period::Hour, Period::Day, Period::Week, Period::Month] {
                let window = period.window(UnixTime::from_secs(secs), offset);
                prop_assert!(window.contains(UnixTime::from_secs(secs)), "{period}");
                let end = window.end.expect("an end");
                prop_assert_eq!(period.window(end, offset).start, end);
                let last = UnixTime::from_secs(end.secs() - 1);
                prop_assert_eq!(period.window(last, offset), window);
            }
        }
    }
}
