//! The stable names of checks. Verdicts in JSON, policies' documentation and auditors' scripts
//! refer to these; a name is never given to another check.

use std::fmt;
use std::str::FromStr;

macro_rules! check_ids {
    ($($(#[$doc:meta])* $variant:ident = $id:literal,)*) => {
        /// Which check of a verdict.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum CheckId {
            $($(#[$doc])* $variant,)*
        }

        impl CheckId {
            /// Every check, in the order in which a verdict lists them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name used in JSON, in documents and by scripts.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $id,)*
                }
            }
        }
    };
}

check_ids! {
    /// The report is well formed ACI/1 with our profile's evidence.
    ReportFormat = "report.format",
    /// The report is signed by a receipt signing key in the keyset it carries.
    ReportSignature = "report.signature",
    /// The digest the report states is the digest of the keyset it carries.
    BindingKeyset = "binding.keyset",
    /// The quote's report data is the statement over this keyset (and this nonce).
    BindingReportData = "binding.report_data",
    /// The evidence was made for our nonce.
    FreshnessNonce = "freshness.nonce",
    /// The keyset has not expired.
    KeysetExpiry = "keyset.expiry",
    /// The keyset does not live longer than the policy allows.
    KeysetLifetime = "keyset.lifetime",
    /// The key that the TLS peer proved to hold is one of the keyset's.
    ChannelSpki = "channel.spki",
    /// The configuration shown is the one bound to the hardware, and accepted.
    ContractConfig = "contract.config",
    /// The retention policy shown is the one bound to the hardware, and accepted.
    ContractRetention = "contract.retention",
    /// The audit log's head is signed by the service, and of an accepted log.
    LogCheckpoint = "log.checkpoint",
    /// The audit log tells of this epoch: its keyset, its configuration, its retention policy.
    LogEpoch = "log.epoch",
    /// The source the service claims to be built from is accepted.
    ProvenanceSource = "provenance.source",
    /// The policy says what is wanted of this kind of TEE.
    PolicyTee = "policy.tee",
    /// The evidence can be parsed.
    TdxQuoteFormat = "tdx.quote.format",
    /// The quote is a TDX quote.
    TdxTeeType = "tdx.tee_type",
    /// The quote was made by Intel's quoting enclave, as its header says.
    TdxQeVendor = "tdx.qe.vendor",
    /// What follows the quote in its buffer.
    TdxTrailingBytes = "tdx.quote.trailing_bytes",
    /// Collateral is there and can be read.
    TdxCollateralFormat = "tdx.collateral.format",
    /// Every part of the collateral is valid at the stated time.
    TdxCollateralDates = "tdx.collateral.dates",
    /// Revocation lists are authentic and revoke none of the certificates.
    TdxCrl = "tdx.crl",
    /// TCB info is signed under the root.
    TdxTcbInfoSignature = "tdx.tcb_info.signature",
    /// QE identity is signed under the root.
    TdxQeIdentitySignature = "tdx.qe_identity.signature",
    /// The platform's certificate leads to the root.
    TdxPckChain = "tdx.pck.chain",
    /// The quoting enclave's report is signed by the platform's key.
    TdxQeReportSignature = "tdx.qe.report_signature",
    /// The quoting enclave vouches for the attestation key.
    TdxQeAttestationKey = "tdx.qe.attestation_key",
    /// The quoting enclave is the one Intel describes.
    TdxQeIdentity = "tdx.qe.identity",
    /// The quote is signed by the attestation key.
    TdxQuoteSignature = "tdx.quote.signature",
    /// A TCB level of Intel's matches the platform.
    TdxTcbLevel = "tdx.tcb.level",
    /// The TDX module is one Intel describes.
    TdxModuleIdentity = "tdx.module.identity",
    /// The merged TCB status is accepted.
    TdxTcbStatus = "tdx.tcb.status",
    /// The grace that the policy gives advisories is not over for any that is not cured.
    TdxTcbGrace = "tdx.tcb.grace",
    /// None of the platform's advisories is denied.
    TdxTcbAdvisories = "tdx.tcb.advisories",
    /// The collateral is recent enough in Intel's own numbering.
    TdxTcbEvaluation = "tdx.tcb.evaluation_data_number",
    /// The collateral was issued no longer ago than the policy allows.
    TdxCollateralAge = "tdx.collateral.age",
    /// The quoting enclave is at or above the policy's floor.
    TdxQeSvn = "tdx.qe.svn",
    /// The certified provisioning certification enclave is at or above the policy's floor.
    TdxPlatformPceSvn = "tdx.platform.pce_svn",
    /// The platform is one of the accepted machines.
    TdxPlatformPpid = "tdx.platform.ppid",
    /// The platform is of an accepted family, model and stepping.
    TdxPlatformFmspc = "tdx.platform.fmspc",
    /// The provisioning certification enclave is an accepted one.
    TdxPlatformPceId = "tdx.platform.pce_id",
    /// The TD cannot be debugged or profiled from outside.
    TdxTdDebug = "tdx.td.debug",
    /// Page-removal attacks raise no exception inside the TD.
    TdxTdSeptVeDisable = "tdx.td.sept_ve_disable",
    /// No reserved or migration attribute is set; the attributes are accepted ones.
    TdxTdAttributes = "tdx.td.attributes",
    /// Extended features are ones that TDs have, and accepted ones.
    TdxTdXfam = "tdx.td.xfam",
    /// No service TD can act on this TD.
    TdxTdServiceTd = "tdx.td.service_td",
    /// Each security version the TD was launched under is at or above the policy's floor.
    TdxTeeTcbSvn = "tdx.tee_tcb_svn",
    /// The same of the versions the TD now runs under (TDX 1.5).
    TdxTeeTcbSvn2 = "tdx.tee_tcb_svn2",
    /// The TDX module is one for production: its attributes are zero, or accepted ones.
    TdxSeamAttributes = "tdx.seam.attributes",
    /// Initial contents of the TD.
    TdxMrtd = "tdx.measurement.mrtd",
    /// Runtime measurement 0: firmware configuration.
    TdxRtmr0 = "tdx.measurement.rtmr0",
    /// Runtime measurement 1: loader and kernel.
    TdxRtmr1 = "tdx.measurement.rtmr1",
    /// Runtime measurement 2: kernel command line and initial file system.
    TdxRtmr2 = "tdx.measurement.rtmr2",
    /// Runtime measurement 3: left to the workload.
    TdxRtmr3 = "tdx.measurement.rtmr3",
    /// The TDX module's own measurement.
    TdxMrseam = "tdx.measurement.mrseam",
    /// Who signed the TDX module.
    TdxMrsignerseam = "tdx.measurement.mrsignerseam",
    /// Configuration id given at creation.
    TdxMrconfigid = "tdx.measurement.mrconfigid",
    /// Owner id given at creation.
    TdxMrowner = "tdx.measurement.mrowner",
    /// Owner's configuration id given at creation.
    TdxMrownerconfig = "tdx.measurement.mrownerconfig",
    /// The service TDs that are bound to the TD (TDX 1.5).
    TdxMrservicetd = "tdx.measurement.mrservicetd",
    /// The measurements are together those of one listed image.
    TdxImage = "tdx.image",
    /// The SNP report can be parsed.
    SnpReportFormat = "snp.report.format",
    /// In Azure's wrapping, the report commits to the claims around it.
    SnpHclClaims = "snp.hcl.claims",
    /// The endorsement key's certificates are there and can be found.
    SnpCertificates = "snp.certificates",
    /// The endorsement key's certificate leads to AMD's root for this product.
    SnpChain = "snp.chain",
    /// AMD's revocation list is authentic, current, and does not name the signing key.
    SnpCrl = "snp.crl",
    /// AMD's revocation list was issued no longer ago than the policy allows.
    SnpCrlAge = "snp.crl.age",
    /// The report's processor is of the product that AMD certified.
    SnpProduct = "snp.product",
    /// The key that signed is of the kind that the report says.
    SnpVekKind = "snp.vek.kind",
    /// The certified chip is the report's, for a VCEK.
    SnpVekHwid = "snp.vek.hwid",
    /// The TCB the report states is the one AMD certified.
    SnpVekTcb = "snp.vek.tcb",
    /// The report is signed by the endorsement key.
    SnpReportSignature = "snp.report.signature",
    /// The product is an accepted one.
    SnpProductAccepted = "snp.product.accepted",
    /// The kind of key, and the cloud it belongs to, are accepted ones.
    SnpVekAccepted = "snp.vek.accepted",
    /// Every component of the certified TCB is at or above the policy's floor.
    SnpTcbMin = "snp.tcb.min",
    /// The machine is one of the accepted chips.
    SnpChipId = "snp.chip_id",
    /// The platform has switched on what the policy requires.
    SnpPlatformInfo = "snp.platform_info",
    /// The host cannot debug the guest.
    SnpPolicyDebug = "snp.policy.debug",
    /// No migration agent can be bound to the guest.
    SnpPolicyMigrationAgent = "snp.policy.migration_agent",
    /// Reserved bits of the guest policy are as they must be.
    SnpPolicyReserved = "snp.policy.reserved",
    /// The guest's policy demands of the platform what our policy wants it to.
    SnpPolicyDemands = "snp.policy.demands",
    /// Multithreading is off where the policy wants it off.
    SnpPolicySmt = "snp.policy.smt",
    /// The report was asked for from a privilege level that is accepted.
    SnpVmpl = "snp.vmpl",
    /// Launch digest of the guest.
    SnpMeasurement = "snp.measurement",
    /// What the host said at launch.
    SnpHostData = "snp.host_data",
    /// Who signed the guest's id block.
    SnpIdKey = "snp.id_key",
    /// Who certified that signer.
    SnpAuthorKey = "snp.author_key",
    /// The family that the guest's id block names.
    SnpFamilyId = "snp.family_id",
    /// The image that the guest's id block names.
    SnpImageId = "snp.image_id",
    /// The guest's own security version is at or above the policy's floor.
    SnpGuestSvn = "snp.guest_svn",
    /// Measurement and what belongs to it are together those of one listed image.
    SnpImage = "snp.image",
    /// The event log can be read.
    EventLogFormat = "event_log.format",
    /// The event log replays to the quote's registers.
    EventLogReplay = "event_log.replay",
    /// The application that dstack measured is accepted.
    EventLogAppId = "event_log.app_id",
    /// The compose file that dstack measured is accepted.
    EventLogComposeHash = "event_log.compose_hash",
    /// The operating system image that dstack measured is accepted.
    EventLogOsImageHash = "event_log.os_image_hash",
    /// The firmware measured that it enforces signatures.
    EventLogSecureBoot = "event_log.secure_boot",
    /// NVIDIA devices have presented evidence.
    NvidiaDevices = "nvidia.devices",
    /// Each device's evidence can be parsed.
    NvidiaEvidenceFormat = "nvidia.evidence.format",
    /// Each device's certificate leads to NVIDIA's root.
    NvidiaChain = "nvidia.chain",
    /// Each device's report is signed by the device.
    NvidiaReportSignature = "nvidia.report.signature",
    /// Each device is what it is claimed to be, and its architecture accepted.
    NvidiaArchitecture = "nvidia.architecture",
    /// The firmware in each report is the one the device's key was derived for.
    NvidiaFwid = "nvidia.fwid",
    /// Each device's evidence was made for the nonce of this report.
    NvidiaNonce = "nvidia.nonce",
    /// NVIDIA has not revoked a certificate of a device.
    NvidiaOcsp = "nvidia.ocsp",
    /// The driver each GPU names is accepted.
    NvidiaDriver = "nvidia.driver",
    /// The firmware each device names is accepted.
    NvidiaVbios = "nvidia.vbios",
    /// There is an authentic manifest for the driver of each GPU.
    NvidiaRimDriver = "nvidia.rim.driver",
    /// There is an authentic manifest for the firmware of each device.
    NvidiaRimVbios = "nvidia.rim.vbios",
    /// The manifests are for the chip that each device's certificate names.
    NvidiaRimProduct = "nvidia.rim.product",
    /// The manifests are among those the policy pins.
    NvidiaRimDigest = "nvidia.rim.digest",
    /// The manifests' signers are within the dates of their certificates.
    NvidiaRimSignerDates = "nvidia.rim.signer_dates",
    /// NVIDIA has not revoked a certificate of the manifests' signers.
    NvidiaRimOcsp = "nvidia.rim.ocsp",
    /// Each device has reported every measurement that its manifests describe.
    NvidiaMeasurementsCount = "nvidia.measurements.count",
    /// Each device's measurements are those of its manifests.
    NvidiaMeasurements = "nvidia.measurements",
    /// Each GPU is in an accepted confidential mode.
    NvidiaMode = "nvidia.mode",
    /// There are as many devices as the policy wants.
    NvidiaCount = "nvidia.count",
    /// No device presents itself twice.
    NvidiaDistinct = "nvidia.distinct",
    /// GPUs whose links are in the clear are linked by switches that are here.
    NvidiaTopology = "nvidia.topology",
}

impl fmt::Display for CheckId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// No check has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no check is named \"{}\"", .0.escape_debug())]
pub struct UnknownCheck(String);

impl FromStr for CheckId {
    type Err = UnknownCheck;

    fn from_str(name: &str) -> Result<Self, UnknownCheck> {
        let mut all = Self::ALL.iter().copied();
        all.find(|id| id.as_str() == name)
            .ok_or_else(|| UnknownCheck(name.to_owned()))
    }
}
