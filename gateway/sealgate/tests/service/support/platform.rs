//! Platforms that count their requests and wait as a test requires. Their evidence is not genuine and is not verified here.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use futures_util::future::BoxFuture;

use attest_collect::{Attester, CollectError, DeviceAttester, DeviceError};
use attest_core::nvidia::{DeviceKind, UnverifiedDevice};
use attest_core::{Collateral, CpuEvidence, ReportData, TdxCollateral, TeeType};
use gateway_contract::platform::EvidenceRef;
use gateway_contract::platform::Platform;

pub struct NoTee;

impl Platform for NoTee {
    fn attester(&self) -> Option<Arc<dyn Attester>> {
        None
    }

    fn collateral<'a>(&'a self, _: EvidenceRef<'a>) -> BoxFuture<'a, Collateral> {
        Box::pin(async { Collateral::default() })
    }
}

/// "Signs" by repeating the report data, once the gate is open.
#[derive(Default)]
pub struct Counting {
    pub attested: AtomicUsize,
    pub at_once: AtomicUsize,
    pub most_at_once: AtomicUsize,
    pub collateral_fetched: AtomicUsize,
    /// Whether its GPUs answer.
    pub gpus_are_lost: AtomicBool,
    shut: Mutex<bool>,
    opened: Condvar,
}

impl Counting {
    pub fn shut(&self) {
        *self.shut.lock().expect("no panic") = true;
    }

    pub fn open(&self) {
        *self.shut.lock().expect("no panic") = false;
        self.opened.notify_all();
    }
}

pub struct CountingPlatform(pub Arc<Counting>);

impl Platform for CountingPlatform {
    fn attester(&self) -> Option<Arc<dyn Attester>> {
        Some(self.0.clone())
    }

    fn devices(&self) -> Option<Arc<dyn DeviceAttester>> {
        Some(self.0.clone())
    }

    fn collateral<'a>(&'a self, _: EvidenceRef<'a>) -> BoxFuture<'a, Collateral> {
        self.0.collateral_fetched.fetch_add(1, Ordering::SeqCst);
        let tdx = TdxCollateral {
            pck_crl_issuer_chain: "a".into(),
            root_ca_crl: vec![1],
            pck_crl: vec![2],
            tcb_info_issuer_chain: "b".into(),
            tcb_info: "{}".into(),
            tcb_info_signature: [0; 64],
            qe_identity_issuer_chain: "c".into(),
            qe_identity: "{}".into(),
            qe_identity_signature: [0; 64],
        };
        Box::pin(async { Collateral::from(tdx) })
    }
}

/// A GPU "signs" by repeating the nonce.
impl DeviceAttester for Counting {
    fn attest_devices(&self, gpu_nonce: &[u8; 32]) -> Result<Vec<UnverifiedDevice>, DeviceError> {
        if self.gpus_are_lost.load(Ordering::SeqCst) {
            let why = "lost".to_owned();
            return Err(DeviceError::Unavailable { why });
        }
        Ok(vec![UnverifiedDevice {
            kind: DeviceKind::Gpu,
            evidence: gpu_nonce.to_vec(),
            certificate_chain: b"chain".to_vec(),
        }])
    }
}

impl Attester for Counting {
    fn tee_type(&self) -> TeeType {
        TeeType::Tdx
    }

    fn attest(&self, data: &ReportData) -> Result<CpuEvidence, CollectError> {
        self.attested.fetch_add(1, Ordering::SeqCst);
        let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(now, Ordering::SeqCst);
        let mut shut = self.shut.lock().expect("no panic");
        while *shut {
            shut = self.opened.wait(shut).expect("no panic");
        }
        drop(shut);
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        Ok(CpuEvidence::Tdx {
            quote: data.as_bytes().to_vec(),
        })
    }
}
