//! The chain of retention policies: activating its last policy at the start, and appending the next one.
//!
//! Links and signatures of the ledger's rows are verified at every read, so that write access to the database is not
//! enough to change the policy. An attacker who can replace the database with an older copy can go back to an older
//! signed policy. The service cannot detect that; clients that know a later epoch can (`[retention] min_epoch`).

use std::path::PathBuf;

use attest_core::retention::{
    ActivePolicy, Authority, ChainError, ChainLink, ChangeRefused, PolicySignatures,
    RetentionPolicy,
};
use attest_core::{Sha256Digest, UnixTime};

use gateway_base::config::{self, Retention};
use gateway_store::StoreError;
use gateway_store::ledger::{Ledger, PolicyRow};

/// Why no policy can be activated or set.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    #[error("{0}")]
    Ledger(#[from] StoreError),
    /// The stored chain is not valid.
    #[error("the stored retention policy cannot be activated: {0}{advice}", advice = advice(.0))]
    Chain(#[from] ChainError),
    /// The first policy is refused.
    #[error("{0}")]
    First(ChangeRefused),
    /// Policy keys are configured, and no policy is signed.
    #[error(
        "retention.keys are configured and no signed policy is: sign one and name it as retention.policy, or set it \
         with `sealgate retention set`"
    )]
    NoSignedPolicy,
    /// The configured policy is neither in the chain nor its next policy.
    #[error("{}: {reason}", file.display())]
    Configured {
        file: PathBuf,
        reason: ChangeRefused,
    },
    /// A policy to be set is refused.
    #[error("{0}")]
    Refused(ChangeRefused),
    /// Another process set a policy with this epoch number first.
    #[error("another policy of epoch {0} was set at the same time")]
    EpochTaken(u64),
}

fn advice(error: &ChainError) -> &'static str {
    match error {
        ChainError::Head(ChangeRefused::Signature(_)) => {
            ". The holders of retention.keys sign it first: `sealgate retention show --document > current.json`, \
             `sealgate retention sign --key KEY current.json`, `sealgate retention set current.json`; then reload or start"
        }
        ChainError::Head(ChangeRefused::NoPolicyKeys | ChangeRefused::UnsignedContent) => {
            ". Configure the policy keys that signed it"
        }
        _ => "",
    }
}

impl HistoryError {
    /// The configuration key that the error belongs to.
    pub fn key(&self) -> &'static str {
        match self {
            Self::NoSignedPolicy | Self::Chain(ChainError::Head(_)) => "retention.keys",
            Self::First(_) | Self::Configured { .. } => "retention.policy",
            _ => "server.state_dir",
        }
    }
}

/// The result of setting a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Installed {
    /// It is the first policy.
    First,
    /// It replaces the previous policy.
    Next,
    /// It was active already, and got further signatures.
    NewSignatures,
}

/// Which policy to activate for a configuration and a chain, before anything is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The last policy of the chain.
    Unchanged(ActivePolicy),
    /// This policy, as the first of the chain.
    First(ActivePolicy),
    /// The configured policy, as the next of the chain.
    Next(ActivePolicy),
    /// The active policy with the configured signatures, of keys that were configured later.
    NewSignatures(ActivePolicy),
}

impl Decision {
    /// The policy to activate.
    pub fn policy(&self) -> &ActivePolicy {
        match self {
            Self::Unchanged(policy)
            | Self::First(policy)
            | Self::Next(policy)
            | Self::NewSignatures(policy) => policy,
        }
    }
}

/// Decides which policy to activate. Writes nothing. A start, a reload and `sealgate check` use it.
pub fn decide(rows: &[PolicyRow], configured: &Retention) -> Result<Decision, HistoryError> {
    let (named, authority) = (configured.policy.as_ref(), &configured.authority);
    if rows.is_empty() {
        let (policy, signatures) = match (named, authority) {
            (Some(named), _) => (named.policy.clone(), named.signatures.clone()),
            (None, Authority::NoKeys) => (config::built_in(), PolicySignatures::default()),
            (None, Authority::Keys(_)) => return Err(HistoryError::NoSignedPolicy),
        };
        let first = ActivePolicy::first(policy, signatures, authority);
        return first.map(Decision::First).map_err(HistoryError::First);
    }
    let head = ActivePolicy::restore_unverified(&links(rows))?;
    let verified = restore(rows, authority);
    match named {
        Some(named) if !contains(rows, named.policy.digest()) => {
            // The configured policy is signed by today's keys and names the end of the chain, so the key holders accept
            // the chain. Without keys no policy can follow, and an invalid chain is the error to report.
            if *authority == Authority::NoKeys {
                verified?;
            }
            let (policy, signatures) = (named.policy.clone(), named.signatures.clone());
            let next = head.succeeded_by(policy, signatures, authority);
            next.map(Decision::Next)
                .map_err(|reason| HistoryError::Configured {
                    file: named.file.clone(),
                    reason,
                })
        }
        Some(named) if verified.is_err() && named.policy.digest() == head.policy().digest() => {
            match head.signed_again(&named.signatures, authority) {
                Ok(again) => Ok(Decision::NewSignatures(again)),
                Err(_) => Ok(Decision::Unchanged(verified?)),
            }
        }
        _ => Ok(Decision::Unchanged(verified?)),
    }
}

