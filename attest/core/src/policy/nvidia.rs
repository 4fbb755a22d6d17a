//! The section `[nvidia]` of an attestation policy: devices, their modes, firmware and manifests.

use std::time::Duration;

use super::PolicyError;
use super::section::Section;
use super::values::{TrailingBytes, digest, duration, one_of, text, word};
use crate::digest::Sha256Digest;
use crate::nvidia::{Architecture, FeatureFlag};

/// NVIDIA's own answers are good for about this long.
const OCSP_MAX_AGE: Duration = Duration::from_secs(24 * 3600);

/// The `[nvidia]` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NvidiaPolicy {
    pub(crate) required: bool,
    pub(crate) gpus: Option<Count>,
    pub(crate) switches: Option<usize>,
    pub(crate) architectures: Option<Vec<Architecture>>,
    pub(crate) rims_required: bool,
    pub(crate) rim_digests: Option<Vec<Sha256Digest>>,
    pub(crate) rim_signer_dates: SignerDates,
    pub(crate) rim_ocsp: OcspPolicy,
    pub(crate) driver_versions: Option<Vec<String>>,
    pub(crate) vbios_versions: Option<Vec<String>>,
    pub(crate) modes: Option<Vec<FeatureFlag>>,
    pub(crate) ocsp: OcspPolicy,
    pub(crate) allow_missing_fwid: bool,
    pub(crate) topology: bool,
    pub(crate) trailing_bytes: TrailingBytes,
}

/// How many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    Exactly(usize),
    AtLeast(usize),
}

/// Whether the certificates of a manifest's signer have to be within their dates. NVIDIA signs a
/// manifest once; its signer's certificates end while the driver is still in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignerDates {
    /// At the time of the appraisal.
    Enforced,
    /// Not checked; the pinned root and the signature are what counts.
    Ignored,
}

/// What becomes of revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OcspPolicy {
    /// Every certificate that NVIDIA can revoke needs a good answer.
    Required(Duration),
    /// Answers that are there must be good.
    Optional(Duration),
    Off,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    Required,
    Optional,
    Off,
}

const NEEDS: [(&str, Need); 3] = [
    ("required", Need::Required),
    ("optional", Need::Optional),
    ("off", Need::Off),
];
/// Whether something is required, for which there is no looking away.
const REQUIRED: [(&str, bool); 2] = [("required", true), ("optional", false)];
const ENFORCED: [(&str, bool); 2] = [("enforced", true), ("off", false)];
const SIGNER_DATES: [(&str, SignerDates); 2] = [
    ("enforced", SignerDates::Enforced),
    ("ignored", SignerDates::Ignored),
];

impl NvidiaPolicy {
    pub(super) fn from_section(mut section: Section<'_, '_>) -> Self {
        let s = &mut section;
        let (exactly, at_least) = (s.number("gpus"), s.number("min_gpus"));
        if exactly.is_some() && at_least.is_some() {
            s.problem_of("min_gpus", PolicyError::Contradiction("gpus", "min_gpus"));
        }
        let max_age = s.read("ocsp_max_age", duration).unwrap_or(OCSP_MAX_AGE);
        let policy = Self {
            required: s.flag("required", false),
            gpus: exactly.map(Count::Exactly).or(at_least.map(Count::AtLeast)),
            switches: s.number("switches"),
            architectures: s.list(
                "architectures",
                word("HOPPER, BLACKWELL, LS10", architecture),
            ),
            rims_required: s
                .read("rims", one_of("required, optional", &REQUIRED))
                .unwrap_or(true),
            rim_digests: s.list("rim_digests", digest),
            rim_signer_dates: s
                .read(
                    "rim_signer_dates",
                    one_of("enforced, ignored", &SIGNER_DATES),
                )
                .unwrap_or(SignerDates::Enforced),
            rim_ocsp: ocsp(s, "rim_ocsp", max_age),
            driver_versions: s.list("driver_versions", text),
            vbios_versions: s.list("vbios_versions", text),
            modes: s.list("modes", word("SPT, MPT, PPCIE", mode)),
            ocsp: ocsp(s, "ocsp", max_age),
            allow_missing_fwid: s.flag("allow_missing_fwid", false),
            topology: s
                .read("topology", one_of("enforced, off", &ENFORCED))
                .unwrap_or(true),
            trailing_bytes: s
                .read("trailing_bytes", TrailingBytes::read)
                .unwrap_or(TrailingBytes::None),
        };
        section.finish();
        policy
    }
}

fn ocsp(section: &mut Section<'_, '_>, key: &'static str, max_age: Duration) -> OcspPolicy {
    match section.read(key, one_of("required, optional, off", &NEEDS)) {
        Some(Need::Required) => OcspPolicy::Required(max_age),
        Some(Need::Optional) | None => OcspPolicy::Optional(max_age),
        Some(Need::Off) => OcspPolicy::Off,
    }
}

fn architecture(word: &str) -> Option<Architecture> {
    let all = [
        Architecture::Hopper,
        Architecture::Blackwell,
        Architecture::Ls10,
    ];
    all.into_iter().find(|this| this.as_str() == word)
}

fn mode(word: &str) -> Option<FeatureFlag> {
    let all = [
        FeatureFlag::SinglePassthrough,
        FeatureFlag::MultiPassthrough,
        FeatureFlag::ProtectedPcie,
    ];
    all.into_iter().find(|this| this.as_str() == word)
}
