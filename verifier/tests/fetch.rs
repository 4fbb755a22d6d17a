//! `--fetch-collateral` against a collateral service on the loopback.

mod fixtures;
mod saving;
mod service;
#[path = "saving/services.rs"]
mod services;

use std::fmt::Write as _;
use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use attest_core::{Collateral, TdxCollateral, to_hex};
use testkit::process;
use testkit::scratch::ScratchDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_sealgate-verify");

fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "%{byte:02X}");
        out
    })
}

fn signed(name: &str, text: &str, signature: &[u8]) -> Vec<u8> {
    format!(
        "{{\"{name}\":{text},\"signature\":\"{}\"}}",
        to_hex(signature)
    )
    .into_bytes()
}

/// Header and body for a path, as Intel's service documents them.
fn answer(it: &TdxCollateral, path: &str) -> Option<(String, Vec<u8>)> {
    let (name, chain, body) = if path.starts_with("/sgx/certification/v4/pckcrl") {
        (
            "SGX-PCK-CRL-Issuer-Chain",
            &it.pck_crl_issuer_chain,
            it.pck_crl.clone(),
        )
    } else if path.starts_with("/tdx/certification/v4/tcb") {
        let body = signed("tcbInfo", &it.tcb_info, &it.tcb_info_signature);
        ("TCB-Info-Issuer-Chain", &it.tcb_info_issuer_chain, body)
    } else if path.starts_with("/tdx/certification/v4/qe/identity") {
        let body = signed(
            "enclaveIdentity",
            &it.qe_identity,
            &it.qe_identity_signature,
        );
        (
            "SGX-Enclave-Identity-Issuer-Chain",
            &it.qe_identity_issuer_chain,
            body,
        )
    } else if path.starts_with("/sgx/certification/v4/rootcacrl") {
        return Some((String::new(), it.root_ca_crl.clone()));
    } else {
        return None;
    };
    Some((format!("{name}: {}\r\n", percent_encoded(chain)), body))
}

async fn serve(listener: TcpListener, collateral: TdxCollateral) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            match stream.read(&mut byte).await {
                Ok(1) => head.push(byte[0]),
                _ => break,
            }
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let path = head.split(' ').nth(1).unwrap_or_default();
        let (status, headers, body) = match answer(&collateral, path) {
            Some((headers, body)) => ("200 OK", headers, body),
            None => ("404 Not Found", String::new(), Vec::new()),
        };
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n"
        );
        let _ = stream.write_all(head.as_bytes()).await;
        let _ = stream.write_all(&body).await;
    }
}

#[tokio::test]
async fn a_quote_is_judged_by_collateral_that_was_fetched_for_it() {
    let dir = ScratchDir::new("fetch").unwrap();
    fixtures::write(&dir);
    let stored = std::fs::read(dir.path().join("collateral.json")).unwrap();
    let collateral = Collateral::parse(&stored).unwrap().tdx.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(serve(listener, collateral));
    let fetch = format!("--fetch-collateral={base}");
    let common = "--roots roots --policy policy.toml --at 2026-01-02T03:05:00Z";
    let arguments = |quote: &str| {
        format!("quote {quote} {fetch} {common}")
            .split(' ')
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let run = |quote: &str| process::run(Path::new(PROGRAM), arguments(quote), dir.path());
    let judged = run("quote.bin").await.unwrap();
    assert_eq!(
        judged.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&judged.stdout)
    );
    let no_quote = run("hello.txt").await.unwrap();
    assert_eq!(no_quote.status.code(), Some(30));
    serving.abort();
    let _ = serving.await;
    let unreachable = run("quote.bin").await.unwrap();
    assert_eq!(unreachable.status.code(), Some(1));
    let said = String::from_utf8(unreachable.stderr).unwrap();
    assert!(
        said.starts_with("sealgate-verify: cannot fetch collateral from http://"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
}
