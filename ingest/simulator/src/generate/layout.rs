//! What is known of a history from the beginning: epics, filings, flow without sprints, releases.

use chrono::{DateTime, Duration, NaiveTime, Utc};

use crate::generate::driver::{Driver, Job};
use crate::world::Edit;
use crate::world::model::IssueKind;
use crate::world::site::{DONE, IN_PROGRESS, IN_REVIEW};

impl Driver<'_> {
    pub(super) fn lay_out_projects(&mut self, begin: DateTime<Utc>, now: DateTime<Utc>) {
        let days = (now - begin).num_days().max(1);
        for project in 0..self.world.projects.len() {
            self.lay_out_epics(project, begin, now);
            let first_sprint = self.first_sprint(project).unwrap_or(now);
            for _ in 0..(first_sprint - begin).num_days() / 5 {
                let at = self.between(begin, first_sprint);
                self.flow_later(at, project, IssueKind::Task);
            }
            for _ in 0..10 + days / 40 {
                let at = self.between(begin, first_sprint.max(begin + Duration::days(1)));
                self.later(at, Job::File { project });
            }
            for version in 0..self.world.projects[project].versions.len() {
                let release = self.world.projects[project].versions[version].release;
                let noon = release.and_time(NaiveTime::MIN).and_utc() + Duration::hours(12);
                self.later(noon, Job::Release { project, version });
            }
        }
        if self.world.settings.kanban_board && !self.world.projects.is_empty() {
            let project = self.world.projects.len() - 1;
            for _ in 0..days / 8 {
                let at = self.between(begin, now);
                self.flow_later(at, project, IssueKind::Bug);
            }
        }
        let span = now - begin;
        let rename = self.between(begin + span * 3 / 5, begin + span * 7 / 10);
        let name = "Code Review".to_owned();
        self.edit_later(
            rename,
            Edit::RenameStatus {
                status: IN_REVIEW,
                name,
            },
        );
        self.at = begin;
    }

    fn lay_out_epics(&mut self, project: usize, begin: DateTime<Utc>, now: DateTime<Utc>) {
        for number in 0..3 + (now - begin).num_days() / 120 {
            self.at = begin + Duration::minutes(number);
            let new = self.draw_kind(project, IssueKind::Epic);
            let Some(epic) = self.create(new) else {
                continue;
            };
            self.epics[project].push(epic);
            let started = self.between(begin, now);
            let finished = self.between(started, now + Duration::days(60));
            for (at, status) in [(started, IN_PROGRESS), (finished, DONE)] {
                self.later(
                    at,
                    Job::Reach {
                        issue: epic,
                        status,
                        sprint: None,
                    },
                );
            }
        }
    }

    fn first_sprint(&self, project: usize) -> Option<DateTime<Utc>> {
        let id = self.world.projects[project].id;
        let boards = self.world.boards.iter().zip(&self.slots);
        let own = boards.filter(|(board, _)| board.projects.first() == Some(&id));
        own.filter_map(|(_, slots)| slots.first().map(|slot| slot.start))
            .min()
    }

    fn flow_later(&mut self, at: DateTime<Utc>, project: usize, kind: IssueKind) {
        self.later(at, Job::Flow { project, kind });
    }
}
