//! Why a text is not an attestation policy.

use crate::retention::KeysError;
use crate::section::FieldError;

/// Why a text is not an attestation policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Larger than any policy.
    #[error("the policy is too large")]
    TooLarge,
    /// Not TOML.
    #[error("{0}")]
    Syntax(String),
    /// A key that is unknown or missing, or a value of the wrong type or range.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// A name of nothing, or too long to be shown.
    #[error("name must be 1 to 100 characters without control characters")]
    Name,
    /// No kind of evidence is accepted, so nothing could ever be.
    #[error(
        "the policy has none of the sections [tdx], [snp] and [nvidia] and could accept nothing"
    )]
    AcceptsNothing,
    /// `measurements = "pinned"` without the measurements that identify an image.
    #[error("measurements are pinned, but {0} has no accepted value")]
    NotPinned(&'static str),
    /// `measurements = "partial"` without any measurement.
    #[error("measurements are partly pinned, but none has an accepted value")]
    NothingPinned,
    /// `measurements = "any"` beside accepted values.
    #[error("any measurement is accepted, so {0} must not be listed")]
    PinnedUnderAny(&'static str),
    /// A value that is not lower-case hexadecimal of the right length.
    #[error("{field}: \"{value}\" is not {bytes} bytes of lower-case hexadecimal")]
    Hex {
        /// Which list.
        field: &'static str,
        /// The value.
        value: String,
        /// Its right length.
        bytes: usize,
    },
    /// A value that is not lower-case hexadecimal of at most so many bytes.
    #[error("{field}: \"{value}\" is not 1 to {max} bytes of lower-case hexadecimal")]
    HexUpTo {
        /// Which list.
        field: &'static str,
        /// The value.
        value: String,
        /// Its greatest length.
        max: usize,
    },
    /// A value that is not `sha256:` and 64 digits.
    #[error("{field}: \"{value}\" is not a sha256: digest")]
    Digest {
        /// Which list.
        field: &'static str,
        /// The value.
        value: String,
    },
    /// An image without any measurement would be every image.
    #[error("an entry of {0} lists no measurement")]
    EmptyImage(&'static str),
    /// A word that the field does not know.
    #[error("{field}: \"{value}\" is not one of {known}")]
    Word {
        /// Which field.
        field: &'static str,
        /// The value.
        value: String,
        /// The words it knows.
        known: &'static str,
    },
    /// Not an advisory's name.
    #[error("{field}: \"{value}\" is not an advisory such as INTEL-SA-00837")]
    Advisory {
        /// Which field.
        field: &'static str,
        /// The value.
        value: String,
    },
    /// An advisory that may never apply and may apply for some days.
    #[error("grace_days: {0} is denied by denied_advisories")]
    GraceForDenied(String),
    /// Two fields that cannot both hold.
    #[error("{0} and {1} cannot stand together")]
    Contradiction(&'static str, &'static str),
    /// A component that the product does not have.
    #[error("{0} processors have no fmc component")]
    NoFmc(&'static str),
    /// Not a TCB status of Intel's.
    #[error("tcb_statuses: \"{0}\" is not a TCB status")]
    UnknownStatus(String),
    /// `Revoked` means that the platform's keys are known to others.
    #[error("tcb_statuses: Revoked cannot be accepted")]
    RevokedStatus,
    /// Not a number and one of `s`, `m`, `h`, `d`.
    #[error("{field}: \"{value}\" is not a duration such as 90m, 24h or 8d")]
    Duration {
        /// Which field.
        field: &'static str,
        /// The value.
        value: String,
    },
    /// A field that says nothing without another.
    #[error("{0} has no meaning without {1}")]
    Needs(&'static str, &'static str),
    /// A section that asks for nothing.
    #[error("[{0}] is there and asks for nothing")]
    AsksNothing(&'static str),
    /// Keys that could not have signed anything.
    #[error("retention.keys: {0}")]
    RetentionKeys(KeysError),
}
