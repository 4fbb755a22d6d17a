// An OpenID provider as published, with one client. Arguments: port, file with its private keys (made if it is missing).
//
// A token is requested for the resource `https://sealgate.example/AUDIENCE/ALGORITHM/SECONDS`.

import { existsSync, readFileSync, writeFileSync } from "node:fs";

import { exportJWK, generateKeyPair } from "jose";
import Provider from "oidc-provider";

const [port, file] = process.argv.slice(2);
const ALGORITHMS = ["RS256", "PS256", "ES256", "ES384", "EdDSA"];

if (!existsSync(file)) {
  const keys = [];
  for (const alg of ALGORITHMS) {
    const { privateKey } = await generateKeyPair(alg, { extractable: true });
    keys.push({ ...(await exportJWK(privateKey)), alg, use: "sig", kid: `${alg}-${Date.now()}` });
  }
  writeFileSync(file, JSON.stringify({ keys }), { mode: 0o600 });
}

const provider = new Provider(`http://127.0.0.1:${port}`, {
  jwks: JSON.parse(readFileSync(file)),
  clients: ["service", "other-service"].map((id) => ({
    client_id: id,
    client_secret: "a-secret-of-the-tests",
    grant_types: ["client_credentials"],
    response_types: [],
    redirect_uris: [],
  })),
  cookies: { keys: ["a-cookie-key-of-the-tests"] },
  extraTokenClaims: () => ({ org: "acme", realm: { roles: ["sealgate-auditors"] } }),
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo(_, resource) {
        const [audience, alg, seconds] = new URL(resource).pathname.slice(1).split("/");
        return {
          scope: "inference",
          audience,
          accessTokenTTL: Number(seconds),
          accessTokenFormat: "jwt",
          jwt: { sign: { alg } },
        };
      },
    },
  },
  enabledJWA: { idTokenSigningAlgValues: ALGORITHMS },
});
provider.listen(Number(port), "127.0.0.1");
