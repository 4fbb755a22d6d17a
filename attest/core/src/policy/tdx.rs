//! What is wanted of a TD and of the platform under it.

use super::PolicyError;
use super::values::{hex_list, hex_vec_list};
use super::wire::{self, Measurements, TrailingBytes};
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
    pub(crate) mrconfigid: Accepted<48>,
    pub(crate) mrowner: Accepted<48>,
    pub(crate) mrownerconfig: Accepted<48>,
    pub(crate) td_attributes: Accepted<8>,
    pub(crate) xfam: Accepted<8>,
    pub(crate) ppid: Option<Vec<Vec<u8>>>,
    pub(crate) tcb_statuses: Vec<TcbStatus>,
    pub(crate) denied_advisories: Vec<String>,
    pub(crate) min_tcb_evaluation_data_number: Option<u32>,
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

impl TdxImage {
    fn from_wire(image: wire::TdxImage) -> Result<Self, PolicyError> {
        let image = Self {
            mrtd: hex_list("mrtd", image.mrtd)?,
            rtmr: [
                hex_list("rtmr0", image.rtmr0)?,
                hex_list("rtmr1", image.rtmr1)?,
                hex_list("rtmr2", image.rtmr2)?,
                hex_list("rtmr3", image.rtmr3)?,
            ],
        };
        if image.mrtd.is_none() && image.rtmr.iter().all(Option::is_none) {
            return Err(PolicyError::EmptyImage("tdx.image"));
        }
        Ok(image)
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
    pub(super) fn from_wire(tdx: wire::Tdx) -> Result<Self, PolicyError> {
        let policy = Self {
            images: tdx
                .image
                .into_iter()
                .map(TdxImage::from_wire)
                .collect::<Result<_, _>>()?,
            mrtd: hex_list("mrtd", tdx.mrtd)?,
            rtmr: [
                hex_list("rtmr0", tdx.rtmr0)?,
                hex_list("rtmr1", tdx.rtmr1)?,
                hex_list("rtmr2", tdx.rtmr2)?,
                hex_list("rtmr3", tdx.rtmr3)?,
            ],
            mrseam: hex_list("mrseam", tdx.mrseam)?,
            mrconfigid: hex_list("mrconfigid", tdx.mrconfigid)?,
            mrowner: hex_list("mrowner", tdx.mrowner)?,
            mrownerconfig: hex_list("mrownerconfig", tdx.mrownerconfig)?,
            td_attributes: hex_list("td_attributes", tdx.td_attributes)?,
            xfam: hex_list("xfam", tdx.xfam)?,
            ppid: hex_vec_list("ppid", tdx.ppid, MAX_PPID_LEN)?,
            tcb_statuses: statuses(tdx.tcb_statuses)?,
            denied_advisories: tdx.denied_advisories,
            min_tcb_evaluation_data_number: tdx.min_tcb_evaluation_data_number,
            allow_debug: tdx.allow_debug,
            allow_service_td: tdx.allow_service_td,
            trailing_bytes: tdx.trailing_bytes,
        };
        policy.measurements_are_as_stated(tdx.measurements)?;
        Ok(policy)
    }

    /// Measurements with the names they have in the policy.
    fn measurements(&self) -> [(&'static str, &Accepted<48>); 9] {
        let [rtmr0, rtmr1, rtmr2, rtmr3] = &self.rtmr;
        [
            ("mrtd", &self.mrtd),
            ("rtmr0", rtmr0),
            ("rtmr1", rtmr1),
            ("rtmr2", rtmr2),
            ("rtmr3", rtmr3),
            ("mrseam", &self.mrseam),
            ("mrconfigid", &self.mrconfigid),
            ("mrowner", &self.mrowner),
            ("mrownerconfig", &self.mrownerconfig),
        ]
    }

    /// Pinned means that firmware, kernel, command line and initial file system are known: MRTD,
    /// RTMR1 and RTMR2. RTMR0 depends on the machine's shape and RTMR3 on the workload.
    fn measurements_are_as_stated(&self, stated: Measurements) -> Result<(), PolicyError> {
        let listed = |wanted: bool| {
            self.measurements()
                .into_iter()
                .find(|(_, accepted)| accepted.is_some() == wanted)
                .map(|(name, _)| name)
        };
        match stated {
            Measurements::Pinned => {
                let unpinned = self
                    .measurements()
                    .into_iter()
                    .filter(|(name, _)| ["mrtd", "rtmr1", "rtmr2"].contains(name))
                    .find(|(name, accepted)| accepted.is_none() && !self.every_image_pins(name));
                match unpinned {
                    Some((name, _)) => Err(PolicyError::NotPinned(name)),
                    None => Ok(()),
                }
            }
            Measurements::Partial if self.images.is_empty() && listed(true).is_none() => {
                Err(PolicyError::NothingPinned)
            }
            Measurements::Partial => Ok(()),
            Measurements::Any if !self.images.is_empty() => {
                Err(PolicyError::PinnedUnderAny("image"))
            }
            Measurements::Any => match listed(true) {
                Some(name) => Err(PolicyError::PinnedUnderAny(name)),
                None => Ok(()),
            },
        }
    }

    fn every_image_pins(&self, measurement: &str) -> bool {
        !self.images.is_empty() && self.images.iter().all(|image| image.pins(measurement))
    }
}

fn statuses(texts: Option<Vec<String>>) -> Result<Vec<TcbStatus>, PolicyError> {
    let Some(texts) = texts else {
        return Ok(vec![TcbStatus::UpToDate]);
    };
    if texts.is_empty() {
        return Err(PolicyError::EmptyList("tcb_statuses"));
    }
    texts
        .into_iter()
        .map(|text| match TcbStatus::parse(&text) {
            None => Err(PolicyError::UnknownStatus(text)),
            Some(TcbStatus::Revoked) => Err(PolicyError::RevokedStatus),
            Some(status) => Ok(status),
        })
        .collect()
}
