//! Everything read from a TDX quote and from the collateral it was verified by.

use serde_json::{Value, json};

use super::body::TdBody;
use super::levels::TcbLevelFacts;
use super::platform::PlatformFacts;
use super::qe_report::QeReport;
use super::status::TcbStatus;
use crate::encoding::to_hex;
use crate::time::UnixTime;

/// Facts of a TDX quote. What is only in the quote's bytes stands first; the rest is there as far
/// as verification came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TdxFacts {
    /// Quote version, 4 or 5.
    pub version: u16,
    /// Whose quoting enclave, as the header says.
    pub qe_vendor: [u8; 16],
    /// 20 bytes the quoting enclave's host put into the header.
    pub header_user_data: [u8; 20],
    /// The TD's description of itself.
    pub body: TdBody,
    /// The quoting enclave's description of itself.
    pub quoting_enclave: QeReport,
    /// Bytes that follow the quote in its buffer.
    pub trailing: Trailing,
    /// From the platform's certificate, where it can be read.
    pub platform: Option<PlatformFacts>,
    /// From the collateral, where it can be read.
    pub collateral: Option<CollateralFacts>,
    /// From matching the platform against the collateral.
    pub tcb: Option<TcbFacts>,
}

/// What follows a quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trailing {
    /// How many bytes.
    pub count: usize,
    /// Whether all of them are zero.
    pub all_zero: bool,
}

/// Facts of collateral.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollateralFacts {
    /// The latest instant at which one of its parts begins to be valid.
    pub not_before: UnixTime,
    /// The earliest instant at which one of its parts ends to be valid.
    pub not_after: UnixTime,
    /// When the oldest of TCB info, QE identity and PCK revocation list was issued. Intel renews
    /// those monthly, and the root's revocation list once a year.
    pub issued: UnixTime,
    /// Intel's number of the evaluation that TCB info is from.
    pub tcb_evaluation_data_number: u32,
    /// Intel's number of the evaluation that QE identity is from; may be another.
    pub qe_evaluation_data_number: u32,
    /// The hardware it is about, lower-case hexadecimal.
    pub fmspc: String,
    /// The provisioning certification enclave it is about, lower-case hexadecimal.
    pub pce_id: String,
    /// Members of its JSON that this verifier does not know, with the object they stand in. Intel
    /// signed them, and nothing here depends on them.
    pub unknown_members: Vec<String>,
}

/// What Intel says about the platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcbFacts {
    /// Platform, TDX module and quoting enclave merged.
    pub status: TcbStatus,
    /// Platform and TDX module.
    pub platform_status: TcbStatus,
    /// Quoting enclave.
    pub qe_status: TcbStatus,
    /// Everything Intel lists for them.
    pub advisories: Vec<String>,
    /// The levels that were matched, each with its date.
    pub levels: Vec<TcbLevelFacts>,
}

/// The JSON form of the facts, part of a verdict's.
pub(crate) fn to_json(facts: &TdxFacts) -> Value {
    json!({
        "version": facts.version,
        "qe_vendor": to_hex(&facts.qe_vendor),
        "header_user_data": to_hex(&facts.header_user_data),
        "body": body(&facts.body),
        "quoting_enclave": quoting_enclave(&facts.quoting_enclave),
        "trailing_bytes": facts.trailing.count,
        "trailing_bytes_all_zero": facts.trailing.all_zero,
        "platform": facts.platform.as_ref().map(platform),
        "collateral": facts.collateral.as_ref().map(collateral),
        "tcb": facts.tcb.as_ref().map(tcb),
    })
}

fn body(body: &TdBody) -> Value {
    let mut value = json!({
        "tee_tcb_svn": to_hex(&body.tee_tcb_svn),
        "mrseam": to_hex(&body.mrseam),
        "mrsignerseam": to_hex(&body.mrsignerseam),
        "seam_attributes": to_hex(&body.seam_attributes),
        "td_attributes": to_hex(&body.td_attributes),
        "xfam": to_hex(&body.xfam),
        "mrtd": to_hex(&body.mrtd),
        "mrconfigid": to_hex(&body.mrconfigid),
        "mrowner": to_hex(&body.mrowner),
        "mrownerconfig": to_hex(&body.mrownerconfig),
        "report_data": to_hex(&body.report_data),
        "debug": body.debug_flags() != 0,
        "sept_ve_disable": body.sept_ve_disable(),
        "migratable": body.migratable(),
        "service_td": body.service_td(),
        "reserved_attributes": format!("{:#018x}", body.reserved_attributes()),
    });
    for (name, rtmr) in ["rtmr0", "rtmr1", "rtmr2", "rtmr3"]
        .into_iter()
        .zip(&body.rtmr)
    {
        value[name] = to_hex(rtmr).into();
    }
    if let Some(td15) = &body.td15 {
        value["tee_tcb_svn2"] = to_hex(&td15.tee_tcb_svn2).into();
        value["mrservicetd"] = to_hex(&td15.mrservicetd).into();
    }
    value
}

fn quoting_enclave(report: &QeReport) -> Value {
    json!({
        "cpusvn": to_hex(&report.cpusvn),
        "miscselect": to_hex(&report.miscselect),
        "attributes": to_hex(&report.attributes),
        "mrenclave": to_hex(&report.mrenclave),
        "mrsigner": to_hex(&report.mrsigner),
        "isvprodid": report.isvprodid,
        "isvsvn": report.isvsvn,
        "report_data": to_hex(&report.report_data),
    })
}

fn platform(facts: &PlatformFacts) -> Value {
    json!({
        "fmspc": to_hex(&facts.fmspc),
        "ppid": to_hex(&facts.ppid),
        "pce_id": to_hex(&facts.pce_id),
        "pck_cpusvn": to_hex(&facts.cpusvn),
        "pck_tcb_components": to_hex(&facts.components),
        "pck_pcesvn": facts.pcesvn,
        "pck_issuer": facts.issuer,
        "pck_serial": to_hex(&facts.serial),
        "pck_not_before": facts.not_before.to_string(),
        "pck_not_after": facts.not_after.to_string(),
    })
}

fn collateral(facts: &CollateralFacts) -> Value {
    json!({
        "not_before": facts.not_before.to_string(),
        "not_after": facts.not_after.to_string(),
        "issued": facts.issued.to_string(),
        "tcb_evaluation_data_number": facts.tcb_evaluation_data_number,
        "qe_evaluation_data_number": facts.qe_evaluation_data_number,
        "fmspc": facts.fmspc,
        "pce_id": facts.pce_id,
        "unknown_members": facts.unknown_members,
    })
}

fn tcb(facts: &TcbFacts) -> Value {
    json!({
        "status": facts.status.as_str(),
        "platform_status": facts.platform_status.as_str(),
        "qe_status": facts.qe_status.as_str(),
        "advisories": facts.advisories,
        "levels": facts.levels.iter().map(level).collect::<Vec<_>>(),
    })
}

fn level(facts: &TcbLevelFacts) -> Value {
    json!({
        "part": facts.part.as_str(),
        "status": facts.status.as_str(),
        "date": facts.date.to_string(),
        "advisories": facts.advisories,
    })
}
