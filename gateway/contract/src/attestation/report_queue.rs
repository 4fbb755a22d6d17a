//! Turns at the hardware, which signs one report at a time.
//!
//! Requests wait in two lanes: one for holders of an API key, for addresses from which a key was used lately and for the
//! service itself, one for everybody else. While both have requests waiting they take turns, so that neither can starve
//! the other; each is bounded and fair by itself ([`super::fair_queue`]).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::fair_queue::{Bounds, FairQueue, Full, Host};
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

/// There is no place for a request; when one may be free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Busy {
    pub reason: ReportRefusal,
    pub retry_after: Duration,
}

pub(super) struct ReportQueue {
    metrics: Arc<Metrics>,
    /// Held for changes of the queue only, never across an await.
    state: Mutex<State>,
}

/// The right to use the hardware. Dropped, it passes to the request whose turn is next.
pub(super) struct Turn(Arc<ReportQueue>);

/// How a wait ends: with the turn, or with another request having taken the place.
type Ended = Result<Turn, Busy>;

#[derive(Default)]
struct State {
    /// Whether a [`Turn`] exists.
    taken: bool,
    known: FairQueue<oneshot::Sender<Ended>>,
    unknown: FairQueue<oneshot::Sender<Ended>>,
    /// The lane that was served last while both had requests waiting.
    last: Option<Lane>,
    /// How long a report takes, as a running mean.
    mean: Option<Duration>,
}

impl ReportQueue {
    pub fn new(metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            metrics,
            state: Mutex::default(),
        })
    }

    /// Waits for a turn. Dropping the future gives the place up.
    pub async fn turn(
        self: &Arc<Self>,
        lane: Lane,
        host: Host,
        bounds: Bounds,
    ) -> Result<Turn, Busy> {
        let (id, ended) = match self.enter(lane, host, bounds) {
            Ok(Place::Free(turn)) => return Ok(turn),
            Ok(Place::Waiting { id, ended }) => (id, ended),
            Err(busy) => return Err(self.refused(busy)),
        };
        let _place = Leaving {
            queue: self,
            lane,
            host,
            id,
        };
        let outcome = match tokio::time::timeout(MAX_WAIT, ended).await {
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

    fn enter(self: &Arc<Self>, lane: Lane, host: Host, bounds: Bounds) -> Result<Place, Busy> {
        let mut state = self.state();
        if !state.taken {
            state.taken = true;
            return Ok(Place::Free(Turn(Arc::clone(self))));
        }
        let (sender, ended) = oneshot::channel();
        let entered = state.lane(lane).enter(host, sender, bounds);
        let (reason, retry_after) = match entered {
            Ok(entered) => {
                let retry_after = state.until_served(lane);
                let reason = ReportRefusal::Displaced;
                drop(state);
                if let Some(displaced) = entered.displaced {
                    let _ = displaced.send(Err(Busy {
                        reason,
                        retry_after,
                    }));
                }
                let id = entered.id;
                return Ok(Place::Waiting { id, ended });
            }
            Err((_, Full::Host)) => (ReportRefusal::AddressShare, state.until_place(lane)),
            Err((_, Full::Queue)) => (ReportRefusal::QueueFull, state.until_served(lane)),
        };
        Err(Busy {
            reason,
            retry_after,
        })
    }

    /// Hands the turn on. A request whose sender has left meanwhile drops it again, and it comes back here.
    fn release(self: &Arc<Self>) {
        let next = {
            let mut state = self.state();
            let next = state.next();
            state.taken = next.is_some();
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
        // Each section under this lock leaves the state whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a request got when it came.
enum Place {
    /// The hardware was free.
    Free(Turn),
    Waiting {
        id: u64,
        ended: oneshot::Receiver<Ended>,
    },
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.release();
    }
}

/// Takes a request out of the queue when its caller stops waiting.
struct Leaving<'a> {
    queue: &'a ReportQueue,
    lane: Lane,
    host: Host,
    id: u64,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        let mut state = self.queue.state();
        let left = state.lane(self.lane).leave(self.host, self.id);
        drop(state);
        drop(left);
    }
}

impl State {
    fn lane(&mut self, lane: Lane) -> &mut FairQueue<oneshot::Sender<Ended>> {
        match lane {
            Lane::Known => &mut self.known,
            Lane::Unknown => &mut self.unknown,
        }
    }

    /// The request whose turn is next: lanes alternate.
    fn next(&mut self) -> Option<oneshot::Sender<Ended>> {
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

    /// In about what time a host of this lane that has requests waiting gets one of them served.
    fn until_place(&mut self, lane: Lane) -> Duration {
        let hosts = self.lane(lane).hosts();
        self.time_for(hosts)
    }

    /// In about what time everything that waits in this lane is served.
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

    fn queue() -> Arc<ReportQueue> {
        ReportQueue::new(Arc::default())
    }

    fn host(number: u8) -> Host {
        Host::from_address(Some([192, 0, 2, number].into()))
    }

    fn in_queue(queue: &ReportQueue) -> usize {
        let state = queue.state();
        state.known.len() + state.unknown.len()
    }

    async fn waiting(queue: &ReportQueue, expected: usize) {
        while in_queue(queue) != expected {
            tokio::task::yield_now().await;
        }
    }

    /// Lets a request wait, and says so in `order` when its turn comes.
    async fn wait(
        queue: &Arc<ReportQueue>,
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
        assert!(!queue.state().taken, "the last turn was given back");
    }

    #[tokio::test]
    async fn a_full_lane_leaves_the_other_lanes_places_alone() {
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
    async fn who_is_displaced_or_over_its_share_learns_when_to_come_back() {
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
    async fn who_stops_waiting_leaves_no_place_taken_and_no_turn_lost() {
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
