//! A collateral service on the loopback that answers from memory, with whatever fault is asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use attest_core::{TdxCollateral, to_hex};

/// What goes wrong with one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    NotFound,
    Redirect,
    Silence,
    /// Half of the body, then the end of the connection.
    BrokenOff,
    /// A body that never ends.
    Endless,
    NoHeader,
    BrokenHeader,
    OtherBody,
}

#[derive(Clone, Default)]
struct Answer {
    headers: String,
    body: Vec<u8>,
    fault: Option<Fault>,
}

/// The service's answers by path and query.
pub struct Service {
    answers: BTreeMap<String, Answer>,
}

pub const PCK_CRL: &str = "/sgx/certification/v4/pckcrl?ca=platform&encoding=der";
pub const QE_IDENTITY: &str = "/tdx/certification/v4/qe/identity";
pub const ROOT_CRL: &str = "/sgx/certification/v4/rootcacrl";

pub fn tcb_path(fmspc: &str) -> String {
    format!("/tdx/certification/v4/tcb?fmspc={fmspc}")
}

impl Service {
    pub fn of(collateral: &TdxCollateral, fmspc: &str) -> Self {
        let signed = |name: &str, text: &str, signature: &[u8; 64]| {
            format!(
                "{{\"{name}\":{text},\"signature\":\"{}\"}}",
                to_hex(signature)
            )
            .into_bytes()
        };
        let answers = [
            (
                PCK_CRL.to_owned(),
                header("SGX-PCK-CRL-Issuer-Chain", &collateral.pck_crl_issuer_chain),
                collateral.pck_crl.clone(),
            ),
            (
                tcb_path(fmspc),
                header("TCB-Info-Issuer-Chain", &collateral.tcb_info_issuer_chain),
                signed(
                    "tcbInfo",
                    &collateral.tcb_info,
                    &collateral.tcb_info_signature,
                ),
            ),
            (
                QE_IDENTITY.to_owned(),
                header(
                    "SGX-Enclave-Identity-Issuer-Chain",
                    &collateral.qe_identity_issuer_chain,
                ),
                signed(
                    "enclaveIdentity",
                    &collateral.qe_identity,
                    &collateral.qe_identity_signature,
                ),
            ),
            (
                ROOT_CRL.to_owned(),
                String::new(),
                to_hex(&collateral.root_ca_crl).into_bytes(),
            ),
        ];
        let answers = answers.into_iter().map(|(path, headers, body)| {
            let answer = Answer {
                headers,
                body,
                fault: None,
            };
            (path, answer)
        });
        Self {
            answers: answers.collect(),
        }
    }

    pub fn with_fault(mut self, path: &str, fault: Fault) -> Self {
        self.answers.get_mut(path).expect("a served path").fault = Some(fault);
        self
    }

    pub fn with_body(mut self, path: &str, body: &[u8]) -> Self {
        self.answers.get_mut(path).expect("a served path").body = body.to_vec();
        self
    }

    /// Serves from now on; the base URL comes back.
    pub async fn serve(self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let answers = Arc::new(self.answers);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, answers.clone()));
            }
        });
        format!("http://{address}")
    }
}

fn header(name: &str, pem: &str) -> String {
    let encoded: String = pem
        .bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect();
    format!("{name}: {encoded}\r\n")
}

async fn answer(mut stream: TcpStream, answers: Arc<BTreeMap<String, Answer>>) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut piece = [0; 1024];
        match stream.read(&mut piece).await {
            Ok(read @ 1..) => request.extend_from_slice(&piece[..read]),
            _ => return,
        }
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let path = request.split(' ').nth(1).unwrap_or_default();
    let Some(answer) = answers.get(path) else {
        let _ = stream
            .write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
            .await;
        return;
    };
    let head = |headers: &str, length: usize| {
        format!("HTTP/1.1 200 OK\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n")
    };
    let (head, body) = match answer.fault {
        Some(Fault::NotFound) => (
            "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned(),
            vec![],
        ),
        Some(Fault::Redirect) => (
            "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n"
                .to_owned(),
            vec![],
        ),
        Some(Fault::Silence) => {
            tokio::time::sleep(std::time::Duration::from_secs(30)).await;
            return;
        }
        Some(Fault::BrokenOff) => (
            head(&answer.headers, answer.body.len()),
            answer.body[..answer.body.len() / 2].to_vec(),
        ),
        Some(Fault::Endless) => {
            let head = format!(
                "HTTP/1.1 200 OK\r\n{}connection: close\r\n\r\n",
                answer.headers
            );
            let _ = stream.write_all(head.as_bytes()).await;
            while stream.write_all(&[b' '; 4096]).await.is_ok() {}
            return;
        }
        Some(Fault::NoHeader) => (head("", answer.body.len()), answer.body.clone()),
        Some(Fault::BrokenHeader) => (
            head(&answer.headers.replace("%0A", "%0"), answer.body.len()),
            answer.body.clone(),
        ),
        Some(Fault::OtherBody) => (head(&answer.headers, 2), b"{}".to_vec()),
        None => (
            head(&answer.headers, answer.body.len()),
            answer.body.clone(),
        ),
    };
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(&body).await;
    let _ = stream.shutdown().await;
}
