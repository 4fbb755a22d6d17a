//! Budgets and credits as operators define them.
//!
//! One form is written and read: in the ledger, over the admin API and by the command line. Money is a text in it, never a
//! JSON number.

use std::fmt;

use serde_json::{Map, Value};

use super::{Money, MoneyError, Offset, OffsetError, Period, Scope, ScopeError};
use crate::request::{Name, NameError};
use attest_core::UnixTime;

/// The part of the limit after which the operator is notified, unless given.
pub const SOFT_PERCENT: u8 = 70;
/// No budget is larger: a billion units, and a thousand billion tokens.
const MOST_MONEY: Money = Money::from_nanos(1_000_000_000_000_000_000);
const MOST_TOKENS: u64 = 1_000_000_000_000;

/// How much may be spent in each window, by whom, and on which model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    pub id: Name,
    pub scope: Scope,
    /// Only requests for this model count.
    pub model: Option<Name>,
    /// A day, a week, a month or the whole time.
    pub period: Period,
    /// Where its days begin.
    pub offset: Offset,
    pub terms: BudgetTerms,
}

/// What of a budget can change while it keeps what was spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetTerms {
    pub limit: Amount,
    /// The part of the limit after which the operator is notified, in percent.
    pub soft_percent: u8,
    /// Whether requests are refused that it has no room for.
    pub hard: bool,
    /// Whether callers are shown what remains.
    pub visible: bool,
}

/// What a budget is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    Money(Money),
    Tokens(u64),
}

/// `12.5` or `12 tokens`.
impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Amount::Money(money) => money.fmt(f),
            Amount::Tokens(tokens) => write!(f, "{tokens} tokens"),
        }
    }
}

/// Money that a tenant or an organisation has paid in advance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// A tenant or an organisation.
    pub scope: Scope,
    pub amount: Money,
    /// `None`: it does not expire.
    pub expires_at: Option<UnixTime>,
}

/// Changes of a budget's terms. What is absent stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BudgetChanges {
    limit: Option<Amount>,
    soft_percent: Option<u8>,
    hard: Option<bool>,
    visible: Option<bool>,
}

