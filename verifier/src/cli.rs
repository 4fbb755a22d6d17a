//! The command line. The commands are in `commands` and `proxy`.

use clap::{Parser, Subcommand};

use crate::commands::collateral::CollateralArgs;
use crate::commands::endpoint::EndpointArgs;
use crate::commands::evidence::EvidenceArgs;
use crate::commands::inspect::InspectArgs;
use crate::commands::log::LogArgs;
use crate::commands::measure::MeasureArgs;
use crate::commands::policy::PolicyArgs;
use crate::commands::quote::QuoteArgs;
use crate::commands::receipt::ReceiptArgs;
use crate::commands::report::ReportArgs;
use crate::commands::retention_opening::RetentionOpeningArgs;
use crate::commands::session::SessionArgs;
use crate::proxy::ProxyArgs;

/// Check what a confidential inference service proves about itself.
///
/// Exit codes: 0 accepted, 10 rejected, 20 unsupported, 30 malformed input,
/// 1 could not be done, 2 wrong usage.
#[derive(Debug, Parser)]
#[command(name = "sealgate-verify", version, about, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Challenge a live service and verify its report and the connection it came over
    Endpoint(EndpointArgs),
    /// Verify a saved attestation report (the channel cannot be observed offline)
    Report(ReportArgs),
    /// Check a signed receipt against the keys of an attested service
    Receipt(ReceiptArgs),
    /// Check a session record and, under a policy, the evidence inside it
    Session(SessionArgs),
    /// Verify a raw TDX quote with its collateral at a stated time
    Quote(QuoteArgs),
    /// Verify raw evidence of a machine, with every input stated separately
    Evidence(Box<EvidenceArgs>),
    /// Fetch the collateral of evidence, to verify it later and offline
    Collateral(CollateralArgs),
    /// Fetch, with an API key, what opens a tenant's name in a verified service's retention policy
    RetentionOpening(Box<RetentionOpeningArgs>),
    /// Work with attestation policies
    Policy(PolicyArgs),
    /// Predict what launching an image will measure, and write a policy that pins it
    Measure(MeasureArgs),
    /// Decode any piece of evidence; verifies nothing
    Inspect(InspectArgs),
    /// Check an audit log: that it contains a receipt, that its heads are consistent, or all of it
    Log(Box<LogArgs>),
    /// Serve a local OpenAI-compatible endpoint that verifies before it sends
    Proxy(ProxyArgs),
}
