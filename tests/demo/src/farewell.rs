//! Prints what to try while the processes run.

use crate::say;
use crate::stage::{MODEL, Stage};

pub fn print(stage: &Stage) {
    let programs = std::env::current_exe()
        .ok()
        .and_then(|own| own.parent().map(|folder| folder.display().to_string()))
        .unwrap_or_default();
    let home = stage.path().display();
    let gateway = stage.gateway.url();
    let (proxy, key) = (&stage.proxy_url, &stage.key);
    say::section("Everything stays up until Ctrl-C. Try it:");
    println!(
        r#"
# Judge the gateway, and keep its certificate
export PATH="{programs}:$PATH"
cd {home}
sealgate-verify endpoint {gateway} --policy gateway-policy.toml --roots roots --save-cert gateway.pem

# Ask it directly, trusting exactly the certificate that was just verified
curl --cacert {home}/gateway.pem {gateway}/v1/chat/completions \
  -H "Authorization: Bearer {key}" -H "Content-Type: application/json" \
  -d '{{"model": "{MODEL}", "messages": [{{"role": "user", "content": "Hello"}}]}}'

# The OpenAI SDK, unchanged, through the verifying proxy
from openai import OpenAI
client = OpenAI(base_url="{proxy}", api_key="{key}")
print(client.chat.completions.create(model="{MODEL}", messages=[{{"role": "user", "content": "Hello"}}]).choices[0].message.content)

# Keep a report that was made for a nonce of your own, look into it, and judge it again, offline
NONCE=$(openssl rand -hex 32)
curl -sS --cacert {home}/gateway.pem "{gateway}/v1/aci/attestation?nonce=$NONCE&collateral=1" -o {home}/saved.json
sealgate-verify inspect {home}/saved.json
sealgate-verify report {home}/saved.json --nonce $NONCE --policy {home}/gateway-policy.toml --roots {home}/roots
"#
    );
}
