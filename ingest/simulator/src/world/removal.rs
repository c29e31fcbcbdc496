//! Edits that change or end an issue's identity: moves, deletions, archived projects, renamed statuses.

use crate::world::World;
use crate::world::change::{Side, system};
use crate::world::edit::{EditError, EditResult};
use crate::world::model::{Category, Instant};

impl World {
    pub(super) fn move_issue(&mut self, id: u64, project: u64, at: Instant) -> EditResult {
        let issue = self.known_issue(id)?;
        if issue.project == project || issue.is_subtask() {
            return Err(EditError::Refused("the issue cannot be moved there"));
        }
        self.project(project).ok_or(EditError::Unknown {
            what: "project",
            id: project,
        })?;
        let family: Vec<u64> = std::iter::once(id)
            .chain(self.subtasks_of(id).iter().copied())
            .collect();
        for issue in family {
            self.move_one(issue, project, at)?;
        }
        Ok(id)
    }

    fn move_one(&mut self, id: u64, project: u64, at: Instant) -> Result<(), EditError> {
        let issue = self.known_issue(id)?;
        let (from_key, from_status) = (issue.key.clone(), issue.status);
        let unknown = |id| EditError::Unknown {
            what: "project",
            id,
        };
        let from = self
            .project(issue.project)
            .ok_or(unknown(issue.project))?
            .clone();
        let to = self
            .projects
            .iter_mut()
            .find(|candidate| candidate.id == project);
        let to = to.ok_or(unknown(project))?;
        let key = format!("{}-{}", to.key, to.next_number);
        to.next_number += 1;
        let to = to.clone();
        let status = self.counterpart(from_status, &to.workflow);
        let mut items = vec![
            system(
                "Key",
                None,
                Side::text(Some(from_key)),
                Side::text(Some(key.clone())),
            ),
            system(
                "project",
                Some("project"),
                Side::of(from.id, &from.name),
                Side::of(to.id, &to.name),
            ),
            system(
                "Workflow",
                None,
                Side::of(from.workflow_id, format!("{} workflow", from.key)),
                Side::of(to.workflow_id, format!("{} workflow", to.key)),
            ),
        ];
        items.extend(self.status_items(id, from_status, status));
        self.keys.insert(key.clone(), id);
        self.by_project.entry(from.id).or_default().remove(&id);
        self.by_project.entry(project).or_default().insert(id);
        let done = self.site.category(status) == Category::Done;
        self.mutate(id, at, |issue| {
            issue.key = key;
            issue.project = project;
            if issue.status != status {
                issue.status = status;
                issue.status_since = at;
                issue.resolution = done.then(|| issue.resolution.unwrap_or_default());
                issue.resolved = done.then(|| issue.resolved.unwrap_or(at));
            }
            // Versions and components belong to the project that was left.
            issue.fix_versions.clear();
            issue.components.clear();
            items
        });
        Ok(())
    }

    /// The status itself where the other workflow has it, else one of the same category.
    fn counterpart(&self, status: u64, workflow: &[u64]) -> u64 {
        if workflow.contains(&status) {
            return status;
        }
        let category = self.site.category(status);
        let same = workflow
            .iter()
            .find(|candidate| self.site.category(**candidate) == category);
        same.or(workflow.first()).copied().unwrap_or(status)
    }

    pub(super) fn delete(&mut self, id: u64) -> EditResult {
        self.known_issue(id)?;
        for subtask in self.subtasks.remove(&id).unwrap_or_default() {
            self.forget(subtask);
        }
        self.forget(id);
        Ok(id)
    }

    fn forget(&mut self, id: u64) {
        let Some(issue) = self.issues.remove(&id) else {
            return;
        };
        if let Some(siblings) = issue
            .parent
            .and_then(|parent| self.subtasks.get_mut(&parent))
        {
            siblings.retain(|sibling| *sibling != id);
        }
        for child in self
            .issues
            .values_mut()
            .filter(|child| child.parent == Some(id))
        {
            child.parent = None;
        }
        self.links
            .retain(|link| link.inward != id && link.outward != id);
        self.keys.retain(|_, issue| *issue != id);
        for ids in self
            .members
            .values_mut()
            .chain(self.by_project.values_mut())
        {
            ids.remove(&id);
        }
        self.deleted.push(id);
    }

    pub(super) fn archive(&mut self, id: u64, at: Instant) -> EditResult {
        let project = self.projects.iter_mut().find(|project| project.id == id);
        project
            .ok_or(EditError::Unknown {
                what: "project",
                id,
            })?
            .archived_at = Some(at);
        Ok(id)
    }

    pub(super) fn rename_status(&mut self, id: u64, name: String) -> EditResult {
        let status = self.site.statuses.iter_mut().find(|status| status.id == id);
        status
            .ok_or(EditError::Unknown { what: "status", id })?
            .name = name;
        Ok(id)
    }
}
