//! Preconditions in request headers, checked before the body is read (profile `sealgate/1`).
//!
//! They only tighten: they can make a request fail, never allow more than without them.

use http::{HeaderMap, HeaderName};

use attest_core::Sha256Digest;
use attest_core::retention::RetentionMode;
use gateway_base::errors::ApiError;
use gateway_base::errors::Invalid;
use gateway_base::request::{KEYSET_DIGEST, Label, LabelRules, Labels, MODEL, Name, RETENTION};

/// Checks that the keyset of this connection is the one that the client pinned.
pub(super) fn check_keyset(headers: &HeaderMap, keyset: &Sha256Digest) -> Result<(), ApiError> {
    if let Some(text) = single(headers, &KEYSET_DIGEST, Invalid::KeysetHeader)? {
        let pinned = Sha256Digest::parse(text).map_err(|_| Invalid::KeysetHeader)?;
        if pinned != *keyset {
            return Err(ApiError::KeysetPrecondition);
        }
    }
    Ok(())
}

/// Is no more kept than the caller allows? The body, which names the model, has not been read: what counts is the most
/// that is kept of this caller's requests to any model, or to the model that a header announces.
pub(super) fn check_retention(
    headers: &HeaderMap,
    most: impl FnOnce(Option<&str>) -> RetentionMode,
) -> Result<(), ApiError> {
    let announced = single(headers, &MODEL, Invalid::ModelHeader)?;
    let Some(text) = single(headers, &RETENTION, Invalid::RetentionHeader)? else {
        return Ok(());
    };
    let allowed = RetentionMode::parse(text).ok_or(Invalid::RetentionHeader)?;
    if most(announced) > allowed {
        return Err(ApiError::RetentionPrecondition);
    }
    Ok(())
}

/// Is the model the one that was announced, if one was?
pub(super) fn check_model(headers: &HeaderMap, model: &str) -> Result<(), ApiError> {
    match single(headers, &MODEL, Invalid::ModelHeader)? {
        Some(announced) if announced != model => Err(Invalid::OtherModel.into()),
        _ => Ok(()),
    }
}

/// The labels that the headers name. Each is the registered name, not the text of the header.
pub(super) fn labels(headers: &HeaderMap, rules: &LabelRules) -> Result<Labels, ApiError> {
    Ok(Labels {
        scenario: label(headers, Label::Scenario, rules)?,
        owner: label(headers, Label::Owner, rules)?,
    })
}

fn label(headers: &HeaderMap, label: Label, rules: &LabelRules) -> Result<Option<Name>, ApiError> {
    let mut all = headers.get_all(label.header()).iter();
    let value = match (all.next(), all.next()) {
        (Some(value), None) => value,
        (None, _) if rules.requires(label) => return Err(ApiError::LabelMissing(label)),
        (None, _) => return Ok(None),
        (Some(_), Some(_)) => return Err(ApiError::LabelUnknown(label)),
    };
    let named = value.to_str().ok().and_then(|text| rules.find(label, text));
    let named = named.ok_or(ApiError::LabelUnknown(label))?;
    Ok(Some(named.clone()))
}

