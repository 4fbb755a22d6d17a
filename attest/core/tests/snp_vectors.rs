//! Recorded SEV-SNP reports: every case gives the verdict that other people's tools gave, by the step
//! they name; every fact is decoded as recorded; nothing cut or flipped passes.

mod recorded_devices;

use serde_json::{Value, json};

use attest_core::snp::{
    ChainError, EndorsementError, HclError, HclReport, Link, Product, REPORT_LEN,
    ReportSignatureError, SnpFormatError, SnpReport, Tcb, VekClaims, VekKind, VerifiedVek,
    check_hardware_id, check_key_kind, check_product, check_tcb, verify_chain, verify_signature,
};
use attest_core::x509::SignedObjectError;
use attest_core::{UnixTime, to_hex};
use recorded_devices::{BIT_STEP, Vector, recorded};

/// The step that refuses, with its cause.
#[derive(Debug, PartialEq)]
enum Refused {
    Chain(ChainError),
    Signature(ReportSignatureError),
    Endorsement(EndorsementError),
    DebugAllowed,
}

struct Chain {
    vek: Vec<u8>,
    ask: Vec<u8>,
    product: Product,
}

impl Chain {
    fn of(vector: &Vector) -> Option<Self> {
        Some(Self {
            vek: vector.file("vek")?,
            ask: vector.required("ask"),
            product: product(vector.text("generation")?),
        })
    }

    fn verify(&self, now: UnixTime) -> Result<VerifiedVek, ChainError> {
        verify_chain(&self.vek, &self.ask, root(self.product), self.product, now)
    }
}

fn product(name: &str) -> Product {
    Product::ALL
        .into_iter()
        .find(|product| product.as_str() == name)
        .expect("a product of the index")
}

/// AMD's own root, not the one recorded beside the evidence.
fn root(product: Product) -> &'static [u8] {
    match product {
        Product::Milan => include_bytes!("../src/roots/amd-ark-milan.der"),
        Product::Genoa => include_bytes!("../src/roots/amd-ark-genoa.der"),
        Product::Turin => include_bytes!("../src/roots/amd-ark-turin.der"),
    }
}

fn judge(report: &SnpReport, chain: &Chain, now: UnixTime) -> Result<(), Refused> {
    let vek = chain.verify(now).map_err(Refused::Chain)?;
    verify_signature(report, &vek).map_err(Refused::Signature)?;
    check_key_kind(report, &vek).map_err(Refused::Endorsement)?;
    check_product(report, &vek).map_err(Refused::Endorsement)?;
    check_hardware_id(report, &vek).map_err(Refused::Endorsement)?;
    check_tcb(report, &vek).map_err(Refused::Endorsement)?;
    if report.policy.debug_allowed() {
        return Err(Refused::DebugAllowed);
    }
    Ok(())
}

/// The refusal that the recorded reason describes.
fn refusal(reason: &str) -> Refused {
    if reason.starts_with("fabricated VCEK") {
        let (link, error) = (Link::Vek, SignedObjectError::Signature);
        return Refused::Chain(ChainError::Signature { link, error });
    }
    assert!(reason.contains("allows debug"), "{reason}");
    Refused::DebugAllowed
}

#[test]
fn every_recorded_case_has_its_recorded_verdict() {
    let Some(vectors) = recorded("snp-") else {
        return;
    };
    for vector in &vectors {
        let report = SnpReport::parse(&vector.required("evidence")).expect("a report");
        let chain = Chain::of(vector);
        assert_eq!(chain.is_some(), vector.complete_collateral, "{}", vector.id);
        for case in &vector.cases {
            let expected = match case.expected.verdict.as_str() {
                "valid-signature" => Ok(()),
                "reject" => Err(refusal(case.reason())),
                other => {
                    assert_eq!(other, "parse-only", "{}", vector.id);
                    continue;
                }
            };
            let chain = chain.as_ref().expect("a case to judge has its chain");
            let ours = judge(&report, chain, case.at());
            assert_eq!(ours, expected, "{}", vector.id);
            println!("{}: {:?}", vector.id, case.expected.verdict);
        }
    }
}

#[test]
fn every_recorded_fact_is_decoded() {
    let Some(vectors) = recorded("snp-") else {
        return;
    };
    for vector in &vectors {
        let report = SnpReport::parse(&vector.required("evidence")).expect("a report");
        let line = vector.text("generation").or(vector.text("product"));
        let decoded = decoded(&report, product(line.expect("a product")));
        for (name, recorded) in vector.facts.as_object().expect("facts") {
            if let Some(decoded) = decoded.get(name) {
                assert_eq!(decoded, recorded, "{}: {name}", vector.id);
            } else {
                let others = ["vek_", "generation", "product", "from_hcl", "sig"];
                assert!(
                    others.iter().any(|known| name.starts_with(known)),
                    "{}: {name} is not compared",
                    vector.id
                );
            }
        }
    }
}

