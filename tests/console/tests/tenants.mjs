// Tenants, and ending one.

import assert from "node:assert/strict";

import { signedIn } from "../browser.mjs";
import { admin, ask, chat } from "../service.mjs";
import { ADMIN_URL, AUDITOR, eventually, OPERATOR, test } from "../tests.mjs";

const key = async (tenant) => {
  const made = await ask(`${ADMIN_URL}/admin/v1/keys`, { method: "POST", key: OPERATOR, body: { tenant } });
  assert.equal(made.status, 201);
  return made.body.key;
};
const row = (visit, tenant) => visit.page.locator("#tenants-table tr", { hasText: tenant });

test("an operator revokes all keys of a tenant at once, and of no other", async (room) => {
  const keys = [await key("leaving"), await key("leaving"), await key("staying")];
  for (const each of keys) await eventually("the key counts", async () => (await chat(each)) === 200);
  const visit = await signedIn(room, OPERATOR);
  const [tenant, , kept, active] = await row(visit, "leaving").locator("td").allTextContents();
  assert.deepEqual([tenant, kept, active], ["leaving", "metadata", "2"]);
  const asked = new Promise((resolve) => visit.page.once("dialog", async (dialog) => {
    await dialog.accept();
    resolve(dialog.message());
  }));
  await row(visit, "leaving").getByRole("button", { name: "Revoke all keys" }).click();
  assert.match(await asked, /^Revoke every key of leaving \(2\)\?/);
  await row(visit, "leaving").getByText("no active key").waitFor();
  for (const each of keys.slice(0, 2)) await eventually("it counts no more", async () => (await chat(each)) === 401);
  assert.equal(await chat(keys[2]), 200);
});

test("an auditor sees tenants and cannot revoke their keys", async (room) => {
  const visit = await signedIn(room, AUDITOR);
  const { tenants } = await admin("tenants", AUDITOR);
  const rows = await visit.rows("tenants-table");
  assert.deepEqual(rows.map(([name]) => name), tenants.map(({ tenant }) => tenant));
  assert.equal(await visit.page.locator("#tenants button:visible").count(), 0);
  const { status } = await ask(`${ADMIN_URL}/admin/v1/tenants/staying`, { method: "DELETE", key: AUDITOR });
  assert.equal(status, 403);
});
