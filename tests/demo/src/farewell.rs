//! What to try while everything is still up.

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
# Judge the gateway, and keep its certificate and report
export PATH="{programs}:$PATH"
cd {home}
sealgate-verify endpoint {gateway} --policy gateway-policy.toml --roots roots --save-cert gateway.pem --save-report now.json

# Ask it directly, trusting exactly the certificate that was just verified
curl --cacert {home}/gateway.pem {gateway}/v1/chat/completions \
  -H "Authorization: Bearer {key}" -H "Content-Type: application/json" \
  -d '{{"model": "{MODEL}", "messages": [{{"role": "user", "content": "Hello"}}]}}'

# The OpenAI SDK, unchanged, through the verifying proxy
from openai import OpenAI
client = OpenAI(base_url="{proxy}", api_key="{key}")
print(client.chat.completions.create(model="{MODEL}", messages=[{{"role": "user", "content": "Hello"}}]).choices[0].message.content)

# Look at the evidence itself, and judge the saved report again, offline
sealgate-verify inspect {home}/now.json
sealgate-verify report {home}/now.json --policy {home}/gateway-policy.toml --roots {home}/roots
"#
    );
}
