//! Finding the batch of a receipt by its digest.
//!
//! Receipts are entered with every request and looked up rarely. So entering one writes nothing but its batch. When
//! [`RUN`] receipts have come together, the writer sorts them into a *run*: a row for each first byte of a digest, with
//! the next four bytes and the index of the batch for each receipt. A run has the same cost whatever the log's size, and
//! is never changed. A lookup reads one row of each run, and the batches that are in no run yet.
//!
//! The index is not trusted: a receipt is where its batch has its digest.

use std::collections::HashSet;

use super::store::Store;
use super::{digests, in_audit_log, tables};
use crate::error::StoreError;
use attest_core::Sha256Digest;

/// How many receipts a run has, at least.
pub(super) const RUN: u64 = 16_384;

/// The bytes of a receipt in a run: four of its digest, eight of its batch's index.
const PLACE: usize = 12;

/// Sorts receipts into runs until fewer than [`RUN`] are left. Returns how many are left.
pub(super) async fn extend(store: &Store) -> Result<u64, StoreError> {
    loop {
        let after = last_run(store).await?;
        let lens = tables::batch_lens(store.readers(), after, RUN).await;
        let (mut receipts, mut last) = (0, after);
        for (index, len) in lens.map_err(in_audit_log)? {
            (receipts, last) = (receipts + len / 32, index);
            if receipts >= RUN {
                break;
            }
        }
        if receipts < RUN {
            return Ok(receipts);
        }
        let batches = batches(store, after, last).await?;
        store.add_run(last, &sorted(batches)).await?;
    }
}

/// The rows of a run with these batches.
fn sorted(batches: impl Iterator<Item = (i64, Vec<Sha256Digest>)>) -> Vec<Vec<u8>> {
    let mut rows = vec![Vec::new(); 256];
    for (index, digests) in batches {
        for digest in digests {
            let [bucket, rest @ ..] = digest.as_bytes();
            let row = &mut rows[usize::from(*bucket)];
            row.extend_from_slice(&rest[..4]);
            row.extend_from_slice(&index.to_be_bytes());
        }
    }
    rows
}

/// The first batch before `size` with this receipt, and the receipt's place in it.
pub(super) async fn find(
    store: &Store,
    digest: &Sha256Digest,
    size: u64,
) -> Result<Option<(u64, u64)>, StoreError> {
    let size = i64::try_from(size).unwrap_or(i64::MAX);
    // Before the runs: a run may be added meanwhile.
    let recent = recent(store).await?;
    let rows = tables::run_rows(store.readers(), digest.as_bytes()[0]).await;
    let rows = rows.map_err(in_audit_log)?;
    for index in indexes(&rows, digest).filter(|index| *index < size) {
        if let Some(place) = place_in(&batch(store, index).await?, digest) {
            return Ok(Some((index as u64, place)));
        }
    }
    let mut recent = recent.filter(|(index, _)| *index < size);
    Ok(recent.find_map(|(index, batch)| Some((index as u64, place_in(&batch, digest)?))))
}

/// Those of these receipts that are in no batch, in their order.
pub(super) async fn missing(
    store: &Store,
    mut digests: Vec<Sha256Digest>,
) -> Result<Vec<Sha256Digest>, StoreError> {
    let recent: HashSet<_> = recent(store).await?.flat_map(|(_, batch)| batch).collect();
    digests.retain(|digest| !recent.contains(digest));
    // In the order of the index, so that each row is read once.
    let mut in_order = digests.clone();
    in_order.sort_unstable();
    let mut found = HashSet::new();
    let mut row = (None, Vec::new());
    for digest in &in_order {
        let bucket = digest.as_bytes()[0];
        if row.0 != Some(bucket) {
            let rows = tables::run_rows(store.readers(), bucket).await;
            row = (Some(bucket), rows.map_err(in_audit_log)?);
        }
        for index in indexes(&row.1, digest) {
            if place_in(&batch(store, index).await?, digest).is_some() {
                found.insert(*digest);
            }
        }
    }
    digests.retain(|digest| !found.contains(digest));
    Ok(digests)
}

/// The batches that may have this receipt, by the rows of its first byte.
fn indexes(rows: &[u8], digest: &Sha256Digest) -> impl Iterator<Item = i64> {
    let (places, _) = rows.as_chunks::<PLACE>();
    places.iter().filter_map(|place| {
        let (wanted, index) = place.split_first_chunk::<4>()?;
        let index = <[u8; 8]>::try_from(index).ok()?;
        (wanted[..] == digest.as_bytes()[1..5]).then(|| i64::from_be_bytes(index))
    })
}

fn place_in(batch: &[Sha256Digest], digest: &Sha256Digest) -> Option<u64> {
    let place = batch.iter().position(|entered| entered == digest)?;
    Some(place as u64)
}

/// The receipts of the batch at `index`, in order; none if there is no batch.
pub(super) async fn batch(store: &Store, index: i64) -> Result<Vec<Sha256Digest>, StoreError> {
    let mut batches = batches(store, index.saturating_sub(1), index).await?;
    Ok(batches.next().map_or_else(Vec::new, |(_, batch)| batch))
}

/// The batches that are in no run yet.
async fn recent(
    store: &Store,
) -> Result<impl Iterator<Item = (i64, Vec<Sha256Digest>)>, StoreError> {
    let after = last_run(store).await?;
    batches(store, after, i64::MAX).await
}

/// The batches after the index `after`, up to `last`.
async fn batches(
    store: &Store,
    after: i64,
    last: i64,
) -> Result<impl Iterator<Item = (i64, Vec<Sha256Digest>)>, StoreError> {
    let rows = tables::batches_after(store.readers(), after, last).await;
    let mut batches = Vec::new();
    for (index, blob) in rows.map_err(in_audit_log)? {
        let batch = digests::from_blob(&blob).map(Iterator::collect);
        let corrupt = StoreError::Corrupt {
            what: "batch of receipts",
        };
        batches.push((index, batch.ok_or(corrupt)?));
    }
    Ok(batches.into_iter())
}

/// The index of the last batch that is in a run; -1 without a run.
async fn last_run(store: &Store) -> Result<i64, StoreError> {
    let last = tables::last_run(store.readers()).await;
    Ok(last.map_err(in_audit_log)?.unwrap_or(-1))
}
