//! API keys, in the table `api_keys`: a public id, the tenant, its user, and the digest of the key; never the key.

use sqlx::{Connection, Row, SqliteConnection, SqliteExecutor, SqlitePool, sqlite::SqliteRow};

use super::columns::{corrupt, secs, time};
use super::directory::{self, DirectoryError, DirectoryRows, Failed};
use super::limits::{self, LimitRow};
use super::{budgets, in_ledger};
use crate::audit::AuditLog;
use crate::error::StoreError;
use crate::sqlite::{self, DatabaseFile};
use attest_core::UnixTime;
use attest_core::log::AdminAction;
use gateway_base::quota::{NumberedBudget, NumberedGrant};
use gateway_base::request::{Holder, Name, RestrictionChanges, Restrictions, WrittenRestrictions};

/// A key about to be registered.
pub struct NewKey {
    pub id: String,
    pub tenant: Name,
    /// A user or service account of the tenant.
    pub user: Option<Name>,
    pub name: Option<Name>,
    /// SHA-256 of the key.
    pub digest: [u8; 32],
    pub created_at: UnixTime,
    /// `None`: it does not expire.
    pub expires_at: Option<UnixTime>,
    pub restrictions: Restrictions,
}

/// A registered key.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyRow {
    pub id: String,
    pub tenant: Name,
    /// The user or service account of the tenant that it belongs to.
    pub user: Option<Name>,
    pub name: Option<Name>,
    pub digest: [u8; 32],
    pub created_at: UnixTime,
    pub expires_at: Option<UnixTime>,
    pub blocked_at: Option<UnixTime>,
    pub revoked_at: Option<UnixTime>,
    /// The id of the key that this one was made to replace.
    pub replaces: Option<String>,
    pub restrictions: Restrictions,
}

/// The key that replaces another one.
pub struct Replacement {
    pub id: String,
    /// SHA-256 of the key.
    pub digest: [u8; 32],
    pub created_at: UnixTime,
    pub expires_at: Option<UnixTime>,
}

/// What changes about a key. What is absent stays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KeyChanges {
    pub name: Option<Name>,
    /// The inner `None`: it belongs to the tenant alone.
    pub user: Option<Option<Name>>,
    /// The inner `None`: it does not expire.
    pub expires_at: Option<Option<UnixTime>>,
    pub blocked: Option<bool>,
    pub restrictions: RestrictionChanges,
}

impl KeyChanges {
    fn apply(self, key: &mut KeyRow, at: UnixTime) {
        if let Some(name) = self.name {
            key.name = Some(name);
        }
        if let Some(user) = self.user {
            key.user = user;
        }
        if let Some(expires_at) = self.expires_at {
            key.expires_at = expires_at;
        }
        match self.blocked {
            Some(true) => {
                key.blocked_at.get_or_insert(at);
            }
            Some(false) => key.blocked_at = None,
            None => {}
        }
        self.restrictions.apply(&mut key.restrictions);
    }

    /// What changes, for the audit log.
    fn members(&self) -> Vec<&'static str> {
        let own = [
            ("name", self.name.is_some()),
            ("user", self.user.is_some()),
            ("expires_at", self.expires_at.is_some()),
            ("blocked", self.blocked == Some(true)),
            ("unblocked", self.blocked == Some(false)),
        ];
        let own = own.into_iter().filter(|(_, present)| *present);
        let mut members: Vec<_> = own.map(|(name, _)| name).collect();
        members.extend(self.restrictions.members());
        members
    }
}

/// The active keys, the directory and the limits after a change, and the number of that change.
pub struct ChangedKeys {
    pub keys: Vec<KeyRow>,
    pub directory: DirectoryRows,
    /// Every budget and credit.
    pub budgets: Vec<NumberedBudget>,
    pub credits: Vec<NumberedGrant>,
    pub limits: Vec<LimitRow>,
    pub generation: i64,
}

/// The API keys. Every change is entered into the audit log before it takes effect.
pub struct Keys<'a> {
    pub(super) pool: &'a SqlitePool,
    pub(super) audit: &'a AuditLog,
    pub(super) file: &'a DatabaseFile,
}

