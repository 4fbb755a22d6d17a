//! Where questions queue for the hardware.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use attest_collect::Attester;
use attest_core::{
    Collateral, CpuEvidence, EvidenceBundle, Nonce, ReportData, Statement, UnsignedReport,
};
use bytes::Bytes;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{Mutex, OnceCell, Semaphore};

use super::Question;
use super::collateral::CollateralCache;
use crate::epoch::Epoch;
use crate::errors::ApiError;
use crate::events::{self, AttestationFailure, Event};
use crate::hardening;
use crate::metrics::Metrics;
use crate::platform::Platform;

/// What is known of an epoch's evidence without asking the hardware again.
#[derive(Default)]
pub struct EpochEvidence {
    /// The quote over the unchallenged statement.
    unchallenged: OnceCell<CpuEvidence>,
    /// The report around it.
    report: OnceCell<Bytes>,
    /// The same with collateral, and with which.
    with_collateral: Mutex<Option<(Arc<Collateral>, Bytes)>>,
}

pub struct Desk {
    attester: Option<Arc<dyn Attester>>,
    platform: Arc<dyn Platform>,
    metrics: Arc<Metrics>,
    /// One statement is signed at a time.
    hardware: Arc<Semaphore>,
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
    /// Without an attester there are no reports.
    pub fn new(
        attester: Option<Arc<dyn Attester>>,
        platform: Arc<dyn Platform>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            attester,
            platform,
            metrics,
            hardware: Arc::new(Semaphore::new(1)),
            collateral: CollateralCache::default(),
            mean_micros: AtomicU64::new(0),
        }
    }

    /// The report that answers a question about this epoch, as JSON.
    pub async fn report(&self, epoch: &Epoch, question: Question) -> Result<Bytes, ApiError> {
        let attester = self.attester.as_ref().ok_or(ApiError::NoReport)?;
        match question.nonce {
            Some(nonce) => {
                self.challenged(attester, epoch, nonce, question.collateral)
                    .await
            }
            None => {
                self.unchallenged(attester, epoch, question.collateral)
                    .await
            }
        }
    }

    async fn challenged(
        &self,
        attester: &Arc<dyn Attester>,
        epoch: &Epoch,
        nonce: Nonce,
        collateral: bool,
    ) -> Result<Bytes, ApiError> {
        let place = self.queue(epoch.config.limits.attest_queue)?;
        let data = Statement::challenged(epoch.keyset_digest, nonce).report_data();
        let evidence = self.attest(attester, data).await?;
        drop(place);
        let collateral = if collateral {
            self.collateral.get(&*self.platform, &evidence).await
        } else {
            None
        };
        Ok(render(epoch, &data, evidence, collateral.as_deref()))
    }

    async fn unchallenged(
        &self,
        attester: &Arc<dyn Attester>,
        epoch: &Epoch,
        collateral: bool,
    ) -> Result<Bytes, ApiError> {
        let known = &epoch.evidence;
        let data = Statement::unchallenged(epoch.keyset_digest).report_data();
        let evidence = known
            .unchallenged
            .get_or_try_init(|| self.attest(attester, data))
            .await?;
        let collateral = if collateral {
            self.collateral.get(&*self.platform, evidence).await
        } else {
            None
        };
        let Some(collateral) = collateral else {
            let report = known
                .report
                .get_or_init(|| async { render(epoch, &data, evidence.clone(), None) })
                .await;
            return Ok(report.clone());
        };
        let mut cached = known.with_collateral.lock().await;
        match &*cached {
            Some((with, report)) if Arc::ptr_eq(with, &collateral) => Ok(report.clone()),
            _ => {
                let report = render(epoch, &data, evidence.clone(), Some(&collateral));
                *cached = Some((collateral, report.clone()));
                Ok(report)
            }
        }
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
    async fn attest(
        &self,
        attester: &Arc<dyn Attester>,
        data: ReportData,
    ) -> Result<CpuEvidence, ApiError> {
        let turn = self
            .hardware
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| ApiError::Internal)?;
        let attester = attester.clone();
        let work = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let began = Instant::now();
            (attester.attest(&data), began.elapsed())
        });
        let failed = |failure| {
            events::emit(Event::AttestationFailed { failure });
            ApiError::AttestationFailed
        };
        let (evidence, took) = work.await.map_err(|_| failed(AttestationFailure::Worker))?;
        self.metrics.attested(took);
        self.remember(took);
        evidence.map_err(|_| failed(AttestationFailure::Hardware))
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
    data: &ReportData,
    cpu: CpuEvidence,
    collateral: Option<&Collateral>,
) -> Bytes {
    let mut documents = BTreeMap::from([
        ("config".to_owned(), epoch.config_document.clone()),
        ("retention".to_owned(), epoch.retention.text.clone()),
    ]);
    if let Some(facts) = hardening::observed() {
        documents.insert("process".to_owned(), facts.document());
    }
    let report = UnsignedReport {
        keyset: epoch.keyset.clone(),
        tee_type: cpu.tee_type(),
        report_data: data.digest_half(),
        provenance: epoch.config.provenance.clone(),
        evidence: EvidenceBundle {
            cpu,
            event_log: None,
            devices: Vec::new(),
            documents,
            collateral: collateral.cloned(),
        },
        serving: epoch.config.server.mode,
    };
    Bytes::from(report.sign(&epoch.signing_key).to_json())
}
