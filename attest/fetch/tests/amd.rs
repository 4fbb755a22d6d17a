//! AMD's key distribution service, replayed for the software platform and for recorded reports.

mod replay;

use std::path::{Path, PathBuf};
use std::time::Duration;

use attest_core::snp::SnpFormatError;
use attest_core::{
    Appraiser, AttestationPolicy, Collateral, Decision, RootKind, Roots, SnpCollateral, UnixTime,
    to_base64, to_hex,
};
use attest_fetch::{AmdKds, CollateralSource, FetchError};
use replay::{Reply, serve};
use testkit::amd::MockAmd;
use testkit::amd::knobs::{EndorsementKey, Processor};

const NOW: u64 = 1_790_000_000;

fn pem(der: &[u8]) -> String {
    let encoded = to_base64(der);
    format!("-----BEGIN CERTIFICATE-----\n{encoded}\n-----END CERTIFICATE-----\n")
}

fn chain(amd: &MockAmd) -> Reply {
    Reply::Ok((pem(amd.ask()) + &pem(amd.ark())).into_bytes())
}

fn kds(base: &str) -> AmdKds {
    AmdKds::new(base)
        .expect("a base URL")
        .with_timeout(Duration::from_millis(500))
        .expect("a client")
}

/// The path of the chip's certificate, spelt here a second time, from the raw bytes.
fn vcek_path(amd: &MockAmd, report: &[u8], product: &str) -> String {
    let tcb = &report[0x180..0x188];
    if product == "Turin" {
        return format!(
            "/vcek/v1/Turin/{}?fmcSPL={}&blSPL={}&teeSPL={}&snpSPL={}&ucodeSPL={}",
            to_hex(&amd.chip_id()[..8]),
            tcb[0],
            tcb[1],
            tcb[2],
            tcb[3],
            tcb[7]
        );
    }
    format!(
        "/vcek/v1/{product}/{}?blSPL={}&teeSPL={}&snpSPL={}&ucodeSPL={}",
        to_hex(amd.chip_id()),
        tcb[0],
        tcb[1],
        tcb[6],
        tcb[7]
    )
}

fn published(amd: &MockAmd, report: &[u8], product: &str) -> Vec<(String, Vec<Reply>)> {
    vec![
        (
            vcek_path(amd, report, product),
            vec![Reply::Ok(amd.vek().to_vec())],
        ),
        (format!("/vcek/v1/{product}/cert_chain"), vec![chain(amd)]),
        (
            format!("/vcek/v1/{product}/crl"),
            vec![Reply::Ok(amd.crl())],
        ),
    ]
}

fn expected(amd: &MockAmd) -> SnpCollateral {
    SnpCollateral {
        vek: amd.vek().to_vec(),
        ask: amd.ask().to_vec(),
        crl: Some(amd.crl()),
    }
}

fn machine(processor: Processor) -> (MockAmd, Vec<u8>) {
    let amd = MockAmd::healthy(&[5; 32], processor, EndorsementKey::Vcek, NOW);
    let report = amd.report("guest", &[1; 64]);
    (amd, report)
}

#[tokio::test]
async fn fetches_a_chips_certificates_and_they_verify_its_report() {
    for (processor, product, root) in [
        (Processor::Milan, "Milan", RootKind::AmdMilan),
        (Processor::Genoa, "Genoa", RootKind::AmdGenoa),
        (Processor::Turin, "Turin", RootKind::AmdTurin),
    ] {
        let (amd, report) = machine(processor);
        let (base, _) = serve(published(&amd, &report, product)).await;
        let fetched = kds(&base).snp(&report, &[]).await.expect(product);
        // Signatures of the mock authorities are salted, so the list is another one each time.
        assert_eq!(
            (&fetched.vek, &fetched.ask),
            (&expected(&amd).vek, &expected(&amd).ask)
        );
        let verdict = Appraiser {
            roots: &Roots::none().with(root, amd.ark()).expect("a root"),
            policy: &AttestationPolicy::parse("name = \"any\"\n[snp]\nmeasurements = \"any\"\n")
                .expect("a policy"),
            collateral: Some(&Collateral::from(fetched)),
            now: UnixTime::from_secs(NOW),
        }
        .snp_report(&report, &[]);
        assert_eq!(verdict.decision(), Decision::Accepted, "{product}");
    }
}

