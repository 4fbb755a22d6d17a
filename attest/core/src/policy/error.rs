//! Why a text is not an attestation policy.

use crate::retention::KeysError;

/// Why a text is not an attestation policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Larger than any policy.
    #[error("the policy is too large")]
    TooLarge,
    /// Not TOML.
    #[error("{0}")]
    Syntax(String),
    /// A key that is not read: misspelt, it would be a check silently not made.
    #[error("unknown field `{field}`, {}", expected(*meant, known))]
    UnknownField {
        /// With the section it stands in.
        field: String,
        /// The key that was probably meant.
        meant: Option<&'static str>,
        /// What the section may hold.
        known: Vec<&'static str>,
    },
    /// A key that must be there.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A value of another type.
    #[error("{field} must be {wanted}, not of type {found}")]
    WrongType {
        /// With the section it stands in.
        field: String,
        /// What it must be.
        wanted: &'static str,
        /// Its type, in TOML's words.
        found: &'static str,
    },
    /// A negative number, or one that is too large.
    #[error("{field} must be from 0 to {most}")]
    OutOfRange {
        /// With the section it stands in.
        field: String,
        /// The largest it may be.
        most: u64,
    },
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
    /// A list without a value accepts nothing; leave it out to ask for nothing.
    #[error("{0} is an empty list")]
    EmptyList(&'static str),
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

fn expected(meant: Option<&str>, known: &[&str]) -> String {
    if let Some(meant) = meant {
        return format!("did you mean `{meant}`?");
    }
    let quoted: Vec<_> = known.iter().map(|key| format!("`{key}`")).collect();
    format!("expected one of {}", quoted.join(", "))
}
