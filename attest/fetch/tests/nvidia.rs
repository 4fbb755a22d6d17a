//! NVIDIA's manifest service and OCSP responder, replayed for the software platform and for
//! recorded devices.

mod replay;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use attest_core::nvidia::{
    DeviceKind, OcspFreshness, SpdmFormatError, UnverifiedDevice, check_ocsp,
};
use attest_core::{Sha256Digest, UnixTime, to_base64};
use attest_fetch::{
    CollateralSource, FetchError, Nvidia, NvidiaOcsp, NvidiaRim, RimFolder, RimFolderError,
    Vendors, ocsp_request,
};
use replay::{Reply, serve};
use testkit::nvidia::knobs::{KeyInfo, ManifestKnobs};
use testkit::nvidia::ocsp::OcspKnobs;
use testkit::nvidia::{Chip, Device, MockNvidia, Source};

const NOW: u64 = 1_790_000_000;
const NONCE: [u8; 32] = [9; 32];
const DRIVER: &str = "driver manifest";
const ANSWER: &str = "OCSP response";

fn answer_of(id: &str, manifest: &[u8]) -> Vec<u8> {
    let (rim, digest) = (to_base64(manifest), Sha256Digest::hash(manifest).to_hex());
    format!("{{\"id\":\"{id}\",\"rim\":\"{rim}\",\"sha256\":\"{digest}\",\"rim_format\":\"XML\"}}")
        .into_bytes()
}

fn unverified(kind: DeviceKind, evidence: Vec<u8>, chain: Vec<u8>) -> UnverifiedDevice {
    UnverifiedDevice {
        kind,
        evidence,
        certificate_chain: chain,
    }
}

fn presented(device: &Device) -> UnverifiedDevice {
    unverified(DeviceKind::Gpu, device.report(&NONCE), device.chain_pem())
}

fn services(base: &str) -> Nvidia {
    let timeout = Duration::from_millis(500);
    Nvidia::new(
        NvidiaRim::new(base)
            .and_then(|rim| rim.with_timeout(timeout))
            .expect("a client"),
        NvidiaOcsp::new(&format!("{base}/ocsp"))
            .and_then(|ocsp| ocsp.with_timeout(timeout))
            .expect("a client"),
    )
}

/// The device's certificates, DER, leaf first.
fn ders(device: &Device) -> Vec<Vec<u8>> {
    CertificateDer::pem_slice_iter(&device.chain_pem())
        .map(|der| der.expect("PEM").to_vec())
        .collect()
}

struct Published {
    gpu: Device,
    manifests: [Vec<u8>; 2],
    answers: Vec<Vec<u8>>,
    /// The paths that the device asks for.
    paths: [String; 2],
}

fn published() -> Published {
    let mock = MockNvidia::new(&[6; 32], NOW);
    let gpu = mock.healthy(Chip::Hopper, "gpu");
    let evidence = mock.evidence(&gpu, &NONCE);
    let text = |number: u16| {
        let (_, value) = evidence
            .opaque
            .iter()
            .find(|(kind, _)| *kind == number)
            .expect("a field");
        let end = value
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(value.len());
        String::from_utf8(value[..end].to_vec()).expect("text")
    };
    let sign = |source| {
        mock.sign(
            &mock.manifest(Chip::Hopper, source),
            &ManifestKnobs::default(),
        )
        .into_bytes()
    };
    Published {
        manifests: [sign(Source::Driver), sign(Source::Vbios)],
        answers: (1..=3)
            .map(|place| mock.ocsp(&gpu, place, &OcspKnobs::good(None)))
            .collect(),
        paths: [
            format!("NV_GPU_DRIVER_GH100_{}", text(3)),
            format!(
                "NV_GPU_VBIOS_{}_{}_{}_96009F0001",
                text(17),
                text(18),
                text(15)
            ),
        ],
        gpu,
    }
}

impl Published {
    fn replies(&self) -> Vec<(String, Vec<Reply>)> {
        let manifest = |at: usize| {
            let body = answer_of(&self.paths[at], &self.manifests[at]);
            let path = format!("/v1/rim/{}", self.paths[at]);
            (path, vec![Reply::Typed("application/json", body)])
        };
        let answers = self.answers.iter().cloned().map(Reply::Ok).collect();
        vec![manifest(0), manifest(1), ("/ocsp".to_owned(), answers)]
    }
}

