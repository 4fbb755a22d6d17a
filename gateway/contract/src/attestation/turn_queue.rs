//! Turns at the hardware, which signs one report at a time.
//!
//! Requests wait in two lanes: one for holders of an API key, for addresses from which a key was used recently and for
//! the service itself, one for all other clients. While both have requests waiting they take turns, so that neither can starve
//! the other; each is bounded and fair by itself ([`super::fair_queue`]).

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::oneshot;

use super::fair_queue::{Bounds, FairQueue, Full, Host};
use gateway_base::lock::lock;
use gateway_base::metrics::{Metrics, ReportRefusal};

/// A request that has waited this long is refused; its caller has usually stopped waiting before.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// What a report is assumed to take before the first one was made.
const FIRST_GUESS: Duration = Duration::from_millis(100);
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);

/// Which lane a request waits in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    Known,
    Unknown,
}

/// A request may not wait, or not any longer; when to retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Busy {
    pub reason: ReportRefusal,
    pub retry_after: Duration,
}

pub(super) struct TurnQueue {
    metrics: Arc<Metrics>,
    /// Held for changes of the queue only, never across an await. No sender or [`Turn`] is used under it: both may run
    /// code that takes it again.
    state: Mutex<State>,
}

/// The right to use the hardware. Dropped, it passes to the request whose turn is next.
pub(super) struct Turn(Arc<TurnQueue>);

/// How a wait ends: with the turn, or displaced by another request.
type WaitResult = Result<Turn, Busy>;

#[derive(Default)]
struct State {
    /// Whether a [`Turn`] exists, also while it is on its way to the next request.
    in_use: bool,
    known: FairQueue<oneshot::Sender<WaitResult>>,
    unknown: FairQueue<oneshot::Sender<WaitResult>>,
    /// The lane that was served last while both had requests waiting.
    last: Option<Lane>,
    /// How long a report takes, as a running mean.
    mean: Option<Duration>,
}

impl TurnQueue {
    pub fn new(metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            metrics,
            state: Mutex::default(),
        })
    }

    /// Waits for a turn. Dropping the future removes the request from the queue.
    pub async fn turn(
        self: &Arc<Self>,
        lane: Lane,
        host: Host,
        bounds: Bounds,
    ) -> Result<Turn, Busy> {
        let (id, result) = match self.enter(lane, host, bounds) {
            Ok(Entry::Free(turn)) => return Ok(turn),
            Ok(Entry::Waiting { id, result }) => (id, result),
            Err(busy) => return Err(self.refused(busy)),
        };
        // Removes the request on every way out of here, also when this future is dropped.
        let _guard = WaitGuard {
            queue: self,
            lane,
            host,
            id,
        };
        // If a turn arrives at the moment of the timeout, it is dropped with the receiver and passes to the next
        // request.
        let outcome = match tokio::time::timeout(MAX_WAIT, result).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) | Err(_) => {
                let retry_after = self.state().until_served(lane);
                let reason = ReportRefusal::WaitedTooLong;
                Err(Busy {
                    reason,
                    retry_after,
                })
            }
        };
        outcome.map_err(|busy| self.refused(busy))
    }

    /// Notes how long the hardware took.
    pub fn note_duration(&self, took: Duration) {
        let mut state = self.state();
        state.mean = Some(match state.mean {
            None => took,
            Some(mean) => mean / 8 * 7 + took / 8,
        });
    }

    fn enter(self: &Arc<Self>, lane: Lane, host: Host, bounds: Bounds) -> Result<Entry, Busy> {
        let mut state = self.state();
        // No request waits then: `release` keeps `in_use` set while it passes the turn on.
        if !state.in_use {
            state.in_use = true;
            return Ok(Entry::Free(Turn(Arc::clone(self))));
        }
        let (sender, result) = oneshot::channel();
        let entered = state.lane(lane).enter(host, sender, bounds);
        let (reason, retry_after) = match entered {
            Ok(entered) => {
                let retry_after = state.until_served(lane);
                let reason = ReportRefusal::Displaced;
                // Not under the lock: see `state`.
                drop(state);
                if let Some(displaced) = entered.displaced {
                    let _ = displaced.send(Err(Busy {
                        reason,
                        retry_after,
                    }));
                }
                let id = entered.id;
                return Ok(Entry::Waiting { id, result });
            }
            Err((_, Full::Host)) => (ReportRefusal::AddressShare, state.until_slot(lane)),
            Err((_, Full::Queue)) => (ReportRefusal::QueueFull, state.until_served(lane)),
        };
        Err(Busy {
            reason,
            retry_after,
        })
    }

    /// Passes the turn to the next request. If that one stopped waiting in the meantime, sending fails, the turn is
    /// dropped, and its `drop` calls this again for the request after it.
    fn release(self: &Arc<Self>) {
        let next = {
            let mut state = self.state();
            // The turn stays in use while it is passed on, so a request that arrives now waits behind the others.
            let next = state.next();
            // The only place where `in_use` becomes false.
            state.in_use = next.is_some();
            next
        };
        // Not under the lock: a turn that is dropped takes the lock.
        if let Some(next) = next {
            drop(next.send(Ok(Turn(Arc::clone(self)))));
        }
    }

    fn refused(&self, busy: Busy) -> Busy {
        self.metrics.report_refused(busy.reason);
        busy
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// What a new request gets.
enum Entry {
    /// The hardware is free.
    Free(Turn),
    Waiting {
        id: u64,
        result: oneshot::Receiver<WaitResult>,
    },
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.release();
    }
}

