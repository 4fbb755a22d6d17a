//! What a trust domain is measured as. In the software platform the measurements follow from a
//! name, so that a gateway, an enclave and an impostor differ by their names.

use ring::digest::{SHA384, digest};

use crate::event_log::BootLog;

/// The measured fields of a TD report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TdMeasurements {
    pub mr_td: [u8; 48],
    pub rtmr: [[u8; 48]; 4],
    pub mr_seam: [u8; 48],
    pub mr_config_id: [u8; 48],
    pub mr_owner: [u8; 48],
    pub mr_owner_config: [u8; 48],
    pub attributes: u64,
    pub xfam: u64,
    /// Measurement of the service TDs of a TD of TDX 1.5, which has quotes of version 5.
    pub service_td: Option<[u8; 48]>,
}

impl TdMeasurements {
    pub const DEBUG: u64 = 1;
    pub const SEPT_VE_DISABLE: u64 = 1 << 28;
    pub const MIGRATABLE: u64 = 1 << 29;
    /// Reserved in every version of the TDX module.
    pub const RESERVED: u64 = 1 << 7;

    /// The measurements of the image called `name`.
    pub fn named(name: &str) -> Self {
        let measure = |register: &str| sha384(&format!("software image {name}: {register}"));
        Self {
            mr_td: measure("mrtd"),
            rtmr: ["rtmr0", "rtmr1", "rtmr2", "rtmr3"].map(measure),
            mr_seam: sha384("software TDX module"),
            mr_config_id: [0; 48],
            mr_owner: [0; 48],
            mr_owner_config: [0; 48],
            attributes: Self::SEPT_VE_DISABLE,
            xfam: 0x0006_02e7,
            service_td: None,
        }
    }

    /// The same image with the registers that its boot log leads to.
    pub fn booted(name: &str) -> Self {
        Self {
            rtmr: BootLog::of(name).rtmrs(),
            ..Self::named(name)
        }
    }

    /// A TD of TDX 1.5. All zeros stand for no service TD.
    #[must_use]
    pub fn with_service_td(mut self, measurement: [u8; 48]) -> Self {
        self.service_td = Some(measurement);
        self
    }

    #[must_use]
    pub fn with_attributes(mut self, attributes: u64) -> Self {
        self.attributes = attributes;
        self
    }
}

fn sha384(text: &str) -> [u8; 48] {
    digest(&SHA384, text.as_bytes())
        .as_ref()
        .try_into()
        .expect("SHA-384 is 48 bytes")
}
