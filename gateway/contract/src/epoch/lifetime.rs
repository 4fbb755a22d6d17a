//! When an epoch is valid, and when the next one is due.
//!
//! Keyset and certificate carry dates, by the system's clock, which can be set. How long an epoch lasts is measured by
//! the machine's uptime, which cannot: setting the clock neither prolongs nor stops an epoch. If the clock was set so
//! that the current time is outside the dates, or they end much too late, a new epoch with corrected dates is due at
//! once. That also corrects a start with a wrong clock as soon as the clock is set.

use std::time::Duration;

use attest_channel::Moment;
use attest_core::UnixTime;

/// Clocks of clients may be this far behind.
const BACKDATED: Duration = Duration::from_secs(300);

/// The keyset outlives its epoch by the time that old connections get to finish, and this.
const GRACE: Duration = Duration::from_secs(60);

/// Why a new epoch is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// The epoch has lasted as long as it may.
    Expired,
    /// The system's clock was set, and the epoch's dates do not fit it.
    ClockSet,
}

/// An epoch's dates, and how long it lasts by uptime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    pub not_before: UnixTime,
    pub renew_at: UnixTime,
    pub not_after: UnixTime,
    began: Moment,
    lasts: Duration,
}

impl Lifetime {
    /// The lifetime of an epoch that begins now, lasts this long, and whose connections may take `drain` to finish.
    pub fn begin(began: Moment, lasts: Duration, drain: Duration) -> Self {
        let renew_at = began.now.plus(lasts);
        let backdated = began.now.secs().saturating_sub(BACKDATED.as_secs());
        Lifetime {
            not_before: UnixTime::from_secs(backdated),
            renew_at,
            not_after: renew_at.plus(drain).plus(GRACE),
            began,
            lasts,
        }
    }

    /// Whether clients whose clocks agree with ours accept certificate and keyset.
    pub fn contains(&self, now: UnixTime) -> bool {
        self.not_before <= now && now < self.not_after
    }

    pub fn due(&self, moment: Moment) -> Option<Due> {
        let elapsed = moment.uptime.saturating_sub(self.began.uptime);
        // Uptime decides first: an epoch whose clock was also set is renewed for its age, which is the ordinary reason.
        if elapsed >= self.lasts {
            Some(Due::Expired)
        } else if moment.now < self.not_before || moment.now >= self.renew_at.plus(GRACE) {
            Some(Due::ClockSet)
        } else {
            None
        }
    }

    /// How much of its duration the epoch has left.
    pub fn remaining(&self, moment: Moment) -> Duration {
        let elapsed = moment.uptime.saturating_sub(self.began.uptime);
        self.lasts.saturating_sub(elapsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 1_700_000_000;
    const DAY: Duration = Duration::from_secs(86_400);
    const MINUTE: Duration = Duration::from_secs(60);

    /// This uptime after the start, and this second by the system's clock.
    fn moment(uptime: Duration, now: u64) -> Moment {
        Moment {
            now: UnixTime::from_secs(now),
            uptime: Duration::from_secs(5_000) + uptime,
        }
    }

    fn began_at(now: u64) -> Lifetime {
        Lifetime::begin(moment(Duration::ZERO, now), DAY, MINUTE)
    }

    #[test]
    fn an_epoch_expires_after_its_lifetime() {
        let lifetime = began_at(START);
        let after = |time: Duration| moment(time, START + time.as_secs());
        assert_eq!(lifetime.due(after(Duration::ZERO)), None);
        assert_eq!(lifetime.due(after(DAY - MINUTE)), None);
        assert_eq!(lifetime.remaining(after(DAY - MINUTE)), MINUTE);
        assert_eq!(lifetime.due(after(DAY)), Some(Due::Expired));
        assert_eq!(lifetime.remaining(after(DAY * 2)), Duration::ZERO);
        assert!(lifetime.contains(after(DAY).now));
        assert!(!lifetime.contains(after(DAY + MINUTE * 2).now));
    }

    #[test]
    fn a_clock_set_back_does_not_prolong_an_epoch() {
        let lifetime = began_at(START);
        // By less than the dates allow for, so that they still hold.
        for back in [1, 60, 299] {
            assert_eq!(lifetime.due(moment(MINUTE, START - back)), None);
            assert_eq!(lifetime.due(moment(DAY, START - back)), Some(Due::Expired));
        }
    }

    #[test]
    fn a_clock_set_outside_the_dates_makes_a_new_epoch_due_at_once() {
        let lifetime = began_at(START);
        let ten_years = 3650 * 86_400;
        for now in [
            0,
            START - ten_years,
            START - 301,
            START + ten_years,
            START + 86_460,
        ] {
            assert_eq!(
                lifetime.due(moment(MINUTE, now)),
                Some(Due::ClockSet),
                "{now}"
            );
        }
    }

    #[test]
    fn a_clock_set_ten_years_ahead_and_back_changes_the_dates_and_not_the_duration() {
        let ten_years = 3650 * 86_400;
        let ahead = began_at(START + ten_years);
        assert!(ahead.not_after.secs() > START + ten_years);
        assert_eq!(ahead.due(moment(MINUTE, START)), Some(Due::ClockSet));
        assert!(
            !ahead.contains(UnixTime::from_secs(START)),
            "unready until then"
        );
        let back = Lifetime::begin(moment(MINUTE, START), DAY, MINUTE);
        assert!(back.contains(UnixTime::from_secs(START)));
        assert_eq!(back.not_after.secs(), START + 86_400 + 120);
        // Where the clock stays ahead, the epoch lasts no longer than any other.
        assert_eq!(
            ahead.due(moment(DAY, START + ten_years)),
            Some(Due::Expired)
        );
    }

    #[test]
    fn a_start_at_1970_is_corrected_when_the_clock_is_set() {
        let lifetime = began_at(0);
        assert_eq!(lifetime.not_before, UnixTime::from_secs(0));
        assert!(lifetime.contains(UnixTime::from_secs(0)));
        assert_eq!(lifetime.due(moment(MINUTE, 0)), None);
        assert_eq!(lifetime.due(moment(MINUTE, START)), Some(Due::ClockSet));
    }
}
