use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use gateway_base::quota::{Exhausted, Period, RateWindow, WrittenLimit};
use gateway_base::request::{Caller, KeyId};

const T0: Duration = Duration::from_secs(1000);

fn name(text: &str) -> Name {
    Name::from_operator(text).expect("a name")
}

fn caller(tenant: &str, key: u8) -> Vec<Scope> {
    Scope::of_caller(&Caller {
        key_id: KeyId::from_bytes([key; 6]).to_string().into(),
        tenant: name(tenant),
        organisation: Some(name("group")),
        user: Some(name("alice")),
        key_digest: [key; 32],
    })
}

fn written(scope: &str) -> WrittenLimit {
    WrittenLimit {
        scope: scope.to_owned(),
        ..WrittenLimit::default()
    }
}

fn limits(all: Vec<(&str, WrittenLimit)>) -> Limits {
    let limits = Limits::default();
    replace(&limits, all);
    limits
}

fn replace(limits: &Limits, all: Vec<(&str, WrittenLimit)>) {
    let all = all
        .into_iter()
        .map(|(id, written)| (name(id), written.read().expect("a limit")));
    limits.replace(all.collect(), T0);
}

fn refused(outcome: Result<Option<Share>, LimitRefusal>) -> (String, Exhausted) {
    match outcome {
        Ok(_) => panic!("admitted"),
        Err(refusal) => (refusal.limit.to_string(), refusal.what),
    }
}

#[test]
fn a_caller_without_limits_needs_no_permit() {
    let limits = limits(vec![(
        "a",
        WrittenLimit {
            concurrent: Some(1),
            ..written("tenant:acme")
        },
    )]);
    assert!(
        limits
            .enter(&caller("other", 1), T0)
            .expect("admitted")
            .is_none()
    );
    assert!(
        limits
            .enter(&caller("acme", 1), T0)
            .expect("admitted")
            .is_some()
    );
}

#[test]
fn every_limit_that_applies_has_to_admit_a_request() {
    let limits = limits(vec![
        (
            "per-key",
            WrittenLimit {
                requests_per_minute: Some(2),
                ..written("key:010101010101")
            },
        ),
        (
            "all",
            WrittenLimit {
                requests_per_hour: Some(3),
                ..written("total")
            },
        ),
    ]);
    let first = caller("acme", 1);
    for _ in 0..2 {
        assert!(limits.enter(&first, T0).is_ok());
    }
    assert_eq!(
        refused(limits.enter(&first, T0)),
        ("per-key".to_owned(), Exhausted::Requests(Period::Minute))
    );
    let second = caller("acme", 2);
    assert!(limits.enter(&second, T0).is_ok());
    assert_eq!(
        refused(limits.enter(&second, T0)),
        ("all".to_owned(), Exhausted::Requests(Period::Hour))
    );
    let counted: Vec<_> = limits
        .states(T0)
        .into_iter()
        .map(|state| (state.requests, state.refused))
        .collect();
    assert_eq!(
        counted,
        [([None, Some(3), None], 1), ([Some(2), None, None], 1)]
    );
}

#[test]
fn a_limit_that_refuses_leaves_the_others_as_they_were() {
    let limits = limits(vec![
        (
            "per-tenant",
            WrittenLimit {
                requests_per_minute: Some(10),
                concurrent: Some(10),
                ..written("tenant:acme")
            },
        ),
        (
            "all",
            WrittenLimit {
                concurrent: Some(1),
                ..written("total")
            },
        ),
    ]);
    let held = limits.enter(&caller("acme", 1), T0).expect("admitted");
    let (_, what) = refused(limits.enter(&caller("acme", 1), T0));
    assert_eq!(what, Exhausted::Concurrent);
    let tenant = &limits.states(T0)[1];
    assert_eq!((tenant.requests[0], tenant.concurrent), (Some(1), 1));
    drop(held);
    assert_eq!(limits.states(T0)[0].concurrent, 0);
    assert!(limits.enter(&caller("acme", 1), T0).is_ok());
}

#[test]
fn tokens_are_reserved_settled_and_given_back() {
    let limits = limits(vec![(
        "tokens",
        WrittenLimit {
            tokens_per_minute: Some(100),
            ..written("tenant:acme")
        },
    )]);
    let used = || limits.states(T0)[0].tokens[0];
    let enter = || {
        limits
            .enter(&caller("acme", 1), T0)
            .expect("admitted")
            .expect("a share")
    };
    let model = name("llama");
    let mut share = enter();
    share.reserve(&model, 80, T0).expect("room");
    let refusal = enter().reserve(&model, 30, T0).expect_err("no room");
    assert_eq!(refusal.what, Exhausted::Tokens(Period::Minute));
    assert_eq!(refusal.retry_after, Duration::from_secs(62));
    assert_eq!(used(), Some(80));
    share.settle(15, T0);
    drop(share);
    assert_eq!(used(), Some(15));
    // More than was estimated is charged, above the limit if need be.
    let mut share = enter();
    share.reserve(&model, 80, T0).expect("room");
    share.settle(120, T0);
    share.settle(0, T0);
    assert_eq!(used(), Some(135));
    // Never forwarded.
    let later = T0 + Duration::from_secs(120);
    let mut share = limits
        .enter(&caller("acme", 1), later)
        .expect("admitted")
        .expect("a share");
    share.reserve(&model, 80, later).expect("room");
    drop(share);
    assert_eq!(limits.states(later)[0].tokens[0], Some(0));
}

