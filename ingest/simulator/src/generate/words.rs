//! Summaries and comments.

use crate::random::Random;
use crate::world::model::IssueKind;

const VERBS: [&str; 12] = [
    "Add", "Rework", "Support", "Speed up", "Document", "Validate", "Simplify", "Migrate",
    "Expose", "Cache", "Automate", "Secure",
];
const THINGS: [&str; 16] = [
    "invoice export",
    "payment retries",
    "user search",
    "audit trail",
    "dashboard filters",
    "import wizard",
    "notification settings",
    "session handling",
    "currency rounding",
    "report scheduler",
    "file upload",
    "permission checks",
    "address book",
    "release notes page",
    "health endpoint",
    "sprint calendar",
];
const PLACES: [&str; 8] = [
    "for administrators",
    "in the web client",
    "for large tenants",
    "on mobile",
    "behind a feature flag",
    "for the public API",
    "during onboarding",
    "in the nightly job",
];
/// What a team wants of its sprint number `index`; two in three say so.
pub(super) fn goal(index: usize) -> String {
    if index % 3 == 2 {
        return String::new();
    }
    format!(
        "{} {}",
        VERBS[index % VERBS.len()],
        THINGS[index % THINGS.len()]
    )
}

const FAULTS: [&str; 8] = [
    "fails after time-out",
    "shows a wrong total",
    "loses the selection",
    "is slow on Mondays",
    "ignores the time zone",
    "crashes on empty input",
    "duplicates rows",
    "returns 500",
];
const REMARKS: [&str; 6] = [
    "Deployed to staging.",
    "Waiting for the other team.",
    "Reproduced on the latest build.",
    "Please review the wording.",
    "Split off the second half.",
    "The numbers match now.",
];

pub(super) fn summary(random: &mut Random, kind: IssueKind) -> String {
    let thing = THINGS[random.index(THINGS.len())];
    let place = PLACES[random.index(PLACES.len())];
    match kind {
        IssueKind::Bug => {
            let mut text = format!("{thing} {} {place}", FAULTS[random.index(FAULTS.len())]);
            text[..1].make_ascii_uppercase();
            text
        }
        IssueKind::Epic => format!("{} programme {place}", thing.to_uppercase()),
        _ => format!("{} {thing} {place}", VERBS[random.index(VERBS.len())]),
    }
}

pub(super) fn remark(random: &mut Random) -> String {
    REMARKS[random.index(REMARKS.len())].to_owned()
}
