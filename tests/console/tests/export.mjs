// An auditor takes the whole log home.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

import { signedIn } from "../browser.mjs";
import { admin } from "../service.mjs";
import { AUDITOR, test } from "../tests.mjs";

/** The files of a tar archive, in order. */
function unpacked(archive) {
  const files = [];
  for (let at = 0; archive[at] !== 0; ) {
    const text = (from, length) => archive.subarray(at + from, at + from + length).toString().split("\0")[0];
    const length = parseInt(text(124, 12), 8);
    files.push([text(0, 100), archive.subarray(at + 512, at + 512 + length).toString("latin1")]);
    at += 512 + Math.ceil(length / 512) * 512;
  }
  return files;
}

async function exported(visit) {
  const [download] = await Promise.all([visit.page.waitForEvent("download"), visit.page.click("#export button")]);
  assert.equal(download.suggestedFilename(), "audit-log.tar");
  return unpacked(readFileSync(await download.path()));
}

test("the log is exported whole, its head last, with names only on request", async (room) => {
  const visit = await signedIn(room, AUDITOR);
  const files = await exported(visit);
  const [last, head] = files.at(-1);
  assert.equal(last, "checkpoint");
  const { origin, size } = await admin("log?count=1", AUDITOR);
  const [named, counted] = head.split("\n");
  assert.equal(named, origin);
  assert.ok(Number(counted) > 0 && Number(counted) <= size, `${counted} of ${size}`);
  assert.ok(files.some(([path]) => path.startsWith("tile/entries/")));
  const hasSubjects = (files) => files.some(([path, text]) => path.startsWith("openings/") && text.includes("of tenant clients"));
  assert.equal(files.some(([, text]) => text.includes("tenant clients")), false);
  await visit.page.check("#private");
  assert.equal(hasSubjects(await exported(visit)), true);
  assert.match(await visit.text("#exported"), /^audit-log\.tar, [\d,]+ bytes/);
});
