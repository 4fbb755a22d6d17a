"""The OpenAI SDK as published; nothing in here knows that the endpoint is a verifying proxy."""
import json
import sys

from openai import OpenAI

base_url, api_key, model, question = sys.argv[1:]
client = OpenAI(base_url=base_url, api_key=api_key, max_retries=0)
messages = [{"role": "user", "content": question}]
whole = client.chat.completions.create(model=model, messages=messages)
pieces = [
    chunk.choices[0].delta.content or ""
    for chunk in client.chat.completions.create(model=model, messages=messages, stream=True)
    if chunk.choices
]
print(json.dumps({"whole": whole.choices[0].message.content, "pieces": pieces}))
