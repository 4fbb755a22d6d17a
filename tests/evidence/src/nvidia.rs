//! NVIDIA devices: each recording with its recorded manifests, and sets of devices together.

use std::path::Path;

use anyhow::Context;
use serde_json::Value;

use crate::expect::Differences;
use crate::index::{Index, OtherCase, Vector};
use crate::row::{Row, failures, summary};
use attest_core::nvidia::{CompareError, DeviceKind, RimError, RimKind, UnverifiedDevice};
use attest_core::{
    Appraiser, AttestationPolicy, Cause, CheckId, Collateral, Decision, NvidiaCause,
    NvidiaCollateral, Roots, UnixTime, Verdict, parse_base64, to_hex,
};

/// What is asked of a recording besides that it is authentic.
#[derive(Clone, Copy)]
enum Asked {
    /// Nothing.
    Authenticity,
    /// That its measurements are those of manifests.
    Manifests,
    /// Nothing, and nothing about what links the devices: part of a node is on record.
    PartOfNode,
}

fn policy(asked: Asked) -> AttestationPolicy {
    let more = match asked {
        Asked::Authenticity => "rims = \"optional\"",
        Asked::Manifests => "rims = \"required\"",
        Asked::PartOfNode => "rims = \"optional\"\ntopology = \"off\"",
    };
    AttestationPolicy::parse(&format!(
        "name = \"recorded vectors\"\n[nvidia]\nallow_missing_fwid = true\n{more}\n"
    ))
    .expect("this policy is well formed")
}

pub fn run(vectors: &Path) -> anyhow::Result<Vec<Row>> {
    let index = Index::read(vectors)?;
    let mut rows = Vec::new();
    for vector in index
        .vectors
        .iter()
        .filter(|it| it.kind.starts_with("nvidia-"))
    {
        for case in vector.other_cases()? {
            rows.push(judge(vectors, vector, &case)?);
        }
    }
    rows.push(whole_node(vectors, &index)?);
    Ok(rows)
}

/// The devices of a recording.
pub fn devices(vectors: &Path, vector: &Vector) -> anyhow::Result<Vec<UnverifiedDevice>> {
    let kind = if vector.kind.contains("switch") {
        DeviceKind::Switch
    } else {
        DeviceKind::Gpu
    };
    let evidence = vector.evidence(vectors)?;
    if let Some(certificate_chain) = vector.file(vectors, "cert_chain")? {
        return Ok(vec![UnverifiedDevice {
            kind,
            evidence,
            certificate_chain,
        }]);
    }
    let entries: Vec<Value> = serde_json::from_slice(&evidence).context("a list of devices")?;
    let bytes = |entry: &Value, name: &str| {
        let text = entry[name].as_str().with_context(|| name.to_owned())?;
        parse_base64(text, 1 << 20).map_err(|error| anyhow::anyhow!("{name}: {error}"))
    };
    let device = |entry: &Value| {
        Ok(UnverifiedDevice {
            kind,
            evidence: bytes(entry, "evidence")?,
            certificate_chain: bytes(entry, "certificate")?,
        })
    };
    entries.iter().map(device).collect()
}

fn manifests(vectors: &Path, case: &OtherCase) -> anyhow::Result<Collateral> {
    let read = |rim: &crate::index::RimFile| {
        std::fs::read(vectors.join(&rim.file)).with_context(|| format!("reading {}", rim.file))
    };
    let rims = case
        .rims
        .values()
        .map(read)
        .collect::<anyhow::Result<_>>()?;
    Ok(NvidiaCollateral { rims, ocsp: vec![] }.into())
}

fn appraise(
    devices: &[UnverifiedDevice],
    collateral: &Collateral,
    at: UnixTime,
    asked: Asked,
    nonce: Option<&[u8; 32]>,
) -> Verdict {
    Appraiser {
        roots: &Roots::vendor(),
        policy: &policy(asked),
        collateral: Some(collateral),
        now: at,
    }
    .devices(devices, nonce)
}

