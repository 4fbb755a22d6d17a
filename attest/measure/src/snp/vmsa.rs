//! The save area of a processor before its first instruction, as QEMU and KVM set it up.
//!
//! Layout: AMD publication 24593, "AMD64 Architecture Programmer's Manual" volume 2, table B-4. Values:
//! reset state (ibid., table 14-1) as `sev_es_sync_vmsa` and QEMU's `x86_cpu_reset_hold` leave it.
//! Whatever is not listed is zero.

use super::Machine;
use crate::firmware::PAGE;

/// A segment register: selector, attributes (`u16`), limit (`u32`), base (`u64`).
struct Segment {
    offset: usize,
    selector: u16,
    attributes: u16,
    base: u32,
}

/// The page for a processor that starts at `start`.
#[doc(hidden)]
pub fn vmsa_page(start: u32, machine: &Machine) -> [u8; PAGE] {
    let mut page = [0; PAGE];
    let data = |offset| Segment {
        offset,
        selector: 0,
        attributes: 0x93,
        base: 0,
    };
    let table = |offset, attributes| Segment {
        offset,
        selector: 0,
        attributes,
        base: 0,
    };
    let code = Segment {
        offset: 0x10,
        selector: 0xF000,
        attributes: 0x9B,
        base: start & 0xFFFF_0000,
    };
    let segments = [
        data(0x00), // ES
        code,
        data(0x20),        // SS
        data(0x30),        // DS
        data(0x40),        // FS
        data(0x50),        // GS
        table(0x60, 0),    // GDTR
        table(0x70, 0x82), // LDTR
        table(0x80, 0),    // IDTR
        table(0x90, 0x8B), // TR
    ];
    for segment in segments {
        put(&mut page, segment.offset, &segment.selector.to_le_bytes());
        put(
            &mut page,
            segment.offset + 2,
            &segment.attributes.to_le_bytes(),
        );
        put(&mut page, segment.offset + 4, &0xFFFF_u32.to_le_bytes());
        put(
            &mut page,
            segment.offset + 8,
            &u64::from(segment.base).to_le_bytes(),
        );
    }
    let registers: [(usize, u64); 12] = [
        (0x0D0, 0x1000),                               // EFER: SVME
        (0x148, 0x40),                                 // CR4: MCE
        (0x158, 0x10),                                 // CR0: ET
        (0x160, 0x400),                                // DR7
        (0x168, 0xFFFF_0FF0),                          // DR6
        (0x170, 0x2),                                  // RFLAGS
        (0x178, u64::from(start & 0xFFFF)),            // RIP
        (0x268, 0x0007_0406_0007_0406),                // G_PAT
        (0x310, machine.processor.signature().into()), // RDX
        (0x3B0, machine.guest_features),               // SEV_FEATURES
        (0x3E8, 0x1),                                  // XCR0
        (0x408, 0x1F80),                               // MXCSR, and x87 words that are zero
    ];
    for (offset, value) in registers {
        put(&mut page, offset, &value.to_le_bytes());
    }
    put(&mut page, 0x410, &0x37F_u16.to_le_bytes()); // x87 FCW
    page
}

fn put(page: &mut [u8; PAGE], offset: usize, bytes: &[u8]) {
    let place = page
        .get_mut(offset..)
        .and_then(|p| p.get_mut(..bytes.len()));
    place
        .expect("every offset above lies in the page")
        .copy_from_slice(bytes);
}
