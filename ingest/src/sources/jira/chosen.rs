//! What the settings say of fields, by id or by name, and what of the choice is in doubt.

use std::collections::{BTreeMap, BTreeSet};

use super::fields::{Board, Field, Roles, estimation_field, id_order};
use crate::FieldOverrides;

/// The fields that the settings name, by their ids. What is neither an id nor a name of the site stays
/// as it is.
pub(crate) fn by_id(fields: &[Field], overrides: &FieldOverrides) -> FieldOverrides {
    let id = |said: &Option<String>| {
        let said = said.as_ref()?;
        let found = meant(fields, said).into_iter().next();
        Some(found.map_or_else(|| said.clone(), |field| field.id.clone()))
    };
    FieldOverrides {
        story_points: id(&overrides.story_points),
        discipline_team: id(&overrides.discipline_team),
        owner: id(&overrides.owner),
        sprint: id(&overrides.sprint),
        rank: id(&overrides.rank),
    }
}

/// The fields that an id or a name may mean: the one with the id, else those of the name, custom ones
/// first, then by id.
fn meant<'f>(fields: &'f [Field], said: &str) -> Vec<&'f Field> {
    if let Some(field) = fields.iter().find(|field| field.id == said) {
        return vec![field];
    }
    let name = said.trim().to_lowercase();
    let mut named: Vec<_> = fields
        .iter()
        .filter(|field| field.name.trim().to_lowercase() == name)
        .collect();
    named.sort_by_key(|field| (!field.is_custom, id_order(&field.id)));
    named
}

/// What of the choice of fields is worth a word.
pub(crate) fn doubts(
    roles: &Roles,
    fields: &[Field],
    boards: &[Board],
    overrides: &FieldOverrides,
) -> Vec<String> {
    let named = [
        ("story_points", &overrides.story_points),
        ("discipline_team", &overrides.discipline_team),
        ("owner", &overrides.owner),
        ("sprint", &overrides.sprint),
        ("rank", &overrides.rank),
    ];
    let mut doubts = Vec::new();
    for (role, said) in named {
        let Some(said) = said else { continue };
        match meant(fields, said).as_slice() {
            [] => doubts.push(format!(
                "the settings take '{said}' as {role}, but the site has no field of that id or name"
            )),
            [field, _, ..] => doubts.push(format!(
                "several fields are named '{said}'; {role} is {}, another one has to be named by its id",
                field.id
            )),
            [_] => {}
        }
    }
    if overrides.story_points.is_none() {
        doubts.extend(disagreements(roles, boards));
    }
    doubts
}

/// Projects whose boards estimate in different fields.
fn disagreements(roles: &Roles, boards: &[Board]) -> Vec<String> {
    let mut by_project: BTreeMap<i64, BTreeMap<&str, BTreeSet<i64>>> = BTreeMap::new();
    for board in boards {
        if let (Some(project), Some(field)) = (board.project_id, estimation_field(board)) {
            let fields = by_project.entry(project).or_default();
            fields.entry(field).or_default().insert(board.board_id);
        }
    }
    let told = by_project
        .into_iter()
        .filter(|(_, fields)| fields.len() > 1);
    told.map(|(project, fields)| {
        let each: Vec<String> = fields
            .into_iter()
            .map(|(field, boards)| {
                let boards: Vec<String> = boards.iter().map(i64::to_string).collect();
                format!("{field} (board {})", boards.join(", "))
            })
            .collect();
        let taken = roles.story_points(Some(project)).unwrap_or("none");
        format!(
            "boards of project {project} estimate in different fields: {}; its issues take {taken}",
            each.join(", ")
        )
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::super::fields::resolve;
    use super::*;

    fn field(id: &str, name: &str) -> Field {
        Field {
            id: id.into(),
            name: name.into(),
            is_custom: id.starts_with("customfield_"),
            schema_type: Some("number".into()),
            schema_custom: None,
        }
    }

    fn site() -> Vec<Field> {
        vec![
            field("summary", "Summary"),
            field("customfield_10", "Size"),
            field("customfield_9", "size "),
            field("customfield_11", "Stakeholder"),
            field("customfield_12", "customfield_11"),
        ]
    }

    fn said(story_points: &str, owner: &str) -> FieldOverrides {
        FieldOverrides {
            story_points: Some(story_points.into()),
            owner: Some(owner.into()),
            ..FieldOverrides::default()
        }
    }

    #[test]
    fn a_field_may_be_named_by_id_or_by_name() {
        let site = site();
        let chosen = by_id(&site, &said("SIZE", "Stakeholder"));
        assert_eq!(chosen, said("customfield_9", "customfield_11"));
        // An id is an id, whatever another field is called.
        assert_eq!(
            by_id(&site, &said("x", "customfield_11")),
            said("x", "customfield_11")
        );
        let roles = resolve(&site, &[], &said("Size", "stakeholder"));
        assert_eq!(roles.story_points(Some(1)), Some("customfield_9"));
        assert_eq!(roles.owner.as_deref(), Some("customfield_11"));
        let doubts = doubts(&roles, &site, &[], &said("Size", "nobody"));
        assert_eq!(
            doubts,
            [
                "several fields are named 'Size'; story_points is customfield_9, another one has to be named by its id",
                "the settings take 'nobody' as owner, but the site has no field of that id or name",
            ]
        );
    }

    #[test]
    fn boards_of_one_project_that_disagree_are_told() {
        let board = |board_id: i64, project: i64, field: &str| Board {
            board_id,
            is_scrum: true,
            project_id: Some(project),
            estimation_type: Some("field".into()),
            estimation_field_id: Some(field.into()),
            rank_field_id: None,
        };
        let boards = [
            board(3, 5, "customfield_9"),
            board(7, 5, "customfield_10"),
            board(8, 6, "customfield_10"),
        ];
        let none = FieldOverrides::default();
        let roles = resolve(&site(), &boards, &none);
        let told = "boards of project 5 estimate in different fields: customfield_10 (board 7), customfield_9 (board 3); its issues take customfield_9";
        assert_eq!(doubts(&roles, &site(), &boards, &none), [told]);
        let settled = FieldOverrides {
            story_points: Some("Size".into()),
            ..none
        };
        let roles = resolve(&site(), &boards, &settled);
        assert_eq!(
            doubts(&roles, &site(), &boards, &settled).len(),
            1,
            "the name only"
        );
    }
}
