//! The generated history: its size, its corner cases, and two independent accounts of every sprint.

use chrono::{DateTime, TimeZone, Utc};
use simulator::model::SprintState;
use simulator::{Outcome, World, WorldSettings};

pub fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 5, 20, 11, 30, 0).unwrap()
}

pub fn world(seed: u64) -> World {
    World::generate(&WorldSettings {
        seed,
        now: now(),
        ..WorldSettings::default()
    })
}

#[test]
fn has_the_size_of_a_demonstration() {
    let started = std::time::Instant::now();
    let world = world(1);
    assert!(
        started.elapsed().as_millis() < 1_500,
        "took {:?}",
        started.elapsed()
    );
    let issues = world.issues().count();
    assert!((1_000..=1_500).contains(&issues), "{issues} issues");
    for board in world.boards().iter().filter(|board| board.scrum) {
        let sprints = world.sprints_on(board);
        let count = |state| {
            sprints
                .iter()
                .filter(|sprint| sprint.state == state)
                .count()
        };
        assert!(count(SprintState::Closed) >= 25, "{}", board.name);
        assert_eq!(count(SprintState::Active), 1, "{}", board.name);
        assert!(count(SprintState::Future) >= 1, "{}", board.name);
    }
}

#[test]
fn report_and_truth_agree_on_every_sprint() {
    for seed in 1..4 {
        let world = world(seed);
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
                    .filter(|(_, issue)| issue.outcome == outcome && !issue.is_subtask)
                    .map(|(id, issue)| {
                        (
                            *id,
                            issue.start_points,
                            issue.end_points,
                            issue.committed,
                            issue.re_entered,
                        )
                    })
                    .collect();
                let found: Vec<_> = list
                    .iter()
                    .map(|issue| {
                        (
                            issue.id,
                            issue.start_points,
                            issue.end_points,
                            issue.committed,
                            issue.re_entered,
                        )
                    })
                    .collect();
                assert_eq!(found, expected, "seed {seed}, {} {outcome:?}", sprint.name);
            }
        }
    }
}

#[test]
fn a_seed_makes_the_same_site_every_time() {
    let text = |seed| {
        let world = world(seed);
        let issues: Vec<_> = world.issues().map(|issue| format!("{issue:?}")).collect();
        let sprints: Vec<_> = world
            .sprints()
            .map(|sprint| format!("{sprint:?}"))
            .collect();
        (issues, sprints, format!("{:?}", world.site()))
    };
    assert!(text(3) == text(3));
    assert!(text(3) != text(4));
}

#[test]
fn odd_settings_make_odd_but_sound_sites() {
    let base = WorldSettings::small(1, now());
    let odd = [
        WorldSettings {
            projects: 0,
            ..base.clone()
        },
        WorldSettings {
            years: 0.01,
            ..base.clone()
        },
        WorldSettings {
            boards_per_project: 3,
            projects: 2,
            estimate_field_per_project: true,
            ..base.clone()
        },
        WorldSettings {
            sprint_days: 7,
            sprints_per_board: 10,
            ..base.clone()
        },
        WorldSettings {
            sprints_per_board: 0,
            time_zone: "America/New_York".to_owned(),
            ..base
        },
    ];
    for settings in odd {
        let world = World::generate(&settings);
        for sprint in world.sprints().filter(|sprint| sprint.completed.is_some()) {
            assert!(
                sprint.activated.unwrap() < sprint.completed.unwrap(),
                "{settings:?}"
            );
        }
        assert!(
            world
                .issues()
                .all(|issue| issue.updated <= world.now() && issue.created <= issue.updated)
        );
    }
}
