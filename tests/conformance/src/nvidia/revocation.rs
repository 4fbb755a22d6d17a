//! OCSP answers about the certificates of a device.

use attest_core::NvidiaCollateral;
use vendors::nvidia::knobs::{Dates, Signer};
use vendors::nvidia::ocsp::{OcspKnobs, Responder, Status};
use vendors::nvidia::{Chip, MockNvidia};

use super::{Made, made};
use crate::kit::{Kit, accepted, missing, rejected};
use crate::{NOW, SEED};

const REQUIRED: &str = "name = \"revocation\"\n[nvidia]\nrims = \"optional\"\nocsp = \"required\"\nocsp_max_age = \"48h\"\n";
const OPTIONAL: &str = "name = \"revocation\"\n[nvidia]\nrims = \"optional\"\nocsp = \"optional\"\nocsp_max_age = \"48h\"\n";

/// Good answers about every certificate but leaf and root; the one at `bent` is made by `knobs`.
fn answers(bent: usize, knobs: &OcspKnobs) -> NvidiaCollateral {
    let nvidia = MockNvidia::new(&SEED, NOW.secs());
    let device = nvidia.healthy(Chip::Hopper, "conformance");
    let good = OcspKnobs::good(None);
    let of = |place| nvidia.ocsp(&device, place, if place == bent { knobs } else { &good });
    NvidiaCollateral {
        rims: vec![],
        ocsp: (1..4).map(of).collect(),
    }
}

pub(super) fn add(kit: &mut Kit) {
    type Bend = fn(&mut OcspKnobs);
    let nothing: Bend = |_| {};
    let bent: [(&str, Bend, bool, bool); 10] = [
        ("good", nothing, true, true),
        ("revoked", |k| k.status = Status::Revoked, false, false),
        ("on-hold", |k| k.status = Status::OnHold, false, false),
        ("unknown", |k| k.status = Status::Unknown, false, false),
        ("stale", |k| k.dates = Dates::Expired, false, false),
        ("early", |k| k.dates = Dates::NotYetValid, false, false),
        // What was not said by the issuer's responder about this certificate is no answer.
        ("forged", |k| k.signer = Signer::Impostor, false, true),
        (
            "responder-forged",
            |k| k.responder = Responder::Forged,
            false,
            true,
        ),
        (
            "responder-for-something-else",
            |k| k.responder = Responder::WithoutPurpose,
            false,
            true,
        ),
        (
            "about-another",
            |k| k.another_certificate = true,
            false,
            true,
        ),
    ];
    for (policy, which, suffix) in [(REQUIRED, 0, ""), (OPTIONAL, 1, "-optional")] {
        for (name, bend, required, optional) in bent {
            let mut knobs = OcspKnobs::good(None);
            bend(&mut knobs);
            let good = [required, optional][which];
            let expected = match good {
                true => accepted(),
                false => rejected(&["nvidia.ocsp"]),
            };
            Made {
                answers: answers(2, &knobs).ocsp,
                policy: policy.into(),
                ..made()
            }
            .add(
                kit,
                &format!("ocsp-{name}{suffix}"),
                "an answer about the identity certificate's issuer",
                expected,
            );
        }
    }
    Made {
        policy: REQUIRED.into(),
        ..made()
    }
    .add(
        kit,
        "ocsp-nothing",
        "no answers where they are required",
        missing(&["nvidia.ocsp"]),
    );
    Made {
        answers: answers(1, &OcspKnobs::good(None)).ocsp.split_off(1),
        policy: REQUIRED.into(),
        ..made()
    }
    .add(
        kit,
        "ocsp-one-short",
        "no answer about one of the certificates",
        rejected(&["nvidia.ocsp"]),
    );
}
