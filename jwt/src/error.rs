//! Why a token is refused.

/// Why a token is refused. Not one of these has text of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TokenError {
    /// Not three parts of base64url, too long, or not JSON objects without repeated members.
    #[error("not a well-formed JWT")]
    Malformed,
    /// The header has another type than a JWT's, or `crit`, or `b64`.
    #[error("a type or an extension in the header is not accepted")]
    Header,
    /// `alg` is not accepted from this issuer, or is not for the key that `kid` names.
    #[error("the algorithm is not accepted, or is not for the key")]
    Algorithm,
    /// `iss` is another issuer.
    #[error("another issuer")]
    Issuer,
    /// The issuer has no such key.
    #[error("the issuer has no such key")]
    KeyUnknown,
    #[error("the signature is not valid")]
    Signature,
    /// A claim is missing or has the wrong type.
    #[error("a claim is missing or has the wrong type")]
    Claims,
    /// `aud` is for another service.
    #[error("another audience")]
    Audience,
    #[error("expired")]
    Expired,
    #[error("not valid yet")]
    NotYetValid,
}
