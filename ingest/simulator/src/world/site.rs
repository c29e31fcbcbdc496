//! The site's configuration: people, statuses, custom fields, priorities, resolutions, link types.

use crate::random::Random;
use crate::world::model::{Category, Status, User};

pub(crate) const PRIORITIES: [&str; 5] = ["Highest", "High", "Medium", "Low", "Lowest"];
pub(crate) const RESOLUTIONS: [&str; 4] = ["Done", "Won't Do", "Duplicate", "Cannot Reproduce"];
pub(crate) const FIRST_RESOLUTION: u64 = 10_000;
/// Name, inward and outward description.
pub(crate) const LINK_TYPES: [(&str, &str, &str); 3] = [
    ("Blocks", "is blocked by", "blocks"),
    ("Relates", "relates to", "relates to"),
    ("Cloners", "is cloned by", "clones"),
];
pub(crate) const FIRST_LINK_TYPE: u64 = 10_000;
pub(crate) const TEAMS: [&str; 5] = ["Backend", "Frontend", "Quality", "Operations", "Data"];

pub(crate) const TO_DO: u64 = 10_000;
pub(crate) const IN_PROGRESS: u64 = 3;
pub(crate) const DONE: u64 = 10_001;
pub(crate) const IN_REVIEW: u64 = 10_102;
pub(crate) const TESTING: u64 = 10_103;
pub(crate) const ON_HOLD: u64 = 10_104;
pub(crate) const CANCELLED: u64 = 10_105;
pub(crate) const RESOLVED: u64 = 10_106;
pub(crate) const TRIAGE: u64 = 10_107;

/// The ids a site gave to its custom fields.
#[derive(Clone, Debug)]
pub struct FieldIds {
    pub sprint: String,
    pub rank: String,
    pub story_points: String,
    /// "Story point estimate", used by the second project when estimates are per project.
    pub estimate: String,
    /// A decoy: also a number, also called story points.
    pub actual_story_points: String,
    pub discipline_team: String,
    pub flagged: String,
    pub owner: String,
    pub epic_link: String,
    pub epic_name: String,
}

/// What all projects of a site share.
#[derive(Clone, Debug)]
pub struct Site {
    pub users: Vec<User>,
    pub statuses: Vec<Status>,
    pub fields: FieldIds,
    /// Option ids of the Discipline Team field, in the order of its options.
    pub team_options: Vec<u64>,
}

impl Site {
    pub(crate) fn generate(random: &mut Random, people: usize) -> Self {
        Self {
            users: users(random, people),
            statuses: statuses(),
            fields: fields(random),
            team_options: (0..TEAMS.len() as u64).map(|n| 10_200 + n).collect(),
        }
    }

    pub(crate) fn status(&self, id: u64) -> Option<&Status> {
        self.statuses.iter().find(|status| status.id == id)
    }

    pub(crate) fn category(&self, id: u64) -> Category {
        self.status(id)
            .map_or(Category::ToDo, |status| status.category)
    }

    pub(crate) fn user(&self, account_id: &str) -> Option<&User> {
        self.users.iter().find(|user| {
            user.account_id == account_id || user.name == account_id || user.key == account_id
        })
    }
}

fn statuses() -> Vec<Status> {
    [
        (TO_DO, "To Do", Category::ToDo),
        (TRIAGE, "Triage", Category::ToDo),
        (IN_PROGRESS, "In Progress", Category::InProgress),
        (IN_REVIEW, "In Review", Category::InProgress),
        (TESTING, "Testing", Category::InProgress),
        (ON_HOLD, "On Hold", Category::InProgress),
        (RESOLVED, "Resolved", Category::Done),
        (DONE, "Done", Category::Done),
        (CANCELLED, "Cancelled", Category::Done),
    ]
    .into_iter()
    .map(|(id, name, category)| Status {
        id,
        name: name.to_owned(),
        category,
    })
    .collect()
}

fn fields(random: &mut Random) -> FieldIds {
    let mut taken = vec![10_016, 10_020];
    let mut id = || {
        loop {
            let number = random.between(10_030, 10_990);
            if !taken.contains(&number) {
                taken.push(number);
                return format!("customfield_{number}");
            }
        }
    };
    FieldIds {
        sprint: id(),
        rank: id(),
        story_points: id(),
        estimate: id(),
        actual_story_points: id(),
        discipline_team: id(),
        flagged: id(),
        owner: id(),
        epic_link: id(),
        epic_name: id(),
    }
}

const FIRST: [&str; 24] = [
    "Ada", "Bruno", "Chiara", "Deniz", "Elif", "Farid", "Greta", "Henrik", "Ines", "Jonas",
    "Keiko", "Luca", "Marta", "Nils", "Olga", "Paulo", "Quinn", "Rosa", "Selma", "Tomas", "Ulrike",
    "Victor", "Wanda", "Yusuf",
];
const LAST: [&str; 18] = [
    "Almeida",
    "Brandt",
    "Costa",
    "Dahl",
    "Engel",
    "Ferrari",
    "Gruber",
    "Hansen",
    "Ivanova",
    "Jansen",
    "Kaya",
    "Lindqvist",
    "Moreau",
    "Novak",
    "Okafor",
    "Pereira",
    "Rossi",
    "Sato",
];

fn users(random: &mut Random, people: usize) -> Vec<User> {
    let mut users: Vec<User> = (0..people)
        .map(|n| {
            let first = FIRST[n % FIRST.len()];
            let last = LAST[(n * 7 + n / FIRST.len()) % LAST.len()];
            let name = format!("{}.{}", first.to_lowercase(), last.to_lowercase());
            User {
                account_id: account_id(random),
                key: format!("JIRAUSER{}", 10_100 + n),
                display_name: format!("{first} {last}"),
                email: format!("{name}@example.org"),
                name,
                active: true,
                app: false,
            }
        })
        .collect();
    users.push(User {
        account_id: format!("557058:{}", account_id(random)),
        name: "automation".to_owned(),
        key: "JIRAUSER10001".to_owned(),
        display_name: "Automation for Jira".to_owned(),
        email: String::new(),
        active: true,
        app: true,
    });
    users.push(User {
        account_id: account_id(random),
        name: "former.colleague".to_owned(),
        key: "JIRAUSER10002".to_owned(),
        display_name: "Former Colleague".to_owned(),
        email: "former.colleague@example.org".to_owned(),
        active: false,
        app: false,
    });
    users
}

fn account_id(random: &mut Random) -> String {
    format!(
        "5f{:022x}",
        u128::from(random.next()) << 16 | u128::from(random.next() & 0xffff)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn custom_fields_differ_between_seeds_and_avoid_the_well_known_ids() {
        for seed in 0..50 {
            let fields = fields(&mut Random::new(seed));
            let ids = [
                &fields.sprint,
                &fields.rank,
                &fields.story_points,
                &fields.estimate,
                &fields.discipline_team,
            ];
            assert!(
                ids.iter()
                    .all(|id| !id.ends_with("_10016") && !id.ends_with("_10020"))
            );
        }
        assert_ne!(
            fields(&mut Random::new(1)).sprint,
            fields(&mut Random::new(2)).sprint
        );
    }

    #[test]
    fn people_are_distinct() {
        let users = users(&mut Random::new(1), 20);
        let mut ids: Vec<_> = users.iter().map(|user| &user.account_id).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), users.len());
        assert!(
            users
                .iter()
                .all(|user| user.app || user.account_id.len() == 24)
        );
    }
}
