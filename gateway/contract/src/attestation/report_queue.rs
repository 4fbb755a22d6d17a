//! Answers requests for reports: waits for the hardware's turn, collects evidence, adds collateral, signs.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use prometheus_client::metrics::gauge::Gauge;

use super::ReportRequest;
use super::collateral::CollateralCache;
use super::fair_queue::{Bounds, Host};
use super::known_addresses::KnownAddresses;
use super::turn_queue::{Lane, Turn, TurnQueue};
use crate::epoch::Epoch;
use crate::evidence::{Challenge, Hardware, HardwareEvidence};
use crate::platform::{EvidenceRef, Platform};
use attest_core::nvidia::UnverifiedDevice;
use attest_core::{Collateral, EvidenceBundle, Nonce, UnsignedReport, to_base64};
use gateway_base::errors::ApiError;
use gateway_base::events::{self, AttestationFailure, Event};
use gateway_base::metrics::Metrics;
use gateway_base::request::KeyId;
use harden as hardening;

/// For one report, not counting the wait for a turn. Hardware that takes longer keeps its turn until it has finished.
const REPORT_TIMEOUT: Duration = Duration::from_secs(90);

/// Refusals of clients without a key are delayed this much, and more the more of them are being delayed. It limits what
/// clients cost that retry at once, whatever they are answered: to some 200 answers a second.
const REFUSAL_DELAY: Duration = Duration::from_secs(1);
const DELAY_PER_REFUSAL: Duration = Duration::from_millis(5);
const LONGEST_REFUSAL_DELAY: Duration = Duration::from_secs(5);

/// The client that requests a report, as far as it matters for its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requester {
    /// The address at the other end of the connection.
    pub address: Option<IpAddr>,
    /// The id of the valid API key that came with the request, if one did.
    pub key: Option<KeyId>,
}

/// Makes reports, one at a time, for the requests that wait.
pub struct ReportQueue {
    hardware: Option<Hardware>,
    platform: Arc<dyn Platform>,
    metrics: Arc<Metrics>,
    turns: Arc<TurnQueue>,
    known: KnownAddresses,
    /// How many refusals are being delayed. Only a counter: no other memory is ordered by it.
    delayed_refusals: AtomicUsize,
    collateral: CollateralCache,
}

/// A refusal that is being delayed, counted.
struct DelayedRefusal<'a> {
    /// The queue's `delayed_refusals`.
    count: &'a AtomicUsize,
    at_entry: usize,
}

impl<'a> DelayedRefusal<'a> {
    fn enter(count: &'a AtomicUsize) -> Self {
        let at_entry = count.fetch_add(1, Ordering::Relaxed);
        DelayedRefusal { count, at_entry }
    }
}

impl Drop for DelayedRefusal<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The report without a nonce is made once in an epoch and is never refused.
const UNBOUNDED: Bounds = Bounds {
    total: usize::MAX,
    per_host: usize::MAX,
};

/// A request that is being processed or waits, counted.
struct Counted<'a>(&'a Gauge);