#[tokio::test]
async fn reports_each_fault_with_the_name_of_the_part() {
    let (amd, report) = machine(Processor::Genoa);
    for (place, what) in ["chip certificate", "certificate chain", "revocation list"]
        .into_iter()
        .enumerate()
    {
        let whole = match &published(&amd, &report, "Genoa")[place].1[0] {
            Reply::Ok(body) => body.clone(),
            other => panic!("{other:?}"),
        };
        let cut = whole[..whole.len() / 3].to_vec();
        for (reply, error) in [
            (Reply::Status(404), FetchError::Status { what, status: 404 }),
            (Reply::Status(500), FetchError::Status { what, status: 500 }),
            (Reply::Status(302), FetchError::Status { what, status: 302 }),
            (Reply::Silence, FetchError::Timeout { what }),
            (
                Reply::BrokenOff(whole.clone()),
                FetchError::BrokenOff { what },
            ),
            (Reply::Ok(cut), FetchError::Malformed { what }),
            (Reply::Ok(b"{}".to_vec()), FetchError::Malformed { what }),
            (Reply::Ok(vec![]), FetchError::Malformed { what }),
            (Reply::Endless, FetchError::TooLarge { what }),
            (
                Reply::Typed("text/html; charset=utf-8", whole.clone()),
                FetchError::Page { what },
            ),
        ] {
            let mut replies = published(&amd, &report, "Genoa");
            replies[place].1 = vec![reply.clone()];
            let (base, _) = serve(replies).await;
            if what == "revocation list" {
                let (fetched, missing) =
                    kds(&base).fetch_available(&report, &[]).await.expect(what);
                assert_eq!(missing, Some(error));
                assert_eq!((fetched.vek, fetched.crl), (expected(&amd).vek, None));
                continue;
            }
            assert_eq!(kds(&base).snp(&report, &[]).await, Err(error), "{what}");
        }
    }
}

#[tokio::test]
async fn retries_after_429_if_retry_after_is_short() {
    let (amd, report) = machine(Processor::Genoa);
    let what = "chip certificate";
    let whole = Reply::Ok(amd.vek().to_vec());
    let mut replies = published(&amd, &report, "Genoa");
    replies[0].1 = vec![Reply::Later(Some("0")), Reply::Later(Some("1")), whole];
    let (base, asked) = serve(replies).await;
    let fetched = kds(&base).snp(&report, &[]).await.expect("the third time");
    assert_eq!(fetched.vek, amd.vek());
    assert_eq!(asked.lock().expect("no panic").len(), 5);

    for (after, attempts, seconds) in [("0", 3, 0), ("3600", 1, 3600)] {
        let mut replies = published(&amd, &report, "Genoa");
        replies[0].1 = vec![Reply::Later(Some(after))];
        let (base, asked) = serve(replies).await;
        let retry_after = Some(Duration::from_secs(seconds));
        assert_eq!(
            kds(&base).snp(&report, &[]).await,
            Err(FetchError::RateLimited { what, retry_after })
        );
        assert_eq!(asked.lock().expect("no panic").len(), attempts, "{after}");
    }
}

#[tokio::test]
async fn retries_server_errors_twice() {
    let (amd, report) = machine(Processor::Genoa);
    let whole = Reply::Ok(amd.vek().to_vec());
    for (reply, attempts) in [
        (Reply::Status(503), 3),
        (Reply::BrokenOff(amd.vek().to_vec()), 3),
        (Reply::Status(400), 1),
        (Reply::Silence, 1),
    ] {
        let mut replies = published(&amd, &report, "Genoa");
        replies[0].1 = vec![reply.clone()];
        let (base, asked) = serve(replies).await;
        assert!(kds(&base).snp(&report, &[]).await.is_err());
        assert_eq!(asked.lock().expect("no panic").len(), attempts, "{reply:?}");
    }
    let mut replies = published(&amd, &report, "Genoa");
    replies[0].1 = vec![Reply::Status(502), Reply::Status(504), whole];
    let (base, _) = serve(replies).await;
    let fetched = kds(&base).snp(&report, &[]).await.expect("the third time");
    assert_eq!(fetched.vek, amd.vek());
}

