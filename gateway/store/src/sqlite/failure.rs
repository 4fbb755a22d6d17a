//! Converts an error of `sqlx` into a [`StoreFailure`].

use gateway_base::store_failure::{Cause, StoreFailure};

/// Uses SQLite's result code, or the kind of the error if SQLite returned none.
pub(crate) fn store_failure(error: &sqlx::Error) -> StoreFailure {
    let code = match error {
        sqlx::Error::Database(inner) => inner.code().and_then(|code| code.parse().ok()),
        _ => None,
    };
    match (code, error) {
        (Some(code), _) => StoreFailure::from_code(code),
        (None, sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_)) => {
            StoreFailure::without_code(Cause::Corrupt)
        }
        (None, _) => StoreFailure::without_code(Cause::Unreachable),
    }
}
