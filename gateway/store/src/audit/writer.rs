//! The audit log's writer task: commits, signs and publishes, in this order.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::entry_queue::{Batch, Command, EntryQueue};
use super::epoch_log::{EpochLog, Published};
use super::leaf::{Leaf, leaves};
use super::receipt_index::{self, RUN};
use super::store::Store;
use super::{Appended, BATCH_DELAY, CLOSED, MIN_BATCH_INTERVAL, NewEpoch, open};
use crate::error::StoreError;
use crate::sqlite::StoreHealth;
use attest_channel::Clock;
use attest_channel::SystemClock;
use attest_core::UnixTime;
use attest_core::log::{Entry, EpochEnd, EpochProof, Fact, LogProof, SignedHead, prove};

/// How often the writer checks for entries of another process.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The delay before a retry after a failure.
const RETRY: Duration = Duration::from_millis(500);

pub(super) async fn run(store: Arc<Store>, queue: Arc<EntryQueue>, health: Arc<StoreHealth>) {
    let mut writer = Writer {
        store,
        queue,
        health,
        epoch: None,
        // An earlier process may have left a run's worth.
        receipts_in_no_run: RUN,
        check: None,
        check_again: false,
    };
    let (mut batch_due, mut poll_due) = (Instant::now(), Instant::now());
    loop {
        // Commands before the batch: their callers wait.
        let _ = timeout(BATCH_DELAY, writer.queue.wait_for_command()).await;
        while let Some(command) = writer.queue.next_command() {
            writer.perform(command).await;
        }
        if writer.queue.is_closed() {
            return;
        }
        if Instant::now() >= batch_due {
            match writer.enter_batch().await {
                Ok(0) => {}
                Ok(_) => batch_due = Instant::now() + MIN_BATCH_INTERVAL,
                // Reported by the health of the database. The batch stays queued.
                Err(_) => batch_due = Instant::now() + RETRY,
            }
        }
        if Instant::now() >= poll_due {
            poll_due = Instant::now() + POLL_INTERVAL;
            writer.follow_others().await;
        }
    }
}

/// The state of the writer task. It alone holds the epoch whose key signs heads.
struct Writer {
    store: Arc<Store>,
    queue: Arc<EntryQueue>,
    health: Arc<StoreHealth>,
    epoch: Option<Arc<EpochLog>>,
    /// How many receipts are to be sorted into a run.
    receipts_in_no_run: u64,
    /// A running check of the whole file, after another process wrote to it.
    check: Option<JoinHandle<Result<(), StoreError>>>,
    /// The file changed again meanwhile.
    check_again: bool,
}

impl Writer {
    async fn perform(&mut self, command: Command) {
        // A caller may have stopped waiting. Its command is executed all the same, and the reply is dropped.
        match command {
            Command::Append { entries, reply } => {
                let leaves: Vec<_> = entries
                    .into_iter()
                    .map(|(entry, opening)| Leaf {
                        entry,
                        opening,
                        receipts: Vec::new(),
                    })
                    .collect();
                let _ = reply.send(self.enter(&leaves).await);
            }
            Command::BeginEpoch { beginning, reply } => {
                let _ = reply.send(self.begin_epoch(*beginning).await);
            }
            Command::EndEpoch { at, end, reply } => {
                let _ = reply.send(self.end_epoch(at, end).await);
            }
            Command::Flush { reply } => {
                let _ = reply.send(self.enter_batch().await.map(drop));
            }
        }
    }

    /// Returns how many entries it entered.
    async fn enter_batch(&mut self) -> Result<usize, StoreError> {
        let batch: Batch = self.queue.batch();
        if batch.is_empty() {
            return Ok(0);
        }
        let leaves = leaves(SystemClock.now(), &batch);
        if let Err(error) = self.enter(&leaves).await {
            self.health.record_failure(error.failure());
            return Err(error);
        }
        // After the commit: a batch that failed is tried again, with what has arrived in the meantime.
        self.queue.entered(&batch);
        self.health.record_success();
        self.receipts_in_no_run += batch.receipts.len() as u64;
        if self.receipts_in_no_run >= RUN {
            // If it fails, the receipts stay where they are found as well, and the next batch is another attempt.
            if let Ok(rest) = receipt_index::extend(&self.store).await {
                self.receipts_in_no_run = rest;
            }
        }
        Ok(leaves.len())
    }

