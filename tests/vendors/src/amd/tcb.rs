//! Security versions and their place in the eight bytes of a `TCB_VERSION`.

use super::knobs::Processor;

/// One version per component. `fmc` exists on Turin only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecurityVersions {
    pub fmc: u8,
    pub boot_loader: u8,
    pub tee: u8,
    pub snp: u8,
    pub microcode: u8,
}

impl SecurityVersions {
    /// What a current machine has. The microcode version needs two bytes as a DER integer.
    pub const CURRENT: Self = Self {
        fmc: 1,
        boot_loader: 4,
        tee: 2,
        snp: 24,
        microcode: 219,
    };

    /// AMD publication 56860, "TCB Version": the order depends on the product.
    pub fn raw(self, processor: Processor) -> [u8; 8] {
        match processor {
            Processor::Turin => [
                self.fmc,
                self.boot_loader,
                self.tee,
                self.snp,
                0,
                0,
                0,
                self.microcode,
            ],
            _ => [
                self.boot_loader,
                self.tee,
                0,
                0,
                0,
                0,
                self.snp,
                self.microcode,
            ],
        }
    }
}
