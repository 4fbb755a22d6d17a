//! Taking little-endian fields off the front of untrusted bytes, never past their end.

use super::quote::QuoteFormatError;

pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn bytes(
        &mut self,
        field: &'static str,
        len: usize,
    ) -> Result<&'a [u8], QuoteFormatError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or(QuoteFormatError::TooShort { field })?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(
        &mut self,
        field: &'static str,
    ) -> Result<&'a [u8; N], QuoteFormatError> {
        let (taken, rest) = self
            .rest
            .split_first_chunk()
            .ok_or(QuoteFormatError::TooShort { field })?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn u16(&mut self, field: &'static str) -> Result<u16, QuoteFormatError> {
        Ok(u16::from_le_bytes(*self.array(field)?))
    }

    pub(super) fn u32(&mut self, field: &'static str) -> Result<u32, QuoteFormatError> {
        Ok(u32::from_le_bytes(*self.array(field)?))
    }

    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }
}
