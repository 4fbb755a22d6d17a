//! Extending the launch digest page by page.

use crate::firmware::PAGE;
use crate::hash::{Sha384, sha384};

/// Save areas are measured at the highest page address.
const SAVE_AREA_ADDRESS: u64 = 0xFFFF_FFFF_F000;
const PAGE_INFO_LEN: u16 = 0x70;

/// Kinds of pages, as `SNP_LAUNCH_UPDATE` numbers them.
#[derive(Clone, Copy)]
pub(super) enum PageKind {
    Normal = 1,
    SaveArea = 2,
    Zero = 3,
    Secrets = 5,
    Cpuid = 6,
}

pub(super) struct Digest(Sha384);

impl Digest {
    pub(super) const fn new() -> Self {
        Self([0; 48])
    }

    /// Pages whose contents are measured. `contents` are whole pages.
    pub(super) fn pages(&mut self, kind: PageKind, address: u64, contents: &[u8]) {
        for (page, at) in contents.chunks(PAGE).zip((address..).step_by(PAGE)) {
            self.extend(kind, at, &sha384(&[page]));
        }
    }

    /// Pages of which only kind and address are measured.
    pub(super) fn unmeasured(&mut self, kind: PageKind, address: u64, len: u32) {
        for at in (address..address + u64::from(len)).step_by(PAGE) {
            self.extend(kind, at, &[0; 48]);
        }
    }

    /// The initial state of a processor.
    pub(super) fn processor(&mut self, save_area: &[u8]) {
        let contents = sha384(&[save_area]);
        self.extend(PageKind::SaveArea, SAVE_AREA_ADDRESS, &contents);
    }

    pub(super) const fn finish(self) -> Sha384 {
        self.0
    }

    /// `PAGE_INFO`: digest so far, contents, length, kind, whether it is for a migration agent, the permissions of
    /// VMPL 3, 2 and 1 (none), a reserved byte, address.
    fn extend(&mut self, kind: PageKind, address: u64, contents: &[u8; 48]) {
        self.0 = sha384(&[
            &self.0,
            contents,
            &PAGE_INFO_LEN.to_le_bytes(),
            &[kind as u8, 0, 0, 0, 0, 0],
            &address.to_le_bytes(),
        ]);
    }
}
