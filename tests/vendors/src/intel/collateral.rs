//! TCB info, QE identity and CRLs, signed as Intel's provisioning service (PCS v4) signs them:
//! `r || s` over the exact bytes of the JSON body.

use serde::Serialize;

use super::certificates::{Hierarchy, Issued, PLATFORM_CA_NAME, PckClaims, ROOT_NAME};
use super::keys::Key;
use super::knobs::{
    Dates, FmspcInTcbInfo, Knobs, Levels, ListForm, ModuleInTcbInfo, Revoked, Signer,
};
use super::quote::{QE_ISV_SVN, QE_MR_SIGNER, QE_PRODUCT, TEE_TCB_SVN};
use super::{calendar, crl};

const TCB_DATE: &str = "2024-11-13T00:00:00Z";
const OLDER_TCB_DATE: &str = "2023-08-09T00:00:00Z";

/// The nine fields of `sgx_ql_qve_collateral_t` in the JSON form that collateral files use.
#[derive(Clone, Debug, Serialize)]
pub struct CollateralFields {
    pub pck_crl_issuer_chain: String,
    pub root_ca_crl: String,
    pub pck_crl: String,
    pub tcb_info_issuer_chain: String,
    pub tcb_info: String,
    pub tcb_info_signature: String,
    pub qe_identity_issuer_chain: String,
    pub qe_identity: String,
    pub qe_identity_signature: String,
}

/// What the provisioning service says about this platform at `now`.
pub fn collateral(
    hierarchy: &Hierarchy,
    impostor: &Key,
    claims: &PckClaims,
    knobs: &Knobs,
    now: u64,
) -> CollateralFields {
    let tcb_info = edited(
        json(&TcbInfo::about(claims, knobs, now)),
        &knobs.tcb_info_edits,
    );
    let qe_identity = edited(
        json(&QeIdentity::about(knobs, now)),
        &knobs.qe_identity_edits,
    );
    let sign = |signer, text: &str| {
        hex(&match signer {
            Signer::Rightful => hierarchy.tcb_signing.key.sign_raw(text.as_bytes()),
            Signer::Impostor => impostor.sign_raw(text.as_bytes()),
        })
    };
    let dates = knobs.crl_dates.around(now);
    let (by_root, by_platform_ca): (&[_], &[_]) = match knobs.revoked {
        Revoked::Nothing => (&[], &[]),
        Revoked::PckCertificate => (&[], &[hierarchy.pck.serial]),
        Revoked::PlatformCa => (&[hierarchy.platform_ca.serial], &[]),
        Revoked::TcbSigning => (&[hierarchy.tcb_signing.serial], &[]),
        Revoked::Root => (&[hierarchy.root.serial], &[]),
    };
    let root_crl = crl::crl(&hierarchy.root, ROOT_NAME, dates, by_root, knobs.lists);
    let forger = Issued {
        key: impostor.clone(),
        ..hierarchy.platform_ca.clone()
    };
    let by = |issuer| crl::crl(issuer, PLATFORM_CA_NAME, dates, by_platform_ca, knobs.lists);
    let pck_crl = match knobs.lists {
        ListForm::PckListForged => by(&forger),
        ListForm::PckListOfRoot => root_crl.clone(),
        _ => by(&hierarchy.platform_ca),
    };
    CollateralFields {
        pck_crl_issuer_chain: match knobs.lists {
            ListForm::PckListChainOfSigner => hierarchy.tcb_signing_chain_pem(),
            _ => hierarchy.pck_crl_chain_pem(),
        },
        root_ca_crl: hex(&root_crl),
        pck_crl: hex(&pck_crl),
        tcb_info_issuer_chain: hierarchy.tcb_signing_chain_pem(),
        tcb_info_signature: sign(knobs.tcb_info_signer, &tcb_info),
        tcb_info,
        qe_identity_issuer_chain: hierarchy.tcb_signing_chain_pem(),
        qe_identity_signature: sign(knobs.qe_identity_signer, &qe_identity),
        qe_identity,
    }
}

/// TCB info v3 for TDX. The order of the members is the order that Intel writes them in.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TcbInfo {
    id: &'static str,
    version: u8,
    issue_date: String,
    next_update: String,
    fmspc: String,
    pce_id: String,
    tcb_type: u8,
    tcb_evaluation_data_number: u32,
    tdx_module: TdxModule,
    tdx_module_identities: Vec<TdxModuleIdentity>,
    tcb_levels: Vec<Level<Tcb>>,
}

