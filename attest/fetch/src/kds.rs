//! AMD's Key Distribution Service (AMD publication 57230, chapter 4).
//!
//! A chip's certificate (VCEK) is published per chip and TCB, so its address follows from the report. The
//! certificate of a loaded key (VLEK) is not published: it comes in the certificate table that
//! the host provides with the report. The signing key's certificate and the root's revocation list
//! are published per product. The service limits requests (429); short waits are accepted.

use std::time::Duration;

use reqwest::Url;

use crate::http::{Http, Part, http_url};
use crate::{CollateralSource, FetchError, der};
use attest_core::snp::{
    CertTable, HclReport, Product, SnpReport, Tcb, VekClaims, VekKind, signing_certificate_der,
};
use attest_core::{SnpCollateral, to_hex};

/// AMD's service.
pub const AMD_KDS: &str = "https://kdsintf.amd.com";

const TIMEOUT: Duration = Duration::from_secs(20);
const MAX_TABLE: usize = 64 << 10;

const VCEK: Part = Part {
    what: "chip certificate",
    limit: 8 << 10,
};
const CHAIN: Part = Part {
    what: "certificate chain",
    limit: MAX_TABLE,
};
const CRL: Part = Part {
    what: "revocation list",
    limit: 256 << 10,
};

/// A key distribution service at one address.
#[derive(Clone, Debug)]
pub struct AmdKds {
    base: Url,
    http: Http,
}

/// A report, from which the addresses of its certificates follow.
pub(crate) struct KdsRequest {
    report: SnpReport,
    table: CertTable,
}

impl KdsRequest {
    /// Reads a bare report, or one wrapped by Azure, and the certificate table beside it.
    pub(crate) fn read(report: &[u8], certs: &[u8]) -> Result<Self, FetchError> {
        let report = if report.starts_with(b"HCLA") {
            HclReport::parse(report)?.report
        } else {
            SnpReport::parse(report)?
        };
        let table = CertTable::parse(certs)?;
        Ok(Self { report, table })
    }

    /// Every field that decides which collateral is fetched.
    pub(crate) fn cache_key(&self) -> Vec<u8> {
        [
            self.report.signing_key.as_str().as_bytes(),
            &self.report.cpuid.unwrap_or_default(),
            &self.report.chip_id,
            &self.report.reported_tcb,
            self.table.vlek.as_deref().unwrap_or_default(),
        ]
        .concat()
    }

    /// Reports of version 2 do not name their processor, which is of one of the two older families.
    fn products(&self) -> Result<Vec<Product>, FetchError> {
        match self.report.product() {
            Some(Ok(product)) => Ok(vec![product]),
            Some(Err(_)) => Err(FetchError::Processor),
            None => Ok(match self.certified_product() {
                Some(product) => vec![product],
                None => vec![Product::Milan, Product::Genoa],
            }),
        }
    }

    fn certified_product(&self) -> Option<Product> {
        let vek = match self.report.signing_key {
            VekKind::Vcek => self.table.vcek.as_ref(),
            VekKind::Vlek => self.table.vlek.as_ref(),
        };
        Some(VekClaims::parse(vek?).ok()?.product)
    }

    fn vcek_path(&self, product: Product) -> Result<String, FetchError> {
        if self.report.chip_id_is_masked() {
            return Err(FetchError::ChipIdMasked);
        }
        let tcb =
            Tcb::decode(self.report.reported_tcb, product).map_err(|_| FetchError::Processor)?;
        let hwid = self.report.chip_id.get(..product.hwid_len());
        let fmc = tcb.fmc.map(|fmc| format!("fmcSPL={fmc}&"));
        Ok(format!(
            "vcek/v1/{}/{}?{}blSPL={}&teeSPL={}&snpSPL={}&ucodeSPL={}",
            product.as_str(),
            to_hex(hwid.unwrap_or(&self.report.chip_id)),
            fmc.unwrap_or_default(),
            tcb.boot_loader,
            tcb.tee,
            tcb.snp,
            tcb.microcode
        ))
    }
}

impl AmdKds {
    /// The service at `base_url`: [`AMD_KDS`], or a cache with the same paths.
    pub fn new(base_url: &str) -> Result<Self, FetchError> {
        Ok(Self {
            base: http_url(&format!("{}/", base_url.trim_end_matches('/')))?,
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

    async fn get(&self, path: &str, part: Part) -> Result<Vec<u8>, FetchError> {
        let url = self.base.join(path).map_err(|_| FetchError::BaseUrl)?;
        Ok(self.http.get(url, part).await?.body)
    }

    async fn get_der(&self, path: &str, part: Part) -> Result<Vec<u8>, FetchError> {
        let body = self.get(path, part).await?;
        match der::whole_sequence(&body) {
            Some(_) => Ok(body),
            None => Err(FetchError::Malformed { what: part.what }),
        }
    }

    async fn vek(&self, request: &KdsRequest) -> Result<(Product, Vec<u8>), FetchError> {
        let products = request.products()?;
        if request.report.signing_key == VekKind::Vlek {
            let vlek = request.table.vlek.clone().ok_or(FetchError::NoVlek)?;
            let [product] = products[..] else {
                return Err(FetchError::Processor);
            };
            return Ok((product, vlek));
        }
        // A report of version 2 fits two products: 404 for one of them means that the chip is of the other.
        let mut unknown = FetchError::Processor;
        for product in products {
            match self.get_der(&request.vcek_path(product)?, VCEK).await {
                Ok(vcek) => return Ok((product, vcek)),
                Err(FetchError::Status { what, status: 404 }) => {
                    unknown = FetchError::Status { what, status: 404 };
                }
                Err(other) => return Err(other),
            }
        }
        Err(unknown)
    }

    /// Everything that the service has for a report, and the error for the revocation list if that could
    /// not be fetched. A missing list is not an error of the whole: the policy decides whether one is needed.
    pub async fn fetch_available(
        &self,
        report: &[u8],
        certs: &[u8],
    ) -> Result<(SnpCollateral, Option<FetchError>), FetchError> {
        self.fetch(&KdsRequest::read(report, certs)?).await
    }

    async fn fetch(
        &self,
        request: &KdsRequest,
    ) -> Result<(SnpCollateral, Option<FetchError>), FetchError> {
        let (product, vek) = self.vek(request).await?;
        let key = request.report.signing_key.as_str().to_ascii_lowercase();
        let product = product.as_str();
        let chain = self
            .get(&format!("{key}/v1/{product}/cert_chain"), CHAIN)
            .await?;
        let ask = signing_key(&chain)?;
        let list = self.get_der(&format!("{key}/v1/{product}/crl"), CRL).await;
        let (crl, missing) = match list {
            Ok(crl) => (Some(crl), None),
            Err(error) => (None, Some(error)),
        };
        Ok((SnpCollateral { vek, ask, crl }, missing))
    }
}

/// The chain is PEM: the signing key's certificate, then the root's.
fn signing_key(chain: &[u8]) -> Result<Vec<u8>, FetchError> {
    let ask = signing_certificate_der(chain).ok();
    ask.filter(|ask| der::whole_sequence(ask).is_some())
        .ok_or(FetchError::Malformed { what: CHAIN.what })
}

impl CollateralSource for AmdKds {
    async fn snp(&self, report: &[u8], certs: &[u8]) -> Result<SnpCollateral, FetchError> {
        let (collateral, _) = self.fetch_available(report, certs).await?;
        Ok(collateral)
    }
}
