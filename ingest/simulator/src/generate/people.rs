//! Who reports and does what: draws of new issues.

use crate::generate::driver::Driver;
use crate::generate::words;
use crate::world::NewIssue;
use crate::world::model::IssueKind;

const POINTS: [f64; 6] = [1.0, 2.0, 3.0, 5.0, 8.0, 13.0];
const POINT_WEIGHTS: [f64; 6] = [0.14, 0.22, 0.28, 0.22, 0.11, 0.03];
const UNESTIMATED: f64 = 0.10;

impl Driver<'_> {
    /// A story, task or bug of the project as somebody files it.
    pub(super) fn draw_issue(&mut self, project: usize) -> NewIssue {
        let kind = match self.random.weighted(&[0.5, 0.25, 0.25]) {
            0 => IssueKind::Story,
            1 => IssueKind::Task,
            _ => IssueKind::Bug,
        };
        let mut new = self.draw_kind(project, kind);
        new.points = (!self.random.chance(UNESTIMATED)).then(|| self.draw_points());
        if self.random.chance(0.7) {
            new.assignee = self.draw_person(project);
        }
        if self.random.chance(0.55) {
            new.parent = self
                .epics
                .get(project)
                .and_then(|epics| self.random.pick(epics))
                .copied();
        }
        if self.random.chance(0.25) {
            let labels = ["backend", "customer", "tech-debt", "ux", "compliance"];
            new.labels = vec![labels[self.random.index(labels.len())].to_owned()];
        }
        if self.random.chance(0.5) {
            let components = &self.world.projects[project].components;
            new.components = self
                .random
                .pick(components)
                .map(|component| component.id)
                .into_iter()
                .collect();
        }
        if self.random.chance(0.35) {
            let today = self.at.date_naive();
            let versions = &self.world.projects[project].versions;
            let open = versions.iter().find(|version| version.release > today);
            new.fix_versions = open.map(|version| version.id).into_iter().collect();
        }
        if self.random.chance(0.12) {
            new.due =
                Some(self.at.date_naive() + chrono::Duration::days(self.random.between(5, 40)));
        }
        new
    }

    pub(super) fn draw_kind(&mut self, project: usize, kind: IssueKind) -> NewIssue {
        let id = self.world.projects[project].id;
        let summary = words::summary(&mut self.random, kind);
        let mut new = NewIssue::new(id, kind, &summary);
        new.reporter = self.draw_person(project).unwrap_or_default();
        new.owner = self
            .random
            .chance(0.6)
            .then(|| self.world.projects[project].lead + 1);
        new.priority = self.random.weighted(&[0.06, 0.2, 0.5, 0.18, 0.06]);
        new.team = self
            .random
            .pick(&self.world.projects[project].teams)
            .copied();
        new
    }

    pub(super) fn draw_points(&mut self) -> f64 {
        POINTS[self.random.weighted(&POINT_WEIGHTS)]
    }

    pub(super) fn draw_person(&mut self, project: usize) -> Option<usize> {
        self.random
            .pick(&self.world.projects[project].members)
            .copied()
    }
}