#[tokio::test]
async fn fetches_manifests_and_ocsp_responses_once_for_equal_devices() {
    let published = published();
    let (base, asked) = serve(published.replies()).await;
    let twice = [presented(&published.gpu), presented(&published.gpu)];
    let fetched = services(&base).nvidia(&twice).await.expect("collateral");
    assert_eq!(fetched.rims, published.manifests);
    assert_eq!(fetched.ocsp, published.answers);
    assert_eq!(asked.lock().expect("no panic").len(), 5);
    for (place, answer) in fetched.ocsp.iter().enumerate() {
        let chain = ders(&published.gpu);
        let (certificate, issuer) = (&chain[place + 1], &chain[place + 2]);
        let day = OcspFreshness::MaxAge(Duration::from_secs(86_400));
        let now = UnixTime::from_secs(NOW);
        check_ocsp(answer, certificate, issuer, day, now).expect("good");
    }
}

#[tokio::test]
async fn an_ocsp_request_names_the_certificate_like_the_response_and_carries_the_nonce() {
    let published = published();
    let chain = ders(&published.gpu);
    let request = ocsp_request(&chain[1], &chain[2], &NONCE).expect("a request");
    let holds = |wanted: &[u8]| request.windows(wanted.len()).any(|at| at == wanted);
    assert!(holds(&NONCE));
    // The hashes and the serial number, as the mock responder wrote them into its own answer.
    let name = [0x06, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 2];
    let answer = &published.answers[0];
    let found = |bytes: &[u8]| bytes.windows(name.len()).position(|at| at == name);
    let (ours, theirs) = (
        found(&request).expect("SHA-384"),
        found(answer).expect("SHA-384"),
    );
    let hashes = |bytes: &[u8], at: usize| {
        let start = bytes[at..]
            .windows(2)
            .position(|head| head == [4, 48])
            .expect("a hash");
        bytes[at + start..at + start + 102].to_vec()
    };
    assert_eq!(hashes(&request, ours), hashes(answer, theirs));
    assert_eq!(request[0], 0x30);
    assert_eq!(
        ocsp_request(b"no certificate", &chain[2], &NONCE),
        Err(FetchError::DeviceChain)
    );
}

#[tokio::test]
async fn reports_each_fault_with_the_name_of_the_request() {
    let published = published();
    let manifest = answer_of(&published.paths[0], &published.manifests[0]);
    let other = String::from_utf8(answer_of(&published.paths[0], &published.manifests[1]));
    let digest = Sha256Digest::hash(&published.manifests[1]).to_hex();
    let damaged = other.expect("text").replace(&digest, &"0".repeat(64));
    let unsuccessful = vec![0x30, 3, 0x0A, 1, 6];
    let mut faults = vec![
        (
            0,
            Reply::Ok(damaged.into_bytes()),
            FetchError::Digest { what: DRIVER },
        ),
        (
            0,
            Reply::Ok(answer_of("NV_GPU_DRIVER_GH100_1", &published.manifests[0])),
            FetchError::Malformed { what: DRIVER },
        ),
        (
            0,
            Reply::Ok(b"{}".to_vec()),
            FetchError::Malformed { what: DRIVER },
        ),
        (
            2,
            Reply::Ok(unsuccessful),
            FetchError::Declined {
                what: ANSWER,
                status: 6,
            },
        ),
        (
            2,
            Reply::Ok(b"good".to_vec()),
            FetchError::Malformed { what: ANSWER },
        ),
    ];
    for (place, what, whole) in [
        (0, DRIVER, manifest),
        (2, ANSWER, published.answers[0].clone()),
    ] {
        let half = whole[..whole.len() / 2].to_vec();
        let retry_after = Some(Duration::ZERO);
        faults.extend([
            (
                place,
                Reply::Status(404),
                FetchError::Status { what, status: 404 },
            ),
            (
                place,
                Reply::Later(Some("0")),
                FetchError::RateLimited { what, retry_after },
            ),
            (place, Reply::Silence, FetchError::Timeout { what }),
            (
                place,
                Reply::BrokenOff(whole),
                FetchError::BrokenOff { what },
            ),
            (place, Reply::Ok(half), FetchError::Malformed { what }),
            (place, Reply::Endless, FetchError::TooLarge { what }),
        ]);
    }
    for (place, reply, error) in faults {
        let mut replies = published.replies();
        replies[place].1 = vec![reply.clone()];
        let (base, _) = serve(replies).await;
        let fetched = services(&base).nvidia(&[presented(&published.gpu)]).await;
        assert_eq!(fetched, Err(error));
    }
}

