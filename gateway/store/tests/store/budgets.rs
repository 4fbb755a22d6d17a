//! Budgets and credits: what is defined, what was spent, and that it is stored with the rows of requests.

use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::ledger::{KEEP, all_fields, usage};
use attest_core::UnixTime;
use gateway_base::config::LedgerBounds;
use gateway_base::quota::{
    AccountKey, Amount, Budget, BudgetChanges, Grant, Money, Scope, Spending, Spent,
};
use gateway_base::request::Name;
use gateway_store::ledger::Ledger;
use testkit::scratch::ScratchDir;

const AT: UnixTime = UnixTime::from_secs(1_800_000_000);
const MIDNIGHT: UnixTime = UnixTime::from_secs(1_799_971_200);

fn members(value: Value) -> Map<String, Value> {
    value.as_object().cloned().expect("an object")
}

fn budget(id: &str) -> Budget {
    let written = json!({ "id": id, "scope": "tenant:acme", "period": "day", "money": "12.50" });
    Budget::read(&members(written)).expect("a budget")
}

pub fn spent(account: AccountKey, window: UnixTime, nanos: i64, tokens: u64) -> Spent {
    Spent {
        account,
        window,
        amount: Spending {
            money: Money::from_nanos(nanos),
            tokens,
        },
    }
}

async fn open(state: &Path) -> Ledger {
    Ledger::open(state, KEEP).await.expect("a ledger")
}

/// A ledger with one budget, and its number.
pub async fn with_budget(ledger: &Ledger, id: &str) -> i64 {
    assert!(ledger.budgets().add(&budget(id), AT).await.expect("added"));
    let all = ledger.budgets().all().await.expect("budgets");
    all.iter()
        .find(|one| *one.budget.id == *id)
        .expect("the budget")
        .number
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_is_created_changed_and_removed() {
    let scratch = ScratchDir::new("budgets-life").expect("a directory");
    let ledger = open(scratch.path()).await;
    let budgets = ledger.budgets();
    let generation = ledger.keys().generation().await.expect("a generation");
    assert!(budgets.add(&budget("b"), AT).await.expect("added"));
    assert!(!budgets.add(&budget("b"), AT).await.expect("refused"));
    let changes = BudgetChanges::read(&members(json!({ "tokens": 5, "visible": true })));
    let changes = changes.expect("a change");
    let name = |text| Name::from_operator(text).expect("a name");
    let unknown = budgets.change(&name("c"), changes, AT).await;
    assert_eq!(unknown.expect("nothing"), None);
    let changed = budgets.change(&name("b"), changes, AT).await;
    let changed = changed.expect("changed").expect("the budget");
    assert_eq!(changed.budget.terms.limit, Amount::Tokens(5));
    assert_eq!(budgets.all().await.expect("budgets"), [changed]);
    assert!(!budgets.remove(&name("c"), AT).await.expect("nothing"));
    assert!(budgets.remove(&name("b"), AT).await.expect("removed"));
    assert_eq!(budgets.all().await.expect("budgets"), []);
    let later = ledger.keys().generation().await.expect("a generation");
    assert_eq!(later - generation, 3, "a running service sees each change");
    ledger.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credit_is_stored_with_its_scope_amount_and_expiry() {
    let scratch = ScratchDir::new("budgets-credit").expect("a directory");
    let ledger = open(scratch.path()).await;
    let grant = Grant {
        scope: "organisation:acme".parse::<Scope>().expect("a scope"),
        amount: Money::from_nanos(i64::MAX),
        expires_at: Some(AT),
    };
    let number = ledger.budgets().grant(&grant, AT).await.expect("granted");
    let credits = ledger.budgets().credits().await.expect("credits");
    assert_eq!((credits.len(), credits[0].number), (1, number));
    assert_eq!((&credits[0].grant, credits[0].granted_at), (&grant, AT));
    ledger.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_spent_is_added_up_for_each_window_with_and_without_rows() {
    let scratch = ScratchDir::new("budgets-spent").expect("a directory");
    let ledger = open(scratch.path()).await;
    let budget = AccountKey::Budget(with_budget(&ledger, "b").await);
    let grant = Grant {
        scope: "tenant:acme".parse().expect("a scope"),
        amount: Money::from_nanos(1),
        expires_at: None,
    };
    let credit = AccountKey::Credit(ledger.budgets().grant(&grant, AT).await.expect("granted"));
    let (zero, next) = (
        UnixTime::from_secs(0),
        MIDNIGHT.plus(Duration::from_secs(86_400)),
    );
    for number in 0..100 {
        let row = usage(&format!("rcpt-{number}"));
        let both = [spent(budget, MIDNIGHT, 3, 2), spent(credit, zero, 1, 0)];
        ledger
            .usage()
            .record_ended(Some((&row, &all_fields())), &both);
        // Nothing is kept of this one.
        ledger
            .usage()
            .record_ended(None, &[spent(budget, next, i64::MAX / 50, 1)]);
    }
    ledger
        .usage()
        .record_ended(None, &[spent(AccountKey::Budget(999), MIDNIGHT, 5, 5)]);
    ledger.flush().await;
    let expected = [
        spent(budget, MIDNIGHT, 300, 200),
        spent(budget, next, i64::MAX, 100),
        spent(credit, zero, 100, 0),
    ];
    assert_eq!(ledger.budgets().spent().await.expect("spent"), expected);
    ledger.close().await;
    let ledger = open(scratch.path()).await;
    assert_eq!(ledger.budgets().spent().await.expect("spent"), expected);
    ledger.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_budget_leaves_nothing_to_the_next_of_its_id() {
    let scratch = ScratchDir::new("budgets-removed").expect("a directory");
    let ledger = open(scratch.path()).await;
    let first = with_budget(&ledger, "b").await;
    let one = spent(AccountKey::Budget(first), MIDNIGHT, 5, 5);
    ledger.usage().record_ended(None, &[one]);
    ledger.flush().await;
    let id = Name::from_operator("b").expect("a name");
    assert!(ledger.budgets().remove(&id, AT).await.expect("removed"));
    let second = with_budget(&ledger, "b").await;
    assert_ne!(first, second);
    // A request that was running meanwhile.
    ledger.usage().record_ended(None, &[one]);
    ledger.flush().await;
    assert_eq!(ledger.budgets().spent().await.expect("spent"), []);
    ledger.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_spent_is_not_dropped_with_rows_that_find_no_room() {
    let scratch = ScratchDir::new("budgets-full").expect("a directory");
    let bounds = LedgerBounds {
        max_waiting_rows: 3,
        ..LedgerBounds::default()
    };
    let ledger = Ledger::open_bounded(scratch.path(), KEEP, bounds).await;
    let ledger = ledger.expect("a ledger");
    let budget = AccountKey::Budget(with_budget(&ledger, "b").await);
    for number in 0..1000 {
        let row = usage(&format!("rcpt-{number}"));
        let one = [spent(budget, MIDNIGHT, 1, 1)];
        ledger
            .usage()
            .record_ended(Some((&row, &all_fields())), &one);
        ledger.usage().record_ended(None, &one);
    }
    while ledger.rows_waiting().0 > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    ledger.flush().await;
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    let expected = [spent(budget, MIDNIGHT, 2000, 2000)];
    while ledger.budgets().spent().await.expect("spent") != expected {
        assert!(
            std::time::Instant::now() < deadline,
            "{:?}",
            ledger.budgets().spent().await
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(ledger.rows_lost() > 0, "rows were dropped");
    ledger.close().await;
}
