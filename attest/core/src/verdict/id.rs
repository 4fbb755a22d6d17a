//! The stable names of checks. Verdicts in JSON, policies' documentation and auditors' scripts
//! refer to these; a name is never given to another check.

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $id:literal;)*) => {
        $($(#[$doc])* pub const $name: &str = $id;)*
        /// Every id, in the order in which a verdict lists them.
        pub const ALL: &[&str] = &[$($id),*];
    };
}

ids! {
    /// The report is well formed ACI/1 with our profile's evidence.
    REPORT_FORMAT = "report.format";
    /// The report is signed by a receipt signing key of its own keyset.
    REPORT_SIGNATURE = "report.signature";
    /// The digest the report states is the digest of the keyset it carries.
    BINDING_KEYSET = "binding.keyset";
    /// The quote's report data is the statement over this keyset (and this nonce).
    BINDING_REPORT_DATA = "binding.report_data";
    /// The evidence was made for our nonce.
    FRESHNESS_NONCE = "freshness.nonce";
    /// The keyset has not expired.
    KEYSET_EXPIRY = "keyset.expiry";
    /// The keyset does not live longer than the policy allows.
    KEYSET_LIFETIME = "keyset.lifetime";
    /// The key that the TLS peer proved to hold is one of the keyset's.
    CHANNEL_SPKI = "channel.spki";
    /// The configuration shown is the one bound to the hardware, and accepted.
    CONTRACT_CONFIG = "contract.config";
    /// The retention policy shown is the one bound to the hardware, and accepted.
    CONTRACT_RETENTION = "contract.retention";
    /// The audit log's head is signed by the service, and of an accepted log.
    LOG_CHECKPOINT = "log.checkpoint";
    /// The audit log tells of this epoch: its keyset, its configuration, its retention policy.
    LOG_EPOCH = "log.epoch";
    /// The source the service claims to be built from is accepted.
    PROVENANCE_SOURCE = "provenance.source";
    /// The policy says what is wanted of this kind of TEE.
    POLICY_TEE = "policy.tee";
    /// The evidence can be taken apart.
    TDX_QUOTE_FORMAT = "tdx.quote.format";
    /// The quote is a TDX quote.
    TDX_TEE_TYPE = "tdx.tee_type";
    /// The quote was made by Intel's quoting enclave, as its header says.
    TDX_QE_VENDOR = "tdx.qe.vendor";
    /// What follows the quote in its buffer.
    TDX_TRAILING_BYTES = "tdx.quote.trailing_bytes";
    /// Collateral is there and can be read.
    TDX_COLLATERAL_FORMAT = "tdx.collateral.format";
    /// Every part of the collateral is valid at the stated time.
    TDX_COLLATERAL_DATES = "tdx.collateral.dates";
    /// Revocation lists are authentic and revoke none of the certificates.
    TDX_CRL = "tdx.crl";
    /// TCB info is signed under the root.
    TDX_TCB_INFO_SIGNATURE = "tdx.tcb_info.signature";
    /// QE identity is signed under the root.
    TDX_QE_IDENTITY_SIGNATURE = "tdx.qe_identity.signature";
    /// The platform's certificate leads to the root.
    TDX_PCK_CHAIN = "tdx.pck.chain";
    /// The quoting enclave's report is signed by the platform's key.
    TDX_QE_REPORT_SIGNATURE = "tdx.qe.report_signature";
    /// The quoting enclave vouches for the attestation key.
    TDX_QE_ATTESTATION_KEY = "tdx.qe.attestation_key";
    /// The quoting enclave is the one Intel describes.
    TDX_QE_IDENTITY = "tdx.qe.identity";
    /// The quote is signed by the attestation key.
    TDX_QUOTE_SIGNATURE = "tdx.quote.signature";
    /// A TCB level of Intel's matches the platform.
    TDX_TCB_LEVEL = "tdx.tcb.level";
    /// The TDX module is one Intel describes.
    TDX_MODULE_IDENTITY = "tdx.module.identity";
    /// The merged TCB status is accepted.
    TDX_TCB_STATUS = "tdx.tcb.status";
    /// The grace that the policy gives advisories is not over for any that is not cured.
    TDX_TCB_GRACE = "tdx.tcb.grace";
    /// None of the platform's advisories is denied.
    TDX_TCB_ADVISORIES = "tdx.tcb.advisories";
    /// The collateral is recent enough in Intel's own numbering.
    TDX_TCB_EVALUATION = "tdx.tcb.evaluation_data_number";
    /// The collateral was issued no longer ago than the policy allows.
    TDX_COLLATERAL_AGE = "tdx.collateral.age";
    /// The quoting enclave is at or above the policy's floor.
    TDX_QE_SVN = "tdx.qe.svn";
    /// The certified provisioning certification enclave is at or above the policy's floor.
    TDX_PLATFORM_PCE_SVN = "tdx.platform.pce_svn";
    /// The platform is one of the accepted machines.
    TDX_PLATFORM_PPID = "tdx.platform.ppid";
    /// The platform is of an accepted family, model and stepping.
    TDX_PLATFORM_FMSPC = "tdx.platform.fmspc";
    /// The provisioning certification enclave is an accepted one.
    TDX_PLATFORM_PCE_ID = "tdx.platform.pce_id";
    /// The TD cannot be debugged or profiled from outside.
    TDX_TD_DEBUG = "tdx.td.debug";
    /// Page-removal attacks raise no exception inside the TD.
    TDX_TD_SEPT_VE_DISABLE = "tdx.td.sept_ve_disable";
    /// No reserved or migration attribute is set; the attributes are accepted ones.
    TDX_TD_ATTRIBUTES = "tdx.td.attributes";
    /// Extended features are ones that TDs have, and accepted ones.
    TDX_TD_XFAM = "tdx.td.xfam";
    /// No service TD can act on this TD.
    TDX_TD_SERVICE_TD = "tdx.td.service_td";
    /// Each security version the TD was launched under is at or above the policy's floor.
    TDX_TEE_TCB_SVN = "tdx.tee_tcb_svn";
    /// The same of the versions the TD now runs under (TDX 1.5).
    TDX_TEE_TCB_SVN2 = "tdx.tee_tcb_svn2";
    /// The TDX module is one for production: its attributes are zero, or accepted ones.
    TDX_SEAM_ATTRIBUTES = "tdx.seam.attributes";
    /// Initial contents of the TD.
    TDX_MRTD = "tdx.measurement.mrtd";
    /// Runtime measurement 0: firmware configuration.
    TDX_RTMR0 = "tdx.measurement.rtmr0";
    /// Runtime measurement 1: loader and kernel.
    TDX_RTMR1 = "tdx.measurement.rtmr1";
    /// Runtime measurement 2: kernel command line and initial file system.
    TDX_RTMR2 = "tdx.measurement.rtmr2";
    /// Runtime measurement 3: left to the workload.
    TDX_RTMR3 = "tdx.measurement.rtmr3";
    /// The TDX module's own measurement.
    TDX_MRSEAM = "tdx.measurement.mrseam";
    /// Who signed the TDX module.
    TDX_MRSIGNERSEAM = "tdx.measurement.mrsignerseam";
    /// Configuration id given at creation.
    TDX_MRCONFIGID = "tdx.measurement.mrconfigid";
    /// Owner id given at creation.
    TDX_MROWNER = "tdx.measurement.mrowner";
    /// Owner's configuration id given at creation.
    TDX_MROWNERCONFIG = "tdx.measurement.mrownerconfig";
    /// The service TDs that are bound to the TD (TDX 1.5).
    TDX_MRSERVICETD = "tdx.measurement.mrservicetd";
    /// The measurements are together those of one listed image.
    TDX_IMAGE = "tdx.image";
    /// The SNP report can be taken apart.
    SNP_REPORT_FORMAT = "snp.report.format";
    /// In Azure's wrapping, the report commits to the claims around it.
    SNP_HCL_CLAIMS = "snp.hcl.claims";
    /// The endorsement key's certificates are there and can be found.
    SNP_CERTIFICATES = "snp.certificates";
    /// The endorsement key's certificate leads to AMD's root for this product.
    SNP_CHAIN = "snp.chain";
    /// AMD's revocation list is authentic, current, and does not name the signing key.
    SNP_CRL = "snp.crl";
    /// AMD's revocation list was issued no longer ago than the policy allows.
    SNP_CRL_AGE = "snp.crl.age";
    /// The report's processor is of the product that AMD certified.
    SNP_PRODUCT = "snp.product";
    /// The key that signed is of the kind that the report says.
    SNP_VEK_KIND = "snp.vek.kind";
    /// The certified chip is the report's, for a VCEK.
    SNP_VEK_HWID = "snp.vek.hwid";
    /// The TCB the report states is the one AMD certified.
    SNP_VEK_TCB = "snp.vek.tcb";
    /// The report is signed by the endorsement key.
    SNP_REPORT_SIGNATURE = "snp.report.signature";
    /// The product is an accepted one.
    SNP_PRODUCT_ACCEPTED = "snp.product.accepted";
    /// The kind of key, and the cloud it belongs to, are accepted ones.
    SNP_VEK_ACCEPTED = "snp.vek.accepted";
    /// Every component of the certified TCB is at or above the policy's floor.
    SNP_TCB_MIN = "snp.tcb.min";
    /// The machine is one of the accepted chips.
    SNP_CHIP_ID = "snp.chip_id";
    /// The platform has switched on what the policy requires.
    SNP_PLATFORM_INFO = "snp.platform_info";
    /// The host cannot debug the guest.
    SNP_POLICY_DEBUG = "snp.policy.debug";
    /// No migration agent can be bound to the guest.
    SNP_POLICY_MIGRATION_AGENT = "snp.policy.migration_agent";
    /// Reserved bits of the guest policy are as they must be.
    SNP_POLICY_RESERVED = "snp.policy.reserved";
    /// The guest's policy demands of the platform what our policy wants it to.
    SNP_POLICY_DEMANDS = "snp.policy.demands";
    /// Multithreading is off where the policy wants it off.
    SNP_POLICY_SMT = "snp.policy.smt";
    /// The report was asked for from a privilege level that is accepted.
    SNP_VMPL = "snp.vmpl";
    /// Launch digest of the guest.
    SNP_MEASUREMENT = "snp.measurement";
    /// What the host said at launch.
    SNP_HOST_DATA = "snp.host_data";
    /// Who signed the guest's id block.
    SNP_ID_KEY = "snp.id_key";
    /// Who certified that signer.
    SNP_AUTHOR_KEY = "snp.author_key";
    /// The family that the guest's id block names.
    SNP_FAMILY_ID = "snp.family_id";
    /// The image that the guest's id block names.
    SNP_IMAGE_ID = "snp.image_id";
    /// The guest's own security version is at or above the policy's floor.
    SNP_GUEST_SVN = "snp.guest_svn";
    /// Measurement and what belongs to it are together those of one listed image.
    SNP_IMAGE = "snp.image";
    /// The event log can be read.
    EVENT_LOG_FORMAT = "event_log.format";
    /// The event log replays to the quote's registers.
    EVENT_LOG_REPLAY = "event_log.replay";
    /// The application that dstack measured is accepted.
    EVENT_LOG_APP_ID = "event_log.app_id";
    /// The compose file that dstack measured is accepted.
    EVENT_LOG_COMPOSE_HASH = "event_log.compose_hash";
    /// The operating system image that dstack measured is accepted.
    EVENT_LOG_OS_IMAGE_HASH = "event_log.os_image_hash";
    /// The firmware measured that it enforces signatures.
    EVENT_LOG_SECURE_BOOT = "event_log.secure_boot";
    /// NVIDIA devices have presented evidence.
    NVIDIA_DEVICES = "nvidia.devices";
    /// Each device's evidence can be taken apart.
    NVIDIA_EVIDENCE_FORMAT = "nvidia.evidence.format";
    /// Each device's certificate leads to NVIDIA's root.
    NVIDIA_CHAIN = "nvidia.chain";
    /// Each device's report is signed by the device.
    NVIDIA_REPORT_SIGNATURE = "nvidia.report.signature";
    /// Each device is what it is said to be, and its architecture accepted.
    NVIDIA_ARCHITECTURE = "nvidia.architecture";
    /// The firmware in each report is the one the device's key was derived for.
    NVIDIA_FWID = "nvidia.fwid";
    /// Each device's evidence was made for the nonce of this report.
    NVIDIA_NONCE = "nvidia.nonce";
    /// NVIDIA has not revoked a certificate of a device.
    NVIDIA_OCSP = "nvidia.ocsp";
    /// The driver each GPU names is accepted.
    NVIDIA_DRIVER = "nvidia.driver";
    /// The firmware each device names is accepted.
    NVIDIA_VBIOS = "nvidia.vbios";
    /// There is an authentic manifest for the driver of each GPU.
    NVIDIA_RIM_DRIVER = "nvidia.rim.driver";
    /// There is an authentic manifest for the firmware of each device.
    NVIDIA_RIM_VBIOS = "nvidia.rim.vbios";
    /// The manifests are for the chip that each device's certificate names.
    NVIDIA_RIM_PRODUCT = "nvidia.rim.product";
    /// The manifests are among those the policy pins.
    NVIDIA_RIM_DIGEST = "nvidia.rim.digest";
    /// The manifests' signers are within the dates of their certificates.
    NVIDIA_RIM_SIGNER_DATES = "nvidia.rim.signer_dates";
    /// NVIDIA has not revoked a certificate of the manifests' signers.
    NVIDIA_RIM_OCSP = "nvidia.rim.ocsp";
    /// Each device has reported every measurement that its manifests speak of.
    NVIDIA_MEASUREMENTS_COUNT = "nvidia.measurements.count";
    /// Each device's measurements are those of its manifests.
    NVIDIA_MEASUREMENTS = "nvidia.measurements";
    /// Each GPU is in an accepted confidential mode.
    NVIDIA_MODE = "nvidia.mode";
    /// There are as many devices as the policy wants.
    NVIDIA_COUNT = "nvidia.count";
    /// No device presents itself twice.
    NVIDIA_DISTINCT = "nvidia.distinct";
    /// GPUs whose links are in the clear are linked by switches that are here.
    NVIDIA_TOPOLOGY = "nvidia.topology";
}
