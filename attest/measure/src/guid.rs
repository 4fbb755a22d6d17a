//! GUIDs, kept as UEFI stores them: the first three fields little-endian (UEFI 2.10 appendix A).

use std::fmt;

/// Sixteen bytes that name something.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Guid([u8; 16]);

impl Guid {
    /// From the fields as they are written: `96b582de-1fb2-45f7-baea-a366c55a082d` is
    /// `new(0x96b582de, 0x1fb2, 0x45f7, 0xbaea_a366c55a082d)`.
    pub const fn new(first: u32, second: u16, third: u16, rest: u64) -> Self {
        let (a, b, c, d) = (
            first.to_le_bytes(),
            second.to_le_bytes(),
            third.to_le_bytes(),
            rest.to_be_bytes(),
        );
        Self([
            a[0], a[1], a[2], a[3], b[0], b[1], c[0], c[1], d[0], d[1], d[2], d[3], d[4], d[5],
            d[6], d[7],
        ])
    }

    /// As it is stored.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// As it is stored.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let b = &self.0;
        write!(
            f,
            "{:08x}-{:04x}-{:04x}-{:02x}{:02x}-{:02x}{:02x}{:02x}{:02x}{:02x}{:02x}",
            u32::from_le_bytes([b[0], b[1], b[2], b[3]]),
            u16::from_le_bytes([b[4], b[5]]),
            u16::from_le_bytes([b[6], b[7]]),
            b[8],
            b[9],
            b[10],
            b[11],
            b[12],
            b[13],
            b[14],
            b[15],
        )
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guid_is_stored_mixed_endian_and_written_in_order() {
        let guid = Guid::new(0x96b5_82de, 0x1fb2, 0x45f7, 0xbaea_a366_c55a_082d);
        assert_eq!(guid.as_bytes()[..6], [0xde, 0x82, 0xb5, 0x96, 0xb2, 0x1f]);
        assert_eq!(guid.to_string(), "96b582de-1fb2-45f7-baea-a366c55a082d");
    }
}