/// Activates the policy that [`decide`] returns, and writes it to the ledger if it is new.
pub async fn activate(
    ledger: &Ledger,
    configured: &Retention,
    now: UnixTime,
) -> Result<ActivePolicy, HistoryError> {
    let rows = ledger.policies().all().await?;
    match decide(&rows, configured)? {
        Decision::Unchanged(policy) => Ok(policy),
        Decision::First(policy) | Decision::Next(policy) => {
            append(ledger, &policy, now).await?;
            Ok(policy)
        }
        Decision::NewSignatures(policy) => {
            let lines = policy.signatures().to_string();
            ledger
                .policies()
                .sign(policy.policy().digest(), &lines)
                .await?;
            Ok(policy)
        }
    }
}

/// The last policy of the chain, verified. For a running service whose active policy may be an earlier one.
pub async fn latest_verified(
    ledger: &Ledger,
    authority: &Authority,
) -> Result<ActivePolicy, HistoryError> {
    Ok(restore(&ledger.policies().all().await?, authority)?)
}

/// The last policy of the chain, without verifying today's keys. For display only.
pub async fn latest(ledger: &Ledger) -> Result<Option<ActivePolicy>, HistoryError> {
    let rows = ledger.policies().all().await?;
    match ActivePolicy::restore_unverified(&links(&rows)) {
        Ok(head) => Ok(Some(head)),
        Err(ChainError::Empty) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether every stored policy follows from the one before.
pub fn check_chain(rows: &[PolicyRow]) -> Result<(), HistoryError> {
    ActivePolicy::restore_unverified(&links(rows))?;
    Ok(())
}

/// Sets a policy: as the first, as the next, or with further signatures.
pub async fn install(
    ledger: &Ledger,
    authority: &Authority,
    policy: RetentionPolicy,
    signatures: PolicySignatures,
    now: UnixTime,
) -> Result<Installed, HistoryError> {
    let refused = HistoryError::Refused;
    let Some(head) = latest(ledger).await? else {
        let first = ActivePolicy::first(policy, signatures, authority).map_err(refused)?;
        append(ledger, &first, now).await?;
        return Ok(Installed::First);
    };
    if head.policy().digest() == policy.digest() {
        let again = head.signed_again(&signatures, authority).map_err(refused)?;
        let lines = again.signatures().to_string();
        ledger.policies().sign(policy.digest(), &lines).await?;
        return Ok(Installed::NewSignatures);
    }
    let next = head
        .succeeded_by(policy, signatures, authority)
        .map_err(refused)?;
    append(ledger, &next, now).await?;
    Ok(Installed::Next)
}

async fn append(ledger: &Ledger, policy: &ActivePolicy, now: UnixTime) -> Result<(), HistoryError> {
    let row = PolicyRow {
        epoch: policy.policy().epoch(),
        digest: policy.policy().digest(),
        policy: policy.policy().stored_text(),
        signatures: policy.signatures().to_string(),
        set_at: now,
    };
    if ledger.policies().add(&row).await? {
        Ok(())
    } else {
        Err(HistoryError::EpochTaken(row.epoch))
    }
}

fn restore(rows: &[PolicyRow], authority: &Authority) -> Result<ActivePolicy, ChainError> {
    ActivePolicy::restore(&links(rows), authority)
}

fn links(rows: &[PolicyRow]) -> Vec<ChainLink<'_>> {
    rows.iter()
        .map(|row| ChainLink {
            policy: &row.policy,
            signatures: &row.signatures,
        })
        .collect()
}

fn contains(rows: &[PolicyRow], digest: Sha256Digest) -> bool {
    rows.iter().any(|row| row.digest == digest)
}
