//! Intel's collateral: read, dated, and found authentic.
//!
//! [`ReadCollateral`] is texts, parsed, of which nothing is believed. [`AuthenticCollateral`] is made
//! of it once every signature is checked, and is about the very texts that were read; it is kept
//! between verifications. Dates are checked at every use, and so is what the lists revoke.

use std::sync::Arc;

use super::TdxCache;
use super::chain::{Certificates, ChainError, Role, TrustedRoot, UnverifiedChain};
use super::crl::{AuthenticCrl, CrlError, List};
use super::dates::{Dated, Part};
use super::error::{Failure, Step, TdxError};
use super::facts::CollateralFacts;
use super::json::{SignedTextError, Unknown};
use super::qe_identity::QeIdentity;
use super::signature;
use super::tcb_info::TcbInfo;
use crate::cache::CacheKey;
use crate::collateral::TdxCollateral;
use crate::encoding::to_hex;
use crate::x509::RevocationList;

/// Which part of the collateral cannot be read, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CollateralPartError {
    /// TCB info.
    #[error("TCB info: {0}")]
    TcbInfo(SignedTextError),
    /// QE identity.
    #[error("QE identity: {0}")]
    QeIdentity(SignedTextError),
    /// A revocation list.
    #[error("{0}")]
    RevocationList(CrlError),
    /// A certificate chain.
    #[error("{of}: {error}")]
    Chain {
        /// Which.
        of: &'static str,
        /// Why.
        error: ChainError,
    },
}

const TCB_INFO_SIGNER: &str = "TCB info signer's certificate";
const QE_IDENTITY_SIGNER: &str = "QE identity signer's certificate";
const PCK_AUTHORITY: &str = "PCK authority's certificate";

/// Collateral, parsed.
pub(super) struct ReadCollateral<'c> {
    text: &'c TdxCollateral,
    dated: Dated,
    tcb_info: TcbInfo,
    qe_identity: QeIdentity,
    root_crl: RevocationList<'c>,
    pck_crl: RevocationList<'c>,
    chains: &'c IssuerChains,
}

/// Who signed the collateral, as it says.
pub(super) struct IssuerChains {
    tcb_info: UnverifiedChain<2>,
    /// Nothing if it is the same text.
    other_qe_identity: Option<UnverifiedChain<2>>,
    pck_crl: UnverifiedChain<2>,
}

impl IssuerChains {
    fn parse(text: &TdxCollateral) -> Result<Self, CollateralPartError> {
        let tcb_info = chain(TCB_INFO_SIGNER, &text.tcb_info_issuer_chain)?;
        let other_qe_identity = match text.qe_identity_issuer_chain == text.tcb_info_issuer_chain {
            true => None,
            false => Some(chain(QE_IDENTITY_SIGNER, &text.qe_identity_issuer_chain)?),
        };
        Ok(Self {
            tcb_info,
            other_qe_identity,
            pck_crl: chain(PCK_AUTHORITY, &text.pck_crl_issuer_chain)?,
        })
    }

    fn qe_identity(&self) -> &UnverifiedChain<2> {
        self.other_qe_identity.as_ref().unwrap_or(&self.tcb_info)
    }
}

/// Collateral whose every signature leads to the root.
#[derive(Debug)]
pub(crate) struct AuthenticCollateral {
    dated: Dated,
    pub(super) tcb_info: TcbInfo,
    pub(super) qe_identity: QeIdentity,
    pub(super) root_crl: AuthenticCrl,
    pub(super) pck_crl: AuthenticCrl,
    /// Serial numbers of every certificate that the signatures needed.
    pub(super) serials: Vec<(Role, Vec<u8>)>,
}

/// Collateral that was read now, or that was found authentic before.
pub(super) enum FoundCollateral<'c> {
    Read(Box<ReadCollateral<'c>>, CacheKey),
    Cached(Arc<AuthenticCollateral>),
}

impl<'c> FoundCollateral<'c> {
    /// What is read of `text` borrows from `chains` and is kept in `certificates`.
    pub(super) fn find(
        text: &'c TdxCollateral,
        root: Option<&[u8]>,
        cache: &TdxCache,
        chains: &'c mut Option<IssuerChains>,
        certificates: &mut Certificates<'c>,
    ) -> Result<Self, CollateralPartError> {
        let inputs = CacheKey::from_parts(&[
            b"tdx collateral",
            root.unwrap_or_default(),
            text.pck_crl_issuer_chain.as_bytes(),
            &text.root_ca_crl,
            &text.pck_crl,
            text.tcb_info_issuer_chain.as_bytes(),
            text.tcb_info.as_bytes(),
            &text.tcb_info_signature,
            text.qe_identity_issuer_chain.as_bytes(),
            text.qe_identity.as_bytes(),
            &text.qe_identity_signature,
        ]);
        match cache.collateral.get(&inputs) {
            Some(cached) => Ok(Self::Cached(Arc::clone(cached))),
            None => {
                let read = read(text, chains, certificates)?;
                Ok(Self::Read(Box::new(read), inputs))
            }
        }
    }

    pub(super) fn dated(&self) -> &Dated {
        match self {
            Self::Read(read, _) => &read.dated,
            Self::Cached(cached) => &cached.dated,
        }
    }

    /// By its signatures: checked now, unless they were before.
    pub(super) fn authentic(
        self,
        root: &mut TrustedRoot<'c>,
        cache: &mut TdxCache,
        reached: &mut Vec<Step>,
    ) -> Result<Arc<AuthenticCollateral>, Failure> {
        match self {
            Self::Cached(cached) => {
                reached.extend([Step::TcbInfoSignature, Step::QeIdentitySignature]);
                Ok(cached)
            }
            Self::Read(read, inputs) => {
                let authentic = Arc::new(read.authenticate(root, reached)?);
                cache.collateral.put(inputs, Arc::clone(&authentic));
                Ok(authentic)
            }
        }
    }
}

