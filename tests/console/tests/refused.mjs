// What the page, the browser and the service refuse, each shown beside something they do not.

import assert from "node:assert/strict";
import http from "node:http";

import { signedIn, Visit } from "../browser.mjs";
import { admin } from "../service.mjs";
import { ADMIN_URL, AUDITOR, eventually, OPERATOR, test, VIEWER } from "../tests.mjs";

const MARKUP = "<img src=x onerror=window.hurt=1>";

/** Another site, on this machine, that counts who comes. */
async function elsewhere(run) {
  const seen = [];
  const server = http.createServer((request, response) => {
    seen.push(request.url);
    response.setHeader("content-type", "text/html");
    const frame = { "/framing": `${ADMIN_URL}/`, "/framing-itself": "/plain" }[request.url];
    response.end(frame ? `<!doctype html><iframe src="${frame}"></iframe>` : "<!doctype html><p id=plain>plain</p>");
  });
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  try {
    await run(`http://127.0.0.1:${server.address().port}`, seen);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

/** Does that in the page; the directives that were violated by it. */
async function violated(visit, deed, argument) {
  await visit.page.evaluate(() => {
    if (!window.violations) {
      document.addEventListener("securitypolicyviolation", (event) => window.violations.push(event.effectiveDirective));
    }
    window.violations = [];
  });
  await visit.page.evaluate(deed, argument);
  await visit.page.waitForFunction(() => window.violations.length > 0);
  return visit.page.evaluate(() => window.violations);
}

test("an inline script is refused", async (room) => {
  const visit = await (await Visit.open(room)).front();
  // An empty policy of this name would be needed to make a script's text; the page allows none.
  const directives = await violated(visit, () => {
    const script = document.createElement("script");
    try {
      script.textContent = "window.hurt = 1";
    } catch {
      script.append(document.createTextNode("window.hurt = 1"));
    }
    document.head.append(script);
  });
  assert.ok(directives.some((directive) => directive.startsWith("script-src") || directive === "require-trusted-types-for"), directives);
  assert.equal(await visit.page.evaluate(() => window.hurt), undefined);
});

test("an inline event handler and a javascript: address are refused", async (room) => {
  const visit = await (await Visit.open(room)).front();
  const directives = await violated(visit, () => {
    const button = document.createElement("button");
    try {
      button.setAttribute("onclick", "window.hurt = 1");
    } catch {}
    const link = document.createElement("a");
    link.href = "javascript:window.hurt = 1";
    document.body.append(button, link);
    button.click();
    link.click();
  });
  assert.ok(directives.length > 0);
  assert.equal(await visit.page.evaluate(() => window.hurt), undefined);
});

test("eval is refused, and so is markup made from text", async (room) => {
  const visit = await (await Visit.open(room)).front();
  const outcome = await visit.page.evaluate(() => new Promise((resolve) => {
    // Later, so that it is the page that runs it and not the debugger.
    setTimeout(() => {
      const attempt = (deed) => {
        try {
          deed();
          return "done";
        } catch (error) {
          return error.name;
        }
      };
      resolve([
        attempt(() => eval("window.hurt = 1")),
        attempt(() => new Function("window.hurt = 1")()),
        attempt(() => (document.body.innerHTML = "<p>hurt</p>")),
        attempt(() => JSON.parse("{}")),
      ]);
    }, 0);
  }));
  assert.deepEqual(outcome, ["EvalError", "EvalError", "TypeError", "done"]);
  assert.equal(await visit.page.evaluate(() => window.hurt), undefined);
});

const ASTRAY = [
  ["connect-src", (url) => fetch(url).catch(() => {})],
  ["img-src", (url) => (new Image().src = url)],
  ["script-src-elem", (url) => add("link", { rel: "modulepreload", href: url })],
  ["style-src-elem", (url) => add("link", { rel: "stylesheet", href: url })],
  ["frame-src", (url) => add("iframe", { src: url })],
  ["form-action", (url) => add("form", { action: url, method: "post" }).submit()],
];

test("nothing is fetched from or sent to another site", (room) =>
  elsewhere(async (site, seen) => {
    const visit = await signedIn(room, VIEWER);
    visit.ledAstray = true;
    await visit.page.evaluate(() => {
      window.add = (name, properties) => {
        const element = Object.assign(document.createElement(name), properties);
        document.body.append(element);
        return element;
      };
    });
    for (const [directive, deed] of ASTRAY) {
      assert.deepEqual(await violated(visit, deed, `${site}/stolen`), [directive]);
    }
    assert.deepEqual(seen, []);
    await visit.page.goto(`${site}/plain`);
    assert.deepEqual(seen.slice(0, 1), ["/plain"], "the other site could have been reached");
  }));

test("another site cannot frame the console", (room) =>
  elsewhere(async (site) => {
    const visit = await Visit.open(room);
    visit.ledAstray = true;
    await visit.page.goto(`${site}/framing-itself`);
    await visit.page.frameLocator("iframe").locator("#plain").waitFor();
    const refused = visit.page.waitForEvent("console", (message) => message.text().includes("frame-ancestors"));
    await visit.page.goto(`${site}/framing`);
    await refused;
    assert.equal(await visit.page.frameLocator("iframe").locator("#credential").count(), 0);
  }));

test("another site's page cannot ask the admin API, with a key or without", (room) =>
  elsewhere(async (site) => {
    const visit = await Visit.open(room);
    visit.ledAstray = true;
    await visit.page.goto(`${site}/plain`);
    const asked = ([url, headers]) => fetch(url, { headers }).then(() => "answered", (error) => error.name);
    const status = `${ADMIN_URL}/admin/v1/status`;
    assert.equal(await visit.page.evaluate(asked, [status, { authorization: `Bearer ${VIEWER}` }]), "TypeError");
    assert.equal(await visit.page.evaluate(asked, [status, {}]), "TypeError");
    assert.equal(await visit.page.evaluate(asked, [`${site}/plain`, {}]), "answered");
  }));

test("a tenant name that is markup is rejected, and the page shows why", async (room) => {
  const visit = await signedIn(room, OPERATOR);
  await visit.page.fill("#tenant", MARKUP);
  const [answer] = await Promise.all([
    visit.page.waitForResponse((response) => response.request().method() === "POST"),
    visit.page.click("#new-key button"),
  ]);
  assert.equal(answer.status(), 400);
  await visit.page.waitForSelector("#trouble:not([hidden])");
  assert.equal(await visit.text("#trouble"), (await answer.json()).error.message);
  assert.equal(await visit.shown("#made"), false);
  const { keys } = await admin("keys", AUDITOR);
  assert.equal(keys.some(({ tenant }) => tenant.includes("<")), false);
});

test("a name that is markup is shown as text", async (room) => {
  const visit = await Visit.open(room);
  const spoil = async (path, spoiled) => {
    const json = spoiled(await admin(path, OPERATOR));
    await visit.context.route(`${ADMIN_URL}/admin/v1/${path}`, (route) => route.fulfill({ json }));
  };
  const row = { tenant: MARKUP, model: MARKUP, requests: 1, failed: 0, prompt_tokens: 1, completion_tokens: 1 };
  await spoil("usage", (body) => ({ ...body, usage: [row] }));
  await spoil("keys", (body) => ({ keys: body.keys.map((key) => ({ ...key, tenant: MARKUP, name: MARKUP })) }));
  await spoil("upstreams", (body) => ({ upstreams: body.upstreams.map((one) => ({ ...one, name: MARKUP, last_failure: MARKUP })) }));
  await visit.signIn(OPERATOR);
  for (const id of ["usage-table", "keys-table", "upstreams-table"]) {
    const cells = (await visit.rows(id))[0];
    assert.ok(cells.includes(MARKUP), `${id}: ${cells}`);
  }
  assert.equal(await visit.page.locator("img").count(), 0);
  assert.equal(await visit.page.evaluate(() => window.hurt), undefined);
});

test("an error message that is markup is shown as text", async (room) => {
  const visit = await signedIn(room, OPERATOR);
  await visit.context.route(`${ADMIN_URL}/admin/v1/keys`, (route) => route.fulfill({
    status: 401,
    json: { error: { message: MARKUP } },
  }));
  await visit.page.fill("#tenant", "late");
  await visit.page.click("#new-key button");
  await eventually("the refusal is shown", () => visit.shown("#trouble"));
  assert.equal(await visit.text("#trouble"), MARKUP);
  assert.equal(await visit.page.locator("img").count(), 0);
});
