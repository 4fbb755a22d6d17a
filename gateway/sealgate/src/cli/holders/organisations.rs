//! `sealgate organisations`

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;

use super::super::ConfigFile;
use super::super::credentials::{self, CredentialError, name};
use super::super::table;
use super::{Registered, change, describe, keys_to, print_disabled, print_removed, state};
use gateway_base::request::Name;
use gateway_store::ledger::{HolderChanges, OrganisationRow};

#[derive(Subcommand)]
pub(in crate::cli) enum OrganisationsCommand {
    /// List organisations, with their tenants and keys counted
    List {
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Create an organisation
    #[command(allow_missing_positional = true)]
    Create {
        #[command(flatten)]
        config: ConfigFile,
        /// The organisation
        #[arg(value_name = "ORGANISATION", value_parser = name)]
        name: Name,
        #[command(flatten)]
        registered: Registered,
    },
    /// Change what is registered about an organisation; what is not given stays
    #[command(allow_missing_positional = true)]
    Change {
        #[command(flatten)]
        config: ConfigFile,
        /// The organisation
        #[arg(value_name = "ORGANISATION", value_parser = name)]
        name: Name,
        #[command(flatten)]
        registered: Registered,
    },
    /// Refuse requests of all tenants of an organisation until it is enabled
    #[command(allow_missing_positional = true)]
    Disable {
        #[command(flatten)]
        config: ConfigFile,
        /// The organisation
        #[arg(value_name = "ORGANISATION", value_parser = name)]
        name: Name,
    },
    /// Accept requests of a disabled organisation again
    #[command(allow_missing_positional = true)]
    Enable {
        #[command(flatten)]
        config: ConfigFile,
        /// The organisation
        #[arg(value_name = "ORGANISATION", value_parser = name)]
        name: Name,
    },
    /// Remove an organisation that has no tenants
    #[command(allow_missing_positional = true)]
    Remove {
        #[command(flatten)]
        config: ConfigFile,
        /// The organisation
        #[arg(value_name = "ORGANISATION", value_parser = name)]
        name: Name,
        /// Remove its tenants, too, and revoke their keys
        #[arg(long)]
        revoke_keys: bool,
    },
}

pub(in crate::cli) async fn run(command: OrganisationsCommand) -> ExitCode {
    use OrganisationsCommand as C;
    credentials::report(match command {
        C::List { config } => list(&config.path()).await,
        C::Create {
            config,
            name,
            registered,
        } => create(&config.path(), name, registered).await,
        C::Change {
            config,
            name,
            registered,
        } => change_registered(&config.path(), &name, registered).await,
        C::Disable { config, name } => disable(&config.path(), &name, true).await,
        C::Enable { config, name } => disable(&config.path(), &name, false).await,
        C::Remove {
            config,
            name,
            revoke_keys,
        } => remove(&config.path(), &name, revoke_keys).await,
    })
}

async fn list(config: &Path) -> Result<(), CredentialError> {
    let (_, ledger) = credentials::open(config).await?;
    let all = ledger.organisations().all().await?;
    ledger.close().await;
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|one| {
            vec![
                one.row.name.to_string(),
                state(one.row.disabled_at).to_owned(),
                one.row.created_at.to_string(),
                one.members.to_string(),
                one.active_keys.to_string(),
                describe(&one.row.metadata).join(" "),
            ]
        })
        .collect();
    let headings = [
        "ORGANISATION",
        "STATE",
        "CREATED",
        "TENANTS",
        "KEYS",
        "REGISTERED",
    ];
    table::print(&headings, &rows);
    Ok(())
}

async fn create(config: &Path, name: Name, registered: Registered) -> Result<(), CredentialError> {
    let what = format!("organisation {name}");
    change(config, ("created", &what), async |ledger, now| {
        let organisation = OrganisationRow {
            name,
            metadata: registered.metadata(),
            created_at: now,
            disabled_at: None,
        };
        ledger.organisations().add(&organisation).await
    })
    .await?;
    eprintln!("Created {what}.");
    Ok(())
}

async fn change_registered(
    config: &Path,
    name: &Name,
    registered: Registered,
) -> Result<(), CredentialError> {
    let changes = HolderChanges {
        metadata: registered.changes(),
        disabled: None,
    };
    if changes == HolderChanges::default() {
        return Err(CredentialError::NothingToChange);
    }
    let what = format!("organisation {name}");
    change(config, ("changed", &what), async |ledger, now| {
        ledger.organisations().change(name, now, changes).await
    })
    .await?;
    eprintln!("Changed {what}.");
    Ok(())
}

async fn disable(config: &Path, name: &Name, disabled: bool) -> Result<(), CredentialError> {
    let what = format!("organisation {name}");
    let changes = HolderChanges {
        disabled: Some(disabled),
        ..HolderChanges::default()
    };
    change(config, ("changed", &what), async |ledger, now| {
        ledger.organisations().change(name, now, changes).await
    })
    .await?;
    print_disabled(&what, disabled);
    Ok(())
}

async fn remove(config: &Path, name: &Name, revoke: bool) -> Result<(), CredentialError> {
    let what = format!("organisation {name}");
    let revoked = change(config, ("removed", &what), async |ledger, now| {
        let organisations = ledger.organisations();
        organisations.remove(name, now, keys_to(revoke)).await
    })
    .await?;
    print_removed(&what, revoked);
    Ok(())
}
