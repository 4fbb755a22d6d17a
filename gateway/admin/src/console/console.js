"use strict";

// The admin key is stored only here: closing or reloading the page discards it.
let key = null;
let role = null;

const RANK = { "read-only": 0, auditor: 1, operator: 2 };
const at = (id) => document.getElementById(id);
const may = (needed) => RANK[role] >= RANK[needed];

/** Calls the admin API; an error answer becomes an Error with its message. */
async function ask(path, options = {}) {
  const response = await fetch(path, {
    ...options,
    headers: { Authorization: `Bearer ${key}`, ...(options.headers || {}) },
    cache: "no-store",
    credentials: "omit",
    redirect: "error",
  });
  if (response.ok) return response.status === 204 ? null : response.json();
  const answer = await response.json().catch(() => null);
  throw new Error(answer?.error?.message || `the service answered ${response.status}`);
}

function make(name, text, kind) {
  const element = document.createElement(name);
  if (text !== undefined) element.textContent = text;
  if (kind) element.className = kind;
  return element;
}

function facts(id, pairs) {
  const list = at(id);
  list.replaceChildren();
  for (const [name, value, kind] of pairs) {
    list.append(make("dt", name), make("dd", value ?? "none", value == null ? "none" : kind));
  }
}

/** A table of rows; a column is [heading, cell text, class]. */
function table(id, columns, rows, whenEmpty) {
  if (rows.length === 0) {
    at(id).replaceChildren(make("p", whenEmpty, "none"));
    return;
  }
  const element = make("table");
  const head = make("tr");
  for (const [heading, , kind] of columns) head.append(make("th", heading, kind));
  element.append(head);
  for (const row of rows) {
    const line = make("tr");
    for (const [, cell, kind] of columns) {
      const content = cell(row);
      if (content instanceof Node) {
        const place = make("td", undefined, kind);
        place.append(content);
        line.append(place);
      } else {
        line.append(make("td", content ?? "–", kind));
      }
    }
    element.append(line);
  }
  at(id).replaceChildren(element);
}

const number = (value) => (value == null ? "–" : value.toLocaleString("en"));

function rowsOf({ rows_waiting: waiting, oldest_row_age_s: age, rows_lost: lost, ledger_failing: failing }) {
  const since = waiting > 0 ? ` for ${number(age)} s` : "";
  return `${number(waiting)} waiting${since}, ${number(lost)} lost${failing ? "; the database accepts nothing" : ""}`;
}

async function showEpoch() {
  const status = await ask("admin/v1/status");
  facts("epoch-facts", [
    ["number", String(status.epoch.number)],
    ["mode", `${status.mode}, evidence ${status.tee}`],
    ["keyset", status.epoch.keyset_digest],
    ["TLS key", status.epoch.spki_sha256],
    ["configuration", status.epoch.config_digest],
    ["retention", `at most ${status.retention.most}, policy ${status.retention.epoch} (${status.retention.digest})`],
    ["next epoch by", status.epoch.renew_at],
    ["ends", status.epoch.not_after],
    ["rows", rowsOf(status), status.ledger_failing || status.rows_lost > 0 ? "bad" : undefined],
    ["version", status.version],
  ]);
}

async function showAttested() {
  const report = await ask("admin/v1/attestation");
  const attestation = report.attestation;
  facts("attested-facts", [
    ["evidence", attestation.evidence.cpu.type],
    ["devices", String(attestation.evidence.devices.length)],
    ["subject", attestation.workload_keyset.subject],
    ["keyset", report.workload_keyset_digest],
    ["report data", attestation.report_data],
    ["signed by", report.key_id],
    ["source", attestation.source_provenance?.repo_commit],
    ["image", attestation.source_provenance?.image_digest],
  ]);
}

async function showUpstreams() {
  const { upstreams } = await ask("admin/v1/upstreams");
  table(
    "upstreams-table",
    [
      ["name", (row) => row.name],
      ["verdict", (row) => make("span", row.verified ? "verified" : "not verified", row.verified ? "good" : "bad")],
      ["session", (row) => row.sessions.map((session) => session.session_id).join(" ") || null, "code long"],
      ["last failure", (row) => row.last_failure, "code"],
    ],
    upstreams,
    "No enclaves are configured behind this service.",
  );
}

