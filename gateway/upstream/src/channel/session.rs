//! The record of one verification: the evidence of an upstream, and what it does and does not prove (ACI §8).
//!
//! Claims repeat the verdict and add nothing to it. What was not checked is `unknown`; under supplied roots no claim is
//! called proven by hardware, whatever the evidence contains.

use serde_json::{Map, Value, json};

use attest_core::tdx::{TcbStatus, TdxFacts};
use attest_core::{
    ChannelBinding, CheckId, Claim, ClaimSource, Claims, PROFILE_ID, RootOrigin, Session,
    SessionError, SessionEvidence, SessionRecord, TrustedPeer, Verdict, to_hex,
};

/// The verifier that made the session, with its version.
const VERIFIER_ID: &str = concat!("sealgate/", env!("CARGO_PKG_VERSION"));

/// The session for a peer. The same peer always gives the same document, hence the same id.
pub(super) fn from_peer(
    peer: &TrustedPeer,
    upstream_name: &str,
    origin: &str,
) -> Result<Session, SessionError> {
    let verdict = peer.verdict();
    Session::new(SessionRecord {
        upstream_name: upstream_name.to_owned(),
        endpoint: Some(origin.to_owned()),
        verifier_id: VERIFIER_ID.to_owned(),
        established_at: verdict.at(),
        expires_at: peer.expires_at(),
        identity: Some(json!({
            "workload_keyset_digest": peer.keyset_digest().to_string(),
            "subject": peer.subject().map(ToString::to_string),
        })),
        channel_binding: vec![ChannelBinding::TlsSpki {
            origin: origin.to_owned(),
            spki_sha256: peer.spki(),
        }],
        claims: claims(peer),
        evidence: SessionEvidence {
            content_type: "application/json".to_owned(),
            bytes: peer.report_bytes().to_vec(),
        },
    })
}

fn claims(peer: &TrustedPeer) -> Claims {
    let verdict = peer.verdict();
    let tdx = verdict.facts().tdx.as_ref();
    Claims {
        tee_attested: tee_attested(verdict),
        tcb_up_to_date: tcb_up_to_date(verdict, tdx),
        os_known_good: os_known_good(verdict),
        gpu_attested: gpu_attested(verdict),
        serving_software_known_good: Claim::Unknown,
        model_weights_provenance: Claim::Unknown,
        extra: extra(peer, tdx),
    }
}

/// A claim is proven by hardware only under the vendor's root.
fn source(verdict: &Verdict) -> ClaimSource {
    match verdict.root_origin() {
        RootOrigin::Vendor => ClaimSource::HardwareProven,
        RootOrigin::Supplied => ClaimSource::VerifierDerived,
    }
}

fn tee_attested(verdict: &Verdict) -> Claim {
    let roots = verdict.root_origin().in_words();
    Claim::Asserted {
        source: source(verdict),
        reason: Some(format!(
            "evidence verified, bound to this TLS key and to our nonce, {roots}"
        )),
    }
}

fn tcb_up_to_date(verdict: &Verdict, tdx: Option<&TdxFacts>) -> Claim {
    let Some(tcb) = tdx.and_then(|tdx| tdx.tcb.as_ref()) else {
        return Claim::Unknown;
    };
    let roots = verdict.root_origin().in_words();
    let (source, reason) = (
        source(verdict),
        Some(format!("the collateral says {}, {roots}", tcb.status)),
    );
    match tcb.status {
        TcbStatus::UpToDate => Claim::Asserted { source, reason },
        _ => Claim::Refuted { source, reason },
    }
}

/// NVIDIA devices signed our nonce under NVIDIA's root. That they are the ones this CPU uses follows from the measured
/// code that requested their evidence, not from the evidence.
fn gpu_attested(verdict: &Verdict) -> Claim {
    let checks = [
        CheckId::NvidiaChain,
        CheckId::NvidiaReportSignature,
        CheckId::NvidiaNonce,
    ];
    if !all_passed(verdict, &checks) {
        return Claim::Unknown;
    }
    let measured = match all_passed(verdict, &[CheckId::NvidiaMeasurements]) {
        true => "measurements equal NVIDIA's manifests",
        false => "measurements not appraised",
    };
    Claim::Asserted {
        source: source(verdict),
        reason: Some(format!(
            "{} devices, authentic, made for our nonce, {measured}, {}",
            verdict.facts().devices.len(),
            verdict.root_origin().in_words()
        )),
    }
}

/// The measurements that identify the image equal the policy's references: on TDX firmware, kernel and initial file
/// system, on SEV-SNP the launch digest.
fn os_known_good(verdict: &Verdict) -> Claim {
    let tdx = [CheckId::TdxMrtd, CheckId::TdxRtmr1, CheckId::TdxRtmr2];
    let compared = if all_passed(verdict, &tdx) {
        "MRTD, RTMR1 and RTMR2 equal"
    } else if all_passed(verdict, &[CheckId::TdxImage]) || all_passed(verdict, &[CheckId::SnpImage])
    {
        "the measurements together equal"
    } else if all_passed(verdict, &[CheckId::SnpMeasurement]) {
        "the launch digest equals"
    } else {
        return Claim::Unknown;
    };
    Claim::Asserted {
        source: ClaimSource::VerifierDerived,
        reason: Some(format!(
            "{compared} the references of policy \"{}\"",
            verdict.policy_name()
        )),
    }
}

fn all_passed(verdict: &Verdict, checks: &[CheckId]) -> bool {
    checks.iter().all(|id| verdict.passed(*id))
}

/// Facts beside the claims. These names are a contract: add, never rename (ACI §8.3).
fn extra(peer: &TrustedPeer, tdx: Option<&TdxFacts>) -> Map<String, Value> {
    let verdict = peer.verdict();
    let mut extra = Map::from_iter([
        // Needed to verify the report again.
        ("nonce".to_owned(), json!(peer.nonce().to_string())),
        ("profile".to_owned(), json!(PROFILE_ID)),
        ("roots".to_owned(), json!(verdict.root_origin().as_str())),
        ("policy_name".to_owned(), json!(verdict.policy_name())),
        (
            "policy_digest".to_owned(),
            json!(verdict.policy_digest().to_string()),
        ),
    ]);
    if let Some(report) = &verdict.facts().report {
        extra.insert("retention_mode".to_owned(), json!(report.retention_mode));
    }
    if let Some(tdx) = tdx {
        extra.insert("mrtd".to_owned(), json!(to_hex(&tdx.body.mrtd)));
        for (name, rtmr) in ["rtmr0", "rtmr1", "rtmr2", "rtmr3"]
            .into_iter()
            .zip(&tdx.body.rtmr)
        {
            extra.insert(name.to_owned(), json!(to_hex(rtmr)));
        }
        if let Some(tcb) = &tdx.tcb {
            extra.insert("tcb_status".to_owned(), json!(tcb.status.as_str()));
            extra.insert("advisory_ids".to_owned(), json!(tcb.advisories));
        }
    }
    extra
}
