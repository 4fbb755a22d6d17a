// The page as people see it, and what all pages before asked for.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";

import { signedIn, Visit } from "../browser.mjs";
import { ADMIN_URL, OPERATOR, test } from "../tests.mjs";

const SHOTS = `${process.env.CONSOLE_HOME}/shots`;

for (const colorScheme of ["light", "dark"]) {
  for (const [width, height] of [[390, 844], [1280, 900]]) {
    test(`the page fits ${width} pixels, ${colorScheme}`, async (room) => {
      mkdirSync(SHOTS, { recursive: true });
      const options = { colorScheme, viewport: { width, height } };
      const shoot = async (visit, name) => {
        await visit.page.screenshot({ path: `${SHOTS}/${name}-${colorScheme}-${width}.png`, fullPage: true });
        const needed = await visit.page.evaluate(() => document.documentElement.scrollWidth);
        assert.ok(needed <= width, `${name} is ${needed} pixels wide`);
      };
      const visit = await (await Visit.open(room, options)).front();
      await shoot(visit, "sign-in");
      await shoot(await signedIn(room, OPERATOR, options), "operator");
    });
  }
}

test("no page asked for anything but what the admin listener serves, and none broke", (room) => {
  const straight = room.visits.filter((visit) => !visit.ledAstray);
  const requests = straight.flatMap((visit) => visit.requests);
  assert.ok(requests.length > 100, `only ${requests.length} requests were seen`);
  const foreign = requests.filter(({ url }) => !url.startsWith(`${ADMIN_URL}/`));
  assert.deepEqual(foreign, []);
  assert.deepEqual(straight.flatMap((visit) => visit.broken), []);
});
