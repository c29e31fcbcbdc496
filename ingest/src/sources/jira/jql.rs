//! The searches we send. Every one is bounded: the site refuses unbounded ones.

const MINUTE_MS: i64 = 60_000;

/// Which issues a connection reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Scope {
    /// Keys of projects; empty for all.
    pub(crate) projects: Vec<String>,
}

/// A search: its conditions, and by what its result is ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Search {
    conditions: Vec<String>,
    order: &'static str,
    names_issues: bool,
}

impl Search {
    /// The search, oldest first.
    pub(crate) fn oldest_first(&self) -> String {
        format!(
            "{} ORDER BY {} ASC, key ASC",
            self.conditions.join(" AND "),
            self.order
        )
    }

    /// The search, last updated first.
    pub(crate) fn newest_first(&self) -> String {
        format!("{} ORDER BY updated DESC", self.conditions.join(" AND "))
    }

    /// What of it was created since an instant, oldest first.
    pub(crate) fn created_since(&self, from_ms: i64) -> String {
        let mut conditions = self.conditions.clone();
        if from_ms > 0 {
            conditions.push(format!("created >= {from_ms}"));
        }
        format!("{} ORDER BY created ASC, key ASC", conditions.join(" AND "))
    }

    /// Whether it names issues, which may be gone.
    pub(crate) fn names_issues(&self) -> bool {
        self.names_issues
    }
}

impl Scope {
    /// Issues updated since an instant, oldest update first.
    pub(crate) fn updated_since(&self, from_ms: i64) -> Search {
        self.search(format!("updated >= {}", from_ms.max(0)), "updated")
    }

    /// Issues created since an instant, oldest first. The order never changes while pages are read.
    pub(crate) fn created_since(&self, from_ms: i64) -> Search {
        self.search(format!("created >= {}", from_ms.max(0)), "created")
    }

    /// Whether a project is among those that are read.
    pub(crate) fn holds(&self, project_key: &str) -> bool {
        self.projects.is_empty() || self.projects.iter().any(|key| key == project_key)
    }

    /// Those of some issues.
    pub(crate) fn among(&self, ids: &[i64]) -> Search {
        let ids: Vec<_> = ids.iter().map(i64::to_string).collect();
        Search {
            names_issues: true,
            ..self.search(format!("id in ({})", ids.join(", ")), "created")
        }
    }

    /// A text that is equal for equal scopes.
    pub(crate) fn identity(&self) -> String {
        let mut keys = self.projects.clone();
        keys.sort();
        keys.dedup();
        keys.join(" ")
    }

    fn search(&self, condition: String, order: &'static str) -> Search {
        let keys: Vec<_> = self.projects.iter().map(|key| quoted(key)).collect();
        let of_projects = (!keys.is_empty()).then(|| format!("project in ({})", keys.join(", ")));
        Search {
            conditions: of_projects.into_iter().chain([condition]).collect(),
            order,
            names_issues: false,
        }
    }
}

/// Where an incremental read starts: the minute of the mark, minus the look-back.
pub(crate) fn look_back(high_water_ms: i64, look_back_ms: i64) -> i64 {
    floor_minute(high_water_ms).saturating_sub(look_back_ms)
}

/// The minute of an instant. JQL compares dates by the minute.
pub(crate) fn floor_minute(ms: i64) -> i64 {
    ms - ms.rem_euclid(MINUTE_MS)
}

/// A text as a JQL literal.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn searches_are_bounded_and_scoped() {
        let all = Scope::default();
        assert_eq!(
            all.updated_since(60_000).oldest_first(),
            "updated >= 60000 ORDER BY updated ASC, key ASC"
        );
        assert_eq!(
            all.created_since(-5).oldest_first(),
            "created >= 0 ORDER BY created ASC, key ASC"
        );
        let some = Scope {
            projects: vec!["EE".into(), "A\"B".into()],
        };
        let search = some.updated_since(5);
        assert_eq!(
            search.newest_first(),
            r#"project in ("EE", "A\"B") AND updated >= 5 ORDER BY updated DESC"#
        );
        assert_eq!(
            search.created_since(60_000),
            r#"project in ("EE", "A\"B") AND updated >= 5 AND created >= 60000 ORDER BY created ASC, key ASC"#
        );
        assert!(some.among(&[3, 4]).names_issues() && !search.names_issues());
    }

    #[test]
    fn the_next_read_starts_at_the_minute_minus_the_look_back() {
        assert_eq!(look_back(600_000 + 59_999, 300_000), 300_000);
        assert_eq!(look_back(600_000, 300_000), 300_000);
        assert_eq!(look_back(1, 300_000), -300_000);
    }
}
