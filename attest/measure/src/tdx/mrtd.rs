//! MRTD: the pages that are in a TD before it runs.
//!
//! Each page extends a SHA-384 by a 128-byte buffer, `MEM.PAGE.ADD` and its address at 16. Each 256
//! bytes that are measured extend it by `MR.EXTEND`, their address at 16, and the bytes (Intel, "TDX
//! Module ABI", `TDH.MEM.PAGE.ADD` and `TDH.MR.EXTEND`). The specification leaves the order of the two
//! to the host.

use crate::firmware::{PAGE, Tdvf, TdvfSection};
use crate::hash::{Hasher, Sha384};

const CHUNK: usize = 256;
const BUFFER_LEN: usize = 128;

/// How a host adds a section that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageOrder {
    /// Each page is added and then measured: Linux since 6.16, `KVM_TDX_INIT_MEM_REGION`.
    PerPage,
    /// All pages of a section are added, then all are measured: hosts with Intel's earlier patches.
    PerSection,
}

/// MRTD of a TD with this firmware, on a host that adds pages in this order.
pub fn mrtd(tdvf: &Tdvf<'_>, order: PageOrder) -> Sha384 {
    let mut hasher = Hasher::new();
    for section in tdvf.sections() {
        match order {
            PageOrder::PerPage => {
                for page in pages(section) {
                    add(&mut hasher, section, page);
                    extend(&mut hasher, section, page);
                }
            }
            PageOrder::PerSection => {
                pages(section).for_each(|page| add(&mut hasher, section, page));
                pages(section).for_each(|page| extend(&mut hasher, section, page));
            }
        }
    }
    hasher.finish()
}

/// Offsets of a section's pages from its start.
fn pages(section: &TdvfSection<'_>) -> impl Iterator<Item = u64> + use<> {
    (0..section.len).step_by(PAGE)
}

fn add(hasher: &mut Hasher, section: &TdvfSection<'_>, page: u64) {
    if !section.added_later {
        hasher.update(&buffer(b"MEM.PAGE.ADD", section.address + page));
    }
}

fn extend(hasher: &mut Hasher, section: &TdvfSection<'_>, page: u64) {
    if !section.measured {
        return;
    }
    for offset in (page..page + PAGE as u64).step_by(CHUNK) {
        hasher.update(&buffer(b"MR.EXTEND", section.address + offset));
        let mut chunk = [0; CHUNK];
        let data = usize::try_from(offset).ok();
        let data = data
            .and_then(|start| section.data.get(start..))
            .unwrap_or_default();
        for (to, from) in chunk.iter_mut().zip(data) {
            *to = *from;
        }
        hasher.update(&chunk);
    }
}

fn buffer(name: &[u8], address: u64) -> [u8; BUFFER_LEN] {
    let mut buffer = [0; BUFFER_LEN];
    buffer[..name.len()].copy_from_slice(name);
    buffer[16..24].copy_from_slice(&address.to_le_bytes());
    buffer
}
