//! One device: its certificate chain and signature are verified, its report answers our nonce, its measurements are those
//! that NVIDIA published, and the policy accepts it.

use std::sync::Arc;

use super::manifest_filter::ManifestFilter;
use super::manifest_store::ManifestStore;
use super::{ExpectedNonce, Presented, manifests, revocation};
use crate::cache::CacheKey;
use crate::evidence::EndorsementCache;
use crate::nvidia::{
    AuthenticDevice, DeviceFacts, DeviceIdentity, DeviceKind, FirmwareIdError, RimKind,
    SpdmEvidence, SpdmFormatError, UnverifiedDevice, VerifiedDevice, authenticate_device_chain,
    check_firmware_id, verify_report_signature,
};
use crate::policy::NvidiaPolicy;
use crate::roots::{RootKind, Roots};
use crate::time::UnixTime;
use crate::verdict::{Cause, CheckId, Checks, NvidiaCause, Why};

/// What devices are appraised by.
pub(super) struct DeviceAppraiser<'a> {
    pub(super) roots: &'a Roots,
    pub(super) now: UnixTime,
    pub(super) policy: &'a NvidiaPolicy,
    pub(super) manifest_store: &'a ManifestStore<'a>,
    pub(super) cache: &'a EndorsementCache,
    /// OCSP responses.
    pub(super) answers: &'a [Vec<u8>],
    pub(super) expected_nonce: ExpectedNonce<'a>,
}

/// One device, appraised.
pub(super) struct AppraisedDevice {
    pub(super) facts: DeviceFacts,
    pub(super) checks: Checks,
    pub(super) valid_until: Option<UnixTime>,
    /// Its certificates, if they are authentic, valid or not.
    pub(super) authentic: Option<(CacheKey, Arc<AuthenticDevice>)>,
}

/// The checks that nothing can be said about unless the device signed its report. Manifests of the
/// driver describe GPUs only.
const OF_SIGNED: [CheckId; 13] = [
    CheckId::NvidiaArchitecture,
    CheckId::NvidiaFwid,
    CheckId::NvidiaNonce,
    CheckId::NvidiaOcsp,
    CheckId::NvidiaVbios,
    CheckId::NvidiaRimVbios,
    CheckId::NvidiaRimProduct,
    CheckId::NvidiaRimDigest,
    CheckId::NvidiaRimSignerDates,
    CheckId::NvidiaRimOcsp,
    CheckId::NvidiaMeasurementsCount,
    CheckId::NvidiaMeasurements,
    CheckId::NvidiaMode,
];

