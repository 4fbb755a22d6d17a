//! Why a setting has no counterpart.

/// Several deployments of one model.
pub const BALANCED: &str = "its upstreams are tried in the order of the configuration, each if the one before it failed; load is not spread over them";

/// Deployments with limits.
pub const LIMITED: &str =
    "the limits of its deployments are one limit of the model in limits.sh: their sum";

/// A member that was read by nothing.
pub fn reason(name: &str) -> &'static str {
    match name {
        "master_key" => "administrators have other keys: sealgate admin create",
        "database_url"
        | "store_model_in_db"
        | "disable_spend_logs"
        | "database_connection_pool_limit" => {
            "the ledger is a database in server.state_dir, and models are in the configuration"
        }
        "callbacks"
        | "success_callback"
        | "failure_callback"
        | "service_callbacks"
        | "langfuse_host"
        | "turn_off_message_logging"
        | "redact_user_api_key_info"
        | "alerting"
        | "json_logs"
        | "set_verbose" => {
            "requests and answers are sent to no logging service; see [metrics] and [telemetry] for metadata"
        }
        "cache" | "cache_params" | "redis_host" | "redis_port" | "redis_password" | "redis_url" => {
            "there is no cache of answers and no shared state outside of the ledger"
        }
        "drop_params"
        | "modify_params"
        | "temperature"
        | "max_tokens"
        | "top_p"
        | "seed"
        | "stop"
        | "extra_body"
        | "extra_headers"
        | "additional_drop_params"
        | "allowed_openai_params"
        | "merge_reasoning_content_in_choices" => "requests are forwarded as they are",
        "routing_strategy"
        | "routing_strategy_args"
        | "weight"
        | "enable_tag_filtering"
        | "tags" => "upstreams are tried in the order of the configuration",
        "num_retries" | "allowed_fails" | "cooldown_time" | "retry_policy" | "retry_after"
        | "stream_timeout" => {
            "a request is sent to each upstream of its model once; unhealthy upstreams are avoided without settings"
        }
        "context_window_fallbacks" | "content_policy_fallbacks" => {
            "upstreams are changed after failures, not after refusals of a prompt"
        }
        "guardrails" | "prompts" => "requests and answers are not changed or filtered",
        "mcp_servers"
        | "mcp_aliases"
        | "search_tools"
        | "vector_store_registry"
        | "files_settings"
        | "finetune_settings"
        | "pass_through_endpoints"
        | "agent_list" => "only inference requests are served",
        "environment_variables" => "the service reads no settings from its environment",
        "api_version" | "organization" | "aws_region_name" | "vertex_project"
        | "vertex_location" | "region_name" => {
            "has no counterpart for an OpenAI-compatible upstream"
        }
        "access_groups" => "models are allowed by key: sealgate keys create --models",
        _ => "has no counterpart",
    }
}
