//! What the test service answers.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::stream;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;

use super::{Behaviour, Epoch, State};
use attest_core::{Event, Nonce, ReceiptBody, SessionId, Sha256Digest, SigningKey};

type Body = BoxBody<Bytes, std::io::Error>;

static IDS: AtomicUsize = AtomicUsize::new(0);

pub async fn answer(
    state: Arc<State>,
    turn: usize,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let epoch = state.replica(turn);
    let line = format!("{} {}", request.method(), request.uri().path());
    state.requests.lock().unwrap().push(line);
    let path = request.uri().path().to_owned();
    let digest = epoch.keyset.digest().to_string();
    let asked = request.headers().get("x-aci-keyset-digest").cloned();
    let mut response = if asked.is_some_and(|asked| asked != digest.as_str()) {
        full(
            StatusCode::PRECONDITION_FAILED,
            r#"{"error":{"type":"precondition_failed"}}"#,
        )
    } else if path == "/v1/aci/attestation" {
        report(&state, &epoch, request.uri().query())
    } else if let Some(id) = path.strip_prefix("/v1/aci/receipts/") {
        receipt(&state, id, request.headers().get(AUTHORIZATION))
    } else if path == "/v1/chat/completions" {
        chat(&state, epoch, request).await
    } else {
        let (status, models) = state.models.lock().unwrap().clone();
        full(StatusCode::from_u16(status).unwrap(), &models)
    };
    response.headers_mut().insert(
        "x-aci-keyset-digest",
        HeaderValue::from_str(&digest).unwrap(),
    );
    Ok(response)
}

