//! `inspect`: decodes bytes. Nothing is verified here, and the output says so.

mod raw;
mod retention;

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use crate::conclusion::print;
use crate::evidence_input::EvidenceDocument;
use crate::failure::{Failure, exit};
use crate::inputs;
use crate::render;
use crate::trust_inputs;
use attest_core::{
    Appraiser, AttestationPolicy, Channel, Collateral, Freshness, Keyset, Receipt, Report, Roots,
    Session, TdxCollateral, UnixTime,
};
use retention::OpeningArgs;

const NOTICE: &str = "NOTHING WAS VERIFIED. This is what the bytes say, not what is true.";

#[derive(Debug, Args)]
pub struct InspectArgs {
    /// Any file that a command reads: a report, receipt, session, keyset, evidence of a CPU or a device, event log, certificates, collateral or policy; "-" reads standard input
    pub file: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub opening: OpeningArgs,
}

pub fn run(args: &InspectArgs) -> Result<u8, Failure> {
    let bytes = inputs::read(&args.file, inputs::MAX_EVIDENCE)?;
    let name = args.file.display().to_string();
    let decoded = decode(bytes, &name, &args.opening)?;
    if args.json {
        print(&render::pretty(&json!({
            "verified": false, "notice": NOTICE, "kind": decoded.kind,
            "derived": decoded.derived, "content": decoded.content,
        })));
    } else {
        print(&text(&name, &decoded));
    }
    Ok(exit::ACCEPTED)
}

struct Decoded {
    kind: &'static str,
    /// Computed from the bytes: digests, ids.
    derived: Value,
    content: Value,
}

fn text(name: &str, decoded: &Decoded) -> String {
    let mut out = format!("{}: {}\n{NOTICE}\n", render::printable(name), decoded.kind);
    for part in [&decoded.derived, &decoded.content] {
        if part.as_object().is_some_and(serde_json::Map::is_empty) {
            continue;
        }
        let lines = render::flat_lines(part);
        let width = lines
            .iter()
            .map(|(path, _)| path.chars().count())
            .max()
            .unwrap_or(0)
            .min(48);
        out.push('\n');
        for (path, value) in lines {
            out.push_str(&format!("  {path:<width$}  {value}\n"));
        }
    }
    out
}

fn decode(bytes: Vec<u8>, name: &str, opening: &OpeningArgs) -> Result<Decoded, Failure> {
    let start = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    let decoded = match start {
        Some(b'{') => document(&bytes, name, opening)?,
        _ => raw(bytes, name)?,
    };
    if opening.are_given() && decoded.kind != retention::KIND {
        return Err(Failure::Usage(format!(
            "{name}: {}, which has no commitments to open",
            decoded.kind
        )));
    }
    Ok(decoded)
}

fn raw(bytes: Vec<u8>, name: &str) -> Result<Decoded, Failure> {
    raw::decode(inputs::raw(bytes)).ok_or_else(|| {
        Failure::malformed(name, "not a known kind of evidence, collateral or policy")
    })
}

fn document(bytes: &[u8], name: &str, opening: &OpeningArgs) -> Result<Decoded, Failure> {
    let content = attest_core::json::parse(bytes, inputs::MAX_EVIDENCE)
        .map_err(|e| Failure::malformed(name, e))?;
    let has = |key: &str| content.get(key).is_some();
    let malformed = |e: &dyn std::fmt::Display| Failure::malformed(name, e);
    if retention::is_policy(&content) {
        let text = std::str::from_utf8(bytes)
            .map_err(|e| malformed(&e))?
            .trim();
        retention::decode(text, name, opening)
    } else if has("attestation") {
        let report = Report::parse(bytes).map_err(|e| malformed(&e))?;
        let facts = facts(|appraiser| {
            appraiser
                .report(bytes, Freshness::Unchallenged, Channel::NotObserved)
                .verdict()
                .to_json()
        })?;
        let derived = json!({
            "keyset_digest": report.keyset_digest().to_string(), "tdx": facts["tdx"],
        });
        Ok(Decoded {
            kind: "ACI/1 attestation report",
            derived,
            content,
        })
    } else if has("receipt_id") {
        Receipt::parse(bytes).map_err(|e| malformed(&e))?;
        Ok(Decoded {
            kind: "ACI/1 receipt",
            derived: json!({}),
            content,
        })
    } else if has("channel_binding") {
        let session = Session::parse(bytes).map_err(|e| malformed(&e))?;
        let derived = json!({ "session_id": session.id().to_hex() });
        Ok(Decoded {
            kind: "ACI/1 session record",
            derived,
            content,
        })
    } else if has("receipt_signing_keys") {
        let keyset = Keyset::parse(bytes).map_err(|e| malformed(&e))?;
        let derived = json!({ "keyset_digest": keyset.digest().to_string() });
        Ok(Decoded {
            kind: "ACI/1 workload keyset",
            derived,
            content,
        })
    } else if has("tcb_info") {
        TdxCollateral::parse(bytes).map_err(|e| malformed(&e))?;
        Ok(Decoded {
            kind: "TDX collateral",
            derived: json!({}),
            content,
        })
    } else if ["tdx", "snp", "nvidia"].iter().any(|it| has(it)) && !has("name") {
        Collateral::parse(bytes).map_err(|e| malformed(&e))?;
        Ok(Decoded {
            kind: "collateral",
            derived: json!({}),
            content,
        })
    } else if ["quote_b64", "snp_report_b64", "devices"]
        .iter()
        .any(|it| has(it))
    {
        let document = EvidenceDocument::parse(bytes, name)?;
        let facts = raw::evidence_facts(&document.presented);
        Ok(Decoded {
            kind: "evidence in one document",
            derived: json!({}),
            content: facts.ok_or_else(|| malformed(&"its evidence cannot be decoded"))?,
        })
    } else if let Some((kind, content)) = intel_collateral(&content) {
        Ok(Decoded {
            kind,
            derived: json!({}),
            content,
        })
    } else {
        Err(Failure::malformed(
            name,
            "JSON, but not a known kind of evidence",
        ))
    }
}

/// A part of Intel's collateral as its service returns it, or the signed text inside.
fn intel_collateral(content: &Value) -> Option<(&'static str, Value)> {
    let inside = |name: &str| content.get(name).unwrap_or(content).clone();
    let (tcb_info, identity) = (inside("tcbInfo"), inside("enclaveIdentity"));
    if tcb_info.get("tcbLevels").is_some() && tcb_info.get("fmspc").is_some() {
        return Some(("Intel's TCB info", tcb_info));
    }
    let is_identity = identity.get("mrsigner").is_some() && identity.get("isvprodid").is_some();
    is_identity.then_some(("Intel's identity of an enclave", identity))
}

/// The facts of a verdict that is not used otherwise: only the appraiser decodes evidence.
fn facts(appraise: impl FnOnce(&Appraiser<'_>) -> Value) -> Result<Value, Failure> {
    let policy = AttestationPolicy::parse(trust_inputs::NO_POLICY)
        .map_err(|e| Failure::Internal(format!("the built-in policy does not parse: {e}")))?;
    let roots = Roots::vendor();
    let now = UnixTime::from_secs(0);
    let appraiser = Appraiser {
        roots: &roots,
        policy: &policy,
        collateral: None,
        now,
    };
    Ok(appraise(&appraiser)["facts"].take())
}
