//! A case from files and flags.

use std::path::{Path, PathBuf};

use attest_core::nvidia::{DeviceKind, UnverifiedDevice};
use attest_core::{Collateral, NvidiaCollateral, SnpCollateral, TdxCollateral, parse_hex, to_hex};
use serde_json::{Map, Value};

use super::args::EvidenceArgs;
use super::{Case, Presented};
use crate::commands::quote::raw;
use crate::failure::Failure;
use crate::inputs;

pub(super) fn case(args: &EvidenceArgs) -> Result<Case, Failure> {
    let file = |path: &Path| inputs::read(path, inputs::MAX_EVIDENCE);
    let (subject, presented) = if let Some(path) = &args.quote {
        (shown(path), Presented::Quote(raw(file(path)?)))
    } else if let Some(path) = &args.snp_report {
        let certs = args.snp_certs.as_deref().map(file).transpose()?;
        let report = raw(file(path)?);
        let certs = certs.unwrap_or_default();
        (shown(path), Presented::SnpReport { report, certs })
    } else {
        let gpus = args.gpus.iter().map(|pair| device(DeviceKind::Gpu, pair));
        let switches = args.switches.iter();
        let switches = switches.map(|pair| device(DeviceKind::Switch, pair));
        let devices = gpus.chain(switches).collect::<Result<Vec<_>, _>>()?;
        (
            format!("{} devices", devices.len()),
            Presented::Devices(devices),
        )
    };
    let gpu_nonce = args
        .gpu_nonce
        .as_deref()
        .map(|text| parse_hex::<32>(text).map_err(|e| Failure::malformed("--gpu-nonce", e)));
    Ok(Case {
        subject,
        presented,
        gpu_nonce: gpu_nonce.transpose()?,
        collateral: Collateral {
            tdx: tdx(&args.tdx_parts)?,
            snp: snp(args)?,
            nvidia: nvidia(args)?,
        },
    })
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn device(kind: DeviceKind, pair: &str) -> Result<UnverifiedDevice, Failure> {
    let (evidence, chain) = pair
        .split_once(':')
        .ok_or_else(|| Failure::Usage(format!("{pair}: expected EVIDENCE:CHAIN, two files")))?;
    Ok(UnverifiedDevice {
        kind,
        evidence: raw(inputs::read(Path::new(evidence), inputs::MAX_EVIDENCE)?),
        certificate_chain: inputs::read(Path::new(chain), inputs::MAX_EVIDENCE)?,
    })
}

fn snp(args: &EvidenceArgs) -> Result<Option<SnpCollateral>, Failure> {
    let (Some(vek), Some(ask)) = (&args.vek, &args.ask) else {
        return Ok(None);
    };
    let file = |path: &PathBuf| inputs::read(path, 1 << 20);
    Ok(Some(SnpCollateral {
        vek: file(vek)?,
        ask: file(ask)?,
        crl: args.crl.as_ref().map(file).transpose()?,
    }))
}

fn nvidia(args: &EvidenceArgs) -> Result<Option<NvidiaCollateral>, Failure> {
    if args.rims.is_empty() && args.ocsp.is_empty() {
        return Ok(None);
    }
    let all = |paths: &[PathBuf]| -> Result<Vec<_>, Failure> {
        let files = paths.iter();
        files.map(|path| inputs::read(path, 8 << 20)).collect()
    };
    Ok(Some(NvidiaCollateral {
        rims: all(&args.rims)?,
        ocsp: all(&args.ocsp)?,
    }))
}

/// The nine parts from nine files. Texts are taken as they are; what the bundle writes in
/// hexadecimal may be raw in its file.
fn tdx(parts: &[String]) -> Result<Option<TdxCollateral>, Failure> {
    if parts.is_empty() {
        return Ok(None);
    }
    let mut members = Map::new();
    for part in parts {
        let (name, path) = part
            .split_once('=')
            .ok_or_else(|| Failure::Usage(format!("--tdx-part {part}: expected NAME=FILE")))?;
        let bytes = inputs::read(Path::new(path), inputs::MAX_EVIDENCE)?;
        let is_hex = name.ends_with("_crl") || name.ends_with("_signature");
        let text = if is_hex {
            to_hex(&raw(bytes))
        } else {
            String::from_utf8(bytes).map_err(|_| Failure::malformed(path, "not UTF-8"))?
        };
        if members.insert(name.to_owned(), text.into()).is_some() {
            return Err(Failure::Usage(format!("--tdx-part {name} is given twice")));
        }
    }
    TdxCollateral::from_value(&Value::Object(members))
        .map(Some)
        .map_err(|e| Failure::malformed("--tdx-part", e))
}
