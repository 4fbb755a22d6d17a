//! What tokens, requests and images of a model cost, from which time on.

use std::collections::BTreeMap;
use std::path::PathBuf;

use attest_core::{Sha256Digest, UnixTime};

use super::Money;
use crate::request::Name;

/// The price table: a file that the configuration names.
#[derive(Clone, Debug, PartialEq)]
pub struct PriceTable {
    pub file: PathBuf,
    /// Of the file's content.
    pub digest: Sha256Digest,
    /// The unit of all amounts, as the operator calls it.
    pub currency: Name,
    prices: BTreeMap<Name, Vec<Price>>,
}

/// What one model costs from a time on, until a later price of the same model and upstream begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    pub model: Name,
    /// Only if this upstream serves it.
    pub upstream: Option<Name>,
    /// `None`: it was never otherwise.
    pub effective_from: Option<UnixTime>,
    pub rates: Rates,
}

/// What things cost. Tokens are priced by the million.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    pub input: Money,
    pub output: Money,
    /// Tokens of the prompt that the upstream found in its cache.
    pub cached_input: Money,
    /// Tokens of the answer that the caller does not see.
    pub reasoning: Money,
    pub request: Money,
    /// An image of the prompt.
    pub image: Money,
}

/// What is priced of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quantity {
    pub prompt_tokens: u64,
    /// How many of them were in the upstream's cache.
    pub cached_tokens: u64,
    pub completion_tokens: u64,
    /// How many of them the caller does not see.
    pub reasoning_tokens: u64,
    pub images: u64,
}

impl Quantity {
    /// All tokens.
    pub fn tokens(&self) -> u64 {
        self.prompt_tokens.saturating_add(self.completion_tokens)
    }
}

impl Rates {
    /// What this costs. Each part is rounded up to a billionth.
    pub fn cost(&self, quantity: &Quantity) -> Money {
        let cached = quantity.cached_tokens.min(quantity.prompt_tokens);
        let reasoning = quantity.reasoning_tokens.min(quantity.completion_tokens);
        self.request
            .plus(self.input.per_million(quantity.prompt_tokens - cached))
            .plus(self.cached_input.per_million(cached))
            .plus(
                self.output
                    .per_million(quantity.completion_tokens - reasoning),
            )
            .plus(self.reasoning.per_million(reasoning))
            .plus(self.image.times(quantity.images))
    }
}

impl Rates {
    /// The most that a request of this size costs, whatever of it is cached or reasoning.
    pub fn most(&self, quantity: &Quantity) -> Money {
        let dearest = Rates {
            input: self.input.max(self.cached_input),
            output: self.output.max(self.reasoning),
            ..*self
        };
        dearest.cost(&Quantity {
            cached_tokens: 0,
            reasoning_tokens: 0,
            ..*quantity
        })
    }
}

impl PriceTable {
    /// `prices` has no two that begin at the same time for the same model and upstream.
    pub fn new(
        file: PathBuf,
        digest: Sha256Digest,
        currency: Name,
        prices: impl IntoIterator<Item = Price>,
    ) -> Self {
        let mut by_model: BTreeMap<Name, Vec<Price>> = BTreeMap::new();
        for price in prices {
            by_model.entry(price.model.clone()).or_default().push(price);
        }
        // The latest first: the first that has begun applies.
        for prices in by_model.values_mut() {
            prices.sort_by_key(|price| std::cmp::Reverse(price.effective_from));
        }
        Self {
            file,
            digest,
            currency,
            prices: by_model,
        }
    }

    /// All prices.
    pub fn prices(&self) -> impl Iterator<Item = &Price> {
        self.prices.values().flatten()
    }

    /// What the model costs at this time if this upstream serves it: by the upstream's own price, or else by the model's.
    pub fn rates(&self, model: &Name, upstream: &Name, at: UnixTime) -> Option<&Rates> {
        let prices = self.prices.get(model)?;
        let begun = |price: &&Price| price.effective_from.is_none_or(|from| from <= at);
        let of = |wanted: Option<&Name>| {
            let mut begun = prices.iter().filter(begun);
            begun.find(|price| price.upstream.as_ref() == wanted)
        };
        let price = of(Some(upstream)).or_else(|| of(None))?;
        Some(&price.rates)
    }

