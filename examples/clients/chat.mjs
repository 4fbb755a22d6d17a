// One chat completion through the verifying proxy, with the official `openai` package.
//
//   sealgate-verify proxy --listen 127.0.0.1:8787 --upstream https://llm.example.com:8443 --policy gateway-policy.toml
//   OPENAI_BASE_URL=http://127.0.0.1:8787/v1 OPENAI_API_KEY=sk-sealgate-… node chat.mjs llama "Hello"
//
// The proxy sends nothing before it has verified the gateway's evidence. The SDK needs no changes.

import OpenAI from "openai";

const [model, question] = process.argv.slice(2);
const stream = await new OpenAI().chat.completions.create({
  model,
  messages: [{ role: "user", content: question }],
  stream: true,
});
for await (const chunk of stream) {
  for (const choice of chunk.choices) {
    process.stdout.write(choice.delta.content ?? "");
  }
}
process.stdout.write("\n");