#[test]
fn limits_of_a_model_count_its_requests_alone() {
    let limits = limits(vec![(
        "llama",
        WrittenLimit {
            model: Some("llama".to_owned()),
            requests_per_minute: Some(1),
            ..written("total")
        },
    )]);
    let enter = || {
        limits
            .enter(&caller("acme", 1), T0)
            .expect("admitted")
            .expect("a share")
    };
    enter()
        .reserve(&name("other"), 1, T0)
        .expect("another model");
    enter().reserve(&name("llama"), 1, T0).expect("the first");
    let refusal = enter()
        .reserve(&name("llama"), 1, T0)
        .expect_err("the second");
    assert_eq!(refusal.what, Exhausted::Requests(Period::Minute));
}

#[test]
fn a_changed_limit_keeps_what_was_counted() {
    let limit = |requests| {
        let limit = WrittenLimit {
            requests_per_minute: Some(requests),
            ..written("total")
        };
        vec![("all", limit)]
    };
    let limits = limits(limit(5));
    let held = limits.enter(&caller("acme", 1), T0).expect("admitted");
    replace(&limits, limit(1));
    assert_eq!(
        refused(limits.enter(&caller("acme", 1), T0)).1,
        Exhausted::Requests(Period::Minute)
    );
    replace(&limits, limit(2));
    assert!(limits.enter(&caller("acme", 1), T0).is_ok());
    replace(&limits, Vec::new());
    drop(held);
    assert!(
        limits
            .enter(&caller("acme", 1), T0)
            .expect("admitted")
            .is_none()
    );
}

#[test]
fn the_state_is_that_of_the_tightest_window() {
    let limits = limits(vec![
        (
            "a",
            WrittenLimit {
                requests_per_minute: Some(10),
                requests_per_day: Some(11),
                ..written("total")
            },
        ),
        (
            "b",
            WrittenLimit {
                requests_per_minute: Some(4),
                tokens_per_hour: Some(1000),
                ..written("tenant:acme")
            },
        ),
    ]);
    let mut share = limits
        .enter(&caller("acme", 1), T0)
        .expect("admitted")
        .expect("a share");
    share.reserve(&name("llama"), 300, T0).expect("room");
    let state = share.state(T0);
    let numbers = |tightest: Option<RateWindow>| {
        tightest.map(|tightest| (tightest.limit, tightest.remaining))
    };
    assert_eq!(numbers(state.requests), Some((4, 3)));
    assert_eq!(numbers(state.tokens), Some((1000, 700)));
}

#[test]
fn threads_that_race_for_a_limit_get_exactly_its_count() {
    let limits = Arc::new(limits(vec![
        (
            "requests",
            WrittenLimit {
                requests_per_minute: Some(100),
                ..written("total")
            },
        ),
        (
            "tokens",
            WrittenLimit {
                tokens_per_minute: Some(700),
                ..written("tenant:acme")
            },
        ),
    ]));
    let (entered, reserved) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..125 {
                    let Ok(Some(mut share)) = limits.enter(&caller("acme", 1), T0) else {
                        continue;
                    };
                    entered.fetch_add(1, Ordering::Relaxed);
                    if share.reserve(&name("llama"), 10, T0).is_ok() {
                        reserved.fetch_add(1, Ordering::Relaxed);
                        share.settle(10, T0);
                    }
                }
            });
        }
    });
    assert_eq!(entered.into_inner(), 100);
    assert_eq!(reserved.into_inner(), 70);
    let states = limits.states(T0);
    assert_eq!(
        (states[0].requests[0], states[1].tokens[0]),
        (Some(100), Some(700))
    );
    assert_eq!((states[0].concurrent, states[1].concurrent), (0, 0));
}

#[test]
fn a_limit_applies_to_the_user_and_the_organisation_of_a_caller() {
    for scope in ["user:acme#alice", "organisation:group"] {
        let limit = WrittenLimit {
            concurrent: Some(1),
            ..written(scope)
        };
        let limits = limits(vec![("one", limit)]);
        let held = limits.enter(&caller("acme", 1), T0).expect("admitted");
        assert!(held.is_some(), "{scope}");
        let (_, what) = refused(limits.enter(&caller("acme", 2), T0));
        assert_eq!(what, Exhausted::Concurrent, "{scope}");
    }
    let other = WrittenLimit {
        concurrent: Some(1),
        ..written("user:other#alice")
    };
    let limits = limits(vec![("other", other)]);
    let entered = limits.enter(&caller("acme", 1), T0).expect("admitted");
    assert!(entered.is_none(), "the user of another tenant");
}
