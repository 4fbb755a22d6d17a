//! What the handlers of organisations, tenants and users share: names, metadata, and why something is refused.

use http::Uri;
use serde::Deserialize;
use serde_json::{Value, json};

use super::body;
use gateway_base::errors::{ApiError, Invalid};
use gateway_base::request::{Holder, Metadata, MetadataChanges, Name};
use gateway_store::ledger::{ActiveKeys, DirectoryError, HolderChanges};

/// Larger than the longest lists of names.
pub(super) const MAX_BODY: usize = 128 << 10;

/// Why a change is refused.
pub(super) fn refusal(error: DirectoryError) -> ApiError {
    match error {
        DirectoryError::Store(_) => ApiError::Internal,
        DirectoryError::NotFound(holder) => not_found(holder),
        DirectoryError::Taken(holder) => ApiError::NameTaken(holder),
        DirectoryError::HasActiveKeys { keys } => ApiError::HasActiveKeys { keys },
        DirectoryError::HasTenants { tenants } => ApiError::HasTenants { tenants },
        DirectoryError::Labels(error) => Invalid::LongList(error).into(),
    }
}

fn not_found(holder: Holder) -> ApiError {
    match holder {
        Holder::Organisation => ApiError::OrganisationNotFound,
        Holder::Tenant => ApiError::TenantNotFound,
        Holder::User => ApiError::UserNotFound,
    }
}

/// A name in a path. There is nothing under any other text.
pub(super) fn in_path(text: &str, holder: Holder) -> Result<Name, ApiError> {
    Name::from_operator(text).map_err(|_| not_found(holder))
}

pub(super) fn name(text: &str, member: &'static str) -> Result<Name, ApiError> {
    Name::from_operator(text).map_err(|_| ApiError::Invalid(Invalid::NameMember(member)))
}

pub(super) fn nullable_name(
    given: Option<Option<String>>,
    member: &'static str,
) -> Result<Option<Option<Name>>, ApiError> {
    let read = |text: Option<String>| text.map(|text| name(&text, member)).transpose();
    given.map(read).transpose()
}

pub(super) fn names(
    given: Option<Vec<String>>,
    member: &'static str,
) -> Result<Option<Vec<Name>>, ApiError> {
    let read = |list: Vec<String>| list.iter().map(|text| name(text, member)).collect();
    given.map(read).transpose()
}

/// The body of a change of an organisation or a user.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeRequest {
    #[serde(default, deserialize_with = "body::nullable")]
    owner: Option<Option<String>>,
    #[serde(default, deserialize_with = "body::nullable")]
    cost_centre: Option<Option<String>>,
    #[serde(default)]
    disabled: Option<bool>,
}

impl ChangeRequest {
    pub fn changes(self) -> Result<HolderChanges, ApiError> {
        let changes = HolderChanges {
            metadata: metadata_changes(self.owner, self.cost_centre)?,
            disabled: self.disabled,
        };
        match changes == HolderChanges::default() {
            true => Err(Invalid::NothingToChange.into()),
            false => Ok(changes),
        }
    }
}

pub(super) fn metadata_changes(
    owner: Option<Option<String>>,
    cost_centre: Option<Option<String>>,
) -> Result<MetadataChanges, ApiError> {
    Ok(MetadataChanges {
        owner: nullable_name(owner, "owner")?,
        cost_centre: nullable_name(cost_centre, "cost_centre")?,
    })
}

pub(super) fn metadata(changes: MetadataChanges) -> Metadata {
    let mut metadata = Metadata::default();
    changes.apply(&mut metadata);
    metadata
}

/// Adds the members of an object to another one.
pub(super) fn with_metadata(mut row: Value, metadata: &Metadata) -> Value {
    row["owner"] = json!(metadata.owner.as_deref());
    row["cost_centre"] = json!(metadata.cost_centre.as_deref());
    row
}

/// `?revoke_keys=true`
pub(super) fn active_keys(uri: &Uri) -> Result<ActiveKeys, ApiError> {
    match uri.query() {
        None | Some("" | "revoke_keys=false") => Ok(ActiveKeys::Refuse),
        Some("revoke_keys=true") => Ok(ActiveKeys::Revoke),
        Some(_) => Err(Invalid::Query.into()),
    }
}
