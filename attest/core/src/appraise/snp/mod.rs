//! Appraises a genuine SNP report: compares what it says with the policy.

mod genuine;

use super::pins::{listed, nothing_of, pinned};
use super::status::VerificationStatus;
use crate::policy::{Accepted, SnpImage, SnpPolicy};
use crate::snp::{SnpFacts, SnpReport, VekClaims, Verification};
use crate::time::UnixTime;
use crate::verdict::{Cause, CheckId, Checks, SnpCause, Why};

pub(super) use genuine::enter as enter_genuine;

/// Enters every check of policy, as far as the report's status allows.
pub(super) fn appraise(
    verification: &Verification,
    status: &VerificationStatus,
    policy: &SnpPolicy,
    now: UnixTime,
    checks: &mut Checks,
) {
    revocation(verification, status, policy, checks);
    list_age(verification, policy, now, checks);
    match (&verification.facts, status) {
        (Some(facts), VerificationStatus::Genuine { .. }) => {
            platform(facts, policy, checks);
            guest(&facts.report, policy, checks);
        }
        (Some(facts), VerificationStatus::SignedOnly(why)) => {
            nothing_of(&PLATFORM_CHECKS, why, checks);
            guest(&facts.report, policy, checks);
        }
        (_, VerificationStatus::Unproven(why)) => {
            nothing_of(&PLATFORM_CHECKS, why, checks);
            nothing_of(&GUEST_CHECKS, why, checks);
        }
        (None, VerificationStatus::Genuine { .. } | VerificationStatus::SignedOnly(_)) => {
            nothing_of(&PLATFORM_CHECKS, &Why::Absent, checks);
            nothing_of(&GUEST_CHECKS, &Why::Absent, checks);
        }
    }
}

const PLATFORM_CHECKS: [CheckId; 4] = [
    CheckId::SnpProductAccepted,
    CheckId::SnpVekAccepted,
    CheckId::SnpTcbMin,
    CheckId::SnpChipId,
];

const GUEST_CHECKS: [CheckId; 15] = [
    CheckId::SnpPlatformInfo,
    CheckId::SnpPolicyDebug,
    CheckId::SnpPolicyMigrationAgent,
    CheckId::SnpPolicyReserved,
    CheckId::SnpPolicySmt,
    CheckId::SnpPolicyDemands,
    CheckId::SnpVmpl,
    CheckId::SnpMeasurement,
    CheckId::SnpHostData,
    CheckId::SnpIdKey,
    CheckId::SnpAuthorKey,
    CheckId::SnpFamilyId,
    CheckId::SnpImageId,
    CheckId::SnpGuestSvn,
    CheckId::SnpImage,
];

/// A list that was there was appraised with the chain.
fn revocation(
    verification: &Verification,
    status: &VerificationStatus,
    policy: &SnpPolicy,
    checks: &mut Checks,
) {
    match status {
        VerificationStatus::Unproven(why)
            if !checks.contains(CheckId::SnpCrl) && verification.had_revocation_list =>
        {
            checks.not_evaluated(CheckId::SnpCrl, why.clone());
        }
        _ if checks.contains(CheckId::SnpCrl) => {}
        _ if policy.require_crl => checks.not_evaluated(CheckId::SnpCrl, Why::NoCollateral),
        _ => checks.not_required(CheckId::SnpCrl, Why::NoCollateral),
    }
}

/// A list may be inside its dates and omit what was revoked since.
fn list_age(verification: &Verification, policy: &SnpPolicy, now: UnixTime, checks: &mut Checks) {
    let facts = verification.facts.as_ref();
    let issued = facts.and_then(|facts| facts.crl_issued);
    match (policy.max_crl_age, issued) {
        (None, _) => checks.not_required(CheckId::SnpCrlAge, Why::NotInPolicy),
        (Some(_), None) if verification.had_revocation_list => {
            let at = CheckId::SnpCrl;
            checks.not_evaluated(CheckId::SnpCrlAge, Why::Stopped { at });
        }
        (Some(_), None) => checks.not_evaluated(CheckId::SnpCrlAge, Why::NoCollateral),
        (Some(limit), Some(issued)) => {
            checks.require(CheckId::SnpCrlAge, now <= issued.plus(limit), || {
                Cause::CollateralAge { issued, limit }
            });
        }
    }
}

