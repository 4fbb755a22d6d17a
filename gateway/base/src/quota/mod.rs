//! Words that limits, prices and budgets share: to whom a limit applies ([`Scope`]), rate
//! limits ([`Limit`]), amounts of money ([`Money`]), the
//! windows of time that are counted in ([`Period`]), what things cost ([`PriceTable`]) and what may be spent ([`Budget`]).

mod budget;
mod limit;
mod money;
mod period;
mod price;
mod refusal;
mod scope;
mod spending;

pub use budget::{Amount, Budget, BudgetChanges, BudgetError, BudgetTerms, Grant};
pub use limit::{Limit, LimitError, MAX_COUNT, WindowCounts, WrittenLimit};
pub use money::{Money, MoneyError};
pub use period::{Offset, OffsetError, Period, Window};
pub use price::{Price, PriceTable, Quantity, Rates};
pub use refusal::{Exhausted, LimitRefusal, RateState, RateWindow};
pub use scope::{Scope, ScopeError};
pub use spending::{AccountKey, NumberedBudget, NumberedGrant, Spending, Spent};
