//! QE identity: which quoting enclave Intel stands for (PCS v4, "Get TD QE Identity"), and the quoting
//! enclave's report compared with it.

use super::json::{self, Assessment, SignedTextError, Unknown, object};
use super::qe_report::QeReport;
use super::status::TcbStatus;
use super::tcb_info::svn_levels;
use crate::time::UnixTime;

/// The one version of the format that describes the quoting enclave of TDs.
const VERSION: u64 = 2;
/// The quoting enclave of TDs.
const ID: &str = "TD_QE";

const MEMBERS: [&str; 12] = [
    "id",
    "version",
    "issueDate",
    "nextUpdate",
    "tcbEvaluationDataNumber",
    "miscselect",
    "miscselectMask",
    "attributes",
    "attributesMask",
    "mrsigner",
    "isvprodid",
    "tcbLevels",
];

/// What Intel's verification library accepts in the levels of an enclave.
const STATUSES: [TcbStatus; 5] = [
    TcbStatus::UpToDate,
    TcbStatus::ConfigurationNeeded,
    TcbStatus::OutOfDate,
    TcbStatus::OutOfDateConfigurationNeeded,
    TcbStatus::Revoked,
];

/// Where a quoting enclave is not the one that Intel describes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QeIdentityError {
    /// The identity is of another enclave.
    #[error("the identity is of the enclave \"{0}\"")]
    OtherEnclave(String),
    /// Features of the enclave's state differ.
    #[error("its MISCSELECT is another")]
    Miscselect,
    /// The enclave's attributes differ.
    #[error("its attributes are others")]
    Attributes,
    /// Another signer.
    #[error("its MRSIGNER is another")]
    Mrsigner,
    /// Another product of the same signer.
    #[error("its ISVPRODID is {0}")]
    Isvprodid(u16),
    /// Older than every level.
    #[error("its ISVSVN {0} is below every level")]
    Isvsvn(u16),
}

/// QE identity, read. Signed by Intel only inside an `AuthenticCollateral`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct QeIdentity {
    id: String,
    pub(crate) issue_date: UnixTime,
    pub(crate) next_update: UnixTime,
    pub(crate) evaluation_data_number: u32,
    miscselect: [u8; 4],
    miscselect_mask: [u8; 4],
    attributes: [u8; 16],
    attributes_mask: [u8; 16],
    mrsigner: [u8; 32],
    isvprodid: u16,
    levels: Vec<(u16, Assessment)>,
}

impl QeIdentity {
    pub(crate) fn parse(text: &str, unknown: &mut Unknown) -> Result<Self, SignedTextError> {
        let value = json::parse(text)?;
        let identity = object(&value, "enclaveIdentity", &MEMBERS, unknown)?;
        match identity.unsigned("version")? {
            VERSION => {}
            other => return Err(SignedTextError::Version(other)),
        }
        Ok(Self {
            id: identity.string("id")?.to_owned(),
            issue_date: identity.rfc3339("issueDate")?,
            next_update: identity.rfc3339("nextUpdate")?,
            evaluation_data_number: identity.unsigned("tcbEvaluationDataNumber")?,
            miscselect: identity.hex_of_either_case("miscselect")?,
            miscselect_mask: identity.hex_of_either_case("miscselectMask")?,
            attributes: identity.hex_of_either_case("attributes")?,
            attributes_mask: identity.hex_of_either_case("attributesMask")?,
            mrsigner: identity.hex_of_either_case("mrsigner")?,
            isvprodid: identity.unsigned("isvprodid")?,
            levels: svn_levels(identity, "enclaveIdentity", &STATUSES, unknown)?,
        })
    }

    /// The level that a quoting enclave is at, if it is the one described.
    pub(crate) fn level_of(&self, report: &QeReport) -> Result<&Assessment, QeIdentityError> {
        if self.id != ID {
            return Err(QeIdentityError::OtherEnclave(self.id.clone()));
        }
        if report.mrsigner != self.mrsigner {
            return Err(QeIdentityError::Mrsigner);
        }
        if report.isvprodid != self.isvprodid {
            return Err(QeIdentityError::Isvprodid(report.isvprodid));
        }
        if !agrees(&report.miscselect, &self.miscselect, &self.miscselect_mask) {
            return Err(QeIdentityError::Miscselect);
        }
        if !agrees(&report.attributes, &self.attributes, &self.attributes_mask) {
            return Err(QeIdentityError::Attributes);
        }
        let mut levels = self.levels.iter();
        let level = levels.find(|(svn, _)| report.isvsvn >= *svn);
        level
            .map(|(_, assessment)| assessment)
            .ok_or(QeIdentityError::Isvsvn(report.isvsvn))
    }
}

/// Whether the bits of the mask are the stated ones. A stated bit outside its mask agrees with
/// nothing, as for Intel's library.
pub(super) fn agrees<const N: usize>(got: &[u8; N], stated: &[u8; N], mask: &[u8; N]) -> bool {
    let mut bytes = got.iter().zip(stated).zip(mask);
    bytes.all(|((got, stated), mask)| got & mask == *stated)
}