fn platform(facts: &SnpFacts, policy: &SnpPolicy, checks: &mut Checks) {
    let (Some(vek), Some(tcb)) = (&facts.vek, &facts.tcb) else {
        return nothing_of(&PLATFORM_CHECKS, &Why::Absent, checks);
    };
    match &policy.products {
        None => checks.not_required(CheckId::SnpProductAccepted, Why::NotInPolicy),
        Some(products) => checks.require(
            CheckId::SnpProductAccepted,
            products.contains(&vek.product),
            || SnpCause::ProductNotListed(vek.product),
        ),
    }
    checks.record(CheckId::SnpVekAccepted, key(vek, policy));
    match &policy.min_tcb {
        None => checks.not_required(CheckId::SnpTcbMin, Why::NotInPolicy),
        Some(floors) => {
            let result = floors
                .for_product(vek.product)
                .ok_or(SnpCause::NoFloor(vek.product))
                .and_then(|floors| {
                    let below = floors.iter().find_map(|(component, floor)| {
                        let got = tcb.get(*component).unwrap_or(0);
                        (got < *floor).then_some((*component, got, *floor))
                    });
                    match below {
                        None => Ok(()),
                        Some((component, got, floor)) => Err(SnpCause::TcbBelowFloor {
                            component,
                            got,
                            floor,
                        }),
                    }
                });
            checks.record(CheckId::SnpTcbMin, result.map_err(Cause::Snp));
        }
    }
    match &policy.chip_id {
        None => checks.not_required(CheckId::SnpChipId, Why::NotInPolicy),
        Some(chips) => checks.require(
            CheckId::SnpChipId,
            // A masked id is no chip's, and a VLEK does not vouch for the one stated.
            chips.contains(&facts.report.chip_id) && vek.hwid.is_some(),
            || SnpCause::ChipNotListed,
        ),
    }
}

fn key(vek: &VekClaims, policy: &SnpPolicy) -> Result<(), Cause> {
    if !policy.keys.contains(&vek.kind) {
        return Err(SnpCause::KeyNotListed(vek.kind).into());
    }
    let clouds = match (&policy.csp_ids, vek.hwid.is_some()) {
        // A chip's own key belongs to no cloud.
        (None, _) | (_, true) => return Ok(()),
        (Some(clouds), false) => clouds,
    };
    match &vek.csp_id {
        Some(cloud) if clouds.contains(cloud) => Ok(()),
        other => Err(SnpCause::CloudNotListed(other.clone()).into()),
    }
}

fn guest(report: &SnpReport, policy: &SnpPolicy, checks: &mut Checks) {
    let missing = policy
        .require_platform
        .iter()
        .find(|feature| !feature.is_on(report.platform_info));
    match (policy.require_platform.is_empty(), missing) {
        (true, _) => checks.not_required(CheckId::SnpPlatformInfo, Why::NotInPolicy),
        (false, None) => checks.pass(CheckId::SnpPlatformInfo),
        (false, Some(feature)) => checks.fail(
            CheckId::SnpPlatformInfo,
            SnpCause::Platform(feature.as_str()).into(),
        ),
    }
    guest_policy(report, policy, checks);
    checks.require(CheckId::SnpVmpl, report.vmpl <= policy.max_vmpl, || {
        SnpCause::Vmpl {
            got: report.vmpl,
            max: policy.max_vmpl,
        }
    });
    pinned(
        CheckId::SnpMeasurement,
        &report.measurement,
        &policy.measurement,
        checks,
    );
    pinned(
        CheckId::SnpHostData,
        &report.host_data,
        &policy.host_data,
        checks,
    );
    pinned(
        CheckId::SnpIdKey,
        &report.id_key_digest,
        &policy.id_key_digest,
        checks,
    );
    author_key(report, &policy.author_key_digest, checks);
    id_block(report, policy, checks);
    if policy.images.is_empty() {
        checks.not_required(CheckId::SnpImage, Why::NotInPolicy);
    } else {
        let known = policy.images.iter().any(|image| is_of(report, image));
        checks.require(CheckId::SnpImage, known, || Cause::NoImage);
    }
}