fn judge(vectors: &Path, vector: &Vector, case: &OtherCase) -> anyhow::Result<Row> {
    let devices = devices(vectors, vector)?;
    let collateral = manifests(vectors, case)?;
    let stated = case.at.as_deref().context("a time")?;
    let at = UnixTime::parse_rfc3339(stated).context("at")?;
    let asked = match (case.rims.is_empty(), devices.len()) {
        (false, _) => Asked::Manifests,
        (true, 1) => Asked::Authenticity,
        (true, _) => Asked::PartOfNode,
    };
    let verdict = appraise(&devices, &collateral, at, asked, None);
    let mut differences = Differences::default();
    compare(vector, case, &verdict, &mut differences);
    decoded(&verdict, &vector.facts, &mut differences);
    another_nonce(&devices, at, &mut differences);
    let files: Vec<_> = case
        .rims
        .values()
        .filter_map(|rim| rim.file.rsplit('/').next())
        .collect();
    Ok(Row {
        id: vector.id.clone(),
        at: stated.to_owned(),
        collateral: match files.as_slice() {
            [] => "none".into(),
            files => files.join(" + "),
        },
        recorded: case.expected.verdict.clone(),
        ours: summary(&verdict),
        differences: differences.into_vec(),
    })
}

fn compare(vector: &Vector, case: &OtherCase, verdict: &Verdict, differences: &mut Differences) {
    let passed = |id| verdict.passed(id);
    match case.expected.verdict.as_str() {
        // The recorder's own note says what its tools passed over: one switch, four times.
        "valid-signature" if vector.id == "switch-ls10-repeated" => {
            differences.equal("failed checks", failures(verdict), vec!["nvidia.distinct"]);
        }
        "valid-signature" => {
            differences.equal("failed checks", failures(verdict), vec![]);
            differences.equal("decision", verdict.decision(), Decision::Accepted);
            differences.equal(
                "measurements judged",
                passed(CheckId::NvidiaMeasurements),
                false,
            );
        }
        "valid, measurements match" => {
            differences.equal("failed checks", failures(verdict), vec![]);
            differences.equal("decision", verdict.decision(), Decision::Accepted);
            differences.equal(
                "measurements judged",
                passed(CheckId::NvidiaMeasurements),
                true,
            );
            compared(verdict, &case.measurement_comparison, differences);
        }
        "VBIOS measurements match; driver RIM missing" => {
            differences.equal("failed checks", failures(verdict), vec![]);
            differences.equal("decision", verdict.decision(), Decision::Rejected);
            differences.equal("firmware manifest", passed(CheckId::NvidiaRimVbios), true);
            differences.equal(
                "measurements judged",
                passed(CheckId::NvidiaMeasurements),
                false,
            );
            compared(verdict, &case.measurement_comparison, differences);
        }
        "reject" => {
            differences.equal("decision", verdict.decision(), Decision::Rejected);
            if !verdict
                .failures()
                .any(|(id, cause)| is_recorded(case, id.as_str(), cause))
            {
                differences.add(format!("it is not rejected for: {}", case.expected.reason));
            }
        }
        other => differences.add(format!("unknown recorded verdict: {other}")),
    }
}

/// Whether a failure of ours is the recorded reason.
fn is_recorded(case: &OtherCase, id: &str, cause: &Cause) -> bool {
    let cause = match cause {
        Cause::Nvidia(NvidiaCause::Device { cause, .. }) => cause.as_ref(),
        other => other,
    };
    let reason = case.expected.reason.as_str();
    match cause {
        Cause::Nvidia(NvidiaCause::Signature(_)) => reason == "report signature invalid",
        Cause::Nvidia(NvidiaCause::Rim(error)) if id.starts_with("nvidia.rim.") => match error {
            RimError::Digest => reason.contains("digest broken"),
            RimError::Signature => reason.contains("signature value invalid"),
            RimError::Chain(_) => reason.contains("chain does not build"),
            RimError::SignerDates { .. } => {
                reason.contains("certificates expired") || reason.contains("one day only")
            }
            _ => false,
        },
        Cause::Nvidia(NvidiaCause::NoRim { .. }) => reason.contains("is not the reported driver"),
        Cause::Nvidia(NvidiaCause::Measurements(CompareError::Mismatch(differing))) => {
            reason.contains("differ") && same_indices(differing, &case.measurement_comparison)
        }
        _ => false,
    }
}

