//! Which changes of the policy the audit log has not been told of.
//!
//! The log itself is asked, and not the ledger: a crash may lie between the two. What was set while nobody served is
//! entered too, policy by policy, so that each entry names the one before it as its predecessor.

use attest_core::Sha256Digest;
use attest_core::log::{Entry, Fact, RetentionChange, Word};
use attest_core::retention::{Authority, PolicySignatures, RetentionPolicy};

use super::HistoryError;
use crate::audit::{AuditError, AuditLog};
use crate::ledger::{Ledger, LedgerError};

/// Entries are read back in pieces of this many.
const PIECE: u64 = 1024;

/// The changes from what the log knows to the end of the history, in order.
pub async fn unlogged(
    ledger: &Ledger,
    authority: &Authority,
) -> Result<Vec<RetentionChange>, HistoryError> {
    let rows = ledger.policies().await?;
    let accepted = accepted(ledger.audit()).await.map_err(LedgerError::from)?;
    let known = rows.iter().rposition(|row| Some(row.digest) == accepted);
    let mut changes = Vec::new();
    for row in rows.iter().skip(known.map_or(0, |place| place + 1)) {
        let corrupt = || LedgerError::Corrupt {
            what: "retention policy",
        };
        let policy = RetentionPolicy::from_published(&row.policy).map_err(|_| corrupt())?;
        let signatures = PolicySignatures::parse(&row.signatures).map_err(|_| corrupt())?;
        let signers = match authority {
            Authority::Keys(keys) => keys.verify(policy.digest(), &signatures),
            Authority::Nobody => Ok(Vec::new()),
        };
        changes.push(RetentionChange {
            number: policy.epoch(),
            digest: policy.digest(),
            predecessor: policy.predecessor(),
            mode: mode(&policy)?,
            // Keys of the past may be gone; whose signatures were verified today is said, and no more.
            signers: signers.unwrap_or_default(),
        });
    }
    Ok(changes)
}

/// The most that a policy keeps of anyone, as the log says it.
pub fn mode(policy: &RetentionPolicy) -> Result<Word, LedgerError> {
    Word::parse(policy.most().as_str()).map_err(|_| LedgerError::Corrupt {
        what: "retention mode",
    })
}

/// The policy that the log tells of last: in an entry of its change, or in the beginning of an epoch.
async fn accepted(log: &AuditLog) -> Result<Option<Sha256Digest>, AuditError> {
    let mut end = log.size().await?;
    while end > 0 {
        let start = end.saturating_sub(PIECE);
        for bytes in log.entries(start..end).await?.iter().rev() {
            match Entry::parse(bytes).map(|entry| entry.fact) {
                Ok(Fact::RetentionChanged(change)) => return Ok(Some(change.digest)),
                Ok(Fact::EpochBegan(epoch)) => return Ok(Some(epoch.retention)),
                _ => {}
            }
        }
        end = start;
    }
    Ok(None)
}
