//! The kinds of records that are read of a site.

pub(crate) mod again;
pub(crate) mod batch;
pub(crate) mod children;
pub(crate) mod fetch;
pub(crate) mod issues;
pub(crate) mod listings;
pub(crate) mod named;
pub(crate) mod people;
pub(crate) mod reference;
pub(crate) mod relatives;
pub(crate) mod remote_links;
pub(crate) mod sprint_reports;
pub(crate) mod sweep;
pub(crate) mod whole;
pub(crate) mod worklogs;

use crate::{Connection, Result};

pub(crate) const PROJECTS: &str = "projects";
pub(crate) const STATUSES: &str = "statuses";
pub(crate) const BOARDS: &str = "boards";
pub(crate) const FIELDS: &str = "fields";
pub(crate) const SPRINTS: &str = "sprints";
pub(crate) const USERS: &str = "users";
pub(crate) const VERSIONS: &str = "versions";
pub(crate) const COMPONENTS: &str = "components";
pub(crate) const ISSUE_TYPES: &str = "issue_types";
pub(crate) const PRIORITIES: &str = "priorities";
pub(crate) const RESOLUTIONS: &str = "resolutions";
pub(crate) const LINK_TYPES: &str = "link_types";
pub(crate) const ISSUES: &str = "issues";
pub(crate) const CHANGELOGS: &str = "changelogs";
pub(crate) const ISSUE_LINKS: &str = "issue_links";
pub(crate) const COMMENTS: &str = "comments";
pub(crate) const WORKLOGS: &str = "worklogs";
pub(crate) const REMOTE_LINKS: &str = "remote_links";
pub(crate) const SPRINT_REPORTS: &str = "sprint_reports";

/// Streams that are read as full listings, in order: the parts that fields play depend on the
/// boards, the sprints are asked for board by board, versions and components project by project.
pub(crate) const REFERENCE: &[&str] = &[
    PROJECTS,
    STATUSES,
    BOARDS,
    FIELDS,
    SPRINTS,
    USERS,
    ISSUE_TYPES,
    PRIORITIES,
    RESOLUTIONS,
    LINK_TYPES,
    VERSIONS,
    COMPONENTS,
];

/// What the mapping of issues depends on.
const NEEDED_BY_ISSUES: &[&str] = &[STATUSES, BOARDS, FIELDS];

/// Which streams a run reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selection {
    /// Reference streams, in order.
    pub(crate) reference: Vec<&'static str>,
    /// Whether issues are read, and with them their changelogs, links and comments.
    pub(crate) issues: bool,
    pub(crate) worklogs: bool,
    /// Whether all issues are asked for their remote links; those of changed issues are read with
    /// them.
    pub(crate) remote_links: bool,
    /// Whether the reports of closed sprints are read that were not read yet.
    pub(crate) sprint_reports: bool,
}

impl Selection {
    /// The streams of the names given; all for none. Tables that a stream fills may be named too.
    pub(crate) fn of(connection: &Connection, names: &[String]) -> Result<Self> {
        let mut wanted = Vec::new();
        for name in names {
            match name.as_str() {
                "board_columns" | "board_features" => wanted.push(BOARDS),
                "board_sprints" => wanted.extend([BOARDS, SPRINTS]),
                SPRINTS => wanted.extend([BOARDS, SPRINTS]),
                VERSIONS => wanted.extend([PROJECTS, VERSIONS]),
                COMPONENTS => wanted.extend([PROJECTS, COMPONENTS]),
                ISSUES | CHANGELOGS | ISSUE_LINKS | COMMENTS | "changelog_items" => {
                    wanted.push(ISSUES);
                }
                WORKLOGS => wanted.push(WORKLOGS),
                REMOTE_LINKS => wanted.push(REMOTE_LINKS),
                SPRINT_REPORTS | "sprint_report_answers" => {
                    wanted.extend([BOARDS, SPRINTS, SPRINT_REPORTS]);
                }
                name => match REFERENCE.iter().find(|stream| **stream == name) {
                    Some(stream) => wanted.push(stream),
                    None => {
                        return Err(connection.refuse(format!(
                            "there is no stream '{name}'; the streams are {}, {ISSUES}, {CHANGELOGS}, {ISSUE_LINKS}, {COMMENTS}, {WORKLOGS}, {REMOTE_LINKS} and {SPRINT_REPORTS}",
                            REFERENCE.join(", ")
                        )));
                    }
                },
            }
        }
        let issues = names.is_empty() || wanted.contains(&ISSUES);
        if issues {
            wanted.extend(NEEDED_BY_ISSUES);
        }
        let reads = |stream: &&&str| names.is_empty() || wanted.contains(stream);
        Ok(Self {
            reference: REFERENCE.iter().filter(reads).copied().collect(),
            issues,
            worklogs: names.is_empty() || wanted.contains(&WORKLOGS),
            remote_links: wanted.contains(&REMOTE_LINKS),
            sprint_reports: names.is_empty() || wanted.contains(&SPRINT_REPORTS),
        })
    }

    /// Whether everything is read.
    pub(crate) fn is_complete(&self) -> bool {
        self.issues && self.worklogs && self.reference.len() == REFERENCE.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::tests::connection;

    fn select(names: &[&str]) -> Result<Selection> {
        let names: Vec<_> = names.iter().map(|name| name.to_string()).collect();
        Selection::of(&connection("https://x"), &names)
    }

    #[test]
    fn streams_bring_what_they_need() {
        assert!(select(&[]).unwrap().is_complete());
        let issues = select(&["changelog_items"]).unwrap();
        assert_eq!(issues.reference, [STATUSES, BOARDS, FIELDS]);
        assert!(issues.issues && !issues.is_complete());
        assert_eq!(
            select(&["sprints", "users"]).unwrap().reference,
            [BOARDS, SPRINTS, USERS]
        );
        let links = select(&["remote_links"]).unwrap();
        assert!(links.remote_links && !links.issues && links.reference.is_empty());
        let error = select(&["sprint"]).unwrap_err().to_string();
        assert!(
            error.contains("no stream 'sprint'; the streams are projects,"),
            "{error}"
        );
    }
}
