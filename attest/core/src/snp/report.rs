//! The attestation report an SNP guest gets from the AMD secure processor, parsed.
//!
//! Layout: "SEV Secure Nested Paging Firmware ABI Specification" (AMD publication 56860),
//! table `ATTESTATION_REPORT`, versions 2, 3, 4 and 5. 1184 bytes, little-endian; bytes
//! `0x000..0x2A0` are signed. Parsing proves nothing about who wrote the bytes. Refused: other
//! lengths, other versions, another signature algorithm than ECDSA P-384 with SHA-384, and
//! values where the specification demands zero in the signing-key field.

use super::{GuestPolicy, PlatformInfo, Product};

/// Length of a report of every version, in bytes.
pub const REPORT_LEN: usize = 0x4A0;
/// The signed part is the first so many bytes.
pub const SIGNED_LEN: usize = 0x2A0;

const ECDSA_P384_SHA384: u32 = 1;

/// Why bytes are not an SNP attestation report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnpFormatError {
    /// Not 1184 bytes.
    #[error("an SNP report is 1184 bytes, not {0}")]
    Length(usize),
    /// A version this parser does not know the layout of.
    #[error("SNP report version {0} is not one of 2, 3, 4 and 5")]
    Version(u32),
    /// Signed with an algorithm that is not ECDSA P-384 with SHA-384.
    #[error("SNP report names signature algorithm {0}, not ECDSA P-384 with SHA-384")]
    SignatureAlgorithm(u32),
    /// A signing key that is neither VCEK nor VLEK; 7 means the report is not signed at all.
    #[error("SNP report names signing key {0}, neither VCEK nor VLEK")]
    SigningKey(u8),
}

/// Which of the processor's keys signed a report (`SIGNING_KEY`, bits 4:2 at 0x48).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VekKind {
    /// Versioned chip endorsement key: derived from the chip's own secret.
    Vcek,
    /// Versioned loaded endorsement key: a cloud's, loaded by its hypervisor.
    Vlek,
}

impl VekKind {
    /// `VCEK` or `VLEK`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Vcek => "VCEK",
            Self::Vlek => "VLEK",
        }
    }
}

/// A version number of the secure processor's firmware.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FirmwareVersion {
    /// Major.
    pub major: u8,
    /// Minor.
    pub minor: u8,
    /// Build.
    pub build: u8,
}

/// One report's fields. `*_tcb` are raw: their meaning depends on the product
/// ([`super::Tcb::decode`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnpReport {
    /// 2, 3, 4 or 5.
    pub version: u32,
    /// The guest's own security version, from its id block.
    pub guest_svn: u32,
    /// What the guest's owner permits.
    pub policy: GuestPolicy,
    /// From the id block.
    pub family_id: [u8; 16],
    /// From the id block.
    pub image_id: [u8; 16],
    /// The privilege level that asked for the report: 0 is the most privileged.
    pub vmpl: u32,
    /// TCB of the running firmware.
    pub current_tcb: [u8; 8],
    /// What the platform has switched on.
    pub platform_info: PlatformInfo,
    /// Whether `author_key_digest` means anything.
    pub author_key_enabled: bool,
    /// Whether the host hides the chip id.
    pub chip_key_masked: bool,
    /// Which key signed.
    pub signing_key: VekKind,
    /// What the guest asked to have signed.
    pub report_data: [u8; 64],
    /// Launch digest of the guest.
    pub measurement: [u8; 48],
    /// What the host said at launch.
    pub host_data: [u8; 32],
    /// SHA-384 of the key that signed the id block.
    pub id_key_digest: [u8; 48],
    /// SHA-384 of the key that certified that key.
    pub author_key_digest: [u8; 48],
    /// Id of this guest.
    pub report_id: [u8; 32],
    /// Id of its migration agent, all ones when there is none.
    pub report_id_ma: [u8; 32],
    /// The TCB the signing key was derived for.
    pub reported_tcb: [u8; 8],
    /// CPUID family, model and stepping; from version 3 on.
    pub cpuid: Option<[u8; 3]>,
    /// The chip's id, all zero when masked.
    pub chip_id: [u8; 64],
    /// The TCB that cannot be rolled back.
    pub committed_tcb: [u8; 8],
    /// Running firmware.
    pub current_firmware: FirmwareVersion,
    /// Firmware that cannot be rolled back.
    pub committed_firmware: FirmwareVersion,
    /// TCB when the guest was launched.
    pub launch_tcb: [u8; 8],
    /// Mitigations active at launch and now, from version 5 on.
    pub mitigations: Option<[u64; 2]>,
    signature: [u8; 512],
    signed: Vec<u8>,
}