impl<'a> Counted<'a> {
    fn enter(gauge: &'a Gauge) -> Self {
        gauge.inc();
        Counted(gauge)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl ReportQueue {
    /// Without hardware there are no reports.
    pub fn new(
        hardware: Option<Hardware>,
        platform: Arc<dyn Platform>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            hardware,
            platform,
            turns: TurnQueue::new(Arc::clone(&metrics)),
            metrics,
            known: KnownAddresses::default(),
            delayed_refusals: AtomicUsize::new(0),
            collateral: CollateralCache::default(),
        }
    }

    /// Remembers that a valid API key was used from this address.
    pub fn note_authenticated(&self, address: Option<IpAddr>) {
        if address.is_some() {
            self.known.note(Host::from_address(address));
        }
    }

    /// The report about this epoch, as JSON.
    pub async fn report(
        &self,
        epoch: &Epoch,
        request: ReportRequest,
        requester: Requester,
    ) -> Result<Bytes, ApiError> {
        let hardware = self.hardware.as_ref().ok_or(ApiError::NoReport)?;
        match request.nonce {
            Some(nonce) => {
                self.report_with_nonce(hardware, epoch, nonce, request.collateral, requester)
                    .await
            }
            None => {
                self.report_without_nonce(hardware, epoch, request.collateral)
                    .await
            }
        }
    }

    async fn report_with_nonce(
        &self,
        hardware: &Hardware,
        epoch: &Epoch,
        nonce: Nonce,
        collateral: bool,
        requester: Requester,
    ) -> Result<Bytes, ApiError> {
        let limits = &epoch.config.limits;
        let bounds = Bounds {
            total: limits.attest_queue,
            per_host: limits.attest_queue_per_address,
        };
        let (lane, host) = self.lane_and_host(requester);
        let challenge = Challenge::new(epoch.keyset_digest, Some(nonce));
        let evidence = self
            .collect(hardware, challenge, lane, host, bounds)
            .await?;
        // After the turn was returned: fetching may wait for a vendor, and the hardware must not wait with it.
        let collateral = match collateral {
            true => self.collateral_for(&evidence).await,
            false => None,
        };
        let log = epoch.log.document();
        Ok(render(
            epoch,
            &challenge,
            evidence,
            &log,
            collateral.as_deref(),
        ))
    }

    async fn report_without_nonce(
        &self,
        hardware: &Hardware,
        epoch: &Epoch,
        collateral: bool,
    ) -> Result<Bytes, ApiError> {
        let cache = &epoch.evidence;
        let challenge = Challenge::new(epoch.keyset_digest, None);
        // Concurrent callers wait for one collection instead of taking a turn each.
        let evidence = cache
            .without_nonce
            .get_or_try_init(|| {
                self.collect(hardware, challenge, Lane::Known, Host::Unknown, UNBOUNDED)
            })
            .await?;
        let collateral = match collateral {
            true => self.collateral_for(evidence).await,
            false => None,
        };
        let log = epoch.log.document();
        let Some(collateral) = collateral else {
            // Two locks, so that a caller without collateral never waits for a report with it. They are taken one at a
            // time.
            let mut cached = cache.report.lock().await;
            return match &*cached {
                Some((head, report)) if Arc::ptr_eq(head, &log) => Ok(report.clone()),
                _ => {
                    let report = render(epoch, &challenge, evidence.clone(), &log, None);
                    *cached = Some((log, report.clone()));
                    Ok(report)
                }
            };
        };
        let mut cached = cache.with_collateral.lock().await;
        match &*cached {
            Some((with, head, report))
                if Arc::ptr_eq(with, &collateral) && Arc::ptr_eq(head, &log) =>
            {
                Ok(report.clone())
            }
            _ => {
                let report = render(epoch, &challenge, evidence.clone(), &log, Some(&collateral));
                *cached = Some((collateral, log, report.clone()));
                Ok(report)
            }
        }
    }

    async fn collateral_for(&self, evidence: &HardwareEvidence) -> Option<Arc<Collateral>> {
        let evidence = EvidenceRef {
            cpu: &evidence.cpu,
            devices: &evidence.devices,
        };
        self.collateral.get(&*self.platform, evidence).await
    }

    /// Which lane a request waits in, and whose share it takes there.
    fn lane_and_host(&self, requester: Requester) -> (Lane, Host) {
        let host = Host::from_address(requester.address);
        match requester.key {
            Some(key) => (Lane::Known, Host::Key(key.to_bytes())),
            None if self.known.contains(host) => (Lane::Known, host),
            None => (Lane::Unknown, host),
        }
    }

    /// Waits for a turn and has the hardware sign.
    async fn collect(
        &self,
        hardware: &Hardware,
        challenge: Challenge,
        lane: Lane,
        host: Host,
        bounds: Bounds,
    ) -> Result<HardwareEvidence, ApiError> {
        let counted = Counted::enter(&self.metrics.attestation_queue);
        let turn = match self.turns.turn(lane, host, bounds).await {
            Ok(turn) => turn,
            Err(busy) => {
                // A refused request does not count as waiting while its refusal is delayed.
                drop(counted);
                if lane == Lane::Unknown {
                    self.delay_refusal().await;
                }
                let retry_after = busy.retry_after;
                return Err(ApiError::AttestationBusy { retry_after });
            }
        };
        let work = self.run(hardware.clone(), challenge, turn);
        tokio::time::timeout(REPORT_TIMEOUT, work)
            .await
            .unwrap_or(Err(AttestationFailure::Late))
            .map_err(|failure| {
                events::emit(Event::AttestationFailed { failure });
                ApiError::AttestationFailed
            })
    }

    async fn delay_refusal(&self) {
        let delayed = DelayedRefusal::enter(&self.delayed_refusals);
        let delay =
            DELAY_PER_REFUSAL.saturating_mul(u32::try_from(delayed.at_entry).unwrap_or(u32::MAX));
        tokio::time::sleep(delay.clamp(REFUSAL_DELAY, LONGEST_REFUSAL_DELAY)).await;
    }

    /// Collects evidence on a blocking thread. The thread owns the turn, so the hardware is not used by two requests at a
    /// time even when the caller of the first has stopped waiting.
    async fn run(
        &self,
        hardware: Hardware,
        challenge: Challenge,
        turn: Turn,
    ) -> Result<HardwareEvidence, AttestationFailure> {
        let turns = Arc::clone(&self.turns);
        let work = tokio::task::spawn_blocking(move || {
            let began = Instant::now();
            let evidence = hardware.collect(&challenge);
            let took = began.elapsed();
            turns.note_duration(took);
            // Not before the duration is noted: the next request's estimate uses it.
            drop(turn);
            (evidence, took)
        });
        // If the caller stops waiting here, the thread continues and returns the turn itself.
        let (evidence, took) = work.await.map_err(|_| AttestationFailure::Worker)?;
        self.metrics.observe_attestation(took);
        evidence
    }
}

fn render(
    epoch: &Epoch,
    challenge: &Challenge,
    evidence: HardwareEvidence,
    log: &str,
    collateral: Option<&Collateral>,
) -> Bytes {
    let mut documents = BTreeMap::from([
        ("config".to_owned(), epoch.config_document.clone()),
        (
            "retention".to_owned(),
            epoch.retention.policy().published().text().to_owned(),
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
    let devices = evidence.devices.iter().map(UnverifiedDevice::to_evidence);
    let report = UnsignedReport {
        keyset: epoch.keyset.clone(),
        tee_type: evidence.cpu.tee_type(),
        report_data: challenge.report_data.digest_half(),
        provenance: epoch.config.provenance.clone(),
        evidence: EvidenceBundle {
            event_log: evidence.event_log.as_deref().map(to_base64),
            devices: devices.collect(),
            cpu: evidence.cpu,
            documents,
            collateral: collateral.cloned(),
        },
        serving: epoch.config.server.mode,
    };
    Bytes::from(report.sign(&epoch.signing_key).to_json())
}
