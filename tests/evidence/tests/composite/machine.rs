//! A machine's evidence without a report around it: CPU, event log and devices under one policy.

use attest_core::nvidia::{DeviceKind, UnverifiedDevice};
use attest_core::{
    Appraiser, AttestationPolicy, Cause, CheckId, CpuEvidence, Decision, MachineEvidence, Outcome,
    UnverifiedEvidence, Verdict, Why,
};
use vendors::nvidia::Chip;

use super::super::{NOW, collateral, manifests, nvidia, policy, report_data, roots, td};

const NONCE: [u8; 32] = [0x5a; 32];
const ONE_GPU: &str = "[nvidia]\nrequired = true\ngpus = 1\n";

fn gpu() -> UnverifiedDevice {
    let device = nvidia().healthy(Chip::Hopper, "alone");
    UnverifiedDevice {
        kind: DeviceKind::Gpu,
        evidence: device.report(&NONCE),
        certificate_chain: device.chain_pem(),
    }
}

fn judge(evidence: &MachineEvidence<'_>, policy: &AttestationPolicy) -> Verdict {
    let collateral = collateral(manifests());
    Appraiser {
        roots: &roots(),
        policy,
        collateral: Some(&collateral),
        now: NOW,
    }
    .machine(evidence)
}

fn whole<'a>(cpu: &'a CpuEvidence, devices: &'a [UnverifiedDevice]) -> MachineEvidence<'a> {
    MachineEvidence {
        cpu: Some(UnverifiedEvidence::from(cpu)),
        report_data: Some(*report_data().as_bytes()),
        devices,
        device_nonce: Some(NONCE),
        ..MachineEvidence::default()
    }
}

fn failures(verdict: &Verdict) -> Vec<&'static str> {
    verdict.failures().map(|(id, _)| id.as_str()).collect()
}

#[test]
fn cpu_and_devices_are_appraised_together_with_separate_checks() {
    let (cpu, devices) = (td(), [gpu()]);
    let verdict = judge(&whole(&cpu, &devices), &policy(ONE_GPU));
    assert_eq!(verdict.decision(), Decision::Accepted, "{verdict}");
    assert!(verdict.facts().tdx.is_some());
    assert_eq!(verdict.facts().devices.len(), 1);

    let other_nonce = MachineEvidence {
        device_nonce: Some([0x5b; 32]),
        ..whole(&cpu, &devices)
    };
    let verdict = judge(&other_nonce, &policy(ONE_GPU));
    assert_eq!(failures(&verdict), ["nvidia.nonce"]);

    let other_data = MachineEvidence {
        report_data: Some([1; 64]),
        ..whole(&cpu, &devices)
    };
    let verdict = judge(&other_data, &policy(ONE_GPU));
    let failed: Vec<_> = verdict.failures().collect();
    let [(check, Cause::ReportDataOther(found))] = &failed[..] else {
        panic!("{verdict}");
    };
    assert_eq!(
        (*check, **found),
        (CheckId::BindingReportData, *report_data().as_bytes())
    );
}

#[test]
fn rejects_a_machine_without_the_evidence_a_policy_requires() {
    let cpu = td();
    let verdict = judge(&whole(&cpu, &[]), &policy(ONE_GPU));
    let listed = verdict.check(CheckId::NvidiaDevices).expect("it");
    assert!(listed.required);
    assert_eq!(listed.outcome, Outcome::NotEvaluated(Why::Absent));
    assert_eq!(verdict.decision(), Decision::Rejected);

    let verdict = judge(&whole(&cpu, &[]), &policy("[event_log]\nrequired = true\n"));
    let listed = verdict.check(CheckId::EventLogReplay).expect("it");
    assert!(listed.required && listed.outcome == Outcome::NotEvaluated(Why::Absent));
    assert_eq!(verdict.decision(), Decision::Rejected);

    let verdict = judge(&MachineEvidence::default(), &policy(""));
    assert_eq!(verdict.decision(), Decision::Rejected, "nothing is nothing");
    let data_alone = MachineEvidence {
        report_data: Some([0; 64]),
        ..MachineEvidence::default()
    };
    let verdict = judge(&data_alone, &policy(""));
    assert!(
        verdict
            .check(CheckId::BindingReportData)
            .expect("it")
            .required
    );
}

#[test]
fn rejects_an_event_log_that_does_not_replay_or_cannot_be_parsed() {
    let cpu = td();
    let asked = policy("[event_log]\nrequired = true\n");
    for (log, check) in [
        (&b"[]"[..], "event_log.replay"),
        (&b"no log"[..], "event_log.format"),
    ] {
        let evidence = MachineEvidence {
            event_log: Some(log),
            ..whole(&cpu, &[])
        };
        let verdict = judge(&evidence, &asked);
        assert_eq!(failures(&verdict), [check], "{verdict}");
        assert_eq!(verdict.decision(), Decision::Rejected);
    }
}
