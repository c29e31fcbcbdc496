//! Which issues match a query, and in which order they come.

use std::cmp::Ordering;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use chrono_tz::Tz;

use crate::jql::date::moment;
use crate::jql::{Expression, Field, Literal, Operator, Query};
use crate::render::Head;

/// What a result can be ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Updated,
    Created,
    Key,
    Id,
    Rank,
}

/// A value to order by; keys compare by project, then number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SortValue(pub(crate) String, pub(crate) i64);

impl Order {
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name.to_lowercase().as_str() {
            "updated" | "updateddate" => Self::Updated,
            "created" | "createddate" => Self::Created,
            "key" | "issuekey" => Self::Key,
            "id" | "issue" => Self::Id,
            "rank" => Self::Rank,
            _ => return None,
        })
    }

    pub(crate) fn value(self, head: &Head) -> SortValue {
        let number = |number: i64| SortValue(String::new(), number);
        match self {
            Self::Updated => number(head.updated.timestamp_millis()),
            Self::Created => number(head.created.timestamp_millis()),
            Self::Id => number(head.id as i64),
            Self::Rank => SortValue(head.rank.clone(), 0),
            Self::Key => {
                let (project, count) = head.key.rsplit_once('-').unwrap_or((&head.key, ""));
                SortValue(project.to_owned(), count.parse().unwrap_or_default())
            }
        }
    }
}

impl Query {
    /// The order asked for, made total by the id; newest first when nothing was asked.
    pub(crate) fn total_order(&self) -> Vec<(Order, bool)> {
        let mut order = self.order.clone();
        if order.is_empty() {
            order.push((Order::Created, true));
        }
        order.push((
            Order::Id,
            order.last().is_some_and(|(_, descending)| *descending),
        ));
        order
    }

    /// The index entries that match, in order.
    pub(crate) fn run(
        &self,
        heads: Vec<Head>,
        zone: Tz,
        now: DateTime<Utc>,
    ) -> Result<Vec<Head>, String> {
        let mut found = Vec::new();
        for head in heads {
            let matches = match &self.filter {
                Some(filter) => filter.matches(&head, Standpoint { zone, now })?,
                None => true,
            };
            if matches {
                found.push(head);
            }
        }
        let order = self.total_order();
        let values = |head: &Head| {
            order
                .iter()
                .map(|(by, _)| by.value(head))
                .collect::<Vec<_>>()
        };
        let mut keyed: Vec<_> = found
            .into_iter()
            .map(|head| (values(&head), head))
            .collect();
        keyed.sort_by(|a, b| compare_values(&order, &a.0, &b.0));
        Ok(keyed.into_iter().map(|(_, head)| head).collect())
    }
}

/// Compares rows by their sort values, each in its own direction.
pub(crate) fn compare_values(
    order: &[(Order, bool)],
    a: &[SortValue],
    b: &[SortValue],
) -> Ordering {
    for ((a, b), (_, descending)) in a.iter().zip(b).zip(order) {
        let found = if *descending { b.cmp(a) } else { a.cmp(b) };
        if found != Ordering::Equal {
            return found;
        }
    }
    Ordering::Equal
}

