//! Usage by whatever it can be grouped by, in the table `usage_groups`: sums by hour, beside the rows of the table `usage`.
//!
//! Whole hours are read from the sums, the parts of an hour at the ends of a span from the rows. Both are changed in the
//! same transactions, so that groups add up to the rows.

use std::collections::BTreeMap;

use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, QueryBuilder, Row, Sqlite, SqliteExecutor};

use super::batch::UsageValues;
use super::columns::{corrupt, signed};
use super::usage::{HOUR, Sums, Usage, counted, cut};
use super::{in_ledger, usage};
use crate::error::StoreError;
use attest_core::UnixTime;
use gateway_base::quota::Money;

/// The most groups of one answer.
pub const MAX_GROUPS: usize = 10_000;
const DAY: i64 = 86_400;

/// What usage is grouped and filtered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dimension {
    Organisation,
    Tenant,
    User,
    Key,
    Model,
    Upstream,
    Endpoint,
    Scenario,
    Owner,
    Hour,
    Day,
}

impl Dimension {
    pub const ALL: [Dimension; 11] = [
        Dimension::Organisation,
        Dimension::Tenant,
        Dimension::User,
        Dimension::Key,
        Dimension::Model,
        Dimension::Upstream,
        Dimension::Endpoint,
        Dimension::Scenario,
        Dimension::Owner,
        Dimension::Hour,
        Dimension::Day,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Dimension::Organisation => "organisation",
            Dimension::Tenant => "tenant",
            Dimension::User => "user",
            Dimension::Key => "key",
            Dimension::Model => "model",
            Dimension::Upstream => "upstream",
            Dimension::Endpoint => "endpoint",
            Dimension::Scenario => "scenario",
            Dimension::Owner => "owner",
            Dimension::Hour => "hour",
            Dimension::Day => "day",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == text)
    }

    /// Whether it is a time and no name.
    pub const fn is_time(self) -> bool {
        matches!(self, Dimension::Hour | Dimension::Day)
    }

    /// What is selected for it.
    const fn expression(self) -> &'static str {
        match self {
            Dimension::User => "user_name",
            Dimension::Key => "key_id",
            Dimension::Hour => "at / 3600",
            Dimension::Day => "at / 86400",
            _ => self.as_str(),
        }
    }
}

/// Which usage, and how it is grouped.
#[derive(Clone, Debug, PartialEq)]
pub struct UsageQuery {
    pub since: UnixTime,
    pub until: UnixTime,
    /// Each once.
    pub by: Vec<Dimension>,
    /// Only requests with these values, which are no times; an empty text is where there is none.
    pub filters: Vec<(Dimension, String)>,
}

/// The sums of one group.
#[derive(Clone, Debug, PartialEq)]
pub struct UsageGroup {
    /// In the order of [`UsageQuery::by`].
    pub values: Vec<GroupValue>,
    pub requests: u64,
    /// Those of them that were not answered completely.
    pub failed: u64,
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
    /// What those of them cost that have a cost; `None` if none has.
    pub cost: Option<Money>,
    pub bytes_in: u64,
    pub bytes_out: u64,
}

/// What the requests of a group have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupValue {
    /// A name, an id or a word; `None` where the rows have none.
    Text(Option<String>),
    /// When the hour or the day begins.
    Time(UnixTime),
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum GroupsError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "more than {MAX_GROUPS} groups: narrow the span, add filters, or group by fewer dimensions"
    )]
    TooMany,
}

impl Usage<'_> {
    /// Usage in groups, sorted. Rows that cannot be written are not in it.
    pub async fn groups(&self, query: &UsageQuery) -> Result<Vec<UsageGroup>, GroupsError> {
        let _ = self.queue.in_tables().await;
        let groups = groups(self.pool, query).await.map_err(in_ledger)?;
        match groups.len() > MAX_GROUPS {
            true => Err(GroupsError::TooMany),
            false => Ok(groups),
        }
    }
}

const SUMS: &str =
    "requests, failed, prompt_tokens, completion_tokens, bytes_in, bytes_out, cost_nanos, priced";
const KEYS: &str =
    "tenant, organisation, user_name, key_id, model, upstream, endpoint, scenario, owner";

