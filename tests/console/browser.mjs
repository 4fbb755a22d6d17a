// A browser that trusts one TLS key, and visits with it.

import assert from "node:assert/strict";
import { createRequire } from "node:module";

import { verifiedKey } from "./service.mjs";
import { ADMIN_URL } from "./tests.mjs";

// Node looks for packages beside the script; they are installed elsewhere.
const { chromium } = createRequire(`${process.env.CONSOLE_HOME}/`)("playwright-core");
const TIMEOUT = 30_000;

/** Every launch has a new profile. Certificates count for nothing but by this key; nothing outside this machine is found. */
export function launch(trusted = verifiedKey) {
  return chromium.launch({
    executablePath: process.env.BROWSER,
    timeout: 120_000,
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
      `--ignore-certificate-errors-spki-list=${trusted.toString("base64")}`,
    ],
  });
}

/** One page with a separate profile, and all that it requests. */
export class Visit {
  static async open({ browser, opened, visits }, options = {}) {
    const context = await browser.newContext(options);
    context.setDefaultTimeout(TIMEOUT);
    const visit = new Visit(context, await context.newPage());
    opened.push(visit);
    visits.push(visit);
    return visit;
  }

  constructor(context, page) {
    this.context = context;
    this.page = page;
    this.requests = [];
    this.broken = [];
    /** Set by a test that makes the page ask elsewhere. */
    this.ledAstray = false;
    context.on("request", (request) => this.requests.push({ method: request.method(), url: request.url() }));
    page.on("pageerror", (error) => this.broken.push(error.message));
  }

  close() {
    return this.context.close();
  }

  async front() {
    await this.page.goto(`${ADMIN_URL}/`);
    return this;
  }

  /** Types the key; who is let in, or the refusal, is waited for. */
  async enter(key) {
    await this.page.fill("#key", key);
    await this.page.click("#credential button");
    await this.page.waitForSelector("#trouble:not([hidden]), #rooms:not([hidden])");
  }

  async signIn(key) {
    await this.front();
    await this.enter(key);
    await this.page.waitForSelector('#trouble:not([hidden]), #rooms[aria-busy="false"]');
    assert.equal(await this.text("#trouble"), "");
    return this;
  }

  asked(path) {
    return this.requests.filter(({ url }) => new URL(url).pathname.startsWith(path));
  }

  text(selector) {
    return this.page.textContent(selector);
  }

  shown(selector) {
    return this.page.isVisible(selector);
  }

  /** The facts of a list, by name. */
  facts(id) {
    return this.page.$$eval(`#${id} dt`, (names) =>
      Object.fromEntries(names.map((name) => [name.textContent, name.nextElementSibling.textContent])));
  }

  /** The cells of a table, row by row, without the headings. */
  rows(id) {
    return this.page.$$eval(`#${id} tr`, (rows) =>
      rows.slice(1).map((row) => [...row.cells].map((cell) => cell.textContent)));
  }
}

/** A page of an administrator who is in. */
export const signedIn = async (room, key, options) => (await Visit.open(room, options)).signIn(key);
