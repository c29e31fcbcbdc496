//! Which streams a run reads.

use super::{
    COMMITS, DEPLOYMENTS, ISSUE_REFERENCES, PULL_REQUEST_COMMITS, PULL_REQUESTS, REPOSITORIES,
};
use crate::{Connection, Result};

/// Which streams a run reads; repositories always.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Selection {
    pub(super) pull_requests: bool,
    pub(super) commits: bool,
    pub(super) deployments: bool,
}

impl Selection {
    /// The streams of the names given; all for none. Tables that a stream fills may be named too.
    pub(super) fn of(connection: &Connection, names: &[String]) -> Result<Self> {
        let all = names.is_empty();
        let mut selection = Self {
            pull_requests: all,
            commits: all,
            deployments: all,
        };
        for name in names {
            match name.as_str() {
                REPOSITORIES => {}
                PULL_REQUESTS | PULL_REQUEST_COMMITS => selection.pull_requests = true,
                COMMITS => selection.commits = true,
                ISSUE_REFERENCES => {
                    selection.pull_requests = true;
                    selection.commits = true;
                }
                DEPLOYMENTS => selection.deployments = true,
                other => {
                    return Err(connection.refuse(format!(
                        "there is no stream '{other}'; the streams are {REPOSITORIES}, {PULL_REQUESTS}, {PULL_REQUEST_COMMITS}, {COMMITS}, {DEPLOYMENTS} and {ISSUE_REFERENCES}"
                    )));
                }
            }
        }
        Ok(selection)
    }

    pub(super) fn is_complete(self) -> bool {
        self.pull_requests && self.commits && self.deployments
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::tests::connection;

    fn select(names: &[&str]) -> Result<Selection> {
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        Selection::of(&connection("https://x"), &names)
    }

    #[test]
    fn streams_and_the_tables_they_fill() {
        assert!(select(&[]).unwrap().is_complete());
        let references = select(&["issue_references"]).unwrap();
        assert!(references.pull_requests && references.commits && !references.deployments);
        assert!(!select(&["repositories"]).unwrap().commits);
        let error = select(&["issues"]).unwrap_err().to_string();
        assert!(error.contains("no stream 'issues'; the streams are repositories,"));
    }
}