#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct TdxModule {
    mrsigner: String,
    attributes: &'static str,
    attributes_mask: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TdxModuleIdentity {
    id: String,
    #[serde(flatten)]
    module: TdxModule,
    tcb_levels: Vec<Level<IsvSvn>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Level<T> {
    tcb: T,
    tcb_date: &'static str,
    tcb_status: String,
    #[serde(rename = "advisoryIDs", skip_serializing_if = "Vec::is_empty")]
    advisory_ids: Vec<String>,
}

#[derive(Serialize)]
struct Tcb {
    sgxtcbcomponents: Vec<Component>,
    pcesvn: u8,
    tdxtcbcomponents: Vec<Component>,
}

#[derive(Serialize)]
struct Component {
    svn: u8,
}

#[derive(Serialize)]
struct IsvSvn {
    isvsvn: u16,
}

impl TcbInfo {
    fn about(claims: &PckClaims, knobs: &Knobs, now: u64) -> Self {
        let (issued, next_update) = knobs.tcb_info_dates.around(now);
        let module = TdxModule {
            mrsigner: "0".repeat(96),
            attributes: "0000000000000000",
            attributes_mask: "FFFFFFFFFFFFFFFF",
        };
        let identified = TdxModule {
            mrsigner: match knobs.module {
                ModuleInTcbInfo::AnotherSigner => "1".repeat(96),
                _ => module.mrsigner.clone(),
            },
            ..module.clone()
        };
        let version = match knobs.module {
            ModuleInTcbInfo::Ours | ModuleInTcbInfo::AnotherSigner => TEE_TCB_SVN[1],
            ModuleInTcbInfo::AnotherVersion => TEE_TCB_SVN[1] + 1,
        };
        let mut fmspc = claims.fmspc;
        if knobs.fmspc == FmspcInTcbInfo::AnotherFamily {
            fmspc[0] ^= 0xff;
        }
        Self {
            id: "TDX",
            version: 3,
            issue_date: calendar::rfc3339(issued),
            next_update: calendar::rfc3339(next_update),
            fmspc: hex(&fmspc).to_uppercase(),
            pce_id: hex(&claims.pce_id),
            tcb_type: 0,
            tcb_evaluation_data_number: knobs.evaluation_number,
            tdx_module: module,
            tdx_module_identities: vec![TdxModuleIdentity {
                id: format!("TDX_{:02X}", version),
                module: identified,
                tcb_levels: vec![Level {
                    tcb: IsvSvn {
                        isvsvn: u16::from(TEE_TCB_SVN[0]),
                    },
                    tcb_date: TCB_DATE,
                    tcb_status: "UpToDate".to_owned(),
                    advisory_ids: Vec::new(),
                }],
            }],
            tcb_levels: levels(claims, knobs),
        }
    }
}

fn levels(claims: &PckClaims, knobs: &Knobs) -> Vec<Level<Tcb>> {
    let components = |svns: &[u8; 16], below: u8, above: u8| -> Vec<Component> {
        let bend = |svn: &u8| {
            if *svn == 0 {
                0
            } else {
                svn.saturating_sub(below) + above
            }
        };
        svns.iter()
            .map(|svn| Component { svn: bend(svn) })
            .collect()
    };
    let tcb = |below, above| Tcb {
        sgxtcbcomponents: components(&claims.cpu_svn, below, above),
        pcesvn: claims.pce_svn - below + above,
        tdxtcbcomponents: components(&TEE_TCB_SVN, below, above),
    };
    let current = |tcb| Level {
        tcb,
        tcb_date: TCB_DATE,
        tcb_status: knobs.tcb_status.clone(),
        advisory_ids: knobs.advisories.clone(),
    };
    let older = || Level {
        tcb: tcb(1, 0),
        tcb_date: OLDER_TCB_DATE,
        tcb_status: "OutOfDate".to_owned(),
        advisory_ids: vec!["INTEL-SA-00000".to_owned()],
    };
    match knobs.levels {
        Levels::AllAbove => vec![current(tcb(0, 1))],
        Levels::Met => vec![current(tcb(0, 0)), older()],
        Levels::WeakestFirst => vec![older(), current(tcb(0, 0))],
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct QeIdentity {
    id: &'static str,
    version: u8,
    issue_date: String,
    next_update: String,
    tcb_evaluation_data_number: u32,
    miscselect: &'static str,
    miscselect_mask: &'static str,
    attributes: &'static str,
    attributes_mask: &'static str,
    mrsigner: String,
    isvprodid: u16,
    tcb_levels: Vec<Level<IsvSvn>>,
}

impl QeIdentity {
    fn about(knobs: &Knobs, now: u64) -> Self {
        let (issued, next_update) = Dates::around(knobs.qe_identity_dates, now);
        Self {
            id: "TD_QE",
            version: 2,
            issue_date: calendar::rfc3339(issued),
            next_update: calendar::rfc3339(next_update),
            tcb_evaluation_data_number: knobs.evaluation_number,
            miscselect: "00000000",
            miscselect_mask: "FFFFFFFF",
            attributes: "11000000000000000000000000000000",
            attributes_mask: "FBFFFFFFFFFFFFFF0000000000000000",
            mrsigner: hex(&QE_MR_SIGNER).to_uppercase(),
            isvprodid: QE_PRODUCT,
            tcb_levels: vec![Level {
                tcb: IsvSvn { isvsvn: QE_ISV_SVN },
                tcb_date: TCB_DATE,
                tcb_status: "UpToDate".to_owned(),
                advisory_ids: Vec::new(),
            }],
        }
    }
}

fn edited(mut text: String, edits: &[(&str, &str)]) -> String {
    for (from, to) in edits {
        assert!(text.contains(from), "{from} is not in {text}");
        text = text.replacen(from, to, 1);
    }
    text
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("plain structs always serialise")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
