//! NVIDIA's OCSP responder (RFC 6960, over HTTP by its appendix A). Certificates are named with
//! SHA-384, as NVIDIA's verifier names them; the nonce is RFC 8954's.

use std::time::Duration;

use reqwest::Url;
use ring::digest::{SHA384, digest};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::FetchError;
use crate::der::{
    INTEGER, NULL, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, element, whole_sequence,
};
use crate::http::{Http, Part, http_url};
use attest_core::MAX_OCSP_LEN;

/// NVIDIA's responder.
pub const NVIDIA_OCSP: &str = "https://ocsp.ndis.nvidia.com";

const TIMEOUT: Duration = Duration::from_secs(20);
const REQUEST_TYPE: &str = "application/ocsp-request";
const ANSWER: Part = Part {
    what: "OCSP response",
    limit: MAX_OCSP_LEN,
};
/// 2.16.840.1.101.3.4.2.2
const ID_SHA384: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02];
/// 1.3.6.1.5.5.7.48.1.2
const NONCE: &[u8] = &[0x2B, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x02];
/// `[2] EXPLICIT`, the extensions of a request.
const EXTENSIONS: u8 = 0xA2;

/// A responder at one address.
#[derive(Clone, Debug)]
pub struct NvidiaOcsp {
    url: Url,
    http: Http,
}

impl NvidiaOcsp {
    /// The responder at `url`, for instance [`NVIDIA_OCSP`].
    pub fn new(url: &str) -> Result<Self, FetchError> {
        Ok(Self {
            url: http_url(url)?,
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

    /// The response about `certificate` (DER), issued by `issuer` (DER). Whether it says
    /// good, and to this nonce, is checked by [`attest_core::nvidia::check_ocsp`].
    pub async fn fetch(
        &self,
        certificate: &[u8],
        issuer: &[u8],
        nonce: &[u8; 32],
    ) -> Result<Vec<u8>, FetchError> {
        let request = ocsp_request(certificate, issuer, nonce)?;
        let url = self.url.clone();
        let answer = self.http.post(url, REQUEST_TYPE, request, ANSWER).await?;
        let what = ANSWER.what;
        match whole_sequence(&answer.body) {
            // ENUMERATED responseStatus: 0 is successful.
            Some([0x0A, 1, 0, ..]) => Ok(answer.body),
            Some([0x0A, 1, status]) => Err(FetchError::Declined {
                what,
                status: *status,
            }),
            _ => Err(FetchError::Malformed { what }),
        }
    }
}

/// An OCSP request about one certificate, DER (RFC 6960 §4.1.1).
pub fn ocsp_request(
    certificate: &[u8],
    issuer: &[u8],
    nonce: &[u8; 32],
) -> Result<Vec<u8>, FetchError> {
    let read = |der| match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(FetchError::DeviceChain),
    };
    let (certificate, issuer) = (read(certificate)?, read(issuer)?);
    let key = &issuer.public_key().subject_public_key.data;
    let algorithm = element(
        SEQUENCE,
        &[
            &element(OBJECT_IDENTIFIER, &[ID_SHA384]),
            &element(NULL, &[]),
        ],
    );
    let certificate_id = element(
        SEQUENCE,
        &[
            &algorithm,
            &element(
                OCTET_STRING,
                &[digest(&SHA384, issuer.subject().as_raw()).as_ref()],
            ),
            &element(OCTET_STRING, &[digest(&SHA384, key).as_ref()]),
            &element(INTEGER, &[certificate.raw_serial()]),
        ],
    );
    let list = element(SEQUENCE, &[&element(SEQUENCE, &[&certificate_id])]);
    let nonce = element(OCTET_STRING, &[&element(OCTET_STRING, &[nonce])]);
    let extension = element(SEQUENCE, &[&element(OBJECT_IDENTIFIER, &[NONCE]), &nonce]);
    let extensions = element(EXTENSIONS, &[&element(SEQUENCE, &[&extension])]);
    let to_be_signed = element(SEQUENCE, &[&list, &extensions]);
    Ok(element(SEQUENCE, &[&to_be_signed]))
}
