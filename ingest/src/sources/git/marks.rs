//! Cursors of a repository: marks of a stream's table, committed with its rows.

use schemas::TableName;
use warehouse::Warehouse;

use super::record::is_sha;
use super::table;
use crate::Result;

/// Marks that are not set.
const UNSET: i64 = -1;

/// Hexadecimal digits of a hash in one mark: with a leading one they fit into 60 bits.
const DIGITS: usize = 14;

/// Marks of the longest hash.
const PARTS: usize = 64_usize.div_ceil(DIGITS);

/// The marks of one repository and stream.
#[derive(Debug, Clone)]
pub(super) struct Marks<'a> {
    warehouse: &'a Warehouse,
    table: TableName,
    prefix: String,
}

impl<'a> Marks<'a> {
    pub(super) fn of(
        warehouse: &'a Warehouse,
        connection: &str,
        stream: &str,
        repository_id: i64,
    ) -> Self {
        Self {
            warehouse,
            table: table(stream),
            prefix: format!("{connection}/{stream}/{repository_id}"),
        }
    }

    /// A mark; `None` when it is not set.
    pub(super) async fn get(&self, name: &str) -> Result<Option<i64>> {
        let name = self.name(name);
        let mark = self.warehouse.tables().mark(&self.table, &name).await?;
        Ok(mark.filter(|value| *value != UNSET))
    }

    /// A mark as a commit carries it.
    pub(super) fn set(&self, name: &str, value: Option<i64>) -> (String, i64) {
        (self.name(name), value.unwrap_or(UNSET))
    }

    /// A hash that was marked.
    pub(super) async fn sha(&self, name: &str) -> Result<Option<String>> {
        let mut parts = Vec::new();
        for part in 0..PARTS {
            match self.get(&format!("{name}_{part}")).await? {
                Some(value) => parts.push(value),
                None => break,
            }
        }
        Ok(joined(&parts))
    }

    /// A hash as a commit carries it: marks are numbers.
    pub(super) fn set_sha(&self, name: &str, sha: Option<&str>) -> Vec<(String, i64)> {
        let parts = sha.map(split).unwrap_or_default();
        (0..PARTS)
            .map(|part| self.set(&format!("{name}_{part}"), parts.get(part).copied()))
            .collect()
    }

    fn name(&self, name: &str) -> String {
        format!("{}/{name}", self.prefix)
    }
}

fn split(sha: &str) -> Vec<i64> {
    let digits: Vec<char> = sha.chars().collect();
    let parts = digits.chunks(DIGITS).map(|part| {
        let text: String = std::iter::once(&'1').chain(part).collect();
        i64::from_str_radix(&text, 16).unwrap_or(UNSET)
    });
    parts.collect()
}

fn joined(parts: &[i64]) -> Option<String> {
    let sha: String = parts
        .iter()
        .map(|part| format!("{part:x}").chars().skip(1).collect::<String>())
        .collect();
    Some(sha).filter(|sha| is_sha(sha))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_survives_as_numbers() {
        for sha in [
            "0".repeat(40),
            "f".repeat(64),
            "01".repeat(20),
            "9e".repeat(32),
        ] {
            let parts = split(&sha);
            assert!(parts.len() <= PARTS && parts.iter().all(|part| *part > 0));
            assert_eq!(joined(&parts), Some(sha));
        }
        assert_eq!(joined(&[]), None);
        assert_eq!(joined(&split("abc")), None);
    }
}
