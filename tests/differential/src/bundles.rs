//! Verifies changed bundles of quote and collateral with our code and with `dcap-qvl`, and compares the results.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use fuzz::bundle::Bundles;
use fuzz_targets::NOW;

use crate::dcap::{Relation, judge, ours, relate};

/// A way in which answers may differ, and why.
pub struct Explained {
    /// How the difference begins.
    pub begins: &'static str,
    pub why: &'static str,
}

/// The table of `README.md`, in its order.
pub const EXPLAINED: &[Explained] = &[
    explained(
        "only we refuse: tdx.collateral.format: CollateralMalformed(Chain",
        "an issuer chain is signer or authority and root, and nothing else",
    ),
    explained(
        "only we refuse: tdx.collateral.format: CollateralMalformed(TcbInfo",
        "TCB info has to be what Intel specifies: version 3, type 0, each member of its type and length, \
         each level once, statuses of Intel's",
    ),
    explained(
        "only we refuse: tdx.collateral.format: CollateralMalformed(QeIdentity",
        "so has QE identity, of version 2",
    ),
    explained(
        "only we refuse: tdx.collateral.format: CollateralMalformed(RevocationList",
        "a complete list has a number, its authority's key id, and no critical extension",
    ),
    explained(
        "only we refuse: tdx.collateral.dates: Collateral",
        "a revocation list is not valid before its thisUpdate, nor outside the dates of its issuer \
         chain; they check neither",
    ),
    explained(
        "only we refuse: tdx.crl: RevocationList",
        "the PCK revocation list's own issuer chain leads to the root, and is that of the PCK \
         certificate's authority; they do not check it",
    ),
    explained(
        "only we refuse: tdx.crl: CertificateRevoked",
        "its authority is on the root's list; they do not check it",
    ),
    explained(
        "only we refuse: tdx.pck.chain: CertificateChain(Pem",
        "nothing but certificates stands in a chain",
    ),
    explained(
        "only we refuse: tdx.pck.chain: CertificateChain(Length",
        "a chain has three certificates",
    ),
    explained(
        "only we refuse: tdx.pck.chain: CertificateChain(OtherRoot",
        "the last of which is the root",
    ),
    explained(
        "only we refuse: tdx.pck.chain: CertificateChain(Certificate",
        "a certificate has its subject, authority flag, key usage and SGX extension as Intel specifies",
    ),
    explained(
        "only we refuse: tdx.tcb_info.signature: CertificateChain(",
        "so has the signer's, under the root itself",
    ),
    explained(
        "only we refuse: tdx.qe_identity.signature: CertificateChain(",
        "so has the signer's, under the root itself",
    ),
    explained(
        "only we refuse: tdx.qe.identity: QeIdentity(",
        "a stated bit outside its mask agrees with no report (Intel's 4.1.2.9.5 and 4.1.2.9.6)",
    ),
    explained(
        "only we refuse: tdx.tcb.level: CollateralForOtherPlatform(PceId",
        "TCB info is about one PCE id (Intel's 4.1.2.4.10)",
    ),
    explained(
        "only we refuse: tdx.tcb.level: NoTcbLevel",
        "levels are matched by the certified components (PCS v4), not by the CPU SVN beside them",
    ),
    explained(
        "only we refuse: tdx.tcb.status: TcbStatus(Revoked",
        "the same",
    ),
    explained(
        "only they refuse: Invalid QE auth data length",
        "authentication data may be of any length; they know 32 bytes",
    ),
    explained(
        "only they refuse: Failed to parse PCK certificate: BadDer",
        "content of an extension that we do not read, such as the address of a list; Intel signed it",
    ),
    explained(
        "only they refuse: Failed to parse TCB Info leaf certificate: BadDer",
        "the same",
    ),
    explained(
        "only they refuse: Failed to parse QE Identity leaf certificate: BadDer",
        "the same",
    ),
    explained(
        "only they refuse: Failed to verify certificate chain: BadDer",
        "the same",
    ),
    explained(
        "only they refuse: Failed to decode certificate: malformed OID",
        "an identifier whose first arc they do not know, in a name or extension that we do not read",
    ),
    explained(
        "differ: certified components and CPU SVN are different",
        "levels are matched by the certified components (PCS v4)",
    ),
    explained(
        "differ: the quoting enclave's status is folded",
        "a quoting enclave that is neither up to date nor revoked is out of date (Intel's 4.1.2.9.10)",
    ),
];

const fn explained(begins: &'static str, why: &'static str) -> Explained {
    Explained { begins, why }
}

/// How often each relation was met, and first at which bundle.
#[derive(Default)]
pub struct Compared(BTreeMap<Relation, (usize, u64)>);

pub fn compare(numbers: Range<u64>) -> Compared {
    let bundles = Bundles::default();
    let roots = bundles.roots();
    let mut compared = Compared::default();
    for number in numbers {
        let bundle = bundles.make(number);
        let (quote, collateral) = (&bundle.quote, &bundle.collateral);
        let theirs = judge(quote, collateral, bundles.root_der(), NOW);
        let relation = relate(&ours(quote, collateral, &roots, NOW), &theirs);
        let seen = compared.0.entry(relation).or_insert((0, number));
        seen.0 += 1;
    }
    compared
}

impl Relation {
    fn difference(&self) -> Option<String> {
        match self {
            Self::Alike | Self::BothRefuse => None,
            Self::OnlyWeRefuse(what) => Some(format!("only we refuse: {what}")),
            Self::OnlyTheyRefuse(what) => Some(format!("only they refuse: {what}")),
            Self::Differ(what) => Some(format!("differ: {what}")),
        }
    }

    fn is_explained(&self) -> bool {
        self.difference()
            .is_none_or(|it| EXPLAINED.iter().any(|known| it.starts_with(known.begins)))
    }
}

impl Compared {
    pub fn count(&self, wanted: &Relation) -> usize {
        self.0.get(wanted).map_or(0, |(count, _)| *count)
    }

    pub fn unexplained(&self) -> impl Iterator<Item = String> {
        let unexplained = self
            .0
            .iter()
            .filter(|(relation, _)| !relation.is_explained());
        unexplained.map(|(relation, (count, first))| {
            let difference = relation.difference().unwrap_or_default();
            format!("{difference} ({count} times, first at {first})")
        })
    }
}

impl fmt::Display for Compared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total: usize = self.0.values().map(|(count, _)| count).sum();
        let alike = self.count(&Relation::Alike);
        let refused = self.count(&Relation::BothRefuse);
        writeln!(
            f,
            "{total} bundles: {alike} verified alike, {refused} refused by both"
        )?;
        for (relation, (count, first)) in &self.0 {
            if let Some(difference) = relation.difference() {
                let mark = if relation.is_explained() { ' ' } else { '!' };
                writeln!(f, "{mark}{count:>7}  {difference} (first at {first})")?;
            }
        }
        Ok(())
    }
}
