//! Finds changes of the policy that are missing in the audit log.
//!
//! The log itself is read for that, since a crash can happen between ledger and log. Policies that were set while no
//! service was running are entered too, one by one, so that each entry names the one before it as its predecessor.

use attest_core::log::{Entry, Fact, RetentionChange, Word};
use attest_core::retention::{Authority, PolicySignatures, RetentionPolicy};
use attest_core::{Sha256Digest, VerifyingKey};

use super::history::HistoryError;
use gateway_store::StoreError;
use gateway_store::audit::AuditLog;
use gateway_store::ledger::{Ledger, PolicyRow};

/// Entries are read backwards in chunks of this many.
const CHUNK: u64 = 1024;

/// The missing changes, in order. `config` is the configuration's digest.
///
/// Policy keys that were configured later sign the policy that was active without them: that is entered too, as a change
/// from the policy to itself.
pub async fn unlogged(
    ledger: &Ledger,
    authority: &Authority,
    config: Sha256Digest,
) -> Result<Vec<RetentionChange>, HistoryError> {
    let rows = ledger.policies().all().await?;
    let accepted = accepted(ledger.audit()).await?;
    let known = rows.iter().rposition(|row| {
        accepted
            .as_ref()
            .is_some_and(|last| last.policy == row.digest)
    });
    let mut changes = Vec::new();
    for row in rows.iter().skip(known.map_or(0, |place| place + 1)) {
        changes.push(change(row, authority)?);
    }
    let (Some(last), Some(head)) = (accepted, rows.last()) else {
        return Ok(changes);
    };
    // Only another configuration has other keys.
    if changes.is_empty() && last.config.is_some_and(|last| last != config) {
        let mut again = change(head, authority)?;
        let signed = signers(ledger.audit(), head.digest).await;
        let signed = signed?;
        if again.signers.iter().any(|key| !signed.contains(key)) {
            again.predecessor = Some(head.digest);
            changes.push(again);
        }
    }
    Ok(changes)
}

fn change(row: &PolicyRow, authority: &Authority) -> Result<RetentionChange, HistoryError> {
    let corrupt = || StoreError::Corrupt {
        what: "retention policy",
    };
    let policy = RetentionPolicy::from_stored(&row.policy).map_err(|_| corrupt())?;
    let signatures = PolicySignatures::parse(&row.signatures).map_err(|_| corrupt())?;
    let signers = match authority {
        Authority::Keys(keys) => keys.verify(policy.digest(), &signatures),
        Authority::NoKeys => Ok(Vec::new()),
    };
    Ok(RetentionChange {
        number: policy.epoch(),
        digest: policy.digest(),
        predecessor: policy.predecessor(),
        mode: mode(&policy)?,
        // Keys of the past may have been replaced: only signatures that were verified today are entered.
        signers: signers.unwrap_or_default(),
    })
}

/// The highest retention mode of a policy, as a word of the log.
pub fn mode(policy: &RetentionPolicy) -> Result<Word, StoreError> {
    Word::parse(policy.most().as_str()).map_err(|_| StoreError::Corrupt {
        what: "retention mode",
    })
}

/// The last policy in the log: from the beginning of an epoch, or from an entry of a change.
struct Accepted {
    policy: Sha256Digest,
    /// The configuration of that epoch; none where the change was entered and its epoch did not begin.
    config: Option<Sha256Digest>,
}

async fn accepted(log: &AuditLog) -> Result<Option<Accepted>, StoreError> {
    latest(log, |fact| match fact {
        Fact::RetentionChanged(change) => Some(Accepted {
            policy: change.digest,
            config: None,
        }),
        Fact::EpochBegan(epoch) => Some(Accepted {
            policy: epoch.retention,
            config: Some(epoch.config),
        }),
        _ => None,
    })
    .await
}

/// The keys that the log names as signers of a policy, where it was entered last.
async fn signers(log: &AuditLog, policy: Sha256Digest) -> Result<Vec<VerifyingKey>, StoreError> {
    let found = latest(log, |fact| match fact {
        Fact::RetentionChanged(change) if change.digest == policy => Some(change.signers),
        _ => None,
    });
    Ok(found.await?.unwrap_or_default())
}

/// The newest entry for which `pick` gives a value.
async fn latest<T>(
    log: &AuditLog,
    pick: impl Fn(Fact) -> Option<T>,
) -> Result<Option<T>, StoreError> {
    let mut end = log.size().await?;
    while end > 0 {
        let start = end.saturating_sub(CHUNK);
        for bytes in log.entries(start..end).await?.iter().rev() {
            let fact = Entry::parse(bytes).ok().map(|entry| entry.fact);
            if let Some(found) = fact.and_then(&pick) {
                return Ok(Some(found));
            }
        }
        end = start;
    }
    Ok(None)
}
