//! TDX quotes: fields and signatures as `tdx-quote` sees them and as we do.

use attest_core::tdx::decode;
use attest_core::{Appraiser, AttestationPolicy, Verdict};
use differential::subjects::{Quote, changed, quotes};
use differential::tdx::{Theirs, differences, judge};

/// What each of the signatures that `tdx-quote` checks while it parses is called in our verdicts.
const SIGNATURES: [&str; 2] = ["tdx.quote.signature", "tdx.qe.attestation_key"];

fn lenient() -> AttestationPolicy {
    AttestationPolicy::parse(
        "name = \"second opinion\"\n[tdx]\nmeasurements = \"any\"\nallow_debug = true\n\
         allow_service_td = true\n",
    )
    .expect("a policy")
}

fn ours(subject: &Quote, bytes: &[u8]) -> Verdict {
    Appraiser {
        roots: &subject.roots,
        policy: &lenient(),
        collateral: Some(&subject.collateral),
        now: subject.at,
    }
    .quote(bytes)
}

fn passed(verdict: &Verdict, id: &str) -> bool {
    verdict.passed(id.parse().expect(id))
}

fn failed(verdict: &Verdict, id: &str) -> bool {
    verdict.failures().any(|(failed, _)| failed.as_str() == id)
}

/// It hashes 696 bytes of every v5 quote, as if the body had no descriptor of six bytes before it
/// and were always that of TDX 1.5. Intel's header has the descriptor (`sgx_report2_body_v1_5` behind
/// type and size), and Intel's own signatures verify over it.
fn cannot_be_asked(subject: &Quote) -> bool {
    subject.bytes.first() == Some(&5)
}

#[test]
fn both_parse_quotes_alike_and_accept_their_signatures() {
    let mut compared = 0;
    for subject in quotes().expect("subjects") {
        let theirs = judge(&subject.bytes);
        let facts = decode(&subject.bytes)
            .expect("a quote")
            .expect("a TDX quote");
        let verdict = ours(&subject, &subject.bytes);
        for signature in SIGNATURES {
            assert!(
                !failed(&verdict, signature),
                "{}: {signature}",
                subject.name
            );
        }
        match theirs {
            Theirs::Signed(quote) => {
                assert_eq!(
                    differences(&facts.body, &quote),
                    [""; 0],
                    "{}",
                    subject.name
                );
                assert_eq!(facts.version, quote.header.version, "{}", subject.name);
                assert_eq!(
                    facts.header_user_data, quote.header.user_data,
                    "{}",
                    subject.name
                );
                compared += 1;
            }
            other => assert!(cannot_be_asked(&subject), "{}: {other:?}", subject.name),
        }
    }
    assert!(compared > 0);
}

/// The QE report's signature, by the key in the quote's own chain, is the third; for recorded quotes
/// they also walk that chain to Intel's root, which is built into them.
#[test]
fn both_accept_the_chain_of_a_genuine_quote() {
    for subject in quotes().expect("subjects") {
        if let Theirs::Signed(quote) = judge(&subject.bytes) {
            let theirs = quote.verify().is_ok();
            let recorded = subject.roots == attest_core::Roots::vendor();
            let verdict = ours(&subject, &subject.bytes);
            assert_eq!(theirs, recorded, "{}", subject.name);
            for check in ["tdx.pck.chain", "tdx.qe.report_signature"] {
                assert!(passed(&verdict, check), "{}: {check}", subject.name);
            }
        }
    }
}

/// Where they refuse, we do; where we accept, they do. They may accept more: they know no
/// collateral and look at less of the header.
#[test]
fn no_changed_quote_is_accepted_by_us_alone() {
    let (mut shown, mut both_refused, mut panicked) = (0, 0, 0);
    for subject in quotes().expect("subjects") {
        if cannot_be_asked(&subject) {
            continue;
        }
        for bytes in changed(&subject.bytes, 307, 16) {
            let verdict = ours(&subject, &bytes);
            let ours_hold = SIGNATURES.iter().all(|id| passed(&verdict, id));
            shown += 1;
            match judge(&bytes) {
                Theirs::Signed(quote) => {
                    // Read alike, if at all.
                    if let Ok(Some(facts)) = decode(&bytes) {
                        assert_eq!(
                            differences(&facts.body, &quote),
                            [""; 0],
                            "{}",
                            subject.name
                        );
                    }
                }
                Theirs::Refused(error) => {
                    both_refused += 1;
                    assert!(!ours_hold, "{}: {error}", subject.name);
                }
                Theirs::Panicked => {
                    panicked += 1;
                    assert!(!ours_hold, "{}: they panicked", subject.name);
                }
            }
        }
    }
    println!("{shown} changed quotes, {both_refused} refused by both, at {panicked} they panicked");
    // With recorded quotes or without them: a change of signed bytes is refused by both.
    assert!(both_refused > shown / 5, "{both_refused} of {shown}");
}
