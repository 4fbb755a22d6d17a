//! RTMR1: what the firmware boots, and that the firmware has been left.
//!
//! The image, which the firmware loads from QEMU's `-kernel` (`OvmfPkg/…/QemuLoadImageLib`), the
//! announcement that it will run and a separator (`TdTcg2Dxe.c`, `OnReadyToBoot`), the kernel inside
//! it if the stub has the firmware load it, and the two events of `ExitBootServices`.

use attest_core::event_log::{EventType, Register};

use crate::expected::{ExpectedEvent, Origin};
use crate::pe::{Pe, authenticode_sha384};
use crate::uki::{Uki, UkiError};

const CALLING: &str = "Calling EFI Application from Boot Option";
const EXITING: &str = "Exit Boot Services Invocation";
const EXITED: &str = "Exit Boot Services Returned with Success";

/// The events of RTMR1.
pub fn rtmr1(uki: &Uki<'_>) -> Result<Vec<ExpectedEvent>, UkiError> {
    let mut events = vec![
        ExpectedEvent::new(
            Register::Rtmr1,
            EventType::EFI_BOOT_SERVICES_APPLICATION,
            authenticode_sha384(uki.pe())?,
            "the image (Authenticode)",
            Origin::Image,
        ),
        action(CALLING),
        ExpectedEvent::hashing(
            Register::Rtmr1,
            EventType::SEPARATOR,
            &[0; 4],
            "separator before what is booted",
            Origin::Fixed,
        ),
    ];
    if uki.stub_loads_kernel_as_image() {
        let kernel = uki.kernel()?;
        let digest = Pe::parse(&kernel).and_then(|pe| authenticode_sha384(&pe));
        events.push(ExpectedEvent::new(
            Register::Rtmr1,
            EventType::EFI_BOOT_SERVICES_APPLICATION,
            digest.map_err(UkiError::Kernel)?,
            "the kernel in the image (Authenticode)",
            Origin::Image,
        ));
    }
    events.extend([action(EXITING), action(EXITED)]);
    Ok(events)
}

fn action(text: &str) -> ExpectedEvent {
    ExpectedEvent::hashing(
        Register::Rtmr1,
        EventType::EFI_ACTION,
        text.as_bytes(),
        format!("{text:?}"),
        Origin::Fixed,
    )
}
