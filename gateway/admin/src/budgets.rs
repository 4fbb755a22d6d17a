//! Budgets and credits: listed with what was spent of them, created, changed and removed.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use http::{Request, Response};
use serde_json::{Map, Value, json};

use super::{Admin, Auditing, By, Operating, body};
use gateway_base::config::parse_expiry;
use gateway_base::errors::{ApiError, Invalid};
use gateway_base::quota::{
    Amount, Budget, BudgetChanges, BudgetError, Grant, NumberedBudget, NumberedGrant, Spending,
};
use gateway_base::request::Name;
use gateway_path::http::json as document;
use gateway_quota::{AccountState, GrantState};
use gateway_store::StoreError;

/// Larger than the members of a budget can be.
const MAX_BODY: usize = 4 << 10;

/// `GET /admin/v1/budgets`
pub(super) async fn list(
    admin: State<Arc<Admin>>,
    _by: By<Auditing>,
) -> Result<Response<Body>, ApiError> {
    let budgets = admin.ledger.budgets().all().await.map_err(internal)?;
    let rows: Vec<Value> = budgets.iter().map(|budget| row(&admin, budget)).collect();
    Ok(document(json!({ "budgets": rows }).to_string()))
}

/// `POST /admin/v1/budgets` with the members of a budget: 201 and the budget, which already applies.
pub(super) async fn create(
    admin: State<Arc<Admin>>,
    _by: By<Operating>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let budget = Budget::read(&members(request).await?).map_err(unreadable)?;
    let budgets = admin.ledger.budgets();
    if !budgets
        .add(&budget, admin.clock.now())
        .await
        .map_err(internal)?
    {
        return Err(ApiError::BudgetExists);
    }
    Ok(body::created(applied(&admin, &budget.id).await?))
}

/// `PATCH /admin/v1/budgets/{id}` with any of its terms: 200 and the budget as it is now. What was spent of it stays.
pub(super) async fn change(
    admin: State<Arc<Admin>>,
    _by: By<Operating>,
    id: Path<String>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let changes = BudgetChanges::read(&members(request).await?).map_err(unreadable)?;
    let id = known(&id)?;
    let budgets = admin.ledger.budgets();
    let changed = budgets.change(&id, changes, admin.clock.now()).await;
    changed.map_err(internal)?.ok_or(ApiError::BudgetNotFound)?;
    applied(&admin, &id).await
}

/// `DELETE /admin/v1/budgets/{id}`: 204 once it does not apply any more. What was spent of it is removed too.
pub(super) async fn remove(
    admin: State<Arc<Admin>>,
    _by: By<Operating>,
    id: Path<String>,
) -> Result<Response<Body>, ApiError> {
    let budgets = admin.ledger.budgets();
    let removed = budgets.remove(&known(&id)?, admin.clock.now()).await;
    if !removed.map_err(internal)? {
        return Err(ApiError::BudgetNotFound);
    }
    admin.keyring.refresh().await.map_err(internal)?;
    Ok(body::no_content())
}

/// `GET /admin/v1/credits`
pub(super) async fn list_credits(
    admin: State<Arc<Admin>>,
    _by: By<Auditing>,
) -> Result<Response<Body>, ApiError> {
    let credits = admin.ledger.budgets().credits().await.map_err(internal)?;
    let states = admin.keyring.budgets().grants();
    let rows = credits.iter();
    let rows: Vec<Value> = rows
        .map(|credit| credit_row(credit, states.get(&credit.number)))
        .collect();
    Ok(document(json!({ "credits": rows }).to_string()))
}

/// `POST /admin/v1/credits` with `{"scope", "amount", "expires_at"?}`: 201 and the credit, which can already be spent.
pub(super) async fn grant(
    admin: State<Arc<Admin>>,
    _by: By<Operating>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let members = members(request).await?;
    let (mut grant, expiry) = Grant::read(&members).map_err(unreadable)?;
    let now = admin.clock.now();
    let expires_at = expiry.map(|text| parse_expiry(text, now)).transpose();
    let expires_at = expires_at.map_err(|_| Invalid::TimeMember("expires_at"))?;
    grant.expires_at = expires_at.flatten();
    let granted = admin.ledger.budgets().grant(&grant, now).await;
    let credit = NumberedGrant {
        number: granted.map_err(internal)?,
        grant,
        granted_at: now,
    };
    admin.keyring.refresh().await.map_err(internal)?;
    let states = admin.keyring.budgets().grants();
    let row = credit_row(&credit, states.get(&credit.number));
    Ok(body::created(document(row.to_string())))
}

async fn members(request: Request<Body>) -> Result<Map<String, Value>, ApiError> {
    let (head, body) = request.into_parts();
    body::read(&head.headers, body, MAX_BODY).await
}

fn known(id: &str) -> Result<Name, ApiError> {
    Name::from_operator(id).map_err(|_| ApiError::BudgetNotFound)
}

fn internal(_: StoreError) -> ApiError {
    ApiError::Internal
}

fn unreadable(error: BudgetError) -> ApiError {
    let reason = error.to_string();
    ApiError::BudgetUnreadable { reason }
}

/// The budget as it is now, once the service applies it.
async fn applied(admin: &Admin, id: &Name) -> Result<Response<Body>, ApiError> {
    admin.keyring.refresh().await.map_err(internal)?;
    let budgets = admin.ledger.budgets().all().await.map_err(internal)?;
    let found = budgets.iter().find(|one| one.budget.id == *id);
    let budget = found.ok_or(ApiError::BudgetNotFound)?;
    Ok(document(row(admin, budget).to_string()))
}

/// A budget with its definition and its counters.
fn row(admin: &Admin, numbered: &NumberedBudget) -> Value {
    let limit = numbered.budget.terms.limit;
    let mut row = numbered.budget.written();
    row.insert("created_at".into(), numbered.created_at.to_string().into());
    let states = admin.keyring.budgets().accounts(admin.ledger.clock().now());
    // Absent for an instant if another process has just added it.
    if let Some(state) = states.get(&numbered.number) {
        row.extend(counters(state, limit));
    }
    Value::Object(row)
}

fn counters(state: &AccountState, limit: Amount) -> Map<String, Value> {
    let both =
        |amount: Spending| json!({ "money": amount.money.to_string(), "tokens": amount.tokens });
    let remaining = match state.remaining(limit) {
        Amount::Money(money) => json!({ "money": money.to_string() }),
        Amount::Tokens(tokens) => json!({ "tokens": tokens }),
    };
    let counters = json!({
        "window": {
            "start": state.window.start.to_string(),
            "end": state.window.end.map(|end| end.to_string()),
        },
        "spent": both(state.spent),
        "reserved": both(state.reserved),
        "remaining": remaining,
        "refused": state.refused,
    });
    match counters {
        Value::Object(counters) => counters,
        _ => Map::new(),
    }
}

fn credit_row(credit: &NumberedGrant, state: Option<&GrantState>) -> Value {
    json!({
        "number": credit.number,
        "scope": credit.grant.scope.to_string(),
        "amount": credit.grant.amount.to_string(),
        "granted_at": credit.granted_at.to_string(),
        "expires_at": credit.grant.expires_at.map(|at| at.to_string()),
        "remaining": state.map(|state| state.remaining.to_string()),
    })
}
