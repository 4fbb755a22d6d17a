//! Intel's Provisioning Certification Service, version 4, and the caching services (PCCS) that
//! have the same paths.
//!
//! Four parts make a bundle: the PCK revocation list, TCB info, QE identity, each with its issuer
//! chain percent-encoded in a header, and the root's revocation list. TCB info and QE identity are
//! signed as the exact text inside the answer, so that text is kept and never re-serialised.

use std::time::Duration;

use reqwest::Url;
use reqwest::header::HeaderMap;
use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::http::{Answer, Http, Part, http_url};
use crate::{CollateralSource, FetchError, der, percent};
use attest_core::tdx::{self, PlatformFacts};
use attest_core::{TdxCollateral, parse_hex, parse_hex_vec, to_hex};

/// Intel's service.
pub const INTEL_PCS: &str = "https://api.trustedservices.intel.com";
/// Where Intel publishes the root's revocation list.
const INTEL_ROOT_CRL: &str = "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der";

/// How addresses of a service end in Intel's configuration files.
const API_PATHS: [&str; 4] = [
    "/sgx/certification/v4",
    "/tdx/certification/v4",
    "/sgx/certification/v3",
    "/sgx/certification",
];

const TIMEOUT: Duration = Duration::from_secs(20);
const MAX_CRL: usize = 512 << 10;
const MAX_JSON: usize = 256 << 10;
const MAX_CHAIN: usize = 32 << 10;

const PEM_LIST: &str = "-----BEGIN X509 CRL-----";
const PCK_CRL: &str = "PCK revocation list";
const ROOT_CRL: &str = "root revocation list";
const TCB_INFO: &str = "TCB info";
const QE_IDENTITY: &str = "QE identity";

/// A PCS or PCCS at one address.
#[derive(Clone, Debug)]
pub struct IntelPcs {
    base: Url,
    root_crl: Url,
    http: Http,
}

impl IntelPcs {
    /// The service at `base_url`, for instance [`INTEL_PCS`] or `http://localhost:8081` for a PCCS.
    /// The root's revocation list comes from Intel if that is Intel's service, and from the
    /// PCCS otherwise.
    /// An address that already ends in a path of the interface, as in Intel's `sgx_default_qcnl.conf`
    /// (`https://localhost:8081/sgx/certification/v4/`), is accepted too.
    pub fn new(base_url: &str) -> Result<Self, FetchError> {
        let base = service_address(base_url);
        let root_crl = if base == INTEL_PCS {
            INTEL_ROOT_CRL.to_owned()
        } else {
            format!("{base}/sgx/certification/v4/rootcacrl")
        };
        Ok(Self {
            base: http_url(&format!("{base}/"))?,
            root_crl: http_url(&root_crl)?,
            http: Http::new(TIMEOUT)?,
        })
    }

    /// The same with another timeout for each answer.
    pub fn with_timeout(self, timeout: Duration) -> Result<Self, FetchError> {
        Ok(Self {
            http: Http::new(timeout)?,
            ..self
        })
    }

    async fn part(
        &self,
        path: &str,
        what: &'static str,
        limit: usize,
    ) -> Result<Answer, FetchError> {
        let url = self.base.join(path).map_err(|_| FetchError::BaseUrl)?;
        self.http.get(url, Part { what, limit }).await
    }

    async fn fetch(&self, platform: &PlatformFacts) -> Result<TdxCollateral, FetchError> {
        let fmspc = to_hex(&platform.fmspc);
        let authority = authority(platform)?;
        let crl_path = format!("sgx/certification/v4/pckcrl?ca={authority}&encoding=der");
        let tcb_path = format!("tdx/certification/v4/tcb?fmspc={fmspc}");
        let (crl, tcb, qe, root) = tokio::try_join!(
            // Some services send hexadecimal text, which is twice as long.
            self.part(&crl_path, PCK_CRL, 2 * MAX_CRL),
            self.part(&tcb_path, TCB_INFO, MAX_JSON),
            self.part("tdx/certification/v4/qe/identity", QE_IDENTITY, MAX_JSON),
            self.http.get(
                self.root_crl.clone(),
                Part {
                    what: ROOT_CRL,
                    limit: 2 * MAX_CRL
                }
            ),
        )?;
        let (tcb_info, tcb_info_signature) = tcb_info(&tcb.body)?;
        let (qe_identity, qe_identity_signature) = qe_identity(&qe.body)?;
        Ok(TdxCollateral {
            pck_crl_issuer_chain: chain(&crl.headers, &["SGX-PCK-CRL-Issuer-Chain"], PCK_CRL)?,
            root_ca_crl: revocation_list(root.body, ROOT_CRL)?,
            pck_crl: revocation_list(crl.body, PCK_CRL)?,
            tcb_info_issuer_chain: chain(
                &tcb.headers,
                &["TCB-Info-Issuer-Chain", "SGX-TCB-Info-Issuer-Chain"],
                TCB_INFO,
            )?,
            tcb_info,
            tcb_info_signature,
            qe_identity_issuer_chain: chain(
                &qe.headers,
                &["SGX-Enclave-Identity-Issuer-Chain"],
                QE_IDENTITY,
            )?,
            qe_identity,
            qe_identity_signature,
        })
    }
}

