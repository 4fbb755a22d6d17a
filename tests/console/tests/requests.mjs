// What all pages before asked for.

import assert from "node:assert/strict";

import { ADMIN_URL, test } from "../tests.mjs";

test("no page asked for anything but what the admin listener serves, and none broke", (room) => {
  const straight = room.visits.filter((visit) => !visit.ledAstray);
  const requests = straight.flatMap((visit) => visit.requests);
  assert.ok(requests.length > 100, `only ${requests.length} requests were seen`);
  const foreign = requests.filter(({ url }) => !url.startsWith(`${ADMIN_URL}/`));
  assert.deepEqual(foreign, []);
  assert.deepEqual(straight.flatMap((visit) => visit.broken), []);
});
