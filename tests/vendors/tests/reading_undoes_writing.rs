//! Whatever a vendor's format can say, the verifier reads as it was written: parse∘encode over any
//! field values, with the mock vendors' encoders, which share no code with the parsers.

use std::sync::LazyLock;

use proptest::array::uniform4;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use attest_core::event_log::EventLog;
use attest_core::nvidia::{Rim, SpdmEvidence};
use attest_core::snp::{CertTable, HclReport, SnpReport, VekKind};
use attest_core::tdx::decode;
use vendors::TdMeasurements;
use vendors::amd::MockAmd;
use vendors::amd::knobs::{EndorsementKey, Processor};
use vendors::amd::report::GuestReport;
use vendors::amd::tables::{self, Hcl, commitment};
use vendors::event_log::{Event, ccel, dstack, registers};
use vendors::intel::MockIntel;
use vendors::intel::knobs::Knobs;
use vendors::nvidia::evidence::{Block, Evidence};
use vendors::nvidia::knobs::ManifestKnobs;
use vendors::nvidia::{Chip, Device, MockNvidia, Source};

const SEED: [u8; 32] = [9; 32];
const NOW: u64 = 1_790_000_000;

static INTEL: LazyLock<MockIntel> = LazyLock::new(|| MockIntel::new(&SEED, Knobs::default(), NOW));
static AMD: LazyLock<MockAmd> =
    LazyLock::new(|| MockAmd::healthy(&SEED, Processor::Milan, EndorsementKey::Vcek, NOW));
static NVIDIA: LazyLock<MockNvidia> = LazyLock::new(|| MockNvidia::new(&SEED, NOW));
static GPU: LazyLock<Device> = LazyLock::new(|| NVIDIA.healthy(Chip::Hopper, "properties"));

fn bytes<const N: usize>() -> impl Strategy<Value = [u8; N]> {
    vec(any::<u8>(), N).prop_map(|bytes| bytes.try_into().expect("so many"))
}

prop_compose! {
    fn td()(
        measured in (bytes::<48>(), uniform4(bytes::<48>()), bytes::<48>()),
        configured in (bytes::<48>(), bytes::<48>(), bytes::<48>()),
        attributes in any::<u64>(),
        xfam in any::<u64>(),
        service_td in proptest::option::of(bytes::<48>()),
    ) -> TdMeasurements {
        let (mr_td, rtmr, mr_seam) = measured;
        let (mr_config_id, mr_owner, mr_owner_config) = configured;
        TdMeasurements {
            mr_td, rtmr, mr_seam, mr_config_id, mr_owner, mr_owner_config, attributes, xfam,
            service_td,
        }
    }
}

prop_compose! {
    fn guest()(
        numbers in (2u32..=5, any::<u32>(), any::<u32>()),
        policy in any::<u64>(),
        platform_info in any::<u64>(),
        key_info in (any::<bool>(), any::<bool>(), any::<bool>()),
        data in (bytes::<64>(), bytes::<48>(), bytes::<32>()),
        keys in (bytes::<48>(), bytes::<48>()),
        ids in (bytes::<16>(), bytes::<16>(), bytes::<32>(), bytes::<32>(), bytes::<64>()),
        tcbs in uniform4(bytes::<8>()),
        chip in (bytes::<3>(), bytes::<3>(), bytes::<3>()),
        mitigations in any::<[u64; 2]>(),
    ) -> GuestReport {
        let (version, guest_svn, vmpl) = numbers;
        let (author, masked, loaded) = key_info;
        let (report_data, measurement, host_data) = data;
        let (id_key_digest, author_key_digest) = keys;
        let (family_id, image_id, report_id, report_id_ma, chip_id) = ids;
        let [current_tcb, reported_tcb, committed_tcb, launch_tcb] = tcbs;
        let (cpuid, current_firmware, committed_firmware) = chip;
        GuestReport {
            version, guest_svn, policy, family_id, image_id, vmpl, signature_algorithm: 1,
            current_tcb, platform_info,
            key_info: u32::from(author) | u32::from(masked) << 1 | u32::from(loaded) << 2,
            report_data, measurement, host_data, id_key_digest, author_key_digest, report_id,
            report_id_ma, reported_tcb, cpuid, chip_id, committed_tcb, current_firmware,
            committed_firmware, launch_tcb, mitigations,
        }
    }
}

