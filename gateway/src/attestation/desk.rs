//! Where questions queue for the hardware.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use attest_core::nvidia::UnverifiedDevice;
use attest_core::{Collateral, EvidenceBundle, Nonce, UnsignedReport, to_base64};
use bytes::Bytes;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{Mutex, OnceCell, Semaphore};

use super::Question;
use super::collateral::CollateralCache;
use super::hardware::{Challenge, Collected, Hardware};
use crate::epoch::Epoch;
use crate::errors::ApiError;
use crate::events::{self, AttestationFailure, Event};
use crate::hardening;
use crate::metrics::Metrics;
use crate::platform::{Platform, Presented};

/// For one question, waiting included. Hardware that takes longer goes on by itself, and is not asked meanwhile.
const PATIENCE: Duration = Duration::from_secs(90);

/// What is known of an epoch's evidence without asking the hardware again.
#[derive(Default)]
pub struct EpochEvidence {
    /// What hardware showed for the unchallenged statement.
    unchallenged: OnceCell<Collected>,
    /// The report around it, and with which head of the audit log.
    report: Mutex<Option<(Arc<str>, Bytes)>>,
    /// The same with collateral, and with which.
    with_collateral: Mutex<Option<WithCollateral>>,
}

/// A report, the collateral in it, and the audit log's head in it.
type WithCollateral = (Arc<Collateral>, Arc<str>, Bytes);

pub struct Desk {
    hardware: Option<Hardware>,
    platform: Arc<dyn Platform>,
    metrics: Arc<Metrics>,
    /// One question is in work at a time.
    turns: Arc<Semaphore>,
    collateral: CollateralCache,
    /// How long the hardware takes, as a running mean.
    mean_micros: AtomicU64,
}

