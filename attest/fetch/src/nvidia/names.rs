//! The names under which NVIDIA publishes manifests, built from a device's report.
//!
//! | for | name |
//! |---|---|
//! | Hopper driver | `NV_GPU_DRIVER_GH100_` version |
//! | Blackwell driver | `NV_GPU_CC_DRIVER_` chip `_` version; the chip is GB100 if the report names none |
//! | GPU firmware | `NV_GPU_VBIOS_` project `_` project SKU `_` chip SKU `_` version without dots |
//! | LS10 firmware | `NV_SWITCH_BIOS_5612_0002_890_` version without dots |

use attest_core::nvidia::{OpaqueField, SpdmEvidence};

use crate::FetchError;

const DRIVER: &str = "driver manifest";
const FIRMWARE: &str = "firmware manifest";
const MAX_NAME: usize = 128;

/// Project, project SKU and chip SKU of the only switch, whose report does not contain them.
const LS10: &str = "NV_SWITCH_BIOS_5612_0002_890";

/// A manifest's name that is safe inside an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ManifestName {
    pub(super) what: &'static str,
    pub(super) id: String,
}

impl ManifestName {
    /// Fields of a device's report become part of a URL, so only plain characters are allowed.
    fn new(what: &'static str, id: String) -> Result<Self, FetchError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        match id.len() <= MAX_NAME && id.bytes().all(plain) {
            true => Ok(Self { what, id }),
            false => Err(FetchError::Unnamed(what)),
        }
    }
}

/// The names of the manifests for what `evidence` claims to run on `chip`.
pub(super) fn names(evidence: &SpdmEvidence, chip: &str) -> Result<Vec<ManifestName>, FetchError> {
    let firmware = evidence
        .vbios_version()
        .ok_or(FetchError::Unnamed(FIRMWARE))?
        .replace('.', "")
        .to_ascii_uppercase();
    let claimed = |field, what| {
        let text = evidence.opaque().text(field);
        text.ok_or(FetchError::Unnamed(what))
    };
    if chip == "LS_10" {
        return Ok(vec![ManifestName::new(
            FIRMWARE,
            format!("{LS10}_{firmware}"),
        )?]);
    }
    let version = evidence
        .driver_version()
        .ok_or(FetchError::Unnamed(DRIVER))?;
    let driver = if chip.starts_with("GH") {
        format!("NV_GPU_DRIVER_GH100_{version}")
    } else if chip.starts_with("GB") {
        let chip = claimed(OpaqueField::ChipInfo, DRIVER).unwrap_or("GB100");
        format!("NV_GPU_CC_DRIVER_{chip}_{version}")
    } else {
        return Err(FetchError::DeviceChain);
    };
    let vbios = format!(
        "NV_GPU_VBIOS_{}_{}_{}_{firmware}",
        claimed(OpaqueField::Project, FIRMWARE)?,
        claimed(OpaqueField::ProjectSku, FIRMWARE)?,
        claimed(OpaqueField::ChipSku, FIRMWARE)?,
    );
    Ok(vec![
        ManifestName::new(DRIVER, driver)?,
        ManifestName::new(FIRMWARE, vbios)?,
    ])
}