    /// Whether the model has a price at this upstream, now or later.
    pub fn has_price(&self, model: &Name, upstream: &Name) -> bool {
        let mut prices = self.prices.get(model).into_iter().flatten();
        prices.any(|price| price.upstream.as_ref().is_none_or(|own| own == upstream))
    }

    /// Whether any price of the model is for images.
    pub fn prices_images(&self, model: &Name) -> bool {
        let mut prices = self.prices.get(model).into_iter().flatten();
        prices.any(|price| price.rates.image > Money::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> Name {
        Name::from_operator(text).expect("a name")
    }

    fn money(text: &str) -> Money {
        text.parse().expect("an amount")
    }

    fn rates(input: &str) -> Rates {
        Rates {
            input: money(input),
            output: money("10"),
            cached_input: money("0.5"),
            reasoning: money("20"),
            request: money("0.001"),
            image: money("0.01"),
        }
    }

    fn price(upstream: Option<&str>, from: Option<u64>, input: &str) -> Price {
        Price {
            model: name("m"),
            upstream: upstream.map(name),
            effective_from: from.map(UnixTime::from_secs),
            rates: rates(input),
        }
    }

    #[test]
    fn each_part_of_a_request_has_its_own_price() {
        let quantity = Quantity {
            prompt_tokens: 1_000_000,
            cached_tokens: 400_000,
            completion_tokens: 200_000,
            reasoning_tokens: 100_000,
            images: 3,
        };
        // 0.001 + 0.6 × 2 + 0.4 × 0.5 + 0.1 × 10 + 0.1 × 20 + 3 × 0.01
        assert_eq!(rates("2").cost(&quantity), money("4.431"));
        let more_than_all = Quantity {
            cached_tokens: 9,
            prompt_tokens: 1,
            reasoning_tokens: 9,
            completion_tokens: 1,
            images: 0,
        };
        assert_eq!(rates("2").cost(&more_than_all), money("0.0010205"));
    }

    #[test]
    fn the_latest_price_that_has_begun_applies_and_an_upstreams_own_comes_first() {
        let table = PriceTable::new(
            PathBuf::new(),
            Sha256Digest::hash(b""),
            name("USD"),
            [
                price(None, None, "1"),
                price(None, Some(200), "3"),
                price(None, Some(100), "2"),
                price(Some("up"), Some(150), "9"),
            ],
        );
        let input = |upstream: &str, at: u64| {
            let rates = table.rates(&name("m"), &name(upstream), UnixTime::from_secs(at));
            rates.map(|rates| rates.input.to_string())
        };
        for (upstream, at, expected) in [
            ("other", 99, "1"),
            ("other", 100, "2"),
            ("other", 199, "2"),
            ("other", 200, "3"),
            ("up", 149, "2"),
            ("up", 150, "9"),
            ("up", 1000, "9"),
        ] {
            assert_eq!(
                input(upstream, at).as_deref(),
                Some(expected),
                "{upstream} {at}"
            );
        }
        let unknown = table.rates(&name("n"), &name("up"), UnixTime::from_secs(0));
        assert_eq!(unknown, None);
        assert!(table.prices_images(&name("m")) && !table.prices_images(&name("n")));
    }

    proptest! {
        #[test]
        fn a_cost_is_the_exact_one_rounded_up_by_less_than_a_billionth_for_each_part(
            prices in prop::array::uniform4(0..1_000_000_000_000i64),
            tokens in prop::array::uniform4(0..10_000_000u64),
        ) {
            let [input, output, cached_input, reasoning] = prices.map(Money::from_nanos);
            let rates = Rates { input, output, cached_input, reasoning, request: Money::ZERO, image: Money::ZERO };
            let [plain, cached, visible, hidden] = tokens;
            let quantity = Quantity {
                prompt_tokens: plain + cached,
                cached_tokens: cached,
                completion_tokens: visible + hidden,
                reasoning_tokens: hidden,
                images: 0,
            };
            let pairs = [(prices[0], plain), (prices[2], cached), (prices[1], visible), (prices[3], hidden)];
            let millionths: i128 = pairs.iter().map(|(price, count)| i128::from(*price) * i128::from(*count)).sum();
            let cost = i128::from(rates.cost(&quantity).nanos()) * 1_000_000;
            prop_assert!(cost >= millionths && cost < millionths + 4_000_000);
        }
    }
}
