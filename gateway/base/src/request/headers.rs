//! Headers of ACI/1 and of this service.

/// Response header: the protocol version (ACI/1 §5.2).
pub const ACI_VERSION: http::HeaderName = http::HeaderName::from_static("x-aci-version");
/// Response header, and precondition on requests: the digest of the active keyset.
pub const KEYSET_DIGEST: http::HeaderName = http::HeaderName::from_static("x-aci-keyset-digest");
/// Response header: the id of the receipt.
pub const RECEIPT_ID: http::HeaderName = http::HeaderName::from_static("x-receipt-id");
/// Response header: what the request cost.
pub const COST: http::HeaderName = http::HeaderName::from_static("x-sealgate-cost");
/// Response header: what remains of budgets that callers are shown.
pub const BUDGET_REMAINING: http::HeaderName =
    http::HeaderName::from_static("x-sealgate-budget-remaining");
/// Announces a request's model, so that preconditions can be checked for it before the body is read.
pub const MODEL: http::HeaderName = http::HeaderName::from_static("x-sealgate-model");
/// Precondition on requests: the most retention that the caller allows.
pub const RETENTION: http::HeaderName = http::HeaderName::from_static("x-sealgate-retention");
/// The scenario that the caller counts a request to: an id that is registered for its tenant.
pub const SCENARIO: http::HeaderName = http::HeaderName::from_static("x-sealgate-scenario");
/// The owner that the caller counts a request to: a name that is registered for its tenant.
pub const OWNER: http::HeaderName = http::HeaderName::from_static("x-sealgate-owner");
