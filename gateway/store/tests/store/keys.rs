//! API keys in the ledger: changed, replaced, and read from a ledger without restrictions.

use sqlx::{Connection, SqliteConnection};

use attest_core::UnixTime;
use gateway_base::request::{Name, Restrictions, WrittenRestrictions};
use gateway_store::ledger::{KeyChanges, KeyRow, Ledger, NewKey, Replacement};
use testkit::scratch::ScratchDir;

const MADE: UnixTime = UnixTime::from_secs(1_800_000_000);
const LATER: UnixTime = UnixTime::from_secs(1_800_000_600);

fn key(id: &str, restrictions: Restrictions) -> NewKey {
    NewKey {
        id: id.to_owned(),
        tenant: Name::from_operator("acme").expect("a name"),
        user: None,
        name: None,
        digest: [7; 32],
        created_at: MADE,
        expires_at: None,
        restrictions,
    }
}

fn restricted(model: &str) -> KeyChanges {
    let written = WrittenRestrictions {
        models: Some(vec![model.to_owned()]),
        ..WrittenRestrictions::default()
    };
    KeyChanges {
        restrictions: written.read().expect("a pattern"),
        ..KeyChanges::default()
    }
}

async fn only(ledger: &Ledger, id: &str) -> KeyRow {
    let keys = ledger.keys().all().await.expect("keys");
    let found = keys.into_iter().find(|key| key.id == id);
    found.expect("the key")
}

#[tokio::test]
async fn a_change_is_stored_and_counts_as_a_change_of_keys() {
    let scratch = ScratchDir::new("keys-change").expect("a directory");
    let ledger = Ledger::open_for_keys(scratch.path())
        .await
        .expect("a ledger");
    let added = ledger
        .keys()
        .add(key("a", Restrictions::default()))
        .await
        .expect("added");
    assert_eq!(only(&ledger, "a").await, added);
    let before = ledger.keys().generation().await.expect("a number");
    let changed = ledger.keys().change("a", LATER, restricted("crm.*")).await;
    let changed = changed.expect("stored").expect("the key");
    assert!(!changed.restrictions.allow_model("other"));
    assert_eq!(only(&ledger, "a").await, changed);
    assert!(ledger.keys().generation().await.expect("a number") > before);

    let blocked = |blocked| KeyChanges {
        blocked: Some(blocked),
        ..KeyChanges::default()
    };
    for (change, at) in [(blocked(true), Some(LATER)), (blocked(false), None)] {
        ledger
            .keys()
            .change("a", LATER, change)
            .await
            .expect("stored");
        let now = only(&ledger, "a").await;
        assert_eq!(now.blocked_at, at);
        assert_eq!(now.restrictions, changed.restrictions, "the rest stays");
    }
    let missing = ledger.keys().change("b", LATER, blocked(true)).await;
    assert_eq!(missing.expect("read"), None);
    ledger.keys().revoke("a", LATER).await.expect("revoked");
    let revoked = ledger.keys().change("a", LATER, blocked(true)).await;
    assert_eq!(
        revoked.expect("read"),
        None,
        "a revoked key does not change"
    );
}

#[tokio::test]
async fn a_replacement_has_the_rights_of_the_key_that_it_replaces() {
    let scratch = ScratchDir::new("keys-rotate").expect("a directory");
    let ledger = Ledger::open_for_keys(scratch.path())
        .await
        .expect("a ledger");
    ledger
        .keys()
        .add(key("a", Restrictions::default()))
        .await
        .expect("added");
    ledger
        .keys()
        .change("a", MADE, restricted("crm.*"))
        .await
        .expect("stored");
    let replacement = |id: &str| Replacement {
        id: id.to_owned(),
        digest: [8; 32],
        created_at: LATER,
        expires_at: None,
    };
    let ends = UnixTime::from_secs(LATER.secs() + 60);
    let new = ledger.keys().rotate("a", replacement("b"), ends).await;
    let new = new.expect("stored").expect("a key");
    let old = only(&ledger, "a").await;
    assert_eq!(only(&ledger, "b").await, new);
    assert_eq!((new.replaces.as_deref(), new.expires_at), (Some("a"), None));
    assert_eq!(new.restrictions, old.restrictions);
    assert_eq!(old.expires_at, Some(ends));
    // A second rotation with a longer overlap gives the old key no more time.
    let longer = UnixTime::from_secs(ends.secs() + 60);
    ledger
        .keys()
        .rotate("a", replacement("c"), longer)
        .await
        .expect("stored");
    assert_eq!(only(&ledger, "a").await.expires_at, Some(ends));
}

#[tokio::test]
async fn keys_of_a_ledger_without_restrictions_have_none() {
    let scratch = ScratchDir::new("keys-migrated").expect("a directory");
    let file = scratch.path().join("ledger.sqlite");
    let url = format!("sqlite://{}?mode=rwc", file.display());
    let mut connection = SqliteConnection::connect(&url).await.expect("a file");
    let steps = [
        include_str!("../../src/ledger/schema.sql"),
        include_str!("../../src/ledger/schema_retention.sql"),
        include_str!("../../src/ledger/admins.sql"),
        include_str!("../../src/ledger/unfinished.sql"),
        include_str!("../../src/ledger/usage_sums.sql"),
        include_str!("../../src/ledger/usage_cause.sql"),
        "INSERT INTO api_keys (id, tenant, digest, created_at) VALUES ('a', 'acme', zeroblob(32), 5);
         PRAGMA user_version = 6;",
    ];
    sqlx::raw_sql(sqlx::AssertSqlSafe(steps.concat()))
        .execute(&mut connection)
        .await
        .expect("a ledger");
    connection.close().await.expect("closed");
    let ledger = Ledger::open_for_keys(scratch.path())
        .await
        .expect("a ledger");
    let key = only(&ledger, "a").await;
    assert_eq!(key.restrictions, Restrictions::default());
    assert_eq!(
        (key.expires_at, key.blocked_at, key.replaces),
        (None, None, None)
    );
}

#[tokio::test]
async fn a_key_with_unreadable_restrictions_is_an_error_and_not_a_key_without_them() {
    let scratch = ScratchDir::new("keys-unreadable").expect("a directory");
    let ledger = Ledger::open_for_keys(scratch.path())
        .await
        .expect("a ledger");
    ledger
        .keys()
        .add(key("a", Restrictions::default()))
        .await
        .expect("added");
    let url = format!(
        "sqlite://{}",
        scratch.path().join("ledger.sqlite").display()
    );
    let mut connection = SqliteConnection::connect(&url).await.expect("the file");
    for written in ["", "[]", r#"{"models":[]}"#, r#"{"model":["a"]}"#] {
        sqlx::query("UPDATE api_keys SET restrictions = ?")
            .bind(written)
            .execute(&mut connection)
            .await
            .expect("written");
        assert!(ledger.keys().all().await.is_err(), "{written}");
    }
}
