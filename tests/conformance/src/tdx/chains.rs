//! The certificate chain in the quote, and what is read from it.

use vendors::Vendors;
use vendors::intel::knobs::{Knobs, PckChainForm};

use super::{Made, any, made};
use crate::kit::{Kit, accepted, rejected};
use crate::{NOW, SEED};

pub(super) fn add(kit: &mut Kit) {
    use PckChainForm as Form;
    let chains = [
        (
            "junk-before",
            "bytes before the first certificate",
            Form::JunkBefore,
        ),
        (
            "junk-between",
            "bytes between two certificates",
            Form::JunkBetween,
        ),
        (
            "junk-after",
            "bytes after the last certificate",
            Form::JunkAfter,
        ),
        ("leaf-last", "a chain in the other order", Form::LeafLast),
        ("no-root", "a chain without its root", Form::RootMissing),
        (
            "corrupt-root",
            "a chain whose last certificate is not the root's bytes",
            Form::RootCorrupt,
        ),
        (
            "other-machine-first",
            "a genuine certificate of another machine in front",
            Form::OtherMachineFirst,
        ),
        (
            "other-machine-in-another-block",
            "the same in a block that some readers of PEM skip",
            Form::OtherMachineFirstInAnotherBlock,
        ),
        (
            "other-machine-last",
            "a genuine certificate of another machine behind",
            Form::OtherMachineLast,
        ),
    ];
    for (name, says, form) in chains {
        platform(|knobs| knobs.pck_chain = form).add(
            kit,
            &format!("pck-chain-{name}"),
            says,
            rejected(&["tdx.pck.chain"]),
        );
    }
    platform(|knobs| knobs.pck_chain = Form::NulAfter).add(
        kit,
        "pck-chain-nul-after",
        "the terminator of a C string behind the chain, as Intel's quoting library leaves it",
        accepted(),
    );
    platform(|knobs| {
        knobs
            .tcb_info_edits
            .push((r#""pceId":"0000""#, r#""pceId":"0100""#));
    })
    .add(
        kit,
        "pce-id-of-other-tcb-info",
        "TCB info for another provisioning certification enclave than the certified one",
        rejected(&["tdx.tcb.level"]),
    );
}

pub(super) fn platform(bend: impl FnOnce(&mut Knobs)) -> Made {
    let mut knobs = Knobs::default();
    bend(&mut knobs);
    Made {
        platform: Vendors::with_knobs(&SEED, NOW, knobs),
        policy: any(""),
        ..made()
    }
}
