//! `sealgate tenants`

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;

use super::super::ConfigFile;
use super::super::credentials::{self, CredentialError, OptionalName, name, optional_name};
use super::super::table;
use super::{Registered, change, describe, keys_to, print_disabled, print_removed, state};
use gateway_base::request::{Label, LabelRules, Name};
use gateway_store::ledger::{DirectoryError, LabelChanges, NewTenant, TenantChanges, TenantRow};

#[derive(Subcommand)]
pub(in crate::cli) enum TenantsCommand {
    /// List tenants, with their users and keys counted
    List {
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Create a tenant; one also begins with its first key
    #[command(allow_missing_positional = true)]
    Create {
        #[command(flatten)]
        config: ConfigFile,
        /// The tenant
        #[arg(value_name = "TENANT", value_parser = name)]
        name: Name,
        #[command(flatten)]
        details: TenantDetails,
    },
    /// Change a tenant; what is not given stays
    #[command(allow_missing_positional = true)]
    Change {
        #[command(flatten)]
        config: ConfigFile,
        /// The tenant
        #[arg(value_name = "TENANT", value_parser = name)]
        name: Name,
        #[command(flatten)]
        details: TenantDetails,
    },
    /// Refuse requests of a tenant until it is enabled
    #[command(allow_missing_positional = true)]
    Disable {
        #[command(flatten)]
        config: ConfigFile,
        /// The tenant
        #[arg(value_name = "TENANT", value_parser = name)]
        name: Name,
    },
    /// Accept requests of a disabled tenant again
    #[command(allow_missing_positional = true)]
    Enable {
        #[command(flatten)]
        config: ConfigFile,
        /// The tenant
        #[arg(value_name = "TENANT", value_parser = name)]
        name: Name,
    },
    /// Remove a tenant that has no active keys, with its users
    #[command(allow_missing_positional = true)]
    Remove {
        #[command(flatten)]
        config: ConfigFile,
        /// The tenant
        #[arg(value_name = "TENANT", value_parser = name)]
        name: Name,
        /// Revoke its active keys
        #[arg(long)]
        revoke_keys: bool,
    },
}

/// What a tenant has beside its name.
#[derive(clap::Args)]
pub(in crate::cli) struct TenantDetails {
    /// The organisation that it belongs to; "" for none
    #[arg(long, value_name = "NAME", value_parser = optional_name)]
    organisation: Option<OptionalName>,
    #[command(flatten)]
    registered: Registered,
    /// A value that requests may give in X-Sealgate-Scenario; repeatable; "" for none
    #[arg(long = "allow-scenario", value_name = "NAME", value_parser = optional_name)]
    scenarios: Option<Vec<OptionalName>>,
    /// A value that requests may give in X-Sealgate-Owner; repeatable; "" for none
    #[arg(long = "allow-owner", value_name = "NAME", value_parser = optional_name)]
    owners: Option<Vec<OptionalName>>,
    /// What requests must give: scenario, owner; repeatable; "" for nothing
    #[arg(long = "require", value_name = "LABEL", value_parser = optional_label)]
    required: Option<Vec<OptionalLabel>>,
}

/// A label, or an empty text that stands for none.
#[derive(Clone)]
pub(in crate::cli) struct OptionalLabel(Option<Label>);

fn optional_label(text: &str) -> Result<OptionalLabel, String> {
    match (text, Label::parse(text)) {
        ("", _) => Ok(OptionalLabel(None)),
        (_, Some(label)) => Ok(OptionalLabel(Some(label))),
        (_, None) => Err("the labels are scenario and owner".to_owned()),
    }
}

impl TenantDetails {
    fn changes(self) -> TenantChanges {
        let names = |given: Vec<OptionalName>| -> Vec<Name> {
            given
                .into_iter()
                .filter_map(OptionalName::into_inner)
                .collect()
        };
        let labels =
            |given: Vec<OptionalLabel>| given.into_iter().filter_map(|label| label.0).collect();
        TenantChanges {
            organisation: self.organisation.map(OptionalName::into_inner),
            metadata: self.registered.changes(),
            labels: LabelChanges {
                scenarios: self.scenarios.map(names),
                owners: self.owners.map(names),
                required: self.required.map(labels),
            },
            disabled: None,
        }
    }
}

pub(in crate::cli) async fn run(command: TenantsCommand) -> ExitCode {
    use TenantsCommand as C;
    credentials::report(match command {
        C::List { config } => list(&config.path()).await,
        C::Create {
            config,
            name,
            details,
        } => create(&config.path(), name, details).await,
        C::Change {
            config,
            name,
            details,
        } => change_details(&config.path(), &name, details).await,
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
    let all = ledger.tenants().all().await?;
    ledger.close().await;
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|one| {
            let tenant = &one.row;
            let state = match tenant.removed_at {
                Some(_) => "removed",
                None => state(tenant.disabled_at),
            };
            vec![
                tenant.name.to_string(),
                state.to_owned(),
                tenant.created_at.to_string(),
                tenant.organisation.as_deref().unwrap_or("").to_owned(),
                one.members.to_string(),
                one.active_keys.to_string(),
                registered(tenant).join(" "),
            ]
        })
        .collect();
    let headings = [
        "TENANT",
        "STATE",
        "CREATED",
        "ORGANISATION",
        "USERS",
        "KEYS",
        "REGISTERED",
    ];
    table::print(&headings, &rows);
    Ok(())
}

fn registered(tenant: &TenantRow) -> Vec<String> {
    let rules = &tenant.labels;
    let values = |label| {
        let values: Vec<&str> = rules.values(label).iter().map(Name::as_str).collect();
        values.join(",")
    };
    let required: Vec<&str> = rules.required().map(Label::as_str).collect();
    let lists = [
        ("scenarios", values(Label::Scenario)),
        ("owners", values(Label::Owner)),
        ("requires", required.join(",")),
    ];
    let lists = lists.into_iter().filter(|(_, list)| !list.is_empty());
    let lists = lists.map(|(name, list)| format!("{name}={list}"));
    let mut all = describe(&tenant.metadata);
    all.extend(lists);
    all
}

async fn create(config: &Path, name: Name, details: TenantDetails) -> Result<(), CredentialError> {
    let what = format!("tenant {name}");
    let changes = details.changes();
    change(config, ("created", &what), async |ledger, now| {
        let mut labels = LabelRules::default();
        let applied = changes.labels.apply(&mut labels);
        applied.map_err(DirectoryError::Labels)?;
        let mut metadata = Default::default();
        changes.metadata.apply(&mut metadata);
        let tenant = NewTenant {
            name,
            organisation: changes.organisation.flatten(),
            metadata,
            labels,
            created_at: now,
        };
        ledger.tenants().add(tenant).await
    })
    .await?;
    eprintln!("Created {what}.");
    Ok(())
}

async fn change_details(
    config: &Path,
    name: &Name,
    details: TenantDetails,
) -> Result<(), CredentialError> {
    let changes = details.changes();
    if changes == TenantChanges::default() {
        return Err(CredentialError::NothingToChange);
    }
    let what = format!("tenant {name}");
    change(config, ("changed", &what), async |ledger, now| {
        ledger.tenants().change(name, now, changes).await
    })
    .await?;
    eprintln!("Changed {what}.");
    Ok(())
}

async fn disable(config: &Path, name: &Name, disabled: bool) -> Result<(), CredentialError> {
    let what = format!("tenant {name}");
    let changes = TenantChanges {
        disabled: Some(disabled),
        ..TenantChanges::default()
    };
    change(config, ("changed", &what), async |ledger, now| {
        ledger.tenants().change(name, now, changes).await
    })
    .await?;
    print_disabled(&what, disabled);
    Ok(())
}

async fn remove(config: &Path, name: &Name, revoke: bool) -> Result<(), CredentialError> {
    let what = format!("tenant {name}");
    let revoked = change(config, ("removed", &what), async |ledger, now| {
        ledger.tenants().remove(name, now, keys_to(revoke)).await
    })
    .await?;
    print_removed(&what, revoked);
    Ok(())
}
