//! Histories of full listings: which state a record had when.
//!
//! A listing is compared with the states that last now. What it shows otherwise ends a state and
//! begins another one at the instant the listing was received; so a listing that is recorded twice
//! changes nothing, and a killed run may record it again.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use schemas::{Contract, Row, VALID_FROM};
use serde_json::Value;

use super::compare::Comparer;
use super::{Commit, Tables, batch_to_rows, rows_to_batch, sql_text};
use crate::Result;

const VALID_TO: &str = "valid_to";
const IS_INITIAL: &str = "is_initial";
const DELETED_AT: &str = "deleted_at";

/// Columns that say when and how a state holds, not what it is.
const OF_THE_INTERVAL: [&str; 4] = [VALID_FROM, VALID_TO, IS_INITIAL, DELETED_AT];

/// What a full listing of a connection shows.
pub(super) struct Shown<'a> {
    pub(super) rows: &'a [Row],
    pub(super) received_at: DateTime<Utc>,
    /// Whether the contract has another version than the one that was recorded by last.
    pub(super) is_upgrade: bool,
}

impl Tables {
    /// Records in a history what a full listing of a connection shows.
    pub(super) async fn record(
        &self,
        history: &Contract,
        connection: &str,
        listing: &Shown<'_>,
        commit: &Commit,
    ) -> Result<()> {
        let delta = self.ensure(history).await?;
        let table = history.table();
        // The last state of every record, ended or not; the others don't matter.
        let filter = format!(
            "connection = {} and ({VALID_TO} is null or {DELETED_AT} is not null)",
            sql_text(connection)
        );
        let comparer = Comparer::new(history)?;
        let mut last = Vec::new();
        for batch in self.read(table, &delta, Some(filter), None).await? {
            last.extend(batch_to_rows(&comparer.conform(&batch)?)?);
        }
        let columns = history.columns().iter().map(|column| column.name.as_str());
        let of_the_record = columns.filter(|name| !OF_THE_INTERVAL.contains(name));
        // A column that the new version brought is empty so far.
        let is_empty = |name: &&str| {
            let mut values = last.iter().map(|row| row.get(*name));
            listing.is_upgrade && values.all(|value| value.is_none_or(Value::is_null))
        };
        let (added, known) = of_the_record.partition(is_empty);
        let listing = Listing {
            shown: shown(history, listing.rows, listing.received_at)?,
            received_at: listing.received_at,
            key: history.key(),
            known,
            added,
        };
        let changes = listing.changes(last);
        let begun = rows_to_batch(history, &changes.begun)?;
        let altered = rows_to_batch(history, &changes.altered)?;
        let commit = Commit {
            run_id: commit.run_id.clone(),
            marks: Vec::new(),
        };
        self.commit(history, delta, Some(begun), Some(altered), &commit)
            .await
    }
}

/// The rows of a listing as states, in the form in which stored ones are read.
fn shown(history: &Contract, rows: &[Row], received_at: DateTime<Utc>) -> Result<Vec<Row>> {
    let state = |row: &Row| -> Row {
        let columns = history.columns().iter().map(|column| &column.name);
        let mut state: Row = columns
            .filter(|name| !OF_THE_INTERVAL.contains(&name.as_str()))
            .filter_map(|name| Some((name.clone(), row.get(name)?.clone())))
            .collect();
        state.insert(VALID_FROM.into(), text(received_at).into());
        state.insert(IS_INITIAL.into(), false.into());
        state
    };
    let states: Vec<Row> = rows.iter().map(state).collect();
    batch_to_rows(&rows_to_batch(history, &states)?)
}

/// A full listing, and how its rows are compared with stored states.
struct Listing<'a> {
    shown: Vec<Row>,
    received_at: DateTime<Utc>,
    key: &'a [String],
    /// Columns whose change is a change of the record.
    known: Vec<&'a str>,
    /// Columns that are new: their first value is no change of the record.
    added: Vec<&'a str>,
}

/// What a listing changes in a history.
#[derive(Debug, Default, PartialEq)]
struct Changes {
    /// States that begin.
    begun: Vec<Row>,
    /// States that end, and lasting ones that are told more exactly.
    altered: Vec<Row>,
}

