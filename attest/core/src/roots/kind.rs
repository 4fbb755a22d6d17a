//! The kinds of roots: which vendor's root verifies which evidence.

/// A kind of evidence, by the root it must lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RootKind {
    /// Quotes of Intel TDX.
    Intel,
    /// SEV-SNP reports of Milan processors.
    AmdMilan,
    /// SEV-SNP reports of Genoa, Bergamo and Siena processors.
    AmdGenoa,
    /// SEV-SNP reports of Turin processors.
    AmdTurin,
    /// Measurement reports of NVIDIA GPUs and switches.
    NvidiaDevice,
    /// NVIDIA's reference integrity manifests.
    NvidiaRim,
}

impl RootKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Intel,
        Self::AmdMilan,
        Self::AmdGenoa,
        Self::AmdTurin,
        Self::NvidiaDevice,
        Self::NvidiaRim,
    ];

    /// The name of the file that holds it in a directory of roots.
    ///
    /// ```
    /// assert_eq!(attest_core::RootKind::AmdMilan.file_name(), "amd-ark-milan.pem");
    /// ```
    pub const fn file_name(self) -> &'static str {
        match self {
            Self::Intel => "intel-root.pem",
            Self::AmdMilan => "amd-ark-milan.pem",
            Self::AmdGenoa => "amd-ark-genoa.pem",
            Self::AmdTurin => "amd-ark-turin.pem",
            Self::NvidiaDevice => "nvidia-device-root.pem",
            Self::NvidiaRim => "nvidia-rim-root.pem",
        }
    }

    /// The file's name without its ending: what programs call this kind.
    pub fn file_stem(self) -> &'static str {
        self.file_name().trim_end_matches(".pem")
    }

    pub(super) const fn vendor_der(self) -> &'static [u8] {
        match self {
            Self::Intel => include_bytes!("intel-sgx-root-ca.der"),
            Self::AmdMilan => include_bytes!("amd-ark-milan.der"),
            Self::AmdGenoa => include_bytes!("amd-ark-genoa.der"),
            Self::AmdTurin => include_bytes!("amd-ark-turin.der"),
            Self::NvidiaDevice => include_bytes!("nvidia-device-identity-ca.der"),
            Self::NvidiaRim => include_bytes!("nvidia-corim-root-ca.der"),
        }
    }

    /// Its place in [`RootKind::ALL`].
    pub(super) const fn place(self) -> usize {
        self as usize
    }
}