impl Keys<'_> {
    pub async fn all(&self) -> Result<Vec<KeyRow>, StoreError> {
        all(self.pool).await.map_err(in_ledger)
    }

    /// The number of the last change to the keys.
    pub async fn generation(&self) -> Result<i64, StoreError> {
        generation(self.pool).await.map_err(in_ledger)
    }

    /// Watches for changes by another process.
    pub async fn watch(&self) -> Result<ChangeWatch, StoreError> {
        Ok(ChangeWatch {
            file: self.file.clone(),
            connection: self.file.connect().await?,
            version: None,
            generation: None,
        })
    }

    /// The first key of a tenant creates the tenant.
    pub async fn add(&self, key: NewKey) -> Result<KeyRow, DirectoryError> {
        let known = directory::is_known_tenant(self.pool, &key.tenant).await;
        let known = known.map_err(in_ledger)?;
        self.check_user(&key.tenant, key.user.as_ref()).await?;
        if !known {
            let subject = format!("tenant {}", key.tenant);
            self.audit
                .append_admin_action(key.created_at, AdminAction::TenantCreated, &subject)
                .await?;
        }
        let subject = format!("key {} of tenant {}", key.id, key.tenant);
        self.audit
            .append_admin_action(key.created_at, AdminAction::KeyCreated, &subject)
            .await?;
        let NewKey {
            id,
            tenant,
            user,
            name,
            digest,
            created_at,
            expires_at,
            restrictions,
        } = key;
        let row = KeyRow {
            id,
            tenant,
            user,
            name,
            digest,
            created_at,
            expires_at,
            blocked_at: None,
            revoked_at: None,
            replaces: None,
            restrictions,
        };
        directory::write(self.pool, async |on| {
            directory::ensure_tenant(&mut *on, &row.tenant, row.created_at).await?;
            check_user(&mut *on, &row.tenant, row.user.as_ref()).await?;
            add(on, &row).await?;
            Ok(row)
        })
        .await
    }

    async fn check_user(&self, tenant: &Name, user: Option<&Name>) -> Result<(), DirectoryError> {
        let Some(user) = user else { return Ok(()) };
        let exists = directory::user_exists(self.pool, tenant, user).await;
        match exists.map_err(in_ledger)? {
            true => Ok(()),
            false => Err(NO_USER),
        }
    }

    /// Changes a key that is not revoked. Returns it as it is now; `None` if there is none of that id.
    pub async fn change(
        &self,
        id: &str,
        at: UnixTime,
        changes: KeyChanges,
    ) -> Result<Option<KeyRow>, DirectoryError> {
        let found = active(self.pool, id).await.map_err(in_ledger)?;
        let Some(KeyRow { tenant, .. }) = found else {
            return Ok(None);
        };
        let user = changes.user.as_ref().and_then(Option::as_ref);
        self.check_user(&tenant, user).await?;
        let members = changes.members().join(", ");
        let subject = format!("key {id} of tenant {tenant}: {members}");
        self.audit
            .append_admin_action(at, AdminAction::KeyChanged, &subject)
            .await?;
        directory::write(self.pool, async |on| {
            let Some(mut key) = active(&mut *on, id).await? else {
                return Ok(None);
            };
            changes.apply(&mut key, at);
            check_user(&mut *on, &key.tenant, key.user.as_ref()).await?;
            update(&mut *on, &key).await?;
            Ok(Some(key))
        })
        .await
    }

    /// Registers the key that replaces `id`: of the same tenant, with its name and restrictions. The replaced key expires at
    /// `overlap_ends`, or earlier if it was to expire earlier. Returns the new key; `None` if there is no such key.
    pub async fn rotate(
        &self,
        id: &str,
        replacement: Replacement,
        overlap_ends: UnixTime,
    ) -> Result<Option<KeyRow>, StoreError> {
        let tenant = tenant_of_active(self.pool, id).await.map_err(in_ledger)?;
        let Some(tenant) = tenant else {
            return Ok(None);
        };
        let Replacement {
            id: new_id,
            digest,
            created_at,
            expires_at,
        } = replacement;
        for (action, subject) in [
            (
                AdminAction::KeyCreated,
                format!("key {new_id} of tenant {tenant}: replaces {id}"),
            ),
            (
                AdminAction::KeyChanged,
                format!("key {id} of tenant {tenant}: expires_at"),
            ),
        ] {
            self.audit
                .append_admin_action(created_at, action, &subject)
                .await?;
        }
        let mut added = None;
        self.write(async |on| {
            let Some(mut old) = active(&mut *on, id).await? else {
                return Ok(());
            };
            let earlier = old.expires_at.is_some_and(|at| at <= overlap_ends);
            if !earlier {
                old.expires_at = Some(overlap_ends);
            }
            update(&mut *on, &old).await?;
            let key = KeyRow {
                id: new_id,
                digest,
                created_at,
                expires_at,
                blocked_at: None,
                revoked_at: None,
                replaces: Some(old.id),
                tenant: old.tenant,
                user: old.user,
                name: old.name,
                restrictions: old.restrictions,
            };
            add(&mut *on, &key).await?;
            added = Some(key);
            Ok(())
        })
        .await?;
        Ok(added)
    }

    async fn write(
        &self,
        work: impl AsyncFnOnce(&mut SqliteConnection) -> Result<(), sqlx::Error>,
    ) -> Result<(), StoreError> {
        let write = async {
            let mut connection = self.pool.acquire().await?;
            let mut transaction = sqlite::begin_writing(&mut connection).await?;
            work(&mut transaction).await?;
            transaction.commit().await
        };
        write.await.map_err(in_ledger)
    }

    /// Returns false if no active key has that id.
    pub async fn revoke(&self, id: &str, at: UnixTime) -> Result<bool, StoreError> {
        let tenant = tenant_of_active(self.pool, id).await.map_err(in_ledger)?;
        let Some(tenant) = tenant else {
            return Ok(false);
        };
        let subject = format!("key {id} of tenant {tenant}");
        self.audit
            .append_admin_action(at, AdminAction::KeyRevoked, &subject)
            .await?;
        revoke(self.pool, id, at).await.map_err(in_ledger)
    }
}

