//! What only the devices together show: how many there are, whether they are
//! different ones, and whether those that link others are among them.

use super::ExpectedNonce;
use super::merge::at_device;
use crate::encoding::to_hex;
use crate::nvidia::{DeviceFacts, DeviceId, DeviceKind, FeatureFlag, SpdmEvidence};
use crate::policy::{Count, NvidiaPolicy};
use crate::verdict::{Cause, CheckId, Checks, NvidiaCause, Why};

pub(super) fn appraise(
    devices: &[DeviceFacts],
    policy: &NvidiaPolicy,
    expected_nonce: ExpectedNonce<'_>,
    checks: &mut Checks,
) {
    if let (ExpectedNonce::AnyCommon, Err(cause)) = (expected_nonce, one_nonce(devices)) {
        checks.replace(CheckId::NvidiaNonce, cause);
    }
    checks.record(CheckId::NvidiaCount, count(devices, policy));
    distinct(devices, checks);
    topology(devices, policy, checks);
}

fn one_nonce(devices: &[DeviceFacts]) -> Result<(), Cause> {
    let mut nonces = devices
        .iter()
        .filter_map(|device| Some(device.evidence.as_ref()?.request_nonce()));
    let first = nonces.next();
    if nonces.all(|nonce| Some(nonce) == first) {
        Ok(())
    } else {
        Err(NvidiaCause::SeveralNonces.into())
    }
}

fn of_kind(
    devices: &[DeviceFacts],
    kind: DeviceKind,
) -> impl Iterator<Item = (usize, &DeviceFacts)> {
    devices
        .iter()
        .enumerate()
        .filter(move |(_, device)| device.kind == kind)
}

/// Devices are counted whose evidence is theirs.
fn count(devices: &[DeviceFacts], policy: &NvidiaPolicy) -> Result<(), Cause> {
    let genuine = |kind| {
        of_kind(devices, kind)
            .filter(|(_, device)| device.identity.is_some())
            .count()
    };
    let (gpus, switches) = (genuine(DeviceKind::Gpu), genuine(DeviceKind::Switch));
    let wanted = match policy.gpus {
        Some(Count::Exactly(wanted)) if gpus != wanted => Some(format!("{wanted}")),
        Some(Count::AtLeast(least)) if gpus < least => Some(format!("at least {least}")),
        None if policy.required && gpus == 0 => Some("at least 1".to_owned()),
        _ => None,
    };
    if let Some(wanted) = wanted {
        let what = "GPUs";
        let got = gpus;
        return Err(NvidiaCause::Count { what, got, wanted }.into());
    }
    match policy.switches {
        Some(wanted) if switches != wanted => Err(NvidiaCause::Count {
            what: "switches",
            got: switches,
            wanted: format!("{wanted}"),
        }
        .into()),
        _ => Ok(()),
    }
}

fn distinct(devices: &[DeviceFacts], checks: &mut Checks) {
    let chips: Vec<_> = devices
        .iter()
        .map(|device| device.identity.as_ref().map(|identity| identity.chip))
        .collect();
    if chips.iter().any(Option::is_none) {
        let at = CheckId::NvidiaReportSignature;
        checks.not_evaluated(CheckId::NvidiaDistinct, Why::Stopped { at });
        return;
    }
    let repeated = chips.iter().enumerate().find_map(|(index, chip)| {
        let first = chips.iter().take(index).position(|other| other == chip)?;
        Some((index, first))
    });
    match repeated {
        None => checks.pass(CheckId::NvidiaDistinct),
        Some((index, first)) => checks.fail(
            CheckId::NvidiaDistinct,
            at_device(index, NvidiaCause::Repeated { first }.into()),
        ),
    }
}

/// In Protected PCIe mode what passes between GPUs is in the clear inside switches: those are
/// part of what is trusted and must show who they are. So must whatever else they link.
fn topology(devices: &[DeviceFacts], policy: &NvidiaPolicy, checks: &mut Checks) {
    if !policy.topology {
        return checks.not_required(CheckId::NvidiaTopology, Why::NotInPolicy);
    }
    let protected = |device: &DeviceFacts| device.mode() == Some(FeatureFlag::ProtectedPcie);
    if !devices.iter().any(protected) {
        return checks.not_required(CheckId::NvidiaTopology, Why::Absent);
    }
    let [gpus, switches] = [DeviceKind::Gpu, DeviceKind::Switch].map(|kind| present(devices, kind));
    for (index, device) in devices.iter().enumerate() {
        let Some(opaque) = device.evidence.as_ref().map(SpdmEvidence::opaque) else {
            continue;
        };
        let linked = match device.kind {
            DeviceKind::Gpu if protected(device) => links(opaque.switch_ids(), &switches),
            DeviceKind::Gpu => Ok(()),
            DeviceKind::Switch => links(opaque.gpu_ids(), &gpus),
        };
        if let Err(cause) = linked {
            return checks.fail(CheckId::NvidiaTopology, at_device(index, cause.into()));
        }
    }
    checks.pass(CheckId::NvidiaTopology);
}

/// The numbers that NVIDIA certified to the devices of a kind.
fn present(devices: &[DeviceFacts], kind: DeviceKind) -> Vec<DeviceId> {
    of_kind(devices, kind)
        .filter_map(|(_, device)| device.identity.as_ref()?.device_id)
        .collect()
}

fn links(named: Option<Vec<DeviceId>>, present: &[DeviceId]) -> Result<(), NvidiaCause> {
    match named {
        Some(named) if !named.is_empty() => {
            match named.iter().find(|link| !present.contains(link)) {
                None => Ok(()),
                Some(link) => Err(NvidiaCause::LinkMissing(to_hex(link))),
            }
        }
        _ => Err(NvidiaCause::NoLinks),
    }
}
