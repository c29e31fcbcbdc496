//! When paging ends. A short page is never taken for the last one: servers shrink pages.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

/// The next position of a listing paged by offset; `None` after the last page.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct NextOffset {
    /// Offset of the page that was read.
    pub(crate) start: u64,
    /// Records on it.
    pub(crate) got: u64,
    /// Whether the site called it the last.
    pub(crate) is_last: Option<bool>,
    /// How many records the site says there are.
    pub(crate) total: Option<u64>,
}

impl NextOffset {
    pub(crate) fn next(self) -> Option<u64> {
        let end = self.start + self.got;
        let done = self.got == 0
            || self.is_last == Some(true)
            || (self.is_last.is_none() && self.total.is_some_and(|total| end >= total));
        (!done).then_some(end)
    }
}

/// The page tokens that were seen, to notice a site that gives one twice.
#[derive(Debug, Default)]
pub(crate) struct Tokens(HashSet<u64>);

impl Tokens {
    /// Takes a token; `false` when it was seen before.
    pub(crate) fn is_new(&mut self, token: &str) -> bool {
        let mut hasher = DefaultHasher::new();
        token.hash(&mut hasher);
        self.0.insert(hasher.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_page_is_not_the_last() {
        let page = NextOffset {
            start: 0,
            got: 20,
            is_last: Some(false),
            total: Some(120),
        };
        assert_eq!(page.next(), Some(20));
        assert_eq!(
            NextOffset {
                is_last: Some(true),
                ..page
            }
            .next(),
            None
        );
        assert_eq!(
            NextOffset {
                start: 100,
                is_last: None,
                ..page
            }
            .next(),
            None
        );
        assert_eq!(
            NextOffset {
                is_last: None,
                total: None,
                ..page
            }
            .next(),
            Some(20)
        );
        assert_eq!(NextOffset { got: 0, ..page }.next(), None);
    }

    #[test]
    fn a_repeated_token_is_noticed() {
        let mut tokens = Tokens::default();
        assert!(tokens.is_new("a") && tokens.is_new("b") && !tokens.is_new("a"));
    }
}