#[tokio::test]
async fn takes_a_vlek_from_the_certificate_table_and_its_issuer_from_the_service() {
    let amd = MockAmd::healthy(&[5; 32], Processor::Milan, EndorsementKey::Vlek, NOW);
    let report = amd.report("guest", &[1; 64]);
    let (base, asked) = serve(vec![
        ("/vlek/v1/Milan/cert_chain".to_owned(), vec![chain(&amd)]),
        ("/vlek/v1/Milan/crl".to_owned(), vec![Reply::Ok(amd.crl())]),
    ])
    .await;
    let fetched = kds(&base)
        .snp(&report, &amd.certificate_table())
        .await
        .expect("collateral");
    assert_eq!((&fetched.vek[..], &fetched.ask[..]), (amd.vek(), amd.ask()));
    assert_eq!(asked.lock().expect("no panic").len(), 2);
    assert_eq!(kds(&base).snp(&report, &[]).await, Err(FetchError::NoVlek));
}

#[tokio::test]
async fn sends_no_request_for_a_report_without_an_address() {
    // Nothing listens there; an attempt to connect would be another error.
    let unreachable = kds("http://127.0.0.1:9");
    assert_eq!(
        unreachable.snp(b"", &[]).await,
        Err(FetchError::Report(SnpFormatError::Length(0)))
    );
    let (_, mut report) = machine(Processor::Genoa);
    report[0x1A0..0x1E0].fill(0);
    assert_eq!(
        unreachable.snp(&report, &[]).await,
        Err(FetchError::ChipIdMasked)
    );
    assert_eq!(
        unreachable.tdx(b"").await,
        Err(FetchError::NotServed("Intel TDX"))
    );
}

fn vectors() -> Option<PathBuf> {
    let named = std::env::var_os("SEALGATE_VECTORS").map(PathBuf::from);
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors");
    Some(named.unwrap_or_else(beside)).filter(|path| path.join("index.json").is_file())
}

#[tokio::test]
async fn recorded_reports_of_each_version_find_their_recorded_certificates() {
    let Some(vectors) = vectors() else {
        println!("skipped: recorded SNP: recorded vectors not found (set SEALGATE_VECTORS)");
        return;
    };
    let read = |path: String| std::fs::read(vectors.join(path)).expect("a recording");
    // No revocation list of AMD's is on record; a bare SEQUENCE stands in.
    let crl = vec![0x30, 0];
    for (name, product) in [
        ("snp-v2-milan-virtee", "Milan"),
        ("snp-v3-genoa-vcek-ms", "Genoa"),
        ("snp-v5-siena-vcek-live", "Genoa"),
        ("snp-v5-turin-vcek-ms", "Turin"),
    ] {
        let report = read(format!("snp/{name}/report.bin"));
        let vek = read(format!("snp/{name}/vcek.der"));
        let line = product.to_ascii_lowercase();
        let ask = read(format!("snp/certs/{line}-ask.der"));
        let ark = read(format!("snp/certs/{line}-ark.der"));
        let (tcb, chip) = (&report[0x180..0x188], &report[0x1A0..0x1E0]);
        let vcek = if product == "Turin" {
            let [fmc, bl, tee, snp, .., ucode] = tcb else {
                panic!()
            };
            let chip = to_hex(&chip[..8]);
            format!("{chip}?fmcSPL={fmc}&blSPL={bl}&teeSPL={tee}&snpSPL={snp}&ucodeSPL={ucode}")
        } else {
            let [bl, tee, .., snp, ucode] = tcb else {
                panic!()
            };
            let chip = to_hex(chip);
            format!("{chip}?blSPL={bl}&teeSPL={tee}&snpSPL={snp}&ucodeSPL={ucode}")
        };
        let (base, _) = serve(vec![
            (
                format!("/vcek/v1/{product}/{vcek}"),
                vec![Reply::Ok(vek.clone())],
            ),
            (
                format!("/vcek/v1/{product}/cert_chain"),
                vec![Reply::Ok((pem(&ask) + &pem(&ark)).into_bytes())],
            ),
            (
                format!("/vcek/v1/{product}/crl"),
                vec![Reply::Ok(crl.clone())],
            ),
        ])
        .await;
        let fetched = kds(&base).snp(&report, &[]).await;
        let crl = Some(crl.clone());
        assert_eq!(fetched, Ok(SnpCollateral { vek, ask, crl }), "{name}");
    }
}
