//! API keys: `sk-sealgate-<id>-<secret>`.
//!
//! The id, 12 hex characters, is public and identifies the key; the secret is 256 random bits. The SHA-256 of the whole
//! token is stored and compared. It needs no salt, because a random secret of that length cannot be guessed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::{Zeroize, Zeroizing};

use attest_core::Sha256Digest;
use gateway_base::config::Sensitive;
use gateway_base::errors::ApiError;
use gateway_base::request::KeyId;

const PREFIX: &str = "sk-sealgate-";
const ID_LEN: usize = 12;
const SECRET_LEN: usize = 43;
const TOKEN_LEN: usize = PREFIX.len() + ID_LEN + 1 + SECRET_LEN;

/// A complete API key, shown to its owner once.
pub struct ApiToken(Sensitive<String>);

/// Why a key could not be generated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("the system has no randomness")]
    Randomness,
}

impl ApiToken {
    /// Generates a new key.
    pub fn generate() -> Result<(KeyId, Self), TokenError> {
        let random = SystemRandom::new();
        let mut id = [0; 6];
        let mut secret = Zeroizing::new([0; 32]);
        random.fill(&mut id).map_err(|_| TokenError::Randomness)?;
        random
            .fill(&mut secret[..])
            .map_err(|_| TokenError::Randomness)?;
        let id = KeyId::from_bytes(id);
        let mut encoded = URL_SAFE_NO_PAD.encode(&secret[..]);
        let token = Self(Sensitive::new(format!("{PREFIX}{id}-{encoded}")));
        encoded.zeroize();
        Ok((id, token))
    }

    /// The key itself, for its owner.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    pub fn digest(&self) -> [u8; 32] {
        digest(self.expose())
    }
}

/// The digest that is stored for a key, and that receipts are bound to.
pub fn digest(token: &str) -> [u8; 32] {
    *Sha256Digest::hash(token.as_bytes()).as_bytes()
}

/// The header for API keys in APIs other than OpenAI's.
const X_API_KEY: &str = "x-api-key";

/// The API key of a request: a bearer token, or the value of `x-api-key`. One that gives both gives the same twice.
pub fn token(headers: &HeaderMap) -> Result<&str, ApiError> {
    let mut all = headers.get_all(X_API_KEY).iter();
    let key = match (all.next(), all.next()) {
        (None, _) => return bearer(headers),
        (Some(value), None) => value.to_str().map_err(|_| ApiError::InvalidKey)?,
        (Some(_), Some(_)) => return Err(ApiError::InvalidKey),
    };
    match bearer(headers) {
        Ok(token) if token != key => Err(ApiError::InvalidKey),
        Ok(_) => Ok(key),
        Err(_) if headers.contains_key(AUTHORIZATION) => Err(ApiError::InvalidKey),
        Err(_) => Ok(key),
    }
}

/// The bearer token of a request.
pub fn bearer(headers: &HeaderMap) -> Result<&str, ApiError> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let value = match (all.next(), all.next()) {
        (Some(value), None) => value,
        (None, _) => return Err(ApiError::MissingKey),
        (Some(_), Some(_)) => return Err(ApiError::InvalidKey),
    };
    let text = value.to_str().map_err(|_| ApiError::InvalidKey)?;
    let (scheme, token) = text.split_once(' ').ok_or(ApiError::MissingKey)?;
    let token = token.trim();
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
        return Err(ApiError::MissingKey);
    }
    Ok(token)
}

/// The id in a well-formed token.
pub(super) fn claimed_id(token: &str) -> Option<KeyId> {
    if token.len() != TOKEN_LEN {
        return None;
    }
    let (id, secret) = token.strip_prefix(PREFIX)?.split_once('-')?;
    (secret.len() == SECRET_LEN)
        .then(|| KeyId::parse(id))
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_new_key_is_well_formed_and_contains_its_id() {
        let (id, token) = ApiToken::generate().expect("a key");
        assert_eq!(token.expose().len(), TOKEN_LEN);
        assert!(token.expose().starts_with(&format!("sk-sealgate-{id}-")));
        assert_eq!(claimed_id(token.expose()), Some(id));
        assert_eq!(token.digest(), digest(token.expose()));
    }

    #[test]
    fn two_generated_keys_differ() {
        let (_, a) = ApiToken::generate().expect("a key");
        let (_, b) = ApiToken::generate().expect("a key");
        assert_ne!(a.expose(), b.expose());
    }

    #[test]
    fn rejects_a_malformed_token() {
        let (_, token) = ApiToken::generate().expect("a key");
        let token = token.expose();
        let upper = token.to_uppercase();
        for other in [
            "",
            "sk-sealgate-",
            &token[1..],
            &token[..token.len() - 1],
            &upper,
            &format!("{token}x"),
        ] {
            assert_eq!(claimed_id(other), None, "{other}");
        }
    }

    #[test]
    fn accepts_a_key_in_either_header_and_the_same_in_both() {
        let with = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(*name, HeaderValue::from_static(value));
            }
            token(&headers).map(str::to_owned)
        };
        let (plain, bearer) = ("x-api-key", "authorization");
        assert_eq!(with(&[(bearer, "Bearer abc")]), Ok("abc".into()));
        assert_eq!(with(&[(plain, "abc")]), Ok("abc".into()));
        let both = [(plain, "abc"), (bearer, "Bearer abc")];
        assert_eq!(with(&both), Ok("abc".into()));
        for (pairs, error) in [
            (vec![], ApiError::MissingKey),
            (vec![(plain, "abc"), (plain, "abc")], ApiError::InvalidKey),
            (
                vec![(plain, "abc"), (bearer, "Bearer b")],
                ApiError::InvalidKey,
            ),
            (
                vec![(plain, "abc"), (bearer, "Basic abc")],
                ApiError::InvalidKey,
            ),
        ] {
            assert_eq!(with(&pairs), Err(error), "{pairs:?}");
        }
    }

    #[test]
    fn accepts_exactly_one_bearer_token() {
        let with = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, HeaderValue::from_static(value));
            }
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(with(&["Bearer abc"]), Ok("abc".into()));
        assert_eq!(with(&["bearer  abc "]), Ok("abc".into()));
        assert_eq!(with(&[]), Err(ApiError::MissingKey));
        assert_eq!(with(&["Bearer"]), Err(ApiError::MissingKey));
        assert_eq!(with(&["Bearer "]), Err(ApiError::MissingKey));
        assert_eq!(with(&["Basic abc"]), Err(ApiError::MissingKey));
        assert_eq!(with(&["Bearer a", "Bearer a"]), Err(ApiError::InvalidKey));
    }
}
