//! The tokens that a request may use, for limits and budgets.

use super::Fields;
use gateway_base::errors::{ApiError, Invalid};
use gateway_base::request::Endpoint;
use gateway_quota::{DEFAULT_OUTPUT, Estimate, OutputLimit};

/// Of a body with so many bytes and these fields.
pub(super) fn estimate(
    endpoint: Endpoint,
    fields: &Fields,
    body: u64,
) -> Result<Estimate, ApiError> {
    let output = match fields.output_limit {
        _ if endpoint == Endpoint::Embeddings => 0,
        OutputLimit::Tokens(tokens) => tokens,
        OutputLimit::None => DEFAULT_OUTPUT,
        // An engine may take it for any number.
        OutputLimit::Unreadable => return Err(ApiError::Invalid(Invalid::OutputLimit)),
    };
    Ok(Estimate::of_body(body, output, fields.answers))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(body: &str) -> Fields {
        Fields::read(body.as_bytes(), Endpoint::Chat).expect("a body")
    }

    #[test]
    fn a_request_without_a_limit_of_its_output_counts_with_the_default() {
        let body = r#"{"model":"m","n":2}"#;
        let estimated = estimate(Endpoint::Chat, &fields(body), 40).map(Estimate::total);
        assert_eq!(estimated, Ok(10 + 2 * DEFAULT_OUTPUT));
        let estimated = estimate(Endpoint::Embeddings, &fields(body), 40).map(Estimate::total);
        assert_eq!(estimated, Ok(10));
        let body = r#"{"model":"m","max_tokens":"7"}"#;
        assert_eq!(
            estimate(Endpoint::Chat, &fields(body), 40),
            Err(ApiError::Invalid(Invalid::OutputLimit))
        );
    }
}
