//! Beginning an epoch: new keys over the same or a new configuration.

use std::path::Path;
use std::sync::Arc;

use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use super::lifetime::Lifetime;
use super::{DeferredSigning, EndedHeads, Epoch, certificate};
use crate::evidence::EpochEvidence;
use attest_channel::Clock;
use attest_channel::Moment;
use attest_core::log::{Entry, EpochReason, EpochStart, Fact};
use attest_core::retention::ActivePolicy;
use attest_core::{Keyset, Sha256Digest, SigningKey, Subject, TlsKeyEntry};
use gateway_authorization::{Authorization, PolicyFileError};
use gateway_base::config::Config;
use gateway_base::metrics::Metrics;
use gateway_base::request::CacheSalts;
use gateway_identity::Identities;
use gateway_retention::{HistoryError, logged};
use gateway_store::StoreError;
use gateway_store::audit::NewEpoch;
use gateway_store::ledger::{EpochRow, Ledger};
use gateway_upstream::route::{RouteError, Routes};

/// The active certificate, for clients that trust certificates instead of evidence. It is public.
const CERTIFICATE_FILE: &str = "certificate.pem";

/// Why an epoch could not begin.
#[derive(Debug, thiserror::Error)]
pub enum EpochError {
    #[error("the keys of a new epoch could not be made")]
    Keys,
    #[error("server.names do not fit into a certificate")]
    Names,
    #[error("{0}")]
    Routes(#[from] RouteError),
    #[error("{0}")]
    Authorization(#[from] PolicyFileError),
    #[error("{0}")]
    Ledger(#[from] StoreError),
    #[error("{0}")]
    Retention(#[from] HistoryError),
    #[error("cannot write {path}: {source}")]
    Certificate {
        path: String,
        source: std::io::Error,
    },
    #[error("cannot store the audit log's last head in {path}: {source}")]
    Head {
        path: String,
        source: std::io::Error,
    },
}

/// Begins an epoch under a configuration that was just read and the policy that becomes active with it. The keys of
/// identity providers that `previous` has, too, are shared with it.
pub async fn begin(
    config: Arc<Config>,
    retention: Arc<ActivePolicy>,
    ledger: &Arc<Ledger>,
    clock: &Arc<dyn Clock>,
    metrics: &Arc<Metrics>,
    reason: EpochReason,
    previous: Option<&Identities>,
) -> Result<Epoch, EpochError> {
    let authorization = Arc::new(Authorization::from_config(&config)?);
    let routes = Arc::new(Routes::build(
        &config,
        ledger.clone(),
        metrics.clone(),
        clock.clone(),
    )?);
    let identities = Identities::start(&config.identity, clock, metrics, previous);
    let parts = Parts {
        config,
        routes,
        authorization,
        identities: Arc::new(identities),
    };
    create(parts, retention, ledger, clock.moment(), reason).await
}

/// Begins an epoch with new keys and this policy. Configuration, routes, authorization and identity providers are shared with the previous epoch, so
/// verified upstreams stay verified.
pub async fn renew(
    previous: &Epoch,
    retention: Arc<ActivePolicy>,
    ledger: &Arc<Ledger>,
    clock: &Arc<dyn Clock>,
    reason: EpochReason,
) -> Result<Epoch, EpochError> {
    let parts = Parts {
        config: previous.config.clone(),
        routes: previous.routes.clone(),
        authorization: previous.authorization.clone(),
        identities: previous.identities.clone(),
    };
    create(parts, retention, ledger, clock.moment(), reason).await
}

/// A configuration, and what was built from it. Epochs that follow one another under one configuration share it.
struct Parts {
    config: Arc<Config>,
    routes: Arc<Routes>,
    authorization: Arc<Authorization>,
    identities: Arc<Identities>,
}

async fn create(
    parts: Parts,
    retention: Arc<ActivePolicy>,
    ledger: &Arc<Ledger>,
    began: Moment,
    reason: EpochReason,
) -> Result<Epoch, EpochError> {
    let Parts {
        config,
        routes,
        authorization,
        identities,
    } = parts;
    let server = &config.server;
    let now = began.now;
    let lifetime = Lifetime::begin(began, server.epoch_lifetime, server.drain_timeout);
    let not_after = lifetime.not_after;
    let identity = certificate::create(&server.names, &lifetime)?;
    let signing_key = Arc::new(signing_key()?);
    let config_document = config.document();
    let subject = Subject {
        config: Sha256Digest::hash(config_document.as_bytes()),
        retention: retention.policy().digest(),
    };
    let domain = if server.bind_domain {
        server.names.first().cloned()
    } else {
        None
    };
    let keyset = Keyset {
        subject: Some(subject.to_string()),
        not_after,
        receipt_signing_keys: vec![signing_key.public_entry()],
        e2ee_public_keys: Vec::new(),
        tls_public_keys: vec![TlsKeyEntry {
            spki_sha256: identity.spki,
            domain,
        }],
    };
    let keyset_digest = keyset.digest();
    let keyset_text = String::from_utf8(keyset.to_jcs()).map_err(|_| EpochError::Keys)?;
    // Before anything is written to the ledger, so that a directory that cannot be written to leaves no row. For a
    // moment the file is ahead of the key that is served; a client that reads it then has to connect again.
    publish_certificate(&server.state_dir, &identity.pem)?;
    let row = EpochRow {
        keyset_digest,
        keyset: &keyset_text,
        config: subject.config,
        retention: subject.retention,
        began_at: now,
    };
    // Policies that were set while no epoch could begin are logged in their order, before the one that begins with this
    // epoch. The last goes with the epoch's own entry.
    let mut changes = logged::unlogged(ledger, &config.retention.authority, subject.config).await?;
    let change = changes.pop();
    for earlier in changes {
        let fact = Fact::RetentionChanged(earlier);
        let entry = Entry { at: now, fact };
        ledger.audit().append(entry).await?;
    }
    // The row before the log entry: if the entry fails, an unused number remains, which does no harm.
    let number = ledger.epochs().begin(&row).await?;
    let cache_salts = CacheSalts::generate(&SystemRandom::new()).map_err(|_| EpochError::Keys)?;
    let keyset_header =
        http::HeaderValue::try_from(keyset_digest.to_string()).map_err(|_| EpochError::Keys)?;
    let beginning = NewEpoch {
        at: now,
        start: EpochStart {
            epoch: number,
            keyset: keyset_digest,
            key: signing_key.verifying_key(),
            config: subject.config,
            retention: subject.retention,
            mode: logged::mode(retention.policy())?,
            not_after,
            reason,
        },
        signing_key: signing_key.clone(),
        retention: change,
    };
    store_last_head(ledger, &server.state_dir).await?;
    // Last: after it nothing can fail, so the log never announces an epoch that did not begin.
    let deferred = DeferredSigning::new(config.receipts.sign);
    let log = ledger.audit().begin_epoch(beginning).await?;
    Ok(Epoch {
        number,
        keyset,
        keyset_digest,
        signing_key,
        lifetime,
        retention,
        config,
        config_digest: subject.config,
        config_document,
        routes,
        authorization,
        identities,
        cache_salts,
        tls: identity.tls,
        spki: identity.spki,
        keyset_header,
        evidence: EpochEvidence::default(),
        log,
        deferred,
    })
}

/// Stores the last head of the previous epoch, of this process or of an earlier one.
async fn store_last_head(ledger: &Ledger, state_dir: &Path) -> Result<(), EpochError> {
    let Some(head) = ledger.audit().latest_head().await? else {
        return Ok(());
    };
    let stored = EndedHeads::in_directory(state_dir).store(&head);
    stored.map_err(|source| EpochError::Head {
        path: state_dir.display().to_string(),
        source,
    })
}

fn signing_key() -> Result<SigningKey, EpochError> {
    let random = SystemRandom::new();
    let mut seed = Zeroizing::new([0; 32]);
    let mut id = [0; 8];
    random.fill(&mut seed[..]).map_err(|_| EpochError::Keys)?;
    random.fill(&mut id).map_err(|_| EpochError::Keys)?;
    let key_id = format!("receipt-{}", attest_core::to_hex(&id));
    SigningKey::from_seed(&key_id, &seed).map_err(|_| EpochError::Keys)
}

/// Replaces the file atomically, so that no reader finds half of it.
fn publish_certificate(state_dir: &Path, pem: &str) -> Result<(), EpochError> {
    let path = state_dir.join(CERTIFICATE_FILE);
    let new = state_dir.join(format!("{CERTIFICATE_FILE}.new"));
    std::fs::write(&new, pem)
        .and_then(|()| std::fs::rename(&new, &path))
        .map_err(|source| EpochError::Certificate {
            path: path.display().to_string(),
            source,
        })
}
