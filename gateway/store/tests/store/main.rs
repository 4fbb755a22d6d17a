//! The databases of a state directory: the ledger, its sums of usage, and the audit log.

mod audit_log;
mod budgets;
mod directory;
mod keys;
mod ledger;
mod row_batches;
mod usage_groups;
mod usage_sums;
