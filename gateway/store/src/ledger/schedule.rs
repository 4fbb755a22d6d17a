//! When the writer makes rows durable, and when it moves them to their tables.
//!
//! The writer has its own clock: every [`TICK`], while rows wait, they are made durable. Callers that wait for their rows
//! are served at once. Rows of stored batches are moved when the service is quiet, when a caller needs them in their
//! tables, when too many are stored, and at the stop.

use std::time::{Duration, Instant};

use super::row_queue::Call;

/// How often rows that wait are made durable.
pub(super) const TICK: Duration = Duration::from_millis(250);
/// Fewer rows than this in a tick: the service is quiet.
const QUIET_ROWS: u64 = 64;
/// When so many rows are in stored batches, they are moved though the service is busy. Each takes some 16 bytes of memory,
/// and after a kill the next start moves them before it serves.
const MAX_STORED_ROWS: usize = 262_144;
/// The same as a number of batches: where callers wait for their rows, batches are small.
const MAX_STORED_BATCHES: usize = 2048;

/// What is done in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Round {
    /// Rows in memory are made durable.
    pub take: bool,
    /// They go to their tables at once: no stored batch is before them.
    pub directly: bool,
    /// Rows of stored batches are moved to their tables, those of one transaction.
    pub unpack: bool,
    /// Too many rows are stored.
    pub is_full: bool,
    pub closing: bool,
}

/// What the next round depends on.
pub(super) struct Schedule {
    ticked: Instant,
    /// Rows pushed until the last tick.
    counted: u64,
    is_quiet: bool,
    /// Rows pushed until then are wanted in their tables.
    wanted: u64,
    /// The last attempt failed: another one is made.
    pub retries: bool,
    /// The last attempt to write to the tables failed.
    pub tables_fail: bool,
}

impl Schedule {
    pub fn new(now: Instant) -> Self {
        Self {
            ticked: now,
            counted: 0,
            is_quiet: true,
            wanted: 0,
            retries: false,
            tables_fail: false,
        }
    }

    /// The first row after an idle time waits for others from now on.
    pub fn begin_tick(&mut self, now: Instant) {
        self.ticked = now;
    }

    pub fn until_tick(&self, now: Instant) -> Duration {
        TICK.saturating_sub(now.duration_since(self.ticked))
    }

