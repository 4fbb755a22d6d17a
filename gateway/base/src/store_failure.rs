//! Why a database operation failed: a closed list, made from SQLite's result codes.
//!
//! SQLite's message of an error is never logged: it may quote a statement. Logged are the code and SQLite's fixed text
//! for the code (`sqlite3_errstr`).

/// The kind of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Another process held a lock for longer than the busy timeout.
    Busy,
    /// The disk, or the quota, is full.
    Full,
    /// The file or its file system cannot be written.
    ReadOnly,
    /// The disk failed.
    Io,
    /// A file could not be opened: the database, its log, or a temporary one.
    CantOpen,
    /// The file is damaged.
    Corrupt,
    /// The file is not what this process wrote or verified at its start: other software changed it.
    Altered,
    /// Memory could not be allocated.
    NoMemory,
    /// The row itself is refused: by a constraint, its type or its size.
    Row,
    /// SQLite was not reached: no connection was free in time, or its thread ended.
    Unreachable,
    /// Another cause; see the code.
    Other,
}

impl Cause {
    pub const fn as_str(self) -> &'static str {
        match self {
            Cause::Busy => "busy",
            Cause::Full => "full",
            Cause::ReadOnly => "read_only",
            Cause::Io => "io_error",
            Cause::CantOpen => "cant_open",
            Cause::Corrupt => "corrupt",
            Cause::Altered => "altered",
            Cause::NoMemory => "no_memory",
            Cause::Row => "row_refused",
            Cause::Unreachable => "unreachable",
            Cause::Other => "other",
        }
    }
}

/// A failed statement or transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreFailure {
    pub cause: Cause,
    /// SQLite's extended result code, where SQLite answered.
    pub code: Option<i32>,
}

/// What may make the same rows succeed in another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Waiting: the database has to recover.
    Wait,
    /// Fewer rows in one transaction, which need fewer pages and less memory; otherwise waiting.
    FewerRows,
    /// Dropping the row that is refused.
    OtherRows,
}

impl StoreFailure {
    /// A failure that SQLite did not report.
    pub const fn without_code(cause: Cause) -> Self {
        Self { cause, code: None }
    }

    pub const fn from_code(code: i32) -> Self {
        let cause = match code & 0xff {
            5 | 6 => Cause::Busy,
            7 => Cause::NoMemory,
            8 => Cause::ReadOnly,
            10 => Cause::Io,
            11 | 26 => Cause::Corrupt,
            13 => Cause::Full,
            14 => Cause::CantOpen,
            18..=20 | 25 => Cause::Row,
            _ => Cause::Other,
        };
        Self {
            cause,
            code: Some(code),
        }
    }

    /// Whether our progress handler interrupted the statement.
    pub const fn is_interrupted(self) -> bool {
        matches!(self.code, Some(code) if code & 0xff == 9)
    }

    pub const fn remedy(self) -> Remedy {
        match self.cause {
            Cause::Row => Remedy::OtherRows,
            Cause::Io | Cause::CantOpen | Cause::NoMemory => Remedy::FewerRows,
            Cause::Busy
            | Cause::Full
            | Cause::ReadOnly
            | Cause::Corrupt
            | Cause::Altered
            | Cause::Unreachable
            | Cause::Other => Remedy::Wait,
        }
    }

    /// SQLite's text for the code, or ours if there is no code.
    pub const fn message(self) -> &'static str {
        let Some(code) = self.code else {
            return match self.cause {
                Cause::Corrupt => "a stored value does not parse",
                Cause::Altered => "other software changed the file",
                Cause::Io => "a file could not be read or written",
                Cause::Unreachable => "the database was not reached",
                _ => "unknown error",
            };
        };
        match code & 0xff {
            1 => "SQL logic error",
            3 => "access permission denied",
            4 => "query aborted",
            5 => "database is locked",
            6 => "database table is locked",
            7 => "out of memory",
            8 => "attempt to write a readonly database",
            9 => "interrupted",
            10 => "disk I/O error",
            11 => "database disk image is malformed",
            13 => "database or disk is full",
            14 => "unable to open database file",
            15 => "locking protocol",
            17 => "database schema has changed",
            18 => "string or blob too big",
            19 => "constraint failed",
            20 => "datatype mismatch",
            21 => "bad parameter or other API misuse",
            23 => "authorization denied",
            25 => "column index out of range",
            26 => "file is not a database",
            _ => "unknown error",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extended_code_has_the_cause_and_the_message_of_its_primary_code() {
        for (code, cause, words) in [
            (5, Cause::Busy, "database is locked"),
            (5 | 2 << 8, Cause::Busy, "database is locked"),
            (13, Cause::Full, "database or disk is full"),
            (10 | 3 << 8, Cause::Io, "disk I/O error"),
            (14, Cause::CantOpen, "unable to open database file"),
            (19 | 8 << 8, Cause::Row, "constraint failed"),
            (26, Cause::Corrupt, "file is not a database"),
            (1, Cause::Other, "SQL logic error"),
        ] {
            let failure = StoreFailure::from_code(code);
            assert_eq!((failure.cause, failure.message()), (cause, words), "{code}");
            assert_eq!(failure.code, Some(code));
        }
    }

    #[test]
    fn only_a_refused_row_may_be_dropped() {
        for code in 1..=28 {
            let failure = StoreFailure::from_code(code);
            let left_out = failure.remedy() == Remedy::OtherRows;
            assert_eq!(left_out, matches!(code, 18..=20 | 25), "{failure:?}");
        }
        let unreachable = StoreFailure::without_code(Cause::Unreachable);
        assert_eq!(unreachable.remedy(), Remedy::Wait);
    }
}
