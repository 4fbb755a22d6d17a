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

    /// SHA-256 of the vendor's root compiled into this crate, in hexadecimal.
    pub const fn vendor_sha256(self) -> &'static str {
        match self {
            Self::Intel => "44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3",
            Self::AmdMilan => "69d063b45344d26a2e94e1f4210de49ef555308287d4c174445c95639a540bcd",
            Self::AmdGenoa => "4c6598d19c18719c5dfd4a7d335f674e5bfe1d8f800cea2cf270c10d103db2f1",
            Self::AmdTurin => "1f084161a44bb6d93778a904877d4819cafa5d05ef4193b2ded9dd9c73dd3f6a",
            Self::NvidiaDevice => {
                "102bf659d5419614c9d8e6aecebc80454eb26b1df6a769ac720b9a690b167b48"
            }
            Self::NvidiaRim => "12977b5115acb0381179279fffeb5a8c4d264971ebb32298023a465fa41df5d1",
        }
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
