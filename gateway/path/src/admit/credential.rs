//! API keys: `sk-sealgate-<id>-<secret>`.
//!
//! The id, 12 hex characters, is public and finds the key; the secret is 256 random bits. What is stored and compared
//! is the SHA-256 of the whole, which needs no salt: there is nothing to guess.

use gateway_base::request::KeyId;

use attest_core::Sha256Digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::{Zeroize, Zeroizing};

use gateway_base::config::Sensitive;
use gateway_base::errors::ApiError;

const PREFIX: &str = "sk-sealgate-";
const ID_LEN: usize = 12;
const SECRET_LEN: usize = 43;
const TOKEN_LEN: usize = PREFIX.len() + ID_LEN + 1 + SECRET_LEN;

/// A whole API key, as its owner gets it: once.
pub struct ApiToken(Sensitive<String>);

/// Why a key could not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("the system gave no randomness")]
    Randomness,
}

impl ApiToken {
    /// Makes a new key.
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

    /// The key itself, to be shown to its owner.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    pub fn digest(&self) -> [u8; 32] {
        digest(self.expose())
    }
}

/// What is stored of a key, and what receipts are bound to.
pub fn digest(token: &str) -> [u8; 32] {
    *Sha256Digest::hash(token.as_bytes()).as_bytes()
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

/// The id in a token of the right form.
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
    fn a_new_key_has_the_announced_form_and_names_its_id() {
        let (id, token) = ApiToken::generate().expect("a key");
        assert_eq!(token.expose().len(), TOKEN_LEN);
        assert!(token.expose().starts_with(&format!("sk-sealgate-{id}-")));
        assert_eq!(claimed_id(token.expose()), Some(id));
        assert_eq!(token.digest(), digest(token.expose()));
    }

    #[test]
    fn no_two_keys_are_alike() {
        let (_, a) = ApiToken::generate().expect("a key");
        let (_, b) = ApiToken::generate().expect("a key");
        assert_ne!(a.expose(), b.expose());
    }

    #[test]
    fn a_token_of_another_form_names_no_id() {
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
    fn only_one_bearer_token_is_a_credential() {
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
