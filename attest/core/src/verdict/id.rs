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
    /// The source the service claims to be built from is accepted.
    PROVENANCE_SOURCE = "provenance.source";
    /// The evidence can be taken apart.
    TDX_QUOTE_FORMAT = "tdx.quote.format";
    /// The quote is a TDX quote.
    TDX_TEE_TYPE = "tdx.tee_type";
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
    /// None of the platform's advisories is denied.
    TDX_TCB_ADVISORIES = "tdx.tcb.advisories";
    /// The collateral is recent enough in Intel's own numbering.
    TDX_TCB_EVALUATION = "tdx.tcb.evaluation_data_number";
    /// The platform is one of the accepted machines.
    TDX_PLATFORM_PPID = "tdx.platform.ppid";
    /// The TD cannot be debugged or profiled from outside.
    TDX_TD_DEBUG = "tdx.td.debug";
    /// Page-removal attacks raise no exception inside the TD.
    TDX_TD_SEPT_VE_DISABLE = "tdx.td.sept_ve_disable";
    /// No reserved or migration attribute is set; the attributes are accepted ones.
    TDX_TD_ATTRIBUTES = "tdx.td.attributes";
    /// Extended features are accepted ones.
    TDX_TD_XFAM = "tdx.td.xfam";
    /// No service TD can act on this TD.
    TDX_TD_SERVICE_TD = "tdx.td.service_td";
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
    /// Configuration id given at creation.
    TDX_MRCONFIGID = "tdx.measurement.mrconfigid";
    /// Owner id given at creation.
    TDX_MROWNER = "tdx.measurement.mrowner";
    /// Owner's configuration id given at creation.
    TDX_MROWNERCONFIG = "tdx.measurement.mrownerconfig";
    /// The event log replays to the measurements.
    TDX_EVENT_LOG = "tdx.event_log";
    /// AMD SEV-SNP evidence as a whole.
    SNP_REPORT = "snp.report";
    /// NVIDIA devices as a whole.
    NVIDIA_DEVICES = "nvidia.devices";
}
