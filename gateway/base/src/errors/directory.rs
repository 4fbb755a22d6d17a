//! Errors about organisations, tenants, users, and the labels of their requests.

use http::StatusCode;

use super::{INVALID_REQUEST, PERMISSION, Shape};
use crate::request::{Holder, Label};

pub(super) fn disabled(holder: Holder) -> Shape {
    let (code, message) = match holder {
        Holder::Organisation => (
            "organisation_disabled",
            "The organisation that this credential belongs to is disabled.",
        ),
        Holder::Tenant => (
            "tenant_disabled",
            "The tenant that this credential belongs to is disabled.",
        ),
        Holder::User => (
            "user_disabled",
            "The user that this credential belongs to is disabled.",
        ),
    };
    Shape {
        status: StatusCode::FORBIDDEN,
        kind: PERMISSION,
        code: Some(code),
        param: None,
        message: message.to_owned(),
    }
}

pub(super) fn label_unknown(label: Label) -> Shape {
    let (code, param, message) = match label {
        Label::Scenario => (
            "scenario_unknown",
            "x-sealgate-scenario",
            "X-Sealgate-Scenario must be given once, as a scenario that is registered for the tenant.",
        ),
        Label::Owner => (
            "owner_unknown",
            "x-sealgate-owner",
            "X-Sealgate-Owner must be given once, as an owner that is registered for the tenant.",
        ),
    };
    bad_header(code, param, message)
}

pub(super) fn label_missing(label: Label) -> Shape {
    let (code, param, message) = match label {
        Label::Scenario => (
            "scenario_missing",
            "x-sealgate-scenario",
            "Requests of this tenant need the header X-Sealgate-Scenario.",
        ),
        Label::Owner => (
            "owner_missing",
            "x-sealgate-owner",
            "Requests of this tenant need the header X-Sealgate-Owner.",
        ),
    };
    bad_header(code, param, message)
}

fn bad_header(code: &'static str, param: &'static str, message: &str) -> Shape {
    Shape {
        status: StatusCode::BAD_REQUEST,
        kind: INVALID_REQUEST,
        code: Some(code),
        param: Some(param),
        message: message.to_owned(),
    }
}

pub(super) fn not_found(holder: Holder) -> Shape {
    Shape {
        status: StatusCode::NOT_FOUND,
        kind: "not_found",
        code: None,
        param: None,
        message: format!("There is no {} of this name.", holder.as_str()),
    }
}

pub(super) fn name_taken(holder: Holder) -> Shape {
    let message = format!("There is a {} of this name already.", holder.as_str());
    conflict("name_taken", message)
}

pub(super) fn has_active_keys(keys: u64) -> Shape {
    let message = format!(
        "{keys} active API keys belong to it. Revoke them first, or repeat the request with ?revoke_keys=true."
    );
    conflict("has_active_keys", message)
}

pub(super) fn has_tenants(tenants: u64) -> Shape {
    let message = format!(
        "{tenants} tenants belong to it. Move or remove them first, or repeat the request with ?revoke_keys=true, which removes them."
    );
    conflict("has_tenants", message)
}

fn conflict(code: &'static str, message: String) -> Shape {
    Shape {
        status: StatusCode::CONFLICT,
        kind: INVALID_REQUEST,
        code: Some(code),
        param: None,
        message,
    }
}