fn read<'c>(
    text: &'c TdxCollateral,
    chains: &'c mut Option<IssuerChains>,
    certificates: &mut Certificates<'c>,
) -> Result<ReadCollateral<'c>, CollateralPartError> {
    let mut unknown = Unknown::default();
    let tcb_info = TcbInfo::parse(&text.tcb_info, &mut unknown);
    let tcb_info = tcb_info.map_err(CollateralPartError::TcbInfo)?;
    let qe_identity = QeIdentity::parse(&text.qe_identity, &mut unknown);
    let qe_identity = qe_identity.map_err(CollateralPartError::QeIdentity)?;
    let root_crl = list(List::Root, &text.root_ca_crl)?;
    let pck_crl = list(List::Pck, &text.pck_crl)?;
    let chains: &IssuerChains = chains.insert(IssuerChains::parse(text)?);
    let mut parts = vec![
        Part::new("TCB info", tcb_info.issue_date, tcb_info.next_update),
        Part::new(
            "QE identity",
            qe_identity.issue_date,
            qe_identity.next_update,
        ),
        Part::from_list(List::Root.as_str(), &root_crl),
        Part::from_list(List::Pck.as_str(), &pck_crl),
    ];
    let of_chains = [
        (TCB_INFO_SIGNER, &chains.tcb_info),
        (QE_IDENTITY_SIGNER, chains.qe_identity()),
        (PCK_AUTHORITY, &chains.pck_crl),
    ];
    for (of, chain) in of_chains {
        let dates = certificates.dates(chain);
        let dates = dates.map_err(|error| CollateralPartError::Chain { of, error })?;
        parts.extend(
            dates
                .into_iter()
                .map(|(from, until)| Part::new(of, from, until)),
        );
    }
    let facts = CollateralFacts {
        tcb_evaluation_data_number: tcb_info.evaluation_data_number,
        qe_evaluation_data_number: qe_identity.evaluation_data_number,
        fmspc: to_hex(&tcb_info.fmspc),
        pce_id: to_hex(&tcb_info.pce_id),
        unknown_members: unknown.into_names(),
        ..Part::window(&parts)
    };
    Ok(ReadCollateral {
        text,
        dated: Dated { parts, facts },
        tcb_info,
        qe_identity,
        root_crl,
        pck_crl,
        chains,
    })
}

fn list(which: List, der: &[u8]) -> Result<RevocationList<'_>, CollateralPartError> {
    RevocationList::parse(der).map_err(|error| {
        CollateralPartError::RevocationList(CrlError::Format { list: which, error })
    })
}

fn chain(of: &'static str, text: &str) -> Result<UnverifiedChain<2>, CollateralPartError> {
    let chain = UnverifiedChain::parse(text.as_bytes());
    chain.map_err(|error| CollateralPartError::Chain { of, error })
}

impl<'c> ReadCollateral<'c> {
    /// Checks every signature of the collateral. Each failure is that of its step.
    fn authenticate(
        self,
        root: &mut TrustedRoot<'c>,
        reached: &mut Vec<Step>,
    ) -> Result<AuthenticCollateral, Failure> {
        let (text, chains) = (self.text, self.chains);
        let of_root = root.certificate().map_err(TdxError::CertificateChain);
        let of_root = of_root.map_err(|error| Failure::new(Step::PckChain, error))?;
        let tcb_info_signer = signer_of(
            &text.tcb_info,
            &text.tcb_info_signature,
            &chains.tcb_info,
            root,
        );
        let tcb_info_signer =
            tcb_info_signer.map_err(|error| Failure::new(Step::TcbInfoSignature, error))?;
        reached.push(Step::TcbInfoSignature);
        let qe_identity_signer = signer_of(
            &text.qe_identity,
            &text.qe_identity_signature,
            chains.qe_identity(),
            root,
        );
        let qe_identity_signer =
            qe_identity_signer.map_err(|error| Failure::new(Step::QeIdentitySignature, error))?;
        reached.push(Step::QeIdentitySignature);
        let at_lists = |error| Failure::new(Step::RevocationLists, TdxError::RevocationList(error));
        let authority = root.issued(Role::PckAuthority, &chains.pck_crl);
        let authority = authority.map_err(CrlError::IssuerChain).map_err(at_lists)?;
        let serials = vec![
            (Role::Root, of_root.serial()),
            (Role::Signer, tcb_info_signer),
            (Role::Signer, qe_identity_signer),
            (Role::PckAuthority, authority.serial()),
        ];
        let root_crl = AuthenticCrl::authenticate(List::Root, self.root_crl, &of_root);
        let pck_crl = AuthenticCrl::authenticate(List::Pck, self.pck_crl, &authority);
        Ok(AuthenticCollateral {
            root_crl: root_crl.map_err(at_lists)?,
            pck_crl: pck_crl.map_err(at_lists)?,
            dated: self.dated,
            tcb_info: self.tcb_info,
            qe_identity: self.qe_identity,
            serials,
        })
    }
}

/// Checks a signature over a text. Gives the serial number of its signer's certificate.
fn signer_of<'c>(
    text: &str,
    signature: &[u8; 64],
    chain: &'c UnverifiedChain<2>,
    root: &mut TrustedRoot<'c>,
) -> Result<Vec<u8>, TdxError> {
    let signer = root.issued(Role::Signer, chain);
    let signer = signer.map_err(TdxError::CertificateChain)?;
    let key = signature::key_of(&signer);
    match key.is_some_and(|key| signature::holds(&key, text.as_bytes(), signature)) {
        true => Ok(signer.serial()),
        false => Err(TdxError::Signature),
    }
}
