//! The ledger's file and schema.

use crate::error::DatabaseName;
use crate::sqlite::{Database, Durability};

pub(super) static LEDGER: Database = Database {
    name: DatabaseName::Ledger,
    file: "ledger.sqlite",
    commits: Durability::Written,
    steps: &[
        include_str!("schema.sql"),
        include_str!("schema_retention.sql"),
        include_str!("admins.sql"),
        include_str!("unfinished.sql"),
        include_str!("usage_sums.sql"),
        include_str!("usage_cause.sql"),
        include_str!("key_restrictions.sql"),
        include_str!("row_batches.sql"),
        include_str!("usage_cost.sql"),
        include_str!("directory.sql"),
        include_str!("budgets.sql"),
        include_str!("limits.sql"),
        include_str!("usage_groups.sql"),
    ],
    large_tables: &[
        "row_batches",
        "usage",
        "usage_sums",
        "usage_groups",
        "receipts",
        "sessions",
        "records",
    ],
};

/// The first schema version that has the table of retention policies.
pub(super) const WITH_POLICIES: i64 = 2;
/// The first schema version whose keys have every column.
pub(super) const WITH_WHOLE_KEYS: i64 = 10;
