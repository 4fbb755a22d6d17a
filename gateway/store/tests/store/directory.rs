//! Organisations, tenants and users in the ledger: their lives, what they refuse, and tenants that existed through their
//! keys only.

use sqlx::{Connection, SqliteConnection};

use attest_core::UnixTime;
use gateway_base::request::{
    Holder, Label, LabelRules, Metadata, MetadataChanges, Name, Restrictions, UserKind,
};
use gateway_store::ledger::{
    ActiveKeys, DirectoryError, HolderChanges, KeyChanges, LabelChanges, Ledger, NewKey, NewTenant,
    OrganisationRow, TenantChanges, TenantRow, UserRow,
};
use testkit::scratch::ScratchDir;

const MADE: UnixTime = UnixTime::from_secs(1_800_000_000);
const LATER: UnixTime = UnixTime::from_secs(1_800_000_600);

fn name(text: &str) -> Name {
    Name::from_operator(text).expect("a name")
}

async fn open(scratch: &ScratchDir) -> Ledger {
    Ledger::open_for_keys(scratch.path())
        .await
        .expect("a ledger")
}

fn organisation(text: &str) -> OrganisationRow {
    OrganisationRow {
        name: name(text),
        metadata: Metadata::default(),
        created_at: MADE,
        disabled_at: None,
    }
}

fn tenant(text: &str, organisation: Option<&str>) -> NewTenant {
    NewTenant {
        name: name(text),
        organisation: organisation.map(name),
        metadata: Metadata::default(),
        labels: LabelRules::default(),
        created_at: MADE,
    }
}

fn user(tenant: &str, text: &str) -> UserRow {
    UserRow {
        tenant: name(tenant),
        name: name(text),
        kind: UserKind::ServiceAccount,
        metadata: Metadata::default(),
        created_at: MADE,
        disabled_at: None,
    }
}

fn key(id: &str, tenant: &str, user: Option<&str>) -> NewKey {
    NewKey {
        id: id.to_owned(),
        tenant: name(tenant),
        user: user.map(name),
        name: None,
        digest: [7; 32],
        created_at: MADE,
        expires_at: None,
        restrictions: Restrictions::default(),
    }
}

async fn tenant_row(ledger: &Ledger, text: &str) -> TenantRow {
    let all = ledger.tenants().all().await.expect("tenants");
    let found = all.into_iter().find(|one| one.row.name == text);
    found.expect("the tenant").row
}

async fn generation(ledger: &Ledger) -> i64 {
    ledger.keys().generation().await.expect("a number")
}

fn is_missing<T: std::fmt::Debug>(result: Result<T, DirectoryError>, holder: Holder) -> bool {
    matches!(result, Err(DirectoryError::NotFound(found)) if found == holder)
}

fn is_taken<T: std::fmt::Debug>(result: Result<T, DirectoryError>, holder: Holder) -> bool {
    matches!(result, Err(DirectoryError::Taken(found)) if found == holder)
}

#[tokio::test]
async fn every_change_of_the_directory_counts_as_a_change_of_keys() {
    let scratch = ScratchDir::new("directory-generation").expect("a directory");
    let ledger = open(&scratch).await;
    let mut seen = vec![generation(&ledger).await];
    macro_rules! changes {
        ($($change:expr),* $(,)?) => {$(
            $change.await.expect("a change");
            let now = generation(&ledger).await;
            assert!(Some(&now) > seen.last(), "{}", stringify!($change));
            seen.push(now);
        )*};
    }
    let (group, acme, bot) = (name("group"), name("acme"), name("bot"));
    let disabled = Some(true);
    changes!(
        ledger.organisations().add(&organisation("group")),
        ledger.tenants().add(tenant("acme", Some("group"))),
        ledger.users().add(&user("acme", "bot")),
        ledger.users().change(
            (&acme, &bot),
            LATER,
            HolderChanges {
                disabled,
                ..HolderChanges::default()
            }
        ),
        ledger.tenants().change(
            &acme,
            LATER,
            TenantChanges {
                disabled,
                ..TenantChanges::default()
            }
        ),
        ledger.organisations().change(
            &group,
            LATER,
            HolderChanges {
                disabled,
                ..HolderChanges::default()
            }
        ),
        ledger
            .users()
            .remove((&acme, &bot), LATER, ActiveKeys::Refuse),
        ledger.tenants().remove(&acme, LATER, ActiveKeys::Refuse),
        ledger
            .organisations()
            .remove(&group, LATER, ActiveKeys::Refuse),
    );
}

