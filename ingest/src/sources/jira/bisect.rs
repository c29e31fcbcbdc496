//! Batches that the site can't serve: fetched in halves, down to the records that spoil them.
//!
//! A site that is down spoils every batch too. So before a batch is split, and before a record is
//! given up, the endpoint is asked about a record that doesn't exist: when it can't say that, the
//! failure is the site's. The same holds when too many records of a batch fail.

use futures::future::BoxFuture;

use crate::http::Patience;
use crate::{Error, Result};

/// An id that no record has: those of a site begin at 10000.
const ABSENT: [i64; 1] = [1];

/// Most records of a batch that may be the ones to blame.
const MOST_SPOILED: usize = 10;

/// What the parts of a batch gave.
#[derive(Debug)]
pub(crate) struct Served<T> {
    pub(crate) answers: Vec<T>,
    /// Records that the site can't serve, with what it says instead.
    pub(crate) spoiled: Vec<(i64, String)>,
}

impl<T> Default for Served<T> {
    fn default() -> Self {
        Self {
            answers: Vec::new(),
            spoiled: Vec::new(),
        }
    }
}

impl<T> Served<T> {
    pub(super) fn extend(&mut self, more: Self) {
        self.answers.extend(more.answers);
        self.spoiled.extend(more.spoiled);
    }
}

/// Asks about records at once, in halves where that fails.
pub(super) async fn in_halves<'i, T>(
    ids: &'i [i64],
    ask: impl Fn(&'i [i64], Patience) -> BoxFuture<'i, Result<T>>,
) -> Result<Served<T>> {
    let (mut answers, mut spoiled) = (Vec::new(), Vec::new());
    let mut parts = vec![(ids, Patience::Patient)];
    while let Some((part, patience)) = parts.pop() {
        let error = match ask(part, patience).await {
            Ok(answer) => {
                answers.push(answer);
                continue;
            }
            Err(error) if !may_be_spoiled(&error) => return Err(error),
            Err(error) => error,
        };
        let is_large = matches!(error, Error::TooLarge { .. });
        let is_new = patience == Patience::Patient || part.len() == 1;
        if !is_large && is_new && !answers_at_all(&ask).await? {
            return Err(error);
        }
        if let [id] = part {
            spoiled.push((*id, format!("it spoils every batch: {error}")));
            if spoiled.len() > MOST_SPOILED {
                return Err(error);
            }
            continue;
        }
        let (left, right) = part.split_at(part.len() / 2);
        let patience = if is_large { patience } else { Patience::Part };
        parts.extend([(right, patience), (left, patience)]);
    }
    Ok(Served { answers, spoiled })
}

/// Whether a smaller batch may succeed where this one failed.
fn may_be_spoiled(error: &Error) -> bool {
    matches!(
        error,
        Error::TooLarge { .. }
            | Error::Failing { .. }
            | Error::BadPage { .. }
            | Error::TimedOut { .. }
            | Error::Unreachable { .. }
    )
}

/// Whether the endpoint answers about a record that doesn't exist.
async fn answers_at_all<'i, T>(
    ask: &impl Fn(&'i [i64], Patience) -> BoxFuture<'i, Result<T>>,
) -> Result<bool> {
    match ask(&ABSENT, Patience::Part).await {
        Ok(_) | Err(Error::Refused { .. }) => Ok(true),
        Err(error) if may_be_spoiled(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures::FutureExt;

    use super::*;
    use crate::Call;

    fn failing() -> Error {
        let call = Call {
            method: "POST",
            url: "https://x/bulk".into(),
        };
        Error::Failing {
            call: Box::new(call),
            status: 500,
            tries: 5,
        }
    }

    /// What comes back, and how often was asked, when batches with some ids fail.
    async fn served(ids: &[i64], bad: &[i64]) -> (Result<Served<Vec<i64>>>, usize) {
        let asked = Mutex::new(0);
        let outcome = in_halves(ids, |part, _| {
            *asked.lock().unwrap() += 1;
            let fails = part.iter().any(|id| bad.contains(id));
            let answer = if fails {
                Err(failing())
            } else {
                Ok(part.to_vec())
            };
            async move { answer }.boxed()
        })
        .await;
        let asked = *asked.lock().unwrap();
        (outcome, asked)
    }

    #[tokio::test]
    async fn all_but_the_spoiled_records_are_served() {
        let ids: Vec<i64> = (10_000..10_100).collect();
        let (outcome, asked) = served(&ids, &[]).await;
        assert_eq!((outcome.unwrap().answers.concat(), asked), (ids.clone(), 1));
        let (outcome, asked) = served(&ids, &[10_042]).await;
        let outcome = outcome.unwrap();
        let expected: Vec<i64> = ids.iter().copied().filter(|id| *id != 10_042).collect();
        assert_eq!(outcome.answers.concat(), expected);
        assert_eq!(outcome.spoiled.len(), 1);
        assert_eq!(outcome.spoiled[0].0, 10_042);
        assert!(outcome.spoiled[0].1.contains("500 to POST https://x/bulk"));
        assert!(asked <= 20, "{asked}");
    }

    #[tokio::test]
    async fn an_endpoint_that_is_down_is_not_asked_in_halves() {
        let ids: Vec<i64> = (10_000..10_100).collect();
        let mut all = ids.clone();
        all.extend(ABSENT);
        let (outcome, asked) = served(&ids, &all).await;
        assert!(matches!(outcome, Err(Error::Failing { .. })));
        assert_eq!(asked, 2);
        // One that fails for every record that exists is given up as well.
        let (outcome, asked) = served(&ids, &ids).await;
        assert!(matches!(outcome, Err(Error::Failing { .. })));
        assert!(asked <= 60, "{asked}");
    }
}
