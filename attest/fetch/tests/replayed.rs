//! Collateral replayed by a local service: the software platform's, and recorded ones if
//! the vectors are installed. Each fault of a part is reported with the name of that part.

mod served;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::PrivateKeyDer;
use tokio::net::TcpListener;

use attest_core::tdx::{self, QuoteFormatError};
use attest_core::{
    Appraiser, AttestationPolicy, Collateral, Decision, ReportData, TdxCollateral, UnixTime,
    to_base64, to_hex,
};
use attest_fetch::{CertificateProblem, CollateralSource, FetchError, INTEL_PCS, IntelPcs};
use served::{Fault, PCK_CRL, QE_IDENTITY, ROOT_CRL, Service, tcb_path};
use testkit::{SoftwarePlatform, TdMeasurements};

const NOW: UnixTime = UnixTime::from_secs(1_790_000_000);

struct Recorded {
    quote: Vec<u8>,
    collateral: TdxCollateral,
    fmspc: String,
}

fn fmspc_of(quote: &[u8]) -> String {
    let facts = tdx::decode(quote).expect("a quote").expect("a TDX quote");
    to_hex(&facts.platform.expect("a PCK certificate").fmspc)
}

fn platform() -> SoftwarePlatform {
    SoftwarePlatform::from_seed(&[3; 32], NOW)
}

fn software() -> Recorded {
    let quote = platform().quote(
        &TdMeasurements::named("enclave"),
        &ReportData::observed([1; 64]),
    );
    let collateral = platform().collateral().tdx.expect("TDX collateral");
    Recorded {
        fmspc: fmspc_of(&quote),
        quote,
        collateral,
    }
}

fn tcb_info() -> String {
    tcb_path(&software().fmspc)
}

async fn fetch(service: Service, quote: &[u8]) -> Result<TdxCollateral, FetchError> {
    IntelPcs::new(&service.serve().await)
        .expect("a base URL")
        .with_timeout(Duration::from_millis(500))
        .expect("a client")
        .tdx(quote)
        .await
}

#[tokio::test]
async fn fetches_collateral_byte_for_byte_and_it_verifies() {
    let recorded = software();
    let service = Service::of(&recorded.collateral, &recorded.fmspc);
    let fetched = fetch(service, &recorded.quote).await;
    assert_eq!(fetched.as_ref(), Ok(&recorded.collateral));
    let verdict = Appraiser {
        roots: &platform().roots(),
        policy: &AttestationPolicy::parse("name = \"any\"\n[tdx]\nmeasurements = \"any\"\n")
            .expect("a policy"),
        collateral: Some(&Collateral::from(recorded.collateral)),
        now: NOW,
    }
    .quote(&recorded.quote);
    assert_eq!(verdict.decision(), Decision::Accepted);
}

#[tokio::test]
async fn accepts_a_root_revocation_list_in_der() {
    let recorded = software();
    let service = Service::of(&recorded.collateral, &recorded.fmspc)
        .with_body(ROOT_CRL, &recorded.collateral.root_ca_crl);
    assert_eq!(
        fetch(service, &recorded.quote).await,
        Ok(recorded.collateral)
    );
}

#[tokio::test]
async fn reads_revocation_lists_in_der_pem_and_hexadecimal() {
    let recorded = software();
    type Write = fn(&[u8]) -> Vec<u8>;
    let forms: [Write; 5] = [
        |der| der.to_vec(),
        |der| to_hex(der).into_bytes(),
        |der| (to_hex(der).to_ascii_uppercase() + "\r\n").into_bytes(),
        |der| pem_list(der).into_bytes(),
        |der| pem_list(der).replace('\n', "\r\n").into_bytes(),
    ];
    for form in forms {
        let service = Service::of(&recorded.collateral, &recorded.fmspc)
            .with_body(ROOT_CRL, &form(&recorded.collateral.root_ca_crl))
            .with_body(PCK_CRL, &form(&recorded.collateral.pck_crl));
        let fetched = fetch(service, &recorded.quote).await;
        assert_eq!(fetched.as_ref(), Ok(&recorded.collateral));
    }
    let one = pem_list(&recorded.collateral.root_ca_crl);
    let truncated = &recorded.collateral.root_ca_crl[..100];
    for wrong in [
        one.repeat(2),
        one.replace("X509 CRL", "CERTIFICATE"),
        one.replace("-----END X509 CRL-----", ""),
        pem_list(truncated),
        to_hex(truncated),
    ] {
        let service = Service::of(&recorded.collateral, &recorded.fmspc)
            .with_body(ROOT_CRL, wrong.as_bytes());
        let what = "root revocation list";
        let refused = Err(FetchError::Malformed { what });
        assert_eq!(fetch(service, &recorded.quote).await, refused, "{wrong}");
    }
}

fn pem_list(der: &[u8]) -> String {
    let encoded = to_base64(der);
    format!("-----BEGIN X509 CRL-----\n{encoded}\n-----END X509 CRL-----\n")
}

