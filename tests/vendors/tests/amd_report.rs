//! Reports of the mock AMD against the verifier: what they say is read back, and each bent field
//! fails the one check that it breaks.

use attest_core::UnixTime;
use attest_core::snp::{
    CertTable, CertTableError, Component, EndorsementError, GuestPolicyError, HclError, HclReport,
    Product, ReportSignatureError, ReservedTcbBytes, SIGNED_LEN, SnpFormatError, SnpReport,
    VekKind, VerifiedVek, check_hardware_id, check_key_kind, check_product, check_tcb,
    verify_chain, verify_signature,
};
use vendors::amd::knobs::{Claims, EndorsementKey, Knobs, Processor, ReportSigner, SignatureField};
use vendors::amd::report::{GuestReport, POLICY, POLICY_DEBUG, POLICY_MIGRATION_AGENT};
use vendors::amd::{MockAmd, SecurityVersions, tables};

const NOW: u64 = 1_790_000_000;
const SEED: [u8; 32] = [7; 32];
const DATA: [u8; 64] = [9; 64];

fn machine(processor: Processor, key: EndorsementKey) -> MockAmd {
    MockAmd::healthy(&SEED, processor, key, NOW)
}

fn milan(bend: impl FnOnce(&mut Knobs)) -> MockAmd {
    let mut knobs = Knobs::healthy(Processor::Milan, EndorsementKey::Vcek);
    bend(&mut knobs);
    MockAmd::new(&SEED, knobs, NOW)
}

fn vek(machine: &MockAmd) -> VerifiedVek {
    let product = match machine.knobs().processor {
        Processor::Milan => Product::Milan,
        Processor::Genoa | Processor::Siena => Product::Genoa,
        Processor::Turin => Product::Turin,
    };
    let now = UnixTime::from_secs(NOW);
    verify_chain(machine.vek(), machine.ask(), machine.ark(), product, now).expect("a good chain")
}

/// A report of `machine`, bent before it is signed.
fn report(machine: &MockAmd, bend: impl FnOnce(&mut GuestReport)) -> SnpReport {
    let mut guest = machine.guest("enclave", &DATA);
    bend(&mut guest);
    SnpReport::parse(&machine.sign(&guest)).expect("a readable report")
}

/// Everything that holds a report against its endorsement, in order; the first refusal.
fn endorsement(report: &SnpReport, vek: &VerifiedVek) -> Result<(), EndorsementError> {
    check_key_kind(report, vek)?;
    check_product(report, vek)?;
    check_hardware_id(report, vek)?;
    check_tcb(report, vek).map(drop)
}

#[test]
fn every_version_product_and_kind_of_key_is_accepted() {
    for processor in Processor::ALL {
        for key in [EndorsementKey::Vcek, EndorsementKey::Vlek] {
            let machine = machine(processor, key);
            let vek = vek(&machine);
            for version in 2..=5 {
                let report = report(&machine, |guest| guest.version = version);
                assert_eq!(report.version, version);
                assert_eq!(verify_signature(&report, &vek), Ok(()));
                assert_eq!(endorsement(&report, &vek), Ok(()));
                assert_eq!(check_tcb(&report, &vek), Ok(vek.claims().tcb));
            }
        }
    }
}

