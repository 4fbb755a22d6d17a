//! What a request's receipt and usage row cost, by the number of rows in the ledger.
//!
//! `cargo test --release -p gateway-store --lib cost_tests -- --ignored --nocapture`

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ring::rand::{SecureRandom, SystemRandom};
use rustix::time::{ClockId, clock_gettime};

use super::row_queue::RowQueue;
use super::schema::LEDGER;
use super::writer::{Writer, Writing};
use super::{ReceiptRow, connect};
use crate::audit::AuditLog;
use crate::sqlite::StoreHealth;
use attest_core::UnixTime;
use attest_core::retention::Field;
use gateway_base::events::LedgerWork;
use gateway_base::metering::{Outcome, RowRetention, TokenDetails, TokenSource, UsageRow};
use gateway_base::request::{Endpoint, Labels, Name};
use testkit::scratch::ScratchDir;

/// Requests between two moves to the tables.
const AT_ONCE: usize = 20_000;
/// Requests of a tick, 10,000 a second.
const IN_A_TICK: usize = 2_500;
const SIZES: [usize; 3] = [0, 200_000, 1_000_000];

/// CPU time of the process: nothing else runs in it.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

struct Requests {
    random: SystemRandom,
    made: u64,
    receipts: Vec<ReceiptRow>,
    usage: Vec<UsageRow>,
    retention: RowRetention,
}

impl Requests {
    fn hex<const N: usize>(&self) -> String {
        let mut bytes = [0; N];
        self.random.fill(&mut bytes).expect("random bytes");
        attest_core::to_hex(&bytes)
    }

    /// As many as are served in a tick.
    fn make(&mut self) {
        let name = |text: &str| Name::from_operator(text).expect("a name");
        self.receipts.clear();
        self.usage.clear();
        for _ in 0..IN_A_TICK {
            self.made += 1;
            let millis = 1_800_000_000_000 + self.made / 10;
            let id = format!("rcpt-{millis:012x}{}", self.hex::<10>());
            let at = UnixTime::from_secs(millis / 1000);
            self.receipts.push(ReceiptRow {
                receipt_id: id.clone(),
                chat_id: Some(format!("chatcmpl-{}", self.hex::<12>())),
                key_digest: [1; 32],
                json: Bytes::from(self.hex::<425>()),
                served_at: at,
            });
            self.usage.push(UsageRow {
                at,
                receipt_id: id,
                key_id: Arc::from("00112233"),
                tenant: name(["acme", "bank", "clinic"][self.made as usize % 3]),
                organisation: None,
                user: None,
                labels: Labels::default(),
                model: Some(name("demo-model")),
                upstream: Some(name("engine")),
                endpoint: Endpoint::Chat,
                stream: false,
                status: 200,
                prompt_tokens: Some(self.made % 1000),
                completion_tokens: Some(self.made % 300),
                token_details: TokenDetails::default(),
                cost: None,
                latency: Duration::from_micros(1500),
                first_byte: Some(Duration::from_micros(1200)),
                bytes_in: 600,
                bytes_out: 1000,
                outcome: Outcome::Completed,
                token_source: TokenSource::Reported,
                cause: None,
            });
        }
    }
}

/// Hands over, makes durable and moves the rows of some requests. Returns what each step took for one.
async fn serve(requests: &mut Requests, queue: &RowQueue, writing: &mut Writing) -> [Duration; 3] {
    let mut took = [Duration::ZERO; 3];
    for _ in 0..AT_ONCE / IN_A_TICK {
        requests.make();
        let began = cpu();
        for (receipt, usage) in requests.receipts.iter().zip(&requests.usage) {
            let until = receipt.served_at.plus(Duration::from_secs(30 * 86_400));
            queue.push_receipt(receipt, until).expect("room");
            queue.push_usage(usage, &requests.retention).expect("room");
        }
        took[0] += cpu() - began;
        let began = cpu();
        writing.store(&queue.seal()).await.expect("stored");
        took[1] += cpu() - began;
    }
    let began = cpu();
    while !queue.stored_batches().is_empty() {
        writing.unpack_stored().await.expect("moved");
    }
    took[2] += cpu() - began;
    took.map(|took| took / AT_ONCE as u32)
}

#[tokio::test]
#[ignore = "a measurement"]
async fn of_a_request_by_the_size_of_the_ledger() {
    let scratch = ScratchDir::new("row-cost").expect("a directory");
    let file = LEDGER.create(scratch.path()).expect("a file");
    connect(&file).await.expect("a schema").close().await;
    let audit = AuditLog::open(scratch.path()).await.expect("a log");
    let queue = Arc::new(RowQueue::new(usize::MAX));
    let mut writing = Writing::new(Writer {
        file,
        queue: queue.clone(),
        health: Arc::new(StoreHealth::new(LedgerWork::Commit)),
        losses: audit.losses(),
        stop_timeout: Duration::ZERO,
    });
    audit.close().await;
    let mut requests = Requests {
        random: SystemRandom::new(),
        made: 0,
        receipts: Vec::new(),
        usage: Vec::new(),
        retention: RowRetention {
            expires_at: UnixTime::from_secs(1_900_000_000),
            fields: Field::ALL.into(),
            replaces: None,
        },
    };
    println!("requests in the ledger | hand-over | durable | moved to the tables");
    for size in SIZES {
        let began = Instant::now();
        while requests.made < size as u64 {
            serve(&mut requests, &queue, &mut writing).await;
        }
        let filled = began.elapsed();
        let mut rounds = Vec::new();
        for _ in 0..5 {
            rounds.push(serve(&mut requests, &queue, &mut writing).await);
        }
        let least = [0, 1, 2].map(|step| rounds.iter().map(|round| round[step]).min());
        let micros = least.map(|took| took.unwrap_or_default().as_secs_f64() * 1e6);
        let [handed, durable, moved] = micros;
        println!(
            "{size:9} | {handed:.2} µs | {durable:.2} µs | {moved:.2} µs ({filled:?} to fill)"
        );
    }
}
