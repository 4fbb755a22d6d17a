//! The part of a policy about a TD's event log.

use super::section::Section;
use super::values::{hex_up_to, word};
use crate::event_log::Register;

const MAX_ID_LEN: usize = 64;

/// The `[event_log]` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EventLogPolicy {
    pub(crate) required: bool,
    /// The registers it has to account for.
    pub(crate) registers: Vec<Register>,
    pub(crate) app_id: Option<Vec<Vec<u8>>>,
    pub(crate) compose_hash: Option<Vec<Vec<u8>>>,
    pub(crate) os_image_hash: Option<Vec<Vec<u8>>>,
    pub(crate) secure_boot: bool,
}

impl EventLogPolicy {
    pub(super) fn from_section(mut section: Section<'_, '_>) -> Self {
        let register = word("rtmr0, rtmr1, rtmr2, rtmr3", |text| {
            let mut all = Register::ALL.iter().copied();
            all.find(|register| format!("rtmr{}", register.number()) == text)
        });
        let policy = Self {
            required: section.flag("required", false),
            registers: section
                .list("registers", register)
                .unwrap_or_else(|| Register::ALL.to_vec()),
            app_id: section.list("app_id", hex_up_to(MAX_ID_LEN)),
            compose_hash: section.list("compose_hash", hex_up_to(MAX_ID_LEN)),
            os_image_hash: section.list("os_image_hash", hex_up_to(MAX_ID_LEN)),
            secure_boot: section.flag("secure_boot", false),
        };
        section.finish();
        policy
    }

    /// Whether some pin can only be appraised with a log.
    pub(crate) fn needs_log(&self) -> bool {
        self.required
            || self.app_id.is_some()
            || self.compose_hash.is_some()
            || self.os_image_hash.is_some()
            || self.secure_boot
    }
}
