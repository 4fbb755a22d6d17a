//! The names under which the vector files speak of errors, so that they need no Rust to be read.

use attest_core::json::JsonError;
use attest_core::log::{CheckpointError, note::NoteError};
use attest_core::retention::RetentionError;
use attest_core::{
    DocumentError, EncodingError, KeysetError, ReceiptError, ReportError, SessionError,
    SubjectError,
};

pub fn encoding(error: &EncodingError) -> &'static str {
    match error {
        EncodingError::WrongLength { .. } => "encoding.wrong_length",
        EncodingError::OddLength { .. } => "encoding.odd_length",
        EncodingError::UpperCaseHex { .. } => "encoding.upper_case_hex",
        EncodingError::NotHex { .. } => "encoding.not_hex",
        EncodingError::TooLong { .. } => "encoding.too_long",
        EncodingError::MissingDigestPrefix => "encoding.missing_digest_prefix",
        EncodingError::Base64WhiteSpace { .. } => "encoding.base64_white_space",
        EncodingError::Base64UrlSafe { .. } => "encoding.base64_url_safe",
        EncodingError::NotBase64 { .. } => "encoding.not_base64",
        EncodingError::Base64Padding => "encoding.base64_padding",
        EncodingError::Base64TrailingBits => "encoding.base64_trailing_bits",
    }
}

pub fn json(error: &JsonError) -> &'static str {
    match error {
        JsonError::TooLong { .. } => "json.too_long",
        JsonError::NotUtf8 { .. } => "json.not_utf8",
        JsonError::Truncated => "json.truncated",
        JsonError::Unexpected { .. } => "json.unexpected",
        JsonError::TrailingBytes { .. } => "json.trailing_bytes",
        JsonError::TooDeep { .. } => "json.too_deep",
        JsonError::DuplicateName { .. } => "json.duplicate_name",
        JsonError::NotAnInteger { .. } => "json.not_an_integer",
        JsonError::NumberTooLarge { .. } => "json.number_too_large",
        JsonError::ControlCharacter { .. } => "json.control_character",
        JsonError::BadEscape { .. } => "json.bad_escape",
        JsonError::LoneSurrogate { .. } => "json.lone_surrogate",
        JsonError::NumberNotCanonical => "json.number_not_canonical",
    }
}

pub fn document(error: &DocumentError) -> &'static str {
    match error {
        DocumentError::Json(error) => json(error),
        DocumentError::Encoding { error, .. } => encoding(error),
        DocumentError::Missing { .. } => "document.missing",
        DocumentError::WrongType { .. } => "document.wrong_type",
        DocumentError::UnknownMember { .. } => "document.unknown_member",
        DocumentError::UnknownValue { .. } => "document.unknown_value",
        DocumentError::Empty { .. } => "document.empty",
        DocumentError::Version { .. } => "document.version",
    }
}

pub fn keyset(error: &KeysetError) -> &'static str {
    match error {
        KeysetError::Document(error) => document(error),
        KeysetError::DuplicateKeyId { .. } => "keyset.duplicate_key_id",
        KeysetError::SharedKey { .. } => "keyset.shared_key",
        KeysetError::UnknownKey { .. } => "signing_key.unknown",
        KeysetError::UnsupportedAlgorithm { .. } => "signing_key.unsupported_algorithm",
        KeysetError::TlsKeyNotListed { .. } => "keyset.tls_key_not_listed",
        KeysetError::TlsKeyNotForHost { .. } => "keyset.tls_key_not_for_host",
    }
}

pub fn report(error: &ReportError) -> &'static str {
    match error {
        ReportError::Document(error) => document(error),
        ReportError::Keyset(error) | ReportError::SigningKey(error) => keyset(error),
        ReportError::Collateral(_) => "report.collateral",
        ReportError::UnsupportedTee { .. } => "report.unsupported_tee",
        ReportError::UnsupportedProfile { .. } => "report.unsupported_profile",
        ReportError::TeeMismatch { .. } => "report.tee_mismatch",
        ReportError::KeysetDigestMismatch { .. } => "report.keyset_digest_mismatch",
        ReportError::Unsigned => "report.unsigned",
        ReportError::Signature => "report.signature",
    }
}

pub fn receipt(error: &ReceiptError) -> &'static str {
    match error {
        ReceiptError::Document(error) => document(error),
        ReceiptError::SigningKey(error) => keyset(error),
        ReceiptError::FirstEvent { .. } => "receipt.first_event",
        ReceiptError::RepeatedEvent { .. } => "receipt.repeated_event",
        ReceiptError::MissingEvent { .. } => "receipt.missing_event",
        ReceiptError::ReservedEvent { .. } => "receipt.reserved_event",
        ReceiptError::KeysetDigestMismatch { .. } => "receipt.keyset_digest_mismatch",
        ReceiptError::Signature => "receipt.signature",
        ReceiptError::RequestMismatch { .. } => "receipt.request_mismatch",
        ReceiptError::ResponseMismatch { .. } => "receipt.response_mismatch",
    }
}

pub fn head(error: &CheckpointError) -> &'static str {
    match error {
        CheckpointError::Note(NoteError::TooLong) => "note.too_long",
        CheckpointError::Note(NoteError::Malformed) => "note.malformed",
        CheckpointError::Note(NoteError::NotSignedByKey { .. }) => "note.not_signed_by_key",
        CheckpointError::Note(NoteError::Signature) => "note.signature",
        CheckpointError::Text(_) => "checkpoint.text",
    }
}

pub fn session(error: &SessionError) -> &'static str {
    match error {
        SessionError::Document(error) => document(error),
        SessionError::Period { .. } => "session.period",
        SessionError::DataUri => "session.data_uri",
        SessionError::EvidenceDigest { .. } => "session.evidence_digest",
        SessionError::Id { .. } => "session.id",
    }
}

pub fn subject(error: &SubjectError) -> &'static str {
    match error {
        SubjectError::Scheme => "subject.scheme",
        SubjectError::Shape => "subject.shape",
        SubjectError::Config(_) => "subject.config",
        SubjectError::Retention(_) => "subject.retention",
    }
}

pub fn retention(error: &RetentionError) -> &'static str {
    match error {
        RetentionError::TooLarge => "retention.too_large",
        RetentionError::PublishedTooLarge => "retention.published_too_large",
        RetentionError::Syntax(_) | RetentionError::Field(_) => "retention.toml",
        RetentionError::Json(error) => json(error),
        RetentionError::Shape(_) => "retention.shape",
        RetentionError::NotCanonical => "retention.not_canonical",
        RetentionError::Format(_) => "retention.format",
        RetentionError::SaltMissing => "retention.salt_missing",
        RetentionError::SaltInFormatOne => "retention.salt_in_format_one",
        RetentionError::Salt(_) => "retention.salt",
        RetentionError::NamesMissing => "retention.names_missing",
        RetentionError::NotPublished => "retention.not_published",
        RetentionError::Epoch(_) => "retention.epoch",
        RetentionError::PredecessorMisplaced { .. } => "retention.predecessor_misplaced",
        RetentionError::Predecessor(error) => encoding(error),
        RetentionError::Description => "retention.description",
        RetentionError::TooManyRules => "retention.too_many_rules",
        RetentionError::Terms { .. } => "retention.terms",
        RetentionError::Names { .. } => "retention.names",
        RetentionError::Commitments { .. } => "retention.commitments",
        RetentionError::ContentOverlap(..) => "retention.content_overlap",
    }
}