fn same_indices(differing: &[(RimKind, u8)], recorded: &Value) -> bool {
    let ours: Vec<u64> = differing.iter().map(|(_, index)| (*index).into()).collect();
    let of = |name: &str| recorded[name]["mismatch_indices"].as_array().cloned();
    let theirs: Vec<u64> = ["driver", "vbios", "bios"]
        .into_iter()
        .filter_map(of)
        .flatten()
        .filter_map(|index| index.as_u64())
        .collect();
    ours == theirs
}

/// How many values were compared, and which were left out.
fn compared(verdict: &Verdict, recorded: &Value, differences: &mut Differences) {
    let Some(device) = verdict.facts().devices.first() else {
        return differences.add("no device".into());
    };
    let parts = ["driver", "vbios", "bios"].map(|name| &recorded[name]);
    let count: u64 = parts
        .iter()
        .filter_map(|part| part["compared"].as_u64())
        .sum();
    differences.equal("values compared", device.compared as u64, count);
    let skipped: Vec<u64> = parts
        .iter()
        .filter_map(|part| part["skipped_nvdec0_disabled"].as_array())
        .flatten()
        .filter_map(Value::as_u64)
        .collect();
    let ours: Vec<u64> = device.skipped.iter().map(|index| (*index).into()).collect();
    differences.equal("values left out", ours, skipped);
}

/// Evidence made for the nonce it carries, and for no other.
fn another_nonce(devices: &[UnverifiedDevice], at: UnixTime, differences: &mut Differences) {
    let verdict = appraise(
        devices,
        &Collateral::default(),
        at,
        Asked::PartOfNode,
        Some(&[0x5A; 32]),
    );
    let signed = !failures(&verdict).contains(&"nvidia.report.signature");
    if signed && !failures(&verdict).contains(&"nvidia.nonce") {
        differences.add("another nonce is accepted".into());
    }
}

fn decoded(verdict: &Verdict, recorded: &Value, differences: &mut Differences) {
    let items = match recorded["items"].as_array() {
        Some(items) => items.clone(),
        None => vec![recorded.clone()],
    };
    differences.equal("devices", verdict.facts().devices.len(), items.len());
    for (device, item) in verdict.facts().devices.iter().zip(items) {
        let Some(evidence) = &device.evidence else {
            return differences.add("a device without evidence".into());
        };
        let lower = |value: &Value| value.as_str().map(str::to_ascii_lowercase);
        let driver = evidence.driver_version().map(str::to_ascii_lowercase);
        differences.equal("driver", driver, lower(&item["driver"]));
        let vbios = evidence.vbios_version().map(|it| it.to_ascii_lowercase());
        differences.equal("firmware", vbios, lower(&item["vbios"]));
        let nonce = item.get("request_nonce").unwrap_or(&item["nonce"]);
        let ours = to_hex(evidence.request_nonce());
        differences.equal("nonce", Some(ours), lower(nonce));
    }
}

/// Eight GPUs and the four switches between them, which were recorded apart, are one node.
fn whole_node(vectors: &Path, index: &Index) -> anyhow::Result<Row> {
    let of = |id: &str| {
        let vector = index.vectors.iter().find(|vector| vector.id == id);
        devices(vectors, vector.with_context(|| id.to_owned())?)
    };
    let gpus = of("gpu-hopper-8x-ppcie")?;
    let switches = of("switch-ls10-4x-ppcie")?;
    let at = UnixTime::parse_rfc3339("2026-06-01T00:00:00Z").context("at")?;
    let none = Collateral::default();
    let judged =
        |devices: &[UnverifiedDevice]| appraise(devices, &none, at, Asked::Authenticity, None);
    let mut differences = Differences::default();
    let whole = judged(&[&gpus[..], &switches[..]].concat());
    differences.equal("failed checks", failures(&whole), vec![]);
    differences.equal("decision", whole.decision(), Decision::Accepted);
    for missing in 0..switches.len() {
        let mut rest = switches.clone();
        rest.remove(missing);
        let verdict = judged(&[&gpus[..], &rest[..]].concat());
        let what = format!("failed checks without switch {missing}");
        differences.equal(&what, failures(&verdict), vec!["nvidia.topology"]);
    }
    Ok(Row {
        id: "gpu-hopper-8x-ppcie + switch-ls10-4x-ppcie".into(),
        at: at.to_string(),
        collateral: "none".into(),
        recorded: "(not recorded together)".into(),
        ours: summary(&whole),
        differences: differences.into_vec(),
    })
}
