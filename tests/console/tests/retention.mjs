// Retention policies are shown, planned, and activated once they are signed; the page can do nothing else with them.

import assert from "node:assert/strict";

import { signedIn, Visit } from "../browser.mjs";
import { admin } from "../service.mjs";
import { AUDITOR, eventually, OPERATOR, test } from "../tests.mjs";

const { NEXT_POLICY, ITS_SIGNATURES } = process.env;

async function plan(visit, policy, signatures) {
  await visit.page.fill("#policy", policy);
  await visit.page.fill("#signatures", signatures);
  await visit.page.click("#stage button[type=submit]");
  await visit.page.waitForSelector("#plan:not([hidden]), #trouble:not([hidden])");
}

const verdict = async (visit) => [
  await visit.page.getAttribute("#plan-verdict", "class"),
  await visit.shown("#set"),
];

test("an auditor sees every past policy, and what another would change", async (room) => {
  const visit = await signedIn(room, AUDITOR);
  const { in_force: inForce } = await admin("retention", AUDITOR);
  assert.equal((await visit.facts("retention-facts")).active, `policy 1, ${inForce.digest}`);
  const expiry = Date.parse((await visit.facts("retention-facts"))["things expire by"]);
  assert.ok(Math.abs(expiry - Date.now()) < 60_000, String(expiry));
  assert.deepEqual((await visit.rows("retention-table")).map(([epoch, most]) => [epoch, most]), [["1", "metadata"]]);
  await plan(visit, NEXT_POLICY, ITS_SIGNATURES);
  assert.match(await visit.text("#plan-verdict"), /^From policy 1 \(at most metadata\) to 2 \(at most zero\)/);
  const changes = await visit.rows("plan-table");
  for (const tenant of ["clients", "every other tenant"]) {
    const change = changes.find((row) => row[0] === tenant && row[1] === "every model");
    assert.ok(change, `${tenant}: ${JSON.stringify(changes)}`);
    assert.match(change[2], /^metadata/);
    assert.match(change[3], /^zero/);
  }
  assert.deepEqual(await verdict(visit), ["good", false], "it could be set, but not by an auditor");
});

test("a policy without a valid signature cannot be activated, and the page shows why", async (room) => {
  const visit = await signedIn(room, OPERATOR);
  await plan(visit, NEXT_POLICY, "");
  assert.deepEqual(await verdict(visit), ["bad", false]);
  await plan(visit, NEXT_POLICY.replace('"zero"', '"metadata"\nttl = "90d"'), ITS_SIGNATURES);
  assert.deepEqual(await verdict(visit), ["bad", false]);
  await plan(visit, "this is no policy", "");
  assert.match(await visit.text("#trouble"), /cannot be read/);
  assert.equal(await visit.shown("#plan"), false);

  await visit.page.fill("#policy", NEXT_POLICY);
  await visit.page.evaluate(() => (document.getElementById("set").hidden = false));
  visit.page.once("dialog", (dialog) => dialog.accept());
  await visit.page.click("#set");
  await visit.page.waitForSelector("#trouble:not([hidden])");
  assert.match(await visit.text("#trouble"), /not activated/);
  assert.equal((await admin("retention", AUDITOR)).in_force.epoch, 1);
});

test("editing a planned policy discards its plan", async (room) => {
  const visit = await signedIn(room, OPERATOR);
  await plan(visit, NEXT_POLICY, ITS_SIGNATURES);
  assert.deepEqual(await verdict(visit), ["good", true]);
  await visit.page.fill("#policy", `${NEXT_POLICY}\n`);
  assert.equal(await visit.shown("#plan"), false);
  assert.equal(await visit.shown("#set"), false);
});

test("a signed policy is activated after a confirmation, and the verified key is replaced", async (room) => {
  const visit = await signedIn(room, OPERATOR);
  await plan(visit, NEXT_POLICY, ITS_SIGNATURES);
  visit.page.once("dialog", (dialog) => dialog.dismiss());
  await visit.page.click("#set");
  assert.deepEqual(visit.requests.filter(({ method, url }) => method === "POST" && url.endsWith("/retention")), []);
  assert.equal((await admin("retention", AUDITOR)).in_force.epoch, 1);

  await visit.page.screenshot({ path: `${process.env.CONSOLE_HOME}/shots/plan.png`, fullPage: true });
  visit.page.once("dialog", (dialog) => dialog.accept());
  await visit.page.click("#set");
  await visit.page.waitForSelector("#installed:not([hidden])");
  assert.match(await visit.text("#installed"), /^Policy 2 is set \(sha256:/);
  assert.equal(await visit.shown("#set"), false);
  await eventually("a browser that trusts the old key is refused", async () => {
    const later = await Visit.open(room);
    try {
      await later.front();
      return false;
    } catch (error) {
      assert.match(error.message, /ERR_CERT/);
      return true;
    }
  });
});
