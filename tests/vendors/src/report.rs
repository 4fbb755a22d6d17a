//! Reports of whole machines (ACI/1 with the profile's evidence), signed by a key of their keyset.

use std::collections::BTreeMap;
use std::time::Duration;

use ring::signature::Ed25519KeyPair;
use serde_json::Value;

use crate::nvidia::node::{Member, Node};
use attest_core::json::canonicalize;
use attest_core::nvidia::{DeviceKind, UnverifiedDevice};
use attest_core::{
    Collateral, CpuEvidence, DeviceEvidence, EvidenceBundle, Keyset, Nonce, ReportData, Serving,
    Sha256Digest, SigningKey, SourceProvenance, SpkiDigest, Statement, TlsKeyEntry, UnixTime,
    UnsignedReport, gpu_nonce, to_base64, to_hex,
};

const KEY_SEED: u8 = 2;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed("receipt-1", &[seed; 32]).expect("a key")
}

/// Everything of a report but the CPU's evidence. Every part may be bent.
#[derive(Clone)]
pub struct ReportParts {
    pub nonce: Nonce,
    pub keyset: Keyset,
    /// What the key follows from that signs receipts and this report.
    pub key_seed: u8,
    /// The log, in either format.
    pub event_log: Option<Vec<u8>>,
    pub devices: Vec<DeviceEvidence>,
    pub documents: BTreeMap<String, String>,
    pub collateral: Option<Collateral>,
}

impl ReportParts {
    /// A report that answers `nonce`, of a service behind the key `spki`, good for a day.
    pub fn answering(nonce: [u8; 32], spki: [u8; 32], now: UnixTime) -> Self {
        Self {
            nonce: Nonce::from_bytes(nonce),
            keyset: Keyset {
                subject: None,
                not_after: now.plus(Duration::from_secs(86_400)),
                receipt_signing_keys: vec![key(KEY_SEED).public_entry()],
                e2ee_public_keys: vec![],
                tls_public_keys: vec![TlsKeyEntry {
                    spki_sha256: SpkiDigest::from_bytes(spki),
                    domain: None,
                }],
            },
            key_seed: KEY_SEED,
            event_log: None,
            devices: vec![],
            documents: BTreeMap::new(),
            collateral: None,
        }
    }

    pub fn key(&self) -> SigningKey {
        key(self.key_seed)
    }

    /// What hardware has to sign.
    pub fn report_data(&self) -> ReportData {
        Statement::challenged(self.keyset.digest(), self.nonce).report_data()
    }

    /// What devices have to answer.
    pub fn gpu_nonce(&self) -> [u8; 32] {
        gpu_nonce(&self.nonce, &self.keyset.digest())
    }

    /// The report about `cpu`, as it is served.
    pub fn signed(self, cpu: CpuEvidence) -> String {
        let key = self.key();
        UnsignedReport {
            report_data: self.report_data().digest_half(),
            keyset: self.keyset,
            tee_type: cpu.tee_type(),
            provenance: SourceProvenance::default(),
            evidence: EvidenceBundle {
                cpu,
                event_log: self.event_log.map(|log| to_base64(&log)),
                devices: self.devices,
                documents: self.documents,
                collateral: self.collateral,
            },
            serving: Serving::Direct,
        }
        .sign(&key)
        .to_json()
    }
}

/// A device as a report carries it.
pub fn presented(kind: DeviceKind, evidence: &[u8], chain_pem: &[u8]) -> DeviceEvidence {
    UnverifiedDevice {
        kind,
        evidence: evidence.to_vec(),
        certificate_chain: chain_pem.to_vec(),
    }
    .to_evidence()
}

/// All devices of a node: GPUs, then switches.
pub fn of_node(node: &Node) -> Vec<DeviceEvidence> {
    let all = |kind| move |member: &Member| presented(kind, &member.evidence, &member.chain_pem);
    let gpus = node.gpus.iter().map(all(DeviceKind::Gpu));
    gpus.chain(node.switches.iter().map(all(DeviceKind::Switch)))
        .collect()
}

/// `report` stating another keyset digest than that of the keyset it carries, signed again by the
/// key of [`ReportParts::answering`]: all but the digest is in order.
pub fn with_keyset_digest(report: &str, digest: [u8; 32]) -> String {
    let mut document: Value = serde_json::from_str(report).expect("a report is JSON");
    let members = document.as_object_mut().expect("an object");
    let key_id = members.remove("key_id").expect("a signed report");
    members.remove("signature");
    let stated = Sha256Digest::from_bytes(digest).to_string();
    members.insert("workload_keyset_digest".into(), stated.into());
    let unsigned = canonicalize(&Value::Object(members.clone())).expect("integers and texts");
    let key = Ed25519KeyPair::from_seed_unchecked(&[KEY_SEED; 32]).expect("a seed");
    let message = [&b"sealgate/report/v1\0"[..], &unsigned].concat();
    members.insert("key_id".into(), key_id);
    members.insert(
        "signature".into(),
        to_hex(key.sign(&message).as_ref()).into(),
    );
    document.to_string()
}