/// A question in work or waiting; leaves the queue when dropped.
struct Place<'a>(&'a Gauge);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Desk {
    /// Without hardware there are no reports.
    pub fn new(
        hardware: Option<Hardware>,
        platform: Arc<dyn Platform>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            hardware,
            platform,
            metrics,
            turns: Arc::new(Semaphore::new(1)),
            collateral: CollateralCache::default(),
            mean_micros: AtomicU64::new(0),
        }
    }

    /// The report that answers a question about this epoch, as JSON.
    pub async fn report(&self, epoch: &Epoch, question: Question) -> Result<Bytes, ApiError> {
        let hardware = self.hardware.as_ref().ok_or(ApiError::NoReport)?;
        match question.nonce {
            Some(nonce) => {
                self.challenged(hardware, epoch, nonce, question.collateral)
                    .await
            }
            None => {
                self.unchallenged(hardware, epoch, question.collateral)
                    .await
            }
        }
    }

    async fn challenged(
        &self,
        hardware: &Hardware,
        epoch: &Epoch,
        nonce: Nonce,
        collateral: bool,
    ) -> Result<Bytes, ApiError> {
        let place = self.queue(epoch.config.limits.attest_queue)?;
        let challenge = Challenge::new(epoch.keyset_digest, Some(nonce));
        let collected = self.ask(hardware, challenge).await?;
        drop(place);
        let collateral = match collateral {
            true => self.collateral_for(&collected).await,
            false => None,
        };
        let log = epoch.log.document();
        Ok(render(
            epoch,
            &challenge,
            collected,
            &log,
            collateral.as_deref(),
        ))
    }

    async fn unchallenged(
        &self,
        hardware: &Hardware,
        epoch: &Epoch,
        collateral: bool,
    ) -> Result<Bytes, ApiError> {
        let known = &epoch.evidence;
        let challenge = Challenge::new(epoch.keyset_digest, None);
        let collected = known
            .unchallenged
            .get_or_try_init(|| self.ask(hardware, challenge))
            .await?;
        let collateral = match collateral {
            true => self.collateral_for(collected).await,
            false => None,
        };
        let log = epoch.log.document();
        let Some(collateral) = collateral else {
            let mut cached = known.report.lock().await;
            return match &*cached {
                Some((head, report)) if Arc::ptr_eq(head, &log) => Ok(report.clone()),
                _ => {
                    let report = render(epoch, &challenge, collected.clone(), &log, None);
                    *cached = Some((log, report.clone()));
                    Ok(report)
                }
            };
        };
        let mut cached = known.with_collateral.lock().await;
        match &*cached {
            Some((with, head, report))
                if Arc::ptr_eq(with, &collateral) && Arc::ptr_eq(head, &log) =>
            {
                Ok(report.clone())
            }
            _ => {
                let report = render(
                    epoch,
                    &challenge,
                    collected.clone(),
                    &log,
                    Some(&collateral),
                );
                *cached = Some((collateral, log, report.clone()));
                Ok(report)
            }
        }
    }

    async fn collateral_for(&self, collected: &Collected) -> Option<Arc<Collateral>> {
        let presented = Presented {
            cpu: &collected.cpu,
            devices: &collected.devices,
        };
        self.collateral.get(&*self.platform, presented).await
    }

    /// A place in the queue, or when to come back.
    fn queue(&self, waiting: usize) -> Result<Place<'_>, ApiError> {
        let gauge = &self.metrics.attestation_queue;
        let ahead = gauge.inc();
        let place = Place(gauge);
        if usize::try_from(ahead).unwrap_or(0) > waiting {
            let mean = self.mean_micros.load(Ordering::Relaxed).max(100_000);
            let micros = mean.saturating_mul(waiting as u64);
            return Err(ApiError::AttestationBusy {
                retry_after: Duration::from_micros(micros).min(Duration::from_secs(60)),
            });
        }
        Ok(place)
    }

    /// Has the hardware sign. It is asked once at a time even when whoever asked has gone.
    async fn ask(&self, hardware: &Hardware, challenge: Challenge) -> Result<Collected, ApiError> {
        let asked = tokio::time::timeout(PATIENCE, self.show(hardware.clone(), challenge)).await;
        asked
            .unwrap_or(Err(AttestationFailure::Late))
            .map_err(|failure| {
                events::emit(Event::AttestationFailed { failure });
                ApiError::AttestationFailed
            })
    }

    async fn show(
        &self,
        hardware: Hardware,
        challenge: Challenge,
    ) -> Result<Collected, AttestationFailure> {
        let worker = |_| AttestationFailure::Worker;
        let turn = self.turns.clone().acquire_owned().await;
        let turn = turn.map_err(|_| AttestationFailure::Worker)?;
        let work = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let began = Instant::now();
            (hardware.show(&challenge), began.elapsed())
        });
        let (collected, took) = work.await.map_err(worker)?;
        self.metrics.attested(took);
        self.remember(took);
        collected
    }

    fn remember(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX / 8);
        let old = self.mean_micros.load(Ordering::Relaxed);
        let new = if old == 0 {
            micros
        } else {
            (old / 8 * 7).saturating_add(micros / 8)
        };
        self.mean_micros.store(new, Ordering::Relaxed);
    }
}

fn render(
    epoch: &Epoch,
    challenge: &Challenge,
    collected: Collected,
    log: &str,
    collateral: Option<&Collateral>,
) -> Bytes {
    let mut documents = BTreeMap::from([
        ("config".to_owned(), epoch.config_document.clone()),
        (
            "retention".to_owned(),
            epoch.retention.policy().text().to_owned(),
        ),
        ("log".to_owned(), log.to_owned()),
    ]);
    let signatures = epoch.retention.signatures();
    if !signatures.is_empty() {
        documents.insert("retention_signatures".to_owned(), signatures.to_string());
    }
    if let Some(facts) = hardening::observed() {
        documents.insert("process".to_owned(), facts.document());
    }
    let devices = collected.devices.iter().map(UnverifiedDevice::to_evidence);
    let report = UnsignedReport {
        keyset: epoch.keyset.clone(),
        tee_type: collected.cpu.tee_type(),
        report_data: challenge.report_data.digest_half(),
        provenance: epoch.config.provenance.clone(),
        evidence: EvidenceBundle {
            event_log: collected.event_log.as_deref().map(to_base64),
            devices: devices.collect(),
            cpu: collected.cpu,
            documents,
            collateral: collateral.cloned(),
        },
        serving: epoch.config.server.mode,
    };
    Bytes::from(report.sign(&epoch.signing_key).to_json())
}
