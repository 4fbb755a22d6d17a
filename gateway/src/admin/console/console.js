"use strict";

// The admin key lives here and nowhere else: closing or reloading the page forgets it.
let key = null;
let role = null;

const RANK = { "read-only": 0, auditor: 1, operator: 2 };
const at = (id) => document.getElementById(id);
const may = (needed) => RANK[role] >= RANK[needed];

/** Asks the admin API; what it refuses becomes an Error in its own words. */
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
    ["version", status.version],
  ]);
}

async function showAttested() {
  try {
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
  } catch (error) {
    facts("attested-facts", [["report", error.message, "bad"]]);
  }
}

async function showUpstreams() {
  const { upstreams } = await ask("admin/v1/upstreams");
  table(
    "upstreams-table",
    [
      ["name", (row) => row.name],
      ["verdict", (row) => make("span", row.verified ? "verified" : "not verified", row.verified ? "good" : "bad")],
      ["session", (row) => row.sessions.map((session) => session.session_id).join(" "), "code"],
      ["last failure", (row) => row.last_failure, "code"],
    ],
    upstreams,
    "No enclaves are configured behind this service.",
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
    "Nothing was asked.",
  );
}

async function showKeys() {
  at("keys").hidden = !may("auditor");
  at("new-key").hidden = !may("operator");
  if (!may("auditor")) return;
  const { keys } = await ask("admin/v1/keys");
  const revoker = (row) => {
    if (row.revoked_at) return make("span", `revoked ${row.revoked_at}`, "none");
    if (!may("operator")) return make("span", "active", "good");
    const button = make("button", "Revoke");
    button.type = "button";
    button.addEventListener("click", () =>
      guarded(async () => {
        if (!window.confirm(`Revoke key ${row.id} of ${row.tenant}? This cannot be undone.`)) return;
        await ask(`admin/v1/keys/${encodeURIComponent(row.id)}`, { method: "DELETE" });
        await showKeys();
      }),
    );
    return button;
  };
  table(
    "keys-table",
    [
      ["id", (row) => row.id, "code"],
      ["tenant", (row) => row.tenant],
      ["name", (row) => row.name],
      ["created", (row) => row.created_at],
      ["state", revoker],
    ],
    keys,
    "There are no API keys yet.",
  );
}

function say(message) {
  at("trouble").hidden = !message;
  at("trouble").textContent = message || "";
}

/** Runs something an administrator asked for, and shows why it failed. */
async function guarded(work) {
  say("");
  try {
    await work();
  } catch (error) {
    say(error.message);
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
    for (const show of [showEpoch, showAttested, showUpstreams, showUsage, showKeys]) await show();
  });
}

async function createKey(event) {
  event.preventDefault();
  await guarded(async () => {
    const wanted = { tenant: at("tenant").value.trim() };
    if (at("note").value.trim()) wanted.name = at("note").value.trim();
    const made = await ask("admin/v1/keys", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(wanted),
    });
    at("made").hidden = false;
    at("made").textContent = `Key for ${made.tenant}, shown only this once: ${made.key}`;
    at("new-key").reset();
    await showKeys();
  });
}

at("credential").addEventListener("submit", enter);
at("new-key").addEventListener("submit", createKey);
at("leave").addEventListener("click", () => location.reload());
