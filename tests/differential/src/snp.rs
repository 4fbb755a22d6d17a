//! What `sev` says of an SNP report and its certificates.

use std::panic::{AssertUnwindSafe, catch_unwind};

use sev::certs::snp::{Certificate, Chain, Verifiable};
use sev::firmware::guest::AttestationReport;
use sev::firmware::host::TcbVersion;
use sev::parser::ByteParser;

use attest_core::SnpCollateral;
use attest_core::snp::{Component, SnpReport, Tcb};

/// Its answer. It asks for no dates, no names, no certified TCB and no pinned root.
#[derive(Debug)]
pub enum Theirs {
    Signed(Box<AttestationReport>),
    /// It can be read, and the chain or the signature does not hold.
    Refused(Box<AttestationReport>),
    Unreadable,
    Panicked,
}

/// The chain to `ark`, and the report.
pub fn judge(report: &[u8], certificates: &SnpCollateral, ark: &[u8]) -> Theirs {
    judged(report, |read| {
        Chain::from_der(ark, &certificates.ask, &certificates.vek)
            .and_then(|chain| (&chain, read).verify())
    })
}

/// The report alone, under an endorsement key whose chain was judged before: RSA in Rust is slow.
pub fn judge_report(report: &[u8], vek: &[u8]) -> Theirs {
    judged(report, |read| {
        Certificate::from_der(vek).and_then(|vek| (&vek, read).verify())
    })
}

fn judged(report: &[u8], verify: impl FnOnce(&AttestationReport) -> std::io::Result<()>) -> Theirs {
    let judged = catch_unwind(AssertUnwindSafe(|| {
        let Ok(read) = AttestationReport::from_bytes(report) else {
            return Theirs::Unreadable;
        };
        match verify(&read) {
            Ok(()) => Theirs::Signed(Box::new(read)),
            Err(_) => Theirs::Refused(Box::new(read)),
        }
    }));
    judged.unwrap_or(Theirs::Panicked)
}

/// The fields that are not read alike.
pub fn differences(ours: &SnpReport, theirs: &AttestationReport) -> Vec<&'static str> {
    let fields: [(&str, bool); 16] = [
        ("version", ours.version == theirs.version),
        ("guest_svn", ours.guest_svn == theirs.guest_svn),
        ("policy", ours.policy.bits() == theirs.policy.0),
        ("family_id", ours.family_id == theirs.family_id),
        ("image_id", ours.image_id == theirs.image_id),
        ("vmpl", ours.vmpl == theirs.vmpl),
        (
            "platform_info",
            ours.platform_info.bits() == theirs.plat_info.0,
        ),
        ("report_data", ours.report_data == theirs.report_data),
        ("measurement", ours.measurement == theirs.measurement),
        ("host_data", ours.host_data == theirs.host_data),
        ("id_key_digest", ours.id_key_digest == theirs.id_key_digest),
        (
            "author_key_digest",
            ours.author_key_digest == theirs.author_key_digest,
        ),
        ("report_id", ours.report_id == theirs.report_id),
        ("report_id_ma", ours.report_id_ma == theirs.report_id_ma),
        ("chip_id", ours.chip_id == theirs.chip_id),
        (
            "author_key_enabled",
            ours.author_key_enabled == theirs.key_info.author_key_en(),
        ),
    ];
    let differ = fields.iter().filter(|(_, alike)| !alike);
    differ.map(|(name, _)| *name).collect()
}

/// The components of a TCB that are not read alike.
pub fn tcb_differences(ours: &Tcb, theirs: &TcbVersion) -> Vec<&'static str> {
    let components: [(&str, Option<u8>, Option<u8>); 5] = [
        ("fmc", ours.get(Component::Fmc), theirs.fmc),
        (
            "bootloader",
            ours.get(Component::BootLoader),
            Some(theirs.bootloader),
        ),
        ("tee", ours.get(Component::Tee), Some(theirs.tee)),
        ("snp", ours.get(Component::Snp), Some(theirs.snp)),
        (
            "microcode",
            ours.get(Component::Microcode),
            Some(theirs.microcode),
        ),
    ];
    let differ = components.iter().filter(|(_, ours, theirs)| ours != theirs);
    differ.map(|(name, ..)| *name).collect()
}
