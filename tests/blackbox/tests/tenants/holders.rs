//! The lives of organisations, tenants and users.

use super::*;

/// The audit log's subjects of entries with this action.
async fn logged(admin: &Administered, action: &str) -> Result<Vec<String>> {
    let log = admin
        .done("GET", "/admin/v1/log?count=500", Value::Null)
        .await?;
    let entries = log["entries"].as_array().context("entries")?;
    let about = entries
        .iter()
        .filter(|row| row["entry"]["action"] == action);
    let subjects = about.filter_map(|row| row["subject"].as_str());
    Ok(subjects.map(str::to_owned).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn disabling_any_level_over_http_refuses_its_keys_when_the_answer_arrives() -> Result<()> {
    let admin = Administered::new("holders-http").await?;
    // Names with characters that a path has to encode.
    let group = "/admin/v1/organisations/acme%2Fgroup%3A1";
    let tenant = "/admin/v1/tenants/acme%2Feu%3A1";
    let user = "/admin/v1/tenants/acme%2Feu%3A1/users/alice%40example.com%2Fx";
    let organisation =
        json!({"organisation": "acme/group:1", "owner": "carol", "cost_centre": "cc/7"});
    let made = admin
        .done("POST", "/admin/v1/organisations", organisation)
        .await?;
    assert_eq!(
        (&made["organisation"], &made["owner"], &made["disabled_at"]),
        (&json!("acme/group:1"), &json!("carol"), &Value::Null)
    );
    let body = json!({"tenant": "acme/eu:1", "organisation": "acme/group:1"});
    admin.done("POST", "/admin/v1/tenants", body).await?;
    let body = json!({"user": "alice@example.com/x"});
    admin.done("POST", &format!("{tenant}/users"), body).await?;
    let of_tenant = admin.key(json!({"tenant": "acme/eu:1"})).await?;
    let of_user = admin
        .key(json!({"tenant": "acme/eu:1", "user": "alice@example.com/x"}))
        .await?;
    for key in [&of_tenant, &of_user] {
        assert_eq!(admin.ask(key).await?, served());
    }
    for (path, refused, tenant_key) in [
        (user, "user_disabled", served()),
        (tenant, "tenant_disabled", code(403, "tenant_disabled")),
        (
            group,
            "organisation_disabled",
            code(403, "organisation_disabled"),
        ),
    ] {
        let changed = admin.done("PATCH", path, json!({"disabled": true})).await?;
        assert!(changed["disabled_at"].is_string(), "{changed}");
        assert_eq!(admin.ask(&of_user).await?, code(403, refused), "{path}");
        assert_eq!(admin.ask(&of_tenant).await?, tenant_key, "{path}");
        assert_eq!(admin.ask(&admin.world.key).await?, served());
        admin
            .done("PATCH", path, json!({"disabled": false}))
            .await?;
        for key in [&of_tenant, &of_user] {
            assert_eq!(admin.ask(key).await?, served(), "{path}");
        }
    }
    let subjects = logged(&admin, "user.changed").await?;
    let subject = "user alice@example.com/x of tenant acme/eu:1";
    assert_eq!(
        subjects,
        [
            format!("{subject}: disabled"),
            format!("{subject}: enabled")
        ]
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organisation_lives_and_ends_over_http() -> Result<()> {
    let admin = Administered::new("holders-life").await?;
    let body = json!({"organisation": "group"});
    admin.done("POST", "/admin/v1/organisations", body).await?;
    // A tenant that began with its key joins later.
    let key = admin.key(json!({"tenant": "acme"})).await?;
    let body = json!({"organisation": "group", "owner": "bob"});
    let changed = admin.done("PATCH", "/admin/v1/tenants/acme", body).await?;
    assert_eq!(
        (&changed["organisation"], &changed["owner"]),
        (&json!("group"), &json!("bob"))
    );
    let body = json!({"user": "bot", "kind": "service_account"});
    let path = "/admin/v1/tenants/acme/users";
    admin.done("POST", path, body).await?;
    let id = key.split('-').nth(2).context("an id")?.to_owned();
    let key_path = format!("/admin/v1/keys/{id}");
    let given = admin
        .done("PATCH", &key_path, json!({"user": "bot"}))
        .await?;
    assert_eq!(given["user"], "bot");

    let listed = admin.done("GET", path, Value::Null).await?;
    let user = &listed["users"][0];
    assert_eq!(
        (&user["user"], &user["kind"], &user["active_keys"]),
        (&json!("bot"), &json!("service_account"), &json!(1))
    );
    let listed = admin
        .done("GET", "/admin/v1/organisations", Value::Null)
        .await?;
    let group = &listed["organisations"][0];
    assert_eq!(
        (&group["tenants"], &group["active_keys"]),
        (&json!(1), &json!(1))
    );

    // Neither goes while something depends on it.
    let user_path = "/admin/v1/tenants/acme/users/bot";
    let refused = admin.refused("DELETE", user_path, Value::Null).await?;
    assert!(refused.is(409, "has_active_keys"), "{refused:?}");
    let group_path = "/admin/v1/organisations/group";
    let refused = admin.refused("DELETE", group_path, Value::Null).await?;
    assert!(refused.is(409, "has_tenants"), "{refused:?}");
    assert_eq!(admin.ask(&key).await?, served());

    let removed = admin
        .done(
            "DELETE",
            "/admin/v1/organisations/group?revoke_keys=true",
            Value::Null,
        )
        .await?;
    assert_eq!(removed["revoked_keys"], 1);
    assert_eq!(admin.ask(&key).await?, code(401, "invalid_api_key"));
    let tenants = admin.done("GET", "/admin/v1/tenants", Value::Null).await?;
    let tenants = tenants["tenants"].as_array().context("tenants")?;
    let acme = tenants.iter().find(|row| row["tenant"] == "acme");
    assert!(acme.is_some_and(|row| row["removed_at"].is_string()));
    for (action, subject) in [
        ("organisation.created", "organisation group"),
        ("organisation.removed", "organisation group"),
        ("tenant.removed", "tenant acme"),
        ("tenant.changed", "tenant acme: organisation, owner"),
        ("user.created", "service_account bot of tenant acme"),
    ] {
        assert_eq!(logged(&admin, action).await?, [subject], "{action}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_change_the_directory_of_a_running_service() -> Result<()> {
    let admin = Administered::new("holders-cli").await?;
    admin
        .cli(&["organisations", "create", "group", "--owner", "carol"])
        .await?;
    admin
        .cli(&["tenants", "create", "acme/eu", "--organisation", "group"])
        .await?;
    let of_acme = ["--tenant", "acme/eu"];
    let users = |verb: &'static str| [&["users", verb, "bot"][..], &of_acme].concat();
    let create = [&users("create")[..], &["--service-account"]].concat();
    admin.cli(&create).await?;
    let made = [&["keys", "create"][..], &of_acme, &["--user", "bot"]].concat();
    let key = admin.cli(&made).await?.trim().to_owned();
    assert_eq!(admin.ask(&key).await?, served());
    for (disable, enable, refused) in [
        (users("disable"), users("enable"), "user_disabled"),
        (
            vec!["tenants", "disable", "acme/eu"],
            vec!["tenants", "enable", "acme/eu"],
            "tenant_disabled",
        ),
        (
            vec!["organisations", "disable", "group"],
            vec!["organisations", "enable", "group"],
            "organisation_disabled",
        ),
    ] {
        admin.cli(&disable).await?;
        assert_eq!(admin.ask(&key).await?, code(403, refused));
        admin.cli(&enable).await?;
        assert_eq!(admin.ask(&key).await?, served());
    }
    let listed = admin.cli(&["organisations", "list"]).await?;
    let line = listed.lines().find(|line| line.starts_with("group"));
    assert!(
        line.is_some_and(|line| line.contains("owner=carol")),
        "{listed}"
    );
    let listed = admin.cli(&["tenants", "list"]).await?;
    let line = listed.lines().find(|line| line.starts_with("acme/eu"));
    assert!(line.is_some_and(|line| line.contains("group")), "{listed}");
    let listed = admin
        .cli(&[&["users", "list"][..], &of_acme].concat())
        .await?;
    assert!(listed.contains("service_account"), "{listed}");

    for (arguments, expected) in [
        (users("remove"), "1 active API keys belong to it"),
        (
            vec!["organisations", "remove", "group"],
            "1 tenants belong to it",
        ),
        (
            vec!["tenants", "remove", "acme/eu"],
            "1 active API keys belong to it",
        ),
        (vec!["tenants", "change", "acme/eu"], "nothing to change"),
        (vec!["tenants", "disable", "nothing"], "there is no tenant"),
        (vec!["tenants", "create", "acme/eu"], "already"),
        (
            vec!["tenants", "change", "acme/eu", "--organisation", "nothing"],
            "there is no organisation",
        ),
    ] {
        let output = admin.world.enclave.cli(&arguments).await?;
        let said = String::from_utf8(output.stderr)?;
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
    let remove = [&users("remove")[..], &["--revoke-keys"]].concat();
    admin.cli(&remove).await?;
    assert_eq!(admin.ask(&key).await?, code(401, "invalid_api_key"));
    admin
        .cli(&["tenants", "change", "acme/eu", "--organisation", ""])
        .await?;
    admin.cli(&["organisations", "remove", "group"]).await?;
    admin.cli(&["tenants", "remove", "acme/eu"]).await?;
    Ok(())
}
