//! `sealgate admin`: admin keys, written directly to the ledger.
//!
//! The first administrator is created by a user who can write the state directory. The key is printed once, when it is
//! created; only its digest is stored.

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;

use super::ConfigFile;
use super::credentials::{self, Columns, CredentialError, Kind, Row, name};
use attest_channel::Clock;
use attest_channel::SystemClock;
use gateway_admin::AdminToken;
use gateway_base::request::Name;
use gateway_base::request::Role;
use gateway_store::ledger::AdminRow;

#[derive(Subcommand)]
pub(super) enum AdminCommand {
    /// Create an admin key and print it; it cannot be shown again
    Create {
        #[command(flatten)]
        config: ConfigFile,
        /// read-only, auditor or operator; each has the permissions of the one before it
        #[arg(short, long, value_parser = role)]
        role: Role,
        /// A note for yourself
        #[arg(short, long, value_parser = name)]
        name: Option<Name>,
    },
    /// List the admin keys that were created
    List {
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Revoke an admin key; it is refused from the next request on
    #[command(allow_missing_positional = true)]
    Revoke {
        #[command(flatten)]
        config: ConfigFile,
        /// The key's id: the 12 characters after `sk-sealgate-admin-`
        id: String,
    },
}

pub(super) async fn run(command: AdminCommand) -> ExitCode {
    credentials::report(match command {
        AdminCommand::Create { config, role, name } => create(&config.path(), role, name).await,
        AdminCommand::List { config } => list(&config.path()).await,
        AdminCommand::Revoke { config, id } => revoke(&config.path(), id).await,
    })
}

async fn create(config: &Path, role: Role, name: Option<Name>) -> Result<(), CredentialError> {
    let (config, ledger) = credentials::open(config).await?;
    let token = AdminToken::generate()?;
    let admin = AdminRow {
        id: token.id().to_owned(),
        role,
        name,
        digest: token.digest(),
        created_at: SystemClock.now(),
        revoked_at: None,
    };
    ledger.admins().add(&admin).await?;
    ledger.close().await;
    let purpose = format!("with the role {role}");
    credentials::print_created(token.expose(), Kind::Admin, &admin.id, &purpose);
    if config.admin.listen.is_none() {
        eprintln!("It cannot be used yet: the configuration has no [admin] listen.");
    }
    Ok(())
}

async fn list(config: &Path) -> Result<(), CredentialError> {
    let (_, ledger) = credentials::open(config).await?;
    let admins = ledger.admins().all().await?;
    ledger.close().await;
    let rows = admins.iter().map(|admin| Row {
        id: &admin.id,
        state: match admin.revoked_at {
            Some(_) => "revoked",
            None => "active",
        },
        created_at: admin.created_at,
        holder: admin.role.as_str(),
        name: admin.name.as_ref(),
        notes: String::new(),
    });
    credentials::print_list(
        Columns {
            holder: "ROLE",
            width: 9,
            notes: "",
        },
        rows,
    );
    Ok(())
}

async fn revoke(config: &Path, id: String) -> Result<(), CredentialError> {
    let (_, ledger) = credentials::open(config).await?;
    let revoked = ledger.admins().revoke(&id, SystemClock.now()).await?;
    ledger.close().await;
    if !revoked {
        let kind = Kind::Admin;
        return Err(CredentialError::NotActive { kind, id });
    }
    eprintln!("Revoked admin key {id}. It is refused from the next request on.");
    Ok(())
}

fn role(text: &str) -> Result<Role, String> {
    Role::parse(text).ok_or_else(|| "the roles are read-only, auditor and operator".to_owned())
}