/// Removes a request from the queue when its client stops waiting.
struct WaitGuard<'a> {
    queue: &'a TurnQueue,
    lane: Lane,
    host: Host,
    id: u64,
}

impl Drop for WaitGuard<'_> {
    fn drop(&mut self) {
        let mut state = self.queue.state();
        let removed = state.lane(self.lane).leave(self.host, self.id);
        // Not under the lock: dropping a sender may drop a turn.
        drop(state);
        drop(removed);
    }
}

impl State {
    fn lane(&mut self, lane: Lane) -> &mut FairQueue<oneshot::Sender<WaitResult>> {
        match lane {
            Lane::Known => &mut self.known,
            Lane::Unknown => &mut self.unknown,
        }
    }

    /// The request whose turn is next: lanes alternate.
    fn next(&mut self) -> Option<oneshot::Sender<WaitResult>> {
        let first = match self.last {
            Some(Lane::Known) => Lane::Unknown,
            Some(Lane::Unknown) | None => Lane::Known,
        };
        let second = match first {
            Lane::Known => Lane::Unknown,
            Lane::Unknown => Lane::Known,
        };
        for lane in [first, second] {
            if let Some(next) = self.lane(lane).next() {
                self.last = Some(lane);
                return Some(next);
            }
        }
        None
    }

    /// An estimate of when a host of this lane that has requests waiting gets one of them served.
    fn until_slot(&mut self, lane: Lane) -> Duration {
        let hosts = self.lane(lane).hosts();
        self.time_for(hosts)
    }

    /// An estimate of when every request in this lane is served.
    fn until_served(&mut self, lane: Lane) -> Duration {
        let waiting = self.lane(lane).len();
        self.time_for(waiting)
    }

