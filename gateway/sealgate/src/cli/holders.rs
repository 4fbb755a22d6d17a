//! `sealgate organisations`, `tenants` and `users`: who holds API keys, written directly to the ledger.
//!
//! Like changes of keys, these are applied by a running service before the command ends.

mod organisations;
mod tenants;
mod users;

use std::path::Path;

use super::credentials::{self, CredentialError, OptionalName, applied, optional_name};
use attest_channel::{Clock, SystemClock};
use attest_core::UnixTime;
use gateway_base::request::{Metadata, MetadataChanges};
use gateway_store::ledger::{ActiveKeys, DirectoryError, Ledger};

pub(super) use organisations::{OrganisationsCommand, run as run_organisations};
pub(super) use tenants::{TenantsCommand, run as run_tenants};
pub(super) use users::{UsersCommand, run as run_users};

/// What is registered about any of them.
#[derive(clap::Args)]
pub(super) struct Registered {
    /// Who is responsible for it; "" for none
    #[arg(long, value_name = "NAME", value_parser = optional_name)]
    owner: Option<OptionalName>,
    /// Where its costs are counted; "" for none
    #[arg(long, value_name = "NAME", value_parser = optional_name)]
    cost_centre: Option<OptionalName>,
}

impl Registered {
    fn changes(self) -> MetadataChanges {
        MetadataChanges {
            owner: self.owner.map(OptionalName::into_inner),
            cost_centre: self.cost_centre.map(OptionalName::into_inner),
        }
    }

    fn metadata(self) -> Metadata {
        let mut metadata = Metadata::default();
        self.changes().apply(&mut metadata);
        metadata
    }
}

/// Changes the directory in the ledger, and waits until a running service has applied it.
async fn change<T>(
    config: &Path,
    (done, what): (&'static str, &str),
    work: impl AsyncFnOnce(&Ledger, UnixTime) -> Result<T, DirectoryError>,
) -> Result<T, CredentialError> {
    let (config, ledger) = credentials::open(config).await?;
    let changed = work(&ledger, SystemClock.now()).await;
    let applied = applied(&ledger, &config.server.state_dir).await;
    ledger.close().await;
    let changed = changed?;
    match applied? {
        true => Ok(changed),
        false => Err(CredentialError::NotConfirmed {
            done,
            what: what.to_owned(),
        }),
    }
}

fn keys_to(revoke: bool) -> ActiveKeys {
    match revoke {
        true => ActiveKeys::Revoke,
        false => ActiveKeys::Refuse,
    }
}

fn state(disabled_at: Option<UnixTime>) -> &'static str {
    match disabled_at {
        Some(_) => "disabled",
        None => "active",
    }
}

/// What is registered, for a list.
fn describe(metadata: &Metadata) -> Vec<String> {
    let owner = metadata.owner.as_ref().map(|name| format!("owner={name}"));
    let cost_centre = metadata.cost_centre.as_ref();
    let cost_centre = cost_centre.map(|name| format!("cost-centre={name}"));
    owner.into_iter().chain(cost_centre).collect()
}

fn print_disabled(what: &str, disabled: bool) {
    match disabled {
        true => eprintln!("Disabled {what}. Requests of it are refused until it is enabled."),
        false => eprintln!("Enabled {what}. Requests of it are accepted again."),
    }
}

fn print_removed(what: &str, revoked: u64) {
    eprintln!("Removed {what}. Keys that were revoked with it: {revoked}.");
}
