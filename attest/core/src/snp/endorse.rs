//! The report against what AMD certified about the key that signed it.
//!
//! A report states its own chip id and TCB. An old firmware could state anything; the endorsement
//! key could not have been derived for another chip or TCB. So each statement is compared with the
//! certificate, and the certificate wins.

use super::{Component, Product, ReservedTcbBytes, SnpReport, Tcb, VekKind, VerifiedVek};

/// Where report and certificate disagree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndorsementError {
    /// The report says another kind of key signed it.
    #[error("the report names a {} and the certificate is of a {}", reported.as_str(), certified.as_str())]
    KeyKind {
        /// In the report.
        reported: VekKind,
        /// In the certificate.
        certified: VekKind,
    },
    /// The report's CPUID is not of the certificate's product.
    #[error("the report's processor is not a {}", certified.as_str())]
    Product {
        /// In the certificate.
        certified: Product,
    },
    /// The certificate is for another chip.
    #[error("the certificate's hardware id is not the report's chip id")]
    HardwareId,
    /// A VCEK certificate without a hardware id, or a VLEK certificate with one.
    #[error("the certificate's hardware id does not suit its kind of key")]
    HardwareIdPresence,
    /// The chip id in the report is masked: a VCEK cannot be compared with it.
    #[error("the report's chip id is masked")]
    ChipIdMasked,
    /// Reserved bytes of the report's TCB are in use.
    #[error("the report's TCB: {0}")]
    ReportedTcb(ReservedTcbBytes),
    /// The report states a component version that the key was not derived for.
    #[error("the report states {component} version {reported}, the certificate {certified}")]
    Tcb {
        /// Which component.
        component: Component,
        /// In the report.
        reported: u8,
        /// In the certificate.
        certified: u8,
    },
}

/// The key that signed is of the kind the report says.
pub fn check_key_kind(report: &SnpReport, vek: &VerifiedVek) -> Result<(), EndorsementError> {
    let (reported, certified) = (report.signing_key, vek.claims().kind);
    if reported == certified {
        Ok(())
    } else {
        Err(EndorsementError::KeyKind {
            reported,
            certified,
        })
    }
}

/// The report's processor, where it says one, is of the certified product.
pub fn check_product(report: &SnpReport, vek: &VerifiedVek) -> Result<(), EndorsementError> {
    let certified = vek.claims().product;
    match report.product() {
        None => Ok(()),
        Some(Ok(product)) if product == certified => Ok(()),
        Some(_) => Err(EndorsementError::Product { certified }),
    }
}

/// The certified hardware id is the report's chip id. A VLEK belongs to no chip.
pub fn check_hardware_id(report: &SnpReport, vek: &VerifiedVek) -> Result<(), EndorsementError> {
    let claims = vek.claims();
    match (claims.kind, claims.hwid.as_deref()) {
        (VekKind::Vlek, None) => Ok(()),
        (VekKind::Vcek, Some(_)) if report.chip_id_is_masked() => {
            Err(EndorsementError::ChipIdMasked)
        }
        (VekKind::Vcek, Some(hwid)) => {
            let (head, tail) = report
                .chip_id
                .split_at(hwid.len().min(report.chip_id.len()));
            if head == hwid && tail.iter().all(|byte| *byte == 0) {
                Ok(())
            } else {
                Err(EndorsementError::HardwareId)
            }
        }
        _ => Err(EndorsementError::HardwareIdPresence),
    }
}

/// Every component of the reported TCB is the certified one. Returns the certified TCB.
pub fn check_tcb(report: &SnpReport, vek: &VerifiedVek) -> Result<Tcb, EndorsementError> {
    let claims = vek.claims();
    let reported =
        Tcb::decode(report.reported_tcb, claims.product).map_err(EndorsementError::ReportedTcb)?;
    for (component, certified) in claims.tcb.components() {
        match reported.get(component) {
            Some(reported) if reported == certified => {}
            other => {
                let reported = other.unwrap_or(0);
                return Err(EndorsementError::Tcb {
                    component,
                    reported,
                    certified,
                });
            }
        }
    }
    Ok(claims.tcb)
}
