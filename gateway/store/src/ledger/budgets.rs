//! Budgets and credits, in the tables `budgets` and `credits`, and what was spent of them, in `budget_spent`.

use serde_json::{Map, Value};
use sqlx::{Row, SqliteConnection, SqliteExecutor, SqlitePool, sqlite::SqliteRow};

use super::columns::{corrupt, secs, signed, time};
use super::in_ledger;
use crate::audit::AuditLog;
use crate::error::StoreError;
use crate::sqlite;
use attest_core::UnixTime;
use attest_core::log::AdminAction;
use gateway_base::quota::{
    AccountKey, Budget, BudgetChanges, Grant, Money, NumberedBudget, NumberedGrant, Spending, Spent,
};
use gateway_base::request::Name;

/// The budgets and credits. Every change is entered into the audit log before it takes effect.
pub struct Budgets<'a> {
    pub(super) pool: &'a SqlitePool,
    pub(super) audit: &'a AuditLog,
}

impl Budgets<'_> {
    /// All budgets, by id.
    pub async fn all(&self) -> Result<Vec<NumberedBudget>, StoreError> {
        budgets(self.pool).await.map_err(in_ledger)
    }

    /// All credits, the oldest first.
    pub async fn credits(&self) -> Result<Vec<NumberedGrant>, StoreError> {
        credits(self.pool).await.map_err(in_ledger)
    }

    /// What was spent of them, in all windows.
    pub async fn spent(&self) -> Result<Vec<Spent>, StoreError> {
        spent(self.pool).await.map_err(in_ledger)
    }

    /// Adds a budget. Returns false if there is one of its id.
    pub async fn add(&self, budget: &Budget, at: UnixTime) -> Result<bool, StoreError> {
        if find(self.pool, &budget.id)
            .await
            .map_err(in_ledger)?
            .is_some()
        {
            return Ok(false);
        }
        let subject = format!("budget {} of {}", budget.id, budget.scope);
        self.audit
            .append_admin_action(at, AdminAction::BudgetCreated, &subject)
            .await?;
        let added = sqlx::query(
            "INSERT INTO budgets (id, definition, created_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        )
        .bind(budget.id.as_str())
        .bind(Value::Object(budget.written()).to_string())
        .bind(secs(at))
        .execute(self.pool)
        .await;
        let added = added.map_err(in_ledger)?;
        Ok(added.rows_affected() == 1)
    }

    /// Changes the terms of a budget. Returns it as it is now; `None` if there is none of that id.
    pub async fn change(
        &self,
        id: &Name,
        changes: BudgetChanges,
        at: UnixTime,
    ) -> Result<Option<NumberedBudget>, StoreError> {
        if find(self.pool, id).await.map_err(in_ledger)?.is_none() {
            return Ok(None);
        }
        let members = changes.members().join(", ");
        self.audit
            .append_admin_action(
                at,
                AdminAction::BudgetChanged,
                &format!("budget {id}: {members}"),
            )
            .await?;
        let change = async {
            let mut connection = self.pool.acquire().await?;
            let mut transaction = sqlite::begin_writing(&mut connection).await?;
            let Some(mut found) = find(&mut *transaction, id).await? else {
                return Ok(None);
            };
            changes.apply(&mut found.budget.terms);
            sqlx::query("UPDATE budgets SET definition = ? WHERE number = ?")
                .bind(Value::Object(found.budget.written()).to_string())
                .bind(found.number)
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            Ok(Some(found))
        };
        change.await.map_err(in_ledger)
    }

    /// Removes a budget and what was spent of it. Returns false if there is none of that id.
    pub async fn remove(&self, id: &Name, at: UnixTime) -> Result<bool, StoreError> {
        if find(self.pool, id).await.map_err(in_ledger)?.is_none() {
            return Ok(false);
        }
        self.audit
            .append_admin_action(at, AdminAction::BudgetRemoved, &format!("budget {id}"))
            .await?;
        let removed = sqlx::query("DELETE FROM budgets WHERE id = ?")
            .bind(id.as_str())
            .execute(self.pool)
            .await;
        Ok(removed.map_err(in_ledger)?.rows_affected() == 1)
    }

    /// Adds a credit. Returns its number.
    pub async fn grant(&self, grant: &Grant, at: UnixTime) -> Result<i64, StoreError> {
        let subject = format!("credit of {}: {}", grant.scope, grant.amount);
        self.audit
            .append_admin_action(at, AdminAction::CreditGranted, &subject)
            .await?;
        let added = sqlx::query(
            "INSERT INTO credits (scope, amount_nanos, granted_at, expires_at) VALUES (?, ?, ?, ?)",
        )
        .bind(grant.scope.to_string())
        .bind(grant.amount.nanos())
        .bind(secs(at))
        .bind(grant.expires_at.map(secs))
        .execute(self.pool)
        .await;
        Ok(added.map_err(in_ledger)?.last_insert_rowid())
    }
}

