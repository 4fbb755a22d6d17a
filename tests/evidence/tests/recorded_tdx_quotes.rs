//! Recorded Intel quotes: their verdicts, and what becomes of them when anything is changed.

use std::path::Path;

use attest_core::tdx::QuoteFormatError;
use attest_core::{
    Appraiser, AttestationPolicy, Cause, CheckId, Collateral, Decision, Outcome, RootKind, Roots,
    UnixTime, Verdict, Why,
};
use evidence::index::{Index, TdxCase, Vector};
use evidence::{tdx, vectors_or_skip};

fn any_measurement() -> AttestationPolicy {
    AttestationPolicy::parse("name = \"any\"\n[tdx]\nmeasurements = \"any\"\n").expect("a policy")
}

/// A recording that is accepted, with one of its cases.
struct Recording {
    vector: Vector,
    case: TdxCase,
    quote: Vec<u8>,
    collateral: Collateral,
}

fn recording(vectors: &Path, id: &str) -> Recording {
    let index = Index::read(vectors).expect("the index");
    let vector = index
        .vectors
        .into_iter()
        .find(|vector| vector.id == id)
        .expect(id);
    let case = vector.tdx_cases().expect("cases").remove(0);
    Recording {
        quote: vector.evidence(vectors).expect("the recording"),
        collateral: tdx::collateral(vectors, &case).expect("collateral"),
        vector,
        case,
    }
}

impl Recording {
    fn judge(&self, quote: &[u8], collateral: Option<&Collateral>) -> Verdict {
        Appraiser {
            roots: &Roots::vendor(),
            policy: &any_measurement(),
            collateral,
            now: UnixTime::parse_rfc3339(&self.case.at).expect("at"),
        }
        .quote(quote)
    }

    /// The length of the quote without what follows it.
    fn len(&self) -> usize {
        let trailing = &self.vector.facts["trailing_bytes_after_signature"];
        self.quote.len() - trailing.as_u64().expect("a count") as usize
    }
}

#[test]
fn every_recorded_quote_gets_its_recorded_verdict() {
    let Some(vectors) = vectors_or_skip("verdicts of recorded TDX quotes") else {
        return;
    };
    let rows = tdx::run(&vectors).expect("the recordings can be read");
    assert!(!rows.is_empty());
    for row in rows {
        assert_eq!(
            row.differences,
            Vec::<String>::new(),
            "{} at {}",
            row.id,
            row.at
        );
    }
}

#[test]
fn rejects_a_quote_truncated_at_any_length_as_malformed() {
    let Some(vectors) = vectors_or_skip("truncation of recorded TDX quotes") else {
        return;
    };
    for id in ["tdx-v4-phala-b0c06f", "tdx-v5-google-90c06f"] {
        let recording = recording(&vectors, id);
        for len in 0..recording.len() {
            let cut = recording.quote.get(..len).expect("shorter");
            let verdict = recording.judge(cut, Some(&recording.collateral));
            assert_eq!(verdict.decision(), Decision::Malformed, "{id} cut to {len}");
            let (check, cause) = verdict.failures().next().expect("a failure");
            assert_eq!(check, CheckId::TdxQuoteFormat);
            assert!(
                matches!(
                    cause,
                    Cause::QuoteMalformed(QuoteFormatError::TooShort { .. })
                ),
                "{id} cut to {len}: {cause:?}"
            );
        }
        let whole = recording.quote.get(..recording.len()).expect("whole");
        let verdict = recording.judge(whole, Some(&recording.collateral));
        assert_eq!(verdict.decision(), Decision::Accepted, "{verdict}");
    }
}

#[test]
fn a_flipped_bit_is_rejected_or_changes_no_used_field() {
    let Some(vectors) = vectors_or_skip("bit flips in recorded TDX quotes") else {
        return;
    };
    for id in ["tdx-v4-phala-b0c06f", "tdx-v5-google-90c06f"] {
        let recording = recording(&vectors, id);
        // A sample: every 61st byte, the bit going round.
        for at in (0..recording.len()).step_by(61) {
            let mut flipped = recording.quote.clone();
            *flipped.get_mut(at).expect("inside") ^= 1 << (at % 8);
            let verdict = recording.judge(&flipped, Some(&recording.collateral));
            // Inside the PCK chain's PEM some bits do not matter to its meaning: base64 padding,
            // line ends, and the root, which is replaced by the one we trust.
            if verdict.decision() == Decision::Accepted {
                let same = verdict.facts().tdx.as_ref().expect("facts").body
                    == recording
                        .judge(&recording.quote, Some(&recording.collateral))
                        .facts()
                        .tdx
                        .as_ref()
                        .expect("facts")
                        .body;
                assert!(same, "{id} byte {at}");
                assert!(
                    at > 1_200,
                    "{id} byte {at} is not part of a certificate's text"
                );
            }
        }
    }
}

