//! Parses a report (ACI/1 §4). Its signature and its evidence are verified elsewhere.

use serde_json::Value;

use super::{MAX_REPORT_BYTES, Report, ReportError, ReportSignature, Serving, SourceProvenance};
use crate::{
    aci::{DocumentError, EvidenceBundle, Keyset, TeeType, document::Members},
    json,
};

pub(super) fn report(bytes: &[u8]) -> Result<Report, ReportError> {
    let value = json::parse(bytes, MAX_REPORT_BYTES).map_err(DocumentError::from)?;
    from_value(value)
}

pub(super) fn from_value(mut value: Value) -> Result<Report, ReportError> {
    let json = canonical_text(&value)?;
    let signature = signature(&Members::new(&value, "")?)?;
    if let Value::Object(members) = &mut value {
        members.remove("key_id");
        members.remove("signature");
    }
    let unsigned_jcs = json::canonicalize(&value).map_err(DocumentError::from)?;

    let document = Members::new(&value, "")?;
    document.version()?;
    let attestation = document.object("attestation", "attestation")?;
    let tee_type = TeeType::parse(attestation.string("tee_type")?)?;
    let keyset = Keyset::from_value(
        attestation.required("workload_keyset")?,
        "attestation.workload_keyset",
    )
    .map_err(ReportError::Keyset)?;
    let evidence = attestation.object("evidence", "attestation.evidence")?;
    let evidence = EvidenceBundle::from_members(&evidence)?;
    if evidence.cpu.tee_type() != tee_type {
        return Err(ReportError::TeeMismatch {
            claimed: tee_type,
            found: evidence.cpu.tee_type(),
        });
    }
    let capabilities = document.object("service_capabilities", "service_capabilities")?;
    Ok(Report {
        claimed_keyset_digest: document.digest("workload_keyset_digest")?,
        tee_type,
        keyset_digest: keyset.digest(),
        keyset,
        report_data: attestation.hex("report_data")?,
        provenance: provenance(&attestation)?,
        evidence,
        serving: serving(&capabilities)?,
        supported_e2ee_versions: capabilities.strings("supported_e2ee_versions")?,
        signature,
        unsigned_jcs,
        json,
    })
}

fn canonical_text(value: &Value) -> Result<String, DocumentError> {
    let bytes = json::canonicalize(value)?;
    Ok(String::from_utf8(bytes).expect("canonical JSON of strings is UTF-8"))
}

/// Both members or neither: half a signature is a malformed report, not an unsigned one.
fn signature(document: &Members<'_>) -> Result<Option<ReportSignature>, DocumentError> {
    if document.get("key_id").is_none() && document.get("signature").is_none() {
        return Ok(None);
    }
    Ok(Some(ReportSignature {
        key_id: document.non_empty_string("key_id")?.to_owned(),
        bytes: document.hex("signature")?,
    }))
}

/// The field may be absent on development deployments, and each of its members is `null` when unknown.
fn provenance(attestation: &Members<'_>) -> Result<SourceProvenance, DocumentError> {
    if matches!(
        attestation.get("source_provenance"),
        None | Some(Value::Null)
    ) {
        return Ok(SourceProvenance::default());
    }
    let claims = attestation.object("source_provenance", "attestation.source_provenance")?;
    Ok(SourceProvenance {
        repo_url: claims.optional_string("repo_url")?,
        repo_commit: claims.optional_string("repo_commit")?,
        image_digest: claims.optional_string("image_digest")?,
    })
}

fn serving(capabilities: &Members<'_>) -> Result<Serving, DocumentError> {
    Ok(match capabilities.string("serving")? {
        "direct" => Serving::Direct,
        _ => Serving::Aggregator,
    })
}
