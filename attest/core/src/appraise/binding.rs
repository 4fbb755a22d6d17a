//! Does the evidence bind these keys, our nonce and this channel, now?
//!
//! ACI/1 §3.2: the hardware's 64-byte slot holds SHA-256 of a statement over the keyset's digest
//! and the client's nonce, then zeros. A slot that is neither the statement with our nonce nor the one without a
//! nonce fails. Also checked: the signature of the report, the digest and the lifetime of its keyset, and that the
//! channel's TLS key is in it.

use super::{Appraiser, Channel, Freshness};
use crate::aci::{Report, ReportError, Statement};
use crate::digest::ReportData;
use crate::policy::KeysetLifetime;
use crate::verdict::{Cause, CheckId, Checks, Why};

/// Everything between the report and its evidence that the report alone can show.
pub(super) fn check_report(report: &Report, checks: &mut Checks) {
    checks.record(
        CheckId::ReportSignature,
        report.verify_signature().map_err(Cause::ReportSignature),
    );
    checks.record(
        CheckId::BindingKeyset,
        report.check_keyset_digest().map_err(|error| match error {
            ReportError::KeysetDigestMismatch { claimed, computed } => {
                Cause::KeysetDigest { claimed, computed }
            }
            other => Cause::ReportMalformed(other),
        }),
    );
}

/// Whether the hardware's report data binds the keyset and our nonce. `slot` is the quote's, or
/// nothing if there is no quote to be read, because `unreadable` did not pass.
pub(super) fn check_report_data(
    report: &Report,
    slot: Option<&[u8; 64]>,
    freshness: &Freshness,
    unreadable: CheckId,
    checks: &mut Checks,
) {
    let Some(slot) = slot else {
        let why = Why::Stopped { at: unreadable };
        checks.not_evaluated(CheckId::BindingReportData, why.clone());
        checks.not_evaluated(CheckId::FreshnessNonce, why);
        return;
    };
    let found = ReportData::observed(*slot);
    let unchallenged = Statement::unchallenged(report.keyset_digest()).report_data();
    let claimed_by_report =
        found.as_bytes().starts_with(report.report_data()) && found.as_bytes()[32..] == [0; 32];
    match freshness {
        Freshness::Unchallenged => {
            let bound = if found == unchallenged && claimed_by_report {
                Ok(())
            } else {
                Err(Cause::ReportData)
            };
            checks.record(CheckId::BindingReportData, bound);
            checks.not_required(CheckId::FreshnessNonce, Why::NotChallenged);
        }
        Freshness::Challenged(nonce) => {
            let expected = Statement::challenged(report.keyset_digest(), *nonce).report_data();
            if found == expected && claimed_by_report {
                checks.pass(CheckId::BindingReportData);
                checks.pass(CheckId::FreshnessNonce);
            } else if found == unchallenged && claimed_by_report {
                checks.pass(CheckId::BindingReportData);
                checks.fail(CheckId::FreshnessNonce, Cause::UnchallengedEvidence);
            } else {
                checks.fail(CheckId::BindingReportData, Cause::ReportData);
                checks.fail(CheckId::FreshnessNonce, Cause::NonceNotShown);
            }
        }
    }
}

/// Whether the keyset is alive and not meant to live too long.
pub(super) fn check_keyset_dates(report: &Report, appraiser: &Appraiser<'_>, checks: &mut Checks) {
    let not_after = report.keyset().not_after;
    let remaining = not_after
        .since(appraiser.now)
        .filter(|remaining| !remaining.is_zero());
    let alive = remaining
        .map(|_| ())
        .ok_or(Cause::KeysetExpired { not_after });
    checks.record(CheckId::KeysetExpiry, alive);
    match (appraiser.policy.max_keyset_lifetime, remaining) {
        (KeysetLifetime::Any, _) => checks.not_required(CheckId::KeysetLifetime, Why::NotInPolicy),
        (KeysetLifetime::AtMost(_), None) => {
            checks.not_evaluated(
                CheckId::KeysetLifetime,
                Why::Stopped {
                    at: CheckId::KeysetExpiry,
                },
            );
        }
        (KeysetLifetime::AtMost(limit), Some(remaining)) if remaining > limit => {
            checks.fail(
                CheckId::KeysetLifetime,
                Cause::KeysetLifetime { remaining, limit },
            );
        }
        _ => checks.pass(CheckId::KeysetLifetime),
    }
}

/// Whether the key that the TLS peer proved to hold is the keyset's.
pub(super) fn check_channel(report: &Report, channel: &Channel<'_>, checks: &mut Checks) {
    match channel {
        Channel::NotObserved => checks.not_required(CheckId::ChannelSpki, Why::ChannelNotObserved),
        Channel::Tls { spki, host } => checks.record(
            CheckId::ChannelSpki,
            report
                .keyset()
                .lists_tls_key(spki, host)
                .map_err(Cause::ChannelKey),
        ),
    }
}