const instant = (seconds) => new Date(seconds * 1000).toISOString().replace(".000", "");

async function showSessions() {
  const { sessions } = await ask("admin/v1/sessions?count=10");
  table(
    "sessions-table",
    [
      ["upstream", (row) => row.upstream_name],
      ["session", (row) => row.session_id, "code long"],
      ["verified", (row) => instant(row.established_at), "time"],
      ["until", (row) => instant(row.expires_at), "time"],
      ["state", (row) => make("span", row.in_force ? "active" : "past", row.in_force ? "good" : "none")],
    ],
    sessions,
    "No upstream was ever verified.",
  );
}

async function showUsage() {
  const { usage } = await ask("admin/v1/usage");
  table(
    "usage-table",
    [
      ["tenant", (row) => row.tenant],
      ["model", (row) => row.model],
      ["requests", (row) => number(row.requests), "number"],
      ["failed", (row) => number(row.failed), "number"],
      ["prompt tokens", (row) => number(row.prompt_tokens), "number"],
      ["completion tokens", (row) => number(row.completion_tokens), "number"],
    ],
    usage,
    "There were no requests.",
  );
}

async function showTenants() {
  at("tenants").hidden = !may("auditor");
  if (!may("auditor")) return;
  const { tenants } = await ask("admin/v1/tenants");
  const remover = (row) => {
    if (row.active_keys === 0) return make("span", "no active key", "none");
    if (!may("operator")) return make("span", "active", "good");
    const button = make("button", "Revoke all keys");
    button.type = "button";
    button.addEventListener("click", () =>
      guarded(async () => {
        if (!window.confirm(`Revoke every key of ${row.tenant} (${row.active_keys})? This cannot be undone.`)) return;
        await ask(`admin/v1/tenants/${encodeURIComponent(row.tenant)}`, { method: "DELETE" });
        await load("tenants", "keys");
      }),
    );
    return button;
  };
  table(
    "tenants-table",
    [
      ["tenant", (row) => row.tenant],
      ["since", (row) => row.since, "time"],
      ["kept at most", (row) => row.retention],
      ["active keys", (row) => number(row.active_keys), "number"],
      ["revoked", (row) => number(row.revoked_keys), "number"],
      ["state", remover],
    ],
    tenants,
    "There are no tenants yet.",
  );
}

async function showKeys() {
  at("keys").hidden = !may("auditor");
  at("new-key").hidden = !may("operator");
  if (!may("auditor")) return;
  const { keys } = await ask("admin/v1/keys");
  table(
    "keys-table",
    [
      ["id", (row) => row.id, "code"],
      ["tenant", (row) => row.tenant],
      ["name", (row) => row.name],
      ["created", (row) => row.created_at, "time"],
      ["expires", (row) => row.expires_at, "time"],
      ["restrictions", restrictionsOf],
      ["state", stateOf],
      ["", keyActions],
    ],
    keys,
    "There are no API keys yet.",
  );
}

// What a key may be used for, as text; empty if it is not restricted.
function restrictionsOf(row) {
  const lists = [["models", row.models], ["endpoints", row.endpoints], ["networks", row.networks]];
  const parts = lists.filter(([, words]) => words[0] !== "*").map(([name, words]) => `${name}: ${words.join(", ")}`);
  if (row.verified_only) parts.push("verified upstreams only");
  if (row.retention !== "content") parts.push(`retention: ${row.retention}`);
  return parts.join("; ");
}

function stateOf(row) {
  if (row.revoked_at) return make("span", `revoked ${row.revoked_at}`, "none");
  if (row.expires_at && Date.parse(row.expires_at) <= Date.now()) return make("span", "expired", "none");
  if (row.blocked_at) return make("span", `blocked ${row.blocked_at}`, "bad");
  return make("span", "active", "good");
}

