//! Everything read from an SNP report and from the certificate of the key that signed it.

use serde_json::{Value, json};

use super::{FirmwareVersion, GuestPolicy, SnpReport, Tcb, VekClaims};
use crate::encoding::to_hex;
use crate::time::UnixTime;

/// Facts of an SNP report. The report's own words stand first; the rest is there as far as
/// verification came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnpFacts {
    /// The report.
    pub report: SnpReport,
    /// The claims of Azure's wrapping, exact JSON text, if the report came in it.
    pub hcl_claims: Option<Vec<u8>>,
    /// What the endorsement key's certificate says, where it can be read.
    pub vek: Option<VekClaims>,
    /// The TCB that AMD certified, once chain and report agree about it.
    pub tcb: Option<Tcb>,
    /// When AMD's revocation list was issued, where one was there and held.
    pub crl_issued: Option<UnixTime>,
    /// The last second at which the certificates, and the revocation list if there was one, hold.
    pub valid_until: Option<UnixTime>,
}

/// The JSON form of the facts, part of a verdict's.
pub(crate) fn to_json(facts: &SnpFacts) -> Value {
    let mut value = report(&facts.report);
    value["policy_demands"] = demands(facts.report.policy);
    value["vek"] = facts.vek.as_ref().map(vek).into();
    value["certified_tcb"] = facts.tcb.as_ref().map(tcb).into();
    value["crl_issued"] = facts.crl_issued.map(|at| at.to_string()).into();
    value["valid_until"] = facts.valid_until.map(|until| until.to_string()).into();
    value["hcl_claims"] = facts
        .hcl_claims
        .as_ref()
        .map(|claims| String::from_utf8_lossy(claims).into_owned())
        .into();
    value
}

fn report(report: &SnpReport) -> Value {
    json!({
        "version": report.version,
        "guest_svn": report.guest_svn,
        "policy": format!("{:#018x}", report.policy.bits()),
        "debug_allowed": report.policy.debug_allowed(),
        "migration_agent_allowed": report.policy.migration_agent_allowed(),
        "smt_allowed": report.policy.smt_allowed(),
        "family_id": to_hex(&report.family_id),
        "image_id": to_hex(&report.image_id),
        "vmpl": report.vmpl,
        "platform_info": format!("{:#018x}", report.platform_info.bits()),
        "smt_enabled": report.platform_info.smt_enabled(),
        "tsme": report.platform_info.tsme_enabled(),
        "ecc": report.platform_info.ecc_enabled(),
        "rapl_disabled": report.platform_info.rapl_disabled(),
        "ciphertext_hiding": report.platform_info.ciphertext_hiding_enabled(),
        "alias_check": report.platform_info.alias_check_complete(),
        "signing_key": report.signing_key.as_str(),
        "author_key_enabled": report.author_key_enabled,
        "chip_key_masked": report.chip_key_masked,
        "report_data": to_hex(&report.report_data),
        "measurement": to_hex(&report.measurement),
        "host_data": to_hex(&report.host_data),
        "id_key_digest": to_hex(&report.id_key_digest),
        "author_key_digest": to_hex(&report.author_key_digest),
        "report_id": to_hex(&report.report_id),
        "report_id_ma": to_hex(&report.report_id_ma),
        "cpuid": report.cpuid,
        "product": report.product().and_then(Result::ok).map(|product| product.as_str()),
        "chip_id": to_hex(&report.chip_id),
        "current_tcb": to_hex(&report.current_tcb),
        "reported_tcb": to_hex(&report.reported_tcb),
        "committed_tcb": to_hex(&report.committed_tcb),
        "launch_tcb": to_hex(&report.launch_tcb),
        "current_firmware": firmware(report.current_firmware),
        "committed_firmware": firmware(report.committed_firmware),
        "mitigations_at_launch": report.mitigations.map(|[launch, _]| format!("{launch:#x}")),
        "mitigations_now": report.mitigations.map(|[_, now]| format!("{now:#x}")),
    })
}

/// What the guest's owner demands of the platform beside what stands above.
fn demands(policy: GuestPolicy) -> Value {
    let (major, minor) = policy.minimum_abi();
    json!({
        "minimum_abi": format!("{major}.{minor}"),
        "single_socket": policy.single_socket_required(),
        "no_cxl": !policy.cxl_allowed(),
        "aes_256_xts": policy.aes_256_xts_required(),
        "rapl_disabled": policy.rapl_disabled(),
        "ciphertext_hiding": policy.ciphertext_hiding_required(),
        "page_swap_disabled": policy.page_swap_disabled(),
    })
}

fn firmware(version: FirmwareVersion) -> String {
    format!("{}.{}.{}", version.major, version.minor, version.build)
}

fn vek(claims: &VekClaims) -> Value {
    json!({
        "kind": claims.kind.as_str(),
        "product": claims.product.as_str(),
        "tcb": tcb(&claims.tcb),
        "hwid": claims.hwid.as_deref().map(to_hex),
        "csp_id": claims.csp_id,
    })
}

fn tcb(tcb: &Tcb) -> Value {
    let components = tcb
        .components()
        .map(|(component, version)| (component.as_str().to_owned(), version.into()));
    Value::Object(components.collect())
}
