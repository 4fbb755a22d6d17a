//! Words that limits, prices and budgets share: to whom a limit applies ([`Scope`]), amounts of money ([`Money`]) and the
//! windows of time that are counted in ([`Period`]).

mod money;
mod period;
mod scope;

pub use money::{Money, MoneyError};
pub use period::{Offset, OffsetError, Period, Window};
pub use scope::{Scope, ScopeError};