fn event() -> impl Strategy<Value = Event> {
    let payload = || vec(any::<u8>(), 0..60);
    prop_oneof![
        // RTMR3 is for runtime events in logs of dstack.
        (0u8..3, Just(4u32), payload())
            .prop_map(|(register, kind, payload)| Event::boot(register, kind, &payload)),
        ("[a-z-]{1,12}", payload()).prop_map(|(name, payload)| Event::runtime(&name, &payload)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_quote_contains_the_measurements_of_the_td(td in td(), report_data in bytes::<64>()) {
        let quote = INTEL.quote(&td, &report_data);
        let facts = decode(&quote).expect("a quote").expect("of a TD");
        let body = &facts.body;
        prop_assert_eq!(facts.version, if td.service_td.is_some() { 5 } else { 4 });
        prop_assert_eq!(body.mrtd, td.mr_td);
        prop_assert_eq!(body.rtmr, td.rtmr);
        prop_assert_eq!(body.mrseam, td.mr_seam);
        prop_assert_eq!(body.mrconfigid, td.mr_config_id);
        prop_assert_eq!(body.mrowner, td.mr_owner);
        prop_assert_eq!(body.mrownerconfig, td.mr_owner_config);
        prop_assert_eq!(body.td_attributes, td.attributes.to_le_bytes());
        prop_assert_eq!(body.xfam, td.xfam.to_le_bytes());
        prop_assert_eq!(body.report_data, report_data);
        prop_assert_eq!(body.td15.as_ref().map(|td15| td15.mrservicetd), td.service_td);
        prop_assert_eq!(facts.trailing.count, 0);
    }

    #[test]
    fn an_snp_report_contains_what_the_firmware_wrote(guest in guest()) {
        let bytes = AMD.sign(&guest);
        let report = SnpReport::parse(&bytes).expect("a report");
        prop_assert_eq!(report.version, guest.version);
        prop_assert_eq!(report.guest_svn, guest.guest_svn);
        prop_assert_eq!(report.policy.bits(), guest.policy);
        prop_assert_eq!(report.platform_info.bits(), guest.platform_info);
        prop_assert_eq!(report.family_id, guest.family_id);
        prop_assert_eq!(report.image_id, guest.image_id);
        prop_assert_eq!(report.vmpl, guest.vmpl);
        prop_assert_eq!(report.author_key_enabled, guest.key_info & 1 != 0);
        prop_assert_eq!(report.chip_key_masked, guest.key_info & 2 != 0);
        let key = if guest.key_info & 4 == 0 { VekKind::Vcek } else { VekKind::Vlek };
        prop_assert_eq!(report.signing_key, key);
        prop_assert_eq!(report.report_data, guest.report_data);
        prop_assert_eq!(report.measurement, guest.measurement);
        prop_assert_eq!(report.host_data, guest.host_data);
        prop_assert_eq!(report.id_key_digest, guest.id_key_digest);
        prop_assert_eq!(report.author_key_digest, guest.author_key_digest);
        prop_assert_eq!(report.report_id, guest.report_id);
        prop_assert_eq!(report.report_id_ma, guest.report_id_ma);
        prop_assert_eq!(report.chip_id, guest.chip_id);
        prop_assert_eq!(
            [report.current_tcb, report.reported_tcb, report.committed_tcb, report.launch_tcb],
            [guest.current_tcb, guest.reported_tcb, guest.committed_tcb, guest.launch_tcb]
        );
        prop_assert_eq!(report.cpuid, (guest.version >= 3).then_some(guest.cpuid));
        prop_assert_eq!(report.mitigations, (guest.version >= 5).then_some(guest.mitigations));
        let firmware = |it: attest_core::snp::FirmwareVersion| [it.build, it.minor, it.major];
        prop_assert_eq!(firmware(report.current_firmware), guest.current_firmware);
        prop_assert_eq!(firmware(report.committed_firmware), guest.committed_firmware);
        prop_assert_eq!(report.signed_bytes(), &guest.signed_part()[..]);
    }

    #[test]
    fn a_certificate_table_holds_what_the_host_put_in(
        vcek in vec(any::<u8>(), 0..200),
        ask in vec(any::<u8>(), 0..200),
        crl in vec(any::<u8>(), 0..200),
    ) {
        let entries: [(_, &[u8]); 3] =
            [(tables::CRL, &crl), (tables::VCEK, &vcek), (tables::ASK, &ask)];
        let table = CertTable::parse(&tables::certificate_table(&entries)).expect("a table");
        prop_assert_eq!(
            table,
            CertTable { vcek: Some(vcek), ask: Some(ask), crl: Some(crl), ..CertTable::default() }
        );
    }

    #[test]
    fn a_wrapped_report_is_unwrapped_with_its_claims(
        mut guest in guest(),
        claims in "[ -~]{0,400}",
    ) {
        guest.report_data = commitment(claims.as_bytes());
        let report = AMD.sign(&guest);
        let wrapped = Hcl::around(claims.as_bytes()).wrap(&report);
        let read = HclReport::parse(&wrapped).expect("a wrapped report");
        prop_assert_eq!(read.report, SnpReport::parse(&report).expect("a report"));
        prop_assert_eq!(read.claims, claims.as_bytes());
    }

    #[test]
    fn a_gpu_report_contains_what_the_device_measured(
        nonces in (bytes::<32>(), bytes::<32>()),
        values in vec(bytes::<48>(), 1..64),
        opaque in btree_map(any::<u16>(), vec(any::<u8>(), 0..40), 0..12),
    ) {
        let mut evidence = Evidence::healthy(&GPU, &nonces.0);
        evidence.response_nonce = nonces.1;
        let block = |(index, value): (usize, &[u8; 48])| Block {
            index: index as u8 + 1,
            specification: 1,
            kind: 1,
            value: value.to_vec(),
        };
        evidence.blocks = values.iter().enumerate().map(block).collect();
        evidence.opaque = opaque.clone().into_iter().collect();
        let read = SpdmEvidence::parse(&GPU.sign(&evidence)).expect("a report");
        prop_assert_eq!(read.request_nonce(), &nonces.0);
        prop_assert_eq!(read.response_nonce(), &nonces.1);
        let measured: Vec<_> = read.measurements().iter().map(|it| (it.index, it.value)).collect();
        let wanted: Vec<_> = (1..).zip(values).collect();
        prop_assert_eq!(measured, wanted);
        let fields: Vec<_> = read.opaque().fields().map(|(n, it)| (n, it.to_vec())).collect();
        prop_assert_eq!(fields, opaque.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn an_event_log_in_either_form_replays_to_what_was_measured(
        events in vec(event(), 1..12),
    ) {
        let boot: Vec<Event> = events.iter().filter(|it| it.name.is_empty()).cloned().collect();
        for (log, events) in [
            (EventLog::from_dstack(&dstack(&events)), &events),
            (EventLog::from_ccel(&ccel(&boot)), &boot),
        ] {
            let log = log.expect("a log");
            let claimed = log.claimed_events().iter().filter(|it| it.register().is_some());
            let claimed: Vec<_> = claimed
                .map(|it| (it.register().map(|at| at.number()), *it.digest(), it.claimed_payload()))
                .collect();
            let wanted: Vec<_> = events
                .iter()
                .map(|it| (Some(usize::from(it.register)), it.digest, &it.payload[..]))
                .collect();
            prop_assert_eq!(claimed, wanted);
            prop_assert_eq!(log.replay(), registers(events));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn a_manifest_is_for_the_product_and_version_it_was_made_for(
        product in "[A-Z0-9]{2,8}",
        version in "[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}",
        values in vec(bytes::<48>(), 64),
    ) {
        let mut manifest = NVIDIA.manifest(Chip::Hopper, Source::Driver);
        manifest.product = product.clone();
        manifest.version = version.clone();
        for (reference, value) in manifest.values.iter_mut().zip(values) {
            reference.alternatives = vec![value];
        }
        let signed = NVIDIA.sign(&manifest, &ManifestKnobs::default());
        let rim = Rim::from_bytes(signed.as_bytes()).expect("a manifest");
        prop_assert_eq!(rim.claimed_version(), Some(version.clone()));
        let rim = rim.verify_undated(NVIDIA.manifest_root()).expect("authentic");
        prop_assert_eq!(rim.product(), product);
        prop_assert_eq!(rim.version(), version);
    }
}
