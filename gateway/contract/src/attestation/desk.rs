//! Where questions queue for the hardware.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use attest_core::nvidia::UnverifiedDevice;
use attest_core::{Collateral, EvidenceBundle, Nonce, UnsignedReport, to_base64};
use bytes::Bytes;
use prometheus_client::metrics::gauge::Gauge;

use super::Question;
use super::collateral::CollateralCache;
use super::fair_queue::{Bounds, Host};
use super::known_addresses::KnownAddresses;
use super::report_queue::{Lane, ReportQueue, Turn};
use crate::epoch::Epoch;
use crate::evidence::{Challenge, Collected, Hardware};
use crate::platform::{Platform, Presented};
use gateway_base::errors::ApiError;
use gateway_base::events::{self, AttestationFailure, Event};
use gateway_base::metrics::Metrics;
use gateway_base::request::KeyId;
use harden as hardening;

/// For one report, not counting the wait for a turn. Hardware that takes longer goes on by itself, and is not asked
/// meanwhile.
const PATIENCE: Duration = Duration::from_secs(90);

/// Refusals of callers without a key are sent this much later, and later the more of them wait to be sent: a flood of
/// callers that ask again at once, whatever they are answered, costs some 200 answers a second and not all there is.
const REFUSAL_DELAY: Duration = Duration::from_secs(1);
const DELAY_PER_REFUSAL: Duration = Duration::from_millis(5);
const LONGEST_REFUSAL_DELAY: Duration = Duration::from_secs(5);

/// Who asks for a report, as far as it matters for its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requester {
    /// The address at the other end of the connection.
    pub address: Option<IpAddr>,
    /// The id of the valid API key that came with the request, if one did.
    pub key: Option<KeyId>,
}

pub struct Desk {
    hardware: Option<Hardware>,
    platform: Arc<dyn Platform>,
    metrics: Arc<Metrics>,
    queue: Arc<ReportQueue>,
    known: KnownAddresses,
    refusals_waiting: AtomicUsize,
    collateral: CollateralCache,
}

/// A refusal that waits to be sent, counted.
struct Waiting<'a> {
    count: &'a AtomicUsize,
    at_entry: usize,
}

impl<'a> Waiting<'a> {
    fn enter(count: &'a AtomicUsize) -> Self {
        let at_entry = count.fetch_add(1, Ordering::Relaxed);
        Waiting { count, at_entry }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The service's own report, once in an epoch, always has a place.
const OWN: Bounds = Bounds {
    total: usize::MAX,
    per_host: usize::MAX,
};

/// A request in work or waiting, counted.
struct Place<'a>(&'a Gauge);

impl<'a> Place<'a> {
    fn take(gauge: &'a Gauge) -> Self {
        gauge.inc();
        Place(gauge)
    }
}

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
            queue: ReportQueue::new(Arc::clone(&metrics)),
            metrics,
            known: KnownAddresses::default(),
            refusals_waiting: AtomicUsize::new(0),
            collateral: CollateralCache::default(),
        }
    }

    /// Notes that a valid API key was used from this address.
    pub fn note_authenticated(&self, address: Option<IpAddr>) {
        if address.is_some() {
            self.known.note(Host::from_address(address));
        }
    }

    /// The report that answers a question about this epoch, as JSON.
    pub async fn report(
        &self,
        epoch: &Epoch,
        question: Question,
        requester: Requester,
    ) -> Result<Bytes, ApiError> {
        let hardware = self.hardware.as_ref().ok_or(ApiError::NoReport)?;
        match question.nonce {
            Some(nonce) => {
                self.challenged(hardware, epoch, nonce, question.collateral, requester)
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
        requester: Requester,
    ) -> Result<Bytes, ApiError> {
        let limits = &epoch.config.limits;
        let bounds = Bounds {
            total: limits.attest_queue,
            per_host: limits.attest_queue_per_address,
        };
        let (lane, host) = self.place_of(requester);
        let challenge = Challenge::new(epoch.keyset_digest, Some(nonce));
        let collected = self.ask(hardware, challenge, lane, host, bounds).await?;
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
            .get_or_try_init(|| self.ask(hardware, challenge, Lane::Known, Host::Unknown, OWN))
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

    /// Which lane a request waits in, and whose share it takes there.
    fn place_of(&self, requester: Requester) -> (Lane, Host) {
        let host = Host::from_address(requester.address);
        match requester.key {
            Some(key) => (Lane::Known, Host::Key(key.to_bytes())),
            None if self.known.contains(host) => (Lane::Known, host),
            None => (Lane::Unknown, host),
        }
    }

    /// Has the hardware sign. It is asked once at a time even when whoever asked has gone.
    async fn ask(
        &self,
        hardware: &Hardware,
        challenge: Challenge,
        lane: Lane,
        host: Host,
        bounds: Bounds,
    ) -> Result<Collected, ApiError> {
        let in_work_or_waiting = Place::take(&self.metrics.attestation_queue);
        let turn = match self.queue.turn(lane, host, bounds).await {
            Ok(turn) => turn,
            Err(busy) => {
                drop(in_work_or_waiting);
                if lane == Lane::Unknown {
                    self.delay_refusal().await;
                }
                let retry_after = busy.retry_after;
                return Err(ApiError::AttestationBusy { retry_after });
            }
        };
        let asked = tokio::time::timeout(PATIENCE, self.show(hardware.clone(), challenge, turn));
        asked
            .await
            .unwrap_or(Err(AttestationFailure::Late))
            .map_err(|failure| {
                events::emit(Event::AttestationFailed { failure });
                ApiError::AttestationFailed
            })
    }

    async fn delay_refusal(&self) {
        let waiting = Waiting::enter(&self.refusals_waiting);
        let delay =
            DELAY_PER_REFUSAL.saturating_mul(u32::try_from(waiting.at_entry).unwrap_or(u32::MAX));
        tokio::time::sleep(delay.clamp(REFUSAL_DELAY, LONGEST_REFUSAL_DELAY)).await;
    }

    /// The turn goes with the work, which goes on when its caller does not wait for it.
    async fn show(
        &self,
        hardware: Hardware,
        challenge: Challenge,
        turn: Turn,
    ) -> Result<Collected, AttestationFailure> {
        let queue = Arc::clone(&self.queue);
        let work = tokio::task::spawn_blocking(move || {
            let began = Instant::now();
            let collected = hardware.show(&challenge);
            let took = began.elapsed();
            queue.note_duration(took);
            drop(turn);
            (collected, took)
        });
        let (collected, took) = work.await.map_err(|_| AttestationFailure::Worker)?;
        self.metrics.observe_attestation(took);
        collected
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
