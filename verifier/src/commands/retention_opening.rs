//! `retention-opening`: what finds one tenant's rules in a service's retention policy, which shows commitments in place
//! of names. The API key is sent only once the service's evidence was accepted, on that connection.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use clap::Args;
use http::header::{AUTHORIZATION, HeaderValue};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::endpoint::supply_collateral;
use crate::args::{OutputArgs, TrustArgs};
use crate::collateral::FetchArgs;
use crate::conclusion::{Conclusion, print};
use crate::failure::Failure;
use crate::inputs;
use crate::qualified_verdict::{PolicyOrigin, QualifiedVerdict};
use crate::trust_inputs::TrustInputs;
use attest_channel::{AttestedConnection, ChannelError, Dialer, Origin, Timeouts, Trust};
use attest_core::log::Salt;
use attest_core::retention::{PublishedPolicy, Unopened};
use attest_core::{Sha256Digest, TrustedPeer, json, parse_hex, to_hex};

const PATH: &str = "/v1/sealgate/retention/opening";
const MAX_ANSWER: usize = 64 << 10;
const MAX_KEY: usize = 4 << 10;

#[derive(Debug, Args)]
pub struct RetentionOpeningArgs {
    /// The service, as https://host[:port]
    pub url: String,
    /// File with the API key of the tenant; "-" reads standard input
    #[arg(long, value_name = "FILE")]
    pub api_key: PathBuf,
    #[command(flatten)]
    pub trust: TrustArgs,
    #[command(flatten)]
    pub fetch: FetchArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// The service's answer.
#[derive(Debug, Deserialize)]
struct Answer {
    policy: String,
    tenant: String,
    named: bool,
    salt: Option<String>,
    #[serde(default)]
    recipients: Vec<AnswerRecipient>,
}

#[derive(Debug, Deserialize)]
struct AnswerRecipient {
    recipient: String,
    commitment: String,
}

pub async fn run(args: RetentionOpeningArgs) -> Result<u8, Failure> {
    let mut trust = TrustInputs::from_args(&args.trust)?;
    if trust.policy_origin == PolicyOrigin::Absent {
        return Err(Failure::Usage(
            "an API key is sent to no service that was not verified; give --policy".to_owned(),
        ));
    }
    let authorization = authorization(&args)?;
    let connection = match connect(&args, &mut trust).await {
        Ok(connection) => connection,
        Err(Refused::Verdict(verdict)) => {
            let qualified = QualifiedVerdict {
                verdict: &verdict,
                policy: trust.policy_origin,
                subject: &args.url,
            };
            let conclusion = Conclusion {
                qualified,
                form: args.output.form(),
                draft_policy: false,
            };
            return Ok(conclusion.print());
        }
        Err(Refused::Failure(failure)) => return Err(failure),
    };
    let peer = Arc::clone(connection.peer());
    let bytes = fetch(&args.url, connection, authorization).await?;
    let policy = shown(&args.url, &peer)?;
    print(&lines(&args.url, &bytes, &policy)?);
    Ok(crate::failure::exit::ACCEPTED)
}

enum Refused {
    Verdict(Arc<attest_core::Verdict>),
    Failure(Failure),
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

/// The limits for one tenant are left out of the policy: they can only be checked with what is about to be fetched, and
/// no prompt is sent.
async fn connect(
    args: &RetentionOpeningArgs,
    trust: &mut TrustInputs,
) -> Result<AttestedConnection, Refused> {
    let url = &args.url;
    let origin = Origin::parse(url).map_err(|e| Failure::Usage(format!("{url}: {e}")))?;
    let unreachable = |e: ChannelError| Failure::Unreachable(format!("{url}: {e}"));
    let mut connection = Dialer::new(Timeouts::default())
        .dial(&origin)
        .await
        .map_err(unreachable)?;
    if let Some(services) = args.fetch.services() {
        let nonce = inputs::fresh_nonce()?;
        let report = connection.fetch_report(&nonce).await.map_err(unreachable)?;
        supply_collateral(trust, &report, services).await?;
    }
    let accepted = Arc::new(Trust {
        roots: trust.roots.clone(),
        policy: trust.policy.clone().without_tenant_limits(),
        collateral: trust.collateral.clone(),
    });
    if args.trust.at.is_none() {
        trust.now = inputs::time(None)?;
    }
    let nonce = inputs::fresh_nonce()?;
    match connection.verify(&accepted, nonce, trust.now).await {
        Ok(connection) => Ok(connection),
        Err(ChannelError::Rejected(verdict)) => Err(Refused::Verdict(verdict)),
        Err(error) => Err(unreachable(error).into()),
    }
}

fn authorization(args: &RetentionOpeningArgs) -> Result<HeaderValue, Failure> {
    let name = args.api_key.display().to_string();
    let bytes = Zeroizing::new(inputs::read(&args.api_key, MAX_KEY)?);
    let key = bytes.trim_ascii();
    let field = Zeroizing::new([b"Bearer ", key].concat());
    let mut value = HeaderValue::from_bytes(&field)
        .ok()
        .filter(|_| !key.is_empty() && key.is_ascii())
        .ok_or_else(|| Failure::malformed(name, "no API key"))?;
    value.set_sensitive(true);
    Ok(value)
}

async fn fetch(
    url: &str,
    connection: AttestedConnection,
    authorization: HeaderValue,
) -> Result<Bytes, Failure> {
    let unreachable = |e: &dyn std::fmt::Display| Failure::Unreachable(format!("{url}{PATH}: {e}"));
    let mut request = Request::new(Bytes::new());
    *request.uri_mut() = http::Uri::from_static(PATH);
    request.headers_mut().insert(AUTHORIZATION, authorization);
    let response = connection.into_lease().send(request).await;
    let response = response.map_err(|e| unreachable(&e))?;
    match response.status() {
        StatusCode::OK => {}
        StatusCode::UNAUTHORIZED => return Err(unreachable(&"the API key is not accepted")),
        status => return Err(unreachable(&format!("status {}", status.as_u16()))),
    }
    let body = Limited::new(response.into_body(), MAX_ANSWER)
        .collect()
        .await;
    Ok(body.map_err(|e| unreachable(&e))?.to_bytes())
}

/// The retention policy that the evidence binds.
fn shown(url: &str, peer: &TrustedPeer) -> Result<PublishedPolicy, Failure> {
    let text = peer.documents().get("retention");
    let bound = peer.subject().map(|subject| subject.retention);
    let malformed = |cause: &dyn std::fmt::Display| {
        Failure::malformed(format!("{url}: its retention policy"), cause)
    };
    let text = text.ok_or_else(|| malformed(&"is not in the report"))?;
    if bound != Some(Sha256Digest::hash(text.as_bytes())) {
        return Err(malformed(&"is not the one that its evidence binds"));
    }
    PublishedPolicy::parse(text).map_err(|e| malformed(&e))
}

/// Lines for a policy's `[retention]`, and as comments what they are worth.
fn lines(url: &str, bytes: &[u8], policy: &PublishedPolicy) -> Result<String, Failure> {
    let malformed = |cause: String| Failure::malformed(format!("{url}{PATH}"), cause);
    let value = json::parse(bytes, MAX_ANSWER).map_err(|e| malformed(e.to_string()))?;
    let answer: Answer = serde_json::from_value(value).map_err(|e| malformed(e.to_string()))?;
    if answer.policy != policy.digest().to_string() {
        let other = answer.policy;
        return Err(malformed(format!(
            "is about the policy {other}, not the one in the report"
        )));
    }
    let salt: Option<Salt> = match &answer.salt {
        Some(hex) => Some(parse_hex(hex).map_err(|e| malformed(format!("salt: {e}")))?),
        None => None,
    };
    let tenant = &answer.tenant;
    let found = match policy.tenant(tenant, salt.as_ref()) {
        Ok(found) => {
            let most = policy.most_for(&found, None);
            format!("of this tenant's requests it keeps: {most} at most\n")
        }
        Err(Unopened::NoMatch) if !answer.named => format!(
            "the service answers that no rule names this tenant, which an opening cannot prove:\n\
             # the most that it keeps of any tenant's requests counts: {}\n",
            policy.most()
        ),
        Err(reason) => return Err(malformed(format!("does not fit the policy: {reason}"))),
    };
    let mut text = format!("# retention policy {}\n# {found}", policy.digest());
    for AnswerRecipient {
        recipient,
        commitment,
    } in &answer.recipients
    {
        text.push_str(&format!(
            "# sealed to {} ({})\n",
            printable(recipient),
            printable(commitment)
        ));
    }
    text.push_str(&format!("tenant = {tenant:?}\n"));
    if let Some(salt) = &salt {
        text.push_str(&format!("tenant_salt = \"{}\"\n", to_hex(salt)));
    }
    Ok(text)
}

/// A service's text in a comment: one line of printable characters.
fn printable(text: &str) -> String {
    text.chars().filter(char::is_ascii_graphic).collect()
}
