//! Taking little-endian fields off the front of untrusted bytes, never past their end.
//!
//! A field that is not there is named by the caller, who knows which event it belongs to.

pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

/// The bytes end inside this field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EndsInside(pub(crate) &'static str);

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn bytes(
        &mut self,
        field: &'static str,
        len: usize,
    ) -> Result<&'a [u8], EndsInside> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(EndsInside(field))?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(
        &mut self,
        field: &'static str,
    ) -> Result<&'a [u8; N], EndsInside> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(EndsInside(field))?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn u8(&mut self, field: &'static str) -> Result<u8, EndsInside> {
        Ok(u8::from_le_bytes(*self.array(field)?))
    }

    pub(crate) fn u16(&mut self, field: &'static str) -> Result<u16, EndsInside> {
        Ok(u16::from_le_bytes(*self.array(field)?))
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
