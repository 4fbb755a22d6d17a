use super::*;

fn imported(text: &str) -> Imported {
    match attempt(text) {
        Ok(imported) => imported,
        Err(error) => panic!("{error}"),
    }
}

fn attempt(text: &str) -> Result<Imported, ImportError> {
    let environment = |name: &str| match name {
        "VLLM_BASE" => Some("http://vllm.internal:8000/v1".to_owned()),
        "OPENAI_API_KEY" => Some("sk-from-environment".to_owned()),
        _ => None,
    };
    let settings = Settings {
        source: "config.yaml",
        server_name: "llm.example.com",
        tee: TeeKind::None,
        environment: &environment,
    };
    import(text, &settings)
}

fn places(notes: &[Note]) -> Vec<(&str, &str)> {
    let notes = notes.iter();
    notes
        .map(|note| (note.place.as_str(), note.reason.as_str()))
        .collect()
}

#[test]
fn deployments_become_upstreams_of_one_model() {
    let imported = imported(
        r#"
model_list:
  - model_name: chat
    litellm_params: {model: openai/gpt-4o, order: 2}
  - model_name: chat
    litellm_params: {model: hosted_vllm/llama-3, api_base: os.environ/VLLM_BASE, api_key: secret, order: 1}
    model_info: {id: local-vllm, mode: chat}
  - model_name: gpt-4o
    litellm_params: {model: gpt-4o, api_key: os.environ/OPENAI_API_KEY}
"#,
    );
    let expected = r#"
[[model]]
id = "chat"

[[model.upstream]]
name = "local-vllm"
url = "http://vllm.internal:8000/v1"
model = "llama-3"
api_key_file = "keys/local-vllm"

[[model.upstream]]
name = "chat"
url = "https://api.openai.com/v1"
model = "gpt-4o"
api_key_file = "keys/OPENAI_API_KEY"

[[model]]
id = "gpt-4o"

[[model.upstream]]
name = "gpt-4o"
url = "https://api.openai.com/v1"
api_key_file = "keys/OPENAI_API_KEY"
"#;
    assert!(imported.config.ends_with(expected), "{}", imported.config);
    assert_eq!((imported.models, imported.upstreams), (2, 3));
    let keys = imported.key_files.iter();
    let keys: Vec<_> = keys
        .map(|file| (&*file.path, file.key.expose().as_str()))
        .collect();
    let expected = [
        ("keys/OPENAI_API_KEY", "sk-from-environment"),
        ("keys/local-vllm", "secret"),
    ];
    assert_eq!(keys, expected);
    assert_eq!(imported.not_imported, []);
    assert_eq!(
        places(&imported.changed),
        [("model_name chat", reasons::BALANCED)]
    );
}

