//! TDX quotes, version 4: header (48 bytes), TD report body (584), signature data with
//! certification data type 6 around type 5. Version 5, for TDs of TDX 1.5: type and size of the body
//! before it, and 64 bytes more of it.
//! Intel TDX DCAP Quoting Library API, appendix A.3.

use std::sync::OnceLock;

use ring::digest::{SHA256, digest};

use super::certificates::{Hierarchy, Issued};
use super::keys::Key;
use super::knobs::{Knobs, PckChainForm, QuoteForm, QuotingEnclave, Signer};
use crate::der::pem;
use crate::measurements::TdMeasurements;

pub const QE_MR_SIGNER: [u8; 32] = [0x51; 32];
pub const QE_PRODUCT: u16 = 2;
pub const QE_ISV_SVN: u16 = 4;
/// Module security version, module major version, late microcode update.
pub const TEE_TCB_SVN: [u8; 16] = [6, 1, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

const INTEL_QE_VENDOR: [u8; 16] = [
    0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07,
];

/// The keys that sign a quote, and what they vouch with.
pub struct Quoting<'a> {
    pub hierarchy: &'a Hierarchy,
    pub attestation_key: &'a Key,
    pub impostor: &'a Key,
    pub cpu_svn: [u8; 16],
    pub knobs: &'a Knobs,
    /// The same in every quote of a platform, so it is made once.
    pub qe_certification: &'a OnceLock<Vec<u8>>,
}

impl Quoting<'_> {
    pub fn quote(&self, td: &TdMeasurements, report_data: &[u8; 64]) -> Vec<u8> {
        let report = td_report(td, &self.knobs.tee_tcb_svn, report_data);
        let mut quote = match (&td.service_td, self.knobs.form) {
            (None, QuoteForm::Usual) => [header(4).as_slice(), &report].concat(),
            (None, QuoteForm::Version5) => [
                header(5).as_slice(),
                &BODY_TD10.to_le_bytes(),
                &584u32.to_le_bytes(),
                &report,
            ]
            .concat(),
            (Some(service_td), _) => [
                header(5).as_slice(),
                &BODY_TD15.to_le_bytes(),
                &648u32.to_le_bytes(),
                &report,
                &self.knobs.tee_tcb_svn2,
                service_td,
            ]
            .concat(),
        };
        let signer = match self.knobs.quote_signer {
            Signer::Rightful => self.attestation_key,
            Signer::Impostor => self.impostor,
        };
        let qe = self.qe_certification.get_or_init(|| self.certify_qe());
        let signature_data = [
            &signer.sign_raw(&quote)[..],
            &self.attestation_key.public_xy(),
            &certification_data(6, qe),
        ]
        .concat();
        quote.extend((signature_data.len() as u32).to_le_bytes());
        quote.extend(signature_data);
        quote
    }

    /// QE report, its signature by the PCK key, authentication data, PCK chain.
    fn certify_qe(&self) -> Vec<u8> {
        let report = self.qe_report();
        let signer = match self.knobs.qe_report_signer {
            Signer::Rightful => &self.hierarchy.pck.key,
            Signer::Impostor => self.impostor,
        };
        [
            &report[..],
            &signer.sign_raw(&report),
            &(self.knobs.qe_auth_data.len() as u16).to_le_bytes(),
            &self.knobs.qe_auth_data,
            &certification_data(5, self.pck_chain().as_bytes()),
        ]
        .concat()
    }

    fn pck_chain(&self) -> String {
        let hierarchy = self.hierarchy;
        let [pck, authority, root] =
            [&hierarchy.pck, &hierarchy.platform_ca, &hierarchy.root].map(Issued::pem);
        let other = hierarchy.other_pck.pem();
        match self.knobs.pck_chain {
            PckChainForm::Usual => hierarchy.pck_chain_pem(),
            PckChainForm::NulAfter => hierarchy.pck_chain_pem() + "\0\0",
            PckChainForm::JunkBefore => format!("junk\n{pck}{authority}{root}"),
            PckChainForm::JunkBetween => format!("{pck}junk\n{authority}{root}"),
            PckChainForm::JunkAfter => format!("{pck}{authority}{root}junk\n"),
            PckChainForm::LeafLast => format!("{root}{authority}{pck}"),
            PckChainForm::RootMissing => format!("{pck}{authority}"),
            PckChainForm::RootCorrupt => {
                let mut der = hierarchy.root.der.clone();
                der[100] ^= 1;
                format!("{pck}{authority}{}", pem("CERTIFICATE", &der))
            }
            PckChainForm::OtherMachineFirst => format!("{other}{pck}{authority}{root}"),
            PckChainForm::OtherMachineFirstInAnotherBlock => {
                let other = pem("TRUSTED CERTIFICATE", &hierarchy.other_pck.der);
                format!("{other}{pck}{authority}{root}")
            }
            PckChainForm::OtherMachineLast => format!("{pck}{authority}{root}{other}"),
        }
    }

    fn qe_report(&self) -> [u8; 384] {
        const ATTRIBUTES: [u8; 16] = [0x15, 0, 0, 0, 0, 0, 0, 0, 0xe7, 0, 0, 0, 0, 0, 0, 0];
        let (mr_signer, isv_svn) = match self.knobs.quoting_enclave {
            QuotingEnclave::Known | QuotingEnclave::LongReportData => (QE_MR_SIGNER, QE_ISV_SVN),
            QuotingEnclave::OtherVendor => ([0x52; 32], QE_ISV_SVN),
            QuotingEnclave::TooOld => (QE_MR_SIGNER, QE_ISV_SVN - 1),
        };
        let key_and_data = [
            &self.attestation_key.public_xy()[..],
            &self.knobs.qe_auth_data,
        ]
        .concat();
        let mut report = [0; 384];
        report[..16].copy_from_slice(&self.cpu_svn);
        report[48..64].copy_from_slice(&ATTRIBUTES);
        report[64..96].copy_from_slice(digest(&SHA256, b"software quoting enclave").as_ref());
        report[128..160].copy_from_slice(&mr_signer);
        report[256..258].copy_from_slice(&QE_PRODUCT.to_le_bytes());
        report[258..260].copy_from_slice(&isv_svn.to_le_bytes());
        report[320..352].copy_from_slice(digest(&SHA256, &key_and_data).as_ref());
        if self.knobs.quoting_enclave == QuotingEnclave::LongReportData {
            report[383] = 1;
        }
        report
    }
}