async fn groups(
    on: impl SqliteExecutor<'_>,
    query: &UsageQuery,
) -> Result<Vec<UsageGroup>, sqlx::Error> {
    let filters: String = query
        .filters
        .iter()
        .map(|(dimension, _)| format!(" AND {} = ?", dimension.expression()))
        .collect();
    let hours = format!(
        "SELECT hour * 3600 AS at, {KEYS}, {SUMS} FROM usage_groups WHERE hour >= ? AND hour < ?{filters}"
    );
    let rows =
        format!("SELECT at, {KEYS}, {SUMS} FROM usage_as_groups WHERE at >= ? AND at < ?{filters}");
    let values: Vec<String> = query
        .by
        .iter()
        .map(|dimension| format!("{} AS by_{}", dimension.expression(), dimension.as_str()))
        .collect();
    let places: Vec<String> = (1..=values.len()).map(|place| place.to_string()).collect();
    let grouped = match places.is_empty() {
        true => String::new(),
        false => format!("GROUP BY {0} ORDER BY {0}", places.join(", ")),
    };
    let sums = SUMS.split(", ").map(|sum| format!("SUM({sum}) AS {sum}"));
    let selected: Vec<String> = values.into_iter().chain(sums).collect();
    let text = format!(
        "SELECT {} FROM ({hours} UNION ALL {rows} UNION ALL {rows}) {grouped} LIMIT {}",
        selected.join(", "),
        MAX_GROUPS + 1
    );
    let (before, hours, after) = cut(query.since.secs()..query.until.secs(), HOUR);
    let mut statement = sqlx::query(AssertSqlSafe(text));
    for range in [hours, before, after] {
        statement = statement.bind(signed(range.start)).bind(signed(range.end));
        for (_, value) in &query.filters {
            statement = statement.bind(value.as_str());
        }
    }
    let rows = statement.fetch_all(on).await?;
    let groups = rows.iter().map(|row| read(row, &query.by));
    // Without a dimension there is one group, also of nothing.
    groups.filter_map(Result::transpose).collect()
}

/// `None`: a group of nothing.
fn read(row: &SqliteRow, by: &[Dimension]) -> Result<Option<UsageGroup>, sqlx::Error> {
    if row.try_get::<Option<i64>, _>("requests")?.unwrap_or(0) == 0 {
        return Ok(None);
    }
    let count = |column: &str| {
        let count: i64 = row.try_get(column)?;
        u64::try_from(count).map_err(|_| corrupt("usage count"))
    };
    let value = |dimension: &Dimension| {
        let column = format!("by_{}", dimension.as_str());
        group_value(row, *dimension, &column)
    };
    Ok(Some(UsageGroup {
        values: by.iter().map(value).collect::<Result<_, _>>()?,
        requests: count("requests")?,
        failed: count("failed")?,
        prompt_tokens: count("prompt_tokens")?,
        completion_tokens: count("completion_tokens")?,
        cost: (count("priced")? > 0)
            .then(|| row.try_get("cost_nanos").map(Money::from_nanos))
            .transpose()?,
        bytes_in: count("bytes_in")?,
        bytes_out: count("bytes_out")?,
    }))
}

fn group_value(
    row: &SqliteRow,
    dimension: Dimension,
    column: &str,
) -> Result<GroupValue, sqlx::Error> {
    let width = match dimension {
        Dimension::Hour => signed(HOUR),
        Dimension::Day => DAY,
        _ => {
            let text: String = row.try_get(column)?;
            return Ok(GroupValue::Text(Some(text).filter(|text| !text.is_empty())));
        }
    };
    let period: i64 = row.try_get(column)?;
    let secs = u64::try_from(period * width).map_err(|_| corrupt("usage time"))?;
    Ok(GroupValue::Time(UnixTime::from_secs(secs)))
}

/// The columns of a group, in the order of its table.
type Group<'a> = (i64, [&'a str; 9]);

/// What rows add to `usage_groups`.
#[derive(Default)]
pub(super) struct GroupsOfRows<'a>(BTreeMap<Group<'a>, Sums>);

impl<'a> GroupsOfRows<'a> {
    /// As the trigger `usage_grouped` counts a row.
    pub fn add(&mut self, row: &UsageValues<'a>) {
        let group = (
            row.at / signed(HOUR),
            [
                row.tenant,
                row.organisation.unwrap_or_default(),
                row.user_name.unwrap_or_default(),
                row.key_id.unwrap_or_default(),
                row.model.unwrap_or_default(),
                row.upstream.unwrap_or_default(),
                row.endpoint,
                row.scenario.unwrap_or_default(),
                row.owner.unwrap_or_default(),
            ],
        );
        let sums = self.0.entry(group).or_default();
        usage::add_sums(sums, counted(row));
    }

    pub fn into_rows(self) -> Vec<(Group<'a>, Sums)> {
        self.0.into_iter().collect()
    }
}

pub(super) async fn add_to_groups(
    on: impl SqliteExecutor<'_>,
    rows: &[(Group<'_>, Sums)],
) -> Result<(), sqlx::Error> {
    let mut insert =
        QueryBuilder::<Sqlite>::new(format!("INSERT INTO usage_groups (hour, {KEYS}, {SUMS}) "));
    insert.push_values(rows, |mut values, ((hour, keys), sums)| {
        values.push_bind(*hour);
        for key in keys {
            values.push_bind(*key);
        }
        for sum in sums {
            values.push_bind(*sum);
        }
    });
    let updates: Vec<String> = SUMS
        .split(", ")
        .map(|sum| format!("{sum} = {sum} + excluded.{sum}"))
        .collect();
    insert.push(format!(
        " ON CONFLICT (hour, {KEYS}) DO UPDATE SET {}",
        updates.join(", ")
    ));
    insert.build().execute(on).await?;
    Ok(())
}
