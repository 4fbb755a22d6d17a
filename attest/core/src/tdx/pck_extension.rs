//! The SGX extension of a PCK certificate: which machine it is, and how current when certified.
//!
//! Intel SGX PCK Certificate and CRL Profile Specification 1.5, section 1.3.5. Every entry has its
//! one length and stands there once; an entry that the specification does not have is refused.

use crate::x509::StrictCertificate as Certificate;
use crate::x509::der::{
    BOOLEAN, ENUMERATED, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, only, take,
};

/// 1.2.840.113741.1.13.1; what stands behind it in other identifiers names the entry.
const OID: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF8, 0x4D, 0x01, 0x0D, 0x01];

/// Why a certificate's SGX extension was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PckExtensionError {
    /// The certificate has no SGX extension, or more than one.
    #[error("it has no SGX extension, or more than one")]
    Absent,
    /// Not the structure that Intel specifies.
    #[error("its SGX extension cannot be read")]
    Malformed,
    /// An entry that Intel does not specify.
    #[error("its SGX extension has an unknown entry")]
    Unknown,
    /// An entry that is not there.
    #[error("its SGX extension has no {0}")]
    Missing(&'static str),
    /// An entry that is there twice.
    #[error("its SGX extension has two entries for {0}")]
    Duplicate(&'static str),
    /// An entry of another type or length than Intel specifies.
    #[error("the {0} in its SGX extension has another type or length")]
    Value(&'static str),
}

/// What Intel certified of a platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PckExtension {
    pub(crate) ppid: [u8; 16],
    /// Security versions of the sixteen components, which TCB levels are matched by.
    pub(crate) components: [u8; 16],
    pub(crate) pcesvn: u16,
    /// The CPU's own form of the components.
    pub(crate) cpusvn: [u8; 16],
    pub(crate) pce_id: [u8; 2],
    pub(crate) fmspc: [u8; 6],
}

impl PckExtension {
    pub(crate) fn from_certificate(
        certificate: &Certificate<'_>,
    ) -> Result<Self, PckExtensionError> {
        let mut found = certificate.extensions.iter().filter(|it| it.oid == OID);
        let (Some(extension), None) = (found.next(), found.next()) else {
            return Err(PckExtensionError::Absent);
        };
        Self::parse(extension.value)
    }

    fn parse(der: &[u8]) -> Result<Self, PckExtensionError> {
        let top = Entries::read(der, &[], 7, |arc| match arc {
            1 => "PPID",
            2 => "TCB",
            3 => "PCE id",
            4 => "FMSPC",
            5 => "SGX type",
            6 => "platform instance id",
            _ => "configuration",
        })?;
        let tcb = top.required(2)?;
        let (components, pcesvn, cpusvn) = tcb_of(tcb)?;
        // Standard, scalable, scalable with integrity.
        match top.required(5)?.content(ENUMERATED)? {
            [0..=2] => {}
            _ => return Err(PckExtensionError::Value("SGX type")),
        }
        if let Some(instance) = top.optional(6) {
            instance.octets::<16>()?;
        }
        if let Some(configuration) = top.optional(7) {
            configuration_of(configuration)?;
        }
        Ok(Self {
            ppid: top.required(1)?.octets()?,
            components,
            pcesvn,
            cpusvn,
            pce_id: top.required(3)?.octets()?,
            fmspc: top.required(4)?.octets()?,
        })
    }
}

/// Sixteen components, the PCE's version, and the CPU's form of the components.
fn tcb_of(tcb: &Entry<'_>) -> Result<([u8; 16], u16, [u8; 16]), PckExtensionError> {
    let entries = Entries::read(tcb.value, &[2], 18, |arc| match arc {
        17 => "PCE SVN",
        18 => "CPU SVN",
        _ => "TCB component",
    })?;
    let mut components = [0; 16];
    for (arc, component) in (1..).zip(&mut components) {
        let entry = entries.required(arc)?;
        *component =
            u8::try_from(entry.number()?).map_err(|_| PckExtensionError::Value(entry.name))?;
    }
    let pcesvn = entries.required(17)?.number()?;
    Ok((components, pcesvn, entries.required(18)?.octets()?))
}

fn configuration_of(configuration: &Entry<'_>) -> Result<(), PckExtensionError> {
    let entries = Entries::read(configuration.value, &[7], 3, |arc| match arc {
        1 => "dynamic platform",
        2 => "cached keys",
        _ => "multithreading",
    })?;
    for arc in [1, 2, 3] {
        if let Some(entry) = entries.optional(arc) {
            // DER has one spelling of each (X.690, 11.1).
            match entry.content(BOOLEAN)? {
                [0x00 | 0xFF] => {}
                _ => return Err(PckExtensionError::Value(entry.name)),
            }
        }
    }
    Ok(())
}

struct Entry<'a> {
    arc: u8,
    name: &'static str,
    /// With its header.
    value: &'a [u8],
}

