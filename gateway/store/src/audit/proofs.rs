//! Reading the log: published files, proofs that a receipt is included, and consistency proofs between heads.
//!
//! Everything here uses only committed entries that the head in question includes.

use std::collections::BTreeMap;

use attest_core::Sha256Digest;
use attest_core::log::{Entry, ReceiptProof, SignedHead, TreeHash, prove, tile};

use super::{AuditLog, EpochLog, in_audit_log, receipt_index, tables};
use crate::error::{Altered, StoreError};

impl AuditLog {
    /// One of the files that a tree of `size` entries is published as; `None` if it has no such file.
    pub async fn tile(&self, tile: &tile::Tile, size: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(range) = tile.range().filter(|_| tile.exists_in(size)) else {
            return Ok(None);
        };
        match tile.kind {
            tile::Kind::Entries => {
                let entries = self.entries(range).await?;
                Ok(Some(tile::bundle(entries.iter().map(Vec::as_slice))))
            }
            tile::Kind::Hashes(_) => {
                let level = tile.tree_level();
                let ranges: Vec<_> = range
                    .map(|index| (index << level)..((index + 1) << level))
                    .collect();
                let hashes = self.store.hashes(&ranges).await?;
                Ok(Some(
                    hashes.iter().flat_map(|hash| *hash.as_bytes()).collect(),
                ))
            }
        }
    }

    /// How many entries there are, counted by a head or not yet.
    pub async fn size(&self) -> Result<u64, StoreError> {
        self.store.size().await
    }

    /// The entries in this range, which must be there.
    pub async fn entries(&self, range: std::ops::Range<u64>) -> Result<Vec<Vec<u8>>, StoreError> {
        let entries = tables::entries(self.store.readers(), &range).await;
        let entries = entries.map_err(in_audit_log)?;
        if entries.len() as u64 != range.end - range.start {
            let index = range.start + entries.len() as u64;
            return Err(self.store.altered(Altered::Missing { index }));
        }
        Ok(entries)
    }

    /// Those of the receipts with these digests that were not entered, in their order.
    pub async fn missing_receipts(
        &self,
        digests: Vec<Sha256Digest>,
    ) -> Result<Vec<Sha256Digest>, StoreError> {
        receipt_index::missing(&self.store, digests).await
    }

    /// The proof that the receipt with this digest is in the log, against the epoch's newest head; `None`
    /// if that head does not include it: it was never entered, or entered after the head.
    pub async fn receipt_proof(
        &self,
        digest: &Sha256Digest,
        epoch: &EpochLog,
    ) -> Result<Option<ReceiptProof>, StoreError> {
        self.receipt_proof_under(digest, epoch.head()).await
    }

    /// Like [`receipt_proof`](Self::receipt_proof), against a head of any epoch.
    pub async fn receipt_proof_under(
        &self,
        digest: &Sha256Digest,
        head: SignedHead,
    ) -> Result<Option<ReceiptProof>, StoreError> {
        let size = head.claimed().size;
        let Some((index, place)) = receipt_index::find(&self.store, digest, size).await? else {
            return Ok(None);
        };
        let entry = self.entries(index..index + 1).await?.pop();
        let entry = entry.and_then(|bytes| Entry::parse(&bytes).ok());
        let entry = entry.ok_or_else(|| self.store.altered(Altered::Missing { index }))?;
        let digests = self.batch(index).await?;
        let ranges = prove::inclusion(index, size).unwrap_or_default();
        let hashes = self.store.hashes(&ranges).await?;
        Ok(ReceiptProof::new(
            &entry, &digests, place, index, hashes, head,
        ))
    }

    /// The subjects of the entries in this range, by index, as far as their openings are stored.
    pub async fn subjects(
        &self,
        range: std::ops::Range<u64>,
    ) -> Result<BTreeMap<u64, String>, StoreError> {
        let subjects = tables::subjects(self.store.readers(), &range).await;
        subjects.map_err(in_audit_log)
    }

    /// The digests of the receipts in the batch at `index`; none if it is no batch.
    pub async fn batch(&self, index: u64) -> Result<Vec<Sha256Digest>, StoreError> {
        let index = i64::try_from(index).unwrap_or(i64::MAX);
        receipt_index::batch(&self.store, index).await
    }

    /// The proof that the tree of `old` entries is the beginning of that of `new`, which must exist; `None`
    /// if `old` is the larger one.
    pub async fn consistency(
        &self,
        old: u64,
        new: u64,
    ) -> Result<Option<Vec<TreeHash>>, StoreError> {
        match prove::consistency(old, new) {
            None => Ok(None),
            Some(ranges) => self.store.hashes(&ranges).await.map(Some),
        }
    }
}
