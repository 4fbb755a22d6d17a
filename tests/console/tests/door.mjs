// Who is let in, to what, and what is left behind.

import assert from "node:assert/strict";

import { launch, signedIn, Visit } from "../browser.mjs";
import { admin, ask } from "../service.mjs";
import { ADMIN_URL, API_KEY, AUDITOR, OPERATOR, test, VIEWER } from "../tests.mjs";

const FACTS = "#rooms dd, #rooms td";

test("a browser that pins another key refuses the page", async (room) => {
  const other = Buffer.alloc(32, 7);
  const wary = await launch(other);
  try {
    const visit = await Visit.open({ ...room, browser: wary });
    await assert.rejects(visit.front(), /ERR_CERT/);
  } finally {
    await wary.close();
  }
});

test("before sign-in the page shows nothing and requests nothing", async (room) => {
  const visit = await (await Visit.open(room)).front();
  assert.equal(await visit.shown("#enter"), true);
  assert.equal(await visit.shown("#rooms"), false);
  assert.equal(await visit.page.locator(FACTS).count(), 0);
  assert.equal(await visit.text("#who"), "not signed in");
  assert.deepEqual(visit.asked("/admin/"), []);
});

for (const [what, key] of [
  ["an admin key with another secret", `${OPERATOR.slice(0, -4)}AAAA`],
  ["an API key", API_KEY],
  ["no key at all", "let me in"],
]) {
  test(`${what} opens nothing, and the page says so`, async (room) => {
    const visit = await (await Visit.open(room)).front();
    await visit.enter(key);
    const refusal = await ask(`${ADMIN_URL}/admin/v1/whoami`, { key });
    assert.equal(refusal.status, 401);
    assert.equal(await visit.text("#trouble"), refusal.body.error.message);
    assert.equal(await visit.shown("#rooms"), false);
    assert.equal(await visit.page.locator(FACTS).count(), 0);
    assert.deepEqual(visit.asked("/admin/").map(({ url }) => url), [`${ADMIN_URL}/admin/v1/whoami`]);
    assert.equal(await visit.page.inputValue("#key"), "");
  });
}

test("a valid key works after a refused one", async (room) => {
  const visit = await (await Visit.open(room)).front();
  await visit.enter(API_KEY);
  assert.equal(await visit.shown("#trouble"), true);
  await visit.enter(VIEWER);
  await visit.page.waitForSelector("#rooms:not([hidden])");
  assert.equal(await visit.shown("#trouble"), false);
  assert.equal(await visit.text("#who"), "the-read-only, read-only");
});

test("a read-only administrator sees no keys, policies or log, and can only sign out", async (room) => {
  const visit = await signedIn(room, VIEWER);
  for (const hidden of ["#keys", "#new-key", "#made", "#retention", "#log", "#tenants"]) assert.equal(await visit.shown(hidden), false, hidden);
  assert.equal(await visit.page.locator("#keys-table *").count(), 0);
  assert.deepEqual(await visit.page.locator("button:visible").allTextContents(), ["Sign out"]);
  for (const path of ["keys", "retention", "log", "tenants"]) assert.deepEqual(visit.asked(`/admin/v1/${path}`), []);
});

test("an auditor sees API keys and can neither create nor revoke one", async (room) => {
  const visit = await signedIn(room, AUDITOR);
  const { keys } = await admin("keys", AUDITOR);
  const listed = await visit.rows("keys-table");
  assert.deepEqual(listed.map(([id, tenant]) => [id, tenant]), keys.map(({ id, tenant }) => [id, tenant]));
  assert.ok(listed.some(([, tenant, , , , , state]) => tenant === "clients" && state === "active"), JSON.stringify(listed));
  assert.equal(await visit.shown("#new-key"), false);
  assert.equal(await visit.page.locator("#keys button:visible").count(), 0);
});

for (const [role, key] of [["read-only", VIEWER], ["auditor", AUDITOR]]) {
  test(`what is hidden from ${role} is refused by the service too, not by the page alone`, async (room) => {
    const visit = await signedIn(room, key);
    await visit.page.evaluate(() => {
      for (const id of ["keys", "new-key"]) document.getElementById(id).hidden = false;
    });
    await visit.page.fill("#tenant", "intruder");
    await visit.page.click("#new-key button");
    await visit.page.waitForSelector("#trouble:not([hidden])");
    assert.match(await visit.text("#trouble"), /the role operator/);
    assert.equal(await visit.shown("#made"), false);
    const { keys } = await admin("keys", AUDITOR);
    assert.equal(keys.some(({ tenant }) => tenant === "intruder"), false);
  });
}

test("reloading discards the admin key", async (room) => {
  const visit = await signedIn(room, OPERATOR);
  assert.equal(await visit.page.evaluate((key) => document.documentElement.outerHTML.includes(key), OPERATOR), false);
  assert.equal(await visit.page.inputValue("#key"), "");
  const before = visit.asked("/admin/").length;
  await visit.page.reload();
  assert.equal(await visit.shown("#enter"), true);
  assert.equal(await visit.shown("#rooms"), false);
  assert.equal(await visit.page.locator(FACTS).count(), 0);
  assert.equal(visit.asked("/admin/").length, before, "the reloaded page asks nothing");
});

test("signing out discards the admin key", async (room) => {
  const visit = await signedIn(room, OPERATOR);
  await Promise.all([visit.page.waitForEvent("load"), visit.page.click("#leave")]);
  assert.equal(await visit.shown("#enter"), true);
  assert.equal(await visit.page.locator(FACTS).count(), 0);
});

test("the page leaves nothing in the browser: no cookie, no storage, no key in an address", async (room) => {
  const visit = await signedIn(room, OPERATOR);
  assert.deepEqual(await visit.context.cookies(), []);
  const kept = await visit.page.evaluate(async () => ({
    cookie: document.cookie,
    local: localStorage.length,
    session: sessionStorage.length,
    databases: (await indexedDB.databases()).length,
    caches: (await caches.keys()).length,
    workers: (await navigator.serviceWorker.getRegistrations()).length,
    state: history.state,
  }));
  assert.deepEqual(kept, { cookie: "", local: 0, session: 0, databases: 0, caches: 0, workers: 0, state: null });
  assert.ok(visit.requests.length > 0);
  for (const { url } of visit.requests) assert.equal(url.includes("sk-"), false, url);
});