impl Listing<'_> {
    /// What the listing changes, given the last state of every record.
    fn changes(self, last: Vec<Row>) -> Changes {
        let is_first_look = last.is_empty();
        let mut known: BTreeMap<String, Row> = BTreeMap::new();
        for row in last {
            let id = self.id(&row);
            let newer = |other: &Row| instant(other, VALID_FROM) < instant(&row, VALID_FROM);
            if known.get(&id).is_none_or(newer) {
                known.insert(id, row);
            }
        }
        let mut changes = Changes::default();
        let shown: BTreeMap<String, Row> = self
            .shown
            .iter()
            .map(|row| (self.id(row), row.clone()))
            .collect();
        for (id, row) in &known {
            if lasts(row) && !shown.contains_key(id) {
                let mut ended = self.ended(row);
                let at = ended.get(VALID_TO).cloned().unwrap_or_default();
                ended.insert(DELETED_AT.into(), at);
                changes.altered.push(ended);
            }
        }
        for (id, row) in shown {
            match known.get(&id) {
                None => changes.begun.push(self.first(row, is_first_look)),
                Some(last) if !lasts(last) => changes.begun.push(row),
                Some(last) if self.is_same(last, &row) => {}
                Some(last) if self.is_told_more_exactly(last, &row) => {
                    let mut row = row;
                    for column in [VALID_FROM, IS_INITIAL] {
                        row.insert(column.into(), last.get(column).cloned().unwrap_or_default());
                    }
                    changes.altered.push(row);
                }
                Some(last) => {
                    changes.altered.push(self.ended(last));
                    changes.begun.push(row);
                }
            }
        }
        changes
    }

    /// What tells a record from the others.
    fn id(&self, row: &Row) -> String {
        let columns = self.key.iter().filter(|name| *name != VALID_FROM);
        let values: Vec<_> = columns.map(|name| row.get(name)).collect();
        serde_json::to_string(&values).unwrap_or_default()
    }

    fn is_same(&self, last: &Row, row: &Row) -> bool {
        let mut columns = self.known.iter().chain(&self.added);
        columns.all(|name| last.get(*name) == row.get(*name))
    }

    /// Whether a row tells of the same state: the same listing understood otherwise, or with columns
    /// that are new.
    fn is_told_more_exactly(&self, last: &Row, row: &Row) -> bool {
        let same_listing = instant(last, VALID_FROM) >= Some(self.received_at);
        same_listing
            || self
                .known
                .iter()
                .all(|name| last.get(*name) == row.get(*name))
    }

    /// The first state of a record: it holds since the record was created, where that is known.
    fn first(&self, mut row: Row, is_first_look: bool) -> Row {
        if let Some(created) = instant(&row, "created_at")
            && created < self.received_at
        {
            row.insert(VALID_FROM.into(), text(created).into());
        }
        row.insert(IS_INITIAL.into(), is_first_look.into());
        row
    }

    /// A state that the listing ends. It has lasted a moment at least.
    fn ended(&self, row: &Row) -> Row {
        let mut row = row.clone();
        let began = instant(&row, VALID_FROM).unwrap_or(self.received_at);
        let at = self.received_at.max(began + TimeDelta::microseconds(1));
        row.insert(VALID_TO.into(), text(at).into());
        row
    }
}

/// Whether a state has not ended.
fn lasts(row: &Row) -> bool {
    row.get(VALID_TO).is_none_or(Value::is_null)
}

fn instant(row: &Row, column: &str) -> Option<DateTime<Utc>> {
    let text = row.get(column)?.as_str()?;
    DateTime::parse_from_rfc3339(text)
        .ok()
        .map(|at| at.to_utc())
}

fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const START: i64 = 1_772_366_400;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(START + second, 0).unwrap()
    }

    fn key() -> Vec<String> {
        ["connection", "id", VALID_FROM].map(String::from).to_vec()
    }

    fn row(id: i64, name: &str) -> Row {
        let row = json!({"connection": "acme", "id": id, "name": name, "created_at": null});
        row.as_object().unwrap().clone()
    }

    fn listing<'a>(key: &'a [String], second: i64, rows: &[Row]) -> Listing<'a> {
        let shown = rows.iter().cloned().map(|mut row| {
            row.insert(VALID_FROM.into(), text(at(second)).into());
            row
        });
        Listing {
            shown: shown.collect(),
            received_at: at(second),
            key,
            known: vec!["connection", "id", "name", "created_at"],
            added: Vec::new(),
        }
    }

    /// A history as the table would hold it.
    #[derive(Default, Clone, Debug, PartialEq)]
    struct History(BTreeMap<(String, String), Row>);

    impl History {
        fn record(&mut self, listing: Listing<'_>) -> usize {
            let stored = self.0.values();
            let last = stored.filter(|row| lasts(row) || !row[DELETED_AT].is_null());
            let last = last.cloned().collect();
            let id = |row: &Row| (row["id"].to_string(), row[VALID_FROM].to_string());
            let changes = listing.changes(last);
            let count = changes.begun.len() + changes.altered.len();
            for row in changes.altered {
                assert!(
                    self.0.insert(id(&row), full(row)).is_some(),
                    "no such state"
                );
            }
            for row in changes.begun {
                assert!(self.0.insert(id(&row), full(row)).is_none(), "begun twice");
            }
            count
        }

        /// Names that a record had, with the seconds from and to.
        fn of(&self, record: i64) -> Vec<(String, i64, Option<i64>, bool)> {
            let second = |row: &Row, column| instant(row, column).map(|at| at.timestamp() - START);
            let mut states: Vec<_> = self
                .0
                .values()
                .filter(|row| row["id"] == record)
                .map(|row| {
                    let name = row["name"].as_str().unwrap().to_string();
                    let deleted = !row[DELETED_AT].is_null();
                    let from = second(row, VALID_FROM).unwrap();
                    (name, from, second(row, VALID_TO), deleted)
                })
                .collect();
            states.sort_by_key(|state| state.1);
            states
        }
    }

    fn full(mut row: Row) -> Row {
        for column in [VALID_TO, DELETED_AT] {
            row.entry(column).or_insert(Value::Null);
        }
        row.entry(IS_INITIAL).or_insert(false.into());
        row
    }

    #[test]
    fn changes_deletion_and_return() {
        let key = key();
        let mut history = History::default();
        history.record(listing(&key, 10, &[row(1, "a"), row(2, "x")]));
        history.record(listing(&key, 20, &[row(1, "b"), row(2, "x")]));
        assert_eq!(
            history.record(listing(&key, 25, &[row(1, "b"), row(2, "x")])),
            0
        );
        history.record(listing(&key, 30, &[row(1, "b")]));
        assert_eq!(history.record(listing(&key, 30, &[row(1, "b")])), 0);
        history.record(listing(&key, 40, &[row(1, "b"), row(2, "x"), row(3, "n")]));
        let state = |name: &str, from, to, deleted| (name.to_string(), from, to, deleted);
        assert_eq!(
            history.of(1),
            [state("a", 10, Some(20), false), state("b", 20, None, false)]
        );
        assert_eq!(
            history.of(2),
            [state("x", 10, Some(30), true), state("x", 40, None, false)]
        );
        assert_eq!(history.of(3), [state("n", 40, None, false)]);
        let initial = |row: &&Row| row[IS_INITIAL] == json!(true);
        assert_eq!(history.0.values().filter(initial).count(), 2);
    }

    #[test]
    fn the_first_state_begins_with_the_record() {
        let key = key();
        let mut history = History::default();
        let mut sprint = row(1, "a");
        sprint.insert("created_at".into(), text(at(3)).into());
        history.record(listing(&key, 10, std::slice::from_ref(&sprint)));
        assert_eq!(history.of(1), [("a".to_string(), 3, None, false)]);
        // A creation by a clock that is ahead of ours.
        sprint.insert("id".into(), 2.into());
        sprint.insert("created_at".into(), text(at(99)).into());
        history.record(listing(&key, 20, &[sprint]));
        assert_eq!(history.of(2)[0].1, 20);
    }

    #[test]
    fn a_column_that_is_new_and_the_same_listing_understood_otherwise_are_no_change() {
        let key = key();
        let mut history = History::default();
        history.record(listing(&key, 10, &[row(1, "a")]));
        let mut more = row(1, "a");
        more.insert("colour".into(), "red".into());
        let mut later = listing(&key, 20, &[more]);
        later.added = vec!["colour"];
        history.record(later);
        assert_eq!(history.of(1), [("a".to_string(), 10, None, false)]);
        assert_eq!(history.0.values().next().unwrap()["colour"], json!("red"));
        history.record(listing(&key, 10, &[row(1, "A")]));
        assert_eq!(history.of(1), [("A".to_string(), 10, None, false)]);
        assert_eq!(history.0.values().next().unwrap()[IS_INITIAL], json!(true));
    }

    proptest! {
        #[test]
        fn intervals_never_overlap_and_gaps_are_deletions(
            listings in prop::collection::vec(prop::collection::btree_map(0..4i64, 0..3u8, 0..4), 1..12)
        ) {
            let key = key();
            let mut history = History::default();
            let rows = |shown: &BTreeMap<i64, u8>| -> Vec<Row> {
                shown.iter().map(|(id, name)| row(*id, &name.to_string())).collect()
            };
            for (second, shown) in (1..).zip(&listings) {
                history.record(listing(&key, second, &rows(shown)));
                let once = history.clone();
                history.record(listing(&key, second, &rows(shown)));
                prop_assert_eq!(&history, &once);
                // What lasts is what the listing shows.
                for id in 0..4 {
                    let now = history.of(id).pop().filter(|state| state.2.is_none());
                    let name = shown.get(&id).map(u8::to_string);
                    prop_assert_eq!(now.map(|state| state.0), name);
                }
            }
            for id in 0..4 {
                for pair in history.of(id).windows(2) {
                    let (one, next) = (&pair[0], &pair[1]);
                    let end = one.2.unwrap();
                    prop_assert!(one.1 < end && end <= next.1);
                    prop_assert_eq!(one.3, end < next.1);
                    prop_assert!(one.3 || one.0 != next.0);
                }
                // As of then: what the listing of that second showed.
                for (second, shown) in (1..).zip(&listings) {
                    let states = history.of(id);
                    let mut then = states
                        .iter()
                        .filter(|state| state.1 <= second && state.2.is_none_or(|to| second < to));
                    prop_assert_eq!(then.next().map(|state| state.0.clone()), shown.get(&id).map(u8::to_string));
                    prop_assert!(then.next().is_none());
                }
            }
        }
    }
}
