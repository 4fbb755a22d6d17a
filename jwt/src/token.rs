//! A token (JWS in compact form, RFC 7515) before anything of it is verified.

use serde_json::{Map, Value};

use crate::base64url;
use crate::json::parse_object;
use crate::{Algorithm, TokenError};

/// The largest token accepted. A request's head has at most twice as much.
pub const MAX_TOKEN: usize = 8 * 1024;
/// The types of a JWT (RFC 7519 §5.1) and of an access token (RFC 9068 §2.1). Other kinds of tokens, such as logout tokens, have
/// separate types so that they are not taken for these.
const TYPES: [&str; 2] = ["jwt", "at+jwt"];

/// The parts of a token. Nothing of it is verified.
pub struct UnverifiedToken<'a> {
    pub(crate) algorithm: Algorithm,
    pub(crate) key_id: Option<String>,
    pub(crate) claims: Map<String, Value>,
    /// The bytes that the signature is over.
    pub(crate) signed: &'a [u8],
    pub(crate) signature: Vec<u8>,
}

impl<'a> UnverifiedToken<'a> {
    pub fn parse(text: &'a str) -> Result<Self, TokenError> {
        if text.len() > MAX_TOKEN {
            return Err(TokenError::Malformed);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(TokenError::Malformed)?;
        let object = |part: &str| {
            base64url::decode(part)
                .and_then(|bytes| parse_object(&bytes))
                .ok_or(TokenError::Malformed)
        };
        let header = object(header)?;
        // A third dot would be in here, and is not base64url.
        let claims = object(payload)?;
        let signature = base64url::decode(signature).ok_or(TokenError::Malformed)?;
        check_header(&header)?;
        Ok(Self {
            algorithm: algorithm(&header)?,
            key_id: key_id(&header)?,
            claims,
            signed: signed.as_bytes(),
            signature,
        })
    }

    /// The claim `iss`, by which its issuer and keys are found. Not verified.
    pub fn issuer(&self) -> Result<&str, TokenError> {
        match self.claims.get("iss") {
            Some(Value::String(issuer)) => Ok(issuer),
            _ => Err(TokenError::Claims),
        }
    }
}

/// Extensions that have to be understood are not, and the payload is always encoded. Members that name or contain keys
/// (`jwk`, `jku`, `x5u`, `x5c`) are not read: keys come from the configured issuer alone.
fn check_header(header: &Map<String, Value>) -> Result<(), TokenError> {
    if header.contains_key("crit") || header.contains_key("b64") {
        return Err(TokenError::Header);
    }
    let Some(kind) = header.get("typ") else {
        return Ok(());
    };
    let kind = kind
        .as_str()
        .ok_or(TokenError::Header)?
        .to_ascii_lowercase();
    let kind = kind.strip_prefix("application/").unwrap_or(&kind);
    if TYPES.contains(&kind) {
        Ok(())
    } else {
        Err(TokenError::Header)
    }
}

fn algorithm(header: &Map<String, Value>) -> Result<Algorithm, TokenError> {
    let named = header.get("alg").and_then(Value::as_str);
    let named = named.ok_or(TokenError::Malformed)?;
    Algorithm::parse(named).ok_or(TokenError::Algorithm)
}

fn key_id(header: &Map<String, Value>) -> Result<Option<String>, TokenError> {
    match header.get("kid") {
        None => Ok(None),
        Some(Value::String(id)) => Ok(Some(id.clone())),
        Some(_) => Err(TokenError::Malformed),
    }
}
