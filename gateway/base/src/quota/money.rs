//! Amounts of money. Never a float: sums have to be exact.

use std::fmt;
use std::str::FromStr;

/// Billionths of the unit in which the price table is written (US dollars, for example). Up to some nine billion units
/// either way; sums that would leave that range stop at its end.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Money(i64);

/// Why a text is no amount of money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    #[error("is not a decimal number such as \"12.50\"")]
    Form,
    #[error("has more than nine digits after the point")]
    Precision,
    #[error("is out of range")]
    Range,
}

const DIGITS: usize = 9;
const UNIT: i64 = 1_000_000_000;

impl Money {
    pub const ZERO: Self = Self(0);
    pub const MAX: Self = Self(i64::MAX);

    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    pub const fn nanos(self) -> i64 {
        self.0
    }

    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    pub const fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// What `count` tokens cost, if a million of them cost this much. Rounded up: what is used is never free.
    pub fn per_million(self, count: u64) -> Self {
        let nanos = i128::from(self.0) * i128::from(count);
        let million = 1_000_000;
        let rounded = nanos.div_euclid(million) + i128::from(nanos.rem_euclid(million) > 0);
        Self(i64::try_from(rounded).unwrap_or(i64::MAX))
    }

    /// This much, `count` times.
    pub fn times(self, count: u64) -> Self {
        let nanos = i128::from(self.0) * i128::from(count);
        Self(i64::try_from(nanos).unwrap_or(i64::MAX))
    }
}

impl FromStr for Money {
    type Err = MoneyError;

    /// Decimal digits with an optional sign and fraction: no exponent, no separators, no currency.
    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !is_number(whole) || !is_number(fraction) {
            return Err(MoneyError::Form);
        }
        let fraction = fraction.trim_end_matches('0');
        if fraction.len() > DIGITS {
            return Err(MoneyError::Precision);
        }
        let whole: i64 = whole.parse().map_err(|_| MoneyError::Range)?;
        let nanos: i64 = format!("{fraction:0<DIGITS$}")
            .parse()
            .map_err(|_| MoneyError::Form)?;
        let amount = whole
            .checked_mul(UNIT)
            .and_then(|whole| whole.checked_add(nanos))
            .ok_or(MoneyError::Range)?;
        Ok(Self(if negative { -amount } else { amount }))
    }
}

/// Without superfluous zeros: `12.5`, `-0.000000001`, `3`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let amount = self.0.unsigned_abs();
        let (whole, nanos) = (amount / UNIT.unsigned_abs(), amount % UNIT.unsigned_abs());
        if nanos == 0 {
            return write!(f, "{sign}{whole}");
        }
        let fraction = format!("{nanos:0DIGITS$}");
        write!(f, "{sign}{whole}.{}", fraction.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn amounts_are_decimal() {
        for (text, nanos, written) in [
            ("0", 0, "0"),
            ("-0", 0, "0"),
            ("12.50", 12_500_000_000, "12.5"),
            ("0.000000001", 1, "0.000000001"),
            ("-3.25", -3_250_000_000, "-3.25"),
            ("1.10000000000", 1_100_000_000, "1.1"),
            ("9223372036.854775807", i64::MAX, "9223372036.854775807"),
        ] {
            let money: Money = text.parse().expect(text);
            assert_eq!(
                (money.nanos(), money.to_string().as_str()),
                (nanos, written)
            );
        }
    }

    #[test]
    fn rejects_amounts_that_are_not_exact_decimals() {
        for (text, error) in [
            ("", MoneyError::Form),
            ("-", MoneyError::Form),
            (".5", MoneyError::Form),
            ("5.", MoneyError::Form),
            ("+5", MoneyError::Form),
            ("1e3", MoneyError::Form),
            ("1,000", MoneyError::Form),
            ("$5", MoneyError::Form),
            ("NaN", MoneyError::Form),
            ("0.0000000001", MoneyError::Precision),
            ("9223372036.854775808", MoneyError::Range),
            ("99999999999999999999", MoneyError::Range),
        ] {
            assert_eq!(text.parse::<Money>(), Err(error), "{text}");
        }
    }

    #[test]
    fn a_token_costs_a_part_of_the_price_of_a_million_rounded_up() {
        let price: Money = "0.15".parse().expect("a price");
        assert_eq!(price.per_million(1), Money::from_nanos(150));
        assert_eq!(price.per_million(0), Money::ZERO);
        assert_eq!(Money::from_nanos(1).per_million(1), Money::from_nanos(1));
        assert_eq!(Money::MAX.per_million(u64::MAX), Money::MAX);
        assert_eq!(Money::MAX.times(2), Money::MAX);
    }

    proptest! {
        #[test]
        fn every_amount_is_read_as_it_is_written(nanos in -i64::MAX..=i64::MAX) {
            let money = Money::from_nanos(nanos);
            prop_assert_eq!(money.to_string().parse::<Money>(), Ok(money));
        }
    }
}
