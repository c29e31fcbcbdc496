//! Rewriting files so that a table has few of them, and rows that change together stand together.
//!
//! Only where it pays: small files are written together, and files whose ranges of ids lie over one
//! another are sorted anew once that many do that a merge would have to read most of them. A commit that
//! only moves rows says so (`dataChange` is false), and is no change for a refresh.

use datafusion::prelude::col;
use deltalake::kernel::Action;
use deltalake::kernel::transaction::CommitBuilder;
use deltalake::protocol::DeltaOperation;
use futures::future::BoxFuture;
use schemas::{Contract, TableName};

use super::files::{ROWS_PER_FILE, TableFile, files, write_files};
use super::{Commit, Tables, as_u64, properties};
use crate::{Error, Result, fault};

/// A file with fewer rows is small.
const SMALL_ROWS: u64 = ROWS_PER_FILE as u64 / 4;
/// A file of more bytes is not, however few rows it has.
const SMALL_BYTES: u64 = 32 << 20;
/// So many files may lie over one another.
const MOST_OVERLAPPING: usize = 4;

/// Which of a table's files should be written anew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Rewrite {
    /// Files of the table.
    pub(crate) files: usize,
    /// Those that should be written anew; none when it would not pay.
    pub(crate) chosen: usize,
}

/// What a rewrite did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Compacted {
    /// Files before.
    pub(crate) before: usize,
    /// Files after.
    pub(crate) after: usize,
    /// Rows that were written anew.
    pub(crate) rows: u64,
}

/// Place of a row: its connection and its id.
type Place = (String, i64);

/// What is known of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Extent {
    rows: u64,
    bytes: u64,
    /// First and last place in it.
    range: Option<(Place, Place)>,
}

impl Extent {
    fn of(file: &TableFile, column: &str) -> Option<Self> {
        let range = match (file.connections(), file.range(column)) {
            (Some((first, last)), Some((low, high))) if first == last => {
                Some(((first.to_string(), low), (last.to_string(), high)))
            }
            (Some((first, last)), _) => {
                Some(((first.to_string(), i64::MIN), (last.to_string(), i64::MAX)))
            }
            (None, _) => None,
        };
        Some(Self {
            rows: file.rows()?,
            bytes: file.bytes(),
            range,
        })
    }

    fn is_small(&self) -> bool {
        self.rows < SMALL_ROWS && self.bytes < SMALL_BYTES
    }
}

/// Positions of the files to write anew, in order; fewer than two when it would not pay.
fn choose(extents: &[Extent]) -> Vec<usize> {
    let small = |at: &usize| extents[*at].is_small();
    let (mut chosen, large): (Vec<usize>, Vec<usize>) = (0..extents.len()).partition(small);
    // The small ones will be one file, or few, over the range of them all.
    let ranges = chosen.iter().filter_map(|at| extents[*at].range.clone());
    let together = ranges.reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)));
    let mut ranges: Vec<(&Place, &Place, Option<usize>)> = large
        .iter()
        .filter_map(|at| {
            let (low, high) = extents[*at].range.as_ref()?;
            Some((low, high, Some(*at)))
        })
        .collect();
    if let Some((low, high)) = &together {
        ranges.push((low, high, None));
    }
    ranges.sort();
    // Where a file begins, those that began before and have not ended lie over it.
    let mut open: Vec<(&Place, &Place, Option<usize>)> = Vec::new();
    let mut deep = std::collections::BTreeSet::new();
    for range in ranges {
        open.retain(|(_, high, _)| *high >= range.0);
        open.push(range);
        if open.len() > MOST_OVERLAPPING {
            deep.extend(open.iter().filter_map(|(_, _, at)| *at));
        }
    }
    chosen.extend(deep);
    chosen.sort_unstable();
    chosen
}

impl Tables {
    /// What a rewrite would do.
    pub(crate) async fn rewrite(&self, contract: &Contract) -> Result<Rewrite> {
        let table = contract.table();
        let Some(delta) = self.latest(table).await? else {
            return Ok(Rewrite::default());
        };
        let all = files(table, &delta)?;
        let chosen = chosen(&all, contract.lookup()).len();
        Ok(Rewrite {
            files: all.len(),
            chosen: if chosen < 2 { 0 } else { chosen },
        })
    }