// Buttons for operators; none for a key that is revoked.
function keyActions(row) {
  const buttons = make("span", "", "actions");
  if (row.revoked_at || !may("operator")) return buttons;
  const path = `admin/v1/keys/${encodeURIComponent(row.id)}`;
  const send = (method, to, body) =>
    ask(to, { method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  const action = (label, question, act) => {
    const button = make("button", label);
    button.type = "button";
    button.addEventListener("click", () =>
      guarded(async () => {
        if (question && !window.confirm(question)) return;
        await act();
        await load("keys", "tenants");
      }),
    );
    buttons.append(button);
  };
  if (row.blocked_at) action("Unblock", null, () => send("PATCH", path, { blocked: false }));
  else action("Block", null, () => send("PATCH", path, { blocked: true }));
  action("Rotate", `Replace key ${row.id} of ${row.tenant}? The old key stays valid for 24 hours.`, async () =>
    showMade(await send("POST", `${path}/rotate`, { overlap: "24h" })),
  );
  action("Revoke", `Revoke key ${row.id} of ${row.tenant}? This cannot be undone.`, () => ask(path, { method: "DELETE" }));
  return buttons;
}

function showMade(made) {
  at("made").hidden = false;
  at("made").textContent = `Key for ${made.tenant}, shown only this once: ${made.key}`;
}


/** The time by which data expires, as a fact; if it cannot be read, the reason. */
async function clockFact() {
  try {
    const clock = await ask("admin/v1/retention/clock");
    const doubted = clock.system_ahead_s > 60 || clock.system_behind_s > 60;
    const time = doubted ? `${clock.expires_by}; the system's clock says ${clock.system}` : clock.expires_by;
    return ["things expire by", time, doubted ? "bad" : undefined];
  } catch (error) {
    return ["things expire by", error.message, "bad"];
  }
}

async function showRetention() {
  at("retention").hidden = !may("auditor");
  if (!may("auditor")) return;
  const clock = clockFact();
  const retention = await ask("admin/v1/retention");
  const keys = retention.policy_keys;
  facts("retention-facts", [
    ["active", `policy ${retention.in_force.epoch}, ${retention.in_force.digest}`],
    ["changed by", keys.threshold ? `${keys.threshold} of ${keys.keys.length} policy keys` : "not possible: no policy keys are configured"],
    await clock,
  ]);
  table(
    "retention-table",
    [
      ["policy", (row) => String(row.epoch), "number"],
      ["keeps at most", (row) => row.most],
      ["set", (row) => row.set_at, "time"],
      ["signatures", (row) => String(row.signatures), "number"],
      ["digest", (row) => row.digest, "code long"],
    ],
    retention.history,
    "No policy was ever set.",
  );
}

/** The form's content as a request of the API. */
function proposed() {
  return {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ policy: at("policy").value, signatures: at("signatures").value }),
  };
}

function hidePlan() {
  for (const id of ["plan", "set", "installed"]) at(id).hidden = true;
}

async function planRetention(event) {
  event.preventDefault();
  hidePlan();
  await guarded(async () => {
    const plan = await ask("admin/v1/retention/plan", proposed());
    at("plan").hidden = false;
    at("plan-verdict").textContent =
      `From policy ${plan.from.epoch} (at most ${plan.from.most}) to ${plan.to.epoch} (at most ${plan.to.most}): it ${plan.why}.`;
    at("plan-verdict").className = plan.can_be_set ? "good" : "bad";
    at("plan-notices").textContent = plan.notices.map((notice) => `Warning: ${notice}.`).join(" ");
    const divided = new Set(plan.changes.filter((row) => row.model).map((row) => row.tenant));
    table(
      "plan-table",
      [
        ["tenant", (row) => row.tenant ?? "every other tenant"],
        ["model", (row) => row.model ?? (divided.has(row.tenant) ? "every other model" : "every model")],
        ["now", (row) => row.now],
        ["then", (row) => (row.changes ? row.then : "stays")],
      ],
      plan.changes,
      "Nothing changes for any tenant.",
    );
    at("set").hidden = !(plan.can_be_set && may("operator"));
  });
}

async function setRetention() {
  await guarded(async () => {
    if (!window.confirm("Activate this policy? Every connection ends, and every client verifies again.")) return;
    const set = await ask("admin/v1/retention", proposed());
    hidePlan();
    at("installed").hidden = false;
    at("installed").textContent =
      `Policy ${set.epoch} is set (${set.digest}). A new epoch begins within a second, with another TLS key: verify it before you sign in again.`;
  });
}