impl Expression {
    fn matches(&self, head: &Head, from: Standpoint) -> Result<bool, String> {
        match self {
            Self::And(parts) => {
                for part in parts {
                    if !part.matches(head, from)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Self::Or(parts) => {
                for part in parts {
                    if part.matches(head, from)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Self::Not(inner) => Ok(!inner.matches(head, from)?),
            Self::Clause {
                field,
                operator,
                values,
            } => match field {
                Field::Updated => from.compares(("updated", head.updated), *operator, values),
                Field::Created => from.compares(("created", head.created), *operator, values),
                _ => Ok(other(head, *field, *operator, values)),
            },
        }
    }
}

/// Whose zone and which present a query's literals mean.
#[derive(Clone, Copy)]
struct Standpoint {
    zone: Tz,
    now: DateTime<Utc>,
}

impl Standpoint {
    fn compares(
        self,
        (name, value): (&str, DateTime<Utc>),
        operator: Operator,
        values: &[Literal],
    ) -> Result<bool, String> {
        let Some(literal) = values.first() else {
            return Ok(operator == Operator::IsNotEmpty);
        };
        let limit = moment(literal, self.zone, self.now).ok_or_else(|| {
        format!(
            "Date value '{}' for field '{name}' is invalid. Valid formats include: 'yyyy/MM/dd HH:mm', 'yyyy-MM-dd HH:mm', 'yyyy/MM/dd', 'yyyy-MM-dd', or a period format e.g. '-5d', '4w 2d'.",
            literal.text
        )
    })?;
        let minute = |at: DateTime<Utc>| at.duration_trunc(TimeDelta::minutes(1)).unwrap_or(at);
        let (value, limit) = if limit.minute {
            (minute(value), minute(limit.at))
        } else {
            (value, limit.at)
        };
        Ok(compares(operator, value.cmp(&limit)))
    }
}

fn compares(operator: Operator, ordering: Ordering) -> bool {
    match operator {
        Operator::Equal | Operator::In => ordering.is_eq(),
        Operator::NotEqual | Operator::NotIn => ordering.is_ne(),
        Operator::Less => ordering.is_lt(),
        Operator::LessOrEqual => ordering.is_le(),
        Operator::Greater => ordering.is_gt(),
        Operator::GreaterOrEqual => ordering.is_ge(),
        Operator::IsEmpty => false,
        Operator::IsNotEmpty => true,
    }
}

fn other(head: &Head, field: Field, operator: Operator, values: &[Literal]) -> bool {
    let empty = match field {
        Field::Sprint => head.sprints.is_empty(),
        Field::Parent => head.parent.is_none(),
        _ => false,
    };
    match operator {
        Operator::IsEmpty => empty,
        Operator::IsNotEmpty => !empty,
        Operator::Equal | Operator::In => values.iter().any(|value| is(head, field, value)),
        Operator::NotEqual | Operator::NotIn => {
            !empty && !values.iter().any(|value| is(head, field, value))
        }
        _ => {
            field == Field::Issue
                && values
                    .iter()
                    .all(|value| compares(operator, by_issue(head, value)))
        }
    }
}

/// `id` compares by number, `key` by number within its project.
fn by_issue(head: &Head, value: &Literal) -> Ordering {
    match value.text.parse::<u64>() {
        Ok(id) => head.id.cmp(&id),
        Err(_) => {
            let asked = Head {
                key: value.text.to_uppercase(),
                ..head.clone()
            };
            Order::Key.value(head).cmp(&Order::Key.value(&asked))
        }
    }
}

fn is(head: &Head, field: Field, value: &Literal) -> bool {
    let text = value.text.as_str();
    match field {
        Field::Project => {
            head.project.1.eq_ignore_ascii_case(text) || head.project.0.to_string() == text
        }
        Field::Issue => head.id.to_string() == text || head.key.eq_ignore_ascii_case(text),
        Field::Sprint => head.sprints.iter().any(|sprint| sprint.to_string() == text),
        Field::Type => head.issue_type.eq_ignore_ascii_case(text),
        Field::Status => head.status.eq_ignore_ascii_case(text),
        Field::Parent => head.parent.is_some_and(|parent| parent.to_string() == text),
        Field::Updated | Field::Created => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jql::parse;

    fn head(id: u64, key: &str, updated: &str) -> Head {
        Head {
            id,
            key: key.to_owned(),
            project: (10_000, key.split('-').next().unwrap().to_owned()),
            created: updated.parse().unwrap(),
            updated: updated.parse().unwrap(),
            sprints: vec![7, 9],
            parent: None,
            issue_type: "Story".to_owned(),
            status: "To Do".to_owned(),
            rank: String::new(),
        }
    }

    fn keys(jql: &str) -> Vec<String> {
        let heads = vec![
            head(1, "EE-10", "2024-07-01T10:00:30Z"),
            head(2, "EE-9", "2024-07-01T10:01:00Z"),
            head(3, "AB-1", "2024-07-01T09:59:59Z"),
        ];
        let now = "2024-07-02T00:00:00Z".parse().unwrap();
        let found = parse(jql)
            .unwrap()
            .run(heads, Tz::Europe__Berlin, now)
            .unwrap();
        found.into_iter().map(|head| head.key).collect()
    }

    #[test]
    fn minutes_floor_the_compared_value() {
        assert_eq!(
            keys("updated >= '2024-07-01 12:00' order by id"),
            ["EE-10", "EE-9"]
        );
        assert_eq!(keys("updated > '2024-07-01 12:00' order by id"), ["EE-9"]);
        assert_eq!(
            keys("updated <= '2024-07-01 12:00' order by id"),
            ["EE-10", "AB-1"]
        );
        assert_eq!(keys("updated > 1719828030000 order by id"), ["EE-9"]);
    }

    #[test]
    fn orders_keys_by_number_and_the_newest_first_by_default() {
        assert_eq!(keys("id > 0 order by key"), ["AB-1", "EE-9", "EE-10"]);
        assert_eq!(keys("id > 0"), ["EE-9", "EE-10", "AB-1"]);
        assert_eq!(keys("project = EE and id > 1"), ["EE-9"]);
        assert_eq!(
            keys("sprint = 9 and key in (EE-9, AB-1) order by key desc"),
            ["EE-9", "AB-1"]
        );
        assert_eq!(keys("parent is empty and not project = EE"), ["AB-1"]);
    }
}
