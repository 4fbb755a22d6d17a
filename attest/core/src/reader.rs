//! Taking little-endian fields off the front of untrusted bytes, never past their end.
//!
//! A field that is not there is named by the caller, who knows which event it belongs to.

pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    len: usize,
}

/// The bytes end inside a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EndsInside {
    pub(crate) field: &'static str,
    /// How many bytes there were to read from.
    pub(crate) len: usize,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            len: bytes.len(),
        }
    }

    const fn ends_inside(&self, field: &'static str) -> EndsInside {
        EndsInside {
            field,
            len: self.len,
        }
    }

    pub(crate) fn bytes(
        &mut self,
        field: &'static str,
        len: usize,
    ) -> Result<&'a [u8], EndsInside> {
        let (taken, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or(self.ends_inside(field))?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(
        &mut self,
        field: &'static str,
    ) -> Result<&'a [u8; N], EndsInside> {
        let (taken, rest) = self
            .rest
            .split_first_chunk()
            .ok_or(self.ends_inside(field))?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn u8(&mut self, field: &'static str) -> Result<u8, EndsInside> {
        Ok(u8::from_le_bytes(*self.array(field)?))
    }

    pub(crate) fn u16(&mut self, field: &'static str) -> Result<u16, EndsInside> {
        Ok(u16::from_le_bytes(*self.array(field)?))
    }

    /// Three bytes, as SPDM writes the length of a record.
    pub(crate) fn u24(&mut self, field: &'static str) -> Result<u32, EndsInside> {
        let [low, middle, high] = *self.array(field)?;
        Ok(u32::from_le_bytes([low, middle, high, 0]))
    }

    pub(crate) fn u32(&mut self, field: &'static str) -> Result<u32, EndsInside> {
        Ok(u32::from_le_bytes(*self.array(field)?))
    }

    pub(crate) fn u64(&mut self, field: &'static str) -> Result<u64, EndsInside> {
        Ok(u64::from_le_bytes(*self.array(field)?))
    }

    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

/// Lengths too large for the platform are lengths that no slice has.
pub(crate) fn to_usize(len: u32) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_little_endian_fields_in_order() {
        let bytes: Vec<u8> = (1..=20).collect();
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.u8("a"), Ok(1));
        assert_eq!(reader.u16("b"), Ok(0x0302));
        assert_eq!(reader.u24("c"), Ok(0x06_0504));
        assert_eq!(reader.u32("d"), Ok(0x0A09_0807));
        assert_eq!(reader.u64("e"), Ok(0x1211_100F_0E0D_0C0B));
        assert_eq!(reader.bytes("f", 1), Ok(&[19][..]));
        assert_eq!(reader.rest(), [20]);
    }

    #[test]
    fn a_field_past_the_end_is_named_and_nothing_is_taken() {
        let mut reader = Reader::new(&[1, 2, 3]);
        assert_eq!(reader.u8("first"), Ok(1));
        let ends = |field| EndsInside { field, len: 3 };
        assert_eq!(reader.u24("u24"), Err(ends("u24")));
        assert_eq!(reader.u32("u32"), Err(ends("u32")));
        assert_eq!(reader.u64("u64"), Err(ends("u64")));
        assert_eq!(reader.array::<3>("array"), Err(ends("array")));
        assert_eq!(reader.bytes("bytes", usize::MAX), Err(ends("bytes")));
        assert_eq!(reader.rest(), [2, 3]);
    }
}
