//! Hints for keys and values that operators know from other software.
//!
//! Only the text of messages depends on this list: every key and value in it is refused without the list too.

/// Returns what to write instead of an unknown key. `key` is the full name without indexes.
pub(super) fn hint_for_unknown_key(key: &str) -> Option<&'static str> {
    let last = key.rsplit('.').next().unwrap_or(key);
    let is_in = |table: &str| {
        key.strip_prefix(table)
            .is_some_and(|rest| rest.starts_with('.'))
    };
    let reason = match last {
        "database" | "db" | "database_url" => {
            "state is kept in files below server.state_dir; there is no database to configure"
        }
        "tls" | "tls_cert" | "tls_key" | "cert" | "cert_file" | "certificate" | "certificates"
        | "private_key"
            if key == last || is_in("server") =>
        {
            "the TLS key is generated for each epoch, kept in memory and bound to the evidence; a certificate of your own cannot be used (the one in use is state_dir/certificate.pem)"
        }
        "api_key" | "api_keys" | "token" if is_in("model") => {
            "write the key into a separate file that only the service's user may read, and name it: api_key_file = \"upstream.key\""
        }
        "api_key" | "api_keys" | "master_key" | "auth" | "keys" | "tenants" if !is_in("model") => {
            "API keys of clients are created with `sealgate keys create --tenant NAME`"
        }
        "model_list" | "litellm_settings" | "general_settings" | "router_settings"
        | "litellm_params" => LITELLM,
        "weight" | "weights" | "priority" | "order" | "fallback" | "fallbacks" | "routing"
        | "router" | "strategy" | "load_balancing"
            if key == last || is_in("model") =>
        {
            "upstreams are tried in the order in which they are written; there are no weights and no other strategies"
        }
        "mode" | "ttl" | "default" | "rule" | "fields" if is_in("retention") => {
            "belongs into a retention policy, which is a separate document: name its file in retention.policy (policies/retention has one for each mode)"
        }
        "rpm" | "tpm" | "rps" | "rate_limit" | "requests_per_minute" | "tokens_per_minute" => {
            "requests are limited by how many are in flight, not by rate: limits.max_concurrent, limits.max_concurrent_per_key"
        }
        "host" | "port" | "address" | "bind" if is_in("server") || is_in("admin") => {
            "is written together in listen, as IP address and port"
        }
        "base_url" | "api_base" | "endpoint" | "address" | "host" if is_in("model") => {
            "is written as url of a [[model.upstream]]"
        }
        "name" | "model_name" if is_in("model") && !is_in("model.upstream") => {
            "a model's name is its id"
        }
        "logging" => "is written [log]",
        "upstreams" | "upstream" | "backends" | "providers" if key == last => {
            "upstreams belong to a model and are written [[model.upstream]] below its [[model]]"
        }
        _ => return None,
    };
    Some(reason)
}

const LITELLM: &str = "is LiteLLM's: for each entry of model_list write a [[model]] with its id, and below it a [[model.upstream]] with name, url, model and api_key_file";

/// Returns why a value cannot be meant literally: it is a placeholder that was not replaced.
pub(super) fn hint_for_placeholder(value: &str) -> Option<&'static str> {
    let variable = value.contains("${")
        || value.starts_with("env:")
        || value.starts_with("os.environ/")
        || value
            .strip_prefix('$')
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_'));
    if variable {
        return Some(
            "names an environment variable, and those are not expanded: write the value itself; a key belongs into a file (api_key_file)",
        );
    }
    value
        .contains("{{")
        .then_some("is a template that was not rendered: write the value itself")
}

/// Recognizes a file in another format. The hint is clearer than the TOML syntax errors would be.
pub(super) fn hint_for_other_format(text: &str) -> Option<&'static str> {
    let mut lines = text.lines().map(str::trim_end).filter(|line| {
        let line = line.trim_start();
        !line.is_empty() && !line.starts_with('#') && line != "---"
    });
    let Some(first) = lines.next() else {
        return Some(
            "is empty; a configuration needs [server], [tee] and a [[model]] with a [[model.upstream]] (see docs/reference.md)",
        );
    };
    if first.starts_with('{') {
        return Some("is JSON; a configuration is written in TOML (see docs/reference.md)");
    }
    let is_yaml = |line: &str| {
        let key = line.split(':').next().unwrap_or_default();
        let named = !key.is_empty()
            && key
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
        let rest = line.get(key.len()..).unwrap_or_default();
        named && (rest == ":" || rest.starts_with(": "))
    };
    if !is_yaml(first) {
        return None;
    }
    let litellm = ["model_list:", "litellm_settings:", "litellm_params:"];
    if litellm.iter().any(|word| text.contains(word)) {
        Some(
            "is a configuration of LiteLLM, in YAML; this one is TOML: for each entry of model_list write a [[model]] with its id, and below it a [[model.upstream]] with name, url, model and api_key_file",
        )
    } else {
        Some("is YAML; a configuration is written in TOML (see docs/reference.md)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_with_a_variable_is_recognised_and_an_ordinary_one_is_not() {
        for value in [
            "$KEY",
            "${KEY}",
            "https://${HOST}/v1",
            "env:KEY",
            "os.environ/KEY",
        ] {
            assert!(hint_for_placeholder(value).is_some(), "{value}");
        }
        assert!(hint_for_placeholder("{{ .Values.url }}").is_some());
        for value in ["", "$5", "a$b", "environment", "https://h/v1", "US$"] {
            assert_eq!(hint_for_placeholder(value), None, "{value}");
        }
    }

    #[test]
    fn a_file_of_another_format_is_recognised_and_toml_is_not() {
        assert!(hint_for_other_format("# only a comment\n\n").is_some());
        assert!(hint_for_other_format("{\"server\": {}}").is_some());
        assert!(hint_for_other_format("server:\n  listen: 8443\n").is_some());
        let litellm = hint_for_other_format("model_list:\n  - model_name: a\n");
        assert!(litellm.is_some_and(|reason| reason.contains("LiteLLM")));
        for text in ["[server]\n", "a = 1\n", "# x\n[[model]]\n", "\"a:b\" = 1\n"] {
            assert_eq!(hint_for_other_format(text), None, "{text}");
        }
    }

    #[test]
    fn a_key_of_the_right_table_alone_gets_its_advice() {
        assert!(
            hint_for_unknown_key("model.upstream.api_key")
                .is_some_and(|r| r.contains("api_key_file"))
        );
        assert!(
            hint_for_unknown_key("api_keys").is_some_and(|r| r.contains("sealgate keys create"))
        );
        assert!(hint_for_unknown_key("model.upstream.weight").is_some());
        assert_eq!(hint_for_unknown_key("limits.weight"), None);
        assert_eq!(hint_for_unknown_key("server.listenn"), None);
    }
}
