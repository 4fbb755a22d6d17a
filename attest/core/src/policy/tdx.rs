//! The section `[tdx]` of an attestation policy: accepted images, TCB statuses, advisories and TD attributes.

use std::time::Duration;

use super::PolicyError;
use super::section::Section;
use super::values::{TrailingBytes, duration, hex, hex_up_to, one_of, word};
use crate::tdx::TcbStatus;

const MAX_PPID_LEN: usize = 64;

/// Accepted values, or nothing asked.
pub(crate) type Accepted<const N: usize> = Option<Vec<[u8; N]>>;

/// The `[tdx]` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TdxPolicy {
    /// Images whose measurements belong together; empty if none is listed.
    pub(crate) images: Vec<TdxImage>,
    pub(crate) mrtd: Accepted<48>,
    pub(crate) rtmr: [Accepted<48>; 4],
    pub(crate) mrseam: Accepted<48>,
    pub(crate) mrsignerseam: Accepted<48>,
    pub(crate) seam_attributes: Vec<[u8; 8]>,
    pub(crate) mrconfigid: Accepted<48>,
    pub(crate) mrowner: Accepted<48>,
    pub(crate) mrownerconfig: Accepted<48>,
    pub(crate) mrservicetd: Accepted<48>,
    pub(crate) td_attributes: Accepted<8>,
    pub(crate) xfam: Xfam,
    pub(crate) ppid: Option<Vec<Vec<u8>>>,
    pub(crate) fmspc: Accepted<6>,
    pub(crate) pce_id: Accepted<2>,
    pub(crate) min_tee_tcb_svn: Option<[u8; 16]>,
    pub(crate) min_tee_tcb_svn2: Option<[u8; 16]>,
    pub(crate) min_qe_svn: Option<u16>,
    pub(crate) min_pce_svn: Option<u16>,
    pub(crate) tcb_statuses: Vec<TcbStatus>,
    pub(crate) denied_advisories: Vec<String>,
    pub(crate) grace: Vec<Grace>,
    pub(crate) min_tcb_evaluation_data_number: Option<u32>,
    pub(crate) max_collateral_age: Option<Duration>,
    pub(crate) allow_debug: bool,
    pub(crate) allow_service_td: bool,
    pub(crate) trailing_bytes: TrailingBytes,
}

/// One image: a TD is of it if every listed measurement is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TdxImage {
    pub(crate) mrtd: Accepted<48>,
    pub(crate) rtmr: [Accepted<48>; 4],
}

/// What is wanted of the extended features that a TD may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Xfam {
    /// Each under the mask.
    pub(crate) accepted: Accepted<8>,
    /// The bits in which an accepted value has to agree; all of them, where no mask is stated.
    pub(crate) mask: [u8; 8],
    /// The bits that may be set where no accepted value sets them.
    pub(crate) allowed: [u8; 8],
}

impl Xfam {
    /// FP, SSE, AVX, AVX-512, PT, PKRU, CET, UINTR, LBR and AMX: every bit that the TDX module lets a
    /// TD set (Intel TDX Module Base Architecture Specification, XFAM).
    const KNOWN: [u8; 8] = 0x0006_DBE7_u64.to_le_bytes();

    fn from_section(section: &mut Section<'_, '_>) -> Self {
        let accepted = section.list("xfam", hex);
        let mask = section.read("xfam_mask", hex);
        if mask.is_some() && accepted.is_none() {
            section.problem_of("xfam_mask", PolicyError::Needs("xfam_mask", "xfam"));
        }
        Self {
            accepted,
            mask: mask.unwrap_or([0xFF; 8]),
            allowed: section.read("xfam_allowed", hex).unwrap_or(Self::KNOWN),
        }
    }
}

/// How long an advisory may go without its cure, counted from the date of the TCB level it is
/// listed at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grace {
    pub(crate) advisory: String,
    pub(crate) period: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Measurements {
    Pinned,
    Partial,
    Any,
}