#[tokio::test]
async fn sends_no_request_for_an_unreadable_device() {
    let unreachable = services("http://127.0.0.1:9");
    let mock = MockNvidia::new(&[6; 32], NOW);
    let gpu = mock.healthy(Chip::Hopper, "gpu");
    let chain = gpu.chain_pem();
    let cut = unverified(DeviceKind::Gpu, vec![], chain.clone());
    let error = unreachable.nvidia(&[cut]).await.expect_err("no evidence");
    assert!(
        matches!(error, FetchError::Device(SpdmFormatError::Truncated(_))),
        "{error:?}"
    );
    let unknown = unverified(DeviceKind::Gpu, gpu.report(&NONCE), b"no chain".to_vec());
    assert_eq!(
        unreachable.nvidia(&[unknown]).await,
        Err(FetchError::DeviceChain)
    );
    for version in [&b"../../ids"[..], b"550?x=1", b""] {
        let mut evidence = mock.evidence(&gpu, &NONCE);
        evidence.set(3, version);
        let climbing = unverified(DeviceKind::Gpu, gpu.sign(&evidence), chain.clone());
        assert_eq!(
            unreachable.nvidia(&[climbing]).await,
            Err(FetchError::Unnamed(DRIVER))
        );
    }
}

fn vectors() -> Option<PathBuf> {
    let named = std::env::var_os("SEALGATE_VECTORS").map(PathBuf::from);
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors");
    Some(named.unwrap_or_else(beside)).filter(|path| path.join("index.json").is_file())
}

#[tokio::test]
async fn requests_the_recorded_manifests_for_recorded_devices() {
    let Some(vectors) = vectors() else {
        println!("skipped: recorded NVIDIA: recorded vectors not found (set SEALGATE_VECTORS)");
        return;
    };
    let read = |path: String| std::fs::read(vectors.join(path)).expect("a recording");
    let hopper = [
        (
            "NV_GPU_DRIVER_GH100_545.00",
            "NV_GPU_DRIVER_GH100_545.00_test_no_gpu",
        ),
        (
            "NV_GPU_VBIOS_1010_0200_882_96005E0001",
            "NV_GPU_VBIOS_1010_0200_882_96005E0001_test_no_gpu",
        ),
    ];
    let switch = [(
        "NV_SWITCH_BIOS_5612_0002_890_9610550001",
        "NV_SWITCH_BIOS_5612_0002_890_9610550001_2024",
    )];
    for (name, kind, manifests) in [
        ("gpu-hopper-545-full", DeviceKind::Gpu, &hopper[..]),
        ("switch-ls10-sdk", DeviceKind::Switch, &switch[..]),
    ] {
        let device = unverified(
            kind,
            read(format!("nvidia/{name}/report.bin")),
            read(format!("nvidia/{name}/chain.pem")),
        );
        let rims: Vec<_> = manifests
            .iter()
            .map(|(_, file)| read(format!("nvidia/rims/{file}.xml")))
            .collect();
        let mut replies: Vec<_> = manifests
            .iter()
            .zip(&rims)
            .map(|((id, _), rim)| (format!("/v1/rim/{id}"), vec![Reply::Ok(answer_of(id, rim))]))
            .collect();
        // No answer of NVIDIA's is on record; a successful nothing stands in.
        let answer = vec![0x30, 3, 0x0A, 1, 0];
        replies.push(("/ocsp".to_owned(), vec![Reply::Ok(answer.clone())]));
        let (base, _) = serve(replies).await;
        let fetched = services(&base).nvidia(&[device]).await.expect(name);
        assert_eq!(fetched.rims, rims, "{name}");
        assert_eq!(fetched.ocsp, vec![answer; 3], "{name}");
    }
}

#[tokio::test]
async fn fetches_manifests_and_ocsp_responses_separately() {
    let Published {
        gpu,
        manifests,
        answers: _,
        paths,
    } = published();
    let replies = paths.iter().zip(&manifests).map(|(id, manifest)| {
        let answer = Reply::Ok(answer_of(id, manifest));
        (format!("/v1/rim/{id}"), vec![answer])
    });
    let (base, _) = serve(replies.collect()).await;
    let (source, devices) = (services(&base), [presented(&gpu)]);
    let rims = source.manifests(&devices).await.expect("manifests");
    assert_eq!(rims.rims, manifests);
    assert!(rims.ocsp.is_empty());
    let no_responder = FetchError::Status {
        what: ANSWER,
        status: 404,
    };
    assert_eq!(source.revocation(&devices).await, Err(no_responder.clone()));
    assert_eq!(source.nvidia(&devices).await, Err(no_responder));
}

