//! Whole reports of the software platform: accepted as they are, and rejected by the right check when one part is
//! changed.

mod binding;
mod contract;
mod evidence;
mod log;
mod retention;
mod trust;

use std::collections::BTreeMap;
use std::time::Duration;

use attest_core::{
    Appraisal, Appraiser, AttestationPolicy, Channel, Collateral, CpuEvidence, Decision,
    DeviceEvidence, EvidenceBundle, Freshness, Keyset, Nonce, Serving, Sha256Digest, SigningKey,
    SourceProvenance, SpkiDigest, Statement, Subject, TeeType, TlsKeyEntry, UnixTime,
    UnsignedReport,
};
use vendors::policy::pinned_policy;
use vendors::{TdMeasurements, Vendors};

const NOW: UnixTime = UnixTime::from_secs(1_790_000_000);
const CONFIG: &str = "listen = \"somewhere\"\n";
const RETENTION: &str = "version = 1\nmode = \"metadata\"\n";

fn platform() -> Vendors {
    Vendors::from_seed(&[5; 32], NOW)
}

fn signing_key() -> SigningKey {
    SigningKey::from_seed("receipt-1", &[2; 32]).expect("a key")
}

fn spki() -> SpkiDigest {
    SpkiDigest::from_bytes([4; 32])
}

fn nonce() -> Nonce {
    Nonce::from_bytes([6; 32])
}

fn keyset() -> Keyset {
    let subject = Subject {
        config: Sha256Digest::hash(CONFIG.as_bytes()),
        retention: Sha256Digest::hash(RETENTION.as_bytes()),
    };
    Keyset {
        subject: Some(subject.to_string()),
        not_after: NOW.plus(Duration::from_secs(86_400)),
        receipt_signing_keys: vec![signing_key().public_entry()],
        e2ee_public_keys: vec![],
        tls_public_keys: vec![TlsKeyEntry {
            spki_sha256: spki(),
            domain: None,
        }],
    }
}

/// What a report is made of. Tests bend one of these.
struct Made {
    keyset: Keyset,
    /// What the hardware is asked to sign; the statement over keyset and nonce if nothing else.
    statement: Option<Statement>,
    documents: BTreeMap<String, String>,
    provenance: SourceProvenance,
    devices: Vec<DeviceEvidence>,
    collateral: Option<Collateral>,
    key: SigningKey,
}

fn made() -> Made {
    Made {
        keyset: keyset(),
        statement: None,
        documents: [("config", CONFIG), ("retention", RETENTION)]
            .map(|(name, text)| (name.to_owned(), text.to_owned()))
            .into(),
        provenance: SourceProvenance::default(),
        devices: vec![],
        collateral: Some(platform().collateral()),
        key: signing_key(),
    }
}

impl Made {
    fn unsigned(self) -> (UnsignedReport, SigningKey) {
        let statement = self
            .statement
            .unwrap_or_else(|| Statement::challenged(self.keyset.digest(), nonce()));
        let report_data = statement.report_data();
        let report = UnsignedReport {
            keyset: self.keyset,
            tee_type: TeeType::Tdx,
            report_data: report_data.digest_half(),
            provenance: self.provenance,
            evidence: EvidenceBundle {
                cpu: CpuEvidence::Tdx {
                    quote: platform().quote(&TdMeasurements::named("enclave"), &report_data),
                },
                event_log: None,
                devices: self.devices,
                documents: self.documents,
                collateral: self.collateral,
            },
            serving: Serving::Direct,
        };
        (report, self.key)
    }

    fn sign(self) -> String {
        let (report, key) = self.unsigned();
        report.sign(&key).to_json()
    }
}

fn policy(more: &str) -> AttestationPolicy {
    let text = pinned_policy("enclave", &TdMeasurements::named("enclave")) + more;
    AttestationPolicy::parse(&text).expect("a policy")
}

fn tls() -> Channel<'static> {
    Channel::Tls {
        spki: spki(),
        host: "localhost",
    }
}

fn judge_under(report: &str, policy: &AttestationPolicy, at: UnixTime) -> Appraisal {
    Appraiser {
        roots: &platform().roots(),
        policy,
        collateral: None,
        now: at,
    }
    .report(report.as_bytes(), Freshness::Challenged(nonce()), tls())
}

fn judge(report: &str) -> Appraisal {
    judge_under(report, &policy(""), NOW)
}

fn failures(appraisal: &Appraisal) -> Vec<&'static str> {
    appraisal
        .verdict()
        .failures()
        .map(|(id, _)| id.as_str())
        .collect()
}

#[track_caller]
fn refused_by(appraisal: Appraisal, checks: &[&str]) {
    assert_eq!(failures(&appraisal), checks, "{}", appraisal.verdict());
    assert_eq!(appraisal.verdict().decision(), Decision::Rejected);
    assert!(appraisal.trusted().is_err());
}