fn full(status: StatusCode, body: &str) -> Response<Body> {
    let body = Full::new(Bytes::from(body.to_owned()))
        .map_err(|never| match never {})
        .boxed();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

fn report(state: &State, epoch: &Epoch, query: Option<&str>) -> Response<Body> {
    let nonce = query
        .unwrap_or_default()
        .split('&')
        .find_map(|pair| pair.strip_prefix("nonce="))
        .and_then(|hex| Nonce::parse(hex).ok());
    let serving = *state.serving.lock().unwrap();
    let report = epoch.report_of(&state.platform, nonce, serving);
    full(StatusCode::OK, &report)
}

fn receipt(state: &State, id: &str, credential: Option<&HeaderValue>) -> Response<Body> {
    let credential = credential.map(|v| v.to_str().unwrap().to_owned());
    match state.receipts.lock().unwrap().get(id) {
        Some((text, owner)) if *owner == credential => full(StatusCode::OK, text),
        _ => full(StatusCode::NOT_FOUND, r#"{"error":{"type":"not_found"}}"#),
    }
}

/// A response under way, and what its receipt will need.
struct Exchange {
    state: Arc<State>,
    epoch: Arc<Epoch>,
    id: String,
    owner: Option<String>,
    request: Bytes,
    response: Vec<u8>,
}

async fn chat(state: &Arc<State>, epoch: Arc<Epoch>, request: Request<Incoming>) -> Response<Body> {
    let owner = request
        .headers()
        .get(AUTHORIZATION)
        .map(|v| v.to_str().unwrap().to_owned());
    let prompt = request.into_body().collect().await.unwrap().to_bytes();
    state.prompts.lock().unwrap().push(prompt.clone());
    let id = format!("rcpt-{}", IDS.fetch_add(1, Ordering::SeqCst));
    let behaviour = *state.behaviour.lock().unwrap();
    let mut exchange = Exchange {
        state: Arc::clone(state),
        epoch,
        id: id.clone(),
        owner,
        request: prompt,
        response: Vec::new(),
    };
    let steps = state.steps.lock().unwrap().take();
    let mut response = match steps {
        Some(steps) => Response::new(stepping(exchange, steps)),
        None if behaviour == Behaviour::BreaksOff => Response::new(broken()),
        None => {
            let body = r#"{"id":"chatcmpl-1","choices":[{"message":{"content":"hello"}}]}"#;
            exchange.response.extend_from_slice(body.as_bytes());
            exchange.sign();
            full(StatusCode::OK, body)
        }
    };
    if behaviour != Behaviour::Unnamed {
        response
            .headers_mut()
            .insert("x-receipt-id", HeaderValue::from_str(&id).unwrap());
    }
    response
}

fn stepping(exchange: Exchange, steps: tokio::sync::mpsc::Receiver<Bytes>) -> Body {
    let frames = stream::unfold((exchange, steps), |(mut exchange, mut steps)| async move {
        match steps.recv().await {
            Some(piece) => {
                exchange.response.extend_from_slice(&piece);
                Some((Ok(Frame::data(piece)), (exchange, steps)))
            }
            None => {
                exchange.sign();
                None
            }
        }
    });
    BodyExt::boxed(StreamBody::new(Box::pin(frames)))
}

fn broken() -> Body {
    let frames = stream::unfold(0, |step| async move {
        // The head and the first bytes get out before the rest does not.
        tokio::time::sleep(std::time::Duration::from_millis(50 * step)).await;
        match step {
            0 => Some((Ok(Frame::data(Bytes::from_static(b"{\"id\":"))), 1)),
            _ => Some((Err(std::io::Error::other("broken off")), 2)),
        }
    });
    BodyExt::boxed(StreamBody::new(Box::pin(frames)))
}

impl Exchange {
    fn sign(&self) {
        let behaviour = *self.state.behaviour.lock().unwrap();
        let request = match behaviour {
            Behaviour::OtherRequest => Sha256Digest::hash(b"another request"),
            _ => Sha256Digest::hash(&self.request),
        };
        let response = match behaviour {
            Behaviour::OtherResponse => Sha256Digest::hash(b"another response"),
            _ => Sha256Digest::hash(&self.response),
        };
        let other = Sha256Digest::hash(b"another keyset");
        let mut receipt = ReceiptBody {
            receipt_id: self.id.clone(),
            chat_id: None,
            model: Some("demo-model".to_owned()),
            keyset_digest: self.epoch.keyset.digest(),
            endpoint: "/v1/chat/completions".to_owned(),
            method: "POST".to_owned(),
            served_at: super::now(),
            events: vec![
                Event::RequestReceived { body_hash: request },
                Event::RequestForwarded { body_hash: request },
                Event::ResponseReturned {
                    body_hash: response,
                },
            ],
        };
        let upstream = match behaviour {
            Behaviour::UnverifiedUpstream => Some(Event::UpstreamFailed {
                required: false,
                model_id: "m".to_owned(),
                reason: "no attestation".to_owned(),
                upstream_name: None,
            }),
            Behaviour::VerifiedUpstream => Some(Event::UpstreamVerified {
                required: true,
                model_id: "m".to_owned(),
                session_id: SessionId::parse(&"5a".repeat(32)).unwrap(),
            }),
            _ => None,
        };
        if let Some(event) = upstream {
            receipt.events.insert(1, event);
        }
        match behaviour {
            Behaviour::OtherId => receipt.receipt_id = "rcpt-other".to_owned(),
            Behaviour::OtherEndpoint => receipt.endpoint = "/v1/embeddings".to_owned(),
            Behaviour::OtherKeyset => receipt.keyset_digest = other,
            Behaviour::ServedLate => receipt.served_at = self.epoch.keyset.not_after,
            _ => {}
        }
        let other_key = SigningKey::from_seed("receipt-1", &[0x77; 32]).unwrap();
        let key = match behaviour {
            Behaviour::OtherKey => &other_key,
            _ => &self.epoch.signing_key,
        };
        let text = receipt.sign(key).to_json();
        let text = match behaviour {
            Behaviour::Edited => text.replace("demo-model", "best-model"),
            _ => text,
        };
        if behaviour != Behaviour::Withheld {
            let entry = (text, self.owner.clone());
            self.state
                .receipts
                .lock()
                .unwrap()
                .insert(self.id.clone(), entry);
        }
    }
}