impl SnpReport {
    /// Reads exactly one report.
    ///
    /// ```
    /// use attest_core::snp::{SnpFormatError, SnpReport};
    /// assert_eq!(SnpReport::parse(b"no report"), Err(SnpFormatError::Length(9)));
    /// ```
    pub fn parse(bytes: &[u8]) -> Result<Self, SnpFormatError> {
        let report: &[u8; REPORT_LEN] = bytes
            .try_into()
            .map_err(|_| SnpFormatError::Length(bytes.len()))?;
        let version = word(report, 0x00);
        if !(2..=5).contains(&version) {
            return Err(SnpFormatError::Version(version));
        }
        let algorithm = word(report, 0x34);
        if algorithm != ECDSA_P384_SHA384 {
            return Err(SnpFormatError::SignatureAlgorithm(algorithm));
        }
        let key_info = word(report, 0x48);
        Ok(Self {
            version,
            guest_svn: word(report, 0x04),
            policy: GuestPolicy::from_bits(long(report, 0x08)),
            family_id: field(report, 0x10),
            image_id: field(report, 0x20),
            vmpl: word(report, 0x30),
            current_tcb: field(report, 0x38),
            platform_info: PlatformInfo::from_bits(long(report, 0x40)),
            author_key_enabled: key_info & 1 != 0,
            chip_key_masked: key_info & 2 != 0,
            signing_key: signing_key(key_info)?,
            report_data: field(report, 0x50),
            measurement: field(report, 0x90),
            host_data: field(report, 0xC0),
            id_key_digest: field(report, 0xE0),
            author_key_digest: field(report, 0x110),
            report_id: field(report, 0x140),
            report_id_ma: field(report, 0x160),
            reported_tcb: field(report, 0x180),
            cpuid: (version >= 3).then(|| field(report, 0x188)),
            chip_id: field(report, 0x1A0),
            committed_tcb: field(report, 0x1E0),
            current_firmware: firmware(field(report, 0x1E8)),
            committed_firmware: firmware(field(report, 0x1EC)),
            launch_tcb: field(report, 0x1F0),
            mitigations: (version >= 5).then(|| [long(report, 0x1F8), long(report, 0x200)]),
            signature: field(report, SIGNED_LEN),
            signed: report[..SIGNED_LEN].to_vec(),
        })
    }

    /// The bytes the signature is over.
    pub fn signed_bytes(&self) -> &[u8] {
        &self.signed
    }

    /// The signature field: r and s, each 72 bytes little-endian, then reserved bytes.
    pub fn signature_field(&self) -> &[u8; 512] {
        &self.signature
    }

    /// The processor family, where the report itself tells: version 3 and later.
    pub fn product(&self) -> Option<Result<Product, [u8; 3]>> {
        self.cpuid
            .map(|cpuid| Product::from_cpuid(cpuid).ok_or(cpuid))
    }

    /// Whether the chip id is withheld (all zero).
    pub fn chip_id_is_masked(&self) -> bool {
        self.chip_id == [0; 64]
    }
}

fn signing_key(key_info: u32) -> Result<VekKind, SnpFormatError> {
    match (key_info >> 2) & 0b111 {
        0 => Ok(VekKind::Vcek),
        1 => Ok(VekKind::Vlek),
        other => Err(SnpFormatError::SigningKey(other as u8)),
    }
}

fn field<const N: usize>(report: &[u8; REPORT_LEN], offset: usize) -> [u8; N] {
    let mut out = [0; N];
    // Every offset used here is a constant of the layout, inside the fixed-size array.
    out.copy_from_slice(&report[offset..offset + N]);
    out
}

fn word(report: &[u8; REPORT_LEN], offset: usize) -> u32 {
    u32::from_le_bytes(field(report, offset))
}

fn long(report: &[u8; REPORT_LEN], offset: usize) -> u64 {
    u64::from_le_bytes(field(report, offset))
}

fn firmware([build, minor, major]: [u8; 3]) -> FirmwareVersion {
    FirmwareVersion {
        major,
        minor,
        build,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blank(version: u32) -> Vec<u8> {
        let mut report = vec![0; REPORT_LEN];
        report[..4].copy_from_slice(&version.to_le_bytes());
        report[0x34] = 1;
        report
    }

    #[test]
    fn only_whole_reports_of_known_versions_are_read() {
        for version in 2..=5 {
            assert_eq!(SnpReport::parse(&blank(version)).unwrap().version, version);
        }
        for version in [0, 1, 6, u32::MAX] {
            assert_eq!(
                SnpReport::parse(&blank(version)),
                Err(SnpFormatError::Version(version))
            );
        }
        for len in 0..REPORT_LEN {
            assert_eq!(
                SnpReport::parse(&blank(3)[..len]),
                Err(SnpFormatError::Length(len))
            );
        }
        let mut longer = blank(3);
        longer.push(0);
        assert_eq!(
            SnpReport::parse(&longer),
            Err(SnpFormatError::Length(REPORT_LEN + 1))
        );
    }

    #[test]
    fn unsigned_and_otherwise_signed_reports_are_refused() {
        let mut report = blank(3);
        report[0x48] = 7 << 2;
        assert_eq!(
            SnpReport::parse(&report),
            Err(SnpFormatError::SigningKey(7))
        );
        report[0x48] = 1 << 2;
        assert_eq!(
            SnpReport::parse(&report).unwrap().signing_key,
            VekKind::Vlek
        );
        report[0x34] = 2;
        assert_eq!(
            SnpReport::parse(&report),
            Err(SnpFormatError::SignatureAlgorithm(2))
        );
    }

    #[test]
    fn fields_exist_from_the_version_that_introduced_them() {
        assert_eq!(SnpReport::parse(&blank(2)).unwrap().cpuid, None);
        assert_eq!(SnpReport::parse(&blank(3)).unwrap().cpuid, Some([0; 3]));
        assert_eq!(SnpReport::parse(&blank(4)).unwrap().mitigations, None);
        assert_eq!(
            SnpReport::parse(&blank(5)).unwrap().mitigations,
            Some([0; 2])
        );
    }
}
