//! Which of LiteLLM's providers speak OpenAI's API, and where.

/// Where a model string leads.
#[derive(Debug, PartialEq)]
pub enum Provider<'a> {
    /// An OpenAI-compatible API.
    OpenAi {
        /// If it has only one address.
        service: Option<&'static Service>,
        /// The model's name there.
        model: &'a str,
    },
    /// Another API.
    Other(&'a str),
    /// No provider is named, and the model's name suggests none.
    Unknown,
}

/// A public service.
#[derive(Debug, PartialEq)]
pub struct Service {
    pub base: &'static str,
    /// Where LiteLLM looks for its API key if the deployment has none.
    pub variable: &'static str,
}

const fn service(base: &'static str, variable: &'static str) -> Option<Service> {
    Some(Service { base, variable })
}

/// LiteLLM's prefixes of APIs that have OpenAI's shape.
static OPENAI: [(&str, Option<Service>); 17] = [
    ("openai", OPENAI_SERVICE),
    ("text-completion-openai", OPENAI_SERVICE),
    ("custom_openai", None),
    ("openai_like", None),
    ("hosted_vllm", None),
    ("litellm_proxy", None),
    ("llamafile", None),
    ("lm_studio", None),
    (
        "cerebras",
        service("https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
    ),
    (
        "deepinfra",
        service("https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_KEY"),
    ),
    (
        "deepseek",
        service("https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
    ),
    (
        "fireworks_ai",
        service(
            "https://api.fireworks.ai/inference/v1",
            "FIREWORKS_AI_API_KEY",
        ),
    ),
    (
        "groq",
        service("https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    ),
    (
        "mistral",
        service("https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    ),
    (
        "openrouter",
        service("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    ),
    (
        "together_ai",
        service("https://api.together.xyz/v1", "TOGETHERAI_API_KEY"),
    ),
    ("xai", service("https://api.x.ai/v1", "XAI_API_KEY")),
];
const OPENAI_SERVICE: Option<Service> = service("https://api.openai.com/v1", "OPENAI_API_KEY");

/// Prefixes that LiteLLM takes for OpenAI's own models where no provider is named.
const OPENAI_MODELS: [&str; 8] = [
    "gpt-",
    "o1",
    "o3",
    "o4",
    "chatgpt-",
    "text-embedding-",
    "ft:gpt-",
    "davinci",
];

/// Reads `litellm_params.model`; `named` is `custom_llm_provider`.
pub fn provider<'a>(model: &'a str, named: Option<&'a str>) -> Provider<'a> {
    let known = |name: &str| OPENAI.iter().find(|(known, _)| *known == name);
    if let Some(named) = named {
        let prefix = model
            .strip_prefix(named)
            .and_then(|rest| rest.strip_prefix('/'));
        return match known(named) {
            Some((_, service)) => Provider::OpenAi {
                service: service.as_ref(),
                model: prefix.unwrap_or(model),
            },
            None => Provider::Other(named),
        };
    }
    // A bare name is one of OpenAI's own models, or of no known provider.
    match model.split_once('/') {
        Some((prefix, rest)) => match known(prefix) {
            Some((_, service)) => Provider::OpenAi {
                service: service.as_ref(),
                model: rest,
            },
            None => Provider::Other(prefix),
        },
        None if OPENAI_MODELS.iter().any(|prefix| model.starts_with(prefix)) => Provider::OpenAi {
            service: known("openai").and_then(|(_, service)| service.as_ref()),
            model,
        },
        None => Provider::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_names_the_provider() {
        let openai = "https://api.openai.com/v1";
        for (model, named, expected) in [
            (
                "openai/facebook/opt-125m",
                None,
                (openai, "facebook/opt-125m"),
            ),
            ("hosted_vllm/llama", None, ("", "llama")),
            ("gpt-4o", None, (openai, "gpt-4o")),
            ("llama", Some("hosted_vllm"), ("", "llama")),
            (
                "groq/llama",
                Some("groq"),
                ("https://api.groq.com/openai/v1", "llama"),
            ),
        ] {
            let Provider::OpenAi { service, model } = provider(model, named) else {
                panic!("{model} {named:?}");
            };
            assert_eq!(
                (service.map_or("", |service| service.base), model),
                expected
            );
        }
    }

    #[test]
    fn other_apis_are_recognised_by_their_prefix() {
        for (model, named, expected) in [
            ("azure/gpt-4o", None, Provider::Other("azure")),
            ("gpt-4o", Some("azure"), Provider::Other("azure")),
            ("llama", None, Provider::Unknown),
            ("", None, Provider::Unknown),
        ] {
            assert_eq!(provider(model, named), expected, "{model} {named:?}");
        }
    }
}
