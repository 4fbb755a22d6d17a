//! QEMU's models of AMD processors: the digest covers family, model and stepping, which the
//! first save areas contain in `RDX` as CPUID 1 returns them in `EAX` (AMD publication 25481).

/// A processor model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Processor {
    family: u32,
    model: u32,
    stepping: u32,
}

/// QEMU's names without the version: `EPYC-Milan-v2` measures like `EPYC-Milan`.
const MODELS: [(&str, Processor); 5] = [
    ("EPYC", Processor::new(23, 1, 2)),
    ("EPYC-Rome", Processor::new(23, 49, 0)),
    ("EPYC-Milan", Processor::new(25, 1, 1)),
    ("EPYC-Genoa", Processor::new(25, 17, 0)),
    ("EPYC-Turin", Processor::new(26, 0, 0)),
];

impl Processor {
    /// By family, model and stepping.
    pub const fn new(family: u32, model: u32, stepping: u32) -> Self {
        Self {
            family,
            model,
            stepping,
        }
    }

    /// By QEMU's name (`-cpu`), with or without its version.
    ///
    /// ```
    /// use attest_measure::snp::Processor;
    /// assert_eq!(Processor::named("EPYC-Milan-v2"), Processor::named("EPYC-Milan"));
    /// assert_eq!(Processor::named("Skylake-Server"), None);
    /// ```
    pub fn named(name: &str) -> Option<Self> {
        let base = match name.rsplit_once("-v") {
            Some((base, version)) if version.parse::<u8>().is_ok() => base,
            _ => name.strip_suffix("-IBPB").unwrap_or(name),
        };
        let (_, processor) = MODELS.iter().find(|(this, _)| *this == base)?;
        Some(*processor)
    }

    /// CPUID function 1, `EAX`.
    pub const fn signature(self) -> u32 {
        let (base, extended) = if self.family > 0xF {
            (0xF, (self.family - 0xF) & 0xFF)
        } else {
            (self.family, 0)
        };
        extended << 20
            | (self.model >> 4 & 0xF) << 16
            | base << 8
            | (self.model & 0xF) << 4
            | self.stepping & 0xF
    }
}
