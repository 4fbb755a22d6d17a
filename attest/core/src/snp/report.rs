//! The attestation report an SNP guest gets from the AMD secure processor, parsed.
//!
//! Layout: "SEV Secure Nested Paging Firmware ABI Specification" (AMD publication 56860),
//! table `ATTESTATION_REPORT`, versions 2, 3, 4 and 5. 1184 bytes, little-endian; bytes
//! `0x000..0x2A0` are signed. Parsing proves nothing about who wrote the bytes. Refused: other
//! lengths, other versions, another signature algorithm than ECDSA P-384 with SHA-384, and
//! values where the specification demands zero in the signing-key field.

use super::{GuestPolicy, PlatformInfo, Product};
use crate::reader::{EndsInside, Reader};

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

impl From<EndsInside> for SnpFormatError {
    fn from(EndsInside { len, .. }: EndsInside) -> Self {
        Self::Length(len)
    }
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
        if bytes.len() != REPORT_LEN {
            return Err(SnpFormatError::Length(bytes.len()));
        }
        let mut signature = Reader::new(bytes);
        let signed = signature.bytes("signed part", SIGNED_LEN)?;
        let mut fields = Reader::new(signed);
        let version = fields.u32("version")?;
        if !(2..=5).contains(&version) {
            return Err(SnpFormatError::Version(version));
        }
        let guest_svn = fields.u32("guest SVN")?;
        let policy = GuestPolicy::from_bits(fields.u64("policy")?);
        let family_id = *fields.array("family id")?;
        let image_id = *fields.array("image id")?;
        let vmpl = fields.u32("VMPL")?;
        let algorithm = fields.u32("signature algorithm")?;
        if algorithm != ECDSA_P384_SHA384 {
            return Err(SnpFormatError::SignatureAlgorithm(algorithm));
        }
        let current_tcb = *fields.array("current TCB")?;
        let platform_info = PlatformInfo::from_bits(fields.u64("platform info")?);
        let key_info = fields.u32("key info")?;
        fields.bytes("reserved", 4)?;
        // Rust evaluates the fields in the order in which they are written: that of the layout.
        Ok(Self {
            version,
            guest_svn,
            policy,
            family_id,
            image_id,
            vmpl,
            current_tcb,
            platform_info,
            author_key_enabled: key_info & 1 != 0,
            chip_key_masked: key_info & 2 != 0,
            signing_key: signing_key(key_info)?,
            report_data: *fields.array("report data")?,
            measurement: *fields.array("measurement")?,
            host_data: *fields.array("host data")?,
            id_key_digest: *fields.array("id key digest")?,
            author_key_digest: *fields.array("author key digest")?,
            report_id: *fields.array("report id")?,
            report_id_ma: *fields.array("migration agent's report id")?,
            reported_tcb: *fields.array("reported TCB")?,
            cpuid: Some(cpuid(&mut fields)?).filter(|_| version >= 3),
            chip_id: *fields.array("chip id")?,
            committed_tcb: *fields.array("committed TCB")?,
            current_firmware: firmware(&mut fields)?,
            committed_firmware: firmware(&mut fields)?,
            launch_tcb: *fields.array("launch TCB")?,
            mitigations: Some(mitigations(&mut fields)?).filter(|_| version >= 5),
            signature: *signature.array("signature")?,
            signed: signed.to_vec(),
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

/// With the reserved bytes that follow it.
fn cpuid(fields: &mut Reader<'_>) -> Result<[u8; 3], EndsInside> {
    let [family, model, stepping] = *fields.array("CPUID")?;
    fields.bytes("reserved", 21)?;
    Ok([family, model, stepping])
}

/// With the reserved byte that follows it.
fn firmware(fields: &mut Reader<'_>) -> Result<FirmwareVersion, EndsInside> {
    let [build, minor, major, _reserved] = *fields.array("firmware version")?;
    Ok(FirmwareVersion {
        major,
        minor,
        build,
    })
}

fn mitigations(fields: &mut Reader<'_>) -> Result<[u64; 2], EndsInside> {
    Ok([
        fields.u64("mitigations at launch")?,
        fields.u64("current mitigations")?,
    ])
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
