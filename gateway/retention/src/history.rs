//! The chain of policies: taking it up at the start, and going on to the next.
//!
//! The ledger's rows are checked each time, links and signatures: whoever can write the database cannot change the
//! policy. Whoever can put an older database in its place can go back to an older policy that was once signed; that is
//! seen by clients that know a later epoch (`[retention] min_epoch`), and by nobody inside.

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
    /// Nothing is signed, and somebody is to decide.
    #[error(
        "retention.keys are configured and no signed policy is: sign one and name it as retention.policy, or set it \
         with `sealgate retention set`"
    )]
    NoSignedPolicy,
    /// The configured policy is neither in the history nor what comes next.
    #[error("{}: {reason}", file.display())]
    Configured {
        file: PathBuf,
        reason: ChangeRefused,
    },
    /// A policy that is to be set cannot be.
    #[error("{0}")]
    Refused(ChangeRefused),
    /// Somebody else was faster.
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
    /// The key of the configuration that it is about.
    pub fn key(&self) -> &'static str {
        match self {
            Self::NoSignedPolicy | Self::Chain(ChainError::Head(_)) => "retention.keys",
            Self::First(_) | Self::Configured { .. } => "retention.policy",
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
    /// It was in force already, and is signed anew.
    NewSignatures,
}

/// What a configuration and a history come to, before anything is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The history goes on as it is.
    Unchanged(ActivePolicy),
    /// The history begins with this policy.
    First(ActivePolicy),
    /// The configured policy follows on the history.
    Next(ActivePolicy),
    /// The configured signatures, of keys that were configured later, are added to the policy in force.
    NewSignatures(ActivePolicy),
}

impl Decision {
    /// The policy to serve under.
    pub fn policy(&self) -> &ActivePolicy {
        match self {
            Self::Unchanged(policy)
            | Self::First(policy)
            | Self::Next(policy)
            | Self::NewSignatures(policy) => policy,
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
            (None, Authority::Keys(_)) => return Err(HistoryError::NoSignedPolicy),
        };
        let first = ActivePolicy::first(policy, signatures, authority);
        return first.map(Decision::First).map_err(HistoryError::First);
    }
    let head = ActivePolicy::restore_unverified(&links(rows))?;
    let standing = restore(rows, authority);
    match named {
        Some(named) if !contains(rows, named.policy.digest()) => {
            // Signed by today's keys and naming the end of the history: its holders accept what came before. Without
            // keys nothing follows, and the history has to stand by itself to be told apart from that.
            if *authority == Authority::NoKeys {
                standing?;
            }
            let (policy, signatures) = (named.policy.clone(), named.signatures.clone());
            let next = head.succeeded_by(policy, signatures, authority);
            next.map(Decision::Next)
                .map_err(|reason| HistoryError::Configured {
                    file: named.file.clone(),
                    reason,
                })
        }
        Some(named) if standing.is_err() && named.policy.digest() == head.policy().digest() => {
            match head.signed_again(&named.signatures, authority) {
                Ok(again) => Ok(Decision::NewSignatures(again)),
                Err(_) => Ok(Decision::Unchanged(standing?)),
            }
        }
        _ => Ok(Decision::Unchanged(standing?)),
    }
}

/// The policy to serve under, as [`decide`] says, written to the ledger where it is not there yet.
pub async fn activate(
    ledger: &Ledger,
    configured: &Retention,
    now: UnixTime,
) -> Result<ActivePolicy, HistoryError> {
    let rows = ledger.policies().await?;
    match decide(&rows, configured)? {
        Decision::Unchanged(policy) => Ok(policy),
        Decision::First(policy) | Decision::Next(policy) => {
            append(ledger, &policy, now).await?;
            Ok(policy)
        }
        Decision::NewSignatures(policy) => {
            let lines = policy.signatures().to_string();
            ledger.sign_policy(policy.policy().digest(), &lines).await?;
            Ok(policy)
        }
    }
}

/// The end of the history as it is now, for a service that runs under an earlier one.
pub async fn latest_verified(
    ledger: &Ledger,
    authority: &Authority,
) -> Result<ActivePolicy, HistoryError> {
    Ok(restore(&ledger.policies().await?, authority)?)
}

/// The end of the history whether or not today's keys stand for it: for looking at.
pub async fn latest(ledger: &Ledger) -> Result<Option<ActivePolicy>, HistoryError> {
    let rows = ledger.policies().await?;
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

/// Sets a policy: as the first, as the next, or signed anew.
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
        ledger.sign_policy(policy.digest(), &lines).await?;
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
    if ledger.add_policy(&row).await? {
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
