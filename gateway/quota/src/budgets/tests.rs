use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use gateway_base::quota::{Budget, Grant};

const DAY: u64 = 86_400;
/// 2026-12-01T12:00:00Z, a Tuesday.
const NOON: UnixTime = UnixTime::from_secs(1_796_126_400);

fn name(text: &str) -> Name {
    Name::from_operator(text).expect("a name")
}

fn money(text: &str) -> Money {
    text.parse().expect("an amount")
}

fn budget(number: i64, members: serde_json::Value) -> NumberedBudget {
    let mut all = json!({ "id": format!("b{number}"), "scope": "tenant:acme", "period": "day" });
    for (member, value) in members.as_object().expect("members") {
        all[member] = value.clone();
    }
    let budget = Budget::read(all.as_object().expect("members")).expect("a budget");
    NumberedBudget {
        number,
        budget,
        created_at: NOON,
    }
}

fn grant(number: i64, amount: &str, expires_at: Option<UnixTime>) -> NumberedGrant {
    let scope = Scope::Tenant(name("acme"));
    let amount = money(amount);
    NumberedGrant {
        number,
        grant: Grant {
            scope,
            amount,
            expires_at,
        },
        granted_at: NOON,
    }
}

fn load(budgets: Vec<NumberedBudget>, grants: Vec<NumberedGrant>) -> Arc<Budgets> {
    Arc::new(Budgets::load(budgets, grants, &[]))
}

fn scopes() -> Vec<Scope> {
    vec![Scope::Tenant(name("acme")), Scope::Total]
}

fn of(amount: &str) -> Expense {
    Expense {
        money: Some(money(amount)),
        tokens: 10,
    }
}

fn reserve(budgets: &Arc<Budgets>, amount: &str, now: UnixTime) -> Result<Reservation, Refusal> {
    budgets.reserve(&scopes(), &name("m"), of(amount), now)
}

fn refused(result: Result<Reservation, Refusal>) -> Refusal {
    match result {
        Err(refusal) => refusal,
        Ok(_) => panic!("admitted"),
    }
}

fn counted(budgets: &Budgets, number: i64, now: UnixTime) -> (String, String) {
    let state = budgets.accounts(now)[&number];
    (
        state.spent.money.to_string(),
        state.reserved.money.to_string(),
    )
}

#[test]
fn a_request_is_taken_out_of_every_budget_or_out_of_none() {
    let budgets = load(
        vec![
            budget(1, json!({ "money": "10" })),
            budget(2, json!({ "scope": "total", "money": "3" })),
            budget(3, json!({ "model": "other", "money": "1" })),
            budget(4, json!({ "scope": "tenant:bank", "money": "1" })),
        ],
        vec![],
    );
    let first = reserve(&budgets, "2", NOON).expect("room");
    let refusal = refused(reserve(&budgets, "2", NOON));
    assert_eq!(refusal.source, RefusedBy::Budget(name("b2")));
    assert_eq!(counted(&budgets, 1, NOON), ("0".into(), "2".into()));
    assert_eq!(counted(&budgets, 2, NOON), ("0".into(), "2".into()));
    for unrelated in [3, 4] {
        assert_eq!(counted(&budgets, unrelated, NOON), ("0".into(), "0".into()));
    }
    drop(first);
    assert_eq!(counted(&budgets, 1, NOON), ("0".into(), "0".into()));
    assert!(reserve(&budgets, "3", NOON).is_ok());
}

