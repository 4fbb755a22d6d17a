// The page as people see it.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";

import { signedIn, Visit } from "../browser.mjs";
import { OPERATOR, test } from "../tests.mjs";

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
