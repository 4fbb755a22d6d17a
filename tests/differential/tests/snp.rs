//! SNP reports, certificates and layouts as `sev` sees them and as we do.

use ring::digest::{SHA384, digest};
use sev::firmware::host::{CertTableEntry, CertType};
use sev::measurement::snp::calc_snp_ovmf_hash;

use attest_core::snp::{CertTable, Product, SnpReport, Tcb};
use attest_core::{Appraiser, AttestationPolicy, Collateral, Verdict};
use differential::snp::{Theirs, differences, judge, judge_report, tcb_differences};
use differential::subjects::{Report, changed, reports};
use testkit::scratch::ScratchDir;

fn lenient() -> AttestationPolicy {
    AttestationPolicy::parse(
        "name = \"second opinion\"\n[snp]\nmeasurements = \"any\"\nkeys = [\"VCEK\", \"VLEK\"]\n\
         max_vmpl = 3\nallow_migration_agent = true\nallow_debug = true\n",
    )
    .expect("a policy")
}

fn ours(subject: &Report, bytes: &[u8]) -> Verdict {
    let collateral = Collateral::from(subject.certificates.clone());
    Appraiser {
        roots: &subject.roots,
        policy: &lenient(),
        collateral: Some(&collateral),
        now: subject.at,
    }
    .snp_report(bytes, &[])
}

fn passed(verdict: &Verdict, id: &str) -> bool {
    verdict.passed(id.parse().expect(id))
}

/// A version 2 report does not say which processor it is of. They guess it from the chip id, and
/// give up where a VLEK's report hides that.
fn cannot_be_asked(subject: &Report) -> bool {
    let version_2 = subject.bytes.first() == Some(&2);
    version_2 && subject.bytes[0x1A0..0x1E0].iter().all(|byte| *byte == 0)
}

#[test]
fn both_parse_reports_alike_and_reach_the_same_verdict() {
    let (mut compared, mut refused) = (0, 0);
    for subject in reports().expect("subjects") {
        let report = SnpReport::parse(&subject.bytes).expect("a report");
        let verdict = ours(&subject, &subject.bytes);
        let signed = ["snp.chain", "snp.report.signature"]
            .iter()
            .all(|id| passed(&verdict, id));
        let (theirs, holds) = match judge(&subject.bytes, &subject.certificates, &subject.ark) {
            Theirs::Signed(theirs) => (theirs, true),
            Theirs::Refused(theirs) => (theirs, false),
            other => {
                assert!(cannot_be_asked(&subject), "{}: {other:?}", subject.name);
                continue;
            }
        };
        assert_eq!(signed, holds, "{}", subject.name);
        assert_eq!(differences(&report, &theirs), [""; 0], "{}", subject.name);
        compared += 1;
        refused += usize::from(!holds);
        if let Some(product) = product(&report) {
            for (ours, theirs) in [
                (report.current_tcb, &theirs.current_tcb),
                (report.reported_tcb, &theirs.reported_tcb),
                (report.committed_tcb, &theirs.committed_tcb),
                (report.launch_tcb, &theirs.launch_tcb),
            ] {
                let ours = Tcb::decode(ours, product).expect("a TCB");
                assert_eq!(tcb_differences(&ours, theirs), [""; 0], "{}", subject.name);
            }
        }
    }
    println!("{compared} reports compared, {refused} of them refused by both");
    assert!(compared >= 8, "{compared}");
}

fn product(report: &SnpReport) -> Option<Product> {
    report.product()?.ok()
}

/// Where they refuse, we do. They accept more: no dates, no names, and a report written again from
/// what was read of it, so that a bit that neither reads may change.
#[test]
fn no_changed_report_is_accepted_by_us_alone() {
    let (mut shown, mut both_refused, mut by_them_alone) = (0, 0, 0);
    for subject in reports().expect("subjects") {
        if cannot_be_asked(&subject) {
            continue;
        }
        for bytes in changed(&subject.bytes, 101, 6) {
            let accepted = passed(&ours(&subject, &bytes), "snp.report.signature");
            shown += 1;
            match judge_report(&bytes, &subject.certificates.vek) {
                Theirs::Signed(_) => by_them_alone += usize::from(!accepted),
                other => {
                    both_refused += 1;
                    assert!(!accepted, "{}: {other:?}", subject.name);
                }
            }
        }
    }
    println!(
        "{shown} changed reports, {both_refused} refused by both, {by_them_alone} by us alone"
    );
    assert!(both_refused > 50, "{both_refused} of {shown}");
}

