"""One chat completion through the verifying proxy, with the official `openai` package.

    sealgate-verify proxy --listen 127.0.0.1:8787 --upstream https://llm.example.com:8443 --policy gateway-policy.toml
    OPENAI_BASE_URL=http://127.0.0.1:8787/v1 OPENAI_API_KEY=sk-sealgate-… python3 chat.py llama "Hello"

The proxy sends nothing before it has verified the gateway's evidence. The SDK needs no changes.
"""

import sys

from openai import OpenAI


def main() -> None:
    model, question = sys.argv[1:3]
    stream = OpenAI().chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": question}],
        stream=True,
    )
    for chunk in stream:
        for choice in chunk.choices:
            print(choice.delta.content or "", end="", flush=True)
    print()


if __name__ == "__main__":
    main()
