//! Why a database of the service could not be opened, written or read.

use std::path::PathBuf;

use attest_core::log::ReplayError;

use gateway_base::store_failure::{Cause, StoreFailure};

/// One of the two databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseName {
    Ledger,
    AuditLog,
}

impl DatabaseName {
    /// Its name in events and documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            DatabaseName::Ledger => "ledger",
            DatabaseName::AuditLog => "audit_log",
        }
    }

    /// What an operator with a damaged file should know.
    const fn advice(self) -> &'static str {
        match self {
            DatabaseName::Ledger => {
                ", or read what can be read with `sqlite3 FILE .recover`. Moving it away begins an empty ledger: without \
                 API keys, administrators, receipts and the history of retention policies"
            }
            DatabaseName::AuditLog => {
                ". Moving it away begins a new log, with another origin: every auditor will ask why"
            }
        }
    }

    /// What stands before the error of a statement.
    const fn prefix(self) -> &'static str {
        match self {
            DatabaseName::Ledger => "",
            DatabaseName::AuditLog => "audit log: ",
        }
    }

    const fn closed(self) -> &'static str {
        match self {
            DatabaseName::Ledger => "the ledger is closed",
            DatabaseName::AuditLog => "audit log: closed",
        }
    }
}

/// Why a database could not be opened, written or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("cannot create {}: {source}", path.display())]
    Create {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("another service runs from {}", state_dir.display())]
    InUse { state_dir: PathBuf },
    #[error("{} was written by a newer version (schema {found}, this version knows {known})", path.display())]
    Newer {
        path: PathBuf,
        found: i64,
        known: i64,
    },
    #[error(
        "{} is damaged: {what}. Nothing was changed. Restore it from a backup, with the file -wal that belongs to it{}",
        path.display(), database.advice()
    )]
    Damaged {
        database: DatabaseName,
        path: PathBuf,
        what: String,
    },
    /// The content of the audit log is not what was entered. Moving the file away begins a new log with another origin,
    /// for which auditors will require a reason.
    #[error("{} is not the audit log that was written there: {what}", path.display())]
    Altered { path: PathBuf, what: Altered },
    #[error("{}database: {source}", database.prefix())]
    Database {
        database: DatabaseName,
        source: sqlx::Error,
    },
    #[error("stored {what} does not parse")]
    Corrupt { what: &'static str },
    /// Rows that a caller needs in their tables cannot be written there.
    #[error("database: rows are not written: {}", failure.message())]
    NotWritten { failure: StoreFailure },
    #[error("cannot start a thread: {source}")]
    Thread { source: std::io::Error },
    #[error("audit log: no random bytes")]
    Random,
    #[error("audit log: an entry of {len} bytes is too long")]
    TooLong { len: usize },
    #[error("{}", database.closed())]
    Closed { database: DatabaseName },
}

/// Evidence that the database was changed by other software.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Altered {
    #[error("{0}")]
    Replay(#[from] ReplayError),
    #[error("the hash at position {position} is not that of its entries")]
    Hash { position: i64 },
    #[error("the head kept with it cannot be read")]
    Head,
    #[error("it has no entry {index}")]
    Missing { index: u64 },
    #[error("it has no first entry that begins a log")]
    Beginning,
    #[error("entry {index} was entered by other software than the service and its commands")]
    Foreign { index: u64 },
    #[error("entry {index} begins or ends an epoch, and no head includes it")]
    Unsigned { index: u64 },
}

/// A stored value that does not parse. Functions on tables return it inside [`sqlx::Error::Decode`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stored {what} does not parse")]
pub(crate) struct CorruptValue {
    pub what: &'static str,
}

impl StoreError {
    /// The failure's cause, with SQLite's code if there is one.
    pub fn failure(&self) -> StoreFailure {
        match self {
            StoreError::Database { source, .. } => store_failure(source),
            StoreError::Corrupt { .. } | StoreError::Damaged { .. } => {
                StoreFailure::without_code(Cause::Corrupt)
            }
            StoreError::Altered { .. } => StoreFailure::without_code(Cause::Altered),
            StoreError::Create { .. } => StoreFailure::without_code(Cause::Io),
            StoreError::NotWritten { failure } => *failure,
            StoreError::InUse { .. }
            | StoreError::Newer { .. }
            | StoreError::Thread { .. }
            | StoreError::Random
            | StoreError::TooLong { .. }
            | StoreError::Closed { .. } => StoreFailure::without_code(Cause::Other),
        }
    }

    /// A statement failed, or a value that it read does not parse.
    pub(crate) fn statement(database: DatabaseName, source: sqlx::Error) -> Self {
        let corrupt = match &source {
            sqlx::Error::Decode(inner) => inner.downcast_ref::<CorruptValue>(),
            _ => None,
        };
        match corrupt {
            Some(CorruptValue { what }) => StoreError::Corrupt { what },
            None => StoreError::Database { database, source },
        }
    }
}

/// The failure behind an error of a statement.
///
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_database_in_what_an_operator_reads() {
        let statement = |database| StoreError::Database {
            database,
            source: sqlx::Error::PoolTimedOut,
        };
        let words = sqlx::Error::PoolTimedOut.to_string();
        let ledger = statement(DatabaseName::Ledger).to_string();
        assert_eq!(ledger, format!("database: {words}"));
        let log = statement(DatabaseName::AuditLog).to_string();
        assert_eq!(log, format!("audit log: database: {words}"));
        let damaged = |database| StoreError::Damaged {
            database,
            path: "a.sqlite".into(),
            what: "page 3".to_owned(),
        };
        let begins = "a.sqlite is damaged: page 3. Nothing was changed. Restore it from a backup, \
                      with the file -wal that belongs to it";
        let (ledger, log) = (DatabaseName::Ledger, DatabaseName::AuditLog);
        for (database, advice) in [(ledger, "an empty ledger"), (log, "every auditor will ask")] {
            let text = damaged(database).to_string();
            assert!(text.starts_with(begins), "{text}");
            assert!(text.contains(advice), "{text}");
        }
    }

    #[test]
    fn reports_a_value_that_does_not_parse_as_damage_and_not_as_an_unreachable_database() {
        let value = CorruptValue { what: "role" };
        let source = sqlx::Error::Decode(Box::new(value));
        let error = StoreError::statement(DatabaseName::Ledger, source);
        assert!(matches!(&error, StoreError::Corrupt { what: "role" }));
        assert_eq!(error.to_string(), "stored role does not parse");
        assert_eq!(error.failure().cause, Cause::Corrupt);
        let other = StoreError::statement(DatabaseName::Ledger, sqlx::Error::PoolTimedOut);
        assert_eq!(other.failure().cause, Cause::Unreachable);
    }
}