const MEASUREMENTS: [(&str, Measurements); 3] = [
    ("pinned", Measurements::Pinned),
    ("partial", Measurements::Partial),
    ("any", Measurements::Any),
];
const DAY: u64 = 86_400;

impl TdxImage {
    fn from_section(mut section: Section<'_, '_>) -> Self {
        // For the reader of the file.
        section.text("name");
        let image = Self {
            mrtd: section.list("mrtd", hex),
            rtmr: ["rtmr0", "rtmr1", "rtmr2", "rtmr3"].map(|key| section.list(key, hex)),
        };
        if image.mrtd.is_none() && image.rtmr.iter().all(Option::is_none) {
            section.problem(PolicyError::EmptyImage("tdx.image"));
        }
        section.finish();
        image
    }

    fn is_empty(&self) -> bool {
        self.mrtd.is_none() && self.rtmr.iter().all(Option::is_none)
    }

    fn pins(&self, measurement: &str) -> bool {
        let [_, rtmr1, rtmr2, _] = &self.rtmr;
        match measurement {
            "mrtd" => self.mrtd.is_some(),
            "rtmr1" => rtmr1.is_some(),
            "rtmr2" => rtmr2.is_some(),
            _ => false,
        }
    }
}

impl TdxPolicy {
    pub(super) fn from_section(mut section: Section<'_, '_>) -> Self {
        let s = &mut section;
        let stated = s.read(
            "measurements",
            one_of("pinned, partial, any", &MEASUREMENTS),
        );
        let policy = Self {
            images: s
                .tables("image")
                .into_iter()
                .map(TdxImage::from_section)
                .collect(),
            mrtd: s.list("mrtd", hex),
            rtmr: ["rtmr0", "rtmr1", "rtmr2", "rtmr3"].map(|key| s.list(key, hex)),
            mrseam: s.list("mrseam", hex),
            mrsignerseam: s.list("mrsignerseam", hex),
            seam_attributes: s
                .list("seam_attributes", hex)
                .unwrap_or_else(|| vec![[0; 8]]),
            mrconfigid: s.list("mrconfigid", hex),
            mrowner: s.list("mrowner", hex),
            mrownerconfig: s.list("mrownerconfig", hex),
            mrservicetd: s.list("mrservicetd", hex),
            td_attributes: s.list("td_attributes", hex),
            xfam: Xfam::from_section(s),
            ppid: s.list("ppid", hex_up_to(MAX_PPID_LEN)),
            fmspc: s.list("fmspc", hex),
            pce_id: s.list("pce_id", hex),
            min_tee_tcb_svn: s.read("min_tee_tcb_svn", hex),
            min_tee_tcb_svn2: s.read("min_tee_tcb_svn2", hex),
            min_qe_svn: s.number("min_qe_svn"),
            min_pce_svn: s.number("min_pce_svn"),
            tcb_statuses: s
                .list("tcb_statuses", status)
                .unwrap_or_else(|| vec![TcbStatus::UpToDate]),
            denied_advisories: s.list("denied_advisories", advisory).unwrap_or_default(),
            grace: Vec::new(),
            min_tcb_evaluation_data_number: s.number("min_tcb_evaluation_data_number"),
            max_collateral_age: s.read("max_collateral_age", duration),
            allow_debug: s.flag("allow_debug", false),
            allow_service_td: s.flag("allow_service_td", false),
            trailing_bytes: s
                .read("trailing_bytes", TrailingBytes::read)
                .unwrap_or(TrailingBytes::Any),
        };
        let grace = grace(&mut section, &policy.denied_advisories);
        let policy = Self { grace, ..policy };
        match stated {
            Some(stated) => policy.measurements_are_as_stated(stated, &section),
            None if section.has("measurements") => {}
            None if section.has_unknown() => {}
            None => policy.measurements_are_as_stated(Measurements::Pinned, &section),
        }
        section.finish();
        policy
    }

