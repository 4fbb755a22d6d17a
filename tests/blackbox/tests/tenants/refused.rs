//! Bad input of administrators.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_refused_by_name_and_changes_nothing() -> Result<()> {
    let admin = Administered::new("holders-refused").await?;
    let body = json!({"organisation": "group"});
    admin.done("POST", "/admin/v1/organisations", body).await?;
    admin
        .done("POST", "/admin/v1/tenants", json!({"tenant": "acme"}))
        .await?;
    let (organisations, tenants) = ("/admin/v1/organisations", "/admin/v1/tenants");
    let (acme, users) = ("/admin/v1/tenants/acme", "/admin/v1/tenants/acme/users");
    let many: Vec<String> = (0..300).map(|n| format!("s-{n}")).collect();
    for (method, path, body, status, code, param) in [
        (
            "POST",
            organisations,
            json!({"organisation": "group"}),
            409,
            Some("name_taken"),
            None,
        ),
        (
            "POST",
            organisations,
            json!({"organisation": "a b"}),
            400,
            None,
            Some("organisation"),
        ),
        (
            "POST",
            organisations,
            json!({"organisation": ""}),
            400,
            None,
            Some("organisation"),
        ),
        (
            "POST",
            organisations,
            json!({"name": "x"}),
            400,
            Some("unknown_member"),
            None,
        ),
        ("POST", organisations, json!({}), 400, None, None),
        ("POST", organisations, json!(["group"]), 400, None, None),
        (
            "POST",
            tenants,
            json!({"tenant": "acme"}),
            409,
            Some("name_taken"),
            None,
        ),
        (
            "POST",
            tenants,
            json!({"tenant": "x", "organisation": "nothing"}),
            404,
            None,
            None,
        ),
        (
            "POST",
            tenants,
            json!({"tenant": "x", "owner": "free text"}),
            400,
            None,
            Some("owner"),
        ),
        (
            "POST",
            tenants,
            json!({"tenant": "x", "scenarios": ["a", "b c"]}),
            400,
            None,
            Some("scenarios"),
        ),
        (
            "POST",
            tenants,
            json!({"tenant": "x", "scenarios": many}),
            400,
            None,
            Some("scenarios"),
        ),
        (
            "POST",
            tenants,
            json!({"tenant": "x", "required": ["model"]}),
            400,
            None,
            Some("required"),
        ),
        (
            "POST",
            tenants,
            json!({"tenant": "x", "budget": 1}),
            400,
            Some("unknown_member"),
            None,
        ),
        ("PATCH", acme, json!({}), 400, None, None),
        ("PATCH", acme, json!({"disabled": "yes"}), 400, None, None),
        (
            "PATCH",
            acme,
            json!({"tenant": "other"}),
            400,
            Some("unknown_member"),
            None,
        ),
        (
            "PATCH",
            "/admin/v1/tenants/nothing",
            json!({"disabled": true}),
            404,
            None,
            None,
        ),
        (
            "PATCH",
            "/admin/v1/tenants/%20",
            json!({"disabled": true}),
            404,
            None,
            None,
        ),
        (
            "POST",
            users,
            json!({"user": "bob", "kind": "robot"}),
            400,
            None,
            Some("kind"),
        ),
        (
            "POST",
            users,
            json!({"user": "bob", "role": "x"}),
            400,
            Some("unknown_member"),
            None,
        ),
        (
            "POST",
            "/admin/v1/tenants/nothing/users",
            json!({"user": "bob"}),
            404,
            None,
            None,
        ),
        (
            "GET",
            "/admin/v1/tenants/nothing/users",
            Value::Null,
            404,
            None,
            None,
        ),
        (
            "DELETE",
            "/admin/v1/tenants/acme/users/bob",
            Value::Null,
            404,
            None,
            None,
        ),
        (
            "DELETE",
            "/admin/v1/organisations/group?revoke_keys=maybe",
            Value::Null,
            400,
            None,
            None,
        ),
        (
            "POST",
            "/admin/v1/keys",
            json!({"tenant": "acme", "user": "bob"}),
            404,
            None,
            None,
        ),
        (
            "POST",
            "/admin/v1/keys",
            json!({"tenant": "acme", "usr": "bob"}),
            400,
            Some("unknown_member"),
            None,
        ),
        (
            "PUT",
            acme,
            json!({}),
            405,
            Some("method_not_supported"),
            None,
        ),
    ] {
        let refused = admin.refused(method, path, body.clone()).await?;
        let found = (
            refused.status,
            refused.code.as_deref(),
            refused.param.as_deref(),
        );
        assert_eq!(
            found,
            (status, code, param),
            "{method} {path} {body}: {refused:?}"
        );
        if code == Some("unknown_member") {
            let known = ["name", "budget", "\"tenant\"", "role", "usr"];
            assert!(
                known.iter().any(|name| refused.message.contains(name)),
                "{refused:?}"
            );
        }
    }
    let listed = admin.done("GET", tenants, Value::Null).await?;
    let names: Vec<&Value> = listed["tenants"]
        .as_array()
        .context("tenants")?
        .iter()
        .map(|row| &row["tenant"])
        .collect();
    assert_eq!(names, [&json!("acme"), &json!("tests")]);
    let listed = admin.done("GET", users, Value::Null).await?;
    assert_eq!(listed["users"], json!([]));
    Ok(())
}
