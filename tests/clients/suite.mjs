// The openai npm package against one base URL. Environment as in suite.py; run where node_modules holds the package.

import OpenAI from "openai";
import assert from "node:assert/strict";
import http from "node:http";

const { BASE_URL: baseURL, API_KEY: apiKey, ENGINE_STATS: engineStatsUrl, MAX_BODY: maxBody } = process.env;
const tests = [];
const test = (name, run) => tests.push({ name, run });

const client = (overrides = {}) => new OpenAI({ baseURL, apiKey, maxRetries: 0, timeout: 30_000, ...overrides });
const say = (content) => [{ role: "user", content }];

const weather = {
  type: "function",
  function: {
    name: "get_weather",
    description: "The weather in a city",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
};

/** The error of that class that `call` rejects with, its body in OpenAI's shape. */
async function refused(kind, call) {
  let error;
  try {
    await call();
  } catch (thrown) {
    error = thrown;
  }
  assert.ok(error, `nothing was refused; expected ${kind.name}`);
  assert.ok(error instanceof kind, `expected ${kind.name}, got ${error?.name}: ${error?.message}`);
  for (const member of ["message", "type", "code", "param"]) {
    assert.ok(member in error.error, `the error has no ${member}: ${JSON.stringify(error.error)}`);
  }
  return error;
}

function engineStats() {
  return new Promise((resolve, reject) => {
    http.get(engineStatsUrl, (response) => {
      let text = "";
      response.on("data", (piece) => (text += piece));
      response.on("end", () => resolve(JSON.parse(text)));
    }).on("error", reject);
  });
}

async function waitFor(what, condition) {
  const giveUp = Date.now() + 10_000;
  while (Date.now() < giveUp) {
    const value = await condition();
    if (value) return value;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.fail(`waited in vain for ${what}`);
}

test("a chat completion is answered", async () => {
  const answer = await client().chat.completions.create({ model: "demo-model", messages: say("What is an enclave?") });
  assert.equal(answer.object, "chat.completion");
  assert.equal(answer.choices[0].message.role, "assistant");
  assert.ok(answer.choices[0].message.content);
  assert.equal(answer.choices[0].finish_reason, "stop");
});

test("a streamed answer is the same text in more than one piece", async () => {
  const messages = say("Count to five");
  const whole = await client().chat.completions.create({ model: "demo-model", messages });
  const pieces = [];
  for await (const chunk of await client().chat.completions.create({ model: "demo-model", messages, stream: true })) {
    const piece = chunk.choices[0]?.delta?.content;
    if (piece) pieces.push(piece);
  }
  assert.equal(pieces.join(""), whole.choices[0].message.content);
  assert.ok(pieces.length > 1);
});

test("a stream that asks for usage ends with it", async () => {
  const stream = await client().chat.completions.create({
    model: "demo-model", messages: say("Hello"), stream: true, stream_options: { include_usage: true },
  });
  let last;
  for await (const chunk of stream) last = chunk;
  assert.deepEqual(last.choices, []);
  assert.ok(last.usage.completion_tokens > 0);
});

test("a tool is called and its result is taken", async () => {
  const messages = say("Use the tool: what is the weather in Paris");
  const first = await client().chat.completions.create({ model: "demo-model", messages, tools: [weather] });
  assert.equal(first.choices[0].finish_reason, "tool_calls");
  const call = first.choices[0].message.tool_calls[0];
  assert.equal(call.function.name, "get_weather");
  assert.deepEqual(JSON.parse(call.function.arguments), { city: "Paris" });
  messages.push(first.choices[0].message, { role: "tool", tool_call_id: call.id, content: "18 degrees" });
  const second = await client().chat.completions.create({ model: "demo-model", messages, tools: [weather] });
  assert.equal(second.choices[0].finish_reason, "stop");
});

test("the package's own stream helper gathers a streamed tool call", async () => {
  const stream = client().chat.completions.stream({
    model: "demo-model", messages: say("Use the tool: weather in Oslo"), tools: [weather],
  });
  const message = await stream.finalMessage();
  assert.equal(message.tool_calls[0].function.name, "get_weather");
  assert.deepEqual(JSON.parse(message.tool_calls[0].function.arguments), { city: "Oslo" });
});

test("embeddings are numbers", async () => {
  const answer = await client().embeddings.create({ model: "demo-embed", input: ["one", "two"] });
  assert.deepEqual(answer.data.map((item) => item.index), [0, 1]);
  assert.ok(answer.data[0].embedding.length > 0);
  assert.ok(Array.from(answer.data[0].embedding).every((number) => Number.isFinite(number)));
});

test("the model list names what is served", async () => {
  const models = [];
  for await (const model of client().models.list()) models.push(model.id);
  assert.ok(models.includes("demo-model") && models.includes("demo-embed"), models.join(" "));
});

test("every answer names its receipt and the keyset", async () => {
  const { response } = await client().chat.completions
    .create({ model: "demo-model", messages: say("Hello") }).withResponse();
  assert.equal(response.headers.get("x-aci-version"), "aci/1");
  assert.ok(response.headers.get("x-receipt-id"));
  assert.match(response.headers.get("x-aci-keyset-digest"), /^sha256:[0-9a-f]{64}$/);
});

test("a wrong key is an authentication error", async () => {
  const error = await refused(OpenAI.AuthenticationError, () =>
    client({ apiKey: "sk-unknown" }).chat.completions.create({ model: "demo-model", messages: say("Hello") }));
  assert.equal(error.status, 401);
  assert.equal(error.code, "invalid_api_key");
});

test("an unknown model is a not found error", async () => {
  const error = await refused(OpenAI.NotFoundError, () =>
    client().chat.completions.create({ model: "no-such-model", messages: say("Hello") }));
  assert.equal(error.code, "model_not_found");
});

test("a request without a model is a bad request error", async () => {
  const error = await refused(OpenAI.BadRequestError, () =>
    client().chat.completions.create({ messages: say("Hello") }));
  assert.equal(error.type, "invalid_request_error");
});

test("a body over the limit is refused with 413", async () => {
  const error = await refused(OpenAI.APIError, () =>
    client().chat.completions.create({ model: "demo-model", messages: say("x".repeat(Number(maxBody) + 1)) }));
  assert.equal(error.status, 413);
});

test("an engine that is busy is a rate limit error", async () => {
  const error = await refused(OpenAI.RateLimitError, () =>
    client().chat.completions.create({ model: "busy", messages: say("Hello") }));
  assert.equal(error.status, 429);
});

test("an engine that refuses the service is asked once and does not blame the caller's key", async () => {
  for (const [model, code] of [["unauthorized", "upstream_credentials_refused"],
    ["unpaid", "upstream_quota_exhausted"], ["missing", "upstream_model_not_found"]]) {
    const before = (await engineStats()).prompts;
    const error = await refused(OpenAI.APIError, () =>
      client({ maxRetries: 2 }).chat.completions.create({ model, messages: say("Hello") }));
    assert.deepEqual([error.status, error.code], [424, code]);
    assert.equal((await engineStats()).prompts, before + 1, "the prompt was sent again");
  }
});

test("an engine that breaks is a server error without its text", async () => {
  const secret = "canary-91c2";
  const error = await refused(OpenAI.InternalServerError, () =>
    client().chat.completions.create({ model: "broken", messages: say(secret) }));
  assert.ok(!JSON.stringify(error.error).includes(secret), "the engine's text reached the client");
});

test("a client that hangs up mid-stream stops the engine", async () => {
  const before = await engineStats();
  const stream = await client().chat.completions.create({
    model: "slow", messages: say("Tell me a very long story ".repeat(20)), stream: true,
  });
  let seen = 0;
  for await (const _chunk of stream) {
    if (++seen === 2) {
      stream.controller.abort();
      break;
    }
  }
  await waitFor("the engine to see the hang-up", async () => (await engineStats()).hang_ups > before.hang_ups);
});

let passed = 0;
let failed = 0;
for (const { name, run } of tests) {
  try {
    await run();
    passed += 1;
    console.log(`test ${name} ... ok`);
  } catch (error) {
    failed += 1;
    console.log(`test ${name} ... FAILED: ${error.stack}`);
  }
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed || !passed ? 1 : 0);
