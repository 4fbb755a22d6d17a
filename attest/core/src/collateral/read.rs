//! Members of collateral that hold base64 or hexadecimal, each wrong one with its name.

use serde_json::Value;

use super::CollateralError;
use crate::encoding::{EncodingError, parse_base64, parse_hex, parse_hex_vec};
use crate::json::{self, Expected, MemberError, MemberProblem, Node, View};

/// The members of one object of the collateral.
pub(super) type Members<'a, T = Value> = json::Members<'a, CollateralError, T>;

impl From<MemberError> for CollateralError {
    fn from(error: MemberError) -> Self {
        let field = error.member;
        match error.problem {
            MemberProblem::Unknown(member) => Self::Unknown(member),
            MemberProblem::Missing => Self::Missing(field),
            MemberProblem::WrongType(Expected::Object) => Self::NotAnObject(match field {
                "" => error.object,
                field => field,
            }),
            MemberProblem::WrongType(Expected::Array | Expected::NonEmptyArray) => {
                Self::NotAList(field)
            }
            // Every other member of this format is a string.
            MemberProblem::WrongType(_)
            | MemberProblem::Empty
            | MemberProblem::UnknownValue(_)
            | MemberProblem::Encoding(_) => Self::NotAString(field),
        }
    }
}

impl<T: Node> Members<'_, T> {
    pub(super) fn base64(
        &self,
        field: &'static str,
        max_len: usize,
    ) -> Result<Vec<u8>, CollateralError> {
        parse_base64(self.string(field)?, max_len)
            .map_err(|error| CollateralError::Base64 { field, error })
    }

    pub(super) fn base64_if_present(
        &self,
        field: &'static str,
        max_len: usize,
    ) -> Result<Option<Vec<u8>>, CollateralError> {
        let present = self.get(field).map(|_| self.base64(field, max_len));
        present.transpose()
    }

    /// A list of at most `max_count`, empty if the member is absent.
    pub(super) fn base64_list(
        &self,
        field: &'static str,
        max_count: usize,
        max_len: usize,
    ) -> Result<Vec<Vec<u8>>, CollateralError> {
        if self.get(field).is_none() {
            return Ok(Vec::new());
        }
        let list = self.array(field)?;
        if list.len() > max_count {
            return Err(CollateralError::TooMany(field));
        }
        let entries = list.iter().map(|entry| {
            let View::String(text) = entry.view() else {
                return Err(CollateralError::NotAString(field));
            };
            parse_base64(text, max_len).map_err(|error| CollateralError::Base64 { field, error })
        });
        entries.collect()
    }

    pub(super) fn hex_bytes(
        &self,
        field: &'static str,
        max_len: usize,
    ) -> Result<Vec<u8>, CollateralError> {
        self.hex_with(field, |text| parse_hex_vec(text, max_len))
    }

    pub(super) fn hex_array<const N: usize>(
        &self,
        field: &'static str,
    ) -> Result<[u8; N], CollateralError> {
        self.hex_with(field, parse_hex)
    }

    fn hex_with<V>(
        &self,
        field: &'static str,
        parse: impl FnOnce(&str) -> Result<V, EncodingError>,
    ) -> Result<V, CollateralError> {
        parse(self.string(field)?).map_err(|error| CollateralError::Hex { field, error })
    }
}
