// Sections that cannot be shown keep no other from being shown.

import assert from "node:assert/strict";

import { Visit } from "../browser.mjs";
import { admin } from "../service.mjs";
import { AUDITOR, test } from "../tests.mjs";

/** What each section asks for, and where it says that it was not answered. */
const SECTIONS = [
  ["status", "epoch-facts"],
  ["attestation", "attested-facts"],
  ["upstreams", "upstreams-table"],
  ["sessions", "sessions-table"],
  ["usage", "usage-table"],
  ["retention", "retention-table"],
  ["log", "log-table"],
  ["tenants", "tenants-table"],
  ["keys", "keys-table"],
];
const WORDS = "The service failed.";

/** A page whose admin API answers 500 to these paths. */
async function failing(room, paths) {
  const visit = await Visit.open(room);
  visit.ledAstray = true;
  const answer = { status: 500, contentType: "application/json", body: JSON.stringify({ error: { message: WORDS } }) };
  await visit.page.route(
    (url) => paths.some((path) => url.pathname === `/admin/v1/${path}`),
    (route) => route.fulfill(answer),
  );
  return visit.signIn(AUDITOR);
}

test("a section whose request fails says so, and all others are shown", async (room) => {
  for (const [path, place] of SECTIONS) {
    const visit = await failing(room, [path]);
    for (const [, other] of SECTIONS) {
      const text = await visit.text(`#${other}`);
      assert.equal(text.includes(WORDS), other === place, `${path} fails, and ${other} shows: ${text}`);
      assert.ok(text.length > 0, `${path} fails, and ${other} is empty`);
    }
    assert.deepEqual(visit.broken, []);
    await visit.close();
  }
});

test("the policies are shown when the clock is not", async (room) => {
  const visit = await failing(room, ["retention/clock"]);
  const facts = await visit.facts("retention-facts");
  assert.equal(facts["things expire by"], WORDS);
  const { in_force: inForce } = await admin("retention", AUDITOR);
  assert.ok(facts.active.includes(inForce.digest), facts.active);
  assert.ok((await visit.rows("retention-table")).length > 0);
});