impl DeviceAppraiser<'_> {
    pub(super) fn appraise(&self, presented: &Presented) -> AppraisedDevice {
        let mut checks = Checks::default();
        let device = match presented {
            Ok(device) => device,
            Err(error) => {
                let facts = DeviceFacts::decoded(DeviceKind::Gpu, None);
                let cause = NvidiaCause::Entry(error.clone());
                return unreadable(facts, cause, checks);
            }
        };
        let mut facts = DeviceFacts::decoded(device.kind, None);
        let evidence = match self.read(&device.evidence) {
            Ok(evidence) => evidence,
            Err(error) => return unreadable(facts, NvidiaCause::Format(error), checks),
        };
        checks.pass(CheckId::NvidiaEvidenceFormat);
        let mut authentic = None;
        let signer = self.signer(device, &evidence, &mut authentic, &mut checks);
        let mut valid_until = None;
        match signer {
            Ok(signer) => {
                facts.identity = Some(DeviceIdentity::from(&signer));
                valid_until =
                    Some(self.appraise_signed(&evidence, &signer, &mut facts, &mut checks));
            }
            Err(at) => stop(at, &mut checks),
        }
        facts.evidence = Some(evidence);
        AppraisedDevice {
            facts,
            checks,
            valid_until,
            authentic,
        }
    }

    /// The evidence, followed by no more than the policy tolerates.
    fn read(&self, bytes: &[u8]) -> Result<SpdmEvidence, SpdmFormatError> {
        let evidence = SpdmEvidence::parse_prefix(bytes)?;
        let found = evidence.trailing();
        let tolerated = self.policy.trailing_bytes;
        match tolerated.allow(found.count, found.all_zero) {
            true => Ok(evidence),
            false => Err(SpdmFormatError::TrailingBytes(found.count)),
        }
    }

    /// The device that signed the evidence, or the check at which that fails.
    fn signer(
        &self,
        device: &UnverifiedDevice,
        evidence: &SpdmEvidence,
        authentic: &mut Option<(CacheKey, Arc<AuthenticDevice>)>,
        checks: &mut Checks,
    ) -> Result<VerifiedDevice, CheckId> {
        let chain = self.authenticate(device).and_then(|found| {
            let (_, device) = authentic.insert(found);
            device
                .at(self.now)
                .map_err(|error| NvidiaCause::Chain(error).into())
        });
        let signer = match chain {
            Ok(signer) => signer,
            Err(cause) => {
                checks.fail(CheckId::NvidiaChain, cause);
                let why = Why::Stopped {
                    at: CheckId::NvidiaChain,
                };
                checks.not_evaluated(CheckId::NvidiaReportSignature, why);
                return Err(CheckId::NvidiaChain);
            }
        };
        checks.pass(CheckId::NvidiaChain);
        let is_switch = device.kind == DeviceKind::Switch;
        let signed = verify_report_signature(evidence, &signer);
        checks.record(
            CheckId::NvidiaReportSignature,
            signed.map_err(|error| NvidiaCause::Signature(error).into()),
        );
        if signed.is_err() {
            return Err(CheckId::NvidiaReportSignature);
        }
        checks.record(CheckId::NvidiaArchitecture, self.kind(&signer, is_switch));
        Ok(signer)
    }

    /// The device, by the signatures of its certificates: checked now, unless they were before.
    fn authenticate(
        &self,
        device: &UnverifiedDevice,
    ) -> Result<(CacheKey, Arc<AuthenticDevice>), Cause> {
        let root = self.roots.der(RootKind::NvidiaDevice);
        let root = root.ok_or(Cause::NoRoot(RootKind::NvidiaDevice))?;
        let inputs = CacheKey::from_parts(&[root, &device.certificate_chain]);
        let device = match self.cache.devices.get(&inputs) {
            Some(device) => Arc::clone(device),
            None => Arc::new(
                authenticate_device_chain(&device.certificate_chain, root)
                    .map_err(NvidiaCause::Chain)?,
            ),
        };
        Ok((inputs, device))
    }

    fn kind(&self, signer: &VerifiedDevice, is_switch: bool) -> Result<(), Cause> {
        let found = signer.architecture();
        if found.is_switch() != is_switch {
            return Err(NvidiaCause::OtherKind(found).into());
        }
        match &self.policy.architectures {
            Some(listed) if !listed.contains(&found) => {
                Err(NvidiaCause::ArchitectureNotListed(found).into())
            }
            _ => Ok(()),
        }
    }

    /// Everything that a device's signature makes worth asking. Gives the last second at which
    /// what was relied on is valid.
    fn appraise_signed(
        &self,
        evidence: &SpdmEvidence,
        signer: &VerifiedDevice,
        facts: &mut DeviceFacts,
        checks: &mut Checks,
    ) -> UnixTime {
        self.firmware_id(evidence, signer, checks);
        match self.expected_nonce {
            ExpectedNonce::Exactly(nonce) => {
                let answers = evidence.request_nonce() == nonce;
                checks.require(CheckId::NvidiaNonce, answers, || NvidiaCause::Nonce);
            }
            ExpectedNonce::AnyCommon => {
                checks.not_required(CheckId::NvidiaNonce, Why::NotChallenged)
            }
        }
        let is_gpu = !signer.architecture().is_switch();
        if is_gpu {
            let version = evidence.driver_version().map(str::to_owned);
            self.version(RimKind::Driver, version, checks);
        }
        self.version(RimKind::Vbios, evidence.vbios_version(), checks);
        let ocsp = self.policy.ocsp;
        let answered = revocation::appraise(signer.chain(), self.answers, ocsp, self.now, checks);
        let filter = ManifestFilter {
            policy: self.policy,
            answers: self.answers,
            now: self.now,
        };
        let appraised = manifests::appraise(evidence, signer, &filter, self.manifest_store, checks);
        if is_gpu {
            mode(evidence, self.policy, checks);
        }
        let until = answered
            .into_iter()
            .chain(appraised.valid_until)
            .fold(signer.valid_until(), UnixTime::min);
        facts.manifests = appraised.manifests;
        facts.compared = appraised.compared;
        facts.skipped = appraised.skipped;
        until
    }

    fn firmware_id(&self, evidence: &SpdmEvidence, signer: &VerifiedDevice, checks: &mut Checks) {
        match check_firmware_id(evidence, signer) {
            Ok(()) => checks.pass(CheckId::NvidiaFwid),
            // Switches do not report it.
            Err(FirmwareIdError::NotInReport) if signer.architecture().is_switch() => {}
            Err(FirmwareIdError::NotInReport) if self.policy.allow_missing_fwid => {
                checks.not_required(CheckId::NvidiaFwid, Why::Absent);
            }
            Err(error) => checks.fail(CheckId::NvidiaFwid, NvidiaCause::FirmwareId(error).into()),
        }
    }

    fn version(&self, kind: RimKind, version: Option<String>, checks: &mut Checks) {
        let (check, listed) = match kind {
            RimKind::Driver => (CheckId::NvidiaDriver, &self.policy.driver_versions),
            RimKind::Vbios => (CheckId::NvidiaVbios, &self.policy.vbios_versions),
        };
        let Some(listed) = listed else {
            return checks.not_required(check, Why::NotInPolicy);
        };
        let is_listed = version
            .as_ref()
            .is_some_and(|version| listed.iter().any(|it| it.eq_ignore_ascii_case(version)));
        checks.require(check, is_listed, || NvidiaCause::VersionNotListed {
            kind,
            version,
        });
    }
}

fn mode(evidence: &SpdmEvidence, policy: &NvidiaPolicy, checks: &mut Checks) {
    let Some(listed) = &policy.modes else {
        return checks.not_required(CheckId::NvidiaMode, Why::NotInPolicy);
    };
    let facts = DeviceFacts::decoded(DeviceKind::Gpu, Some(evidence.clone()));
    let accepted = match facts.mode() {
        None => Err(NvidiaCause::ModeUnknown.into()),
        Some(mode) if listed.contains(&mode) => Ok(()),
        Some(mode) => Err(NvidiaCause::ModeNotListed(mode.as_str()).into()),
    };
    checks.record(CheckId::NvidiaMode, accepted);
}

fn unreadable(facts: DeviceFacts, cause: NvidiaCause, mut checks: Checks) -> AppraisedDevice {
    let at = CheckId::NvidiaEvidenceFormat;
    checks.fail(at, cause.into());
    for check in [CheckId::NvidiaChain, CheckId::NvidiaReportSignature] {
        checks.not_evaluated(check, Why::Stopped { at });
    }
    stop(at, &mut checks);
    AppraisedDevice {
        facts,
        checks,
        valid_until: None,
        authentic: None,
    }
}

fn stop(at: CheckId, checks: &mut Checks) {
    for check in OF_SIGNED {
        checks.not_evaluated(check, Why::Stopped { at });
    }
}