    /// Whether no measurement is pinned.
    pub(crate) fn accepts_any_image(&self) -> bool {
        let pinned = |(_, accepted): (&str, &Accepted<48>)| accepted.is_some();
        self.images.is_empty() && !self.measurements().into_iter().any(pinned)
    }

    /// Measurements with the names they have in the policy.
    fn measurements(&self) -> [(&'static str, &Accepted<48>); 11] {
        let [rtmr0, rtmr1, rtmr2, rtmr3] = &self.rtmr;
        [
            ("mrtd", &self.mrtd),
            ("rtmr0", rtmr0),
            ("rtmr1", rtmr1),
            ("rtmr2", rtmr2),
            ("rtmr3", rtmr3),
            ("mrseam", &self.mrseam),
            ("mrsignerseam", &self.mrsignerseam),
            ("mrconfigid", &self.mrconfigid),
            ("mrowner", &self.mrowner),
            ("mrownerconfig", &self.mrownerconfig),
            ("mrservicetd", &self.mrservicetd),
        ]
    }

    /// Pinned means that firmware, kernel, command line and initial file system are known: MRTD,
    /// RTMR1 and RTMR2. RTMR0 depends on the machine's shape and RTMR3 on the workload.
    fn measurements_are_as_stated(&self, stated: Measurements, section: &Section<'_, '_>) {
        let listed = || {
            let listed = self.measurements().into_iter();
            listed.filter(|(_, accepted)| accepted.is_some())
        };
        match stated {
            Measurements::Pinned => {
                for (name, accepted) in self.measurements() {
                    let needed = ["mrtd", "rtmr1", "rtmr2"].contains(&name);
                    if needed && accepted.is_none() && !self.every_image_pins(name) {
                        section.problem_of("measurements", PolicyError::NotPinned(name));
                    }
                }
            }
            Measurements::Partial => {
                if self.images.is_empty() && listed().next().is_none() {
                    section.problem_of("measurements", PolicyError::NothingPinned);
                }
            }
            Measurements::Any => {
                if !self.images.is_empty() {
                    section.problem_of("image", PolicyError::PinnedUnderAny("image"));
                }
                for (name, _) in listed() {
                    section.problem_of(name, PolicyError::PinnedUnderAny(name));
                }
            }
        }
    }

    /// An image that pins nothing at all was reported already.
    fn every_image_pins(&self, measurement: &str) -> bool {
        let pins = |image: &TdxImage| image.pins(measurement) || image.is_empty();
        !self.images.is_empty() && self.images.iter().all(pins)
    }
}

fn status(field: &'static str, text: String) -> Result<TcbStatus, PolicyError> {
    match word("", TcbStatus::parse)(field, text) {
        Ok(TcbStatus::Revoked) => Err(PolicyError::RevokedStatus),
        Ok(status) => Ok(status),
        Err(PolicyError::Word { value, .. }) => Err(PolicyError::UnknownStatus(value)),
        Err(other) => Err(other),
    }
}

/// Intel's numbering, `INTEL-SA-00837`, in capital letters as Intel writes it.
fn advisory(field: &'static str, value: String) -> Result<String, PolicyError> {
    let number = value.strip_prefix("INTEL-SA-").unwrap_or_default();
    let is_one = (1..=10).contains(&number.len()) && number.bytes().all(|it| it.is_ascii_digit());
    match is_one {
        true => Ok(value),
        false => Err(PolicyError::Advisory { field, value }),
    }
}

fn grace(section: &mut Section<'_, '_>, denied: &[String]) -> Vec<Grace> {
    let mut all = Vec::new();
    for (name, days) in section.numbers("grace_days") {
        match advisory("grace_days", name.value) {
            Ok(advisory) if denied.contains(&advisory) => {
                section.refuse(&name.at, PolicyError::GraceForDenied(advisory));
            }
            Ok(advisory) => all.push(Grace {
                advisory,
                period: Duration::from_secs(u64::from(days) * DAY),
            }),
            Err(error) => section.refuse(&name.at, error),
        }
    }
    all
}
