//! What is kept of a platform and its collateral between verifications: signatures, and nothing that
//! a time, a list or a policy decides.

use attest_core::{
    Appraiser, AttestationPolicy, Collateral, Decision, EndorsementCache, ReportData, Roots,
    UnixTime, Verdict,
};
use vendors::intel::knobs::{CertificateForm, Dates, Knobs, ListForm, Revoked, Signer};
use vendors::{TdMeasurements, Vendors};

const NOW: UnixTime = UnixTime::from_secs(1_790_000_000);
const DAY: u64 = 86_400;

fn bent(bend: impl FnOnce(&mut Knobs)) -> Vendors {
    let mut knobs = Knobs::default();
    bend(&mut knobs);
    Vendors::with_knobs(&[7; 32], NOW, knobs)
}

fn quote(platform: &Vendors) -> Vec<u8> {
    platform.quote(&TdMeasurements::named("td"), &ReportData::observed([9; 64]))
}

struct Judge {
    roots: Roots,
    policy: AttestationPolicy,
    known: EndorsementCache,
}

impl Judge {
    fn of(platform: &Vendors) -> Self {
        Self {
            roots: platform.roots(),
            policy: AttestationPolicy::parse("name = \"any\"\n[tdx]\nmeasurements = \"any\"\n")
                .expect("a policy"),
            known: EndorsementCache::default(),
        }
    }

    fn judge(&mut self, quote: &[u8], collateral: &Collateral, now: UnixTime) -> Verdict {
        let appraiser = Appraiser {
            roots: &self.roots,
            policy: &self.policy,
            collateral: Some(collateral),
            now,
        };
        let warm = appraiser.quote_with_cache(quote, &mut self.known);
        assert_eq!(warm.to_json(), appraiser.quote(quote).to_json());
        warm
    }
}

fn failures(verdict: &Verdict) -> Vec<&'static str> {
    verdict.failures().map(|(id, _)| id.as_str()).collect()
}

#[test]
fn a_cached_platform_gets_the_same_verdict() {
    let platform = bent(|_| {});
    let mut judge = Judge::of(&platform);
    let (quote, collateral) = (quote(&platform), platform.collateral());
    let cold = judge.judge(&quote, &collateral, NOW);
    assert_eq!(cold.decision(), Decision::Accepted, "{cold}");
    assert_eq!(judge.known.len(), 2);
    let warm = judge.judge(&quote, &collateral, NOW);
    assert_eq!(cold.to_json(), warm.to_json());
    // Its two new signatures are checked.
    for at in [636, 770 + 384] {
        let mut flipped = quote.clone();
        flipped[at] ^= 1;
        let refused = judge.judge(&flipped, &collateral, NOW);
        assert_eq!(refused.decision(), Decision::Rejected);
    }
    assert_eq!(judge.known.len(), 2);
}

#[test]
fn cached_results_expire_with_their_dates() {
    let platform = bent(|_| {});
    let mut judge = Judge::of(&platform);
    let (quote, collateral) = (quote(&platform), platform.collateral());
    judge.judge(&quote, &collateral, NOW);
    let at = |secs| UnixTime::from_secs(secs);
    for outside in [NOW.secs() + 31 * DAY, NOW.secs() - 3 * DAY] {
        let refused = judge.judge(&quote, &collateral, at(outside));
        assert_eq!(failures(&refused), ["tdx.collateral.dates"]);
    }
    let inside = judge.judge(&quote, &collateral, at(NOW.secs() + 7 * DAY));
    assert_eq!(inside.decision(), Decision::Accepted);
}

#[test]
fn rejects_a_cached_platform_that_a_newer_list_revokes() {
    let platform = bent(|_| {});
    let mut judge = Judge::of(&platform);
    let quote = quote(&platform);
    judge.judge(&quote, &platform.collateral(), NOW);
    for revoked in [
        Revoked::PckCertificate,
        Revoked::PlatformCa,
        Revoked::TcbSigning,
        Revoked::Root,
    ] {
        let newer = bent(|knobs| knobs.revoked = revoked);
        let refused = judge.judge(&quote, &newer.collateral(), NOW);
        assert_eq!(failures(&refused), ["tdx.crl"], "{revoked:?}");
        let again = judge.judge(&quote, &newer.collateral(), NOW);
        assert_eq!(refused.to_json(), again.to_json());
    }
}

#[test]
fn cached_results_hold_for_one_root_only() {
    let platform = bent(|_| {});
    let mut judge = Judge::of(&platform);
    let (quote, collateral) = (quote(&platform), platform.collateral());
    judge.judge(&quote, &collateral, NOW);
    judge.roots = Vendors::from_seed(&[8; 32], NOW).roots();
    let refused = judge.judge(&quote, &collateral, NOW);
    assert_eq!(refused.decision(), Decision::Rejected);
}

#[test]
fn rejected_platforms_are_not_cached() {
    type Bend = fn(&mut Knobs);
    let bends: [(usize, Bend); 6] = [
        (0, |k| k.tcb_info_signer = Signer::Impostor),
        (0, |k| k.qe_identity_signer = Signer::Impostor),
        (0, |k| k.lists = ListForm::PckListForged),
        (0, |k| k.tcb_info_dates = Dates::Expired),
        // The collateral is authentic, and the platform's certificate is not.
        (1, |k| k.certificates = CertificateForm::PckUnderRoot),
        (1, |k| k.certificates = CertificateForm::PckWithTwoFmspcs),
    ];
    for (kept, bend) in bends {
        let platform = bent(bend);
        let mut judge = Judge::of(&platform);
        let quote = quote(&platform);
        for _ in 0..2 {
            let refused = judge.judge(&quote, &platform.collateral(), NOW);
            assert_eq!(refused.decision(), Decision::Rejected);
            assert_eq!(judge.known.len(), kept);
        }
    }
}