#[tokio::test]
async fn each_vendor_serves_its_evidence_and_a_missing_one_is_not_served() {
    let none = Vendors::default();
    let not_served = |what| Some(FetchError::NotServed(what));
    assert_eq!(none.tdx(&[]).await.err(), not_served("Intel TDX"));
    assert_eq!(none.snp(&[], &[]).await.err(), not_served("AMD SEV-SNP"));
    assert_eq!(none.nvidia(&[]).await.err(), not_served("NVIDIA devices"));

    let Published { gpu, answers, .. } = published();
    let replies = answers.iter().cloned().map(Reply::Ok).collect();
    let (base, _) = serve(vec![("/ocsp".to_owned(), replies)]).await;
    let vendors = Vendors {
        nvidia: Some(services(&base)),
        ..Vendors::default()
    };
    let revocation = vendors.revocation(&[presented(&gpu)]).await;
    assert_eq!(revocation.expect("answers").ocsp, answers);
    assert_eq!(vendors.tdx(&[]).await.err(), not_served("Intel TDX"));
}

#[test]
fn reads_a_folder_of_manifests_or_refuses_it_with_the_reason() {
    let scratch = testkit::scratch::ScratchDir::new("rims").expect("a folder");
    let folder = scratch.path().join("rims");
    let kind = std::io::ErrorKind::NotFound;
    let path = folder.clone();
    assert_eq!(
        RimFolder::open(&folder),
        Err(RimFolderError::Unreadable { path, kind })
    );
    std::fs::create_dir(&folder).expect("made");
    assert_eq!(
        RimFolder::open(&folder),
        Err(RimFolderError::Empty(folder.clone()))
    );
    let write = |name: &str, text: &[u8]| {
        std::fs::write(folder.join(name), text).expect("written");
        folder.join(name)
    };
    write("b.swidtag", b"<b/>");
    write("a.xml", b"\n<a/>");
    let opened = RimFolder::open(&folder).expect("manifests");
    assert_eq!(
        opened.read(),
        Ok(vec![b"\n<a/>".to_vec(), b"<b/>".to_vec()])
    );
    let notes = write("notes", b"what these are");
    assert_eq!(opened.read(), Err(RimFolderError::NotXml(notes.clone())));
    write("notes", &vec![b'<'; attest_core::MAX_RIM_LEN + 1]);
    assert_eq!(opened.read(), Err(RimFolderError::TooLarge(notes)));
    for number in 0..32 {
        write(&format!("{number}"), b"<n/>");
    }
    assert_eq!(opened.read(), Err(RimFolderError::TooMany(folder)));
}

#[tokio::test]
async fn requests_ocsp_for_each_manifest_signer_once_if_enabled() {
    let published = published();
    let fetched = asking_about_signers(&published).await;
    assert_eq!(fetched, [published.answers.clone(), of_signers()].concat());
}

#[tokio::test]
async fn requests_ocsp_for_signers_of_a_manifest_without_its_root() {
    let mut published = published();
    let mock = MockNvidia::new(&[6; 32], NOW);
    let knobs = ManifestKnobs {
        key_info: KeyInfo::WithoutRoot,
        ..ManifestKnobs::default()
    };
    let sign = |source| mock.sign(&mock.manifest(Chip::Hopper, source), &knobs);
    published.manifests = [Source::Driver, Source::Vbios].map(|it| sign(it).into_bytes());
    let fetched = asking_about_signers(&published).await;
    assert_eq!(fetched, [published.answers.clone(), of_signers()].concat());
}

/// About the signer of both manifests and the two certificates above it, below the root.
fn of_signers() -> Vec<Vec<u8>> {
    let mock = MockNvidia::new(&[6; 32], NOW);
    let answer = |place| mock.ocsp_of_manifest_signer(place, &OcspKnobs::good(None));
    (0..3).map(answer).collect()
}

async fn asking_about_signers(published: &Published) -> Vec<Vec<u8>> {
    let mut replies = published.replies();
    replies[2].1.extend(of_signers().into_iter().map(Reply::Ok));
    let (base, asked) = serve(replies).await;
    let root = MockNvidia::new(&[6; 32], NOW).manifest_root().to_vec();
    let source = services(&base).with_manifest_signers(&root);
    let fetched = source.nvidia(&[presented(&published.gpu)]).await;
    assert_eq!(asked.lock().expect("no panic").len(), 2 + 3 + 3);
    fetched.expect("collateral").ocsp
}
