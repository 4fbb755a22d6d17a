//! Who holds API keys: organisations, their tenants, and the tenants' users and service accounts.
//!
//! A tenant exists from its first key, or from when it is created, until it is removed. What is registered about each of
//! them are names. Every change is entered into the audit log before it takes effect, and counts as a change of keys: a
//! running service applies it like one.

mod organisations;
mod tenants;
mod users;

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, SqlitePool};

use super::columns::{corrupt, time};
use super::in_ledger;
use crate::error::StoreError;
use crate::sqlite;
use attest_core::UnixTime;
use gateway_base::request::{Holder, LabelsError, Metadata, MetadataChanges, Name};

pub use organisations::{OrganisationRow, Organisations};
pub use tenants::{LabelChanges, NewTenant, TenantChanges, TenantRow, Tenants};
pub use users::{UserRow, Users};

pub(super) use tenants::{ensure as ensure_tenant, is_known as is_known_tenant};
pub(super) use users::exists as user_exists;

/// One of a list, with what belongs to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed<T> {
    pub row: T,
    pub active_keys: u64,
    pub revoked_keys: u64,
    /// The tenants of an organisation, the users of a tenant; none of a user.
    pub members: u64,
}

/// Why the directory does not change.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("there is no {} of this name", .0.as_str())]
    NotFound(Holder),
    #[error("there is a {} of this name already", .0.as_str())]
    Taken(Holder),
    #[error("{keys} active API keys belong to it")]
    HasActiveKeys { keys: u64 },
    #[error("{0}")]
    Labels(LabelsError),
    #[error("{tenants} tenants belong to it")]
    HasTenants { tenants: u64 },
}

/// What is done with the active keys of what is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActiveKeys {
    /// Nothing is removed while there are some.
    Refuse,
    Revoke,
}

/// All of the directory, as of one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DirectoryRows {
    pub organisations: Vec<OrganisationRow>,
    pub tenants: Vec<TenantRow>,
    pub users: Vec<UserRow>,
}

/// Reads all of it, in the caller's transaction.
pub(super) async fn all(on: &mut SqliteConnection) -> Result<DirectoryRows, sqlx::Error> {
    Ok(DirectoryRows {
        organisations: organisations::all(&mut *on).await?,
        tenants: tenants::all(&mut *on).await?,
        users: users::all(&mut *on).await?,
    })
}

/// Runs `work` in a transaction, and commits it unless that fails.
pub(super) async fn write<T>(
    pool: &SqlitePool,
    work: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, Failed>,
) -> Result<T, DirectoryError> {
    let write = async {
        let mut connection = pool.acquire().await?;
        let mut transaction = sqlite::begin_writing(&mut connection).await?;
        let done = work(&mut transaction).await?;
        transaction.commit().await?;
        Ok(done)
    };
    write.await.map_err(|failed: Failed| match failed {
        Failed::Statement(error) => in_ledger(error).into(),
        Failed::Directory(error) => error,
    })
}

/// Why a transaction is not committed.
pub(super) enum Failed {
    Statement(sqlx::Error),
    Directory(DirectoryError),
}

impl From<sqlx::Error> for Failed {
    fn from(error: sqlx::Error) -> Self {
        Self::Statement(error)
    }
}

impl From<DirectoryError> for Failed {
    fn from(error: DirectoryError) -> Self {
        Self::Directory(error)
    }
}

/// What changes about when something was disabled.
fn set_disabled(disabled_at: &mut Option<UnixTime>, disabled: Option<bool>, at: UnixTime) {
    match disabled {
        Some(true) => {
            disabled_at.get_or_insert(at);
        }
        Some(false) => *disabled_at = None,
        None => {}
    }
}

/// The words of a change for the audit log.
/// What changes about an organisation or a user. What is absent stays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HolderChanges {
    pub metadata: MetadataChanges,
    pub disabled: Option<bool>,
}

impl HolderChanges {
    /// What changes, for the audit log.
    fn members(&self) -> String {
        let metadata = self.metadata.members();
        let members: Vec<_> = metadata.chain(disabled_words(self.disabled)).collect();
        members.join(", ")
    }
}

fn disabled_words(disabled: Option<bool>) -> Option<&'static str> {
    disabled.map(|disabled| if disabled { "disabled" } else { "enabled" })
}

fn name(row: &SqliteRow, column: &str) -> Result<Name, sqlx::Error> {
    let text: &str = row.try_get(column)?;
    Name::from_operator(text).map_err(|_| corrupt("name"))
}

fn optional_name(row: &SqliteRow, column: &str) -> Result<Option<Name>, sqlx::Error> {
    let text: Option<&str> = row.try_get(column)?;
    text.map(|text| Name::from_operator(text).map_err(|_| corrupt("name")))
        .transpose()
}

fn moment(row: &SqliteRow, column: &str) -> Result<Option<UnixTime>, sqlx::Error> {
    let secs: Option<i64> = row.try_get(column)?;
    secs.map(time).transpose()
}

fn metadata(row: &SqliteRow) -> Result<Metadata, sqlx::Error> {
    Ok(Metadata {
        owner: optional_name(row, "owner")?,
        cost_centre: optional_name(row, "cost_centre")?,
    })
}

/// A row with the counts of [`Listed`], in columns of these names.
fn listed<T>(
    row: &SqliteRow,
    read: impl FnOnce(&SqliteRow) -> Result<T, sqlx::Error>,
) -> Result<Listed<T>, sqlx::Error> {
    let count = |column: &str| -> Result<u64, sqlx::Error> {
        let count: i64 = row.try_get(column)?;
        Ok(count.unsigned_abs())
    };
    Ok(Listed {
        row: read(row)?,
        active_keys: count("active_keys")?,
        revoked_keys: count("revoked_keys")?,
        members: count("members")?,
    })
}
