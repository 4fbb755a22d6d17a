//! The fields of a policy that can be stated as flags, all of `[tdx]`, `[snp]`, `[nvidia]` and
//! `[event_log]`. `policies/attestation/README.md` says what each means.

/// How a field's value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A list of accepted values; the flag may be repeated.
    Accepted,
    /// One value.
    Text,
    /// A number.
    Number,
    /// A switch; the flag sets it to this value, which is not the default.
    Turned(bool),
    /// Entries of a table of numbers, `NAME=NUMBER`; the flag may be repeated.
    Entry,
}

#[derive(Debug)]
pub(super) struct Field {
    pub(super) flag: &'static str,
    pub(super) section: &'static str,
    pub(super) field: &'static str,
    pub(super) kind: Kind,
}

const fn field(
    flag: &'static str,
    section: &'static str,
    field: &'static str,
    kind: Kind,
) -> Field {
    Field {
        flag,
        section,
        field,
        kind,
    }
}

use Kind::{Accepted, Entry, Number, Text, Turned};

pub(super) const FIELDS: &[Field] = &[
    field("mrtd", "tdx", "mrtd", Accepted),
    field("rtmr0", "tdx", "rtmr0", Accepted),
    field("rtmr1", "tdx", "rtmr1", Accepted),
    field("rtmr2", "tdx", "rtmr2", Accepted),
    field("rtmr3", "tdx", "rtmr3", Accepted),
    field("mrseam", "tdx", "mrseam", Accepted),
    field("mrsignerseam", "tdx", "mrsignerseam", Accepted),
    field("seam-attributes", "tdx", "seam_attributes", Accepted),
    field("mrconfigid", "tdx", "mrconfigid", Accepted),
    field("mrowner", "tdx", "mrowner", Accepted),
    field("mrownerconfig", "tdx", "mrownerconfig", Accepted),
    field("mrservicetd", "tdx", "mrservicetd", Accepted),
    field("td-attributes", "tdx", "td_attributes", Accepted),
    field("xfam", "tdx", "xfam", Accepted),
    field("xfam-mask", "tdx", "xfam_mask", Text),
    field("xfam-allowed", "tdx", "xfam_allowed", Text),
    field("ppid", "tdx", "ppid", Accepted),
    field("fmspc", "tdx", "fmspc", Accepted),
    field("pce-id", "tdx", "pce_id", Accepted),
    field("min-tee-tcb-svn", "tdx", "min_tee_tcb_svn", Text),
    field("min-tee-tcb-svn2", "tdx", "min_tee_tcb_svn2", Text),
    field("min-qe-svn", "tdx", "min_qe_svn", Number),
    field("min-pce-svn", "tdx", "min_pce_svn", Number),
    field("tcb-status", "tdx", "tcb_statuses", Accepted),
    field("deny-advisory", "tdx", "denied_advisories", Accepted),
    field("grace-days", "tdx", "grace_days", Entry),
    field(
        "min-tcb-evaluation-data-number",
        "tdx",
        "min_tcb_evaluation_data_number",
        Number,
    ),
    field("max-collateral-age", "tdx", "max_collateral_age", Text),
    field("allow-debug-td", "tdx", "allow_debug", Turned(true)),
    field("allow-service-td", "tdx", "allow_service_td", Turned(true)),
    field("trailing-bytes", "tdx", "trailing_bytes", Text),
    field("measurement", "snp", "measurement", Accepted),
    field("host-data", "snp", "host_data", Accepted),
    field("id-key-digest", "snp", "id_key_digest", Accepted),
    field("author-key-digest", "snp", "author_key_digest", Accepted),
    field("family-id", "snp", "family_id", Accepted),
    field("image-id", "snp", "image_id", Accepted),
    field("min-guest-svn", "snp", "min_guest_svn", Number),
    field("chip-id", "snp", "chip_id", Accepted),
    field("product", "snp", "products", Accepted),
    field("key-kind", "snp", "keys", Accepted),
    field("csp-id", "snp", "csp_id", Accepted),
    field("max-vmpl", "snp", "max_vmpl", Number),
    field("allow-debug-guest", "snp", "allow_debug", Turned(true)),
    field(
        "allow-migration-agent",
        "snp",
        "allow_migration_agent",
        Turned(true),
    ),
    field("deny-smt", "snp", "allow_smt", Turned(false)),
    field(
        "require-guest-policy",
        "snp",
        "require_guest_policy",
        Accepted,
    ),
    field("require-platform", "snp", "require_platform", Accepted),
    field("require-crl", "snp", "require_crl", Turned(true)),
    field("max-crl-age", "snp", "max_crl_age", Text),
    field("min-tcb-milan", "snp", "min_tcb.milan", Entry),
    field("min-tcb-genoa", "snp", "min_tcb.genoa", Entry),
    field("min-tcb-turin", "snp", "min_tcb.turin", Entry),
    field("gpu-count", "nvidia", "gpus", Number),
    field("min-gpus", "nvidia", "min_gpus", Number),
    field("switch-count", "nvidia", "switches", Number),
    field("architecture", "nvidia", "architectures", Accepted),
    field("rims", "nvidia", "rims", Text),
    field("rim-digest", "nvidia", "rim_digests", Accepted),
    field("rim-signer-dates", "nvidia", "rim_signer_dates", Text),
    field("rim-revocation", "nvidia", "rim_ocsp", Text),
    field("driver-version", "nvidia", "driver_versions", Accepted),
    field("vbios-version", "nvidia", "vbios_versions", Accepted),
    field("gpu-mode", "nvidia", "modes", Accepted),
    field("gpu-revocation", "nvidia", "ocsp", Text),
    field("max-ocsp-age", "nvidia", "ocsp_max_age", Text),
    field(
        "allow-missing-fwid",
        "nvidia",
        "allow_missing_fwid",
        Turned(true),
    ),
    field("topology", "nvidia", "topology", Text),
    field("gpu-trailing-bytes", "nvidia", "trailing_bytes", Text),
    field("require-event-log", "event_log", "required", Turned(true)),
    field("event-log-register", "event_log", "registers", Accepted),
    field("app-id", "event_log", "app_id", Accepted),
    field("compose-hash", "event_log", "compose_hash", Accepted),
    field("os-image-hash", "event_log", "os_image_hash", Accepted),
    field("secure-boot", "event_log", "secure_boot", Turned(true)),
];

/// The flags that pin a workload: each pins a measurement of the code that runs. Values that the operator may choose
/// freely, and minimum versions, do not.
pub(super) const PINS_A_WORKLOAD: [&str; 9] = [
    "mrtd",
    "rtmr0",
    "rtmr1",
    "rtmr2",
    "rtmr3",
    "measurement",
    "rim-digest",
    "driver-version",
    "vbios-version",
];

/// With one of these fields, the `[tdx]` section is partly pinned.
pub(super) const TD_MEASUREMENTS: [&str; 11] = [
    "mrtd",
    "rtmr0",
    "rtmr1",
    "rtmr2",
    "rtmr3",
    "mrseam",
    "mrsignerseam",
    "mrconfigid",
    "mrowner",
    "mrownerconfig",
    "mrservicetd",
];
