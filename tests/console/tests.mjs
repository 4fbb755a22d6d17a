// Tests in the order in which they are registered, and what several of them need.

import assert from "node:assert/strict";

export const { ADMIN_URL, GATEWAY_URL, API_KEY, VIEWER, AUDITOR, OPERATOR } = process.env;
export const tests = [];
export const test = (name, run) => tests.push({ name, run });

export async function eventually(what, condition) {
  const giveUp = Date.now() + 30_000;
  while (Date.now() < giveUp) {
    const value = await condition();
    if (value) return value;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.fail(`waited in vain: ${what}`);
}
