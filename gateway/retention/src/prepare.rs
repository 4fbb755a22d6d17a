//! Before a request is forwarded: can what must be kept of it be kept?

use attest_core::Sha256Digest;
use attest_core::retention::{OnFailure, Terms};
use bytes::Bytes;

use super::{RecordError, Records, RetentionFailure, SealingRecord};
use gateway_base::errors::ApiError;
use gateway_base::metering::{RowRetention, UsageRow};
use gateway_base::request::Caller;
use gateway_store::ledger::Ledger;

/// Whose request it is, and under which policy.
pub struct RecordRequest<'a> {
    pub receipt_id: &'a str,
    pub caller: &'a Caller,
    pub policy: Sha256Digest,
    pub terms: &'a Terms,
    /// The row that there has to be first, where the policy refuses what is not kept.
    pub row_before: Option<(UsageRow, RowRetention)>,
}

/// Writes the row that there has to be first and seals the request, as the policy demands; refuses it where the policy
/// would rather have it refused than not kept. `unkept` is marked where it is served all the same.
pub async fn prepare_record(
    records: &Records,
    ledger: &Ledger,
    subject: RecordRequest<'_>,
    body: impl FnOnce() -> Bytes,
    unkept: &RetentionFailure,
) -> Result<Option<SealingRecord>, ApiError> {
    let Some(kept) = subject.terms.kept() else {
        return Ok(None);
    };
    match (kept.on_failure, &subject.row_before) {
        (OnFailure::Refuse, _) if ledger.is_failing() => return Err(ApiError::RetentionFailed),
        (OnFailure::Refuse, Some((row, keep))) => ledger
            .begin_usage(row, keep)
            .await
            .map_err(|_| ApiError::RetentionFailed)?,
        // Its row waits in memory, and may never be written.
        (OnFailure::Serve, _) if ledger.is_failing() => unkept.mark(),
        _ => {}
    }
    if !matches!(subject.terms, Terms::Content { .. }) {
        return Ok(None);
    }
    let begun = async {
        let record = records
            .begin(
                subject.receipt_id,
                subject.caller,
                subject.policy,
                subject.terms,
            )
            .await?;
        let tape = SealingRecord::begin(record, body(), kept.on_failure, unkept.clone()).await?;
        Ok::<_, RecordError>(tape)
    };
    match (begun.await, kept.on_failure) {
        (Ok(tape), _) => Ok(Some(tape)),
        (Err(_), OnFailure::Refuse) => Err(ApiError::RetentionFailed),
        (Err(_), OnFailure::Serve) => {
            unkept.mark();
            Ok(None)
        }
    }
}
