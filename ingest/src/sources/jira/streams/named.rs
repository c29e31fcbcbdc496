//! Issues that events named: read again at once, whatever the search index shows yet. The cursor stays
//! where it is.

use std::collections::{HashMap, HashSet};

use warehouse::Commit;

use super::super::rows;
use super::issues::Reader;
use super::sweep::Absence;
use super::{ISSUES, batch};
use crate::{Event, Result};

/// How the site shows an issue that an event named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// With its last change, in microseconds.
    At(Option<i64>),
    /// Not at all.
    Missing,
    /// It is there, and can't be handed out now.
    Withheld,
    /// In a project that is not among the chosen ones.
    OutOfScope,
}

impl Reader<'_, '_> {
    /// Reads issues by id. Those that an event told to be deleted and that the site doesn't show are marked
    /// as deleted at once, and so are those that have left the chosen projects.
    pub(crate) async fn read_named(
        &mut self,
        ids: &[i64],
        deleted: &HashSet<i64>,
    ) -> Result<HashMap<i64, Shown>> {
        let mut shown = HashMap::new();
        for part in ids.chunks(self.batch_issues) {
            let of_part = self.read_part(part).await?;
            self.mark_gone(&of_part, deleted).await?;
            self.buried = None;
            shown.extend(of_part);
        }
        Ok(shown)
    }

    /// Reads issues by id and writes them; says how the site shows each.
    pub(super) async fn read_part(&mut self, ids: &[i64]) -> Result<HashMap<i64, Shown>> {
        let mut batch = self.fetch(ids).await?;
        let withheld: HashSet<i64> = self
            .landing
            .withheld(ISSUES)
            .iter()
            .filter_map(|key| key.parse().ok())
            .collect();
        let mut shown: HashMap<i64, Shown> = ids
            .iter()
            .map(|id| match withheld.contains(id) {
                true => (*id, Shown::Withheld),
                false => (*id, Shown::Missing),
            })
            .collect();
        for issue in &batch.issues {
            let Ok(id) = issue.key.parse::<i64>() else {
                continue;
            };
            let project = rows::project_key(&issue.payload);
            let state = match project.is_none_or(|key| self.scope.holds(&key)) {
                true => Shown::At(issue.source_updated.map(|at| at.timestamp_micros())),
                false => Shown::OutOfScope,
            };
            shown.insert(id, state);
        }
        // Keys are those of issues, or begin with them.
        let is_inside = |key: &str| {
            let id = key.split('/').next().unwrap_or_default().parse().ok();
            id.and_then(|id: i64| shown.get(&id)) != Some(&Shown::OutOfScope)
        };
        batch.issues.retain(|record| is_inside(&record.key));
        batch.histories.retain(|record| is_inside(&record.key));
        batch.remote_links.retain(|record| is_inside(&record.key));
        if batch.issues.is_empty() {
            return Ok(shown);
        }
        let (mut rows, _) = self.land(&batch).await?;
        let followers = self.followers(&batch, &rows).await?;
        if !followers.is_empty() {
            let more = self.fetch(&followers).await?;
            let (more, _) = self.land(&more).await?;
            rows.extend(more);
        }
        // Without marks: what the search has shown, and which projects were chosen, is for a sync to say.
        let commit = Commit {
            run_id: self.run_id.to_string(),
            marks: Vec::new(),
        };
        batch::merge_issues(self.warehouse, rows, &commit, &mut self.issues).await?;
        self.progress.event(&Event::Committed {
            stream: ISSUES,
            records: self.issues.read,
        });
        Ok(shown)
    }

    async fn mark_gone(
        &mut self,
        shown: &HashMap<i64, Shown>,
        deleted: &HashSet<i64>,
    ) -> Result<()> {
        let mut gone: Vec<(i64, &str)> = shown
            .iter()
            .filter_map(|(id, state)| match state {
                Shown::Missing if deleted.contains(id) => Some((*id, "deleted")),
                Shown::OutOfScope => Some((*id, "out_of_scope")),
                _ => None,
            })
            .collect();
        gone.sort_unstable();
        let ids: Vec<i64> = gone.iter().map(|(id, _)| *id).collect();
        let stored = self.stored(&ids).await?;
        let live: HashSet<i64> = stored
            .iter()
            .filter(|row| row.get("deleted_at").is_none_or(serde_json::Value::is_null))
            .filter_map(|row| rows::row_id(row, "issue_id"))
            .collect();
        let findings: Vec<(i64, Absence)> = gone
            .into_iter()
            .filter(|(id, _)| live.contains(id))
            .map(|(id, reason)| (id, Absence::gone(reason)))
            .collect();
        match findings.is_empty() {
            true => Ok(()),
            false => self.record(&findings).await,
        }
    }
}