#[tokio::test]
async fn what_is_registered_is_read_back_and_a_change_leaves_the_rest() {
    let scratch = ScratchDir::new("directory-registered").expect("a directory");
    let ledger = open(&scratch).await;
    let added = ledger.organisations().add(&organisation("group")).await;
    added.expect("added");
    let mut labels = LabelRules::default();
    let values = |texts: &[&str]| texts.iter().map(|text| name(text)).collect::<Vec<_>>();
    let set = labels.set_values(Label::Scenario, values(&["s-2", "s-1"]));
    set.expect("few values");
    labels.set_required(&[Label::Scenario]);
    let wanted = NewTenant {
        metadata: Metadata {
            owner: Some(name("alice@example.com")),
            cost_centre: Some(name("cc/1")),
        },
        labels,
        ..tenant("acme:eu/1", Some("group"))
    };
    let added = ledger.tenants().add(wanted).await.expect("added");
    assert_eq!(tenant_row(&ledger, "acme:eu/1").await, added);
    let changes = TenantChanges {
        organisation: Some(None),
        metadata: MetadataChanges {
            owner: Some(None),
            cost_centre: None,
        },
        labels: LabelChanges {
            owners: Some(values(&["bob"])),
            ..LabelChanges::default()
        },
        disabled: Some(true),
    };
    let tenants = ledger.tenants();
    let changed = tenants.change(&name("acme:eu/1"), LATER, changes).await;
    let changed = changed.expect("changed");
    assert_eq!(tenant_row(&ledger, "acme:eu/1").await, changed);
    assert_eq!((changed.organisation, changed.metadata.owner), (None, None));
    assert_eq!(changed.metadata.cost_centre, Some(name("cc/1")));
    assert_eq!(changed.disabled_at, Some(LATER));
    let rules = &changed.labels;
    assert_eq!(rules.values(Label::Scenario), values(&["s-1", "s-2"]));
    assert_eq!(rules.values(Label::Owner), values(&["bob"]));
    assert!(rules.requires(Label::Scenario) && !rules.requires(Label::Owner));
}

#[tokio::test]
async fn rejects_names_that_are_taken_and_members_of_what_does_not_exist() {
    let scratch = ScratchDir::new("directory-refused").expect("a directory");
    let ledger = open(&scratch).await;
    let (organisations, tenants, users) =
        (ledger.organisations(), ledger.tenants(), ledger.users());
    let added = organisations.add(&organisation("group")).await;
    added.expect("added");
    let added = tenants.add(tenant("acme", None)).await;
    added.expect("added");
    users.add(&user("acme", "bot")).await.expect("added");
    let again = organisations.add(&organisation("group")).await;
    assert!(is_taken(again, Holder::Organisation));
    let again = tenants.add(tenant("acme", None)).await;
    assert!(is_taken(again, Holder::Tenant));
    assert!(is_taken(
        users.add(&user("acme", "bot")).await,
        Holder::User
    ));

    let elsewhere = tenants.add(tenant("other", Some("nothing"))).await;
    assert!(is_missing(elsewhere, Holder::Organisation));
    let of_nothing = users.add(&user("nothing", "bot")).await;
    assert!(is_missing(of_nothing, Holder::Tenant));
    let key_of_nothing = ledger.keys().add(key("k", "acme", Some("alice"))).await;
    assert!(is_missing(key_of_nothing, Holder::User));
    let other_tenant = ledger.keys().add(key("k", "other", Some("bot"))).await;
    assert!(is_missing(other_tenant, Holder::User));
    let added = ledger.keys().add(key("k", "acme", Some("bot"))).await;
    added.expect("added");
    let to_nothing = KeyChanges {
        user: Some(Some(name("alice"))),
        ..KeyChanges::default()
    };
    let changed = ledger.keys().change("k", LATER, to_nothing).await;
    assert!(is_missing(changed, Holder::User));
    let listed = ledger.tenants().all().await.expect("tenants");
    let names: Vec<_> = listed.iter().map(|one| one.row.name.as_str()).collect();
    assert_eq!(names, ["acme"], "nothing refused was created");
}

