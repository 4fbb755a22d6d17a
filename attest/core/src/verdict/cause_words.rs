//! Causes in the words that people read.

use std::fmt;
use std::time::Duration;

use super::Cause;
use crate::encoding::to_hex;

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReportMalformed(error) => write!(f, "the report cannot be read: {error}"),
            Self::QuoteMalformed(error) => write!(f, "the quote cannot be read: {error}"),
            Self::UnsupportedEvidence(kind) => {
                write!(f, "{kind} evidence is not judged by this version")
            }
            Self::ReportSignature(error) => write!(f, "the report's signature: {error}"),
            Self::KeysetDigest { claimed, computed } => {
                write!(f, "the report states {claimed}, its keyset has {computed}")
            }
            Self::ReportData => {
                f.write_str("the hardware's report data does not bind this keyset and nonce")
            }
            Self::UnchallengedEvidence => f.write_str("the evidence was made without a nonce"),
            Self::NonceNotShown => {
                f.write_str("nothing shows that the evidence was made for this nonce")
            }
            Self::KeysetExpired { not_after } => write!(f, "the keyset ended at {not_after}"),
            Self::KeysetLifetime { remaining, limit } => write!(
                f,
                "the keyset lives {} s more, the policy allows {} s",
                remaining.as_secs(),
                limit.as_secs()
            ),
            Self::ChannelKey(error) => error.fmt(f),
            Self::DocumentMissing(name) => {
                write!(f, "the report does not carry the {name} document")
            }
            Self::DocumentDigest {
                document,
                bound,
                shown,
            } => {
                write!(
                    f,
                    "the {document} shown is {shown}, the hardware bound {bound}"
                )
            }
            Self::SubjectMalformed => f.write_str("the keyset's subject cannot be read"),
            Self::DigestNotAccepted(digest) => write!(f, "{digest} is not in the policy's list"),
            Self::RetentionModeUnreadable => {
                f.write_str("the retention policy states no mode this version knows")
            }
            Self::RetentionMode { got, limit } => {
                write!(
                    f,
                    "the service retains \"{got}\", the policy allows at most \"{limit}\""
                )
            }
            Self::RetentionEpoch { got, floor } => write!(
                f,
                "the retention policy is of epoch {got}, the policy accepts none before {floor}"
            ),
            Self::RetentionTtl { got, limit } => write!(
                f,
                "the service retains for {} s, the policy allows at most {} s",
                got.as_secs(),
                limit.as_secs()
            ),
            Self::RetentionUnopened { reason, cause } => write!(
                f,
                "{cause}, of some tenant; {reason}, so that the most lenient of all terms counts"
            ),
            Self::RetentionSignature(error) => write!(f, "the retention policy {error}"),
            Self::RetentionSignatureFile(error) => {
                write!(f, "the retention policy's signatures: {error}")
            }
            Self::Log(error) => write!(f, "the audit log: {error}"),
            Self::LogOrigin(origin) => write!(f, "{origin} is not in the policy's list"),
            Self::LogSize { got, floor } => {
                write!(
                    f,
                    "the audit log has {got} entries, the policy wants {floor}"
                )
            }
            Self::Provenance(field) => write!(f, "the claimed {field} is not in the policy's list"),
            Self::TrailingBytes { count } => write!(f, "{count} bytes follow the quote"),
            Self::CollateralMalformed(error) => write!(f, "the collateral cannot be read: {error}"),
            Self::CollateralNotYetValid { part, not_before } => {
                write!(f, "the {part} is valid only from {not_before}")
            }
            Self::CollateralExpired { part, not_after } => {
                write!(f, "the {part} was valid until {not_after}")
            }
            Self::RevocationList(detail) => write!(f, "a revocation list is not usable: {detail}"),
            Self::CertificateRevoked(role) => write!(f, "{} was revoked", role.as_str()),
            Self::CertificateChain(detail) => {
                write!(f, "the certificates do not lead to the root: {detail}")
            }
            Self::Signature => f.write_str("the signature does not verify"),
            Self::AttestationKey => {
                f.write_str("the quoting enclave does not vouch for the attestation key")
            }
            Self::QeIdentity(detail) => {
                write!(f, "the quoting enclave is not the one described: {detail}")
            }
            Self::CollateralForOtherPlatform(detail) => {
                write!(f, "the collateral is about other hardware: {detail}")
            }
            Self::NoTcbLevel(detail) => write!(f, "no TCB level matches: {detail}"),
            Self::TdxModule(detail) => write!(f, "the TDX module is not one described: {detail}"),
            Self::TcbStatus(status) => write!(f, "TCB status {status} is not accepted"),
            Self::AdvisoryDenied(advisory) => write!(f, "{advisory} applies and is denied"),
            Self::GraceOver { advisory, until } => {
                write!(f, "the grace for {advisory} ended at {until}")
            }
            Self::CollateralAge { issued, limit } => write!(
                f,
                "the collateral was issued at {issued}, the policy allows an age of {}",
                age(*limit)
            ),
            Self::TeeTcbSvn {
                component,
                got,
                floor,
            } => write!(f, "component {component} has version {got}, below {floor}"),
            Self::SvnBelowFloor { got, floor } => write!(f, "version {got} is below {floor}"),
            Self::QeVendor => f.write_str("the quoting enclave is not Intel's"),
            Self::ReportDataOther(found) => {
                write!(f, "the report data is {}", to_hex(found.as_slice()))
            }
            Self::EvaluationDataNumber { got, floor } => {
                write!(f, "TCB evaluation data number {got} is below {floor}")
            }
            Self::PlatformNotListed => f.write_str("the machine is not in the policy's list"),
            Self::DebugTd { flags } => {
                write!(f, "the TD can be looked into (debug flags {flags:#04x})")
            }
            Self::SeptVeEnabled => f.write_str("SEPT_VE_DISABLE is off"),
            Self::ReservedAttributes { bits } => {
                write!(f, "reserved TD attribute bits are set ({bits:#018x})")
            }
            Self::Xfam { missing, unknown } => write!(
                f,
                "extended features that every TD has are off ({missing:#x}) or others are on \
                 ({unknown:#x})"
            ),
            Self::Migratable => f.write_str("the TD may be migrated"),
            Self::ServiceTd => f.write_str("a service TD can act on the TD"),
            Self::NotAccepted(value) => write!(f, "{value} is not in the policy's list"),
            Self::TeeNotInPolicy(tee) => write!(f, "the policy accepts no {tee} evidence"),
            Self::NoRoot(kind) => {
                write!(f, "no root was supplied for it ({})", kind.file_name())
            }
            Self::NoImage => {
                f.write_str("the measurements are not together those of any listed image")
            }
            Self::Snp(cause) => cause.fmt(f),
            Self::Nvidia(cause) => cause.fmt(f),
            Self::EventLog(error) => error.fmt(f),
            Self::Event(error) => error.fmt(f),
            Self::SecureBootOff => f.write_str("the firmware did not enforce signatures"),
        }
    }
}

/// In the largest unit that leaves nothing over.
fn age(limit: Duration) -> String {
    match limit.as_secs() {
        days if days % 86_400 == 0 => format!("{} d", days / 86_400),
        hours if hours % 3600 == 0 => format!("{} h", hours / 3600),
        seconds => format!("{seconds} s"),
    }
}
