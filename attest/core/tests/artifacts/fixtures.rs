//! A keyset, a report and a receipt, small enough to flip every bit of.

use attest_core::{
    CpuEvidence, Event, EvidenceBundle, Keyset, Receipt, ReceiptBody, Report, Serving, SessionId,
    Sha256Digest, SigningKey, SourceProvenance, SpkiDigest, TeeType, TlsKeyEntry, UnixTime,
    UnsignedReport,
};

pub fn key() -> SigningKey {
    SigningKey::from_seed("r-1", &[3; 32]).expect("a well-formed key id")
}

pub fn keyset() -> Keyset {
    Keyset {
        subject: None,
        not_after: UnixTime::from_secs(1_790_000_000),
        receipt_signing_keys: vec![key().public_entry()],
        e2ee_public_keys: vec![],
        tls_public_keys: vec![TlsKeyEntry {
            spki_sha256: SpkiDigest::from_bytes([0xc0; 32]),
            domain: None,
        }],
    }
}

pub fn unsigned_report() -> UnsignedReport {
    UnsignedReport {
        keyset: keyset(),
        tee_type: TeeType::Tdx,
        report_data: [7; 32],
        provenance: SourceProvenance::default(),
        evidence: EvidenceBundle {
            cpu: CpuEvidence::Tdx {
                quote: b"not a quote".to_vec(),
            },
            event_log: None,
            devices: vec![],
            documents: Default::default(),
            collateral: None,
        },
        serving: Serving::Direct,
    }
}

pub fn report() -> Report {
    unsigned_report().sign(&key())
}

pub fn receipt_body() -> ReceiptBody {
    ReceiptBody {
        receipt_id: "rcpt-1".into(),
        chat_id: None,
        model: Some("m".into()),
        keyset_digest: keyset().digest(),
        endpoint: "/v1/chat/completions".into(),
        method: "POST".into(),
        served_at: UnixTime::from_secs(1_780_000_000),
        events: vec![
            Event::RequestReceived {
                body_hash: Sha256Digest::hash(b"request"),
            },
            Event::UpstreamVerified {
                required: true,
                model_id: "m".into(),
                session_id: SessionId::from_bytes([9; 32]),
            },
            Event::ResponseReturned {
                body_hash: Sha256Digest::hash(b"response"),
            },
        ],
    }
}

pub fn receipt() -> Receipt {
    receipt_body().sign(&key())
}