#[tokio::test]
async fn accepts_the_addresses_of_intels_configuration_files() {
    let recorded = software();
    for ending in [
        "",
        "/",
        "/sgx/certification/v4",
        "/sgx/certification/v4/",
        "/tdx/certification/v4/",
        "/sgx/certification/v3/",
    ] {
        let service = Service::of(&recorded.collateral, &recorded.fmspc);
        let address = format!("{}{ending}", service.serve().await);
        let pcs = IntelPcs::new(&address).expect("a base URL");
        let fetched = pcs.tdx(&recorded.quote).await;
        assert_eq!(fetched.as_ref(), Ok(&recorded.collateral), "{ending}");
    }
}

#[tokio::test]
async fn reports_an_untrusted_tls_certificate() {
    let address = self_signed().await;
    let pcs = IntelPcs::new(&format!("https://localhost:{}", address.port())).expect("a URL");
    let refused = pcs.tdx(&software().quote).await.expect_err("not trusted");
    let problem = CertificateProblem::NotTrusted;
    assert!(
        matches!(refused, FetchError::Certificate { problem: found, .. } if found == problem),
        "{refused:?}"
    );
    let text = refused.to_string();
    assert!(
        text.contains("self-signed") && text.contains("SSL_CERT_FILE"),
        "{text}"
    );
}

/// A service with a certificate that it made itself, as a PCCS has after its installation.
async fn self_signed() -> SocketAddr {
    let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a key");
    let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .expect("a certificate");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = acceptor.accept(stream).await;
        }
    });
    address
}

#[tokio::test]
async fn reports_each_fault_with_the_name_of_the_part() {
    let parts = [
        (PCK_CRL.to_owned(), "PCK revocation list", true),
        (tcb_info(), "TCB info", true),
        (QE_IDENTITY.to_owned(), "QE identity", true),
        (ROOT_CRL.to_owned(), "root revocation list", false),
    ];
    for (path, what, has_chain) in parts {
        let mut faults = vec![
            (Fault::NotFound, FetchError::Status { what, status: 404 }),
            (Fault::Redirect, FetchError::Status { what, status: 302 }),
            (Fault::Silence, FetchError::Timeout { what }),
            (Fault::BrokenOff, FetchError::BrokenOff { what }),
            (Fault::Endless, FetchError::TooLarge { what }),
            (Fault::OtherBody, FetchError::Malformed { what }),
        ];
        if has_chain {
            faults.push((Fault::NoHeader, FetchError::IssuerChain { what }));
            faults.push((Fault::BrokenHeader, FetchError::IssuerChain { what }));
        }
        for (fault, expected) in faults {
            let recorded = software();
            let service =
                Service::of(&recorded.collateral, &recorded.fmspc).with_fault(&path, fault);
            let fetched = fetch(service, &recorded.quote).await;
            assert_eq!(fetched, Err(expected), "{fault:?}");
        }
    }
}

#[tokio::test]
async fn sends_no_request_for_bytes_that_are_not_a_quote() {
    // Nothing listens there; an attempt to connect would be another error.
    let unreachable = IntelPcs::new("http://127.0.0.1:9").expect("a base URL");
    assert_eq!(
        unreachable.tdx(b"").await,
        Err(FetchError::Quote(QuoteFormatError::TooShort {
            field: "header"
        }))
    );
    let fetched = unreachable.tdx(&software().quote).await;
    assert!(
        matches!(fetched, Err(FetchError::Connect { .. })),
        "{fetched:?}"
    );
}

#[test]
fn addresses_that_are_not_http_are_refused() {
    assert!(IntelPcs::new(INTEL_PCS).is_ok());
    for address in [
        "",
        "localhost",
        "file:///etc/passwd",
        "ftp://localhost/",
        "unix:/run/x",
    ] {
        assert_eq!(
            IntelPcs::new(address).err(),
            Some(FetchError::BaseUrl),
            "{address}"
        );
    }
}

fn vectors() -> Option<PathBuf> {
    let named = std::env::var_os("SEALGATE_VECTORS").map(PathBuf::from);
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors");
    Some(named.unwrap_or_else(beside)).filter(|path| path.join("index.json").is_file())
}

#[tokio::test]
async fn fetches_intels_recorded_collateral_byte_for_byte() {
    let Some(vectors) = vectors() else {
        println!("skipped: recorded collateral: recorded vectors not found (set SEALGATE_VECTORS)");
        return;
    };
    for (quote, collateral) in [
        ("tdx-v4-phala-b0c06f", "tdx-b0c06f-20260813"),
        ("tdx-v5-google-90c06f", "tdx-90c06f-20260608"),
    ] {
        let read = |path: String| std::fs::read(vectors.join(path)).expect("a recording");
        let quote = read(format!("tdx/quotes/{quote}.bin"));
        let bundle = read(format!("tdx/collateral/{collateral}.json"));
        let collateral = TdxCollateral::parse(&bundle).expect("collateral");
        let service = Service::of(&collateral, &fmspc_of(&quote));
        assert_eq!(fetch(service, &quote).await, Ok(collateral));
    }
}