/// Under the names of the index.
fn decoded(report: &SnpReport, product: Product) -> Value {
    let mut facts = json!({
        "version": report.version,
        "guest_svn": report.guest_svn,
        "policy": report.policy.bits(),
        "family_id": to_hex(&report.family_id),
        "image_id": to_hex(&report.image_id),
        "vmpl": report.vmpl,
        "current_tcb": to_hex(&report.current_tcb),
        "plat_info": report.platform_info.bits(),
        "signing_key": report.signing_key.as_str(),
        "mask_chip_key": report.chip_key_masked,
        "author_key_en": report.author_key_enabled,
        "report_data": to_hex(&report.report_data),
        "measurement": to_hex(&report.measurement),
        "host_data": to_hex(&report.host_data),
        "id_key_digest": to_hex(&report.id_key_digest),
        "author_key_digest": to_hex(&report.author_key_digest),
        "report_id": to_hex(&report.report_id),
        "report_id_ma": to_hex(&report.report_id_ma),
        "reported_tcb": to_hex(&report.reported_tcb),
        "chip_id": to_hex(&report.chip_id),
        "committed_tcb": to_hex(&report.committed_tcb),
        "current_build": report.current_firmware.build,
        "current_minor": report.current_firmware.minor,
        "current_major": report.current_firmware.major,
        "launch_tcb": to_hex(&report.launch_tcb),
        "debug_allowed": report.policy.debug_allowed(),
        "migrate_ma": report.policy.migration_agent_allowed(),
        "smt_allowed": report.policy.smt_allowed(),
        "reported_tcb_fields": components(Tcb::decode(report.reported_tcb, product).unwrap()),
    });
    let members = facts.as_object_mut().expect("an object");
    if let Some([family, model, stepping]) = report.cpuid {
        members.insert("cpuid_fam".to_owned(), family.into());
        members.insert("cpuid_mod".to_owned(), model.into());
        members.insert("cpuid_step".to_owned(), stepping.into());
        assert_eq!(report.product(), Some(Ok(product)));
    }
    if let Some([launch, current]) = report.mitigations {
        members.insert("launch_mit_vector".to_owned(), launch.into());
        members.insert("current_mit_vector".to_owned(), current.into());
    }
    facts
}

