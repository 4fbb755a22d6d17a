//! The one task that commits, signs and publishes, in this order.

use std::sync::Arc;
use std::time::Duration;

use attest_core::UnixTime;
use attest_core::log::{Entry, EpochEnd, EpochProof, Fact, LogProof, SignedHead, prove};
use tokio::time::{Instant, timeout};

use super::epoch_log::{EpochLog, Published};
use super::pending::{Gathered, Pending, Task};
use super::store::{Leaf, Store, leaves};
use super::{Appended, AuditError, EpochBeginning, GATHER, PACE};
use crate::sqlite::Health;
use attest_channel::Clock;
use attest_channel::SystemClock;

/// How often it is looked whether another process has entered something.
const LOOK: Duration = Duration::from_secs(1);
/// After the database refused.
const RETRY: Duration = Duration::from_millis(500);

pub(super) async fn run(store: Arc<Store>, pending: Arc<Pending>, health: Arc<Health>) {
    let mut writer = Writer {
        store,
        pending,
        health,
        epoch: None,
    };
    let mut gather_until: Option<Instant> = None;
    let mut entered: Option<Instant> = None;
    loop {
        let wait = match gather_until {
            Some(until) => until.saturating_duration_since(Instant::now()),
            None => LOOK,
        };
        let quiet = timeout(wait, writer.pending.something()).await.is_err();
        while let Some(task) = writer.pending.next_task() {
            writer.perform(task).await;
        }
        if writer.pending.is_closed() {
            return;
        }
        let due = gather_until.is_some_and(|until| Instant::now() >= until);
        if due {
            gather_until = None;
            match writer.enter_gathered().await {
                Ok(()) => entered = Some(Instant::now()),
                Err(_) => gather_until = Some(Instant::now() + RETRY),
            }
        } else if gather_until.is_none() {
            if writer.pending.has_gathered() {
                let soon = Instant::now() + GATHER;
                gather_until = Some(entered.map_or(soon, |entered| soon.max(entered + PACE)));
            } else if quiet {
                writer.follow_others().await;
            }
        }
    }
}

struct Writer {
    store: Arc<Store>,
    pending: Arc<Pending>,
    health: Arc<Health>,
    epoch: Option<Arc<EpochLog>>,
}

impl Writer {
    async fn perform(&mut self, task: Task) {
        // Whoever asked may have gone; what was asked for is done all the same.
        match task {
            Task::Append { entries, answer } => {
                let leaves: Vec<_> = entries
                    .into_iter()
                    .map(|(entry, opening)| Leaf {
                        entry,
                        opening,
                        receipts: Vec::new(),
                    })
                    .collect();
                let _ = answer.send(self.enter(&leaves).await);
            }
            Task::BeginEpoch { beginning, answer } => {
                let _ = answer.send(self.begin_epoch(*beginning).await);
            }
            Task::EndEpoch { at, end, answer } => {
                let _ = answer.send(self.end_epoch(at, end).await);
            }
            Task::Flush { answer } => {
                let _ = answer.send(self.enter_gathered().await);
            }
        }
    }

    async fn enter_gathered(&mut self) -> Result<(), AuditError> {
        let gathered: Gathered = self.pending.gathered();
        if gathered.is_empty() {
            return Ok(());
        }
        let leaves = leaves(SystemClock.now(), &gathered);
        match self.enter(&leaves).await {
            Ok(_) => {
                self.pending.entered(&gathered);
                self.health.succeeded();
                Ok(())
            }
            Err(error) => {
                self.health.failed(error.failure());
                Err(error)
            }
        }
    }

    /// Signs a head over what another process has entered.
    async fn follow_others(&mut self) {
        let Some(epoch) = &self.epoch else { return };
        let grown = match self.store.size().await {
            Ok(size) => size > epoch.size(),
            Err(_) => false,
        };
        if grown && let Err(error) = self.enter(&[]).await {
            self.health.failed(error.failure());
        }
    }

    async fn enter(&mut self, leaves: &[Leaf]) -> Result<Appended, AuditError> {
        let epoch = self.epoch.clone();
        let committed = self
            .store
            .commit(leaves, |checkpoint| {
                let head = epoch.as_ref().map(|epoch| epoch.sign(checkpoint));
                (head.clone(), head)
            })
            .await?;
        if let (Some(epoch), Some(head)) = (&epoch, committed.head) {
            // Committed is committed: if the proof cannot be read now, the next head brings another.
            if let Ok(published) = published(&self.store, epoch.index, &epoch.entry, head).await {
                epoch.publish(published);
            }
        }
        Ok(Appended {
            index: (committed.first + leaves.len() as u64).saturating_sub(1),
        })
    }

    async fn begin_epoch(
        &mut self,
        beginning: EpochBeginning,
    ) -> Result<Arc<EpochLog>, AuditError> {
        let EpochBeginning {
            at,
            start,
            signing_key,
            retention,
        } = beginning;
        let (number, keyset) = (start.epoch, start.keyset);
        let entry = |fact| Entry { at, fact };
        let ended = self
            .epoch
            .as_ref()
            .map(|old| ended(at, old, EpochEnd::Replaced));
        let changed = retention.map(|change| entry(Fact::RetentionChanged(change)));
        let began = entry(Fact::EpochBegan(start));
        let leaves: Vec<_> = ended
            .into_iter()
            .chain(changed)
            .chain([began.clone()])
            .map(Leaf::plain)
            .collect();
        let committed = self
            .store
            .commit(&leaves, |checkpoint| {
                let head = checkpoint.sign(&signing_key);
                (Some(head.clone()), head)
            })
            .await?;
        let index = committed.first + leaves.len() as u64 - 1;
        // From here on nobody but the new epoch signs, whatever becomes of the rest.
        self.epoch = None;
        let published = published(&self.store, index, &began, committed.head).await?;
        let epoch = Arc::new(EpochLog::new(
            signing_key,
            (number, keyset),
            (index, began),
            published,
        ));
        self.epoch = Some(epoch.clone());
        Ok(epoch)
    }

    async fn end_epoch(&mut self, at: UnixTime, end: EpochEnd) -> Result<(), AuditError> {
        let Some(epoch) = self.epoch.clone() else {
            return Ok(());
        };
        self.enter_gathered().await?;
        self.enter(&[Leaf::plain(ended(at, &epoch, end))]).await?;
        self.epoch = None;
        Ok(())
    }
}

fn ended(at: UnixTime, epoch: &EpochLog, end: EpochEnd) -> Entry {
    Entry {
        at,
        fact: Fact::EpochEnded {
            epoch: epoch.epoch,
            keyset: epoch.keyset,
            end,
        },
    }
}

/// A committed head with the proof of an epoch's entry in it.
async fn published(
    store: &Store,
    index: u64,
    entry: &Entry,
    head: SignedHead,
) -> Result<Published, AuditError> {
    let size = head.claimed().size;
    let ranges = prove::inclusion(index, size).unwrap_or_default();
    let proof = LogProof {
        extra: entry.to_bytes(),
        index,
        hashes: store.hashes(&ranges).await?,
        head: head.clone(),
    };
    let proof = EpochProof::new(proof).map_err(|_| AuditError::Closed)?;
    Ok(Published {
        head,
        proof: proof.to_text().into(),
    })
}
