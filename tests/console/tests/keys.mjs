// An operator makes keys and takes them back.

import assert from "node:assert/strict";

import { signedIn } from "../browser.mjs";
import { admin, chat } from "../service.mjs";
import { AUDITOR, eventually, OPERATOR, test } from "../tests.mjs";

const row = (visit, tenant) => visit.page.locator("#keys-table tr", { hasText: tenant });

async function make(visit, tenant, name = "") {
  await visit.page.fill("#tenant", tenant);
  await visit.page.fill("#note", name);
  await visit.page.click("#new-key button");
  await visit.page.waitForSelector("#made:not([hidden]), #trouble:not([hidden])");
  const key = /sk-\S+/.exec(await visit.text("#made"));
  assert.ok(key, await visit.text("#trouble"));
  await row(visit, tenant).waitFor();
  return key[0];
}

test("an operator creates a working key and revokes it", async (room) => {
  const visit = await signedIn(room, OPERATOR);
  const key = await make(visit, "acme", "batch-jobs");
  assert.match(await visit.text("#made"), /^Key for acme, shown only this once: sk-/);
  const [, tenant, name] = await row(visit, "acme").locator("td").allTextContents();
  assert.deepEqual([tenant, name], ["acme", "batch-jobs"]);
  await eventually("the key counts", async () => (await chat(key)) === 200);

  const asked = new Promise((resolve) => visit.page.once("dialog", async (dialog) => {
    await dialog.accept();
    resolve([dialog.type(), dialog.message()]);
  }));
  await row(visit, "acme").getByRole("button", { name: "Revoke" }).click();
  const [kind, question] = await asked;
  assert.equal(kind, "confirm");
  assert.match(question, /^Revoke key [0-9a-f]+ of acme\?/);
  await row(visit, "acme").getByText(/^revoked \d/).waitFor();
  await eventually("the key counts no more", async () => (await chat(key)) === 401);
  assert.equal(await row(visit, "acme").getByRole("button").count(), 0);
});

test("an operator restricts, blocks and rotates a key", async (room) => {
  const visit = await signedIn(room, OPERATOR);
  await visit.page.fill("#expires", "90d");
  await visit.page.fill("#models", "no-such-* other");
  const key = await make(visit, "limited");
  await row(visit, "limited").getByText("models: no-such-*, other").waitFor();
  assert.equal(await chat(key), 403);
  const { keys } = await admin("keys", AUDITOR);
  assert.ok(keys.find(({ tenant }) => tenant === "limited").expires_at);

  await row(visit, "limited").getByRole("button", { name: "Block" }).click();
  await row(visit, "limited").getByText(/^blocked \d/).waitFor();
  await row(visit, "limited").getByRole("button", { name: "Unblock" }).click();
  await row(visit, "limited").getByText("active", { exact: true }).waitFor();

  visit.page.once("dialog", (dialog) => dialog.accept());
  await row(visit, "limited").getByRole("button", { name: "Rotate" }).click();
  await visit.page.waitForFunction((old) => !document.querySelector("#made").textContent.includes(old), key);
  const made = /sk-\S+/.exec(await visit.text("#made"));
  assert.ok(made);
  await eventually("the list has both", async () => (await row(visit, "limited").count()) === 2);
  const after = (await admin("keys", AUDITOR)).keys.filter(({ tenant }) => tenant === "limited");
  assert.deepEqual(after.map(({ models }) => models), [["no-such-*", "other"], ["no-such-*", "other"]]);
});

test("declining the confirmation revokes nothing", async (room) => {
  const visit = await signedIn(room, OPERATOR);
  const key = await make(visit, "kept");
  await eventually("the key counts", async () => (await chat(key)) === 200);
  visit.page.once("dialog", (dialog) => dialog.dismiss());
  await row(visit, "kept").getByRole("button", { name: "Revoke" }).click();
  await visit.page.evaluate(() => document.readyState);
  assert.deepEqual(visit.requests.filter(({ method }) => method === "DELETE"), []);
  const { keys } = await admin("keys", AUDITOR);
  assert.equal(keys.find(({ tenant }) => tenant === "kept").revoked_at, null);
});

test("a new key is shown once: signing in again does not show it", async (room) => {
  const visit = await signedIn(room, OPERATOR);
  const key = await make(visit, "once");
  const again = await signedIn(room, OPERATOR);
  await row(again, "once").waitFor();
  assert.equal(await again.shown("#made"), false);
  for (const secret of [key, key.slice(-20)]) {
    assert.equal(await again.page.evaluate((secret) => document.documentElement.outerHTML.includes(secret), secret), false);
  }
});
