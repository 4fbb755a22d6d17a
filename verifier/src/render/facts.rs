//! The most important facts of a verdict for people. All facts, in full, are in the JSON form.

use attest_core::event_log::LogFormat;
use attest_core::nvidia::{DeviceFacts, FeatureFlag};
use attest_core::snp::SnpFacts;
use attest_core::tdx::TdxFacts;
use attest_core::{EventLogFacts, Facts, ReportFacts, to_hex};

use super::paint::{short_digest, shorten};

type Pairs = Vec<(&'static str, String)>;

pub fn pairs(facts: &Facts) -> Pairs {
    let mut out = Pairs::new();
    if let Some(tdx) = &facts.tdx {
        tdx_pairs(&mut out, tdx);
    }
    if let Some(snp) = &facts.snp {
        snp_pairs(&mut out, snp);
    }
    if let Some(log) = &facts.event_log {
        out.push(("event log", log_text(log)));
    }
    for device in &facts.devices {
        out.push(("device", device_text(device)));
    }
    if let Some(report) = &facts.report {
        report_pairs(&mut out, report);
    }
    out
}

fn snp_pairs(out: &mut Pairs, facts: &SnpFacts) {
    let report = &facts.report;
    let wrapped = match facts.hcl_claims {
        Some(_) => ", in Azure's wrapping",
        None => "",
    };
    out.push((
        "evidence",
        format!("AMD SEV-SNP report, version {}{wrapped}", report.version),
    ));
    if let Some(vek) = &facts.vek {
        out.push((
            "signed by",
            format!("{} of {}", vek.kind.as_str(), vek.product.as_str()),
        ));
    }
    if let Some(tcb) = &facts.tcb {
        let components = tcb.components();
        let parts: Vec<_> = components
            .map(|(component, version)| format!("{component} {version}"))
            .collect();
        out.push(("tcb", parts.join(", ")));
    }
    out.push(("chip id", shorten(&to_hex(&report.chip_id))));
    out.push(("measurement", shorten(&to_hex(&report.measurement))));
    out.push(("host data", shorten(&to_hex(&report.host_data))));
    out.push(("vmpl", report.vmpl.to_string()));
    out.push(("guest policy", format!("{:#x}", report.policy.bits())));
}

fn log_text(log: &EventLogFacts) -> String {
    let format = match log.format {
        LogFormat::Ccel => "CCEL",
        LogFormat::Dstack => "dstack",
    };
    format!("{format}, {} events", log.events.len())
}

fn device_text(device: &DeviceFacts) -> String {
    let mut parts = match &device.identity {
        Some(identity) => vec![
            identity.architecture.as_str().to_owned(),
            format!("chip {}", shorten(&identity.chip.to_hex())),
        ],
        None => vec![format!("{}, unidentified", device.kind.as_str())],
    };
    if let Some(evidence) = &device.evidence {
        let versions = [
            ("driver", evidence.driver_version().map(str::to_owned)),
            ("firmware", evidence.vbios_version()),
        ];
        for (name, version) in versions {
            parts.extend(version.map(|version| format!("{name} {version}")));
        }
    }
    parts.extend(device.mode().map(FeatureFlag::as_str).map(str::to_owned));
    if device.compared > 0 {
        parts.push(format!("{} measurements as published", device.compared));
    }
    parts.join(", ")
}

fn tdx_pairs(out: &mut Pairs, facts: &TdxFacts) {
    out.push((
        "evidence",
        format!("Intel TDX quote, version {}", facts.version),
    ));
    if let Some(tcb) = &facts.tcb {
        let advisories = match tcb.advisories.as_slice() {
            [] => String::new(),
            some => format!(" ({})", some.join(", ")),
        };
        out.push(("tcb status", format!("{}{advisories}", tcb.status.as_str())));
    }
    if let Some(platform) = &facts.platform {
        out.push((
            "platform",
            format!(
                "fmspc {}, ppid {}",
                to_hex(&platform.fmspc),
                shorten(&to_hex(&platform.ppid))
            ),
        ));
    }
    if let Some(collateral) = &facts.collateral {
        out.push((
            "collateral",
            format!("{} to {}", collateral.not_before, collateral.not_after),
        ));
    }
    let body = &facts.body;
    out.push(("mrtd", shorten(&to_hex(&body.mrtd))));
    for (name, rtmr) in ["rtmr0", "rtmr1", "rtmr2", "rtmr3"]
        .into_iter()
        .zip(&body.rtmr)
    {
        out.push((name, shorten(&to_hex(rtmr))));
    }
    out.push(("mrseam", shorten(&to_hex(&body.mrseam))));
}

fn report_pairs(out: &mut Pairs, facts: &ReportFacts) {
    out.push(("keyset", short_digest(&facts.keyset_digest.to_string())));
    out.push(("keyset until", facts.not_after.to_string()));
    out.push(("serving", facts.serving.name().to_owned()));
    if let Some(mode) = facts.retention_mode {
        out.push(("retention", mode.to_owned()));
    }
    if let Some(of) = &facts.retention_tenant {
        let opened = match of.unopened {
            None => "",
            Some(_) => " (the most of any tenant)",
        };
        out.push((
            "of the tenant",
            format!("{}: {}{opened}", of.tenant, of.mode),
        ));
    }
    if let Some(log) = &facts.log {
        out.push(("audit log", format!("{}, {} entries", log.origin, log.size)));
    }
    let claims = [
        ("claimed repo", &facts.repo_url),
        ("claimed commit", &facts.repo_commit),
        ("claimed image", &facts.image_digest),
    ];
    for (name, value) in claims {
        if let Some(value) = value {
            out.push((name, value.clone()));
        }
    }
}
