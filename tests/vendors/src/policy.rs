//! Attestation policies pinned to what the software platform runs.

use std::path::Path;

use attest_core::to_hex;

use crate::measurements::TdMeasurements;

/// A policy called `name` that accepts exactly `td`, on an up-to-date platform.
pub fn pinned_policy(name: &str, td: &TdMeasurements) -> String {
    let mut text = format!("name = \"{name}\"\n\n[tdx]\nmeasurements = \"pinned\"\n");
    let registers = [
        ("mrtd", &td.mr_td),
        ("rtmr0", &td.rtmr[0]),
        ("rtmr1", &td.rtmr[1]),
        ("rtmr2", &td.rtmr[2]),
        ("rtmr3", &td.rtmr[3]),
        ("mrseam", &td.mr_seam),
    ];
    for (register, value) in registers {
        text.push_str(&format!("{register} = [\"{}\"]\n", to_hex(value)));
    }
    text.push_str("tcb_statuses = [\"UpToDate\"]\n");
    text
}

/// A policy called `name` that accepts exactly the SEV-SNP guest called `guest`, not revoked.
pub fn pinned_snp_policy(name: &str, guest: &str) -> String {
    let measurement = to_hex(&crate::amd::report::measurement(guest));
    format!(
        "name = \"{name}\"\n\n[snp]\nmeasurements = \"pinned\"\nmeasurement = [\"{measurement}\"]\nrequire_crl = true\n"
    )
}

/// The section of a policy that asks for `count` GPUs whose every measurement and certificate is
/// accounted for. The mock's revocation answers are a day old.
pub fn gpu_section(count: usize) -> String {
    format!(
        "\n[nvidia]\nrequired = true\ngpus = {count}\narchitectures = [\"HOPPER\"]\nrims = \"required\"\nocsp = \"required\"\nocsp_max_age = \"48h\"\n"
    )
}

/// The section of a policy that asks for an event log, and Secure Boot in it.
pub const EVENT_LOG_SECTION: &str = "\n[event_log]\nrequired = true\nsecure_boot = true\n";

/// Writes that policy to a file.
pub fn write_policy(path: &Path, name: &str, td: &TdMeasurements) -> std::io::Result<()> {
    std::fs::write(path, pinned_policy(name, td))
}