#[test]
fn trailing_bytes_after_a_quote_are_reported_and_not_parsed() {
    let Some(vectors) = vectors_or_skip("bytes after recorded TDX quotes") else {
        return;
    };
    let recording = recording(&vectors, "tdx-v4-phala-b0c06f");
    let mut longer = recording
        .quote
        .get(..recording.len())
        .expect("whole")
        .to_vec();
    longer.extend_from_slice(b"anything");
    let verdict = recording.judge(&longer, Some(&recording.collateral));
    assert_eq!(verdict.decision(), Decision::Accepted);
    let trailing = verdict.facts().tdx.as_ref().expect("facts").trailing;
    assert_eq!((trailing.count, trailing.all_zero), (8, false));

    for (allowed, bytes, accepted) in [
        ("zero", &b"\0\0"[..], true),
        ("zero", b"x", false),
        ("none", b"", true),
        ("none", b"\0", false),
    ] {
        let text = format!(
            "name = \"t\"\n[tdx]\nmeasurements = \"any\"\ntrailing_bytes = \"{allowed}\"\n"
        );
        let mut quote = recording
            .quote
            .get(..recording.len())
            .expect("whole")
            .to_vec();
        quote.extend_from_slice(bytes);
        let verdict = Appraiser {
            roots: &Roots::vendor(),
            policy: &AttestationPolicy::parse(&text).expect("a policy"),
            collateral: Some(&recording.collateral),
            now: UnixTime::parse_rfc3339(&recording.case.at).expect("at"),
        }
        .quote(&quote);
        let failed = if accepted {
            vec![]
        } else {
            vec!["tdx.quote.trailing_bytes"]
        };
        assert_eq!(
            evidence::row::failures(&verdict),
            failed,
            "{allowed} {bytes:?}"
        );
    }
}

#[test]
fn without_collateral_nothing_is_accepted_and_every_check_has_its_reason() {
    let Some(vectors) = vectors_or_skip("recorded TDX quotes without collateral") else {
        return;
    };
    let recording = recording(&vectors, "tdx-v4-phala-b0c06f");
    for collateral in [None, Some(&Collateral::default())] {
        let verdict = recording.judge(&recording.quote, collateral);
        assert_eq!(verdict.decision(), Decision::Rejected);
        assert_eq!(evidence::row::failures(&verdict), Vec::<&str>::new());
        let signature = verdict.check(CheckId::TdxQuoteSignature).expect("a check");
        assert!(signature.required);
        assert_eq!(signature.outcome, Outcome::NotEvaluated(Why::NoCollateral));
    }
}

#[test]
fn each_corrupted_part_of_the_collateral_fails_its_own_check() {
    let Some(vectors) = vectors_or_skip("recorded TDX quotes with spoilt collateral") else {
        return;
    };
    let recording = recording(&vectors, "tdx-v4-phala-b0c06f");
    let good = recording.collateral.tdx.clone().expect("TDX collateral");
    type Spoil = fn(&mut attest_core::TdxCollateral);
    let cases: [(&str, Spoil); 12] = [
        ("tdx.tcb_info.signature", |c| c.tcb_info_signature[5] ^= 1),
        ("tdx.tcb_info.signature", |c| c.tcb_info.push(' ')),
        ("tdx.qe_identity.signature", |c| {
            c.qe_identity_signature[5] ^= 1
        }),
        ("tdx.qe_identity.signature", |c| c.qe_identity.push(' ')),
        ("tdx.crl", |c| {
            let last = c.root_ca_crl.len() - 1;
            c.root_ca_crl[last] ^= 1;
        }),
        ("tdx.crl", |c| {
            let last = c.pck_crl.len() - 1;
            c.pck_crl[last] ^= 1;
        }),
        ("tdx.crl", |c| c.pck_crl = c.root_ca_crl.clone()),
        ("tdx.tcb_info.signature", |c| {
            c.tcb_info_issuer_chain = c.pck_crl_issuer_chain.clone();
        }),
        ("tdx.qe_identity.signature", |c| {
            c.qe_identity_issuer_chain = c.pck_crl_issuer_chain.clone();
        }),
        ("tdx.collateral.format", |c| c.tcb_info.truncate(40)),
        ("tdx.collateral.format", |c| c.pck_crl.truncate(40)),
        ("tdx.collateral.format", |c| {
            c.qe_identity_issuer_chain.clear()
        }),
    ];
    for (index, (check, spoil)) in cases.into_iter().enumerate() {
        let mut spoilt = good.clone();
        spoil(&mut spoilt);
        let verdict = recording.judge(&recording.quote, Some(&spoilt.into()));
        assert_eq!(evidence::row::failures(&verdict), [check], "case {index}");
        assert_eq!(verdict.decision(), Decision::Rejected, "case {index}");
    }
}

