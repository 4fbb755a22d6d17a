//! When a rule applies: hours of the day and days of the week, by a clock with a fixed offset from UTC.

use std::fmt;

use attest_core::UnixTime;
use gateway_base::quota::Offset;

const DAY_SECONDS: u64 = 86_400;
/// The first day of 1970 was a Thursday.
const FIRST_DAY: u64 = 3;
const MINUTES: u16 = 24 * 60;

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Day {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

impl Day {
    pub const ALL: [Self; 7] = [
        Self::Monday,
        Self::Tuesday,
        Self::Wednesday,
        Self::Thursday,
        Self::Friday,
        Self::Saturday,
        Self::Sunday,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Monday => "mon",
            Self::Tuesday => "tue",
            Self::Wednesday => "wed",
            Self::Thursday => "thu",
            Self::Friday => "fri",
            Self::Saturday => "sat",
            Self::Sunday => "sun",
        }
    }
}

/// From a minute of the day up to another one, which is not included. An end before the start is on the next day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours {
    start: u16,
    end: u16,
}

/// Why a text gives no hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HoursError {
    #[error("is not of the form 08:00-18:00, with hours from 00:00 to 24:00")]
    Form,
    #[error("begins and ends at the same time")]
    Empty,
}

impl Hours {
    pub fn parse(text: &str) -> Result<Self, HoursError> {
        let (start, end) = text.split_once('-').ok_or(HoursError::Form)?;
        let (start, end) = (minute(start)?, minute(end)?);
        // 24:00 is the end of a day, and the start of none.
        if start == MINUTES {
            return Err(HoursError::Form);
        }
        if start == end {
            return Err(HoursError::Empty);
        }
        Ok(Self { start, end })
    }

    fn contain(self, minute: u16) -> bool {
        if self.start < self.end {
            (self.start..self.end).contains(&minute)
        } else {
            minute >= self.start || minute < self.end
        }
    }
}

/// The minute of the day of `HH:MM`.
fn minute(text: &str) -> Result<u16, HoursError> {
    let number = |part: &str| {
        let is_number = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| part.parse::<u16>().ok()).flatten()
    };
    let (hours, minutes) = text.split_once(':').ok_or(HoursError::Form)?;
    match (number(hours), number(minutes)) {
        (Some(hours), Some(minutes)) if minutes < 60 && 60 * hours + minutes <= MINUTES => {
            Ok(60 * hours + minutes)
        }
        _ => Err(HoursError::Form),
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { start, end } = self;
        let (from, to) = ((start / 60, start % 60), (end / 60, end % 60));
        write!(f, "{:02}:{:02}-{:02}:{:02}", from.0, from.1, to.0, to.1)
    }
}

/// The hours and days of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    pub hours: Option<Hours>,
    /// By the day of the week on which the moment itself is, also for hours that began on the day before.
    pub days: Option<Vec<Day>>,
    pub offset: Offset,
}

impl Schedule {
    pub fn hours_match(&self, at: UnixTime) -> bool {
        let minute = self.offset.local(at) % DAY_SECONDS / 60;
        let hours = self.hours;
        hours.is_none_or(|hours| u16::try_from(minute).is_ok_and(|minute| hours.contain(minute)))
    }

    pub fn days_match(&self, at: UnixTime) -> bool {
        let Some(days) = &self.days else { return true };
        let number = (self.offset.local(at) / DAY_SECONDS + FIRST_DAY) % 7;
        days.iter().any(|day| *day as u64 == number)
    }

    pub fn contains(&self, at: UnixTime) -> bool {
        self.hours_match(at) && self.days_match(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> UnixTime {
        UnixTime::parse_rfc3339(text).expect("a time")
    }

    fn schedule(hours: Option<&str>, days: Option<&[Day]>, offset: &str) -> Schedule {
        Schedule {
            hours: hours.map(|text| Hours::parse(text).expect("hours")),
            days: days.map(<[Day]>::to_vec),
            offset: offset.parse().expect("an offset"),
        }
    }

    #[test]
    fn hours_begin_with_their_first_minute_and_end_before_their_last() {
        let office = schedule(Some("08:00-18:00"), None, "UTC");
        for (time, inside) in [
            ("2026-12-01T07:59:59Z", false),
            ("2026-12-01T08:00:00Z", true),
            ("2026-12-01T17:59:59Z", true),
            ("2026-12-01T18:00:00Z", false),
        ] {
            assert_eq!(office.contains(at(time)), inside, "{time}");
        }
        let all_day = schedule(Some("00:00-24:00"), None, "UTC");
        assert!(all_day.contains(at("2026-12-01T00:00:00Z")));
        assert!(all_day.contains(at("2026-12-01T23:59:59Z")));
    }

    #[test]
    fn hours_can_pass_midnight() {
        let night = schedule(Some("22:00-06:00"), None, "UTC");
        for (time, inside) in [
            ("2026-12-01T21:59:59Z", false),
            ("2026-12-01T22:00:00Z", true),
            ("2026-12-02T05:59:59Z", true),
            ("2026-12-02T06:00:00Z", false),
        ] {
            assert_eq!(night.contains(at(time)), inside, "{time}");
        }
    }

    #[test]
    fn hours_and_days_are_those_of_the_clock_with_the_offset() {
        // 2026-12-01 is a Tuesday.
        let berlin = schedule(Some("08:00-09:00"), Some(&[Day::Tuesday]), "+01:00");
        assert!(berlin.contains(at("2026-12-01T07:00:00Z")));
        assert!(!berlin.contains(at("2026-12-01T08:00:00Z")));
        assert!(!berlin.contains(at("2026-12-02T07:00:00Z")));
        let auckland = schedule(None, Some(&[Day::Wednesday]), "+13:00");
        assert!(!auckland.contains(at("2026-12-01T10:59:59Z")));
        assert!(auckland.contains(at("2026-12-01T11:00:00Z")));
        let honolulu = schedule(None, Some(&[Day::Monday]), "-10:00");
        assert!(honolulu.contains(at("2026-12-01T09:59:59Z")));
        assert!(!honolulu.contains(at("2026-12-01T10:00:00Z")));
    }

    #[test]
    fn rejects_hours_that_are_none() {
        for (text, error) in [
            ("", HoursError::Form),
            ("8:00-18:00", HoursError::Form),
            ("08:00", HoursError::Form),
            ("08:00-18:60", HoursError::Form),
            ("08:00-24:01", HoursError::Form),
            ("24:00-08:00", HoursError::Form),
            ("08:00 - 18:00", HoursError::Form),
            ("+8:00-18:00", HoursError::Form),
            ("08:00-08:00", HoursError::Empty),
        ] {
            assert_eq!(Hours::parse(text), Err(error), "{text}");
        }
        let hours = Hours::parse("22:30-06:00").expect("hours");
        assert_eq!(hours.to_string(), "22:30-06:00");
    }
}