const BODY_TD10: u16 = 2;
const BODY_TD15: u16 = 3;

fn header(version: u16) -> [u8; 48] {
    const ECDSA_P256: u16 = 2;
    const TDX: u32 = 0x81;
    let mut header = [0; 48];
    header[..2].copy_from_slice(&version.to_le_bytes());
    header[2..4].copy_from_slice(&ECDSA_P256.to_le_bytes());
    header[4..8].copy_from_slice(&TDX.to_le_bytes());
    header[12..28].copy_from_slice(&INTEL_QE_VENDOR);
    header
}

/// What a quoting enclave reports to vouch for a key.
pub fn attested(key: &[u8; 64], auth_data: &[u8]) -> Vec<u8> {
    digest(&SHA256, &[&key[..], auth_data].concat())
        .as_ref()
        .to_vec()
}

fn td_report(td: &TdMeasurements, svn: &[u8; 16], report_data: &[u8; 64]) -> [u8; 584] {
    let mut body = [0; 584];
    body[..16].copy_from_slice(svn);
    body[16..64].copy_from_slice(&td.mr_seam);
    // 64..112 MRSIGNERSEAM and 112..120 SEAM attributes are zero for Intel's module.
    body[120..128].copy_from_slice(&td.attributes.to_le_bytes());
    body[128..136].copy_from_slice(&td.xfam.to_le_bytes());
    body[136..184].copy_from_slice(&td.mr_td);
    body[184..232].copy_from_slice(&td.mr_config_id);
    body[232..280].copy_from_slice(&td.mr_owner);
    body[280..328].copy_from_slice(&td.mr_owner_config);
    for (index, rtmr) in td.rtmr.iter().enumerate() {
        let start = 328 + 48 * index;
        body[start..start + 48].copy_from_slice(rtmr);
    }
    body[520..].copy_from_slice(report_data);
    body
}

fn certification_data(kind: u16, contents: &[u8]) -> Vec<u8> {
    [
        &kind.to_le_bytes()[..],
        &(contents.len() as u32).to_le_bytes(),
        contents,
    ]
    .concat()
}
