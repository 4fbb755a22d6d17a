//! The headers that say what a request is counted to.

use super::*;

const SCENARIO: &str = "x-sealgate-scenario";
const OWNER: &str = "x-sealgate-owner";

#[tokio::test(flavor = "multi_thread")]
async fn labels_are_checked_against_the_tenant_and_stay_in_the_gateway() -> Result<()> {
    let admin = Administered::new("labels-checked").await?;
    let body = json!({"tenant": "acme", "scenarios": ["s-1", "s-2"], "owners": ["carol"]});
    admin.done("POST", "/admin/v1/tenants", body).await?;
    let key = admin.key(json!({"tenant": "acme"})).await?;
    let other = admin.key(json!({"tenant": "other"})).await?;
    let both = [(SCENARIO, "s-1"), (OWNER, "carol")];
    assert_eq!(admin.ask_with(&key, &both).await?.status, 200);
    let forwarded = admin.world.engine.last_headers().context("a request")?;
    let ours = forwarded
        .keys()
        .find(|name| name.as_str().starts_with("x-sealgate"));
    assert_eq!(ours, None);
    assert_eq!(admin.ask_with(&key, &[]).await?.status, 200);

    let value = "value-of-a-header";
    for (key, headers, expected) in [
        (&key, vec![(SCENARIO, value)], "scenario_unknown"),
        (
            &key,
            vec![(SCENARIO, "s-1"), (SCENARIO, "s-1")],
            "scenario_unknown",
        ),
        (&key, vec![(SCENARIO, "carol")], "scenario_unknown"),
        (&key, vec![(OWNER, value)], "owner_unknown"),
        (&key, vec![(OWNER, "")], "owner_unknown"),
        (&other, vec![(SCENARIO, "s-1")], "scenario_unknown"),
    ] {
        let refused = admin.ask_with(key, &headers).await?;
        assert!(refused.is(400, expected), "{headers:?}: {refused:?}");
        let header = headers[0].0;
        assert_eq!(refused.param.as_deref(), Some(header));
        assert!(!refused.message.contains(value), "{refused:?}");
    }
    assert_eq!(
        admin.world.engine.stats().prompts,
        2,
        "nothing refused was forwarded"
    );
    assert!(!admin.world.enclave.log().contains(value));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_can_require_labels() -> Result<()> {
    let admin = Administered::new("labels-required").await?;
    let key = admin.key(json!({"tenant": "acme"})).await?;
    assert_eq!(admin.ask(&key).await?, served());
    let require = [
        "tenants",
        "change",
        "acme",
        "--allow-scenario",
        "s-1",
        "--allow-owner",
        "carol",
        "--require",
        "scenario",
        "--require",
        "owner",
    ];
    admin.cli(&require).await?;
    let scenario = (SCENARIO, "s-1");
    for (headers, expected) in [
        (vec![], Some("scenario_missing")),
        (vec![scenario], Some("owner_missing")),
        (vec![(OWNER, "carol")], Some("scenario_missing")),
        (vec![scenario, (OWNER, "carol")], None),
    ] {
        let answer = admin.ask_with(&key, &headers).await?;
        assert_eq!(answer.code.as_deref(), expected, "{headers:?}");
    }
    let body = json!({"required": []});
    let changed = admin.done("PATCH", "/admin/v1/tenants/acme", body).await?;
    assert_eq!(changed["scenarios"], json!(["s-1"]), "what is absent stays");
    assert_eq!(admin.ask(&key).await?, served());
    Ok(())
}
