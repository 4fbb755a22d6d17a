//! TCB info: what Intel says of a family of platforms, level by level (PCS v4, "Get TDX TCB Info").

use super::json::{self, Assessment, LEVEL, Object, SignedTextError, Unknown, object};
use super::status::TcbStatus;
use crate::json::Tree;
use crate::time::UnixTime;

/// The one version of the format that describes TDX platforms.
const VERSION: u64 = 3;
/// The one kind of TCB there is: components that are compared each for itself.
const TCB_TYPE: u64 = 0;

const MEMBERS: [&str; 11] = [
    "id",
    "version",
    "issueDate",
    "nextUpdate",
    "fmspc",
    "pceId",
    "tcbType",
    "tcbEvaluationDataNumber",
    "tdxModule",
    "tdxModuleIdentities",
    "tcbLevels",
];
const COMPONENT: [&str; 3] = ["svn", "category", "type"];

/// What Intel's verification library accepts in `tcbLevels`.
const LEVEL_STATUSES: [TcbStatus; 7] = [
    TcbStatus::UpToDate,
    TcbStatus::SWHardeningNeeded,
    TcbStatus::ConfigurationNeeded,
    TcbStatus::ConfigurationAndSWHardeningNeeded,
    TcbStatus::OutOfDate,
    TcbStatus::OutOfDateConfigurationNeeded,
    TcbStatus::Revoked,
];
/// The same in the levels of a TDX module.
const MODULE_STATUSES: [TcbStatus; 3] = [
    TcbStatus::UpToDate,
    TcbStatus::OutOfDate,
    TcbStatus::Revoked,
];

/// TCB info, read. Signed by Intel only inside an `AuthenticCollateral`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TcbInfo {
    /// `TDX`, or `SGX` for collateral of the other kind.
    pub(crate) id: String,
    pub(crate) issue_date: UnixTime,
    pub(crate) next_update: UnixTime,
    pub(crate) fmspc: [u8; 6],
    pub(crate) pce_id: [u8; 2],
    pub(crate) evaluation_data_number: u32,
    /// For modules of version 0, which have no separate identity.
    pub(crate) module: TdxModule,
    pub(crate) module_identities: Vec<TdxModuleIdentity>,
    /// The strongest first, whatever their order in the text.
    pub(crate) levels: Vec<TcbLevel>,
}

/// Who signs a TDX module, and what attributes it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TdxModule {
    pub(crate) mrsigner: [u8; 48],
    pub(crate) attributes: [u8; 8],
    pub(crate) attributes_mask: [u8; 8],
}

/// A TDX module of one major version.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TdxModuleIdentity {
    /// `TDX_01`, in capital letters.
    pub(crate) id: String,
    pub(crate) module: TdxModule,
    /// By security version, the highest first.
    pub(crate) levels: Vec<(u8, Assessment)>,
}

/// One level: what a platform has to have at least.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TcbLevel {
    pub(crate) sgx: [u8; 16],
    pub(crate) pcesvn: u16,
    pub(crate) tdx: [u8; 16],
    pub(crate) assessment: Assessment,
}

impl TcbLevel {
    /// Intel's verification library orders levels by this and never by the text.
    const fn strength(&self) -> (&[u8; 16], u16, &[u8; 16]) {
        (&self.sgx, self.pcesvn, &self.tdx)
    }
}

impl TcbInfo {
    pub(crate) fn parse(text: &str, unknown: &mut Unknown) -> Result<Self, SignedTextError> {
        let value = json::parse(text)?;
        let info = object(&value, "tcbInfo", &MEMBERS, unknown)?;
        match info.unsigned("version")? {
            VERSION => {}
            other => return Err(SignedTextError::Version(other)),
        }
        match info.unsigned("tcbType")? {
            TCB_TYPE => {}
            other => return Err(SignedTextError::TcbType(other)),
        }
        let module = info.required("tdxModule")?;
        let known = ["mrsigner", "attributes", "attributesMask"];
        Ok(Self {
            id: info.string("id")?.to_owned(),
            issue_date: info.rfc3339("issueDate")?,
            next_update: info.rfc3339("nextUpdate")?,
            fmspc: info.hex_of_either_case("fmspc")?,
            pce_id: info.hex_of_either_case("pceId")?,
            evaluation_data_number: info.unsigned("tcbEvaluationDataNumber")?,
            module: TdxModule::read(object(module, "tdxModule", &known, unknown)?)?,
            module_identities: identities(info, unknown)?,
            levels: levels(info.non_empty_array("tcbLevels")?, unknown)?,
        })
    }
}

