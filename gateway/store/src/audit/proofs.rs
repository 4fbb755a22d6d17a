//! Reading the log: published files, proofs that a receipt is included, and consistency proofs between heads.
//!
//! Everything here uses only committed entries that the head in question includes.

use std::collections::BTreeMap;

use attest_core::Sha256Digest;
use attest_core::log::{Entry, ReceiptProof, TreeHash, prove, tile};
use sqlx::Row;

use super::{Altered, AuditError, AuditLog, EpochLog};

impl AuditLog {
    /// One of the files that a tree of `size` entries is published as; `None` if it has no such file.
    pub async fn tile(&self, tile: &tile::Tile, size: u64) -> Result<Option<Vec<u8>>, AuditError> {
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
    pub async fn size(&self) -> Result<u64, AuditError> {
        self.store.size().await
    }

    /// The entries in this range, which must be there.
    pub async fn entries(&self, range: std::ops::Range<u64>) -> Result<Vec<Vec<u8>>, AuditError> {
        let rows = sqlx::query("SELECT entry FROM entries WHERE idx >= ? AND idx < ? ORDER BY idx")
            .bind(range.start as i64)
            .bind(range.end as i64)
            .fetch_all(self.store.readers())
            .await?;
        if rows.len() as u64 != range.end - range.start {
            let index = range.start + rows.len() as u64;
            return Err(self.store.altered(Altered::Missing { index }));
        }
        let entries = rows.iter().map(|row| row.try_get::<Vec<u8>, _>(0));
        Ok(entries.collect::<Result<_, _>>()?)
    }

    /// Whether the receipt with this digest was entered.
    pub async fn has_receipt(&self, digest: &Sha256Digest) -> Result<bool, AuditError> {
        let found = sqlx::query("SELECT 1 FROM receipts WHERE digest = ? LIMIT 1")
            .bind(&digest.as_bytes()[..])
            .fetch_optional(self.store.readers())
            .await?;
        Ok(found.is_some())
    }

    /// The proof that the receipt with this digest is in the log, against the epoch's newest head; `None`
    /// if that head does not include it: it was never entered, or entered after the head.
    pub async fn receipt_proof(
        &self,
        digest: &Sha256Digest,
        epoch: &EpochLog,
    ) -> Result<Option<ReceiptProof>, AuditError> {
        let head = epoch.head();
        let size = head.claimed().size;
        let found = sqlx::query(
            "SELECT idx, position FROM receipts WHERE digest = ? AND idx < ? ORDER BY idx LIMIT 1",
        )
        .bind(&digest.as_bytes()[..])
        .bind(size as i64)
        .fetch_optional(self.store.readers())
        .await?;
        let Some(found) = found else {
            return Ok(None);
        };
        let (index, place): (i64, i64) = (found.try_get(0)?, found.try_get(1)?);
        let (index, place) = (index as u64, place as u64);
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
    ) -> Result<BTreeMap<u64, String>, AuditError> {
        let rows = sqlx::query("SELECT idx, subject FROM openings WHERE idx >= ? AND idx < ?")
            .bind(range.start as i64)
            .bind(range.end as i64)
            .fetch_all(self.store.readers())
            .await?;
        let subjects = rows.iter().map(|row| {
            let index: i64 = row.try_get(0)?;
            Ok((index as u64, row.try_get(1)?))
        });
        subjects.collect()
    }

    /// The digests of the receipts in the batch at `index`.
    pub async fn batch(&self, index: u64) -> Result<Vec<Sha256Digest>, AuditError> {
        let rows = sqlx::query("SELECT digest FROM receipts WHERE idx = ? ORDER BY position")
            .bind(index as i64)
            .fetch_all(self.store.readers())
            .await?;
        let digests = rows.iter().map(|row| {
            let digest: Vec<u8> = row.try_get(0)?;
            let digest: [u8; 32] = digest
                .try_into()
                .map_err(|_| self.store.altered(Altered::Missing { index }))?;
            Ok(Sha256Digest::from_bytes(digest))
        });
        digests.collect()
    }

    /// The proof that the tree of `old` entries is the beginning of that of `new`, which must exist; `None`
    /// if `old` is the larger one.
    pub async fn consistency(
        &self,
        old: u64,
        new: u64,
    ) -> Result<Option<Vec<TreeHash>>, AuditError> {
        match prove::consistency(old, new) {
            None => Ok(None),
            Some(ranges) => self.store.hashes(&ranges).await.map(Some),
        }
    }
}