#[test]
fn a_settlement_replaces_the_estimate_by_the_charge() {
    let budgets = load(vec![budget(7, json!({ "money": "10" }))], vec![]);
    let reservation = reserve(&budgets, "4", NOON).expect("room");
    let charge = Expense {
        money: Some(money("1.5")),
        tokens: 6,
    };
    let settled = reservation.settle(charge, NOON);
    let expected = Spent {
        account: AccountKey::Budget(7),
        window: UnixTime::from_secs(NOON.secs() - DAY / 2),
        amount: Spending {
            money: money("1.5"),
            tokens: 6,
        },
    };
    assert_eq!(settled.spent, [expected]);
    assert_eq!(counted(&budgets, 7, NOON), ("1.5".into(), "0".into()));
    // More than the estimate: the budget is exceeded by the error, and has no room until it resets.
    let reservation = reserve(&budgets, "8.5", NOON).expect("room");
    reservation.settle(of("9"), NOON);
    assert_eq!(counted(&budgets, 7, NOON), ("10.5".into(), "0".into()));
    let reason = refused(reserve(&budgets, "0.000000001", NOON)).reason;
    let resets_at = Some(UnixTime::from_secs(NOON.secs() + DAY / 2));
    assert_eq!(reason, RefusalReason::Exhausted { resets_at });
}

#[test]
fn a_window_ends_with_its_reservations_and_never_comes_back() {
    let budgets = load(vec![budget(1, json!({ "money": "5" }))], vec![]);
    let evening = NOON.plus(Duration::from_secs(DAY / 2 - 1));
    let tomorrow = NOON.plus(Duration::from_secs(DAY));
    let late = reserve(&budgets, "5", evening).expect("room");
    assert!(refused(reserve(&budgets, "1", evening)).first);
    assert!(!refused(reserve(&budgets, "1", evening)).first);
    let next = reserve(&budgets, "5", tomorrow).expect("a new window");
    let settled = late.settle(of("4"), tomorrow);
    assert_eq!(
        settled.spent[0].window.secs(),
        NOON.secs() - DAY / 2,
        "the day on which it was admitted"
    );
    assert_eq!(counted(&budgets, 1, tomorrow), ("0".into(), "5".into()));
    // The clock is set back: yesterday is not counted again.
    assert!(refused(reserve(&budgets, "1", NOON)).first);
    next.settle(of("5"), NOON);
    assert_eq!(counted(&budgets, 1, NOON), ("5".into(), "0".into()));
}

#[test]
fn what_was_spent_is_restored_also_under_a_clock_that_was_set_back() {
    let midnight = UnixTime::from_secs(NOON.secs() - DAY / 2);
    let spent = |window: UnixTime, amount: &str| Spent {
        account: AccountKey::Budget(1),
        window,
        amount: Spending {
            money: money(amount),
            tokens: 0,
        },
    };
    let stored = [
        spent(UnixTime::from_secs(midnight.secs() - DAY), "9"),
        spent(midnight, "2"),
    ];
    let definitions = || vec![budget(1, json!({ "money": "5" }))];
    let budgets = Budgets::load(definitions(), vec![], &stored);
    assert_eq!(counted(&budgets, 1, NOON).0, "2");
    let yesterday = UnixTime::from_secs(NOON.secs() - DAY);
    let budgets = Budgets::load(definitions(), vec![], &stored);
    assert_eq!(counted(&budgets, 1, yesterday).0, "2");
    let tomorrow = NOON.plus(Duration::from_secs(DAY));
    assert_eq!(counted(&budgets, 1, tomorrow).0, "0");
}

#[test]
fn a_threshold_is_passed_once_in_a_window() {
    let budgets = load(
        vec![budget(1, json!({ "money": "10", "hard": false }))],
        vec![],
    );
    let spend = |amount: &str, at: UnixTime| {
        let reservation = reserve(&budgets, amount, at).expect("not hard");
        reservation.settle(of(amount), at).passed
    };
    assert_eq!(spend("6.999999999", NOON), []);
    let passed = spend("0.000000001", NOON);
    assert_eq!(passed.len(), 1);
    assert_eq!(
        (passed[0].soft_percent, passed[0].spent),
        (70, Amount::Money(money("7")))
    );
    assert_eq!(spend("100", NOON), [], "and a soft budget refuses nothing");
    assert_eq!(spend("8", NOON.plus(Duration::from_secs(DAY))).len(), 1);
    // A higher limit has another threshold.
    budgets.apply(
        vec![budget(1, json!({ "money": "100", "hard": false }))],
        vec![],
    );
    let at = NOON.plus(Duration::from_secs(DAY));
    assert_eq!((spend("61", at).len(), spend("1", at).len()), (0, 1));
}

