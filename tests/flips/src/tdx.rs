//! TDX quotes: everything before the certificates, and the certificates below the root.

use attest_core::{
    Appraiser, AttestationPolicy, Collateral, Decision, ReportData, Roots, UnixTime,
};
use vendors::{TdMeasurements, Vendors};

use crate::{NOW, SEED, Subject, pem};

/// What a quote is judged by, so that a flip has only the signatures against it.
#[derive(Clone)]
pub struct Ground {
    pub roots: Roots,
    pub policy: AttestationPolicy,
    pub collateral: Collateral,
    pub now: UnixTime,
}

impl Ground {
    pub fn accepts(&self, quote: &[u8]) -> bool {
        self.accepts_with(quote, &self.collateral)
    }

    pub fn accepts_with(&self, quote: &[u8], collateral: &Collateral) -> bool {
        Appraiser {
            roots: &self.roots,
            policy: &self.policy,
            collateral: Some(collateral),
            now: self.now,
        }
        .quote(quote)
        .decision()
            == Decision::Accepted
    }
}

/// Accepts every measurement and status.
pub fn lenient() -> AttestationPolicy {
    AttestationPolicy::parse(
        "name = \"flips\"\n[tdx]\nmeasurements = \"any\"\nallow_debug = true\n\
         allow_service_td = true\ntcb_statuses = [\"UpToDate\", \"SWHardeningNeeded\", \
         \"ConfigurationNeeded\", \"ConfigurationAndSWHardeningNeeded\", \"OutOfDate\", \
         \"OutOfDateConfigurationNeeded\"]\n",
    )
    .expect("a policy")
}

pub fn software() -> (Vec<u8>, Ground) {
    let platform = Vendors::from_seed(&SEED, NOW);
    let data = ReportData::observed([0x3c; 64]);
    let quote = platform.quote(&TdMeasurements::named("flips"), &data);
    let ground = Ground {
        roots: platform.roots(),
        policy: lenient(),
        collateral: platform.collateral(),
        now: NOW,
    };
    (quote, ground)
}

pub fn subjects() -> Vec<Subject> {
    let make = || software();
    of_quote("TDX quote, software", "", make)
}

/// The parts of a quote. `make` is asked once for each.
pub fn of_quote(
    kind: &'static str,
    name: &str,
    make: impl Fn() -> (Vec<u8>, Ground),
) -> Vec<Subject> {
    let (quote, ground) = make();
    let Some(chain_at) = find(&quote, b"-----BEGIN CERTIFICATE-----") else {
        return Vec::new();
    };
    let rest = quote[chain_at..].to_vec();
    let before = Subject::new(
        kind,
        format!("{name}header, body, signatures, QE report"),
        quote[..chain_at].to_vec(),
        move |bytes| ground.accepts(&[bytes, &rest].concat()),
    );
    let mut subjects = vec![before];
    let end = find_last(&quote, b"-----END CERTIFICATE-----").unwrap_or(quote.len());
    let chain = String::from_utf8_lossy(&quote[chain_at..end + 25]).into_owned();
    let certificates = pem::certificates(&chain);
    let below_root = certificates.len().saturating_sub(1);
    for (place, der) in certificates.into_iter().enumerate().take(below_root) {
        let (quote, ground) = make();
        let chain = chain.clone();
        let part = format!("{name}PCK chain, certificate {place}");
        subjects.push(Subject::new(kind, part, der, move |der| {
            let written = pem::with_certificate(&chain, place, der);
            let after = &quote[chain_at + chain.len()..];
            ground.accepts(&[&quote[..chain_at], written.as_bytes(), after].concat())
        }));
    }
    subjects
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|it| it == what)
}

fn find_last(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).rposition(|it| it == what)
}