pub(super) async fn budgets(
    on: impl SqliteExecutor<'_>,
) -> Result<Vec<NumberedBudget>, sqlx::Error> {
    let rows = sqlx::query("SELECT * FROM budgets ORDER BY id")
        .fetch_all(on)
        .await?;
    rows.iter().map(read).collect()
}

pub(super) async fn credits(
    on: impl SqliteExecutor<'_>,
) -> Result<Vec<NumberedGrant>, sqlx::Error> {
    let rows = sqlx::query("SELECT * FROM credits ORDER BY number")
        .fetch_all(on)
        .await?;
    rows.iter().map(read_credit).collect()
}

async fn find(
    on: impl SqliteExecutor<'_>,
    id: &Name,
) -> Result<Option<NumberedBudget>, sqlx::Error> {
    let row = sqlx::query("SELECT * FROM budgets WHERE id = ?")
        .bind(id.as_str())
        .fetch_optional(on)
        .await?;
    row.as_ref().map(read).transpose()
}

/// A budget that cannot be read is an error: without it more could be spent than may be.
fn read(row: &SqliteRow) -> Result<NumberedBudget, sqlx::Error> {
    let definition: &str = row.try_get("definition")?;
    let members: Map<String, Value> =
        serde_json::from_str(definition).map_err(|_| corrupt("budget"))?;
    Ok(NumberedBudget {
        number: row.try_get("number")?,
        budget: Budget::read(&members).map_err(|_| corrupt("budget"))?,
        created_at: time(row.try_get("created_at")?)?,
    })
}

fn read_credit(row: &SqliteRow) -> Result<NumberedGrant, sqlx::Error> {
    let scope: &str = row.try_get("scope")?;
    let expires_at: Option<i64> = row.try_get("expires_at")?;
    Ok(NumberedGrant {
        number: row.try_get("number")?,
        grant: Grant {
            scope: scope.parse().map_err(|_| corrupt("scope of a credit"))?,
            amount: Money::from_nanos(row.try_get("amount_nanos")?),
            expires_at: expires_at.map(time).transpose()?,
        },
        granted_at: time(row.try_get("granted_at")?)?,
    })
}

const BUDGET: i64 = 0;
const CREDIT: i64 = 1;

fn columns(account: AccountKey) -> (i64, i64) {
    match account {
        AccountKey::Budget(number) => (BUDGET, number),
        AccountKey::Credit(number) => (CREDIT, number),
    }
}

async fn spent(on: impl SqliteExecutor<'_>) -> Result<Vec<Spent>, sqlx::Error> {
    type Columns = (i64, i64, i64, i64, i64);
    let rows: Vec<Columns> = sqlx::query_as(
        "SELECT kind, account, window_start, spent_nanos, spent_tokens FROM budget_spent \
         ORDER BY kind, account, window_start",
    )
    .fetch_all(on)
    .await?;
    let read = |(kind, number, window, nanos, tokens): Columns| {
        Ok(Spent {
            account: match kind {
                BUDGET => AccountKey::Budget(number),
                CREDIT => AccountKey::Credit(number),
                _ => return Err(corrupt("kind of account")),
            },
            window: time(window)?,
            amount: Spending {
                money: Money::from_nanos(nanos),
                tokens: u64::try_from(tokens).map_err(|_| corrupt("spent tokens"))?,
            },
        })
    };
    rows.into_iter().map(read).collect()
}

/// Adds what requests have spent, in the transaction that writes their rows. What was spent of a budget that was removed
/// meanwhile is not stored.
pub(super) async fn add_spent(on: &mut SqliteConnection, spent: &Spent) -> Result<(), sqlx::Error> {
    let (kind, number) = columns(spent.account);
    sqlx::query(
        "INSERT INTO budget_spent (kind, account, window_start, spent_nanos, spent_tokens) \
         SELECT ?1, ?2, ?3, ?4, ?5 \
         WHERE EXISTS (SELECT 1 FROM budgets WHERE ?1 = 0 AND number = ?2) \
         OR EXISTS (SELECT 1 FROM credits WHERE ?1 = 1 AND number = ?2) \
         ON CONFLICT (kind, account, window_start) DO UPDATE SET \
         spent_nanos = min(spent_nanos + excluded.spent_nanos, 9223372036854775807), \
         spent_tokens = min(spent_tokens + excluded.spent_tokens, 9223372036854775807)",
    )
    .bind(kind)
    .bind(number)
    .bind(secs(spent.window))
    .bind(spent.amount.money.nanos())
    .bind(signed(spent.amount.tokens))
    .execute(on)
    .await?;
    Ok(())
}