async function showLog() {
  at("log").hidden = !may("auditor");
  if (!may("auditor")) return;
  const log = await ask("admin/v1/log?count=20");
  facts("log-facts", [
    ["log", log.origin],
    ["entries", number(log.size)],
    ["head", log.checkpoint, "note"],
  ]);
  const details = ({ at: when, type, ...rest }) =>
    Object.entries(rest)
      .map(([name, value]) => `${name} ${typeof value === "object" ? JSON.stringify(value) : value}`)
      .join(", ");
  table(
    "log-table",
    [
      ["entry", (row) => number(row.index), "number"],
      ["when", (row) => instant(row.entry.at), "time"],
      ["what", (row) => (row.entry.action ? `${row.entry.type}: ${row.entry.action}` : row.entry.type)],
      ["about", (row) => row.subject ?? details(row.entry), "code long"],
    ],
    log.entries.reverse(),
    "The log is empty.",
  );
}

/** Fetches the log as an archive and has the browser save it. An incomplete archive is not saved. */
async function exportLog(event) {
  event.preventDefault();
  await guarded(async () => {
    at("exported").hidden = true;
    const query = at("private").checked ? "?private=1" : "";
    const response = await fetch(`admin/v1/log/export${query}`, {
      headers: { Authorization: `Bearer ${key}` },
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
    });
    if (!response.ok) throw new Error(`the service answered ${response.status}`);
    const archive = await response.blob();
    const link = make("a");
    link.href = URL.createObjectURL(archive);
    link.download = "audit-log.tar";
    link.click();
    URL.revokeObjectURL(link.href);
    at("exported").hidden = false;
    at("exported").textContent =
      `audit-log.tar, ${number(archive.size)} bytes: unpack it and check it with sealgate-verify log replay --export.`;
  });
}

/** Each section: the function that fills it, and the element that shows the error when that fails. */
const SECTIONS = {
  epoch: [showEpoch, "epoch-facts"],
  attested: [showAttested, "attested-facts"],
  upstreams: [showUpstreams, "upstreams-table"],
  sessions: [showSessions, "sessions-table"],
  usage: [showUsage, "usage-table"],
  retention: [showRetention, "retention-table"],
  log: [showLog, "log-table"],
  tenants: [showTenants, "tenants-table"],
  keys: [showKeys, "keys-table"],
};

/** Fills sections concurrently. A section that fails shows its error and does not stop the others. */
async function load(...names) {
  at("rooms").setAttribute("aria-busy", "true");
  await Promise.all(
    names.map(async (name) => {
      const [show, place] = SECTIONS[name];
      try {
        await show();
      } catch (error) {
        if (at(place).tagName === "DL") facts(place, [["not shown", error.message, "bad"]]);
        else at(place).replaceChildren(make("p", error.message, "bad"));
      }
    }),
  );
  at("rooms").setAttribute("aria-busy", "false");
}

function showError(message) {
  at("trouble").hidden = !message;
  at("trouble").textContent = message || "";
}

/** Runs an administrator's action and shows its error. */
async function guarded(work) {
  showError("");
  try {
    await work();
  } catch (error) {
    showError(error.message);
  }
}

async function enter(event) {
  event.preventDefault();
  key = at("key").value.trim();
  at("key").value = "";
  await guarded(async () => {
    let me;
    try {
      me = await ask("admin/v1/whoami");
    } catch (error) {
      key = null;
      throw error;
    }
    role = me.role;
    at("who").textContent = `${me.name || me.id}, ${me.role}`;
    at("enter").hidden = true;
    at("leave").hidden = false;
    at("rooms").hidden = false;
    await load(...Object.keys(SECTIONS));
  });
}

async function createKey(event) {
  event.preventDefault();
  await guarded(async () => {
    const wanted = { tenant: at("tenant").value.trim() };
    if (at("note").value.trim()) wanted.name = at("note").value.trim();
    if (at("expires").value.trim()) wanted.expires_at = at("expires").value.trim();
    const models = at("models").value.split(/[\s,]+/).filter(Boolean);
    if (models.length) wanted.restrictions = { models };
    const made = await ask("admin/v1/keys", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(wanted),
    });
    showMade(made);
    at("new-key").reset();
    await load("keys", "tenants");
  });
}

at("credential").addEventListener("submit", enter);
at("new-key").addEventListener("submit", createKey);
at("export").addEventListener("submit", exportLog);
at("stage").addEventListener("submit", planRetention);
at("stage").addEventListener("input", hidePlan);
at("set").addEventListener("click", setRetention);
at("leave").addEventListener("click", () => location.reload());
