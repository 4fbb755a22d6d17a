//! Assembles collateral from separate files.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::args::PartArgs;
use crate::failure::Failure;
use crate::inputs::{self, raw};
use attest_core::snp::{self, CertTableError};
use attest_core::{Collateral, NvidiaCollateral, SnpCollateral, TdxCollateral, to_hex};

pub(super) fn collateral(parts: &PartArgs) -> Result<Collateral, Failure> {
    Ok(Collateral {
        tdx: tdx(&parts.tdx_parts)?,
        snp: snp_parts(parts)?,
        nvidia: nvidia(parts)?,
    })
}

fn snp_parts(parts: &PartArgs) -> Result<Option<SnpCollateral>, Failure> {
    let (Some(vek), Some(ask)) = (&parts.vek, &parts.ask) else {
        return Ok(None);
    };
    type Read = fn(&[u8]) -> Result<Vec<u8>, CertTableError>;
    let file = |path: &PathBuf, read: Read| {
        let bytes = inputs::read(path, 1 << 20)?;
        read(&bytes).map_err(|e| Failure::malformed(path.display().to_string(), e))
    };
    let list = |path| file(path, snp::revocation_list_der);
    Ok(Some(SnpCollateral {
        vek: file(vek, snp::certificate_der)?,
        ask: file(ask, snp::signing_certificate_der)?,
        crl: parts.crl.as_ref().map(list).transpose()?,
    }))
}

fn nvidia(parts: &PartArgs) -> Result<Option<NvidiaCollateral>, Failure> {
    if parts.manifests.is_empty() && parts.ocsp.is_empty() {
        return Ok(None);
    }
    let all = |paths: &[PathBuf]| -> Result<Vec<_>, Failure> {
        let files = paths.iter();
        files.map(|path| inputs::read(path, 8 << 20)).collect()
    };
    Ok(Some(NvidiaCollateral {
        rims: all(&parts.manifests)?,
        ocsp: all(&parts.ocsp)?,
    }))
}

/// The nine parts from nine files. Texts are used unchanged; parts that the bundle has in
/// hexadecimal may be raw in their files.
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
