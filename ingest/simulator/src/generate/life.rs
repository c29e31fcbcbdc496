//! The small changes of an issue's life beside its work.

use chrono::Duration;

use crate::generate::driver::Driver;
use crate::generate::words;
use crate::world::Edit;
use crate::world::model::IssueKind;

impl Driver<'_> {
    /// Comments, ranks, an epic found later, a link, a flag, a deletion, a move.
    pub(super) fn plan_life(&mut self, issue: u64) {
        let soon = self.at + Duration::days(12);
        for (chance, edit) in self.usual_changes(issue) {
            if self.random.chance(chance) {
                let at = self.between(self.at + Duration::minutes(1), soon);
                self.edit_later(at, edit);
            }
        }
        if self.random.chance(0.012) {
            let at = self.between(self.at, self.at + Duration::days(40));
            self.edit_later(at, Edit::Delete { issue });
        } else if self.random.chance(0.01) && self.world.projects.len() > 1 {
            let project = self.world.projects[self.random.index(self.world.projects.len())].id;
            let at = self.between(self.at, self.at + Duration::days(20));
            self.edit_later(at, Edit::Move { issue, project });
        }
        if self.random.chance(0.05) {
            let on = self.between(self.at + Duration::days(1), soon);
            let off = self.between(on, on + Duration::days(4));
            for (at, flagged) in [(on, true), (off, false)] {
                self.edit_later(at, Edit::SetFlagged { issue, flagged });
            }
        }
    }

    fn usual_changes(&mut self, issue: u64) -> [(f64, Edit); 6] {
        let epic = self.world.issue(issue).and_then(|found| {
            let project = self
                .world
                .projects
                .iter()
                .position(|p| p.id == found.project)?;
            self.epics[project].last().copied()
        });
        let text = words::remark(&mut self.random);
        let summary = words::summary(&mut self.random, IssueKind::Story);
        let labels = vec!["customer".to_owned(), "reviewed".to_owned()];
        let higher = self.random.chance(0.5);
        let inward = issue.saturating_sub(2);
        [
            (0.3, Edit::Comment { issue, text }),
            (0.25, Edit::Rank { issue, higher }),
            (0.12, Edit::SetEpic { issue, epic }),
            (0.08, Edit::SetLabels { issue, labels }),
            (0.06, Edit::SetSummary { issue, summary }),
            (
                0.03,
                Edit::Block {
                    outward: issue,
                    inward,
                },
            ),
        ]
    }

    /// On the release day what is unfinished slips into the next version.
    pub(super) fn release(&mut self, project: usize, version: usize) {
        let versions: Vec<u64> = self.world.projects[project]
            .versions
            .iter()
            .map(|v| v.id)
            .collect();
        let Some(next) = versions.get(version + 1) else {
            return;
        };
        let released = versions[version];
        let late: Vec<(u64, Vec<u64>)> = self
            .world
            .issues()
            .filter(|issue| issue.fix_versions.contains(&released) && issue.resolved.is_none())
            .map(|issue| (issue.id, issue.fix_versions.clone()))
            .collect();
        for (issue, mut fix) in late {
            fix.retain(|id| *id != released);
            fix.push(*next);
            self.at += Duration::milliseconds(self.random.between(400, 9_000));
            self.edit(Edit::SetFixVersions {
                issue,
                versions: fix,
            });
        }
    }
}