    fn time_for(&self, reports: usize) -> Duration {
        let busy_lanes = [&self.known, &self.unknown].map(|lane| usize::from(lane.len() > 0));
        let turns = reports.max(1) * busy_lanes.iter().sum::<usize>().max(1);
        let turns = u32::try_from(turns).unwrap_or(u32::MAX);
        self.mean
            .unwrap_or(FIRST_GUESS)
            .saturating_mul(turns)
            .min(LONGEST_RETRY_AFTER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::task::JoinHandle;

    const BOUNDS: Bounds = Bounds {
        total: 4,
        per_host: 2,
    };

    fn queue() -> Arc<TurnQueue> {
        TurnQueue::new(Arc::default())
    }

    fn host(number: u8) -> Host {
        Host::from_address(Some([192, 0, 2, number].into()))
    }

    fn in_queue(queue: &TurnQueue) -> usize {
        let state = queue.state();
        state.known.len() + state.unknown.len()
    }

    async fn waiting(queue: &TurnQueue, expected: usize) {
        while in_queue(queue) != expected {
            tokio::task::yield_now().await;
        }
    }

    /// Lets a request wait; its number is added to `order` when its turn comes.
    async fn wait(
        queue: &Arc<TurnQueue>,
        lane: Lane,
        number: u8,
        order: &Arc<Mutex<Vec<u8>>>,
    ) -> JoinHandle<Result<(), Busy>> {
        let before = in_queue(queue);
        let (task_queue, order) = (Arc::clone(queue), Arc::clone(order));
        let task = tokio::spawn(async move {
            let _turn = task_queue.turn(lane, host(number), BOUNDS).await?;
            order.lock().expect("a lock").push(number);
            Ok(())
        });
        waiting(queue, before + 1).await;
        task
    }

    #[tokio::test]
    async fn lanes_alternate_while_both_have_requests_waiting() {
        let (queue, order) = (queue(), Arc::default());
        let turn = queue
            .turn(Lane::Unknown, host(9), BOUNDS)
            .await
            .expect("free");
        let mut tasks = Vec::new();
        for (lane, number) in [
            (Lane::Unknown, 1),
            (Lane::Unknown, 1),
            (Lane::Unknown, 2),
            (Lane::Known, 3),
            (Lane::Known, 3),
        ] {
            tasks.push(wait(&queue, lane, number, &order).await);
        }
        drop(turn);
        for task in tasks {
            task.await.expect("no panic").expect("a turn");
        }
        assert_eq!(*order.lock().expect("a lock"), [3, 1, 3, 2, 1]);
        assert!(!queue.state().in_use, "the last turn was returned");
    }

    #[tokio::test]
    async fn a_full_lane_does_not_fill_the_other() {
        let (queue, order) = (queue(), Arc::default());
        let turn = queue
            .turn(Lane::Unknown, host(9), BOUNDS)
            .await
            .expect("free");
        let mut tasks = Vec::new();
        for number in 1..=4 {
            tasks.push(wait(&queue, Lane::Unknown, number, &order).await);
        }
        let refused = queue.turn(Lane::Unknown, host(5), BOUNDS).await.err();
        assert_eq!(
            refused.map(|busy| busy.reason),
            Some(ReportRefusal::QueueFull)
        );
        tasks.push(wait(&queue, Lane::Known, 6, &order).await);
        drop(turn);
        for task in tasks {
            task.await.expect("no panic").expect("a turn");
        }
        assert_eq!(order.lock().expect("a lock").first(), Some(&6));
    }

    #[tokio::test]
    async fn displaced_and_refused_requests_get_a_time_to_retry() {
        let (queue, order) = (queue(), Arc::default());
        queue.note_duration(Duration::from_secs(2));
        let turn = queue
            .turn(Lane::Unknown, host(9), BOUNDS)
            .await
            .expect("free");
        let mut flood = Vec::new();
        for number in [1, 1, 2, 2] {
            flood.push(wait(&queue, Lane::Unknown, number, &order).await);
        }
        let refused = queue.turn(Lane::Unknown, host(1), BOUNDS).await.err();
        // Two hosts take turns, two seconds each.
        let expected = Busy {
            reason: ReportRefusal::AddressShare,
            retry_after: Duration::from_secs(4),
        };
        assert_eq!(refused, Some(expected));
        let newcomer = {
            let queue = Arc::clone(&queue);
            tokio::spawn(async move { queue.turn(Lane::Unknown, host(3), BOUNDS).await.map(drop) })
        };
        let mut displaced = None;
        while displaced.is_none() {
            tokio::task::yield_now().await;
            displaced = flood.iter().position(JoinHandle::is_finished);
        }
        let displaced = flood.remove(displaced.expect("one of them"));
        let expected = Busy {
            reason: ReportRefusal::Displaced,
            retry_after: Duration::from_secs(8),
        };
        assert_eq!(displaced.await.expect("no panic"), Err(expected));
        drop(turn);
        newcomer.await.expect("no panic").expect("a turn");
        for task in flood {
            task.await.expect("no panic").expect("a turn");
        }
    }

    #[tokio::test]
    async fn a_request_that_stops_waiting_frees_its_slot_and_loses_no_turn() {
        let (queue, order) = (queue(), Arc::default());
        let turn = queue
            .turn(Lane::Known, host(9), BOUNDS)
            .await
            .expect("free");
        let leaving = wait(&queue, Lane::Known, 1, &order).await;
        let staying = wait(&queue, Lane::Known, 2, &order).await;
        leaving.abort();
        assert!(leaving.await.expect_err("aborted").is_cancelled());
        waiting(&queue, 1).await;
        drop(turn);
        staying.await.expect("no panic").expect("a turn");
        let again = queue.turn(Lane::Unknown, host(3), BOUNDS).await;
        assert!(again.is_ok());
    }
}
