use std::fmt;
use std::str::FromStr;

/// Name of a table of the catalog: `schema.name`, such as `jira.issues`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableName {
    /// Schema (layer) of the table.
    pub schema: String,
    /// Name within the schema.
    pub name: String,
}

/// A text that is not of the form `schema.name`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is not a table name: write schema.name, in lower case letters, digits and underscores"
)]
pub struct InvalidName(String);

impl TableName {
    /// A name from its two parts.
    pub fn new(schema: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            schema: schema.into(),
            name: name.into(),
        }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

impl FromStr for TableName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        };
        match text.split_once('.') {
            Some((schema, name)) if plain(schema) && plain(name) => Ok(Self::new(schema, name)),
            _ => Err(InvalidName(text.to_string())),
        }
    }
}

impl serde::Serialize for TableName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for TableName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_what_it_prints_and_refuses_the_rest() {
        let name: TableName = "jira.issues".parse().unwrap();
        assert_eq!(name, TableName::new("jira", "issues"));
        assert_eq!(name.to_string(), "jira.issues");
        for bad in [
            "issues",
            "jira.",
            ".issues",
            "jira.is sues",
            "Jira.issues",
            "a.b.c",
            "a.../x",
        ] {
            assert!(bad.parse::<TableName>().is_err(), "{bad}");
        }
    }
}