impl<'a> Entry<'a> {
    fn content(&self, tag: u8) -> Result<&'a [u8], PckExtensionError> {
        let value = only(self.value, tag).ok_or(PckExtensionError::Value(self.name))?;
        Ok(value.content)
    }

    fn octets<const N: usize>(&self) -> Result<[u8; N], PckExtensionError> {
        let octets = self.content(OCTET_STRING)?;
        <[u8; N]>::try_from(octets).map_err(|_| PckExtensionError::Value(self.name))
    }

    /// A non-negative INTEGER of at most two bytes, in its shortest form.
    fn number(&self) -> Result<u16, PckExtensionError> {
        match *self.content(INTEGER)? {
            [low @ 0..=0x7F] | [0, low @ 0x80..=0xFF] => Ok(u16::from(low)),
            [high @ 1..=0x7F, low] | [0, high @ 0x80..=0xFF, low] => {
                Ok(u16::from_be_bytes([high, low]))
            }
            _ => Err(PckExtensionError::Value(self.name)),
        }
    }
}

/// The entries of one SEQUENCE, each by the last arc of its identifier.
struct Entries<'a> {
    found: Vec<Entry<'a>>,
    name: fn(u8) -> &'static str,
}

impl<'a> Entries<'a> {
    /// Reads entries whose identifiers are the extension's, `below` and one of the arcs up to `last`.
    fn read(
        der: &'a [u8],
        below: &[u8],
        last: u8,
        name: fn(u8) -> &'static str,
    ) -> Result<Self, PckExtensionError> {
        let mut entries = Self {
            found: Vec::new(),
            name,
        };
        let sequence = only(der, SEQUENCE).ok_or(PckExtensionError::Malformed)?;
        let mut rest = sequence.content;
        while !rest.is_empty() {
            let entry = take(&mut rest, SEQUENCE).ok_or(PckExtensionError::Malformed)?;
            let mut value = entry.content;
            let oid = take(&mut value, OBJECT_IDENTIFIER).ok_or(PckExtensionError::Malformed)?;
            let arcs = oid.content.strip_prefix(OID);
            let arc = match arcs.and_then(|arcs| arcs.strip_prefix(below)) {
                Some([arc]) if (1..=last).contains(arc) => *arc,
                _ => return Err(PckExtensionError::Unknown),
            };
            if entries.optional(arc).is_some() {
                return Err(PckExtensionError::Duplicate(name(arc)));
            }
            entries.found.push(Entry {
                arc,
                name: name(arc),
                value,
            });
        }
        Ok(entries)
    }

    fn optional(&self, arc: u8) -> Option<&Entry<'a>> {
        self.found.iter().find(|entry| entry.arc == arc)
    }

    fn required(&self, arc: u8) -> Result<&Entry<'a>, PckExtensionError> {
        self.optional(arc)
            .ok_or_else(|| PckExtensionError::Missing((self.name)(arc)))
    }
}