#[test]
fn every_field_is_read_back() {
    let machine = machine(Processor::Turin, EndorsementKey::Vcek);
    let mut guest = machine.guest("enclave", &DATA);
    guest.version = 5;
    guest.guest_svn = 3;
    guest.policy = POLICY | 0x0137;
    guest.family_id = [1; 16];
    guest.image_id = [2; 16];
    guest.vmpl = 1;
    guest.current_tcb = [3; 8];
    guest.platform_info = 0x2B;
    guest.key_info = 0b11;
    guest.host_data = [4; 32];
    guest.id_key_digest = [5; 48];
    guest.author_key_digest = [6; 48];
    guest.committed_tcb = [7; 8];
    guest.launch_tcb = [8; 8];
    guest.current_firmware = [9, 10, 11];
    guest.committed_firmware = [12, 13, 14];
    guest.mitigations = [15, 16];
    let read = SnpReport::parse(&machine.sign(&guest)).unwrap();

    assert_eq!(read.guest_svn, 3);
    assert_eq!(read.policy.bits(), POLICY | 0x0137);
    assert_eq!(read.policy.minimum_abi(), (1, 0x37));
    assert_eq!((read.family_id, read.image_id), ([1; 16], [2; 16]));
    assert_eq!(read.vmpl, 1);
    assert_eq!((read.current_tcb, read.committed_tcb), ([3; 8], [7; 8]));
    assert_eq!(read.launch_tcb, [8; 8]);
    assert_eq!(read.reported_tcb, [1, 4, 2, 24, 0, 0, 0, 219]);
    assert_eq!(read.platform_info.bits(), 0x2B);
    assert!(read.author_key_enabled && read.chip_key_masked);
    assert_eq!(read.signing_key, VekKind::Vcek);
    assert_eq!(read.report_data, DATA);
    assert_eq!(
        read.measurement,
        vendors::amd::report::measurement("enclave")
    );
    assert_eq!(read.host_data, [4; 32]);
    assert_eq!(read.id_key_digest, [5; 48]);
    assert_eq!(read.author_key_digest, [6; 48]);
    assert_eq!(read.report_id, guest.report_id);
    assert_eq!(read.report_id_ma, [0xFF; 32]);
    assert_eq!(read.cpuid, Some([0x1A, 0x02, 0x01]));
    assert_eq!(read.chip_id, *machine.chip_id());
    let version = |firmware: attest_core::snp::FirmwareVersion| {
        (firmware.major, firmware.minor, firmware.build)
    };
    assert_eq!(version(read.current_firmware), (11, 10, 9));
    assert_eq!(version(read.committed_firmware), (14, 13, 12));
    assert_eq!(read.mitigations, Some([15, 16]));
}

#[test]
fn unknown_versions_algorithms_and_keys_are_refused() {
    let machine = machine(Processor::Milan, EndorsementKey::Vcek);
    let refusal = |bend: &dyn Fn(&mut GuestReport)| {
        let mut guest = machine.guest("enclave", &DATA);
        bend(&mut guest);
        SnpReport::parse(&machine.sign(&guest)).expect_err("refused")
    };
    for version in [0, 1, 6] {
        assert_eq!(
            refusal(&|guest| guest.version = version),
            SnpFormatError::Version(version)
        );
    }
    assert_eq!(
        refusal(&|guest| guest.signature_algorithm = 2),
        SnpFormatError::SignatureAlgorithm(2)
    );
    for key in 2..=7 {
        assert_eq!(
            refusal(&|guest| guest.key_info = u32::from(key) << 2),
            SnpFormatError::SigningKey(key)
        );
    }
}

#[test]
fn rejects_a_report_signed_by_another_key_or_edited_after_signing() {
    let impostor = milan(|knobs| knobs.report_signer = ReportSigner::Impostor);
    let signed = report(&impostor, |_| {});
    assert_eq!(
        verify_signature(&signed, &vek(&impostor)),
        Err(ReportSignatureError::Signature)
    );
    let machine = milan(|_| {});
    let mut bytes = machine.report("enclave", &DATA);
    bytes[0x90] ^= 1;
    let edited = SnpReport::parse(&bytes).unwrap();
    assert_eq!(
        verify_signature(&edited, &vek(&machine)),
        Err(ReportSignatureError::Signature)
    );
    bytes[0x90] ^= 1;
    let restored = SnpReport::parse(&bytes).unwrap();
    assert_eq!(verify_signature(&restored, &vek(&machine)), Ok(()));
}

