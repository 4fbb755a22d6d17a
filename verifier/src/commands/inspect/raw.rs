//! Decodes input that is not a JSON object: evidence, certificates, lists, manifests, logs and policies.

use serde_json::{Value, json};

use super::{Decoded, facts};
use crate::evidence_input::EvidenceInput;
use attest_core::event_log::EventLog;
use attest_core::nvidia::{DeviceKind, Rim, SpdmEvidence, UnverifiedDevice};
use attest_core::snp::{CertTable, VekClaims};
use attest_core::x509::{CertificateSummary, RevocationListSummary};
use attest_core::{AttestationPolicy, CpuEvidence, to_hex};

/// Decodes one kind of input; `None` if it is another kind.
type Read = fn(&[u8]) -> Option<Decoded>;

/// Decodes the bytes as the first kind that fits.
pub(super) fn decode(bytes: Vec<u8>) -> Option<Decoded> {
    let read: [Read; 11] = [
        quote,
        enclave_quote,
        snp_report,
        device,
        certificates,
        revocation_list,
        ocsp_response,
        manifest,
        event_log,
        policy,
        certificate_table,
    ];
    let mut decoded = read.iter().find_map(|read| read(&bytes))?;
    decoded.derived["bytes"] = bytes.len().into();
    Some(decoded)
}

fn decoded(kind: &'static str, content: Value) -> Decoded {
    Decoded {
        kind,
        derived: json!({}),
        content,
    }
}

/// Everything that can be decoded from a machine's evidence.
pub(super) fn evidence_facts(presented: &EvidenceInput) -> Option<Value> {
    let facts = facts(|appraiser| appraiser.machine(&presented.machine()).to_json()).ok()?;
    let parts = ["tdx", "snp", "devices", "event_log"];
    let there = parts.map(|part| (part, facts[part].clone()));
    let mut content = json!({});
    for (part, value) in there {
        let is_empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
        if !is_empty {
            content[part] = value;
        }
    }
    (content != json!({})).then_some(content)
}

fn cpu(cpu: CpuEvidence, part: &str) -> Option<Value> {
    let presented = EvidenceInput {
        cpu: Some(cpu),
        ..EvidenceInput::default()
    };
    Some(evidence_facts(&presented)?[part].take()).filter(|facts| !facts.is_null())
}

fn quote(bytes: &[u8]) -> Option<Decoded> {
    let quote = bytes.to_vec();
    cpu(CpuEvidence::Tdx { quote }, "tdx").map(|facts| decoded("raw TDX quote", facts))
}

/// A quote of an SGX enclave, recognised by its header; this program does not verify those.
fn enclave_quote(bytes: &[u8]) -> Option<Decoded> {
    const INTEL: [u8; 16] = 0x939a7233_f79c_4ca9_940a_0db3957f0607_u128.to_be_bytes();
    let version = u16::from_le_bytes(*bytes.first_chunk()?);
    let is_one =
        (3..=5).contains(&version) && bytes.get(4..8)? == [0; 4] && bytes.get(12..28)? == INTEL;
    let content = json!({ "version": version, "tee_type": "SGX" });
    is_one.then(|| {
        decoded(
            "quote of an SGX enclave, which this program does not verify",
            content,
        )
    })
}

fn snp_report(bytes: &[u8]) -> Option<Decoded> {
    let evidence = CpuEvidence::SevSnp {
        report: bytes.to_vec(),
        certs: Vec::new(),
    };
    cpu(evidence, "snp").map(|facts| decoded("raw SEV-SNP report", facts))
}

fn device(bytes: &[u8]) -> Option<Decoded> {
    SpdmEvidence::parse_prefix(bytes).ok()?;
    let presented = EvidenceInput {
        devices: vec![UnverifiedDevice {
            kind: DeviceKind::Gpu,
            evidence: bytes.to_vec(),
            certificate_chain: Vec::new(),
        }],
        ..EvidenceInput::default()
    };
    let report = evidence_facts(&presented)?["devices"][0]["report"].take();
    Some(decoded("evidence of an NVIDIA device", report))
}

