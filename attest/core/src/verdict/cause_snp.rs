//! Why a check of AMD SEV-SNP evidence failed.

use super::CauseKind;
use crate::quoted::QuotedOrNone;
use crate::snp::{
    CertTableError, ChainError, Component, EndorsementError, GuestPolicyError, HclError, Product,
    ReportSignatureError, RevocationError, SnpFormatError, VekError, VekKind,
};

/// Why a check of SEV-SNP evidence failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SnpCause {
    /// The report cannot be read.
    #[error("the report cannot be read: {0}")]
    Format(SnpFormatError),
    /// Azure's wrapping cannot be read, or the report does not commit to it.
    #[error(transparent)]
    Hcl(HclError),
    /// The certificate table cannot be read.
    #[error(transparent)]
    Certificates(CertTableError),
    /// What is given as the endorsement key's certificate is not one.
    #[error(transparent)]
    EndorsementKey(VekError),
    /// The endorsement key does not lead to AMD's root.
    #[error(transparent)]
    Chain(ChainError),
    /// The revocation list is not usable, or revokes a certificate of the chain.
    #[error(transparent)]
    Revocation(RevocationError),
    /// Report and certificate disagree.
    #[error(transparent)]
    Endorsement(EndorsementError),
    /// The report's signature is not accepted.
    #[error(transparent)]
    Signature(ReportSignatureError),
    /// The policy does not list this product.
    #[error("{} processors are not accepted", .0.as_str())]
    ProductNotListed(Product),
    /// The policy does not list this kind of key.
    #[error("reports signed by a {} are not accepted", .0.as_str())]
    KeyNotListed(VekKind),
    /// The policy does not list the cloud whose key it is.
    #[error("keys of the cloud {} are not accepted", QuotedOrNone(.0))]
    CloudNotListed(Option<String>),
    /// A component's certified version is below the policy's floor.
    #[error("{component} version {got} is below {floor}")]
    TcbBelowFloor {
        /// Which component.
        component: Component,
        /// Certified.
        got: u8,
        /// The policy's floor.
        floor: u8,
    },
    /// The policy has TCB floors and none for this product.
    #[error("the policy has no TCB floor for {} processors", .0.as_str())]
    NoFloor(Product),
    /// The chip is not in the policy's list.
    #[error("the chip is not in the policy's list")]
    ChipNotListed,
    /// The platform has not switched on what the policy requires.
    #[error("the platform has not switched on {0}")]
    Platform(&'static str),
    /// The host may debug the guest.
    #[error("the guest's policy lets the host debug it")]
    Debug,
    /// A migration agent may be bound to the guest.
    #[error("the guest's policy lets a migration agent be bound to it")]
    MigrationAgent,
    /// Reserved policy bits are not as they must be.
    #[error(transparent)]
    GuestPolicy(GuestPolicyError),
    /// Multithreading is on, or the guest's policy would let the host switch it on.
    #[error("multithreading is on or may be switched on")]
    Multithreading,
    /// The guest's policy does not demand what ours wants it to.
    #[error("the guest's policy does not demand {0}")]
    NotDemanded(&'static str),
    /// The guest's own security version is below the policy's floor.
    #[error("the guest's security version {got} is below {floor}")]
    GuestSvnBelowFloor {
        /// In the report.
        got: u32,
        /// The policy's floor.
        floor: u32,
    },
    /// The report was asked for from a level that is not accepted.
    #[error("the report is of privilege level {got}, accepted is at most {max}")]
    Vmpl {
        /// In the report.
        got: u32,
        /// The policy's limit.
        max: u32,
    },
}

impl SnpCause {
    pub(super) const fn kind(&self) -> CauseKind {
        match self {
            Self::Hcl(HclError::Claims) => CauseKind::Refused,
            Self::Hcl(HclError::ReportType(_)) => CauseKind::Unsupported,
            Self::Format(_) | Self::Hcl(_) => CauseKind::Malformed,
            _ => CauseKind::Refused,
        }
    }

    /// A stable word for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Format(_) => "snp_report_malformed",
            Self::Hcl(_) => "snp_hcl",
            Self::Certificates(_) => "snp_certificates",
            Self::EndorsementKey(_) => "snp_endorsement_key",
            Self::Chain(_) => "snp_chain",
            Self::Revocation(_) => "snp_revocation",
            Self::Endorsement(_) => "snp_endorsement",
            Self::Signature(_) => "snp_signature",
            Self::ProductNotListed(_) => "snp_product_not_listed",
            Self::KeyNotListed(_) => "snp_key_not_listed",
            Self::CloudNotListed(_) => "snp_cloud_not_listed",
            Self::TcbBelowFloor { .. } => "snp_tcb_below_floor",
            Self::NoFloor(_) => "snp_no_floor",
            Self::ChipNotListed => "snp_chip_not_listed",
            Self::Platform(_) => "snp_platform",
            Self::Debug => "snp_debug",
            Self::MigrationAgent => "snp_migration_agent",
            Self::GuestPolicy(_) => "snp_guest_policy",
            Self::Multithreading => "snp_multithreading",
            Self::NotDemanded(_) => "snp_not_demanded",
            Self::GuestSvnBelowFloor { .. } => "snp_guest_svn_below_floor",
            Self::Vmpl { .. } => "snp_vmpl",
        }
    }
}
