//! Usage in groups, compared with the requests that were sent.

use super::*;

/// Sends requests of two tenants, of one of them with users and scenarios.
async fn sent(admin: &Administered) -> Result<()> {
    let body = json!({"organisation": "group"});
    admin.done("POST", "/admin/v1/organisations", body).await?;
    let body = json!({"tenant": "acme/eu", "organisation": "group", "scenarios": ["s-1", "-2"]});
    admin.done("POST", "/admin/v1/tenants", body).await?;
    let users = "/admin/v1/tenants/acme%2Feu/users";
    admin.done("POST", users, json!({"user": "alice"})).await?;
    let of_tenant = admin.key(json!({"tenant": "acme/eu"})).await?;
    let of_user = admin
        .key(json!({"tenant": "acme/eu", "user": "alice"}))
        .await?;
    let scenario = |value| vec![("x-sealgate-scenario", value)];
    for (key, headers, count) in [
        (&of_tenant, vec![], 1),
        (&of_tenant, scenario("s-1"), 2),
        (&of_user, scenario("s-1"), 3),
        (&of_user, scenario("-2"), 4),
        (&admin.world.key, vec![], 5),
    ] {
        for _ in 0..count {
            assert_eq!(admin.ask_with(key, &headers).await?.status, 200);
        }
    }
    Ok(())
}

/// The groups as (values, requests).
async fn groups(admin: &Administered, query: &str) -> Result<Vec<(Vec<Value>, u64)>> {
    let path = format!("/admin/v1/usage?{query}");
    let answer = admin.done("GET", &path, Value::Null).await?;
    let by: Vec<String> = serde_json::from_value(answer["group_by"].clone())?;
    let rows = answer["usage"].as_array().context("usage")?;
    let rows = rows.iter().map(|row| {
        let values = by.iter().map(|name| row[name].clone()).collect();
        (values, row["requests"].as_u64().unwrap_or_default())
    });
    Ok(rows.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_is_grouped_filtered_and_exported_as_it_was_sent() -> Result<()> {
    let admin = Administered::new("usage-groups").await?;
    sent(&admin).await?;
    let row = |values: &[Value], count: u64| (values.to_vec(), count);
    assert_eq!(groups(&admin, "group_by=").await?, [row(&[], 15)]);
    let (group, acme) = (json!("group"), json!("acme/eu"));
    assert_eq!(
        groups(&admin, "group_by=organisation,tenant").await?,
        [
            row(&[Value::Null, json!("tests")], 5),
            row(&[group.clone(), acme], 10)
        ]
    );
    assert_eq!(
        groups(&admin, "group_by=user,scenario&tenant=acme%2Feu").await?,
        [
            row(&[Value::Null, Value::Null], 1),
            row(&[Value::Null, json!("s-1")], 2),
            row(&[json!("alice"), json!("-2")], 4),
            row(&[json!("alice"), json!("s-1")], 3),
        ]
    );
    let of_none = groups(&admin, "group_by=scenario&user=&organisation=group").await?;
    assert_eq!(of_none.iter().map(|(_, count)| count).sum::<u64>(), 3);
    for by in [
        "hour", "day", "key", "model", "upstream", "endpoint", "owner",
    ] {
        let found = groups(&admin, &format!("group_by={by}")).await?;
        assert_eq!(
            found.iter().map(|(_, count)| count).sum::<u64>(),
            15,
            "{by}"
        );
    }

    let path = "/admin/v1/usage?group_by=scenario&tenant=acme%2Feu&format=csv";
    let answer = admin.send("GET", path, &Value::Null).await?;
    let kind = answer.header("content-type").unwrap_or_default().to_owned();
    assert!(kind.starts_with("text/csv"), "{kind}");
    let csv = String::from_utf8(answer.bytes().await?)?;
    let lines: Vec<&str> = csv.split("\r\n").collect();
    assert!(lines[0].starts_with("scenario,requests,failed,"), "{csv}");
    let begins: Vec<&str> = lines[1..].iter().filter_map(|line| line.get(..5)).collect();
    assert_eq!(begins, [",1,0,", "'-2,4", "s-1,5"], "{csv}");

    // Without parameters the answer is as it was.
    let usual = admin.done("GET", "/admin/v1/usage", Value::Null).await?;
    assert!(usual.get("group_by").is_none() && usual["usage"][0]["tenant"].is_string());
    for (query, param) in [
        ("group_by=tenant,tenant", Some("group_by")),
        ("group_by=team", Some("group_by")),
        ("format=xml", Some("format")),
        ("tenant=%zz", Some("tenant")),
        ("tenant=a&tenant=b", Some("tenant")),
        ("hour=1", None),
        ("team=a", None),
    ] {
        let path = format!("/admin/v1/usage?{query}");
        let refused = admin.refused("GET", &path, Value::Null).await?;
        assert_eq!(
            (refused.status, refused.param.as_deref()),
            (400, param),
            "{query}"
        );
    }
    Ok(())
}