fn certificates(bytes: &[u8]) -> Option<Decoded> {
    let found = match CertificateSummary::read(bytes) {
        Some(one) => vec![one],
        None => CertificateSummary::read_pem(bytes)?,
    };
    let written = found.iter().map(certificate).collect::<Vec<_>>();
    Some(decoded("certificates", json!({ "certificates": written })))
}

fn certificate(it: &CertificateSummary) -> Value {
    json!({
        "subject": it.subject,
        "issuer": it.issuer,
        "serial": it.serial,
        "not_before": it.not_before.to_string(),
        "not_after": it.not_after.to_string(),
    })
}

fn revocation_list(bytes: &[u8]) -> Option<Decoded> {
    let list = RevocationListSummary::read(bytes)?;
    let content = json!({
        "issuer": list.issuer,
        "issued": list.issued.to_string(),
        "next": list.next.map(|at| at.to_string()),
        "revoked": list.revoked,
    });
    Some(decoded("certificate revocation list", content))
}

/// SEQUENCE { ENUMERATED responseStatus, … } (RFC 6960 §4.2.1).
fn ocsp_response(bytes: &[u8]) -> Option<Decoded> {
    let (head, content) = match bytes {
        [0x30, length, rest @ ..] if *length < 0x80 => (usize::from(*length), rest),
        [0x30, 0x81, length, rest @ ..] => (usize::from(*length), rest),
        [0x30, 0x82, high, low, rest @ ..] => {
            (usize::from(u16::from_be_bytes([*high, *low])), rest)
        }
        _ => return None,
    };
    match content {
        [0x0a, 1, status, ..] if content.len() == head => {
            let content = json!({ "response_status": status });
            Some(decoded("OCSP response", content))
        }
        _ => None,
    }
}

fn manifest(bytes: &[u8]) -> Option<Decoded> {
    let rim = Rim::from_bytes(bytes).ok()?;
    let version = rim.claimed_version()?;
    let signers = rim.claimed_signers();
    let signers = signers
        .iter()
        .filter_map(|der| CertificateSummary::read(der));
    let content = json!({
        "version": version,
        "signers": signers.map(|it| certificate(&it)).collect::<Vec<_>>(),
    });
    Some(decoded("NVIDIA's reference integrity manifest", content))
}

fn event_log(bytes: &[u8]) -> Option<Decoded> {
    let log = EventLog::parse(bytes).ok()?;
    let events = log.claimed_events().iter().map(|event| {
        json!({
            "register": event.register().map(|it| it.to_string()),
            "name": event.name(),
            "type": event.claimed_type().to_string(),
            "digest": to_hex(event.digest()),
        })
    });
    let events: Vec<Value> = events.collect();
    if events.is_empty() {
        return None;
    }
    Some(decoded("event log", json!({ "events": events })))
}

fn policy(bytes: &[u8]) -> Option<Decoded> {
    let text = std::str::from_utf8(bytes).ok()?;
    let policy = AttestationPolicy::parse(text).ok()?;
    let content = json!({ "name": policy.name(), "digest": policy.digest().to_string() });
    Some(decoded(
        "attestation policy (`policy check` says what it demands)",
        content,
    ))
}

fn certificate_table(bytes: &[u8]) -> Option<Decoded> {
    let table = CertTable::parse(bytes).ok()?;
    if table == CertTable::default() {
        return None;
    }
    let entries = [
        ("vcek", &table.vcek),
        ("vlek", &table.vlek),
        ("ask", &table.ask),
        ("ark", &table.ark),
    ];
    let mut content = json!({});
    for (name, der) in entries {
        if let Some(der) = der {
            content[name] =
                CertificateSummary::read(der).map_or(Value::Null, |it| certificate(&it));
            if let Ok(claims) = VekClaims::parse(der) {
                content[name]["product"] = claims.product.as_str().into();
            }
        }
    }
    if let Some(list) = &table.crl {
        content["crl"] = json!({ "bytes": list.len() });
    }
    Some(decoded("certificate table of an SEV-SNP host", content))
}
