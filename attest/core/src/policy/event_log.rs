//! What is wanted of a TD's event log.

use serde::Deserialize;

use super::PolicyError;
use super::values::{hex_vec_list, list};
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wire {
    #[serde(default)]
    required: bool,
    registers: Option<Vec<String>>,
    app_id: Option<Vec<String>>,
    compose_hash: Option<Vec<String>>,
    os_image_hash: Option<Vec<String>>,
    #[serde(default)]
    secure_boot: bool,
}

impl EventLogPolicy {
    pub(super) fn from_wire(wire: Wire) -> Result<Self, PolicyError> {
        let registers = list("registers", wire.registers, |value| {
            let named = |register: &Register| format!("rtmr{}", register.number()) == value;
            match Register::ALL
                .iter()
                .copied()
                .find(|register| named(register))
            {
                Some(register) => Ok(register),
                None => Err(PolicyError::Word {
                    field: "registers",
                    value,
                    known: "rtmr0, rtmr1, rtmr2, rtmr3",
                }),
            }
        })?;
        let policy = Self {
            required: wire.required,
            registers: registers.unwrap_or_else(|| Register::ALL.to_vec()),
            app_id: hex_vec_list("app_id", wire.app_id, MAX_ID_LEN)?,
            compose_hash: hex_vec_list("compose_hash", wire.compose_hash, MAX_ID_LEN)?,
            os_image_hash: hex_vec_list("os_image_hash", wire.os_image_hash, MAX_ID_LEN)?,
            secure_boot: wire.secure_boot,
        };
        Ok(policy)
    }

    /// Whether some pin can only be judged with a log.
    pub(crate) fn needs_log(&self) -> bool {
        self.required
            || self.app_id.is_some()
            || self.compose_hash.is_some()
            || self.os_image_hash.is_some()
            || self.secure_boot
    }
}
