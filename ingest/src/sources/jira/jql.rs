//! The searches we send. Every one is bounded: the site refuses unbounded ones.

const MINUTE_MS: i64 = 60_000;

/// Which issues a connection reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Scope {
    /// Keys of projects; empty for all.
    pub(crate) projects: Vec<String>,
}

impl Scope {
    /// Issues updated since an instant, oldest update first.
    pub(crate) fn updated_since(&self, from_ms: i64) -> String {
        format!(
            "{}updated >= {} ORDER BY updated ASC, key ASC",
            self.projects(),
            from_ms.max(0)
        )
    }

    /// Issues created since an instant, oldest first. The order never changes while pages are read.
    pub(crate) fn created_since(&self, from_ms: i64) -> String {
        format!(
            "{}created >= {} ORDER BY created ASC, key ASC",
            self.projects(),
            from_ms.max(0)
        )
    }

    /// The issue that was updated last.
    pub(crate) fn newest(&self) -> String {
        format!("{}updated >= 0 ORDER BY updated DESC", self.projects())
    }

    /// Whether a project is among those that are read.
    pub(crate) fn holds(&self, project_key: &str) -> bool {
        self.projects.is_empty() || self.projects.iter().any(|key| key == project_key)
    }

    /// Those of some issues.
    pub(crate) fn among(&self, ids: &[i64]) -> String {
        let ids: Vec<_> = ids.iter().map(i64::to_string).collect();
        format!("{}id in ({})", self.projects(), ids.join(", "))
    }

    /// A text that is equal for equal scopes.
    pub(crate) fn identity(&self) -> String {
        let mut keys = self.projects.clone();
        keys.sort();
        keys.dedup();
        keys.join(" ")
    }

    fn projects(&self) -> String {
        if self.projects.is_empty() {
            return String::new();
        }
        let keys: Vec<_> = self.projects.iter().map(|key| quoted(key)).collect();
        format!("project in ({}) AND ", keys.join(", "))
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
            all.updated_since(60_000),
            "updated >= 60000 ORDER BY updated ASC, key ASC"
        );
        assert_eq!(
            all.created_since(-5),
            "created >= 0 ORDER BY created ASC, key ASC"
        );
        let some = Scope {
            projects: vec!["EE".into(), "A\"B".into()],
        };
        assert_eq!(
            some.newest(),
            r#"project in ("EE", "A\"B") AND updated >= 0 ORDER BY updated DESC"#
        );
    }

    #[test]
    fn the_next_read_starts_at_the_minute_minus_the_look_back() {
        assert_eq!(look_back(600_000 + 59_999, 300_000), 300_000);
        assert_eq!(look_back(600_000, 300_000), 300_000);
        assert_eq!(look_back(1, 300_000), -300_000);
    }
}
