//! A gateway on the software platform, in this process, as the enclave behind an aggregator.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};

use attest_collect::Attester;
use attest_core::Collateral;
use gateway_base::config::Config;
use gateway_contract::platform::EvidenceRef;
use gateway_contract::platform::Platform;
use gateway_contract::rotation::Reload;
use gateway_path::admit::ApiToken;
use gateway_store::ledger::{Ledger, NewKey};
use testkit::client::TlsClient;
use testkit::scratch::ScratchDir;
use testkit::{SoftwarePlatform, TdMeasurements};

const SEED: [u8; 32] = [5; 32];

/// The platform every enclave of these tests runs on, running the image of this name.
pub fn running(image: &str) -> SoftwarePlatform {
    SoftwarePlatform::from_seed(&SEED, super::now()).running(TdMeasurements::named(image))
}

struct Software(SoftwarePlatform);

impl Platform for Software {
    fn attester(&self) -> Option<Arc<dyn Attester>> {
        Some(Arc::new(self.0.clone()))
    }

    fn collateral<'a>(&'a self, _: EvidenceRef<'a>) -> BoxFuture<'a, Collateral> {
        Box::pin(async { self.0.collateral() })
    }
}

/// A whole gateway in `direct` mode, serving `served` from a loopback engine.
pub struct Enclave {
    pub address: SocketAddr,
    /// The credential the aggregator presents to it.
    pub key: String,
    stop: Option<oneshot::Sender<()>>,
    requests: mpsc::Sender<Reload>,
    _task: tokio::task::JoinHandle<()>,
    _directory: ScratchDir,
}

impl Enclave {
    pub async fn start(platform: SoftwarePlatform, engine: &str) -> Self {
        let directory = ScratchDir::new("enclave").expect("a directory");
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nnames = [\"localhost\", \"127.0.0.1\"]\nstate_dir = \"state\"\nmode = \"direct\"\n\
             [tee]\nkind = \"tdx\"\n[[model]]\nid = \"served\"\nconfidential = true\n[[model.upstream]]\nname = \"engine\"\nurl = \"{engine}\"\n"
        );
        let file = directory.write("sealgate.toml", text).expect("a file");
        let key = create_key(&file).await;
        let (stop, stopped) = oneshot::channel::<()>();
        let (ready, address) = oneshot::channel();
        let (requests, reload) = mpsc::channel(1);
        let task = tokio::spawn(async move {
            let controls = sealgate::Controls {
                shutdown: Box::pin(async move { drop(stopped.await) }),
                reload,
                ready: Box::new(move |address| {
                    let _ = ready.send(address);
                }),
            };
            sealgate::serve_with(&file, Arc::new(Software(platform)), controls)
                .await
                .expect("it serves");
        });
        let address = address.await.expect("it is ready");
        Self {
            address,
            key,
            stop: Some(stop),
            requests,
            _task: task,
            _directory: directory,
        }
    }

    /// Begins a new epoch, whose keys replace the old ones.
    pub async fn begin_new_epoch(&self) {
        let key = async || {
            let connection = TlsClient::observing()
                .connect(self.address)
                .await
                .expect("a connection");
            connection.spki_sha256()
        };
        let before = key().await;
        self.requests.send(Reload).await.expect("it runs");
        super::eventually("a new key", async || key().await != before).await;
        // Connections of the old epoch are closed at the same moment; this lets their other ends see it.
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }

    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }
}

impl Drop for Enclave {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }
}

async fn create_key(file: &Path) -> String {
    let config = Config::load(file).unwrap_or_else(|error| panic!("{error}"));
    let ledger = Ledger::open_for_keys(&config.server.state_dir)
        .await
        .expect("a ledger");
    let (id, token) = ApiToken::generate().expect("randomness");
    let key = NewKey {
        id: id.to_string(),
        tenant: config.models[0].id.clone(),
        user: None,
        name: None,
        digest: token.digest(),
        created_at: super::now(),
        expires_at: None,
        restrictions: gateway_base::request::Restrictions::default(),
    };
    ledger.keys().add(key).await.expect("a new key");
    ledger.close().await;
    token.expose().to_owned()
}