#[test]
fn a_change_of_terms_keeps_what_was_spent_and_reserved() {
    let budgets = load(vec![budget(1, json!({ "money": "5" }))], vec![]);
    reserve(&budgets, "2", NOON)
        .expect("room")
        .settle(of("2"), NOON);
    let running = reserve(&budgets, "3", NOON).expect("room");
    refused(reserve(&budgets, "1", NOON));
    budgets.apply(vec![budget(1, json!({ "money": "6" }))], vec![]);
    drop(reserve(&budgets, "1", NOON).expect("room now"));
    running.settle(of("3"), NOON);
    assert_eq!(counted(&budgets, 1, NOON), ("5".into(), "0".into()));
    // In another unit: both are counted.
    budgets.apply(vec![budget(1, json!({ "tokens": 29 }))], vec![]);
    refused(reserve(&budgets, "1", NOON));
    // Removed while a request runs.
    budgets.apply(vec![budget(1, json!({ "tokens": 30 }))], vec![]);
    let running = reserve(&budgets, "1", NOON).expect("room");
    budgets.apply(vec![], vec![]);
    assert_eq!(running.settle(of("1"), NOON).passed, []);
}

#[test]
fn a_request_without_a_price_is_refused_where_money_is_limited() {
    let unpriced = Expense {
        money: None,
        tokens: 5,
    };
    let ask = |budgets: &Arc<Budgets>| budgets.reserve(&scopes(), &name("m"), unpriced, NOON);
    for (members, admitted) in [
        (json!({ "money": "5" }), false),
        (json!({ "money": "5", "hard": false }), true),
        (json!({ "tokens": 5 }), true),
    ] {
        let budgets = load(vec![budget(1, members.clone())], vec![]);
        let answer = ask(&budgets).map_err(|refusal| refusal.reason);
        let expected = if admitted {
            None
        } else {
            Some(RefusalReason::NotPriced)
        };
        assert_eq!(answer.err(), expected, "{members}");
    }
    let budgets = load(vec![], vec![grant(1, "5", None)]);
    assert_eq!(refused(ask(&budgets)).reason, RefusalReason::NotPriced);
}

#[test]
fn a_credit_is_charged_to_the_grants_that_expire_first_and_what_is_owed_is_taken_from_the_next() {
    let soon = NOON.plus(Duration::from_secs(60));
    let later = NOON.plus(Duration::from_secs(120));
    let grants = || vec![grant(1, "5", None), grant(2, "3", Some(soon))];
    let budgets = load(vec![], grants());
    let remaining = |number: i64| budgets.grants()[&number].remaining.to_string();
    let spent = reserve(&budgets, "4", NOON)
        .expect("enough")
        .settle(of("4"), NOON)
        .spent;
    let parts: Vec<_> = spent
        .iter()
        .map(|spent| (spent.account, spent.amount.money.to_string()))
        .collect();
    assert_eq!(
        parts,
        [
            (AccountKey::Credit(2), "3".into()),
            (AccountKey::Credit(1), "1".into())
        ]
    );
    let running = reserve(&budgets, "4", NOON).expect("enough");
    let refusal = refused(reserve(&budgets, "0.1", NOON));
    assert_eq!(
        refusal.source,
        RefusedBy::Credit(Scope::Tenant(name("acme")))
    );
    assert!(refusal.first && !refused(reserve(&budgets, "0.1", NOON)).first);
    running.settle(of("4.5"), later);
    assert_eq!((remaining(1), remaining(2)), ("-0.5".into(), "0".into()));
    let mut more = grants();
    more.push(grant(3, "1", None));
    budgets.apply(vec![], more);
    assert!(refused(reserve(&budgets, "0.6", later)).first);
    assert!(reserve(&budgets, "0.5", later).is_ok());
}

#[test]
fn an_expired_grant_is_worth_nothing() {
    let soon = NOON.plus(Duration::from_secs(60));
    let budgets = load(vec![], vec![grant(1, "5", Some(soon))]);
    assert!(reserve(&budgets, "5", NOON).is_ok());
    refused(reserve(&budgets, "0.000000001", soon));
}

