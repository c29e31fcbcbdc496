//! Random edits: the two accounts of a sprint stay equal, and histories replay to the present state.

use chrono::TimeDelta;
use simulator::model::{IssueKind, SprintState};
use simulator::{Edit, NewIssue, Outcome, World, WorldSettings};

use crate::world::now;

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides.max(1)
    }
}

fn random_edit(world: &World, dice: &mut Dice) -> Edit {
    let issues: Vec<u64> = world.issues().map(|issue| issue.id).collect();
    let open: Vec<_> = world
        .sprints()
        .filter(|sprint| sprint.state != SprintState::Closed)
        .collect();
    let issue = issues[dice.roll(issues.len())];
    let statuses = &world.site().statuses;
    let sprint = open.get(dice.roll(open.len() + 1)).map(|sprint| sprint.id);
    match dice.roll(12) {
        0 => {
            let mut new = NewIssue::new(world.projects()[0].id, IssueKind::Story, "Edited in");
            new.sprint = sprint;
            new.points = Some(dice.roll(8) as f64);
            Edit::CreateIssue(new)
        }
        1 => {
            let mut new = NewIssue::new(world.projects()[0].id, IssueKind::SubTask, "Part");
            new.parent = Some(issue);
            Edit::CreateIssue(new)
        }
        2..=4 => Edit::SetStatus {
            issue,
            status: statuses[dice.roll(statuses.len())].id,
        },
        5..=7 => Edit::SetSprint { issue, sprint },
        8 => Edit::SetPoints {
            issue,
            points: (dice.roll(4) > 0).then(|| dice.roll(9) as f64),
        },
        9 => Edit::Delete { issue },
        10 => match open
            .iter()
            .find(|sprint| sprint.state == SprintState::Active)
        {
            Some(active) if dice.roll(4) == 0 => {
                let next = open
                    .iter()
                    .find(|sprint| sprint.state == SprintState::Future);
                Edit::CompleteSprint {
                    sprint: active.id,
                    next: next.map(|sprint| sprint.id),
                }
            }
            _ => Edit::Assign {
                issue,
                assignee: Some(dice.roll(4)),
            },
        },
        _ => match open
            .iter()
            .find(|sprint| sprint.state == SprintState::Future)
        {
            Some(future) if open.len() > 1 => Edit::StartSprint { sprint: future.id },
            _ => Edit::CreateSprint {
                board: 1,
                name: "Extra".to_owned(),
                goal: String::new(),
                start: None,
                end: None,
            },
        },
    }
}

#[test]
fn truth_report_and_histories_agree_after_random_edits() {
    for seed in 0..12 {
        let mut world = World::generate(&WorldSettings::small(seed, now()));
        world.freeze_clock(true);
        let mut dice = Dice(seed + 99);
        for _ in 0..250 {
            let edit = random_edit(&world, &mut dice);
            // Some edits share an instant.
            let at = world.now() + TimeDelta::minutes(dice.roll(3) as i64);
            let _ = world.apply(edit, at);
        }
        compare_accounts(&world);
        replay_histories(&world);
    }
}

fn compare_accounts(world: &World) {
    for sprint in world.sprints().filter(|sprint| sprint.activated.is_some()) {
        let truth = world.sprint_truth(sprint.id).unwrap();
        let report = world.sprint_report(sprint.id).unwrap();
        let lists = [
            (Outcome::Completed, &report.completed),
            (Outcome::NotCompleted, &report.not_completed),
            (Outcome::Removed, &report.punted),
            (Outcome::CompletedOutside, &report.completed_elsewhere),
        ];
        for (outcome, list) in lists {
            let expected: Vec<_> = truth
                .issues
                .iter()
                .filter(|(_, part)| part.outcome == outcome && !part.is_subtask)
                .map(|(id, part)| {
                    (
                        *id,
                        part.start_points,
                        part.end_points,
                        part.committed,
                        part.re_entered,
                    )
                })
                .collect();
            let found: Vec<_> = list
                .iter()
                .map(|line| {
                    (
                        line.id,
                        line.start_points,
                        line.end_points,
                        line.committed,
                        line.re_entered,
                    )
                })
                .collect();
            assert_eq!(found, expected, "{} {outcome:?}", sprint.name);
        }
    }
}

/// Walking back from the present value, every item continues the one after it.
fn replay_histories(world: &World) {
    for issue in world.issues() {
        let mut status = issue.status.to_string();
        let ids: Vec<String> = issue.sprints.iter().map(u64::to_string).collect();
        let mut sprints = ids.join(", ");
        for history in issue.histories.iter().rev() {
            for item in &history.items {
                match item.field.as_str() {
                    "status" => {
                        assert_eq!(item.to.as_deref(), Some(status.as_str()), "{}", issue.key);
                        status = item.from.clone().unwrap();
                    }
                    "Sprint" => {
                        assert_eq!(item.to.as_deref(), Some(sprints.as_str()), "{}", issue.key);
                        sprints = item.from.clone().unwrap();
                    }
                    _ => {}
                }
            }
        }
        let first = issue.status_line.entries()[0].1;
        assert_eq!(status, first.to_string());
    }
}