    /// Signs a head over the entries of commands, and notices any other change of the file.
    async fn follow_others(&mut self) {
        self.end_check().await;
        // Where this fails, the next statement reports why.
        let changed = self.store.has_changed().await.unwrap_or_default();
        if changed && let Err(error) = self.enter(&[]).await {
            self.health.record_failure(error.failure());
        }
    }

    /// Takes the result of a check that has ended.
    async fn end_check(&mut self) {
        let Some(check) = self.check.take_if(|check| check.is_finished()) else {
            return;
        };
        // Any other failure is that of the database, which the next statement reports. The next change is checked again.
        if let Ok(Err(StoreError::Altered { what, .. })) = check.await {
            self.store.set_altered(what).await;
        }
        if std::mem::take(&mut self.check_again) {
            self.begin_check().await;
        }
    }

    /// Compares every entry in the file with the tree in memory, without delaying the writer.
    async fn begin_check(&mut self) {
        self.check_again = self.check.is_some();
        if self.check_again {
            return;
        }
        if let Some(known) = self.store.known_entries().await {
            let store = self.store.clone();
            let check = async move { open::check(&store, Some(&known)).await.map(drop) };
            self.check = Some(tokio::spawn(check));
        }
    }

    /// Enters leaves, and signs a head if there is one entry more than in the last head.
    async fn enter(&mut self, leaves: &[Leaf]) -> Result<Appended, StoreError> {
        let epoch = self.epoch.clone();
        let committed = self
            .store
            .commit(leaves, |checkpoint| {
                let epoch = epoch
                    .as_ref()
                    .filter(|epoch| epoch.size() < checkpoint.size);
                let head = epoch.map(|epoch| epoch.sign(checkpoint));
                (head.clone(), head)
            })
            .await?;
        if committed.to_check {
            self.begin_check().await;
        }
        if let (Some(epoch), Some(head)) = (&epoch, committed.head) {
            // The entries are committed. If the proof cannot be read now, the next head gets one.
            if let Ok(published) = published(&self.store, epoch.index, &epoch.entry, head).await {
                epoch.publish(published);
            }
        }
        Ok(Appended {
            index: (committed.first + leaves.len() as u64).saturating_sub(1),
        })
    }

    async fn begin_epoch(&mut self, beginning: NewEpoch) -> Result<Arc<EpochLog>, StoreError> {
        let NewEpoch {
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
        // The new key signs the head over the old epoch's end: the old one publishes no head after it.
        let committed = self
            .store
            .commit(&leaves, |checkpoint| {
                let head = checkpoint.sign(&signing_key);
                (Some(head.clone()), head)
            })
            .await?;
        if committed.to_check {
            self.begin_check().await;
        }
        let index = committed.first + leaves.len() as u64 - 1;
        // Committed: from here on only the new epoch may sign, even if the following steps fail.
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

    async fn end_epoch(&mut self, at: UnixTime, end: EpochEnd) -> Result<(), StoreError> {
        let Some(epoch) = self.epoch.clone() else {
            return Ok(());
        };
        // The batch first: the end of an epoch is the last entry that its key signs.
        self.enter_batch().await?;
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
) -> Result<Published, StoreError> {
    let size = head.claimed().size;
    let ranges = prove::inclusion(index, size).unwrap_or_default();
    let proof = LogProof {
        extra: entry.to_bytes(),
        index,
        hashes: store.hashes(&ranges).await?,
        head: head.clone(),
    };
    let proof = EpochProof::new(proof).map_err(|_| CLOSED)?;
    Ok(Published {
        head,
        proof: proof.to_text().into(),
    })
}
