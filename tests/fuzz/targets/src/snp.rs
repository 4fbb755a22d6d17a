//! Fuzz targets for SNP reports, certificate tables and certificates.

use attest_core::RootKind;
use attest_core::snp::{
    CertTable, HclReport, Product, REPORT_LEN, SIGNED_LEN, SnpReport, VekClaims, check_hardware_id,
    check_key_kind, check_product, check_revocation, check_tcb, verify_chain, verify_signature,
};

use crate::grounds::{NOW, root};
use crate::parts::split;

/// A report.
pub fn snp_report(data: &[u8]) {
    if let Ok(report) = SnpReport::parse(data) {
        assert_eq!(data.len(), REPORT_LEN);
        assert_eq!(report.signed_bytes(), &data[..SIGNED_LEN]);
        assert_eq!(report.signature_field(), &data[SIGNED_LEN..]);
        let _ = (report.product(), report.chip_id_is_masked());
        let _ = report.policy.check_reserved();
    }
}

/// A certificate table.
pub fn snp_certificate_table(data: &[u8]) {
    if let Ok(table) = CertTable::parse(data) {
        let all = [table.vcek, table.vlek, table.ask, table.ark, table.crl];
        for certificate in all.into_iter().flatten() {
            assert!(
                certificate.is_empty()
                    || data.windows(certificate.len()).any(|it| it == certificate)
            );
        }
    }
}

/// A report in Azure's wrapping.
pub fn snp_hcl(data: &[u8]) {
    if let Ok(hcl) = HclReport::parse(data) {
        assert!(hcl.claims.len() < data.len());
    }
}

/// The certificate of an endorsement key.
pub fn snp_endorsement_key(data: &[u8]) {
    let _ = VekClaims::parse(data);
}

/// Endorsement key, signing key and report, from the software root.
pub fn snp_chain(data: &[u8]) {
    let [vek, ask, report] = split(data);
    for (kind, product) in [
        (RootKind::AmdMilan, Product::Milan),
        (RootKind::AmdTurin, Product::Turin),
    ] {
        let Ok(vek) = verify_chain(vek, ask, root(kind), product, NOW) else {
            continue;
        };
        assert!(vek.valid_until() >= NOW);
        if let Ok(report) = SnpReport::parse(report) {
            let _ = verify_signature(&report, &vek);
            let _ = (check_key_kind(&report, &vek), check_product(&report, &vek));
            let _ = (check_hardware_id(&report, &vek), check_tcb(&report, &vek));
        }
    }
}

/// A revocation list, and the signing key it may name.
pub fn snp_revocation_list(data: &[u8]) {
    let [list, ask] = split(data);
    let _ = check_revocation(list, ask, root(RootKind::AmdMilan), NOW);
}
