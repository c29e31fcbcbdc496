//! Projects, workflows and boards.

use chrono::{Duration, NaiveDate};

use crate::world::World;
use crate::world::model::{Board, Column, Component, IssueKind, Project, Version};
use crate::world::site::{
    CANCELLED, DONE, IN_PROGRESS, IN_REVIEW, ON_HOLD, RESOLVED, TEAMS, TESTING, TO_DO, TRIAGE,
};

const PROJECTS: [(&str, &str); 6] = [
    ("ATLAS", "Atlas Platform"),
    ("NOVA", "Nova Payments"),
    ("ORION", "Orion Mobile"),
    ("VEGA", "Vega Analytics"),
    ("LYRA", "Lyra Search"),
    ("ZEN", "Zenith Operations"),
];
const COMPONENTS: [&str; 6] = ["API", "Billing", "Import", "Reporting", "Sign-in", "Web"];
const VERSION_DAYS: i64 = 56;

/// The configuration of an empty site.
pub(crate) fn configure(world: &mut World) {
    for index in 0..world.settings.projects as usize {
        let project = project(world, index);
        world.projects.push(project);
    }
    for index in 0..world.projects.len() {
        for number in 0..world.settings.boards_per_project {
            let board = scrum_board(world, index, number);
            world.boards.push(board);
        }
    }
    if world.settings.shared_board && !world.boards.is_empty() {
        let board = shared_board(world);
        world.boards.push(board);
    }
    if world.settings.kanban_board && !world.projects.is_empty() {
        let board = kanban_board(world);
        world.boards.push(board);
    }
    if world.settings.simple_board && !world.projects.is_empty() {
        let board = Board {
            name: "Team board".to_owned(),
            simple: true,
            ..kanban_board(world)
        };
        world.boards.push(board);
    }
}

fn project(world: &World, index: usize) -> Project {
    let (key, name) = match PROJECTS.get(index) {
        Some((key, name)) => ((*key).to_owned(), (*name).to_owned()),
        None => (format!("P{}", index + 1), format!("Project {}", index + 1)),
    };
    let people = world.settings.people_per_project as usize;
    let fields = &world.site.fields;
    let own_field = world.settings.estimate_field_per_project && index % 2 == 1;
    Project {
        id: 10_000 + index as u64,
        name,
        lead: index * people,
        members: (index * people..(index + 1) * people).collect(),
        teams: (0..3)
            .map(|team| (index * 2 + team) % TEAMS.len())
            .collect(),
        workflow: workflow(index),
        workflow_id: 18_000 + 7 * index as u64,
        versions: versions(world, index),
        components: (0..4)
            .map(|n| Component {
                id: 10_050 + (index * 10 + n) as u64,
                name: COMPONENTS[(index + n) % COMPONENTS.len()].to_owned(),
            })
            .collect(),
        estimate_field: if own_field {
            fields.estimate.clone()
        } else {
            fields.story_points.clone()
        },
        next_number: 1,
        archived_at: None,
        key,
    }
}

/// Odd projects start in a status that no column maps and have a done status left of the last column.
fn workflow(index: usize) -> Vec<u64> {
    if index.is_multiple_of(2) {
        vec![
            TO_DO,
            IN_PROGRESS,
            IN_REVIEW,
            TESTING,
            ON_HOLD,
            DONE,
            CANCELLED,
        ]
    } else {
        vec![
            TRIAGE,
            TO_DO,
            IN_PROGRESS,
            IN_REVIEW,
            ON_HOLD,
            RESOLVED,
            DONE,
            CANCELLED,
        ]
    }
}

fn versions(world: &World, index: usize) -> Vec<Version> {
    let now = world.settings.now.date_naive();
    let begin = now - Duration::days((world.settings.years * 365.25) as i64);
    let mut start: NaiveDate = begin;
    let mut versions = Vec::new();
    while start < now + Duration::days(2 * VERSION_DAYS) {
        let number = versions.len();
        let release = start + Duration::days(VERSION_DAYS);
        versions.push(Version {
            id: 10_300 + (index * 100 + number) as u64,
            name: format!("{}.{}", 1 + number / 6, number % 6),
            start,
            release,
            released: release < now,
        });
        start = release;
    }
    versions
}

fn column(name: &str, statuses: &[u64]) -> Column {
    Column {
        name: name.to_owned(),
        statuses: statuses.to_vec(),
    }
}

fn scrum_board(world: &World, index: usize, number: u32) -> Board {
    let project = &world.projects[index];
    let columns = if index.is_multiple_of(2) {
        vec![
            column("To Do", &[TO_DO]),
            column("In Progress", &[IN_PROGRESS]),
            column("Review", &[IN_REVIEW, TESTING]),
            column("Done", &[DONE]),
        ]
    } else {
        vec![
            column("To Do", &[TO_DO]),
            column("In Progress", &[IN_PROGRESS, IN_REVIEW]),
            column("Verify", &[RESOLVED]),
            column("Done", &[DONE]),
        ]
    };
    let suffix = if number == 0 {
        String::new()
    } else {
        format!(" {}", number + 1)
    };
    Board {
        id: next_board(world),
        name: format!("{} board{suffix}", project.key),
        scrum: true,
        simple: false,
        filter_id: 10_000 + next_board(world),
        projects: vec![project.id],
        kinds: Vec::new(),
        columns,
        shows_sprints_of: Vec::new(),
        estimate_field: Some(project.estimate_field.clone()),
    }
}

fn shared_board(world: &World) -> Board {
    Board {
        id: next_board(world),
        name: "Programme board".to_owned(),
        scrum: true,
        simple: false,
        filter_id: 10_000 + next_board(world),
        projects: world.projects.iter().map(|project| project.id).collect(),
        kinds: Vec::new(),
        columns: vec![
            column("To Do", &[TO_DO]),
            column("Doing", &[IN_PROGRESS, IN_REVIEW, TESTING, RESOLVED]),
            column("Done", &[DONE]),
        ],
        shows_sprints_of: vec![world.boards[0].id],
        estimate_field: world.boards[0].estimate_field.clone(),
    }
}

fn kanban_board(world: &World) -> Board {
    let project = &world.projects[world.projects.len() - 1];
    Board {
        id: next_board(world),
        name: format!("{} support", project.key),
        scrum: false,
        simple: false,
        filter_id: 10_000 + next_board(world),
        projects: vec![project.id],
        kinds: vec![IssueKind::Bug],
        columns: vec![
            column("To Do", &[TRIAGE, TO_DO]),
            column("Doing", &[IN_PROGRESS, IN_REVIEW, TESTING]),
            column("Done", &[RESOLVED, DONE]),
        ],
        shows_sprints_of: Vec::new(),
        estimate_field: None,
    }
}

fn next_board(world: &World) -> u64 {
    world.boards.len() as u64 + 1
}
