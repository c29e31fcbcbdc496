//! A world as a source.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::rank::lexo_rank;
use crate::render::{Entry, Head, Listing, OfProject, Source, View, WorklogEntry};
use crate::world::World;
use crate::world::model::Issue;

impl World {
    /// Issues of archived projects are not shown anywhere.
    pub(super) fn visible(&self, issue: &Issue) -> bool {
        self.project(issue.project)
            .is_some_and(|project| project.archived_at.is_none())
    }

    fn head_of(&self, issue: &Issue, updated: DateTime<Utc>) -> Head {
        let project = self.project(issue.project);
        Head {
            id: issue.id,
            key: issue.key.clone(),
            project: (
                issue.project,
                project.map_or_else(String::new, |project| project.key.clone()),
            ),
            created: issue.created,
            updated,
            sprints: self.sprints_of(issue).to_vec(),
            parent: issue.parent,
            issue_type: super::reference::type_name(issue.kind).to_owned(),
            status: self
                .site
                .status(issue.status)
                .map_or_else(String::new, |status| status.name.clone()),
            rank: lexo_rank(issue.rank),
        }
    }
}

impl Source for World {
    fn now(&self) -> DateTime<Utc> {
        World::now(self)
    }

    fn heads(&self, as_of: DateTime<Utc>) -> Vec<Head> {
        self.issues
            .values()
            .filter(|issue| self.visible(issue))
            .filter_map(|issue| {
                let updated = issue.touched.iter().rev().find(|at| **at <= as_of)?;
                Some(self.head_of(issue, *updated))
            })
            .collect()
    }

    fn head(&self, id_or_key: &str) -> Option<Head> {
        let issue = self
            .find_issue(id_or_key)
            .filter(|issue| self.visible(issue))?;
        Some(self.head_of(issue, issue.updated))
    }

    fn issue_fields(&self, id: u64, view: &View) -> Map<String, Value> {
        self.issue(id)
            .map(|issue| self.render_fields(issue, view))
            .unwrap_or_default()
    }

    fn histories(&self, id: u64, view: &View) -> Vec<Entry> {
        self.issue(id)
            .map(|issue| self.render_histories(issue, view))
            .unwrap_or_default()
    }

    fn list(&self, what: Listing, view: &View) -> Vec<Value> {
        self.render_list(what, view)
    }

    fn of_project(&self, id_or_key: &str, what: OfProject, view: &View) -> Option<Vec<Value>> {
        let project = self
            .projects
            .iter()
            .find(|project| project.key == id_or_key || project.id.to_string() == id_or_key)?;
        Some(self.render_of_project(project, what, view))
    }

    fn worklogs(&self, view: &View) -> Vec<WorklogEntry> {
        let visible = self.issues.values().filter(|issue| self.visible(issue));
        visible
            .flat_map(|issue| {
                issue.worklogs.iter().map(|worklog| WorklogEntry {
                    id: worklog.id,
                    issue: issue.id,
                    updated: worklog.created,
                    body: self.render_worklog(issue, worklog, view),
                })
            })
            .collect()
    }

    fn deleted_worklogs(&self) -> Vec<(u64, DateTime<Utc>)> {
        self.deleted_worklogs.clone()
    }

    fn comments(&self, id: u64, view: &View) -> Vec<Value> {
        self.issue(id)
            .map(|issue| self.render_comments(issue, view))
            .unwrap_or_default()
    }

    fn remote_links(&self, id: u64, view: &View) -> Vec<Value> {
        self.issue(id)
            .map(|issue| self.render_remote_links(issue, view))
            .unwrap_or_default()
    }

    fn board_configuration(&self, board: u64, view: &View) -> Option<Value> {
        self.board(board)
            .map(|board| self.render_configuration(board, view))
    }

    fn board_sprints(&self, board: u64, view: &View) -> Option<Vec<Value>> {
        let board = self.board(board).filter(|board| board.scrum)?;
        Some(
            self.sprints_on(board)
                .into_iter()
                .map(|sprint| self.render_sprint(sprint, view))
                .collect(),
        )
    }

    fn sprint(&self, id: u64, view: &View) -> Option<Value> {
        World::sprint(self, id).map(|sprint| self.render_sprint(sprint, view))
    }

    fn board_issues(&self, board: u64) -> Vec<u64> {
        let Some(board) = self.board(board) else {
            return Vec::new();
        };
        self.issues
            .values()
            .filter(|issue| self.visible(issue) && board.projects.contains(&issue.project))
            .filter(|issue| board.kinds.is_empty() || board.kinds.contains(&issue.kind))
            .map(|issue| issue.id)
            .collect()
    }

    fn sprint_report(&self, board: u64, sprint: u64, view: &View) -> Option<Value> {
        self.render_report(self.board(board)?, World::sprint(self, sprint)?, view)
    }
}