    /// What has to be done now; `None` if nothing has.
    pub fn round(&mut self, call: &Call, now: Instant) -> Option<Round> {
        if call.wanted {
            self.wanted = call.pushed;
        }
        let ticks = self.until_tick(now).is_zero();
        if ticks {
            self.ticked = now;
            self.is_quiet = call.pushed - self.counted < QUIET_ROWS;
            self.counted = call.pushed;
        }
        let is_full =
            call.stored_rows >= MAX_STORED_ROWS || call.stored_batches >= MAX_STORED_BATCHES;
        let is_wanted = call.in_tables < self.wanted;
        let is_time = (self.is_quiet || self.tables_fail) && !call.urgent;
        let unpack = call.closing || is_wanted || is_full || is_time;
        let retries = std::mem::take(&mut self.retries);
        let takes = ticks || retries || call.urgent || is_wanted || call.closing;
        let take = takes && call.waiting > 0;
        let unpacks_stored = unpack && call.stored_batches > 0;
        (take || unpacks_stored || call.closing).then_some(Round {
            take,
            directly: unpack && !call.urgent && call.stored_batches == 0,
            unpack: unpacks_stored,
            is_full,
            closing: call.closing,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Call = Call {
        pushed: 0,
        waiting: 0,
        stored_rows: 0,
        stored_batches: 0,
        in_tables: 0,
        urgent: false,
        wanted: false,
        closing: false,
        abandoned: false,
    };
    const NOTHING: Round = Round {
        take: false,
        directly: false,
        unpack: false,
        is_full: false,
        closing: false,
    };

    /// So many rows wait in memory, and others are stored.
    fn waiting(rows: usize, stored_rows: usize) -> Call {
        Call {
            pushed: (rows + stored_rows) as u64,
            waiting: rows,
            stored_rows,
            stored_batches: stored_rows.div_ceil(100),
            ..IDLE
        }
    }

    /// The round after the first tick.
    fn at_tick(call: &Call) -> Option<Round> {
        let now = Instant::now();
        let mut schedule = Schedule::new(now);
        let before = Call {
            urgent: false,
            wanted: false,
            closing: false,
            ..*call
        };
        if call.stored_batches == 0 {
            assert_eq!(schedule.round(&before, now), None, "before the tick");
        }
        schedule.round(call, now + TICK)
    }

    #[test]
    fn nothing_is_done_without_rows() {
        assert_eq!(at_tick(&IDLE), None);
    }

    #[test]
    fn few_rows_go_to_their_tables_and_many_are_stored() {
        let take = Round {
            take: true,
            ..NOTHING
        };
        let few = Round {
            directly: true,
            ..take
        };
        assert_eq!(at_tick(&waiting(63, 0)), Some(few));
        assert_eq!(at_tick(&waiting(64, 0)), Some(take));
    }

    #[test]
    fn stored_rows_are_moved_once_the_service_is_quiet() {
        let now = Instant::now();
        let mut schedule = Schedule::new(now);
        let busy = schedule.round(&waiting(200, 0), now + TICK);
        assert_eq!(busy.map(|round| round.unpack), Some(false));
        assert_eq!(schedule.round(&waiting(0, 200), now + TICK), None);
        let quiet = schedule.round(&waiting(0, 200), now + 2 * TICK);
        assert_eq!(
            quiet,
            Some(Round {
                unpack: true,
                ..NOTHING
            })
        );
        // Then one transaction after the other, with no wait.
        assert_eq!(schedule.round(&waiting(0, 100), now + 2 * TICK), quiet);
    }

    #[test]
    fn a_caller_that_waits_is_served_at_once_and_waits_for_nothing_else() {
        let now = Instant::now();
        let urgent = Call {
            urgent: true,
            ..waiting(1, 100)
        };
        let round = Schedule::new(now).round(&urgent, now);
        assert_eq!(
            round,
            Some(Round {
                take: true,
                ..NOTHING
            })
        );
        let wanted = Call {
            wanted: true,
            ..waiting(1, 100)
        };
        let mut schedule = Schedule::new(now);
        let both = Round {
            take: true,
            unpack: true,
            ..NOTHING
        };
        assert_eq!(schedule.round(&wanted, now), Some(both));
        let rest = Call {
            wanted: false,
            pushed: 500,
            ..waiting(1, 100)
        };
        assert_eq!(
            schedule.round(&rest, now),
            Some(both),
            "until they are there"
        );
        let done = Call {
            in_tables: 101,
            ..waiting(1, 0)
        };
        assert_eq!(schedule.round(&done, now), None);
    }

    #[test]
    fn too_many_stored_rows_are_moved_though_the_service_is_busy() {
        let stored = waiting(1000, MAX_STORED_ROWS);
        let round = at_tick(&stored).expect("a round");
        assert!(round.is_full && round.take && round.unpack && !round.directly);
        let few = Call {
            stored_rows: 10,
            ..stored
        };
        let few = Call {
            stored_batches: MAX_STORED_BATCHES - 1,
            ..few
        };
        assert!(at_tick(&few).is_some_and(|round| !round.is_full && !round.unpack));
        let many = Call {
            stored_batches: MAX_STORED_BATCHES,
            ..few
        };
        assert!(at_tick(&many).is_some_and(|round| round.is_full && round.unpack));
    }

    #[test]
    fn a_failed_attempt_is_repeated_though_the_service_is_busy() {
        let now = Instant::now();
        let mut schedule = Schedule::new(now);
        let busy = waiting(200, 200);
        assert!(
            schedule
                .round(&busy, now + TICK)
                .is_some_and(|round| !round.unpack)
        );
        (schedule.retries, schedule.tables_fail) = (true, true);
        let again = Round {
            take: true,
            unpack: true,
            ..NOTHING
        };
        assert_eq!(schedule.round(&busy, now + TICK), Some(again));
    }

    #[test]
    fn a_stop_writes_everything() {
        let stop = |call: Call| Schedule::new(Instant::now()).round(&call, Instant::now());
        let closing = Call {
            closing: true,
            ..waiting(200, 0)
        };
        let directly = Round {
            take: true,
            directly: true,
            closing: true,
            ..NOTHING
        };
        assert_eq!(stop(closing), Some(directly));
        let idle = Call {
            closing: true,
            ..IDLE
        };
        assert!(stop(idle).is_some_and(|round| round.closing && !round.take));
    }
}