#[test]
fn rejects_collateral_of_another_platform() {
    let Some(vectors) = vectors_or_skip("recorded TDX quotes with others' collateral") else {
        return;
    };
    // Both bundles are valid at this time; each is about another family of machines.
    let phala = recording(&vectors, "tdx-v5-google-90c06f");
    let gcp = recording(&vectors, "tdx-v4-gcp-00806f");
    let at = UnixTime::parse_rfc3339("2026-02-20T00:00:00Z").expect("a time");
    for (quote, collateral, accepted) in [
        (&phala.quote, &phala.collateral, true),
        (&gcp.quote, &gcp.collateral, true),
        (&phala.quote, &gcp.collateral, false),
        (&gcp.quote, &phala.collateral, false),
    ] {
        let verdict = Appraiser {
            roots: &Roots::vendor(),
            policy: &any_measurement(),
            collateral: Some(collateral),
            now: at,
        }
        .quote(quote);
        if accepted {
            assert_eq!(verdict.decision(), Decision::Accepted);
        } else {
            let failed: Vec<_> = verdict.failures().collect();
            assert!(
                matches!(
                    failed[..],
                    [(CheckId::TdxTcbLevel, Cause::CollateralForOtherPlatform(_))]
                ),
                "{failed:?}"
            );
        }
    }
}

#[test]
fn the_example_policy_accepts_only_the_quote_it_was_made_from() {
    let Some(vectors) = vectors_or_skip("the example policy on recorded TDX quotes") else {
        return;
    };
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../policies/attestation/example-pinned.toml");
    let policy = AttestationPolicy::parse(&std::fs::read_to_string(path).expect("the policy"))
        .expect("a policy");
    for (id, failed) in [
        ("tdx-v5-google-90c06f", vec![]),
        (
            "tdx-v4-dstack-eventlog",
            vec![
                "tdx.measurement.mrtd",
                "tdx.measurement.rtmr0",
                "tdx.measurement.rtmr1",
                "tdx.measurement.rtmr2",
                "tdx.measurement.rtmr3",
            ],
        ),
    ] {
        let recording = recording(&vectors, id);
        let verdict = Appraiser {
            roots: &Roots::vendor(),
            policy: &policy,
            collateral: Some(&recording.collateral),
            now: UnixTime::parse_rfc3339(&recording.case.at).expect("at"),
        }
        .quote(&recording.quote);
        assert_eq!(evidence::row::failures(&verdict), failed, "{id}");
    }
}

#[test]
fn supplied_roots_are_reported_as_supplied_even_if_equal_to_the_vendors() {
    let Some(vectors) = vectors_or_skip("recorded TDX quotes under supplied roots") else {
        return;
    };
    let recording = recording(&vectors, "tdx-v4-phala-b0c06f");
    let collateral = recording.collateral.tdx.as_ref().expect("TDX collateral");
    // The last certificate of the chain is Intel's root itself.
    let root = collateral
        .tcb_info_issuer_chain
        .rfind("-----BEGIN")
        .expect("PEM");
    let root = collateral
        .tcb_info_issuer_chain
        .get(root..)
        .expect("PEM")
        .trim_end_matches('\0');
    let roots = Roots::supplied(root.as_bytes()).expect("a root");
    assert_eq!(
        roots.fingerprint(RootKind::Intel),
        Roots::vendor().fingerprint(RootKind::Intel)
    );
    let verdict = Appraiser {
        roots: &roots,
        policy: &any_measurement(),
        collateral: Some(&recording.collateral),
        now: UnixTime::parse_rfc3339(&recording.case.at).expect("at"),
    }
    .quote(&recording.quote);
    assert_eq!(verdict.decision(), Decision::Accepted);
    assert_eq!(verdict.to_json()["roots"], "supplied");
    assert!(verdict.to_string().contains("SUPPLIED"), "{verdict}");
}