impl TdxModule {
    fn read(module: Object<'_>) -> Result<Self, SignedTextError> {
        Ok(Self {
            mrsigner: module.hex_of_either_case("mrsigner")?,
            attributes: module.hex_of_either_case("attributes")?,
            attributes_mask: module.hex_of_either_case("attributesMask")?,
        })
    }
}

fn identities(
    info: Object<'_>,
    unknown: &mut Unknown,
) -> Result<Vec<TdxModuleIdentity>, SignedTextError> {
    const NAME: &str = "tdxModuleIdentities";
    if info.get(NAME).is_none() {
        return Ok(Vec::new());
    }
    let mut identities: Vec<TdxModuleIdentity> = Vec::new();
    for value in info.non_empty_array(NAME)? {
        let identity = identity(value, unknown)?;
        if identities.iter().any(|it| it.id == identity.id) {
            return Err(SignedTextError::Ambiguous(NAME));
        }
        identities.push(identity);
    }
    Ok(identities)
}

fn identity(value: &Tree<'_>, unknown: &mut Unknown) -> Result<TdxModuleIdentity, SignedTextError> {
    const NAME: &str = "tdxModuleIdentities";
    let known = [
        "id",
        "mrsigner",
        "attributes",
        "attributesMask",
        "tcbLevels",
    ];
    let identity = object(value, NAME, &known, unknown)?;
    Ok(TdxModuleIdentity {
        id: identity.string("id")?.to_ascii_uppercase(),
        module: TdxModule::read(identity)?,
        levels: svn_levels(identity, NAME, &MODULE_STATUSES, unknown)?,
    })
}

/// Levels of one security version each, the highest first.
pub(super) fn svn_levels<T: TryFrom<u64> + Ord + Copy>(
    holder: Object<'_>,
    name: &'static str,
    statuses: &[TcbStatus],
    unknown: &mut Unknown,
) -> Result<Vec<(T, Assessment)>, SignedTextError> {
    let mut levels = Vec::new();
    for value in holder.non_empty_array("tcbLevels")? {
        let level = object(value, "tcbLevels", &LEVEL, unknown)?;
        let tcb = object(level.required("tcb")?, "tcb", &["isvsvn"], unknown)?;
        let svn: T = tcb.unsigned("isvsvn")?;
        levels.push((svn, Assessment::read(level, name, statuses)?));
    }
    levels.sort_by_key(|(svn, _)| std::cmp::Reverse(*svn));
    let same = |pair: &[(T, Assessment)]| matches!(pair, [(one, _), (two, _)] if one == two);
    match levels.windows(2).any(same) {
        true => Err(SignedTextError::Ambiguous(name)),
        false => Ok(levels),
    }
}

fn levels(values: &[Tree<'_>], unknown: &mut Unknown) -> Result<Vec<TcbLevel>, SignedTextError> {
    const NAME: &str = "tcbLevels";
    let mut levels = Vec::new();
    for value in values {
        let level = object(value, NAME, &LEVEL, unknown)?;
        let known = ["sgxtcbcomponents", "pcesvn", "tdxtcbcomponents"];
        let tcb = object(level.required("tcb")?, "tcb", &known, unknown)?;
        levels.push(TcbLevel {
            sgx: components(tcb, "sgxtcbcomponents", unknown)?,
            pcesvn: tcb.unsigned("pcesvn")?,
            tdx: components(tcb, "tdxtcbcomponents", unknown)?,
            assessment: Assessment::read(level, NAME, &LEVEL_STATUSES)?,
        });
    }
    levels.sort_by(|a, b| b.strength().cmp(&a.strength()));
    let same = |pair: &[TcbLevel]| matches!(pair, [a, b] if a.strength() == b.strength());
    match levels.windows(2).any(same) {
        true => Err(SignedTextError::Ambiguous(NAME)),
        false => Ok(levels),
    }
}

fn components(
    tcb: Object<'_>,
    name: &'static str,
    unknown: &mut Unknown,
) -> Result<[u8; 16], SignedTextError> {
    let mut svns = Vec::new();
    for value in tcb.non_empty_array(name)? {
        svns.push(object(value, name, &COMPONENT, unknown)?.unsigned("svn")?);
    }
    <[u8; 16]>::try_from(svns).map_err(|_| SignedTextError::Member(name))
}