fn single<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
    otherwise: Invalid,
) -> Result<Option<&'a str>, Invalid> {
    let mut all = headers.get_all(name).iter();
    match (all.next(), all.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| otherwise),
        (Some(_), Some(_)) => Err(otherwise),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn check_with(pairs: &[(&HeaderName, &str)]) -> Result<(), ApiError> {
        check_where(pairs, |_| RetentionMode::Metadata)
    }

    fn check_where(
        pairs: &[(&HeaderName, &str)],
        most: impl FnOnce(Option<&str>) -> RetentionMode,
    ) -> Result<(), ApiError> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_str(value).expect("a header"));
        }
        check_keyset(&headers, &Sha256Digest::hash(b"ours"))?;
        check_retention(&headers, most)
    }

    #[test]
    fn accepts_preconditions_that_hold() {
        let ours = Sha256Digest::hash(b"ours").to_string();
        assert_eq!(check_with(&[]), Ok(()));
        assert_eq!(
            check_with(&[(&KEYSET_DIGEST, &ours), (&RETENTION, "metadata")]),
            Ok(())
        );
    }

    #[test]
    fn rejects_preconditions_with_their_reasons() {
        let theirs = Sha256Digest::hash(b"theirs").to_string();
        let ours = Sha256Digest::hash(b"ours").to_string();
        assert_eq!(
            check_with(&[(&KEYSET_DIGEST, &theirs)]),
            Err(ApiError::KeysetPrecondition)
        );
        assert_eq!(
            check_with(&[(&RETENTION, "zero")]),
            Err(ApiError::RetentionPrecondition)
        );
        for text in ["", "*", &ours[7..], &ours.to_uppercase()] {
            assert_eq!(
                check_with(&[(&KEYSET_DIGEST, text)]),
                Err(Invalid::KeysetHeader.into()),
                "{text}"
            );
        }
        assert_eq!(
            check_with(&[(&KEYSET_DIGEST, &ours), (&KEYSET_DIGEST, &ours)]),
            Err(Invalid::KeysetHeader.into())
        );
        for text in ["", "everything", "Zero", "metadata, zero"] {
            assert_eq!(
                check_with(&[(&RETENTION, text)]),
                Err(Invalid::RetentionHeader.into()),
                "{text}"
            );
        }
    }

    #[test]
    fn labels_are_registered_names_and_some_are_required() {
        let name = |text: &str| Name::from_operator(text).expect("a name");
        let mut rules = LabelRules::default();
        let set = rules.set_values(Label::Scenario, vec![name("s-1"), name("s-2")]);
        assert_eq!(set, Ok(()));
        let with = |rules: &LabelRules, pairs: &[(&'static str, &[u8])]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(*name, HeaderValue::from_bytes(value).expect("a header"));
            }
            labels(&headers, rules)
        };
        let scenario = "x-sealgate-scenario";
        assert_eq!(with(&rules, &[]), Ok(Labels::default()));
        let expected = Labels {
            scenario: Some(name("s-2")),
            owner: None,
        };
        assert_eq!(with(&rules, &[(scenario, b"s-2")]), Ok(expected));
        let unknown = Err(ApiError::LabelUnknown(Label::Scenario));
        for value in [&b"s-3"[..], b"", b"S-1", b"s-1,s-2", b"\xff"] {
            assert_eq!(with(&rules, &[(scenario, value)]), unknown);
        }
        let twice = [(scenario, &b"s-1"[..]), (scenario, b"s-1")];
        assert_eq!(with(&rules, &twice), unknown);
        let owner = [("x-sealgate-owner", &b"s-1"[..])];
        let unknown = Err(ApiError::LabelUnknown(Label::Owner));
        assert_eq!(with(&rules, &owner), unknown, "of the other kind");
        rules.set_required(&[Label::Scenario]);
        let missing = Err(ApiError::LabelMissing(Label::Scenario));
        assert_eq!(with(&rules, &[]), missing);
    }

    #[test]
    fn a_retention_mode_allows_itself_and_stricter_ones() {
        for kept in RetentionMode::ALL {
            for allowed in RetentionMode::ALL {
                let outcome = check_where(&[(&RETENTION, allowed.as_str())], |_| kept);
                let expected = if kept > allowed {
                    Err(ApiError::RetentionPrecondition)
                } else {
                    Ok(())
                };
                assert_eq!(outcome, expected, "{kept} where {allowed} is allowed");
            }
        }
    }

    #[test]
    fn an_announced_model_has_to_be_the_models_name() {
        let most = |model: Option<&str>| match model {
            Some("private") => RetentionMode::Zero,
            _ => RetentionMode::Metadata,
        };
        let zero = (&RETENTION, "zero");
        assert_eq!(
            check_where(&[zero], most),
            Err(ApiError::RetentionPrecondition)
        );
        assert_eq!(check_where(&[zero, (&MODEL, "private")], most), Ok(()));
        assert_eq!(
            check_where(&[zero, (&MODEL, "other")], most),
            Err(ApiError::RetentionPrecondition)
        );
        let twice = [(&MODEL, "private"), (&MODEL, "private")];
        assert_eq!(check_where(&twice, most), Err(Invalid::ModelHeader.into()));
        let headers = HeaderMap::from_iter([(MODEL, HeaderValue::from_static("private"))]);
        assert_eq!(check_model(&headers, "private"), Ok(()));
        assert_eq!(
            check_model(&headers, "other"),
            Err(Invalid::OtherModel.into())
        );
        assert_eq!(check_model(&HeaderMap::new(), "other"), Ok(()));
    }
}
