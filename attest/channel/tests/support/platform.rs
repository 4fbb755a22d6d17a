//! Attested services on the software platform, and the clock of these tests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::Request;

use super::server::{Answers, respond};
use attest_channel::{Clock, Trust};
use attest_collect::Attester;
use attest_core::{
    AttestationPolicy, EvidenceBundle, Keyset, Nonce, Serving, Sha256Digest, SigningKey,
    SourceProvenance, SpkiDigest, Statement, Subject, TeeType, TlsKeyEntry, UnixTime,
    UnsignedReport,
};
use testkit::policy::pinned_policy;
use testkit::{SoftwarePlatform, TdMeasurements};

const SEED: [u8; 32] = [0x5E; 32];
const START: u64 = 1_770_000_000;
const KEYSET_LIFETIME: u64 = 600;

/// A trust domain, its clock, and the trust that accepts it.
#[derive(Clone)]
pub struct Platform {
    domain: SoftwarePlatform,
    clock: Arc<SetClock>,
}

struct SetClock {
    now: AtomicU64,
    uptime: AtomicU64,
}

impl Clock for SetClock {
    fn now(&self) -> UnixTime {
        UnixTime::from_secs(self.now.load(Ordering::SeqCst))
    }

    fn uptime(&self) -> Duration {
        Duration::from_secs(self.uptime.load(Ordering::SeqCst))
    }
}

impl Platform {
    /// With the measurements that [`trust`](Self::trust) accepts.
    pub fn new() -> Self {
        Self::running("gateway")
    }

    /// On genuine hardware too, but of other measurements unless `name` is "gateway".
    pub fn running(name: &str) -> Self {
        let start = UnixTime::from_secs(START);
        Platform {
            domain: SoftwarePlatform::from_seed(&SEED, start).running(TdMeasurements::named(name)),
            clock: Arc::new(SetClock {
                now: AtomicU64::new(START),
                uptime: AtomicU64::new(0),
            }),
        }
    }

    pub fn trust(&self) -> Arc<Trust> {
        let policy = pinned_policy("gateway", &TdMeasurements::named("gateway"));
        Arc::new(Trust {
            roots: self.domain.roots(),
            policy: AttestationPolicy::parse(&policy).expect("a policy"),
            collateral: None,
        })
    }

    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock) as Arc<dyn Clock>
    }

    pub fn set_time(&self, now: UnixTime) {
        self.clock.now.store(now.secs(), Ordering::SeqCst);
    }

    /// Advances the boot clock only.
    pub fn pass(&self, time: Duration) {
        self.clock
            .uptime
            .fetch_add(time.as_secs(), Ordering::SeqCst);
    }

    /// The report of a service whose TLS key is `spki`, in answer to `nonce`.
    pub fn report(&self, nonce: Nonce, spki: SpkiDigest) -> String {
        let key = SigningKey::from_seed("receipts", spki.as_bytes()).expect("a key");
        let documents = BTreeMap::from([
            ("config".to_owned(), "mode = \"direct\"\n".to_owned()),
            ("retention".to_owned(), "mode = \"metadata\"\n".to_owned()),
        ]);
        let subject = Subject {
            config: Sha256Digest::hash(documents["config"].as_bytes()),
            retention: Sha256Digest::hash(documents["retention"].as_bytes()),
        };
        let keyset = Keyset {
            subject: Some(subject.to_string()),
            not_after: UnixTime::from_secs(self.clock.now().secs() + KEYSET_LIFETIME),
            receipt_signing_keys: vec![key.public_entry()],
            e2ee_public_keys: Vec::new(),
            tls_public_keys: vec![TlsKeyEntry {
                spki_sha256: spki,
                domain: None,
            }],
        };
        let report_data = Statement::challenged(keyset.digest(), nonce).report_data();
        let evidence = EvidenceBundle {
            cpu: self.domain.attest(&report_data).expect("a quote"),
            event_log: None,
            devices: Vec::new(),
            documents,
            collateral: Some(self.domain.collateral()),
        };
        let unsigned = UnsignedReport {
            keyset,
            tee_type: TeeType::Tdx,
            report_data: report_data.digest_half(),
            provenance: SourceProvenance {
                repo_url: None,
                repo_commit: None,
                image_digest: Some(format!("sha256:{}", "ab".repeat(32))),
            },
            evidence,
            serving: Serving::Direct,
        };
        unsigned.sign(&key).to_json()
    }

    /// A service that answers every other request with "hello".
    pub fn service(&self) -> Answers {
        self.in_front_of(Arc::new(|_, _| Box::pin(async { respond(200, "hello") })))
    }

    /// The same, whose reports take a while.
    pub fn slow_service(&self) -> Answers {
        let service = self.service();
        Arc::new(move |request, identity| {
            let reporting = request.uri().path() == "/v1/aci/attestation";
            let answer = service(request, identity);
            Box::pin(async move {
                if reporting {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                answer.await
            })
        })
    }

    /// Answers report requests itself and leaves everything else to `answers`.
    pub fn in_front_of(&self, answers: Answers) -> Answers {
        let platform = self.clone();
        Arc::new(move |request, identity| {
            if request.uri().path() != "/v1/aci/attestation" {
                return answers(request, identity);
            }
            let platform = platform.clone();
            let spki = identity.spki;
            Box::pin(async move { respond(200, platform.report(nonce_of(&request), spki)) })
        })
    }
}

/// The nonce a report request carries.
pub fn nonce_of<B>(request: &Request<B>) -> Nonce {
    request
        .uri()
        .query()
        .and_then(|query| query.strip_prefix("nonce="))
        .and_then(|query| query.strip_suffix("&collateral=1"))
        .and_then(|nonce| Nonce::parse(nonce).ok())
        .expect("a report request with nonce and collateral")
}