    /// Writes files anew where it pays. Whoever calls it is the only writer of the table.
    pub(crate) fn compact<'a>(
        &'a self,
        contract: &'a Contract,
        run_id: &'a str,
    ) -> BoxFuture<'a, Result<Compacted>> {
        Box::pin(async move {
            let table = contract.table();
            let failed = |error| Error::table(table, "rewriting files of", error);
            let Some(delta) = self.latest(table).await? else {
                return Ok(Compacted::default());
            };
            let all = files(table, &delta)?;
            let chosen = chosen(&all, contract.lookup());
            let as_it_is = Compacted {
                before: all.len(),
                after: all.len(),
                rows: 0,
            };
            if chosen.len() < 2 {
                return Ok(as_it_is);
            }
            let Some(rows) = self.read_files(table, &delta, &chosen).await? else {
                return Ok(as_it_is);
            };
            let mut order = vec!["connection", contract.lookup()];
            for column in contract.key() {
                if !order.contains(&column.as_str()) {
                    order.push(column);
                }
            }
            let order = order.iter().map(|column| col(*column).sort(true, false));
            let rows = rows.sort(order.collect()).map_err(Error::engine)?;
            let (mut adds, written) = write_files(table, &delta, rows).await?;
            let expected = chosen.iter().filter_map(|file| file.rows()).sum::<u64>();
            if written != expected {
                return Err(Error::Engine(format!(
                    "{table}: {written} rows were read of files that hold {expected}; nothing was changed"
                )));
            }
            fault::point("maintenance.before_commit")?;
            adds.iter_mut().for_each(|add| add.data_change = false);
            let after = all.len() - chosen.len() + adds.len();
            let removes = chosen.iter().map(|file| file.view.remove_action(false));
            let actions = removes
                .map(Action::Remove)
                .chain(adds.into_iter().map(Action::Add))
                .collect();
            let commit = Commit {
                run_id: run_id.to_string(),
                marks: Vec::new(),
            };
            let operation = DeltaOperation::Optimize {
                predicate: None,
                target_size: i64::try_from(SMALL_BYTES).unwrap_or(i64::MAX),
            };
            let state = delta.snapshot().map_err(failed)?;
            CommitBuilder::from(properties(&commit))
                .with_actions(actions)
                .build(Some(state), delta.log_store(), operation)
                .await
                .map_err(failed)?;
            fault::point("maintenance.compacted")?;
            Ok(Compacted {
                after,
                rows: written,
                ..as_it_is
            })
        })
    }

    /// The version of a table that a refresh reads: the known one as long as commits since only moved
    /// rows, else the newest; `None` when the table was never written.
    pub fn version_since<'a>(
        &'a self,
        table: &'a TableName,
        known: Option<u64>,
    ) -> BoxFuture<'a, Result<Option<u64>>> {
        Box::pin(async move {
            let newest = self.latest(table).await?;
            let newest = newest.and_then(|delta| delta.version()).map(as_u64);
            Ok(match (known, newest) {
                (Some(known), Some(newest))
                    if known < newest && self.only_rearranged(table, known, newest).await? =>
                {
                    Some(known)
                }
                _ => newest,
            })
        })
    }
}

/// The files to write anew. None where the statistics of one don't tell its rows.
fn chosen<'a>(all: &'a [TableFile], column: &str) -> Vec<&'a TableFile> {
    let extents: Option<Vec<Extent>> = all.iter().map(|file| Extent::of(file, column)).collect();
    let positions = extents.map(|extents| choose(&extents)).unwrap_or_default();
    positions.into_iter().map(|at| &all[at]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(rows: u64, low: i64, high: i64) -> Extent {
        let place = |id| ("acme".to_string(), id);
        Extent {
            rows,
            bytes: rows * 100,
            range: Some((place(low), place(high))),
        }
    }

    const FULL: u64 = ROWS_PER_FILE as u64;

    #[test]
    fn what_is_clustered_is_left_alone() {
        let clustered: Vec<Extent> = (0..9)
            .map(|n| file(FULL, n * 100, n * 100 + 99))
            .chain([file(10, 900, 905)])
            .collect();
        assert_eq!(choose(&clustered), [9], "one small file alone is no work");
    }

    #[test]
    fn small_files_are_written_together_without_the_large_ones() {
        let mut extents = vec![file(FULL, 0, 99), file(FULL, 100, 199)];
        extents.extend((0..5).map(|n| file(20, n, 150 + n)));
        assert_eq!(choose(&extents), [2, 3, 4, 5, 6]);
    }

    #[test]
    fn files_that_lie_over_one_another_are_sorted_anew() {
        let mut extents = vec![
            file(FULL, 0, 99),
            file(FULL, 100, 199),
            file(FULL, 900, 999),
        ];
        extents.extend((0..3).map(|n| file(FULL, n, 199)));
        extents.push(file(20, 0, 199));
        // The first and the second lie under three wide ones and the small one; the third under none.
        assert_eq!(choose(&extents), [0, 1, 3, 4, 5, 6]);
        extents.pop();
        assert_eq!(choose(&extents), Vec::<usize>::new(), "four deep is borne");
    }

    #[test]
    fn connections_do_not_overlap() {
        let of = |connection: &str| {
            let mut extent = file(FULL, 0, 999);
            let (low, high) = extent.range.as_mut().unwrap();
            low.0 = connection.to_string();
            high.0 = connection.to_string();
            extent
        };
        let names = ["a", "b", "c", "d", "e", "f"];
        assert!(choose(&names.map(of)).is_empty());
    }

    #[test]
    fn a_small_number_of_large_rows_is_not_small() {
        let mut extents = vec![file(10, 0, 9), file(10, 0, 9)];
        extents[0].bytes = SMALL_BYTES;
        assert_eq!(choose(&extents), [1]);
    }
}
