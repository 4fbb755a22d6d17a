//! The two bit fields of a report: what the guest's owner permits (`GUEST_POLICY`) and what the
//! platform has switched on (`PLATFORM_INFO`), after AMD publication 56860.

/// What the guest's owner permits the host to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GuestPolicy(u64);

/// A guest policy no firmware of a known version would have let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GuestPolicyError {
    /// Bit 17 must be one.
    #[error("guest policy bit 17, reserved as one, is zero")]
    ReservedOne,
    /// Bits 26 to 63 must be zero.
    #[error("reserved guest policy bits {0:#x} are set")]
    ReservedZero(u64),
}

const RESERVED_ONE: u64 = 1 << 17;
const RESERVED_ZERO: u64 = !0 << 26;

impl GuestPolicy {
    /// From the eight bytes at 0x08, little-endian.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// All 64 bits.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The least firmware ABI version the guest runs under: major, minor.
    pub const fn minimum_abi(self) -> (u8, u8) {
        ((self.0 >> 8) as u8, self.0 as u8)
    }

    /// Bit 16: simultaneous multithreading may be on.
    pub const fn smt_allowed(self) -> bool {
        self.0 >> 16 & 1 == 1
    }

    /// Bit 18: a migration agent may be bound to the guest.
    pub const fn migration_agent_allowed(self) -> bool {
        self.0 >> 18 & 1 == 1
    }

    /// Bit 19: the host may read and write the guest's memory for debugging.
    pub const fn debug_allowed(self) -> bool {
        self.0 >> 19 & 1 == 1
    }

    /// Bit 20: the guest may run on one socket only.
    pub(crate) const fn single_socket_required(self) -> bool {
        self.0 >> 20 & 1 == 1
    }

    /// Bit 21: CXL devices may hold guest memory.
    pub(crate) const fn cxl_allowed(self) -> bool {
        self.0 >> 21 & 1 == 1
    }

    /// Bit 22: AES-256-XTS memory encryption is demanded.
    pub(crate) const fn aes_256_xts_required(self) -> bool {
        self.0 >> 22 & 1 == 1
    }

    /// Bit 23: running average power limits must be off.
    pub(crate) const fn rapl_disabled(self) -> bool {
        self.0 >> 23 & 1 == 1
    }

    /// Bit 24: ciphertext hiding must be on.
    pub(crate) const fn ciphertext_hiding_required(self) -> bool {
        self.0 >> 24 & 1 == 1
    }

    /// Bit 25: the host may not swap or move guest pages.
    pub(crate) const fn page_swap_disabled(self) -> bool {
        self.0 >> 25 & 1 == 1
    }

    /// Checks the bits that must be one or zero.
    pub const fn check_reserved(self) -> Result<(), GuestPolicyError> {
        if self.0 & RESERVED_ONE == 0 {
            return Err(GuestPolicyError::ReservedOne);
        }
        match self.0 & RESERVED_ZERO {
            0 => Ok(()),
            set => Err(GuestPolicyError::ReservedZero(set)),
        }
    }
}

/// What the platform has switched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PlatformInfo(u64);

impl PlatformInfo {
    /// From the eight bytes at 0x40, little-endian.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// All 64 bits.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Bit 0: simultaneous multithreading is on.
    pub const fn smt_enabled(self) -> bool {
        self.0 & 1 == 1
    }

    /// Bit 1: transparent memory encryption for everything.
    pub(crate) const fn tsme_enabled(self) -> bool {
        self.0 >> 1 & 1 == 1
    }

    /// Bit 2: error-correcting memory.
    pub const fn ecc_enabled(self) -> bool {
        self.0 >> 2 & 1 == 1
    }

    /// Bit 3: running average power limits are off.
    pub(crate) const fn rapl_disabled(self) -> bool {
        self.0 >> 3 & 1 == 1
    }

    /// Bit 4: ciphertext hiding is on.
    pub(crate) const fn ciphertext_hiding_enabled(self) -> bool {
        self.0 >> 4 & 1 == 1
    }

    /// Bit 5: memory aliasing was searched for and not found (the answer to BadRAM).
    pub const fn alias_check_complete(self) -> bool {
        self.0 >> 5 & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_reserved_bits_of_the_wrong_value() {
        assert_eq!(GuestPolicy::from_bits(0x3_0000).check_reserved(), Ok(()));
        assert_eq!(
            GuestPolicy::from_bits(0x1_0000).check_reserved(),
            Err(GuestPolicyError::ReservedOne)
        );
        assert_eq!(
            GuestPolicy::from_bits(1 << 40 | RESERVED_ONE).check_reserved(),
            Err(GuestPolicyError::ReservedZero(1 << 40))
        );
    }

    #[test]
    fn each_permission_is_its_own_bit() {
        type Permission = (fn(GuestPolicy) -> bool, u32);
        let permissions: [Permission; 8] = [
            (GuestPolicy::smt_allowed, 16),
            (GuestPolicy::migration_agent_allowed, 18),
            (GuestPolicy::debug_allowed, 19),
            (GuestPolicy::single_socket_required, 20),
            (GuestPolicy::cxl_allowed, 21),
            (GuestPolicy::aes_256_xts_required, 22),
            (GuestPolicy::ciphertext_hiding_required, 24),
            (GuestPolicy::page_swap_disabled, 25),
        ];
        for (permission, bit) in permissions {
            assert!(permission(GuestPolicy::from_bits(1 << bit)), "bit {bit}");
            assert!(
                !permission(GuestPolicy::from_bits(!(1 << bit))),
                "bit {bit}"
            );
        }
    }
}