async fn generation(on: impl SqliteExecutor<'_>) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("SELECT generation FROM key_changes")
        .fetch_one(on)
        .await
}

async fn add(on: impl SqliteExecutor<'_>, key: &KeyRow) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO api_keys \
         (id, tenant, user_name, name, digest, created_at, expires_at, replaces, restrictions) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(&key.id)
    .bind(key.tenant.as_str())
    .bind(key.user.as_deref())
    .bind(key.name.as_ref().map(Name::as_str))
    .bind(&key.digest[..])
    .bind(secs(key.created_at))
    .bind(key.expires_at.map(secs))
    .bind(&key.replaces)
    .bind(written(&key.restrictions)?)
    .execute(on)
    .await?;
    Ok(())
}

/// Writes what can change about a key.
async fn update(on: impl SqliteExecutor<'_>, key: &KeyRow) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE api_keys SET user_name = ?, name = ?, expires_at = ?, blocked_at = ?, restrictions = ? \
         WHERE id = ?",
    )
    .bind(key.user.as_deref())
    .bind(key.name.as_ref().map(Name::as_str))
    .bind(key.expires_at.map(secs))
    .bind(key.blocked_at.map(secs))
    .bind(written(&key.restrictions)?)
    .bind(&key.id)
    .execute(on)
    .await?;
    Ok(())
}

fn written(restrictions: &Restrictions) -> Result<String, sqlx::Error> {
    serde_json::to_string(&restrictions.written())
        .map_err(|error| sqlx::Error::Encode(Box::new(error)))
}

pub(super) async fn all(on: impl SqliteExecutor<'_>) -> Result<Vec<KeyRow>, sqlx::Error> {
    let rows = sqlx::query("SELECT * FROM api_keys ORDER BY created_at, id")
        .fetch_all(on)
        .await?;
    rows.iter().map(read).collect()
}

async fn all_active(on: impl SqliteExecutor<'_>) -> Result<Vec<KeyRow>, sqlx::Error> {
    let rows = sqlx::query("SELECT * FROM api_keys WHERE revoked_at IS NULL")
        .fetch_all(on)
        .await?;
    rows.iter().map(read).collect()
}

/// A key that is not revoked.
async fn active(on: impl SqliteExecutor<'_>, id: &str) -> Result<Option<KeyRow>, sqlx::Error> {
    let row = sqlx::query("SELECT * FROM api_keys WHERE id = ? AND revoked_at IS NULL")
        .bind(id)
        .fetch_optional(on)
        .await?;
    row.as_ref().map(read).transpose()
}

async fn tenant_of_active(
    on: impl SqliteExecutor<'_>,
    id: &str,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar("SELECT tenant FROM api_keys WHERE id = ? AND revoked_at IS NULL")
        .bind(id)
        .fetch_optional(on)
        .await
}

