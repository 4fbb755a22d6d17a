// The same service without a browser: its TLS key as it was verified, its admin API, its gateway.

import { createHash, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import https from "node:https";

import { ADMIN_URL, API_KEY, GATEWAY_URL, VIEWER } from "./tests.mjs";

// `sealgate-verify endpoint` saved it when it had accepted the address.
const certificate = readFileSync(process.env.CERTIFICATE);
const spki = new X509Certificate(certificate).publicKey.export({ type: "spki", format: "der" });

/** SHA-256 of the TLS key that was verified. */
export const verifiedKey = createHash("sha256").update(spki).digest();

/** Status and JSON of one request, on a connection to that key. */
export function ask(url, { method = "GET", key, body } = {}) {
  const headers = { ...(key && { authorization: `Bearer ${key}` }), ...(body && { "content-type": "application/json" }) };
  return new Promise((resolve, reject) => {
    const request = https.request(url, { method, headers, ca: certificate, agent: false, timeout: 30_000 }, (response) => {
      let text = "";
      response.on("data", (piece) => (text += piece));
      response.on("end", () => resolve({ status: response.statusCode, body: text ? JSON.parse(text) : null }));
    });
    request.on("error", reject);
    request.end(body && JSON.stringify(body));
  });
}

export const admin = async (path, key = VIEWER) => (await ask(`${ADMIN_URL}/admin/v1/${path}`, { key })).body;

/** Whether the gateway answers a chat with this key. */
export async function chat(key = API_KEY) {
  const body = { model: "demo-model", messages: [{ role: "user", content: "What is an enclave?" }] };
  return (await ask(`${GATEWAY_URL}/chat/completions`, { method: "POST", key, body })).status;
}
