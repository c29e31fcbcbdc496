//! The sprint field of an issue, in the forms that Cloud and Data Center give it.
//!
//! Data Center prints a Java object: `…Sprint@1f39706a[id=1,rapidViewId=1,state=ACTIVE,name=A, B
//! [2],goal=,…]`. Names and goals are free text and may hold commas, brackets and even `id=7`, and
//! the order of the attributes varies. So an attribute begins only where a known key follows the
//! bracket or a comma.

use serde_json::Value;

const KEYS: &[&str] = &[
    "id",
    "rapidViewId",
    "state",
    "name",
    "goal",
    "startDate",
    "endDate",
    "completeDate",
    "activatedDate",
    "sequence",
    "synced",
    "autoStartStop",
    "incompleteIssuesDestinationId",
];

/// Attributes whose value is free text, in which keys may be imitated.
const FREE_TEXT: &[&str] = &["name", "goal"];

/// Ids of the sprints in the value of a sprint field, ascending, each once. `Err` tells what can't
/// be read.
pub(crate) fn sprint_ids(value: &Value) -> Result<Vec<i64>, String> {
    let mut ids = Vec::new();
    collect(value, &mut ids)?;
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

fn collect(value: &Value, ids: &mut Vec<i64>) -> Result<(), String> {
    let refuse = || {
        format!(
            "{} is not a sprint",
            crate::error::excerpt(value.to_string().as_bytes())
        )
    };
    match value {
        Value::Null => Ok(()),
        Value::Array(values) => values.iter().try_for_each(|value| collect(value, ids)),
        Value::Object(sprint) => collect(sprint.get("id").ok_or_else(refuse)?, ids),
        Value::Number(number) => {
            ids.push(number.as_i64().ok_or_else(refuse)?);
            Ok(())
        }
        Value::String(text) if text.contains('[') => {
            ids.push(printed_id(text).ok_or_else(refuse)?);
            Ok(())
        }
        Value::String(text) => {
            for part in text
                .split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty())
            {
                ids.push(part.parse().map_err(|_| refuse())?);
            }
            Ok(())
        }
        Value::Bool(_) => Err(refuse()),
    }
}

/// The id in a printed sprint. One that stands before all free text is certain; after it, the last
/// one counts, since what free text imitates comes before what follows it.
fn printed_id(text: &str) -> Option<i64> {
    let attributes = attributes(text);
    let certain = attributes
        .iter()
        .take_while(|(key, _)| !FREE_TEXT.contains(key))
        .find(|(key, _)| *key == "id");
    let found = certain.or_else(|| attributes.iter().rev().find(|(key, _)| *key == "id"));
    found?.1.trim().parse().ok()
}

/// The attributes of a printed sprint, in order.
fn attributes(text: &str) -> Vec<(&str, &str)> {
    let Some((_, body)) = text.split_once('[') else {
        return Vec::new();
    };
    let body = body.strip_suffix(']').unwrap_or(body);
    let mut starts = Vec::new();
    let borders = std::iter::once(0).chain(body.match_indices(',').map(|(at, _)| at + 1));
    for at in borders {
        let rest = &body[at..];
        if let Some(key) = KEYS.iter().find(|key| rest.starts_with(&format!("{key}="))) {
            starts.push((at, *key));
        }
    }
    let ends = starts
        .iter()
        .skip(1)
        .map(|(at, _)| at - 1)
        .chain([body.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|((at, key), end)| (*key, &body[at + key.len() + 1..end]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn cloud_forms() {
        let objects = json!([{"id": 9, "name": "B"}, {"id": 7, "name": "A"}, {"id": 7}]);
        assert_eq!(sprint_ids(&objects), Ok(vec![7, 9]));
        assert_eq!(sprint_ids(&json!(null)), Ok(vec![]));
        assert_eq!(sprint_ids(&json!([])), Ok(vec![]));
        assert_eq!(sprint_ids(&json!({"id": "12"})), Ok(vec![12]));
        assert_eq!(sprint_ids(&json!(12)), Ok(vec![12]));
        assert_eq!(sprint_ids(&json!("79, 76")), Ok(vec![76, 79]));
        assert_eq!(sprint_ids(&json!([3, "4"])), Ok(vec![3, 4]));
        for bad in [
            json!(true),
            json!("Sprint 4"),
            json!([{"name": "A"}]),
            json!(1.5),
            json!("[x]"),
        ] {
            assert!(sprint_ids(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn printed_forms() {
        let first = "com.atlassian.greenhopper.service.sprint.Sprint@1f[id=31,rapidViewId=2,state=ACTIVE,\
                     name=One, two [3],goal=,startDate=2019-05-23T14:02:10.170Z,completeDate=<null>,sequence=1]";
        let last = "com.atlassian.greenhopper.service.sprint.Sprint@2e[completeDate=<null>,\
                    name=a,id=5,b,goal=g,sequence=4,state=CLOSED,rapidViewId=8,id=32]";
        assert_eq!(sprint_ids(&json!([last, first])), Ok(vec![31, 32]));
        let attributes = attributes(first);
        assert!(attributes.contains(&("name", "One, two [3]")));
        assert!(attributes.contains(&("goal", "")));
        assert!(attributes.contains(&("sequence", "1")));
    }

    proptest! {
        #[test]
        fn a_leading_id_survives_any_name(id in 0..i64::MAX, name in ".*", goal in ".*") {
            let text = format!("x.Sprint@1[id={id},state=ACTIVE,name={name},goal={goal},sequence=1]");
            prop_assert_eq!(sprint_ids(&json!([text])), Ok(vec![id]));
        }

        #[test]
        fn a_trailing_id_survives_any_name(id in 0..i64::MAX, name in ".*") {
            let text = format!("x.Sprint@1[name={name},state=ACTIVE,id={id}]");
            prop_assert_eq!(sprint_ids(&json!([text])), Ok(vec![id]));
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = sprint_ids(&json!(text));
        }
    }
}