const NO_USER: DirectoryError = DirectoryError::NotFound(Holder::User);

/// A user may have been removed since it was checked first.
async fn check_user(
    on: &mut SqliteConnection,
    tenant: &Name,
    user: Option<&Name>,
) -> Result<(), Failed> {
    match user {
        Some(user) if !directory::user_exists(on, tenant, user).await? => Err(NO_USER.into()),
        _ => Ok(()),
    }
}

async fn revoke(on: impl SqliteExecutor<'_>, id: &str, at: UnixTime) -> Result<bool, sqlx::Error> {
    let done =
        sqlx::query("UPDATE api_keys SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL")
            .bind(secs(at))
            .bind(id)
            .execute(on)
            .await?;
    Ok(done.rows_affected() == 1)
}

fn read(row: &SqliteRow) -> Result<KeyRow, sqlx::Error> {
    let name: Option<&str> = row.try_get("name")?;
    let user: Option<&str> = row.try_get("user_name")?;
    let digest: &[u8] = row.try_get("digest")?;
    let parse = |name| Name::from_operator(name).map_err(|_| corrupt("API key name"));
    let moment = |column| -> Result<Option<UnixTime>, sqlx::Error> {
        let secs: Option<i64> = row.try_get(column)?;
        secs.map(time).transpose()
    };
    Ok(KeyRow {
        id: row.try_get("id")?,
        tenant: parse(row.try_get("tenant")?)?,
        user: user.map(parse).transpose()?,
        name: name.map(parse).transpose()?,
        digest: digest.try_into().map_err(|_| corrupt("API key digest"))?,
        created_at: time(row.try_get("created_at")?)?,
        expires_at: moment("expires_at")?,
        blocked_at: moment("blocked_at")?,
        revoked_at: moment("revoked_at")?,
        replaces: row.try_get("replaces")?,
        restrictions: restrictions(row.try_get("restrictions")?)?,
    })
}

/// A key whose restrictions cannot be read is an error: without them it could do more than it may.
fn restrictions(text: &str) -> Result<Restrictions, sqlx::Error> {
    let unreadable = || corrupt("API key restrictions");
    let written: WrittenRestrictions = serde_json::from_str(text).map_err(|_| unreadable())?;
    let changes = written.read().map_err(|_| unreadable())?;
    let mut restrictions = Restrictions::default();
    changes.apply(&mut restrictions);
    Ok(restrictions)
}

/// Detects changes to the keys. A poll costs one pragma if no other connection has committed, and one row otherwise.
pub struct ChangeWatch {
    file: DatabaseFile,
    connection: SqliteConnection,
    // SQLite's number at the last poll. It is of this connection: another one counts differently.
    version: Option<i64>,
    // The change whose keys were returned last.
    generation: Option<i64>,
}

impl ChangeWatch {
    /// The active keys and the directory, if anything has changed since the last call.
    pub async fn changed_keys(&mut self) -> Result<Option<ChangedKeys>, StoreError> {
        let changed = self.poll().await;
        if changed.is_err() {
            // The state of the connection's transaction is unknown after an error, so it is replaced.
            self.connection = self.file.connect().await?;
            self.version = None;
        }
        changed.map_err(in_ledger)
    }

    async fn poll(&mut self) -> Result<Option<ChangedKeys>, sqlx::Error> {
        let version = sqlite::data_version(&mut self.connection).await?;
        if self.version == Some(version) {
            return Ok(None);
        }
        // One transaction, so that keys and directory are those of that generation.
        let mut snapshot = self.connection.begin().await?;
        let generation = generation(&mut *snapshot).await?;
        if self.generation == Some(generation) {
            snapshot.commit().await?;
            self.version = Some(version);
            return Ok(None);
        }
        let keys = all_active(&mut *snapshot).await?;
        let directory = directory::all(&mut snapshot).await?;
        let budgets = budgets::budgets(&mut *snapshot).await?;
        let credits = budgets::credits(&mut *snapshot).await?;
        let limits = limits::all(&mut *snapshot).await?;
        snapshot.commit().await?;
        // Last: after an error before this point the next call reads the keys again.
        self.version = Some(version);
        self.generation = Some(generation);
        Ok(Some(ChangedKeys {
            keys,
            directory,
            budgets,
            credits,
            limits,
            generation,
        }))
    }
}
