//! The commands that only read: `show`, `plan` and `history`.

use std::path::Path;

use attest_core::retention::{
    ActivePolicy, Authority, ChangeRefused, Difference, RetentionPolicy, Rule,
};

use super::{RetentionFailure, files};
use gateway_base::config::{Config, built_in};
use gateway_retention::{self as retention, Settable, history};
use gateway_store::ledger::Ledger;

/// The form in which a policy is printed.
pub(super) enum PolicyForm {
    /// As a table for people.
    Table,
    /// With names and salt, as the ledger keeps it.
    Document,
    /// As reports show it.
    Published,
}

pub(super) async fn show(config: &Path, form: PolicyForm) -> Result<(), RetentionFailure> {
    let config = Config::load(config)?;
    let ledger = Ledger::open_for_keys(&config.server.state_dir).await?;
    let active = history::latest(&ledger).await?;
    ledger.close().await;
    if !matches!(form, PolicyForm::Table) {
        let first = || match &config.retention.policy {
            Some(named) => named.policy.clone(),
            None => built_in(),
        };
        let policy = active.map_or_else(first, |active| active.policy().clone());
        match form {
            PolicyForm::Published => print!("{}", policy.published().text()),
            _ => print!("{}", policy.stored_text()),
        }
        return Ok(());
    }
    let Some(active) = active else {
        println!("No policy is active yet. A service that started now would begin with:\n");
        let first = config.retention.policy.map(|named| named.policy);
        print_policy(&first.unwrap_or_else(built_in));
        return Ok(());
    };
    print_policy(active.policy());
    print_signatures(&active, &config.retention.authority);
    Ok(())
}

pub(super) async fn plan(config: &Path, file: &Path) -> Result<(), RetentionFailure> {
    let config = Config::load(config)?;
    let proposed = files::policy(file)?;
    let signatures = files::signatures(file)?;
    let ledger = Ledger::open_for_keys(&config.server.state_dir).await?;
    let plan = retention::plan(&ledger, &config, proposed, signatures).await;
    ledger.close().await;
    let plan = plan?;
    print_change(&plan.before, &plan.proposed, &plan.differences);
    for notice in &plan.notices {
        println!("Warning: {notice}.");
    }
    print_verdict(&plan.before, plan.verdict);
    Ok(())
}

pub(super) async fn history(config: &Path) -> Result<(), RetentionFailure> {
    let config = Config::load(config)?;
    let ledger = Ledger::open_for_keys(&config.server.state_dir).await?;
    let rows = ledger.policies().all().await?;
    ledger.close().await;
    println!(
        "{:<5}  {:<20}  {:<8}  {:<71}  SIGNED BY",
        "EPOCH", "SET", "AT MOST", "DIGEST"
    );
    for row in &rows {
        let policy = RetentionPolicy::from_stored(&row.policy);
        let most = policy.map_or("unreadable", |policy| policy.most().as_str());
        let by: Vec<&str> = row
            .signatures
            .lines()
            .filter_map(|line| line.split(' ').nth(1))
            .map(|key| key.get(..16).unwrap_or(key))
            .collect();
        let by = if by.is_empty() {
            "no key".to_owned()
        } else {
            by.join(" ")
        };
        let (set, digest) = (row.set_at.to_string(), row.digest.to_string());
        println!("{:<5}  {set:<20}  {most:<8}  {digest:<71}  {by}", row.epoch);
    }
    if !rows.is_empty() {
        history::check_chain(&rows)?;
    }
    Ok(())
}

fn print_policy(policy: &RetentionPolicy) {
    println!("digest       {}", policy.digest());
    println!("epoch        {}", policy.epoch());
    if let Some(predecessor) = policy.predecessor() {
        println!("predecessor  {predecessor}");
    }
    if let Some(description) = policy.description() {
        println!("description  {description}");
    }
    println!("at most      {}", policy.most());
    println!("default      {}", policy.default_terms());
    for (
        index,
        Rule {
            tenants,
            models,
            terms,
        },
    ) in policy.rules().iter().enumerate()
    {
        let tenants = tenants
            .as_ref()
            .map_or("every tenant".to_owned(), |names| names.join(", "));
        let models = models
            .as_ref()
            .map_or("every model".to_owned(), |names| names.join(", "));
        println!("rule {:<7} {tenants}; {models}: {terms}", index + 1);
    }
}

fn print_signatures(active: &ActivePolicy, authority: &Authority) {
    let claimed: Vec<String> = active.signatures().claimed_keys().collect();
    if claimed.is_empty() {
        println!("signed by    no key");
    }
    for key in claimed {
        println!("signed by    {key}");
    }
    match authority {
        Authority::NoKeys => println!("changed by   no key: no policy keys are configured"),
        Authority::Keys(keys) => {
            let all = keys.to_hex().len();
            println!("changed by   {} of {all} policy keys", keys.threshold());
            if let Err(error) = keys.verify(active.policy().digest(), active.signatures()) {
                println!("NOT ACTIVE   it {error}; a service would not start under it");
            }
        }
    }
}

fn print_change(before: &RetentionPolicy, after: &RetentionPolicy, differences: &[Difference]) {
    println!("from  {} (epoch {})", before.digest(), before.epoch());
    println!("to    {} (epoch {})", after.digest(), after.epoch());
    println!();
    if !differences.iter().any(Difference::changes) {
        println!("Nothing changes for any tenant.");
    }
    for difference in differences {
        let tenant = difference.tenant.as_deref().unwrap_or("every other tenant");
        let model = difference.model.as_deref().unwrap_or(
            match differences
                .iter()
                .any(|other| other.tenant == difference.tenant && other.model.is_some())
            {
                true => "every other model",
                false => "every model",
            },
        );
        println!("{tenant}, {model}");
        if difference.changes() {
            println!("  now   {}", difference.before);
            println!("  then  {}", difference.after);
        } else {
            println!("  stays {}", difference.before);
        }
    }
    println!();
    println!(
        "Every connection ends and every client verifies again; requests in flight finish under the current policy."
    );
}

fn print_verdict(before: &RetentionPolicy, verdict: Result<Settable, ChangeRefused>) {
    match verdict {
        Ok(settable) => println!("It {}.", settable.describe()),
        Err(reason) => {
            println!("It cannot be set: {reason}.");
            match reason {
                ChangeRefused::Signature(_) => {
                    println!("A holder of a policy key signs it with `sealgate retention sign`.");
                }
                ChangeRefused::NoPolicyKeys | ChangeRefused::UnsignedContent => {}
                _ => {
                    println!("The next policy has epoch = {}", before.epoch() + 1);
                    println!("and predecessor = \"{}\"", before.digest());
                }
            }
        }
    }
}