fn components(tcb: Tcb) -> Value {
    tcb.components()
        .map(|(component, version)| (component.as_str().to_owned(), Value::from(version)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

#[test]
fn certificates_say_what_was_recorded_for_as_long_as_was_recorded() {
    let Some(vectors) = recorded("snp-") else {
        return;
    };
    for vector in &vectors {
        let Some(chain) = Chain::of(vector) else {
            continue;
        };
        let extensions = &vector.facts["vek_extensions"];
        if !extensions.is_object() {
            assert_eq!(extensions, "fabricated: see expected");
            continue;
        }
        let claims = VekClaims::parse(&chain.vek).expect("claims");
        assert_eq!(Some(claims.kind.as_str()), vector.text("vek_kind"));
        assert_eq!(claims.product, chain.product);
        for (component, recorded) in [
            ("fmc", "fmc"),
            ("bootloader", "bl"),
            ("tee", "tee"),
            ("snp", "snp"),
            ("microcode", "ucode"),
        ] {
            let ours = components(claims.tcb);
            assert_eq!(ours[component], extensions[recorded], "{}", vector.id);
        }
        let hwid = claims.hwid.as_deref().map(to_hex);
        assert_eq!(hwid.as_deref(), extensions["hwid"].as_str());
        assert_eq!(claims.csp_id.as_deref(), extensions["csp_id"].as_str());
        assert_eq!(claims.kind == VekKind::Vlek, claims.csp_id.is_some());

        let validity = &vector.facts["vek_validity"];
        let date = |place: usize| UnixTime::parse_rfc3339(validity[place].as_str().unwrap());
        let (not_before, not_after) = (date(0).unwrap(), date(1).unwrap());
        let verified = chain.verify(not_before).expect("from its first second");
        assert_eq!(verified.claims(), &claims);
        assert_eq!(verified.valid_until(), not_after);
        assert_eq!(chain.verify(not_after).as_ref(), Ok(&verified));
        let link = Link::Vek;
        assert_eq!(
            chain.verify(UnixTime::from_secs(not_after.secs() + 1)),
            Err(ChainError::Expired { link, not_after })
        );
        assert_eq!(
            chain.verify(UnixTime::from_secs(not_before.secs() - 1)),
            Err(ChainError::NotYetValid { link, not_before })
        );
    }
}

#[test]
fn each_report_is_refused_under_every_other_recorded_chain() {
    let Some(vectors) = recorded("snp-") else {
        return;
    };
    for vector in &vectors {
        let report = SnpReport::parse(&vector.required("evidence")).expect("a report");
        for other in vectors.iter().filter(|other| other.id != vector.id) {
            let Some(chain) = Chain::of(other) else {
                continue;
            };
            // One report was recorded three times, twice with fabricated certificates.
            let shared = other.required("evidence") == vector.required("evidence");
            let Ok(vek) = chain.verify(other.cases[0].at()) else {
                continue;
            };
            if !shared {
                assert_eq!(
                    verify_signature(&report, &vek),
                    Err(ReportSignatureError::Signature),
                    "{} under {}",
                    vector.id,
                    other.id
                );
            }
        }
    }
}

#[test]
fn azures_wrapping_holds_the_report_and_the_claims_it_commits_to() {
    let Some(vectors) = recorded("snp-") else {
        return;
    };
    let mut found = 0;
    for vector in &vectors {
        assert_eq!(
            vector.facts["from_hcl"],
            vector.kind.ends_with("-hcl"),
            "{}",
            vector.id
        );
        let Some(blob) = hcl_blob(vector) else {
            continue;
        };
        found += 1;
        let hcl = HclReport::parse(&blob).expect("an HCL report");
        let report = SnpReport::parse(&vector.required("evidence")).unwrap();
        assert_eq!(hcl.report, report);
        let claims: Value = serde_json::from_slice(&hcl.claims).expect("JSON");
        assert!(claims["keys"].is_array(), "{}", vector.id);

        let claims_end = 0x20 + REPORT_LEN + 20 + hcl.claims.len();
        for len in 0..claims_end {
            let refused = HclReport::parse(&blob[..len]).expect_err("cut short");
            assert!(
                matches!(refused, HclError::NotHcl | HclError::Truncated),
                "{len}"
            );
        }
        for byte in claims_end - hcl.claims.len()..claims_end {
            let mut edited = blob.clone();
            edited[byte] ^= 1;
            assert_eq!(HclReport::parse(&edited), Err(HclError::Claims));
        }
    }
    assert_eq!(found, 2);
}

/// The blob as recorded, or inside the JSON evidence of a vTPM attester.
fn hcl_blob(vector: &Vector) -> Option<Vec<u8>> {
    if let Some(blob) = vector.file("hcl-report.bin") {
        return Some(blob);
    }
    let evidence: Value = serde_json::from_slice(&vector.file("evidence.json")?).expect("JSON");
    let bytes = evidence["report"].as_array().expect("an array of bytes");
    let byte = |value: &Value| u8::try_from(value.as_u64().expect("a number")).expect("a byte");
    Some(bytes.iter().map(byte).collect())
}

#[test]
fn nothing_cut_short_is_read() {
    let Some(vectors) = recorded("snp-") else {
        return;
    };
    for vector in &vectors {
        let report = vector.required("evidence");
        for len in 0..report.len() {
            let refused = SnpReport::parse(&report[..len]);
            assert_eq!(refused, Err(SnpFormatError::Length(len)));
        }
        let Some(chain) = Chain::of(vector) else {
            continue;
        };
        let now = vector.cases[0].at();
        for (link, whole) in [(Link::Vek, &chain.vek), (Link::Ask, &chain.ask)] {
            for len in 0..whole.len() {
                let (vek, ask) = match link {
                    Link::Vek => (&whole[..len], chain.ask.as_slice()),
                    _ => (chain.vek.as_slice(), &whole[..len]),
                };
                let refused = verify_chain(vek, ask, root(chain.product), chain.product, now);
                assert!(
                    matches!(refused, Err(ChainError::Format { link: named, .. }) if named == link),
                    "{}: {len}",
                    vector.id
                );
            }
        }
    }
}

#[test]
fn any_flipped_bit_of_a_report_or_its_signature_is_refused() {
    let Some(vectors) = recorded("snp-report-v3") else {
        return;
    };
    let vector = vectors
        .iter()
        .find(|vector| vector.id == "snp-v3-genoa-vcek-ms")
        .expect("recorded");
    let vek = Chain::of(vector).unwrap().verify(vector.cases[0].at());
    let vek = vek.expect("a good chain");
    let report = vector.required("evidence");
    let mut flipped = 0;
    for bit in (0..8 * report.len()).step_by(BIT_STEP) {
        let mut bent = report.clone();
        bent[bit / 8] ^= 1 << (bit % 8);
        let passed =
            SnpReport::parse(&bent).is_ok_and(|report| verify_signature(&report, &vek).is_ok());
        assert!(!passed, "bit {bit}");
        flipped += 1;
    }
    println!(
        "{flipped} of {} bits flipped, all refused",
        8 * report.len()
    );
}
