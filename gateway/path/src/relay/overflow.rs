//! Recognises errors that mean that a request does not fit into the model's context window.
//!
//! OpenAI has a code for it; most engines have only a sentence. Agents need the code: they shorten the conversation and
//! continue. The sentences are listed here, with `#` for a number. An upstream's text is compared with them and not passed
//! on. Letter case is ignored.

/// Sentences, by engine.
const SENTENCES: &[&str] = &[
    // vLLM; also Mistral, OpenRouter ("This endpoint's …") and everything in front of OpenAI.
    "maximum context length is # tokens",
    "maximum context length of # tokens",
    "with # maximum context length",
    // vLLM, multimodal and encoder-decoder models.
    "prompt (length #) is longer than the maximum model length of #",
    "prompt (length #) exceeds the maximum model length of #",
    // vLLM, later versions.
    "the model's context length is only # tokens",
    "exceeds model's maximum context length",
    // SGLang.
    "the input (# tokens) is longer than the model's context length (# tokens)",
    "input length (# tokens) exceeds the maximum allowed length (# tokens)",
    // TensorRT-LLM and Triton.
    "prompt length (#) exceeds maximum input length (#)",
    "prompt length (#) exceeds maximum sequence length (#)",
    "prompt length (#) should be less than max_input_len (#)",
    "the sum of prompt length (#) and max tokens (#) should not exceed max_num_tokens (#)",
    "the sum of prompt length (#), query length (#) should not exceed max_num_tokens (#)",
    "the sum of prompt length (#) and query length (#) should not exceed",
    "should not exceed max_seq_len (#)",
    // TGI, also as Together and Hugging Face pass it on.
    "`inputs` tokens + `max_new_tokens` must be <= #",
    "`inputs` must have less than # tokens",
    // llama.cpp and LM Studio.
    "exceeds the available context size",
    "input is larger than the max context size",
    "the number of tokens to keep from the initial prompt is greater than the context length",
    "tokens when context the overflows",
    // Ollama.
    "input length exceeds the context length",
    "input length exceeds maximum context length",
    // LMDeploy.
    "exceeds the max session len",
    // OpenAI's later wording, and LiteLLM's own classes as it writes them into messages.
    "input exceeds the context window of this model",
    "input tokens exceed the configured limit of # tokens",
    "contextwindowexceedederror",
    // Anthropic, Google, Amazon and xAI behind compatible endpoints.
    "prompt is too long: # tokens > # maximum",
    "input length and `max_tokens` exceed context limit",
    "input token count (#) exceeds the maximum number of tokens allowed (#)",
    "input is too long for requested model",
    "maximum prompt length is # but the request contains # tokens",
];

/// Codes and types with the same meaning.
const CODES: &[&str] = &[
    "context_length_exceeded",
    "context_window_exceeded",
    "exceed_context_size_error",
    "model_context_window_exceeded",
];

/// Whether a code or type means it.
pub(super) fn is_code(code: &str) -> bool {
    CODES.contains(&code)
}

/// Whether a text, JSON or not, complete or cut off, contains one of the sentences, or one of the codes as a JSON string.
pub(super) fn is_reported_in(text: &[u8]) -> bool {
    let text = text.to_ascii_lowercase();
    let has_code = CODES.iter().any(|code| {
        let quoted = format!("\"{code}\"");
        memchr::memmem::find(&text, quoted.as_bytes()).is_some()
    });
    has_code || SENTENCES.iter().any(|sentence| holds(&text, sentence))
}

fn holds(text: &[u8], sentence: &str) -> bool {
    let (first, rest) = sentence.split_once('#').unwrap_or((sentence, ""));
    let numbered = first.len() < sentence.len();
    memchr::memmem::find_iter(text, first.as_bytes()).any(|at| {
        let after = text.get(at + first.len()..).unwrap_or_default();
        !numbered || number_then(after, rest)
    })
}

/// A number, and then the rest of a sentence.
fn number_then(text: &[u8], rest: &str) -> bool {
    let digits = text
        .iter()
        .take_while(|byte| byte.is_ascii_digit() || **byte == b',')
        .count();
    let after = text.get(digits..).unwrap_or_default();
    if digits == 0 {
        return false;
    }
    let (literal, more) = rest.split_once('#').unwrap_or((rest, ""));
    match after.strip_prefix(literal.as_bytes()) {
        Some(_) if literal.len() == rest.len() => true,
        Some(after) => number_then(after, more),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recognises_the_sentences_of_engines() {
        for said in [
            "This model's maximum context length is 2048 tokens. However, you requested 4096 tokens",
            "This endpoint's maximum context length is 131072 tokens.",
            "The decoder prompt (length 9000) is longer than the maximum model length of 8192. Make sure",
            "The input (12000 tokens) is longer than the model's context length (8192 tokens).",
            "Requested token count exceeds the model's maximum context length of 8192 tokens.",
            "Input length (9000 tokens) exceeds the maximum allowed length (8186 tokens).",
            "Prompt length (5056) exceeds maximum input length (2048). Set log level to info",
            "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000",
            "Input validation error: `inputs` must have less than 1024 tokens. Given: 1200",
            "the request exceeds the available context size. try increasing the context size",
            "the input length exceeds the context length",
            "litellm.ContextWindowExceededError: litellm.BadRequestError",
            "Your input exceeds the context window of this model. Please adjust your input",
            "prompt is too long: 210000 tokens > 200000 maximum",
            "The input token count (1,048,577) exceeds the maximum number of tokens allowed (1048576).",
            "Prompt contains 40000 tokens, too large for model with 32768 maximum context length",
        ] {
            assert!(is_reported_in(said.as_bytes()), "{said}");
        }
        assert!(is_reported_in(
            br#"{"error":{"code":"context_length_exceeded","message":"cut h"#
        ));
    }

    #[test]
    fn does_not_recognise_other_errors() {
        for said in [
            "maximum context length",
            "What is the maximum context length is a question without a number",
            "max_tokens must be at least 1",
            "context_length_exceeded",
            "The input (many tokens) is longer than the model's context length",
            "prompt length (x) exceeds maximum input length (2048)",
            "",
        ] {
            assert!(!is_reported_in(said.as_bytes()), "{said}");
        }
    }
}