#[test]
fn rejects_noncanonical_signatures() {
    for (spelling, error) in [
        (SignatureField::HighByteOfR, ReportSignatureError::Encoding),
        (SignatureField::HighByteOfS, ReportSignatureError::Encoding),
        (SignatureField::ReservedByte, ReportSignatureError::Encoding),
        (SignatureField::BigEndian, ReportSignatureError::Signature),
    ] {
        let machine = milan(|knobs| knobs.signature_field = spelling);
        let signed = report(&machine, |_| {});
        assert_eq!(
            verify_signature(&signed, &vek(&machine)),
            Err(error),
            "{spelling:?}"
        );
    }
}

#[test]
fn rejects_a_report_that_names_another_kind_of_signing_key() {
    for (key, named, reported, certified) in [
        (EndorsementKey::Vcek, 1, VekKind::Vlek, VekKind::Vcek),
        (EndorsementKey::Vlek, 0, VekKind::Vcek, VekKind::Vlek),
    ] {
        let machine = machine(Processor::Genoa, key);
        let report = report(&machine, |guest| guest.key_info = named << 2);
        assert_eq!(
            endorsement(&report, &vek(&machine)),
            Err(EndorsementError::KeyKind {
                reported,
                certified
            })
        );
    }
}

#[test]
fn rejects_a_processor_of_another_product_if_the_report_states_it() {
    let machine = machine(Processor::Milan, EndorsementKey::Vcek);
    let vek = vek(&machine);
    for cpuid in [
        Processor::Genoa.cpuid(),
        Processor::Turin.cpuid(),
        [6, 143, 8],
    ] {
        let certified = Product::Milan;
        let other = report(&machine, |guest| guest.cpuid = cpuid);
        assert_eq!(
            endorsement(&other, &vek),
            Err(EndorsementError::Product { certified })
        );
        let silent = report(&machine, |guest| {
            guest.version = 2;
            guest.cpuid = cpuid;
        });
        assert_eq!(silent.cpuid, None);
        assert_eq!(endorsement(&silent, &vek), Ok(()));
    }
}

#[test]
fn rejects_a_vcek_of_another_chip() {
    for processor in [Processor::Milan, Processor::Turin] {
        let machine = machine(processor, EndorsementKey::Vcek);
        let vek = vek(&machine);
        for byte in [0, processor.hwid_len() - 1, 63] {
            let other = report(&machine, |guest| guest.chip_id[byte] ^= 1);
            assert_eq!(
                endorsement(&other, &vek),
                Err(EndorsementError::HardwareId),
                "{processor:?} {byte}"
            );
        }
        let masked = report(&machine, |guest| guest.chip_id = [0; 64]);
        assert_eq!(
            endorsement(&masked, &vek),
            Err(EndorsementError::ChipIdMasked)
        );
    }
    let other = milan(|knobs| knobs.claims = Claims::AnotherChip);
    assert_eq!(
        endorsement(&report(&other, |_| {}), &vek(&other)),
        Err(EndorsementError::HardwareId)
    );
}

#[test]
fn rejects_a_hardware_id_that_does_not_match_the_kind_of_key() {
    let chip_key_of_no_chip = milan(|knobs| knobs.claims = Claims::NoHardwareId);
    let mut knobs = Knobs::healthy(Processor::Milan, EndorsementKey::Vlek);
    knobs.claims = Claims::HardwareIdInLoadedKey;
    let loaded_key_of_a_chip = MockAmd::new(&SEED, knobs, NOW);
    for machine in [chip_key_of_no_chip, loaded_key_of_a_chip] {
        assert_eq!(
            endorsement(&report(&machine, |_| {}), &vek(&machine)),
            Err(EndorsementError::HardwareIdPresence)
        );
    }
}