#[test]
fn fallbacks_follow_a_models_own_upstreams() {
    let imported = imported(
        r#"
model_list:
  - {model_name: a, litellm_params: {model: hosted_vllm/a, api_base: "http://a/v1"}}
  - {model_name: b, litellm_params: {model: hosted_vllm/b, api_base: "http://b/v1"}}
  - {model_name: c, litellm_params: {model: hosted_vllm/c, api_base: "http://c/v1"}}
litellm_settings:
  fallbacks: [{a: [b, gone]}, {gone: [a]}, {b: c}]
  default_fallbacks: [c]
router_settings:
  model_group_alias: {fast: a, slow: {model: b, hidden: true}, c: a, lost: gone, "bad name": a}
"#,
    );
    let model = |id: &str| -> Vec<&str> {
        let start = imported
            .config
            .find(&format!("id = {id:?}"))
            .expect("a model");
        let rest = &imported.config[start..];
        let end = rest.find("[[model]]").unwrap_or(rest.len());
        let lines = rest[..end].lines();
        lines
            .filter(|line| line.starts_with("name") || line.starts_with("aliases"))
            .collect()
    };
    assert_eq!(
        model("a"),
        [
            r#"aliases = ["fast"]"#,
            r#"name = "a""#,
            r#"name = "b""#,
            r#"name = "c""#
        ]
    );
    assert_eq!(
        model("b"),
        [r#"aliases = ["slow"]"#, r#"name = "b""#, r#"name = "c""#]
    );
    assert_eq!(model("c"), [r#"name = "c""#]);
    assert_eq!(
        places(&imported.not_imported),
        [
            ("litellm_settings.fallbacks[2].b", "is not a list of models"),
            (
                "router_settings.model_group_alias.bad name",
                "contains ' '; letters, digits and . _ - : / @ + are allowed"
            ),
            (
                "router_settings.model_group_alias.c",
                "is the name of a model already"
            ),
            (
                "router_settings.model_group_alias.lost",
                "its model was not imported"
            ),
            (
                "litellm_settings.fallbacks[0].a",
                "the model \"gone\" was not imported"
            ),
            (
                "litellm_settings.fallbacks[1].gone",
                "its model was not imported"
            ),
        ]
    );
    assert_eq!(
        places(&imported.changed),
        [(
            "router_settings.model_group_alias.slow",
            "is listed by /v1/models, where LiteLLM hides it"
        )]
    );
}

#[test]
fn every_setting_without_a_counterpart_is_listed() {
    let imported = imported(
        r#"
model_list:
  - model_name: chat
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/NOT_SET, temperature: 0.1, wait: {a: 1}}
    model_info: {supports_vision: true}
    tpm: 20000
  - {model_name: claude, litellm_params: {model: anthropic/claude}}
  - {model_name: "openai/*", litellm_params: {model: "openai/*"}}
  - {model_name: mystery, litellm_params: {model: mystery}}
  - {model_name: nowhere, litellm_params: {model: hosted_vllm/a}}
  - {model_name: unset, litellm_params: {model: hosted_vllm/a, api_base: os.environ/NOT_SET}}
  - {model_name: ftp, litellm_params: {model: hosted_vllm/a, api_base: "ftp://a"}}
  - {litellm_params: {model: openai/a}}
  - {model_name: empty}
  - text
general_settings: {master_key: sk-1234, global_max_parallel_requests: 40}
litellm_settings: {request_timeout: 600, callbacks: [otel], drop_params:}
guardrails: []
"#,
    );
    let listed: Vec<&str> = imported
        .not_imported
        .iter()
        .map(|note| &*note.place)
        .collect();
    assert_eq!(
        listed,
        [
            "model_list[9]",
            "model_list[0].litellm_params.api_key",
            "model_list[0].litellm_params.temperature",
            "model_list[0].litellm_params.wait",
            "model_list[0].model_info.supports_vision",
            "model_list[1].litellm_params.model",
            "model_list[2].model_name",
            "model_list[3].litellm_params.model",
            "model_list[4].litellm_params.api_base",
            "model_list[5].litellm_params.api_base",
            "model_list[6].litellm_params.api_base",
            "model_list[7]",
            "model_list[8]",
            "general_settings.master_key",
            "litellm_settings.callbacks",
            "guardrails",
        ]
    );
    let shown = format!("{:?} {:?}", imported.not_imported, imported.changed);
    assert!(!shown.contains("sk-1234"));
    assert!(imported.config.contains("max_concurrent = 40"));
    assert!(imported.config.contains("first_byte = \"600s\""));
}

#[test]
fn rejects_what_is_not_a_configuration() {
    let error = |text: &str| attempt(text).err().expect("an error");
    assert_eq!(error("- a"), ImportError::NotAMapping);
    assert_eq!(error(""), ImportError::NotAMapping);
    assert!(matches!(
        error("a: [sk-secret"),
        ImportError::NotYaml { .. }
    ));
    assert!(!error("a: [sk-secret").to_string().contains("sk-secret"));
    assert!(matches!(
        error("model_list: []\nmodel_list: []"),
        ImportError::NotYaml { .. }
    ));
    assert_eq!(error("model_list: []"), ImportError::NoModel(Vec::new()));
    let claude = error("model_list: [{model_name: a, litellm_params: {model: anthropic/a}}]");
    assert_eq!(
        claude.to_string(),
        "has no model that could be imported:\n  model_list[0].litellm_params.model: the API of \"anthropic\" is not OpenAI's"
    );
}

#[test]
fn aliases_that_grow_without_bound_are_refused() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let before = format!("*a{}", level - 1);
        let list = [before.as_str(); 8].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{list}]\n"));
    }
    assert!(matches!(attempt(&text), Err(ImportError::NotYaml { .. })));
}

#[test]
fn limits_become_commands() {
    let imported = imported(
        r#"
model_list:
  - {model_name: a, litellm_params: {model: openai/a, rpm: 3, tpm: 20000}, rpm: 9}
  - {model_name: a, litellm_params: {model: openai/b}, rpm: 5}
  - {model_name: b, litellm_params: {model: openai/b, max_parallel_requests: 4}}
  - {model_name: c, litellm_params: {model: openai/c, rpm: many}}
litellm_settings: {max_budget: 100.5, budget_duration: 30d, fallbacks: [{b: [a]}]}
"#,
    );
    let script = imported.operations.expect("a script");
    let commands: Vec<&str> = script
        .lines()
        .filter(|line| line.contains("sealgate "))
        .collect();
    assert_eq!(
        commands,
        [
            "sealgate limits set sealgate.toml a --scope total --model a --requests-per-minute 8",
            "sealgate limits set sealgate.toml b --scope total --model b --concurrent 4",
            "# Needs a price table: sealgate import prices litellm, and [prices] in sealgate.toml",
            "# sealgate budgets set sealgate.toml total --scope total --period month --money 100.5",
        ]
    );
    assert_eq!(
        places(&imported.not_imported),
        [(
            "model_list[3].litellm_params.rpm",
            "is not a whole number above zero"
        )]
    );
    let unlimited = "model_list: [{model_name: a, litellm_params: {model: openai/a}}]";
    assert!(self::imported(unlimited).operations.is_none());
}