#[test]
fn no_changed_certificate_is_accepted_by_us_alone() {
    let mut both_refused = 0;
    for subject in reports().expect("subjects").into_iter().step_by(4) {
        if cannot_be_asked(&subject) {
            continue;
        }
        for vek in changed(&subject.certificates.vek, 331, 2) {
            let mut other = subject.certificates.clone();
            other.vek = vek;
            let theirs = judge(&subject.bytes, &other, &subject.ark);
            let verdict = ours(
                &Report {
                    certificates: other,
                    name: subject.name.clone(),
                    bytes: subject.bytes.clone(),
                    ark: subject.ark.clone(),
                    roots: subject.roots.clone(),
                    at: subject.at,
                },
                &subject.bytes,
            );
            if !matches!(theirs, Theirs::Signed(_)) {
                both_refused += 1;
                assert!(
                    !passed(&verdict, "snp.report.signature"),
                    "{}",
                    subject.name
                );
            }
        }
    }
    assert!(both_refused > 10, "{both_refused}");
}

#[test]
fn parses_a_certificate_table_written_by_sev() {
    let subject = reports().expect("subjects").remove(0);
    let entries = [
        (CertType::VCEK, subject.certificates.vek.clone()),
        (CertType::ASK, subject.certificates.ask.clone()),
        (CertType::ARK, subject.ark.clone()),
    ]
    .map(|(kind, der)| CertTableEntry::new(kind, der));
    let bytes = CertTableEntry::cert_table_to_vec_bytes(&entries).expect("a table");
    let table = CertTable::parse(&bytes).expect("a table");
    assert_eq!(table.vcek, Some(subject.certificates.vek));
    assert_eq!(table.ask, Some(subject.certificates.ask));
    assert_eq!(table.ark, Some(subject.ark));
    assert_eq!((table.vlek, table.crl), (None, None));
}

/// The launch digest, written a second time after AMD publication 56860, §8.17.2: SHA-384 over the
/// digest before, the page's digest and 16 bytes about the page. Our image's measurement will rest
/// on it; nothing that is shipped computes one yet.
#[test]
fn computes_the_launch_digest_page_by_page_like_sev() {
    const NORMAL: u8 = 1;
    let mut firmware = [[0x11; 4096], [0x22; 4096]].concat();
    let end = firmware.len() - 32;
    // OVMF's table ends here, read from its end: its own entry, and where the metadata lies, counted
    // from the end of the firmware: a header with no sections.
    firmware[..16].copy_from_slice(b"ASEV\x10\0\0\0\x01\0\0\0\0\0\0\0");
    let metadata = [
        &8192u32.to_le_bytes()[..],
        &22u16.to_le_bytes(),
        b"\x66\x65\x88\xdc\x4a\x98\x98\x47\xa7\x5e\x55\x85\xa7\xbf\x67\xcc",
        &40u16.to_le_bytes(),
        b"\xde\x82\xb5\x96\xb2\x1f\xf7\x45\xba\xea\xa3\x66\xc5\x5a\x08\x2d",
    ]
    .concat();
    firmware[end - metadata.len()..end].copy_from_slice(&metadata);
    // Firmware ends where 32 bits do.
    let gpa = (1u64 << 32) - firmware.len() as u64;
    let mut ours = [0; 48];
    for (place, page) in firmware.chunks(4096).enumerate() {
        let at = gpa + 4096 * place as u64;
        let info = [
            &ours[..],
            digest(&SHA384, page).as_ref(),
            &0x70u16.to_le_bytes(),
            &[NORMAL, 0, 0, 0, 0, 0],
            &at.to_le_bytes(),
        ]
        .concat();
        assert_eq!(info.len(), 0x70);
        ours = digest(&SHA384, &info)
            .as_ref()
            .try_into()
            .expect("48 bytes");
    }
    let scratch = ScratchDir::new("differential").expect("a folder");
    let file = scratch.write("firmware.bin", &firmware).expect("a file");
    let theirs = calc_snp_ovmf_hash(file).expect("whole pages");
    assert_eq!(theirs.get_hex_ld(), attest_core::to_hex(&ours));
}
