//! Writes the rows of batches to their tables, in one transaction that the caller commits.

use std::collections::BTreeSet;

use sqlx::SqliteConnection;

use super::batch::{ReceiptValues, Record, SessionValues, Spendings, UsageValues, records};
use super::row_queue::RowKind;
use super::usage::SumsOfRows;
use super::usage_groups::{self, GroupsOfRows};
use super::{budgets, receipts, sessions, unfinished, usage};
use crate::error::store_failure;
use gateway_base::store_failure::{Cause, StoreFailure};

/// Rows of one statement. The database runs in another thread, and the switch costs more than writing a row.
const ROWS_AT_ONCE: [usize; 7] = [64, 32, 16, 8, 4, 2, 1];

/// A row that the database refuses while it accepts others. It is dropped, so that it does not block those.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refused {
    pub kind: RowKind,
    pub failure: StoreFailure,
}

/// The rows of some batches, by table, in order of arrival.
#[derive(Default)]
struct Rows<'a> {
    usage: Vec<UsageValues<'a>>,
    receipts: Vec<ReceiptValues<'a>>,
    sessions: Vec<SessionValues<'a>>,
    unfinished: Vec<(i64, UsageValues<'a>)>,
    spent: Spendings,
    /// Ids of unfinished rows that a usage row replaces.
    replaced: BTreeSet<i64>,
}

impl<'a> Rows<'a> {
    fn read(bodies: &'a [impl AsRef<[u8]>]) -> Result<Self, sqlx::Error> {
        let mut rows = Self::default();
        for body in bodies {
            for record in records(body.as_ref())? {
                match record {
                    Record::Usage(row, replaces) => {
                        rows.usage.push(row);
                        rows.replaced.extend(replaces);
                    }
                    Record::Unfinished(id, row) => rows.unfinished.push((id, row)),
                    Record::Receipt(row) => rows.receipts.push(row),
                    Record::Session(row) => rows.sessions.push(row),
                    Record::Spent(spent) => drop(rows.spent.add(&spent)),
                }
            }
        }
        Ok(rows)
    }
}

/// Writes all rows of these bodies. Returns those that the database refuses.
pub(super) async fn unpack(
    on: &mut SqliteConnection,
    bodies: &[impl AsRef<[u8]>],
) -> Result<Vec<Refused>, sqlx::Error> {
    let mut rows = Rows::read(bodies)?;
    let mut refused = Vec::new();
    write_sessions(on, &rows.sessions, &mut refused).await?;
    write_receipts(on, &rows.receipts, &mut refused).await?;
    write_usage(on, &rows.usage, &mut refused).await?;
    for spent in std::mem::take(&mut rows.spent).into_spent() {
        budgets::add_spent(&mut *on, &spent).await?;
    }
    // Before the replaced ones are removed: an unfinished row never comes after the usage row that replaces it.
    for (id, row) in &rows.unfinished {
        if !rows.replaced.remove(id) {
            unfinished::add(&mut *on, *id, row).await?;
        }
    }
    for id in &rows.replaced {
        unfinished::remove(&mut *on, *id).await?;
    }
    Ok(refused)
}

async fn write_sessions(
    on: &mut SqliteConnection,
    rows: &[SessionValues<'_>],
    refused: &mut Vec<Refused>,
) -> Result<(), sqlx::Error> {
    for row in rows {
        if let Err(error) = sessions::insert(&mut *on, row).await {
            refused.push(refusal(error, RowKind::Session)?);
        }
    }
    Ok(())
}

async fn write_receipts(
    on: &mut SqliteConnection,
    rows: &[ReceiptValues<'_>],
    refused: &mut Vec<Refused>,
) -> Result<(), sqlx::Error> {
    let group = receipts::next_chat_group(&mut *on).await?;
    for rows in in_few_sizes(rows) {
        let Err(error) = receipts::insert(&mut *on, rows, group).await else {
            continue;
        };
        refusal(error, RowKind::Receipt)?;
        for row in rows {
            if let Err(error) = receipts::insert(&mut *on, &[*row], group).await {
                refused.push(refusal(error, RowKind::Receipt)?);
            }
        }
    }
    Ok(())
}

async fn write_usage(
    on: &mut SqliteConnection,
    rows: &[UsageValues<'_>],
    refused: &mut Vec<Refused>,
) -> Result<(), sqlx::Error> {
    let (mut sums, mut groups) = (SumsOfRows::default(), GroupsOfRows::default());
    for rows in in_few_sizes(rows) {
        let Err(error) = usage::insert(&mut *on, rows).await else {
            rows.iter().for_each(|row| sums.add(row));
            rows.iter().for_each(|row| groups.add(row));
            continue;
        };
        refusal(error, RowKind::Usage)?;
        for row in rows {
            match usage::insert(&mut *on, &[*row]).await {
                Ok(()) => {
                    sums.add(row);
                    groups.add(row);
                }
                Err(error) => refused.push(refusal(error, RowKind::Usage)?),
            }
        }
    }
    for sums in in_few_sizes(&sums.into_rows()) {
        usage::add_to_sums(&mut *on, sums).await?;
    }
    for groups in in_few_sizes(&groups.into_rows()) {
        usage_groups::add_to_groups(&mut *on, groups).await?;
    }
    Ok(())
}

/// The failure of a statement that SQLite undid alone, because of one of its rows. Any other is the transaction's.
fn refusal(error: sqlx::Error, kind: RowKind) -> Result<Refused, sqlx::Error> {
    let failure = store_failure(&error);
    match failure.cause {
        Cause::Row => Ok(Refused { kind, failure }),
        _ => Err(error),
    }
}

/// Splits rows into runs of few different lengths, so that few different statements are prepared and cached.
fn in_few_sizes<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = ROWS_AT_ONCE.into_iter().find(|size| *size <= rows.len())?;
        let (now, rest) = rows.split_at(size);
        rows = rest;
        Some(now)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_rows_into_runs_in_order_without_loss() {
        for count in [0, 1, 3, 4, 37, 64, 200] {
            let rows: Vec<usize> = (0..count).collect();
            let runs: Vec<&[usize]> = in_few_sizes(&rows).collect();
            assert_eq!(runs.concat(), rows);
            assert!(runs.iter().all(|run| ROWS_AT_ONCE.contains(&run.len())));
        }
    }
}
