//! Before a request is forwarded: writes the rows and seals the request body that the policy requires.

use attest_core::Sha256Digest;
use attest_core::retention::{OnFailure, Terms};

use super::records::{RecordError, Records};
use super::sealing_record::{RetentionFailure, SealingRecord};
use gateway_base::errors::ApiError;
use gateway_base::metering::{RowRetention, UsageRow};
use gateway_base::request::Caller;
use gateway_store::ledger::Ledger;

/// A request with its caller and its retention terms.
pub struct RecordRequest<'a> {
    pub receipt_id: &'a str,
    pub caller: &'a Caller,
    pub policy: Sha256Digest,
    pub terms: &'a Terms,
    /// The row that must be on the disk first, if the policy refuses requests without a record.
    pub row_before: Option<(UsageRow, RowRetention)>,
}

/// Writes the row and seals the request as the policy requires. After a failure it refuses the request, or marks
/// `failure` if the policy serves requests without a record.
pub async fn prepare_record<B: AsRef<[u8]> + Send + 'static>(
    records: &Records,
    ledger: &Ledger,
    subject: RecordRequest<'_>,
    body: impl FnOnce() -> B,
    failure: &RetentionFailure,
) -> Result<Option<SealingRecord>, ApiError> {
    let Some(kept) = subject.terms.kept() else {
        return Ok(None);
    };
    match (kept.on_failure, &subject.row_before) {
        // Refused without another attempt: while the disk fails, every request would wait for a failure.
        (OnFailure::Refuse, _) if ledger.is_failing() => return Err(ApiError::RetentionFailed),
        (OnFailure::Refuse, Some((row, retention))) => ledger
            .usage()
            .begin(row, retention)
            .await
            .map_err(|_| ApiError::RetentionFailed)?,
        // Its row is only queued, and may never be written.
        (OnFailure::Serve, _) if ledger.is_failing() => failure.mark(),
        _ => {}
    }
    if !matches!(subject.terms, Terms::Content { .. }) {
        return Ok(None);
    }
    // After the row: whatever happens to the sealed files, the request is accounted for.
    let begun = async {
        let record = records
            .begin(
                subject.receipt_id,
                subject.caller,
                subject.policy,
                subject.terms,
            )
            .await?;
        let record = SealingRecord::begin(record, body(), kept.on_failure, failure.clone()).await?;
        Ok::<_, RecordError>(record)
    };
    match (begun.await, kept.on_failure) {
        (Ok(record), _) => Ok(Some(record)),
        (Err(_), OnFailure::Refuse) => Err(ApiError::RetentionFailed),
        (Err(_), OnFailure::Serve) => {
            failure.mark();
            Ok(None)
        }
    }
}
