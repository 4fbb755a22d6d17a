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

/// Writes that policy to a file.
pub fn write_policy(path: &Path, name: &str, td: &TdMeasurements) -> std::io::Result<()> {
    std::fs::write(path, pinned_policy(name, td))
}
