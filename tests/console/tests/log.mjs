// The audit log as auditors see it.

import assert from "node:assert/strict";

import { signedIn } from "../browser.mjs";
import { admin } from "../service.mjs";
import { AUDITOR, test } from "../tests.mjs";

test("an auditor sees the log's head and its newest entries, the newest first", async (room) => {
  const visit = await signedIn(room, AUDITOR);
  const rows = await visit.rows("log-table");
  const indexes = rows.map(([index]) => Number(index.replaceAll(",", "")));
  const { entries } = await admin(`log?from=${indexes.at(-1)}&count=${indexes.length}`, AUDITOR);
  assert.deepEqual(indexes, entries.map(({ index }) => index).reverse());
  for (const [position, { entry, subject }] of entries.reverse().entries()) {
    const [, when, what, about] = rows[position];
    assert.equal(Date.parse(when), entry.at * 1000);
    assert.ok(what.startsWith(entry.type), what);
    if (subject) assert.equal(about, subject);
  }
  const facts = await visit.facts("log-facts");
  const [origin, size, root] = facts.head.split("\n");
  assert.deepEqual([origin, size], [facts.log, facts.entries]);
  assert.equal(Buffer.from(root, "base64").length, 32);
});

test("creating and revoking a key are different log entries", async (room) => {
  const visit = await signedIn(room, AUDITOR);
  const rows = await visit.rows("log-table");
  const listed = rows.filter(([, , , about]) => / of tenant acme$/.test(about)).map(([, , what]) => what);
  assert.equal(listed.length, 2, JSON.stringify(rows));
  assert.notEqual(listed[0], listed[1]);
});