#[test]
fn each_tcb_component_is_compared_with_the_certificate() {
    type Bend = fn(&mut SecurityVersions);
    let components: [(Component, u8, Bend); 5] = [
        (Component::Fmc, 1, |tcb| tcb.fmc += 1),
        (Component::BootLoader, 4, |tcb| tcb.boot_loader += 1),
        (Component::Tee, 2, |tcb| tcb.tee += 1),
        (Component::Snp, 24, |tcb| tcb.snp += 1),
        (Component::Microcode, 219, |tcb| tcb.microcode += 1),
    ];
    for processor in [Processor::Milan, Processor::Genoa, Processor::Turin] {
        let machine = machine(processor, EndorsementKey::Vcek);
        for (component, certified, bend) in components {
            if component == Component::Fmc && processor != Processor::Turin {
                continue;
            }
            let mut claimed = SecurityVersions::CURRENT;
            bend(&mut claimed);
            let boastful = report(&machine, |guest| {
                guest.reported_tcb = claimed.raw(processor);
            });
            assert_eq!(
                endorsement(&boastful, &vek(&machine)),
                Err(EndorsementError::Tcb {
                    component,
                    reported: certified + 1,
                    certified
                })
            );
        }
    }
}

#[test]
fn rejects_reserved_bytes_in_the_reported_tcb() {
    for (processor, reserved) in [(Processor::Milan, 2..=5), (Processor::Turin, 4..=6)] {
        let machine = machine(processor, EndorsementKey::Vcek);
        for byte in reserved {
            let report = report(&machine, |guest| guest.reported_tcb[byte] = 1);
            assert_eq!(
                endorsement(&report, &vek(&machine)),
                Err(EndorsementError::ReportedTcb(ReservedTcbBytes))
            );
        }
    }
}

#[test]
fn reports_policy_platform_and_privilege_as_signed() {
    let machine = machine(Processor::Milan, EndorsementKey::Vcek);
    let plain = report(&machine, |_| {});
    assert_eq!(plain.policy.check_reserved(), Ok(()));
    assert!(plain.policy.smt_allowed() && !plain.policy.debug_allowed());
    assert!(!plain.policy.migration_agent_allowed());
    assert!(plain.platform_info.smt_enabled() && plain.platform_info.alias_check_complete());
    assert_eq!(plain.vmpl, 0);

    let open = report(&machine, |guest| guest.policy |= POLICY_DEBUG);
    assert!(open.policy.debug_allowed());
    let movable = report(&machine, |guest| guest.policy |= POLICY_MIGRATION_AGENT);
    assert!(movable.policy.migration_agent_allowed());
    let zero = report(&machine, |guest| guest.policy &= !(1 << 17));
    assert_eq!(
        zero.policy.check_reserved(),
        Err(GuestPolicyError::ReservedOne)
    );
    for bit in 26..64 {
        let set = report(&machine, |guest| guest.policy |= 1 << bit);
        assert_eq!(
            set.policy.check_reserved(),
            Err(GuestPolicyError::ReservedZero(1 << bit))
        );
    }
    let bare = report(&machine, |guest| guest.platform_info = 0);
    assert!(!bare.platform_info.smt_enabled() && !bare.platform_info.ecc_enabled());
    assert_eq!(report(&machine, |guest| guest.vmpl = 3).vmpl, 3);
}

#[test]
fn reads_the_chain_from_the_hosts_certificate_table() {
    for key in [EndorsementKey::Vcek, EndorsementKey::Vlek] {
        let machine = machine(Processor::Milan, key);
        let table = CertTable::parse(&machine.certificate_table()).unwrap();
        let (given, other) = match key {
            EndorsementKey::Vcek => (table.vcek, table.vlek),
            EndorsementKey::Vlek => (table.vlek, table.vcek),
        };
        assert_eq!(given.as_deref(), Some(machine.vek()));
        assert_eq!(other, None);
        assert_eq!(table.ask.as_deref(), Some(machine.ask()));
        assert_eq!(table.ark.as_deref(), Some(machine.ark()));
        assert_eq!(table.crl, None);
    }
    let crl = machine(Processor::Milan, EndorsementKey::Vcek).crl();
    let table = tables::certificate_table(&[(tables::CRL, &crl), ([1; 16], b"unknown")]);
    assert_eq!(CertTable::parse(&table).unwrap().crl, Some(crl));
}

