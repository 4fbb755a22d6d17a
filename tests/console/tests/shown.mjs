// What an administrator sees is what is so.

import assert from "node:assert/strict";

import { signedIn } from "../browser.mjs";
import { admin, ask, chat, verifiedKey } from "../service.mjs";
import { eventually, GATEWAY_URL, test, VIEWER } from "../tests.mjs";

test("shows the active epoch with the TLS key that was verified", async (room) => {
  const visit = await signedIn(room, VIEWER);
  const { epoch, retention, version } = await admin("status");
  const facts = await visit.facts("epoch-facts");
  assert.equal(facts.number, String(epoch.number));
  assert.equal(facts.keyset, epoch.keyset_digest);
  assert.equal(facts.configuration, epoch.config_digest);
  assert.equal(facts["next epoch by"], epoch.renew_at);
  assert.equal(facts.ends, epoch.not_after);
  assert.equal(facts.version, version);
  assert.ok(facts.retention.includes(retention.digest), facts.retention);
  assert.ok(facts["TLS key"].endsWith(verifiedKey.toString("hex")), facts["TLS key"]);
});

test("shows the report that clients get", async (room) => {
  const visit = await signedIn(room, VIEWER);
  const { body: published } = await ask(`${GATEWAY_URL}/aci/attestation`);
  const facts = await visit.facts("attested-facts");
  assert.equal(facts.keyset, published.workload_keyset_digest);
  assert.equal(facts.subject, published.attestation.workload_keyset.subject);
  assert.equal(facts.evidence, published.attestation.evidence.cpu.type);
});

test("shows an accepted enclave as verified and a rejected one with its reason", async (room) => {
  await eventually("both enclaves are judged", async () => {
    const { upstreams } = await admin("upstreams");
    return upstreams.every(({ verified, last_failure: failure }) => verified || failure);
  });
  const visit = await signedIn(room, VIEWER);
  const { upstreams } = await admin("upstreams");
  const rows = Object.fromEntries((await visit.rows("upstreams-table")).map(([name, ...row]) => [name, row]));
  assert.deepEqual(Object.keys(rows).sort(), ["enclave", "stranger"]);
  const [session] = upstreams.find(({ name }) => name === "enclave").sessions;
  assert.deepEqual(rows.enclave.slice(0, 2), ["verified", session.session_id]);
  const [verdict, none, failure] = rows.stranger;
  assert.deepEqual([verdict, none], ["not verified", "–"]);
  assert.equal(failure, upstreams.find(({ name }) => name === "stranger").last_failure);
  assert.notEqual(failure, "–");
});

test("sessions are listed as the API returns them, the newest first", async (room) => {
  const visit = await signedIn(room, VIEWER);
  const { sessions } = await admin("sessions?count=10");
  assert.ok(sessions.length > 0);
  const rows = await visit.rows("sessions-table");
  assert.deepEqual(
    rows.map(([upstream, id, , , state]) => [upstream, id, state]),
    sessions.map((session) => [session.upstream_name, session.session_id, session.in_force ? "active" : "past"]),
  );
});

test("usage is listed by tenant and model after a chat", async (room) => {
  assert.equal(await chat(), 200);
  const counted = await eventually("the chat is counted", async () => {
    const { usage } = await admin("usage");
    return usage.find(({ tenant, model }) => tenant === "clients" && model === "demo-model");
  });
  assert.ok(counted.prompt_tokens > 0 && counted.completion_tokens > 0, JSON.stringify(counted));
  const visit = await signedIn(room, VIEWER);
  const rows = await visit.rows("usage-table");
  const row = rows.find(([tenant, model]) => tenant === "clients" && model === "demo-model");
  const figures = [counted.requests, counted.failed, counted.prompt_tokens, counted.completion_tokens];
  assert.deepEqual(row.slice(2), figures.map((figure) => figure.toLocaleString("en")));
});
