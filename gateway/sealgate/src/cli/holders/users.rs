//! `sealgate users`

use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::super::ConfigFile;
use super::super::credentials::{self, CredentialError, name};
use super::super::table;
use super::{Registered, change, describe, keys_to, print_disabled, print_removed, state};
use gateway_base::request::{Name, UserKind};
use gateway_store::ledger::{HolderChanges, UserRow};

#[derive(Subcommand)]
pub(in crate::cli) enum UsersCommand {
    /// List the users and service accounts of a tenant, with their keys counted
    List {
        #[command(flatten)]
        config: ConfigFile,
        /// The tenant
        #[arg(short, long, value_parser = name)]
        tenant: Name,
    },
    /// Create a user or a service account
    #[command(allow_missing_positional = true)]
    Create {
        #[command(flatten)]
        user: UserArgument,
        /// A program and no person
        #[arg(long)]
        service_account: bool,
        #[command(flatten)]
        registered: Registered,
    },
    /// Change what is registered about a user or a service account; what is not given stays
    #[command(allow_missing_positional = true)]
    Change {
        #[command(flatten)]
        user: UserArgument,
        #[command(flatten)]
        registered: Registered,
    },
    /// Refuse requests of a user or a service account until it is enabled
    #[command(allow_missing_positional = true)]
    Disable {
        #[command(flatten)]
        user: UserArgument,
    },
    /// Accept requests of a disabled user or service account again
    #[command(allow_missing_positional = true)]
    Enable {
        #[command(flatten)]
        user: UserArgument,
    },
    /// Remove a user or a service account that has no active keys
    #[command(allow_missing_positional = true)]
    Remove {
        #[command(flatten)]
        user: UserArgument,
        /// Revoke its active keys
        #[arg(long)]
        revoke_keys: bool,
    },
}

/// One user of one tenant.
#[derive(Args)]
pub(in crate::cli) struct UserArgument {
    #[command(flatten)]
    config: ConfigFile,
    /// The user or service account
    #[arg(value_parser = name)]
    user: Name,
    /// The tenant
    #[arg(short, long, value_parser = name)]
    tenant: Name,
}

impl UserArgument {
    fn what(&self) -> String {
        format!("user {} of {}", self.user, self.tenant)
    }
}

pub(in crate::cli) async fn run(command: UsersCommand) -> ExitCode {
    use UsersCommand as C;
    credentials::report(match command {
        C::List { config, tenant } => list(&config.path(), &tenant).await,
        C::Create {
            user,
            service_account,
            registered,
        } => create(user, service_account, registered).await,
        C::Change { user, registered } => change_registered(user, registered).await,
        C::Disable { user } => disable(user, true).await,
        C::Enable { user } => disable(user, false).await,
        C::Remove { user, revoke_keys } => remove(user, revoke_keys).await,
    })
}

async fn list(config: &Path, tenant: &Name) -> Result<(), CredentialError> {
    let (_, ledger) = credentials::open(config).await?;
    let users = ledger.users().of_tenant(tenant).await;
    ledger.close().await;
    let rows: Vec<Vec<String>> = users?
        .iter()
        .map(|one| {
            vec![
                one.row.name.to_string(),
                one.row.kind.as_str().to_owned(),
                state(one.row.disabled_at).to_owned(),
                one.row.created_at.to_string(),
                one.active_keys.to_string(),
                describe(&one.row.metadata).join(" "),
            ]
        })
        .collect();
    let headings = ["USER", "KIND", "STATE", "CREATED", "KEYS", "REGISTERED"];
    table::print(&headings, &rows);
    Ok(())
}

async fn create(
    argument: UserArgument,
    service_account: bool,
    registered: Registered,
) -> Result<(), CredentialError> {
    let what = argument.what();
    let UserArgument {
        config,
        user,
        tenant,
    } = argument;
    change(&config.path(), ("created", &what), async |ledger, now| {
        let user = UserRow {
            tenant,
            name: user,
            kind: match service_account {
                true => UserKind::ServiceAccount,
                false => UserKind::User,
            },
            metadata: registered.metadata(),
            created_at: now,
            disabled_at: None,
        };
        ledger.users().add(&user).await
    })
    .await?;
    eprintln!("Created {what}.");
    Ok(())
}

async fn change_registered(
    user: UserArgument,
    registered: Registered,
) -> Result<(), CredentialError> {
    let changes = HolderChanges {
        metadata: registered.changes(),
        disabled: None,
    };
    if changes == HolderChanges::default() {
        return Err(CredentialError::NothingToChange);
    }
    let what = user.what();
    apply(user, changes).await?;
    eprintln!("Changed {what}.");
    Ok(())
}

async fn disable(user: UserArgument, disabled: bool) -> Result<(), CredentialError> {
    let what = user.what();
    let changes = HolderChanges {
        disabled: Some(disabled),
        ..HolderChanges::default()
    };
    apply(user, changes).await?;
    print_disabled(&what, disabled);
    Ok(())
}

async fn apply(argument: UserArgument, changes: HolderChanges) -> Result<(), CredentialError> {
    let what = argument.what();
    let UserArgument {
        config,
        user,
        tenant,
    } = argument;
    change(&config.path(), ("changed", &what), async |ledger, now| {
        ledger.users().change((&tenant, &user), now, changes).await
    })
    .await?;
    Ok(())
}

async fn remove(argument: UserArgument, revoke: bool) -> Result<(), CredentialError> {
    let what = argument.what();
    let UserArgument {
        config,
        user,
        tenant,
    } = argument;
    let revoked = change(&config.path(), ("removed", &what), async |ledger, now| {
        let users = ledger.users();
        users.remove((&tenant, &user), now, keys_to(revoke)).await
    })
    .await?;
    print_removed(&what, revoked);
    Ok(())
}
