//! What whole appraisals are made by: the software platform's roots, one time, one nonce, and
//! policies with as few conditions as possible, so that as much as possible is parsed.

use std::sync::LazyLock;

use attest_core::{Appraiser, AttestationPolicy, Collateral, RootKind, Roots, UnixTime};

/// The time at which the seeds' platforms stand.
pub const NOW: UnixTime = UnixTime::from_secs(1_790_000_000);
/// What the software platforms of the seeds follow from.
pub const SEED: [u8; 32] = [5; 32];
/// What the seeds' reports answer.
pub const NONCE: [u8; 32] = [6; 32];
/// The key of the channel that they came over.
pub const SPKI: [u8; 32] = [4; 32];

/// The software platform's roots, DER. They vouch for no hardware.
pub const ROOTS: [(RootKind, &[u8]); 5] = [
    (
        RootKind::Intel,
        include_bytes!("../roots/testonly-intel.der"),
    ),
    (
        RootKind::AmdMilan,
        include_bytes!("../roots/testonly-milan.der"),
    ),
    (
        RootKind::AmdTurin,
        include_bytes!("../roots/testonly-turin.der"),
    ),
    (
        RootKind::NvidiaDevice,
        include_bytes!("../roots/testonly-nvidia-device.der"),
    ),
    (
        RootKind::NvidiaRim,
        include_bytes!("../roots/testonly-nvidia-rim.der"),
    ),
];

const POLICY: &str = "name = \"fuzz\"
[tdx]
measurements = \"any\"
allow_debug = true
allow_service_td = true
tcb_statuses = [\"UpToDate\", \"SWHardeningNeeded\", \"ConfigurationNeeded\", \"ConfigurationAndSWHardeningNeeded\", \"OutOfDate\", \"OutOfDateConfigurationNeeded\"]
[snp]
measurements = \"any\"
keys = [\"VCEK\", \"VLEK\"]
max_vmpl = 3
allow_migration_agent = true
allow_debug = true
[event_log]
registers = [\"rtmr3\"]
[nvidia]
rims = \"optional\"
ocsp = \"optional\"
";

static SUPPLIED: LazyLock<Roots> = LazyLock::new(|| {
    ROOTS.iter().fold(Roots::none(), |roots, (kind, der)| {
        roots
            .with(*kind, der)
            .expect("the software platform's roots are authorities")
    })
});

static LENIENT: LazyLock<AttestationPolicy> =
    LazyLock::new(|| AttestationPolicy::parse(POLICY).expect("this policy is well formed"));

/// One of [`ROOTS`].
pub(crate) fn root(kind: RootKind) -> &'static [u8] {
    let found = ROOTS.iter().find(|(this, _)| *this == kind);
    found.map_or(&[], |(_, der)| der)
}

pub(crate) fn appraiser(collateral: Option<&Collateral>) -> Appraiser<'_> {
    Appraiser {
        roots: &SUPPLIED,
        policy: &LENIENT,
        collateral,
        now: NOW,
    }
}
