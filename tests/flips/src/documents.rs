//! Signed JSON: reports and receipts, flipped in every character as served.

use std::collections::BTreeMap;
use std::time::Duration;

use attest_core::{
    Appraiser, AttestationPolicy, Channel, Collateral, CpuEvidence, Decision, Event,
    EvidenceBundle, Freshness, Keyset, Nonce, Receipt, ReceiptBody, Roots, Serving, Sha256Digest,
    SigningKey, SourceProvenance, SpkiDigest, Statement, TeeType, TlsKeyEntry, UnsignedReport,
};
use vendors::policy::pinned_policy;
use vendors::{TdMeasurements, Vendors};

use crate::{NOW, SEED, Subject};

const SPKI: [u8; 32] = [4; 32];

fn key() -> SigningKey {
    SigningKey::from_seed("receipt-1", &[2; 32]).expect("a key")
}

fn keyset() -> Keyset {
    Keyset {
        subject: None,
        not_after: NOW.plus(Duration::from_secs(86_400)),
        receipt_signing_keys: vec![key().public_entry()],
        e2ee_public_keys: vec![],
        tls_public_keys: vec![TlsKeyEntry {
            spki_sha256: SpkiDigest::from_bytes(SPKI),
            domain: None,
        }],
    }
}

fn nonce() -> Nonce {
    Nonce::from_bytes([6; 32])
}

fn report(platform: &Vendors, td: &TdMeasurements) -> String {
    let data = Statement::challenged(keyset().digest(), nonce()).report_data();
    UnsignedReport {
        keyset: keyset(),
        tee_type: TeeType::Tdx,
        report_data: data.digest_half(),
        provenance: SourceProvenance::default(),
        evidence: EvidenceBundle {
            cpu: CpuEvidence::Tdx {
                quote: platform.quote(td, &data),
            },
            event_log: None,
            devices: vec![],
            documents: BTreeMap::new(),
            collateral: None,
        },
        serving: Serving::Direct,
    }
    .sign(&key())
    .to_json()
}

fn judged(
    report: &[u8],
    roots: &Roots,
    policy: &AttestationPolicy,
    collateral: &Collateral,
) -> bool {
    Appraiser {
        roots,
        policy,
        collateral: Some(collateral),
        now: NOW,
    }
    .report(
        report,
        Freshness::Challenged(nonce()),
        Channel::Tls {
            spki: SpkiDigest::from_bytes(SPKI),
            host: "localhost",
        },
    )
    .verdict()
    .decision()
        == Decision::Accepted
}

fn receipt() -> String {
    ReceiptBody {
        receipt_id: "rcpt-1".into(),
        chat_id: None,
        model: Some("demo-model".into()),
        keyset_digest: keyset().digest(),
        endpoint: "/v1/chat/completions".into(),
        method: "POST".into(),
        served_at: NOW,
        events: vec![
            Event::RequestReceived {
                body_hash: Sha256Digest::hash(b"request"),
            },
            Event::RequestForwarded {
                body_hash: Sha256Digest::hash(b"forwarded"),
            },
            Event::ResponseReturned {
                body_hash: Sha256Digest::hash(b"response"),
            },
        ],
    }
    .sign(&key())
    .to_json()
}

pub fn subjects() -> Vec<Subject> {
    let td = TdMeasurements::named("flips");
    let platform = Vendors::from_seed(&SEED, NOW);
    let (roots, collateral) = (platform.roots(), platform.collateral());
    let policy = AttestationPolicy::parse(&pinned_policy("flips", &td)).expect("a policy");
    let report = report(&platform, &td).into_bytes();
    let keyset = keyset();
    vec![
        Subject::new("ACI report", "as served", report, move |bytes| {
            judged(bytes, &roots, &policy, &collateral)
        }),
        Subject::new("ACI receipt", "as served", receipt().into(), move |bytes| {
            Receipt::parse(bytes).is_ok_and(|receipt| receipt.verify(&keyset).is_ok())
        }),
    ]
}
