//! What is stored after a request has ended, and who may change that.
//!
//! The active policy is the verified end of a chain in the ledger ([`history`]). It holds for an epoch; a change begins
//! the next one. The terms of a request are decided when it is admitted and do not change afterwards. The ledger stores
//! the form with the names of tenants and the salt; reports show the published form.
//!
//! In mode `content` a request is sealed before it is forwarded and its response as it passes ([`SealingRecord`]), to keys
//! that are not ours, in files that nothing here can open ([`Records`]).

mod age;
mod deletion_entry;
pub mod history;
pub mod logged;
mod notice;
pub mod plan;
mod prepare;
pub mod purge;
mod records;
mod sealing_record;

pub use age::SealError;
pub use history::{Decision, HistoryError, Installed, decide};
pub use notice::Notice;
pub use plan::{Plan, Settable, plan};
pub use prepare::{RecordRequest, prepare_record};
pub use records::{DeletionResult, Part, RecordError, Records};
pub use sealing_record::{RetentionFailure, SealingRecord};