#[test]
fn rejects_a_truncated_or_duplicated_certificate_table() {
    let machine = machine(Processor::Milan, EndorsementKey::Vcek);
    let table = machine.certificate_table();
    let short = &table[..table.len() - 1];
    assert_eq!(CertTable::parse(short), Err(CertTableError::OutOfBounds));
    let endless = [&tables::ASK[..], &[0; 8]].concat();
    assert_eq!(
        CertTable::parse(&endless),
        Err(CertTableError::Unterminated)
    );
    let twice = tables::certificate_table(&[(tables::ASK, b"a"), (tables::ASK, b"b")]);
    assert_eq!(CertTable::parse(&twice), Err(CertTableError::Repeated));
    let long = [table, vec![0; 64 << 10]].concat();
    assert_eq!(CertTable::parse(&long), Err(CertTableError::TooLong));
}

#[test]
fn an_azure_report_commits_to_its_claims() {
    let machine = machine(Processor::Genoa, EndorsementKey::Vcek);
    let claims = br#"{"keys":[]}"#;
    let report = machine.report("enclave", &tables::commitment(claims));
    let frame = tables::Hcl::around(claims);
    let read = HclReport::parse(&frame.wrap(&report)).unwrap();
    assert_eq!(read.claims, claims);
    assert_eq!(read.report, SnpReport::parse(&report).unwrap());
    assert_eq!(verify_signature(&read.report, &vek(&machine)), Ok(()));

    let refusal = |bend: &dyn Fn(&mut tables::Hcl)| {
        let mut frame = frame.clone();
        bend(&mut frame);
        HclReport::parse(&frame.wrap(&report)).expect_err("refused")
    };
    assert_eq!(refusal(&|hcl| hcl.signature = *b"HCLB"), HclError::NotHcl);
    assert_eq!(refusal(&|hcl| hcl.report_type = 4), HclError::ReportType(4));
    assert_eq!(refusal(&|hcl| hcl.hash_type = 2), HclError::HashType(2));
    assert_eq!(refusal(&|hcl| hcl.claims_len = 4000), HclError::Truncated);
    assert_eq!(refusal(&|hcl| hcl.claims_len -= 1), HclError::Claims);
    assert_eq!(refusal(&|hcl| hcl.claims[2] ^= 1), HclError::Claims);

    let nonce = machine.report("enclave", &DATA);
    assert_eq!(HclReport::parse(&frame.wrap(&nonce)), Err(HclError::Claims));
    let mut more = tables::commitment(claims);
    more[63] = 1;
    assert_eq!(
        HclReport::parse(&frame.wrap(&machine.report("enclave", &more))),
        Err(HclError::Claims)
    );
    let mut unsigned = report;
    unsigned[0x34] = 0;
    assert_eq!(
        HclReport::parse(&frame.wrap(&unsigned)),
        Err(HclError::Report(SnpFormatError::SignatureAlgorithm(0)))
    );
}

#[test]
fn rejects_a_report_with_any_flipped_bit() {
    let machine = machine(Processor::Milan, EndorsementKey::Vcek);
    let vek = vek(&machine);
    let report = machine.report("enclave", &DATA);
    let bits = 8 * report.len();
    // Exhaustive where the code is optimised, a sample where it is not.
    let step = if cfg!(debug_assertions) { 37 } else { 1 };
    for bit in (0..bits).step_by(step) {
        let mut flipped = report.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let Ok(parsed) = SnpReport::parse(&flipped) else {
            assert!(bit / 8 < SIGNED_LEN, "bit {bit}");
            continue;
        };
        assert!(verify_signature(&parsed, &vek).is_err(), "bit {bit}");
    }
}
