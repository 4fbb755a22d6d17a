//! What a policy asks of an SNP guest's own words and of AMD's revocation list.

use attest_core::{Collateral, CpuEvidence, SnpCollateral};
use vendors::amd::knobs::{EndorsementKey, Processor};

use super::super::{
    amd, judge, refused_by, refused_for_want_of, report, report_data, snp, snp_policy,
};

#[test]
fn checks_the_id_block_and_the_guest_policy_against_the_policy() {
    let machine = amd(Processor::Milan, EndorsementKey::Vcek);
    let mut guest = machine.guest("enclave", report_data().as_bytes());
    guest.family_id = [0xfa; 16];
    guest.image_id = [0x1a; 16];
    guest.guest_svn = 7;
    // Single socket and AES-256-XTS beside what every guest demands.
    guest.policy |= 1 << 20 | 1 << 22;
    let cpu = CpuEvidence::SevSnp {
        report: machine.sign(&guest),
        certs: machine.certificate_table(),
    };
    let report = report(cpu, vec![], Collateral::default());
    let (family, image) = ("fa".repeat(16), "1a".repeat(16));
    let cases: [(&str, String, String); 4] = [
        (
            "snp.family_id",
            format!("family_id = [\"{family}\"]\n"),
            format!("family_id = [\"{image}\"]\n"),
        ),
        (
            "snp.image_id",
            format!("image_id = [\"{image}\"]\n"),
            format!("image_id = [\"{family}\"]\n"),
        ),
        (
            "snp.guest_svn",
            "min_guest_svn = 7\n".to_owned(),
            "min_guest_svn = 8\n".to_owned(),
        ),
        (
            "snp.policy.demands",
            "require_guest_policy = [\"single_socket\", \"aes_256_xts\"]\n".to_owned(),
            "require_guest_policy = [\"single_socket\", \"ciphertext_hiding\"]\n".to_owned(),
        ),
    ];
    for (check, good, bad) in cases {
        assert!(
            judge(&report, &snp_policy(&good)).trusted().is_ok(),
            "{good}"
        );
        refused_by(judge(&report, &snp_policy(&bad)), &[check]);
    }
}

#[test]
fn rejects_a_revocation_list_that_is_too_old_or_missing() {
    let machine = amd(Processor::Milan, EndorsementKey::Vcek);
    let with = Collateral::from(SnpCollateral {
        vek: machine.vek().to_vec(),
        ask: machine.ask().to_vec(),
        crl: Some(machine.crl()),
    });
    // It was issued a day ago.
    let listed = report(snp(&machine), vec![], with);
    let day = snp_policy("max_crl_age = \"24h\"\n");
    assert!(judge(&listed, &day).trusted().is_ok());
    let younger = snp_policy("max_crl_age = \"23h\"\n");
    refused_by(judge(&listed, &younger), &["snp.crl.age"]);
    let unlisted = report(snp(&machine), vec![], Collateral::default());
    refused_for_want_of(judge(&unlisted, &day), "snp.crl.age");
}
