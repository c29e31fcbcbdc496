//! Recording changes: the items of a history, and what every change to an issue does besides.

use crate::world::World;
use crate::world::model::{History, HistoryItem, Instant, Issue};

/// A changed system field, with ids and texts.
pub(super) fn system(field: &str, id: Option<&str>, from: Side, to: Side) -> HistoryItem {
    HistoryItem {
        field: field.to_owned(),
        field_id: id.map(str::to_owned),
        custom: false,
        from: from.0,
        from_text: from.1,
        to: to.0,
        to_text: to.1,
    }
}

/// A changed custom field.
pub(super) fn custom(field: &str, id: &str, from: Side, to: Side) -> HistoryItem {
    HistoryItem {
        custom: true,
        ..system(field, Some(id), from, to)
    }
}

/// Id and text of one end of a change.
pub(super) struct Side(Option<String>, Option<String>);

impl Side {
    pub(super) fn none() -> Self {
        Self(None, None)
    }

    pub(super) fn of(id: impl ToString, text: impl ToString) -> Self {
        Self(Some(id.to_string()), Some(text.to_string()))
    }

    pub(super) fn text(text: Option<String>) -> Self {
        Self(None, text)
    }

    pub(super) fn maybe(value: Option<(String, String)>) -> Self {
        value.map_or_else(Self::none, |(id, text)| Self(Some(id), Some(text)))
    }
}

impl World {
    /// Changes an issue and, unless nothing changed, writes one history with the items returned.
    pub(super) fn mutate(
        &mut self,
        id: u64,
        at: Instant,
        change: impl FnOnce(&mut Issue) -> Vec<HistoryItem>,
    ) -> bool {
        let author = self.author_of(id);
        let Some(issue) = self.issues.get_mut(&id) else {
            return false;
        };
        let before = issue.status;
        let items = change(issue);
        if items.is_empty() {
            return false;
        }
        issue.histories.push(History {
            id: self.next.history,
            created: at,
            author,
            items,
        });
        issue.touch(at);
        issue.status_line.push(at, issue.status);
        issue.sprint_line.push(at, issue.sprints.clone());
        issue.points_line.push(at, issue.points);
        issue.assignee_line.push(at, issue.assignee);
        self.next.history += 1;
        self.observe(id, Some(before), at);
        true
    }

    /// Mostly the assignee; now and then the reporter, rarely automation, which has no author.
    fn author_of(&mut self, id: u64) -> Option<usize> {
        let draw = self.random.unit();
        let issue = self.issues.get(&id)?;
        match draw {
            draw if draw < 0.02 => None,
            draw if draw < 0.2 => Some(issue.reporter),
            _ => Some(issue.assignee.unwrap_or(issue.reporter)),
        }
    }

    pub(super) fn user_side(&self, user: Option<usize>) -> Side {
        Side::maybe(user.and_then(|user| {
            let user = self.site.users.get(user)?;
            Some((user.account_id.clone(), user.display_name.clone()))
        }))
    }

    pub(super) fn status_side(&self, status: u64) -> Side {
        let name = self
            .site
            .status(status)
            .map_or_else(String::new, |status| status.name.clone());
        Side::of(status, name)
    }

    /// Sprint ids and the names the sprints have now; both empty strings without sprints.
    pub(super) fn sprints_side(&self, ids: &[u64]) -> Side {
        let names = ids
            .iter()
            .filter_map(|id| Some(self.sprints.get(id)?.name.clone()));
        Side::of(
            ids.iter()
                .map(u64::to_string)
                .collect::<Vec<_>>()
                .join(", "),
            names.collect::<Vec<_>>().join(", "),
        )
    }
}
