//! Sets of rules of one policy.

/// The most rules of a policy.
pub const MAX_RULES: usize = 64 * WORDS;
const WORDS: usize = 8;

/// A set of rules, by their places in the policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RuleSet([u64; WORDS]);

impl RuleSet {
    pub(crate) const EMPTY: Self = Self([0; WORDS]);

    /// The rules for which `holds` is true.
    pub(crate) fn where_true<R>(rules: &[R], holds: impl Fn(&R) -> bool) -> Self {
        let mut set = Self::default();
        for (place, rule) in rules.iter().enumerate() {
            if holds(rule) {
                set.insert(place);
            }
        }
        set
    }

    pub(crate) fn insert(&mut self, place: usize) {
        if let Some(word) = self.0.get_mut(place / 64) {
            *word |= 1 << (place % 64);
        }
    }

    pub(crate) fn remove(&mut self, place: usize) {
        if let Some(word) = self.0.get_mut(place / 64) {
            *word &= !(1 << (place % 64));
        }
    }

    /// Removes what is not in `other`.
    pub(crate) fn intersect(&mut self, other: &Self) {
        for (word, other) in self.0.iter_mut().zip(&other.0) {
            *word &= other;
        }
    }

    pub(crate) fn extend(&mut self, other: &Self) {
        for (word, other) in self.0.iter_mut().zip(&other.0) {
            *word |= other;
        }
    }

    #[must_use]
    pub(crate) fn and(mut self, other: &Self) -> Self {
        self.intersect(other);
        self
    }

    /// The first of them, in the order of the policy.
    pub(crate) fn first(&self) -> Option<usize> {
        self.places().next()
    }

    /// Their places, in the order of the policy.
    pub(crate) fn places(&self) -> impl Iterator<Item = usize> + '_ {
        let words = self.0.iter().enumerate();
        words.flat_map(|(index, word)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                let place = left.trailing_zeros();
                // Zero has no lowest bit.
                left &= left.checked_sub(1)?;
                Some(64 * index + place as usize)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(places: &[usize]) -> RuleSet {
        let mut set = RuleSet::default();
        places.iter().for_each(|place| set.insert(*place));
        set
    }

    #[test]
    fn a_set_has_its_rules_in_the_order_of_the_policy() {
        let some = set(&[511, 0, 64, 63]);
        assert_eq!(some.places().collect::<Vec<_>>(), [0, 63, 64, 511]);
        assert_eq!((some.first(), RuleSet::default().first()), (Some(0), None));
        let mut less = some;
        less.remove(0);
        assert_eq!(less.first(), Some(63));
    }

    #[test]
    fn sets_are_intersected_and_united() {
        let (a, b) = (set(&[1, 2, 100]), set(&[2, 100, 300]));
        assert_eq!(a.and(&b), set(&[2, 100]));
        let mut both = a;
        both.extend(&b);
        assert_eq!(both, set(&[1, 2, 100, 300]));
    }
}
