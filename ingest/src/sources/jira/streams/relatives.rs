//! Issues that change with another one and are not updated for it: sub-tasks follow their parent into a
//! sprint; the issues of an epic name it by its key, and lose it when it is deleted.

use std::collections::{BTreeSet, HashMap};

use schemas::{Row, TableName};
use serde_json::Value;

use super::super::{filter, rows};
use super::ISSUES;
use super::batch::Batch;
use super::issues::Reader;
use crate::Result;

impl Reader<'_, '_> {
    /// Stored issues that a batch, of which these rows came, changes without naming them. Asked before the
    /// rows are written.
    pub(super) async fn followers(&self, batch: &Batch, rows: &[Row]) -> Result<Vec<i64>> {
        let mut followers = self.in_other_sprints(batch, rows).await?;
        followers.extend(self.of_renamed(rows).await?);
        Ok(followers.into_iter().collect())
    }

    /// Stored issues that name one of these as their parent or epic.
    pub(super) async fn children_of(&self, parents: &[i64]) -> Result<Vec<i64>> {
        let stored = self.keys(parents).await?;
        let children = self.naming(&stored).await?;
        Ok(children
            .into_iter()
            .filter(|id| !parents.contains(id))
            .collect())
    }

    /// Stored sub-tasks that are in other sprints than their parent now is.
    async fn in_other_sprints(&self, batch: &Batch, rows: &[Row]) -> Result<BTreeSet<i64>> {
        let sprints: HashMap<i64, &Value> = rows
            .iter()
            .filter_map(|row| Some((rows::row_id(row, "issue_id")?, row.get("sprint_ids")?)))
            .collect();
        let mut expected: HashMap<i64, &Value> = HashMap::new();
        for issue in &batch.issues {
            let parent = issue.key.parse::<i64>().ok();
            let Some(of_parent) = parent.and_then(|id| sprints.get(&id)) else {
                continue;
            };
            let subtasks = rows::children(&issue.payload).subtasks;
            expected.extend(subtasks.into_iter().map(|id| (id, *of_parent)));
        }
        expected.retain(|id, _| !sprints.contains_key(id));
        let ids: Vec<i64> = expected.keys().copied().collect();
        let stored = self.stored(&ids).await?;
        let apart = stored.iter().filter_map(|row| {
            let id = rows::row_id(row, "issue_id")?;
            let differs = row.get("sprint_ids") != expected.get(&id).copied();
            differs.then_some(id)
        });
        Ok(apart.collect())
    }

    /// Stored issues that name one whose key is another by now: it was moved.
    async fn of_renamed(&self, rows: &[Row]) -> Result<BTreeSet<i64>> {
        let now: HashMap<i64, &str> = rows
            .iter()
            .filter_map(|row| {
                Some((
                    rows::row_id(row, "issue_id")?,
                    row.get("issue_key")?.as_str()?,
                ))
            })
            .collect();
        let ids: Vec<i64> = now.keys().copied().collect();
        let mut stored = self.keys(&ids).await?;
        stored.retain(|(id, key)| now.get(id).is_some_and(|now| now != key));
        self.naming(&stored).await
    }

    /// Ids and keys of stored issues.
    async fn keys(&self, ids: &[i64]) -> Result<Vec<(i64, String)>> {
        let connection = &self.context.connection;
        let Some(filter) = filter::among(connection, &["issue_id"], ids) else {
            return Ok(Vec::new());
        };
        let table = TableName::new("jira", ISSUES);
        let columns = ["issue_id", "issue_key"];
        let rows = self.warehouse.tables();
        let rows = rows.columns(&table, &columns, &filter).await?;
        let keys = rows.iter().filter_map(|row| {
            let key = row.get("issue_key")?.as_str()?;
            Some((rows::row_id(row, "issue_id")?, key.to_string()))
        });
        Ok(keys.collect())
    }

    /// Live stored issues that name one of these, by id as their parent or by key as their epic.
    async fn naming(&self, named: &[(i64, String)]) -> Result<BTreeSet<i64>> {
        if named.is_empty() {
            return Ok(BTreeSet::new());
        }
        let ids: Vec<String> = named.iter().map(|(id, _)| id.to_string()).collect();
        let quoted = |(_, key): &(i64, String)| format!("'{}'", key.replace('\'', "''"));
        let keys: Vec<String> = named.iter().map(quoted).collect();
        let filter = format!(
            "{} and (parent_id in ({}) or epic_key in ({}))",
            filter::live(&self.context.connection),
            ids.join(", "),
            keys.join(", ")
        );
        let table = TableName::new("jira", ISSUES);
        let columns = [
            "issue_id",
            "parent_id",
            "epic_key",
            "deleted_at",
            "connection",
        ];
        let rows = self.warehouse.tables();
        let rows = rows.columns(&table, &columns, &filter).await?;
        Ok(rows
            .iter()
            .filter_map(|row| rows::row_id(row, "issue_id"))
            .collect())
    }
}