#[test]
fn threads_that_race_never_exceed_a_limit() {
    const THREADS: usize = 16;
    let budgets = load(
        vec![budget(1, json!({ "money": "1" }))],
        vec![grant(1, "0.9", None)],
    );
    let admitted: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    let ask = || reserve(&budgets, "0.001", NOON).ok();
                    let held: Vec<Reservation> = (0..1000).filter_map(|_| ask()).collect();
                    let admitted = held.len();
                    for reservation in held {
                        reservation.settle(of("0.001"), NOON);
                    }
                    admitted
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("ended"))
            .sum()
    });
    assert_eq!(admitted, 900, "exactly what the credit has room for");
    assert_eq!(counted(&budgets, 1, NOON), ("0.9".into(), "0".into()));
    assert_eq!(budgets.grants()[&1].remaining, Money::ZERO);
}

/// What happens to one of some requests.
#[derive(Clone, Debug)]
enum Step {
    Reserve {
        nanos: i64,
        tokens: u64,
    },
    /// Settles one of the running requests, for a part of its estimate.
    Settle {
        which: usize,
        percent: i64,
    },
    Drop {
        which: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..1_000_000_000_i64, 0..200_u64).prop_map(|(nanos, tokens)| Step::Reserve { nanos, tokens }),
        2 => (any::<usize>(), 0..=100_i64).prop_map(|(which, percent)| Step::Settle { which, percent }),
        1 => any::<usize>().prop_map(|which| Step::Drop { which }),
    ]
}

proptest! {
    #[test]
    fn reservations_and_spending_never_exceed_a_limit_and_sums_are_exact(steps in prop::collection::vec(step(), 0..80)) {
        let limit = 3_000_000_000;
        let budgets = load(
            vec![budget(1, json!({ "money": "3" })), budget(2, json!({ "scope": "total", "tokens": 1000 }))],
            vec![grant(1, "2", Some(NOON.plus(Duration::from_secs(9)))), grant(2, "2", None)],
        );
        let mut running: Vec<(i64, u64, Reservation)> = Vec::new();
        let (mut spent, mut tokens_spent, mut stored) = (0, 0, 0);
        for step in steps {
            match step {
                Step::Reserve { nanos, tokens } => {
                    let estimate = Expense { money: Some(Money::from_nanos(nanos)), tokens };
                    if let Ok(reservation) = budgets.reserve(&scopes(), &name("m"), estimate, NOON) {
                        running.push((nanos, tokens, reservation));
                    }
                }
                Step::Settle { which, percent } if !running.is_empty() => {
                    let (nanos, tokens, reservation) = running.swap_remove(which % running.len());
                    let (nanos, tokens) = (nanos * percent / 100, tokens * percent.unsigned_abs() / 100);
                    let charge = Expense { money: Some(Money::from_nanos(nanos)), tokens };
                    let settled = reservation.settle(charge, NOON);
                    spent += nanos;
                    tokens_spent += tokens;
                    let grants = settled.spent.iter().filter(|one| matches!(one.account, AccountKey::Credit(_)));
                    stored += grants.map(|one| one.amount.money.nanos()).sum::<i64>();
                }
                Step::Drop { which } if !running.is_empty() => {
                    drop(running.swap_remove(which % running.len()));
                }
                _ => {}
            }
            let reserved: i64 = running.iter().map(|(nanos, ..)| nanos).sum();
            let states = budgets.accounts(NOON);
            prop_assert_eq!(states[&1].spent.money.nanos(), spent);
            prop_assert_eq!(states[&1].reserved.money.nanos(), reserved);
            prop_assert_eq!(states[&2].spent.tokens, tokens_spent);
            prop_assert!(spent + reserved <= limit);
            prop_assert!(states[&2].spent.tokens + states[&2].reserved.tokens <= 1000);
            prop_assert_eq!(stored, spent);
            let left: i64 = budgets.grants().values().map(|grant| grant.remaining.nanos()).sum();
            prop_assert_eq!(left, 4_000_000_000 - spent);
        }
    }
}