impl CollateralSource for IntelPcs {
    async fn tdx(&self, quote: &[u8]) -> Result<TdxCollateral, FetchError> {
        let platform = tdx::decode(quote)?.and_then(|facts| facts.platform);
        self.fetch(&platform.ok_or(FetchError::Platform)?).await
    }
}

/// Intel has two authorities that certify platforms, distinguished by their names.
pub(crate) fn authority(platform: &PlatformFacts) -> Result<&'static str, FetchError> {
    if platform.issuer.contains("Platform CA") {
        Ok("platform")
    } else if platform.issuer.contains("Processor CA") {
        Ok("processor")
    } else {
        Err(FetchError::Platform)
    }
}

/// The address without a path of the interface.
fn service_address(url: &str) -> &str {
    let url = url.trim_end_matches('/');
    let mut paths = API_PATHS.iter();
    let without = paths.find_map(|path| url.strip_suffix(path));
    without.unwrap_or(url).trim_end_matches('/')
}

fn chain(headers: &HeaderMap, names: &[&str], what: &'static str) -> Result<String, FetchError> {
    names
        .iter()
        .find_map(|name| headers.get(*name))
        .filter(|value| value.len() <= MAX_CHAIN)
        .and_then(|value| value.to_str().ok())
        .and_then(percent::decode)
        .filter(|pem| pem.contains("-----BEGIN CERTIFICATE-----"))
        .ok_or(FetchError::IssuerChain { what })
}

/// A revocation list as services send it: DER, PEM, or hexadecimal of DER.
fn revocation_list(body: Vec<u8>, what: &'static str) -> Result<Vec<u8>, FetchError> {
    let malformed = || FetchError::Malformed { what };
    if der::whole_sequence(&body).is_some() {
        return Ok(body);
    }
    let text = std::str::from_utf8(&body).map_err(|_| malformed())?.trim();
    let list = if text.starts_with(PEM_LIST) {
        let mut lists = CertificateRevocationListDer::pem_slice_iter(text.as_bytes());
        match (lists.next(), lists.next()) {
            (Some(Ok(list)), None) => list.to_vec(),
            _ => return Err(malformed()),
        }
    } else {
        parse_hex_vec(&text.to_ascii_lowercase(), MAX_CRL).map_err(|_| malformed())?
    };
    match der::whole_sequence(&list) {
        Some(_) => Ok(list),
        None => Err(malformed()),
    }
}

#[derive(Deserialize)]
struct SignedTcbInfo<'a> {
    #[serde(borrow, rename = "tcbInfo")]
    tcb_info: &'a RawValue,
    signature: String,
}

#[derive(Deserialize)]
struct SignedQeIdentity<'a> {
    #[serde(borrow, rename = "enclaveIdentity")]
    enclave_identity: &'a RawValue,
    signature: String,
}

fn tcb_info(body: &[u8]) -> Result<(String, [u8; 64]), FetchError> {
    let malformed = || FetchError::Malformed { what: TCB_INFO };
    let signed: SignedTcbInfo<'_> = serde_json::from_slice(body).map_err(|_| malformed())?;
    let signature = signature(&signed.signature).ok_or_else(malformed)?;
    Ok((signed.tcb_info.get().to_owned(), signature))
}

fn qe_identity(body: &[u8]) -> Result<(String, [u8; 64]), FetchError> {
    let malformed = || FetchError::Malformed { what: QE_IDENTITY };
    let signed: SignedQeIdentity<'_> = serde_json::from_slice(body).map_err(|_| malformed())?;
    let signature = signature(&signed.signature).ok_or_else(malformed)?;
    Ok((signed.enclave_identity.get().to_owned(), signature))
}

fn signature(hex: &str) -> Option<[u8; 64]> {
    parse_hex(&hex.to_ascii_lowercase()).ok()
}