/// What else the guest's owner signed beside the measurement.
fn id_block(report: &SnpReport, policy: &SnpPolicy, checks: &mut Checks) {
    pinned(
        CheckId::SnpFamilyId,
        &report.family_id,
        &policy.family_id,
        checks,
    );
    pinned(
        CheckId::SnpImageId,
        &report.image_id,
        &policy.image_id,
        checks,
    );
    match policy.min_guest_svn {
        None => checks.not_required(CheckId::SnpGuestSvn, Why::NotInPolicy),
        Some(floor) => {
            let got = report.guest_svn;
            checks.require(CheckId::SnpGuestSvn, got >= floor, || {
                SnpCause::GuestSvnBelowFloor { got, floor }
            });
        }
    }
}

fn guest_policy(report: &SnpReport, policy: &SnpPolicy, checks: &mut Checks) {
    let stated = report.policy;
    checks.require(
        CheckId::SnpPolicyDebug,
        policy.allow_debug || !stated.debug_allowed(),
        || SnpCause::Debug,
    );
    checks.require(
        CheckId::SnpPolicyMigrationAgent,
        policy.allow_migration_agent || !stated.migration_agent_allowed(),
        || SnpCause::MigrationAgent,
    );
    checks.record(
        CheckId::SnpPolicyReserved,
        stated
            .check_reserved()
            .map_err(|error| SnpCause::GuestPolicy(error).into()),
    );
    if policy.allow_smt {
        checks.not_required(CheckId::SnpPolicySmt, Why::NotInPolicy);
    } else {
        let off = !stated.smt_allowed() && !report.platform_info.smt_enabled();
        checks.require(CheckId::SnpPolicySmt, off, || SnpCause::Multithreading);
    }
    let mut demands = policy.require_guest_policy.iter();
    match demands.find(|demand| !demand.is_made(stated)) {
        _ if policy.require_guest_policy.is_empty() => {
            checks.not_required(CheckId::SnpPolicyDemands, Why::NotInPolicy);
        }
        None => checks.pass(CheckId::SnpPolicyDemands),
        Some(demand) => checks.fail(
            CheckId::SnpPolicyDemands,
            SnpCause::NotDemanded(demand.as_str()).into(),
        ),
    }
}

/// What a policy lists to demand that there is no author key.
const NO_AUTHOR_KEY: [u8; 48] = [0; 48];

/// The digest of the author key as a policy lists it: all zero where the report says that there was
/// none. A report whose flag and digest contradict each other has neither.
fn author_key_digest(report: &SnpReport) -> Option<&[u8; 48]> {
    let is_zero = report.author_key_digest == NO_AUTHOR_KEY;
    (report.author_key_enabled != is_zero).then_some(&report.author_key_digest)
}

fn author_key(report: &SnpReport, accepted: &Accepted<48>, checks: &mut Checks) {
    match (accepted, author_key_digest(report)) {
        (None, _) => checks.not_required(CheckId::SnpAuthorKey, Why::NotInPolicy),
        (Some(accepted), Some(digest))
            if report.author_key_enabled || accepted.contains(&NO_AUTHOR_KEY) =>
        {
            checks.record(CheckId::SnpAuthorKey, listed(digest, accepted));
        }
        (Some(_), _) => checks.not_evaluated(CheckId::SnpAuthorKey, Why::Absent),
    }
}

fn is_of(report: &SnpReport, image: &SnpImage) -> bool {
    fn fits<const N: usize>(value: &[u8; N], accepted: &Accepted<N>) -> bool {
        accepted
            .as_ref()
            .is_none_or(|accepted| accepted.contains(value))
    }
    let author_fits = match (&image.author_key_digest, author_key_digest(report)) {
        (None, _) => true,
        (Some(accepted), Some(digest)) => accepted.contains(digest),
        (Some(_), None) => false,
    };
    author_fits
        && fits(&report.measurement, &image.measurement)
        && fits(&report.host_data, &image.host_data)
        && fits(&report.id_key_digest, &image.id_key_digest)
}