/// Why something is no budget, no change of one, or no credit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BudgetError {
    #[error("{member:?} is not a member here; known members: {}", known.join(", "))]
    Unknown {
        member: String,
        known: &'static [&'static str],
    },
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("{member} must be {wanted}")]
    Type {
        member: &'static str,
        wanted: &'static str,
    },
    #[error("{0} must be a text such as \"12.50\": a number could lose digits")]
    MoneyType(&'static str),
    #[error("{member} {error}")]
    Money {
        member: &'static str,
        error: MoneyError,
    },
    #[error("{0} must be more than zero")]
    NotPositive(&'static str),
    #[error("{member} must be {most} at most")]
    TooLarge { member: &'static str, most: Amount },
    #[error("{member} {error}")]
    Name {
        member: &'static str,
        error: NameError,
    },
    #[error("scope {0}")]
    Scope(#[from] ScopeError),
    #[error("period must be \"day\", \"week\", \"month\" or \"total\"")]
    Period,
    #[error("time_zone {0}")]
    TimeZone(#[from] OffsetError),
    #[error("soft_percent must be from 1 to 100")]
    SoftPercent,
    #[error("needs exactly one of money and tokens")]
    Limit,
    #[error("has nothing to change")]
    NoChange,
    #[error("scope must be a tenant or an organisation: \"tenant:NAME\" or \"organisation:NAME\"")]
    CreditScope,
}

const TERMS: [&str; 5] = ["money", "tokens", "soft_percent", "hard", "visible"];
const MEMBERS: [&str; 10] = [
    "id",
    "scope",
    "model",
    "period",
    "time_zone",
    "money",
    "tokens",
    "soft_percent",
    "hard",
    "visible",
];
const CREDIT_MEMBERS: [&str; 3] = ["scope", "amount", "expires_at"];

impl Budget {
    /// Reads a budget. An absent `model` is any model, an absent `time_zone` is UTC; a budget is hard, is not shown, and
    /// notifies at [`SOFT_PERCENT`] unless it says otherwise.
    pub fn read(members: &Map<String, Value>) -> Result<Self, BudgetError> {
        let members = Members::new(members, &MEMBERS)?;
        let id = members.name("id")?.ok_or(BudgetError::Missing("id"))?;
        let scope = members
            .text("scope")?
            .ok_or(BudgetError::Missing("scope"))?;
        let period = members
            .text("period")?
            .ok_or(BudgetError::Missing("period"))?;
        let period = Period::parse(period).filter(|period| {
            matches!(
                period,
                Period::Day | Period::Week | Period::Month | Period::Total
            )
        });
        let offset = members.text("time_zone")?.map(str::parse).transpose()?;
        let changes = changes(&members)?;
        Ok(Self {
            id,
            scope: scope.parse()?,
            model: members.name("model")?,
            period: period.ok_or(BudgetError::Period)?,
            offset: offset.unwrap_or(Offset::UTC),
            terms: BudgetTerms {
                limit: changes.limit.ok_or(BudgetError::Limit)?,
                soft_percent: changes.soft_percent.unwrap_or(SOFT_PERCENT),
                hard: changes.hard.unwrap_or(true),
                visible: changes.visible.unwrap_or(false),
            },
        })
    }

    /// As [`read`](Self::read) reads it.
    pub fn written(&self) -> Map<String, Value> {
        let BudgetTerms {
            limit,
            soft_percent,
            hard,
            visible,
        } = self.terms;
        let mut members = Map::new();
        let mut add = |name: &str, value: Value| members.insert(name.to_owned(), value);
        add("id", self.id.as_str().into());
        add("scope", self.scope.to_string().into());
        if let Some(model) = &self.model {
            add("model", model.as_str().into());
        }
        add("period", self.period.as_str().into());
        add("time_zone", self.offset.to_string().into());
        match limit {
            Amount::Money(money) => add("money", money.to_string().into()),
            Amount::Tokens(tokens) => add("tokens", tokens.into()),
        };
        add("soft_percent", soft_percent.into());
        add("hard", hard.into());
        add("visible", visible.into());
        members
    }
}

impl BudgetChanges {
    /// Reads a change: any of a budget's terms, and nothing else of it.
    pub fn read(members: &Map<String, Value>) -> Result<Self, BudgetError> {
        let changes = changes(&Members::new(members, &TERMS)?)?;
        match changes == Self::default() {
            true => Err(BudgetError::NoChange),
            false => Ok(changes),
        }
    }

    pub fn apply(self, terms: &mut BudgetTerms) {
        terms.limit = self.limit.unwrap_or(terms.limit);
        terms.soft_percent = self.soft_percent.unwrap_or(terms.soft_percent);
        terms.hard = self.hard.unwrap_or(terms.hard);
        terms.visible = self.visible.unwrap_or(terms.visible);
    }

    /// What changes, for the audit log.
    pub fn members(&self) -> Vec<&'static str> {
        let all = [
            ("limit", self.limit.is_some()),
            ("soft_percent", self.soft_percent.is_some()),
            ("hard", self.hard.is_some()),
            ("visible", self.visible.is_some()),
        ];
        let present = all.into_iter().filter(|(_, present)| *present);
        present.map(|(name, _)| name).collect()
    }
}

impl Grant {
    /// Reads scope and amount. The expiry is read by the caller, who knows the time.
    pub fn read(members: &Map<String, Value>) -> Result<(Self, Option<&str>), BudgetError> {
        let members = Members::new(members, &CREDIT_MEMBERS)?;
        let scope = members
            .text("scope")?
            .ok_or(BudgetError::Missing("scope"))?;
        let scope: Scope = scope.parse()?;
        if !matches!(scope, Scope::Tenant(_) | Scope::Organisation(_)) {
            return Err(BudgetError::CreditScope);
        }
        let amount = members.money("amount")?;
        let grant = Self {
            scope,
            amount: amount.ok_or(BudgetError::Missing("amount"))?,
            expires_at: None,
        };
        Ok((grant, members.text("expires_at")?))
    }
}

fn changes(members: &Members<'_>) -> Result<BudgetChanges, BudgetError> {
    let limit = match (members.money("money")?, members.tokens("tokens")?) {
        (Some(money), None) => Some(Amount::Money(money)),
        (None, Some(tokens)) => Some(Amount::Tokens(tokens)),
        (None, None) => None,
        (Some(_), Some(_)) => return Err(BudgetError::Limit),
    };
    Ok(BudgetChanges {
        limit,
        soft_percent: members.percent("soft_percent")?,
        hard: members.flag("hard")?,
        visible: members.flag("visible")?,
    })
}

/// The members of a JSON object, all of which are known. `null` is as good as absent.
struct Members<'a>(&'a Map<String, Value>);

impl<'a> Members<'a> {
    fn new(
        members: &'a Map<String, Value>,
        known: &'static [&'static str],
    ) -> Result<Self, BudgetError> {
        let unknown = members.keys().find(|name| !known.contains(&name.as_str()));
        match unknown {
            Some(member) => Err(BudgetError::Unknown {
                member: member.clone(),
                known,
            }),
            None => Ok(Self(members)),
        }
    }

    fn get(&self, member: &str) -> Option<&'a Value> {
        self.0.get(member).filter(|value| !value.is_null())
    }

    fn text(&self, member: &'static str) -> Result<Option<&'a str>, BudgetError> {
        let wanted = "a text";
        let text = |value: &'a Value| value.as_str().ok_or(BudgetError::Type { member, wanted });
        self.get(member).map(text).transpose()
    }

    fn name(&self, member: &'static str) -> Result<Option<Name>, BudgetError> {
        let name =
            |text| Name::from_operator(text).map_err(|error| BudgetError::Name { member, error });
        self.text(member)?.map(name).transpose()
    }

    fn flag(&self, member: &'static str) -> Result<Option<bool>, BudgetError> {
        let wanted = "true or false";
        let flag = |value: &Value| value.as_bool().ok_or(BudgetError::Type { member, wanted });
        self.get(member).map(flag).transpose()
    }

    fn percent(&self, member: &'static str) -> Result<Option<u8>, BudgetError> {
        let percent = |value: &Value| {
            let number = value.as_u64().filter(|number| (1..=100).contains(number));
            let number = number.and_then(|number| u8::try_from(number).ok());
            number.ok_or(BudgetError::SoftPercent)
        };
        self.get(member).map(percent).transpose()
    }

    fn tokens(&self, member: &'static str) -> Result<Option<u64>, BudgetError> {
        let Some(value) = self.get(member) else {
            return Ok(None);
        };
        let wanted = "a whole number";
        match value.as_u64() {
            _ if value.as_i64().is_some_and(|number| number <= 0) => {
                Err(BudgetError::NotPositive(member))
            }
            Some(tokens) if tokens > MOST_TOKENS => Err(BudgetError::TooLarge {
                member,
                most: Amount::Tokens(MOST_TOKENS),
            }),
            Some(tokens) => Ok(Some(tokens)),
            None => Err(BudgetError::Type { member, wanted }),
        }
    }

    fn money(&self, member: &'static str) -> Result<Option<Money>, BudgetError> {
        let Some(value) = self.get(member) else {
            return Ok(None);
        };
        let text = value.as_str().ok_or(BudgetError::MoneyType(member))?;
        let money: Money = text
            .parse()
            .map_err(|error| BudgetError::Money { member, error })?;
        match money {
            money if money <= Money::ZERO => Err(BudgetError::NotPositive(member)),
            money if money > MOST_MONEY => Err(BudgetError::TooLarge {
                member,
                most: Amount::Money(MOST_MONEY),
            }),
            money => Ok(Some(money)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn members(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(members) => members,
            other => panic!("{other}"),
        }
    }

    fn minimal() -> Map<String, Value> {
        members(json!({ "id": "b", "scope": "tenant:acme", "period": "month", "money": "12.50" }))
    }

    #[test]
    fn a_budget_is_read_as_it_is_written() {
        for value in [
            json!({
                "id": "b", "scope": "total", "period": "total", "time_zone": "UTC", "tokens": 5,
                "soft_percent": 70, "hard": true, "visible": false,
            }),
            json!({
                "id": "a/b", "scope": "user:acme#alice", "model": "m", "period": "day", "time_zone": "+02:00",
                "money": "0.000000001", "soft_percent": 100, "hard": false, "visible": true,
            }),
        ] {
            let written = members(value);
            let budget = Budget::read(&written).expect("a budget");
            assert_eq!(budget.written(), written);
        }
    }

    #[test]
    fn what_is_absent_has_a_default() {
        let budget = Budget::read(&minimal()).expect("a budget");
        let terms = BudgetTerms {
            limit: Amount::Money("12.5".parse().expect("an amount")),
            soft_percent: 70,
            hard: true,
            visible: false,
        };
        assert_eq!(
            (budget.terms, budget.offset, budget.model),
            (terms, Offset::UTC, None)
        );
    }

    #[test]
    fn rejects_a_budget_with_the_member_that_is_wrong() {
        let type_error = |member, wanted| BudgetError::Type { member, wanted };
        for (member, value, error) in [
            (
                "limt",
                json!(1),
                BudgetError::Unknown {
                    member: "limt".to_owned(),
                    known: &MEMBERS,
                },
            ),
            ("id", json!(null), BudgetError::Missing("id")),
            (
                "id",
                json!("a b"),
                BudgetError::Name {
                    member: "id",
                    error: NameError::Character(' '),
                },
            ),
            ("id", json!(7), type_error("id", "a text")),
            (
                "scope",
                json!("team:x"),
                BudgetError::Scope(ScopeError::Form),
            ),
            (
                "model",
                json!(""),
                BudgetError::Name {
                    member: "model",
                    error: NameError::Empty,
                },
            ),
            ("period", json!("hour"), BudgetError::Period),
            ("period", json!("year"), BudgetError::Period),
            (
                "time_zone",
                json!("Europe/Berlin"),
                BudgetError::TimeZone(OffsetError),
            ),
            ("money", json!(12.5), BudgetError::MoneyType("money")),
            ("money", json!(12), BudgetError::MoneyType("money")),
            ("money", json!("-1"), BudgetError::NotPositive("money")),
            ("money", json!("0"), BudgetError::NotPositive("money")),
            (
                "money",
                json!("1e3"),
                BudgetError::Money {
                    member: "money",
                    error: MoneyError::Form,
                },
            ),
            (
                "money",
                json!("1000000000.1"),
                BudgetError::TooLarge {
                    member: "money",
                    most: Amount::Money(MOST_MONEY),
                },
            ),
            ("money", json!(null), BudgetError::Limit),
            ("tokens", json!(5), BudgetError::Limit),
            ("soft_percent", json!(0), BudgetError::SoftPercent),
            ("soft_percent", json!(101), BudgetError::SoftPercent),
            ("soft_percent", json!(70.5), BudgetError::SoftPercent),
            ("hard", json!("yes"), type_error("hard", "true or false")),
        ] {
            let mut members = minimal();
            members.insert(member.to_owned(), value);
            assert_eq!(Budget::read(&members), Err(error), "{members:?}");
        }
        for (tokens, error) in [
            (json!(-5), BudgetError::NotPositive("tokens")),
            (json!(0), BudgetError::NotPositive("tokens")),
            (json!(1.5), type_error("tokens", "a whole number")),
            (json!("5"), type_error("tokens", "a whole number")),
            (
                json!(1_000_000_000_001_u64),
                BudgetError::TooLarge {
                    member: "tokens",
                    most: Amount::Tokens(MOST_TOKENS),
                },
            ),
        ] {
            let mut members = minimal();
            members.remove("money");
            members.insert("tokens".to_owned(), tokens);
            assert_eq!(Budget::read(&members), Err(error), "{members:?}");
        }
    }

    #[test]
    fn a_change_names_terms_only() {
        let read = |value| BudgetChanges::read(&members(value));
        let changes = read(json!({ "tokens": 9, "visible": true })).expect("a change");
        let mut terms = Budget::read(&minimal()).expect("a budget").terms;
        changes.apply(&mut terms);
        assert_eq!(
            (terms.limit, terms.visible, terms.hard),
            (Amount::Tokens(9), true, true)
        );
        assert_eq!(changes.members(), ["limit", "visible"]);
        assert_eq!(read(json!({})), Err(BudgetError::NoChange));
        let period = BudgetError::Unknown {
            member: "period".to_owned(),
            known: &TERMS,
        };
        assert_eq!(read(json!({ "period": "day" })), Err(period));
    }

    #[test]
    fn a_credit_belongs_to_a_tenant_or_an_organisation() {
        let members =
            |scope: &str| members(json!({ "scope": scope, "amount": "5", "expires_at": "90d" }));
        for scope in ["tenant:acme", "organisation:acme"] {
            let members = members(scope);
            let (grant, expiry) = Grant::read(&members).expect("a credit");
            assert_eq!(
                (grant.scope.to_string().as_str(), expiry),
                (scope, Some("90d"))
            );
        }
        for scope in ["total", "key:001122334455", "user:acme#alice"] {
            assert_eq!(Grant::read(&members(scope)), Err(BudgetError::CreditScope));
        }
    }
}
