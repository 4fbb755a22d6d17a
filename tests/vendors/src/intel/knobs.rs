//! What a test may bend about the platform, one thing at a time. The default bends nothing.

use super::quote::TEE_TCB_SVN;

/// Everything that can be made to differ from a healthy, current platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Knobs {
    /// `tcbStatus` of the level that the platform meets.
    pub tcb_status: String,
    /// `advisoryIDs` of that level.
    pub advisories: Vec<String>,
    /// `tcbEvaluationDataNumber` of TCB info and QE identity.
    pub evaluation_number: u32,
    pub levels: Levels,
    pub tcb_info_dates: Dates,
    pub qe_identity_dates: Dates,
    pub crl_dates: Dates,
    pub tcb_info_signer: Signer,
    pub qe_identity_signer: Signer,
    pub quote_signer: Signer,
    pub qe_report_signer: Signer,
    pub quoting_enclave: QuotingEnclave,
    pub revoked: Revoked,
    pub lists: ListForm,
    pub fmspc: FmspcInTcbInfo,
    pub module: ModuleInTcbInfo,
    pub form: QuoteForm,
    pub certificates: CertificateForm,
    pub pck_chain: PckChainForm,
    /// Security versions of the CPU's components in the PCK certificate, if not its CPU SVN.
    pub components: Option<[u8; 16]>,
    /// Security versions that the TD was launched under, and those it runs under now (TDX 1.5).
    pub tee_tcb_svn: [u8; 16],
    pub tee_tcb_svn2: [u8; 16],
    pub qe_auth_data: Vec<u8>,
    /// What is written instead of what in TCB info before it is signed.
    pub tcb_info_edits: Vec<(&'static str, &'static str)>,
    /// The same for QE identity.
    pub qe_identity_edits: Vec<(&'static str, &'static str)>,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            tcb_status: "UpToDate".to_owned(),
            advisories: Vec::new(),
            evaluation_number: 18,
            levels: Levels::Met,
            tcb_info_dates: Dates::Current,
            qe_identity_dates: Dates::Current,
            crl_dates: Dates::Current,
            tcb_info_signer: Signer::Rightful,
            qe_identity_signer: Signer::Rightful,
            quote_signer: Signer::Rightful,
            qe_report_signer: Signer::Rightful,
            quoting_enclave: QuotingEnclave::Known,
            revoked: Revoked::Nothing,
            lists: ListForm::Intels,
            fmspc: FmspcInTcbInfo::Ours,
            module: ModuleInTcbInfo::Ours,
            form: QuoteForm::Usual,
            certificates: CertificateForm::Intels,
            pck_chain: PckChainForm::Usual,
            components: None,
            tee_tcb_svn: TEE_TCB_SVN,
            tee_tcb_svn2: TEE_TCB_SVN,
            qe_auth_data: (0..32).collect(),
            tcb_info_edits: Vec::new(),
            qe_identity_edits: Vec::new(),
        }
    }
}

/// How the levels of the TCB info stand to the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Levels {
    /// The platform meets the first level.
    Met,
    /// It meets the strongest level, which stands last.
    WeakestFirst,
    /// Every level asks for more than the platform has.
    AllAbove,
}

/// Where a validity window lies against the platform's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dates {
    Current,
    Expired,
    NotYetValid,
}

impl Dates {
    /// `(issued, next update)` around `now`.
    pub(super) fn around(self, now: u64) -> (u64, u64) {
        const DAY: u64 = 86_400;
        match self {
            Self::Current => (now - DAY, now + 29 * DAY),
            Self::Expired => (now - 31 * DAY, now - DAY),
            Self::NotYetValid => (now + DAY, now + 31 * DAY),
        }
    }
}

/// Who made a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signer {
    Rightful,
    /// A key of the same curve that nothing vouches for.
    Impostor,
}

/// How the quoting enclave stands to the QE identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuotingEnclave {
    Known,
    /// Signed by a vendor that the identity does not name.
    OtherVendor,
    /// Older than every level of the identity.
    TooOld,
    /// Its report data does not end in zeros.
    LongReportData,
}

/// What the CRLs revoke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revoked {
    Nothing,
    PckCertificate,
    PlatformCa,
    TcbSigning,
    Root,
}

/// One thing that is otherwise about the revocation lists, which are signed all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListForm {
    /// As Intel's are.
    Intels,
    WithoutNumber,
    WithCriticalExtension,
    /// The PCK authority's list is signed by a key that nothing vouches for.
    PckListForged,
    /// In the place of the PCK authority's list stands the root's.
    PckListOfRoot,
    /// The chain of the PCK authority's list is the signer's.
    PckListChainOfSigner,
}

/// Which platform family the TCB info is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FmspcInTcbInfo {
    Ours,
    AnotherFamily,
}

/// Which version of the TDX module the TCB info describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModuleInTcbInfo {
    Ours,
    AnotherVersion,
    /// The same version, signed by another key.
    AnotherSigner,
}

/// How a quote is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuoteForm {
    /// Version 4 of a TD of TDX 1.0, version 5 of one of TDX 1.5.
    Usual,
    /// Version 5 of a TD of TDX 1.0.
    Version5,
}

/// One thing that is otherwise about the certificates, which are signed all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateForm {
    /// As Intel's are.
    Intels,
    PckNamedOtherwise,
    PckIsAuthority,
    /// Issued by the root; the authority stands in the chain without a part in it.
    PckUnderRoot,
    PckWithUnknownCriticalExtension,
    PckWithoutSgxExtension,
    PckWithShortPpid,
    PckWithTwoFmspcs,
    PckWithoutPceId,
    PckWithUnknownSgxEntry,
    PckWithUnknownSgxType,
    PlatformCaNamedOtherwise,
    PlatformCaIsNoAuthority,
    PlatformCaSignsNoLists,
    SignerNamedOtherwise,
    SignerIsAuthority,
    /// TCB info and QE identity are signed by the key of the PCK certificate.
    SignerIsThePck,
}

/// How a quote's certificate chain is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PckChainForm {
    /// PCK certificate, authority, root.
    Usual,
    /// NUL bytes behind it, as Intel's quoting library leaves one.
    NulAfter,
    JunkBefore,
    JunkBetween,
    JunkAfter,
    LeafLast,
    RootMissing,
    RootCorrupt,
    /// A genuine PCK certificate of another machine stands in front.
    OtherMachineFirst,
    /// The same in a block that some readers of PEM skip.
    OtherMachineFirstInAnotherBlock,
    /// A genuine PCK certificate of another machine stands behind.
    OtherMachineLast,
}
