//! NVIDIA devices: each verified and compared with manifests and policy, then all of them together.
//!
//! A check of devices speaks for every device it applies to: it passes if it passes for each, and
//! its cause names the device it fails for.
//!
//! That confidential computing is on and developer tools are off is no field of a device's signed
//! report. It shows in the measurements: a device in another state measures other values than the
//! manifests hold. So only a policy that requires manifests asks for it.

mod device;
mod manifest_filter;
mod manifest_store;
mod manifests;
mod merge;
mod revocation;
mod set;

use std::sync::Arc;

use super::Appraiser;
use crate::collateral::NvidiaCollateral;
use crate::evidence::EndorsementCache;
use crate::nvidia::{DeviceEvidenceError, DeviceFacts, DeviceKind, SpdmEvidence, UnverifiedDevice};
use crate::policy::NvidiaPolicy;
use crate::time::UnixTime;
use crate::verdict::{CheckId, Checks, NvidiaCause, Why};

use manifest_store::ManifestStore;

/// Sixteen GPUs and their switches, twice over.
const MAX_DEVICES: usize = 64;

/// What a device's evidence has to answer.
#[derive(Clone, Copy)]
pub(super) enum ExpectedNonce<'a> {
    /// This nonce.
    Exactly(&'a [u8; 32]),
    /// Any, but one for all.
    AnyCommon,
}

/// The result for the devices.
pub(super) struct Outcome {
    pub(super) facts: Vec<DeviceFacts>,
    /// The last second at which everything that was relied on is valid, if anything was.
    pub(super) valid_until: Option<UnixTime>,
}

pub(super) type Presented = Result<UnverifiedDevice, DeviceEvidenceError>;

pub(super) fn appraise(
    appraiser: &Appraiser<'_>,
    presented: &[Presented],
    collateral: Option<&NvidiaCollateral>,
    expected_nonce: ExpectedNonce<'_>,
    cache: &mut EndorsementCache,
    checks: &mut Checks,
) -> Outcome {
    let Some(policy) = appraiser.policy.nvidia.as_ref() else {
        checks.not_required(CheckId::NvidiaDevices, Why::NotInPolicy);
        return decoded_only(presented);
    };
    if presented.is_empty() {
        return none(policy, checks);
    }
    checks.pass(CheckId::NvidiaDevices);
    if presented.len() > MAX_DEVICES {
        let cause = NvidiaCause::TooMany(presented.len());
        checks.fail(CheckId::NvidiaEvidenceFormat, cause.into());
        return Outcome {
            facts: Vec::new(),
            valid_until: None,
        };
    }
    let manifest_store = ManifestStore::new(collateral, appraiser.roots, cache);
    let device_appraiser = device::DeviceAppraiser {
        roots: appraiser.roots,
        now: appraiser.now,
        policy,
        manifest_store: &manifest_store,
        cache,
        answers: collateral.map_or(&[], |collateral| &collateral.ocsp),
        expected_nonce,
    };
    let appraised: Vec<_> = presented
        .iter()
        .map(|it| device_appraiser.appraise(it))
        .collect();
    for (inputs, device) in appraised
        .iter()
        .filter_map(|device| device.authentic.as_ref())
    {
        if cache.devices.get(inputs).is_none() {
            cache.devices.put(inputs.clone(), Arc::clone(device));
        }
    }
    for (inputs, rim) in manifest_store.newly_authentic() {
        cache.rims.put(inputs.clone(), rim);
    }
    let valid_until = appraised
        .iter()
        .filter_map(|device| device.valid_until)
        .min();
    let (facts, by_device): (Vec<_>, Vec<_>) = appraised
        .into_iter()
        .map(|device| (device.facts, device.checks))
        .unzip();
    merge::merge(by_device, checks);
    set::appraise(&facts, policy, expected_nonce, checks);
    Outcome { facts, valid_until }
}

/// The policy has no section for devices; what the bytes say is returned as facts.
fn decoded_only(presented: &[Presented]) -> Outcome {
    let facts = presented.iter().take(MAX_DEVICES).map(|device| {
        let (kind, evidence) = match device {
            Ok(device) => (
                device.kind,
                SpdmEvidence::parse_prefix(&device.evidence).ok(),
            ),
            Err(_) => (DeviceKind::Gpu, None),
        };
        DeviceFacts::decoded(kind, evidence)
    });
    Outcome {
        facts: facts.collect(),
        valid_until: None,
    }
}

fn none(policy: &NvidiaPolicy, checks: &mut Checks) -> Outcome {
    if policy.required {
        checks.not_evaluated(CheckId::NvidiaDevices, Why::Absent);
    } else {
        checks.not_required(CheckId::NvidiaDevices, Why::Absent);
    }
    Outcome {
        facts: Vec::new(),
        valid_until: None,
    }
}
