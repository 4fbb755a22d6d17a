// The admin console in a browser. Environment: see environment() in run.py.

import { launch } from "./browser.mjs";
import { tests } from "./tests.mjs";
import "./tests/door.mjs";
import "./tests/shown.mjs";
import "./tests/independent.mjs";
import "./tests/keys.mjs";
import "./tests/refused.mjs";
import "./tests/log.mjs";
import "./tests/export.mjs";
import "./tests/tenants.mjs";
import "./tests/layout.mjs";
// The last of these activates a policy, which replaces the TLS key that was verified.
import "./tests/retention.mjs";
import "./tests/requests.mjs";

const browser = await launch();
const visits = [];
let passed = 0;
let failed = 0;
for (const { name, run } of tests) {
  const opened = [];
  const began = performance.now();
  const took = () => `${((performance.now() - began) / 1000).toFixed(1)} s`;
  try {
    await run({ browser, visits, opened });
    passed += 1;
    console.log(`ok      ${name} (${took()})`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${name}\n        ${String(error.stack ?? error).replaceAll("\n", "\n        ")}`);
  } finally {
    for (const visit of opened) await visit.close();
  }
}
await browser.close();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
