//! The chain of policies: restoring it at the start, and appending the next policy.
//!
//! The ledger's rows are checked each time, links and signatures: a process that can write the database cannot change
//! the policy. One that can replace it with an older one can go back to an older policy that was once signed; clients
//! that know a later epoch detect that (`[retention] min_epoch`); nothing inside the machine can.

use std::path::PathBuf;

use attest_core::retention::{
    ActivePolicy, Authority, ChainError, ChainLink, ChangeRefused, PolicySignatures,
    RetentionPolicy,
};
use attest_core::{Sha256Digest, UnixTime};

use gateway_base::config::{self, Retention};
use gateway_store::ledger::{Ledger, LedgerError, PolicyRow};

/// Why there is no policy to act on.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    #[error("{0}")]
    Ledger(#[from] LedgerError),
    /// What is stored cannot be acted on.
    #[error("the retention policy in force cannot be taken up: {0}{advice}", advice = advice(.0))]
    Chain(#[from] ChainError),
    /// The policy to begin with cannot be.
    #[error("{0}")]
    First(ChangeRefused),
    /// Policy keys are configured, and no policy is signed by them.
    #[error(
        "retention.keys are configured and no signed policy is: sign one and name it as retention.policy, or set it \
         with `sealgate retention set`"
    )]
    NothingSigned,
    /// The configured policy is neither in the history nor what comes next.
    #[error("{}: {reason}", file.display())]
    Named {
        file: PathBuf,
        reason: ChangeRefused,
    },
    /// A policy that is to be set cannot be.
    #[error("{0}")]
    Refused(ChangeRefused),
    /// Another process set a policy of this epoch first.
    #[error("another policy of epoch {0} was set at the same time")]
    Taken(u64),
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
    /// The key of the configuration that it is about.
    pub fn key(&self) -> &'static str {
        match self {
            Self::NothingSigned | Self::Chain(ChainError::Head(_)) => "retention.keys",
            Self::First(_) | Self::Named { .. } => "retention.policy",
            _ => "server.state_dir",
        }
    }
}

/// What a change came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Installed {
    /// It is the first policy.
    First,
    /// It took the place of the one before.
    Next,
    /// It was active already, and got further signatures.
    SignedAgain,
}

/// What a configuration and a history come to, before anything is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The history goes on as it is.
    Stands(ActivePolicy),
    /// The history begins with this policy.
    Begins(ActivePolicy),
    /// The configured policy follows on the history.
    GoesOn(ActivePolicy),
    /// The configured signatures, of keys that were configured later, are added to the active policy.
    SignedAgain(ActivePolicy),
}

impl Decision {
    /// The policy to serve under.
    pub fn policy(&self) -> &ActivePolicy {
        match self {
            Self::Stands(policy)
            | Self::Begins(policy)
            | Self::GoesOn(policy)
            | Self::SignedAgain(policy) => policy,
        }
    }
}

/// Decides under which policy a configuration is served. Writes nothing: a start, a reload and `sealgate check` all
/// ask here.
pub fn decide(rows: &[PolicyRow], configured: &Retention) -> Result<Decision, HistoryError> {
    let (named, authority) = (configured.policy.as_ref(), &configured.authority);
    if rows.is_empty() {
        let (policy, signatures) = match (named, authority) {
            (Some(named), _) => (named.policy.clone(), named.signatures.clone()),
            (None, Authority::NoKeys) => (config::built_in(), PolicySignatures::default()),
            (None, Authority::Keys(_)) => return Err(HistoryError::NothingSigned),
        };
        let first = ActivePolicy::first(policy, signatures, authority);
        return first.map(Decision::Begins).map_err(HistoryError::First);
    }
    let head = ActivePolicy::restore_unverified(&links(rows))?;
    let standing = restore(rows, authority);
    match named {
        Some(named) if !contains(rows, named.policy.digest()) => {
            // Signed by today's keys and naming the end of the history: its holders accept what came before. Without
            // keys nothing follows, and the history has to be valid without it, so that the error says which of the two is wrong.
            if *authority == Authority::NoKeys {
                standing?;
            }
            let (policy, signatures) = (named.policy.clone(), named.signatures.clone());
            let next = head.succeeded_by(policy, signatures, authority);
            next.map(Decision::GoesOn)
                .map_err(|reason| HistoryError::Named {
                    file: named.file.clone(),
                    reason,
                })
        }
        Some(named) if standing.is_err() && named.policy.digest() == head.policy().digest() => {
            match head.signed_again(&named.signatures, authority) {
                Ok(again) => Ok(Decision::SignedAgain(again)),
                Err(_) => Ok(Decision::Stands(standing?)),
            }
        }
        _ => Ok(Decision::Stands(standing?)),
    }
}

/// The policy to serve under, as [`decide`] says, written to the ledger where it is not there yet.
pub async fn take_up(
    ledger: &Ledger,
    configured: &Retention,
    now: UnixTime,
) -> Result<ActivePolicy, HistoryError> {
    let rows = ledger.policies().await?;
    match decide(&rows, configured)? {
        Decision::Stands(policy) => Ok(policy),
        Decision::Begins(policy) | Decision::GoesOn(policy) => {
            append(ledger, &policy, now).await?;
            Ok(policy)
        }
        Decision::SignedAgain(policy) => {
            let lines = policy.signatures().to_string();
            ledger.sign_policy(policy.policy().digest(), &lines).await?;
            Ok(policy)
        }
    }
}

/// The end of the history as it is now, for a service that runs under an earlier one.
pub async fn follow(ledger: &Ledger, authority: &Authority) -> Result<ActivePolicy, HistoryError> {
    Ok(restore(&ledger.policies().await?, authority)?)
}

/// The end of the history whether or not today's keys stand for it: for looking at.
pub async fn look(ledger: &Ledger) -> Result<Option<ActivePolicy>, HistoryError> {
    let rows = ledger.policies().await?;
    match ActivePolicy::restore_unverified(&links(&rows)) {
        Ok(head) => Ok(Some(head)),
        Err(ChainError::Empty) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether every stored policy follows from the one before.
pub fn look_through(rows: &[PolicyRow]) -> Result<(), HistoryError> {
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
    let Some(head) = look(ledger).await? else {
        let first = ActivePolicy::first(policy, signatures, authority).map_err(refused)?;
        append(ledger, &first, now).await?;
        return Ok(Installed::First);
    };
    if head.policy().digest() == policy.digest() {
        let again = head.signed_again(&signatures, authority).map_err(refused)?;
        let lines = again.signatures().to_string();
        ledger.sign_policy(policy.digest(), &lines).await?;
        return Ok(Installed::SignedAgain);
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
    if ledger.add_policy(&row).await? {
        Ok(())
    } else {
        Err(HistoryError::Taken(row.epoch))
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