#[tokio::test]
async fn what_has_active_keys_is_removed_only_if_they_are_revoked() {
    let scratch = ScratchDir::new("directory-removed").expect("a directory");
    let ledger = open(&scratch).await;
    let (group, acme, bot) = (name("group"), name("acme"), name("bot"));
    let added = ledger.organisations().add(&organisation("group")).await;
    added.expect("added");
    let added = ledger.tenants().add(tenant("acme", Some("group"))).await;
    added.expect("added");
    ledger
        .users()
        .add(&user("acme", "bot"))
        .await
        .expect("added");
    for (id, user) in [("a", None), ("b", Some("bot"))] {
        let added = ledger.keys().add(key(id, "acme", user)).await;
        added.expect("added");
    }
    let refused = ledger
        .users()
        .remove((&acme, &bot), LATER, ActiveKeys::Refuse)
        .await;
    assert!(matches!(
        refused,
        Err(DirectoryError::HasActiveKeys { keys: 1 })
    ));
    let refused = ledger
        .tenants()
        .remove(&acme, LATER, ActiveKeys::Refuse)
        .await;
    assert!(matches!(
        refused,
        Err(DirectoryError::HasActiveKeys { keys: 2 })
    ));
    let refused = ledger
        .organisations()
        .remove(&group, LATER, ActiveKeys::Refuse)
        .await;
    assert!(matches!(
        refused,
        Err(DirectoryError::HasTenants { tenants: 1 })
    ));

    let removed = ledger
        .users()
        .remove((&acme, &bot), LATER, ActiveKeys::Revoke)
        .await;
    assert_eq!(removed.expect("removed"), 1);
    let removed = ledger
        .organisations()
        .remove(&group, LATER, ActiveKeys::Revoke)
        .await;
    assert_eq!(removed.expect("removed"), 1);
    let keys = ledger.keys().all().await.expect("keys");
    assert!(keys.iter().all(|key| key.revoked_at == Some(LATER)));
    assert_eq!(tenant_row(&ledger, "acme").await.removed_at, Some(LATER));
    let again = ledger
        .tenants()
        .remove(&acme, LATER, ActiveKeys::Revoke)
        .await;
    assert!(is_missing(again, Holder::Tenant));

    // A new key begins the tenant again, with nothing of what was registered.
    let added = ledger.keys().add(key("c", "acme", None)).await;
    added.expect("added");
    let row = tenant_row(&ledger, "acme").await;
    assert_eq!((row.removed_at, row.organisation), (None, None));
    let users = ledger.users().of_tenant(&acme).await.expect("users");
    assert_eq!(users, []);
}

#[tokio::test]
async fn tenants_that_existed_through_their_keys_are_tenants_after_an_upgrade() {
    let scratch = ScratchDir::new("directory-migrated").expect("a directory");
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
        include_str!("../../src/ledger/key_restrictions.sql"),
        include_str!("../../src/ledger/row_batches.sql"),
        include_str!("../../src/ledger/usage_cost.sql"),
        "INSERT INTO api_keys (id, tenant, digest, created_at, revoked_at) VALUES
            ('a', 'acme', zeroblob(32), 9, NULL), ('b', 'acme', zeroblob(32), 5, 6), ('c', 'bank', zeroblob(32), 7, 8);
         PRAGMA user_version = 9;",
    ];
    sqlx::raw_sql(sqlx::AssertSqlSafe(steps.concat()))
        .execute(&mut connection)
        .await
        .expect("a ledger");
    connection.close().await.expect("closed");
    let ledger = open(&scratch).await;
    let tenants = ledger.tenants().all().await.expect("tenants");
    let found: Vec<_> = tenants
        .iter()
        .map(|one| {
            let since = one.row.created_at.secs();
            let keys = (one.active_keys, one.revoked_keys);
            (one.row.name.as_str(), since, keys)
        })
        .collect();
    assert_eq!(found, [("acme", 5, (1, 1)), ("bank", 7, (0, 1))]);
    let rows = tenants.iter().map(|one| &one.row);
    assert!(
        rows.clone()
            .all(|row| row.disabled_at.is_none() && row.removed_at.is_none())
    );
    let keys = ledger.keys().all().await.expect("keys");
    assert!(keys.iter().all(|key| key.user.is_none()));
}

#[tokio::test]
async fn a_tenant_with_unreadable_labels_is_an_error_and_not_one_without_rules() {
    let scratch = ScratchDir::new("directory-unreadable").expect("a directory");
    let ledger = open(&scratch).await;
    ledger
        .tenants()
        .add(tenant("acme", None))
        .await
        .expect("added");
    let url = format!(
        "sqlite://{}",
        scratch.path().join("ledger.sqlite").display()
    );
    let mut connection = SqliteConnection::connect(&url).await.expect("the file");
    for written in ["", "{}", r#"["model"]"#, "[1]"] {
        sqlx::query("UPDATE tenants SET required = ?")
            .bind(written)
            .execute(&mut connection)
            .await
            .expect("written");
        assert!(ledger.tenants().all().await.is_err(), "{written}");
    }
}
