//! Which field plays which part. Ids of custom fields differ from site to site, so they are
//! recognised by their stable type, by the boards' settings, or by name; settings override.

use std::collections::{BTreeMap, BTreeSet};

use schemas::Row;
use serde_json::Value;

use super::chosen;
use crate::FieldOverrides;

const SPRINT_TYPE: &str = "com.pyxis.greenhopper.jira:gh-sprint";
const RANK_TYPE: &str = "com.pyxis.greenhopper.jira:gh-lexo-rank";
const EPIC_LINK_TYPE: &str = "com.pyxis.greenhopper.jira:gh-epic-link";
const POINTS_TYPE: &str = "com.pyxis.greenhopper.jira:jsw-story-points";
const POINTS_NAMES: &[&str] = &["story points", "story point estimate"];

/// A field of a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) is_custom: bool,
    pub(crate) schema_type: Option<String>,
    pub(crate) schema_custom: Option<String>,
}

/// What a board says about fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Board {
    pub(crate) board_id: i64,
    pub(crate) is_scrum: bool,
    pub(crate) project_id: Option<i64>,
    pub(crate) estimation_type: Option<String>,
    pub(crate) estimation_field_id: Option<String>,
    pub(crate) rank_field_id: Option<String>,
}

/// The parts that fields play on a site.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Roles {
    pub(crate) sprint: Option<String>,
    pub(crate) rank: Option<String>,
    pub(crate) discipline_team: Option<String>,
    pub(crate) owner: Option<String>,
    pub(crate) flagged: Option<String>,
    pub(crate) epic_link: Option<String>,
    points: Points,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Points {
    /// By project id; `None` for a project whose board estimates in time.
    by_project: BTreeMap<i64, Option<String>>,
    /// For projects without a board that says.
    default: Option<String>,
}

impl Roles {
    /// The part a field plays.
    pub(crate) fn role(&self, field_id: &str) -> Option<&'static str> {
        let is = |field: &Option<String>| field.as_deref() == Some(field_id);
        let is_points = is(&self.points.default) || self.points.by_project.values().any(is);
        [
            (is_points, "story_points"),
            (is(&self.sprint), "sprint"),
            (is(&self.rank), "rank"),
            (is(&self.discipline_team), "discipline_team"),
            (is(&self.owner), "owner"),
            (is(&self.flagged), "flagged"),
            (is(&self.epic_link), "epic_link"),
        ]
        .into_iter()
        .find_map(|(plays, role)| plays.then_some(role))
    }

    /// The projects whose boards say which field holds the points, and that field.
    pub(crate) fn story_points_by_project(&self) -> impl Iterator<Item = (i64, Option<&str>)> {
        let projects = self.points.by_project.iter();
        projects.map(|(project, field)| (*project, field.as_deref()))
    }

    /// The field that the points of a project's issues are read from.
    pub(crate) fn story_points(&self, project_id: Option<i64>) -> Option<&str> {
        let chosen = project_id.and_then(|id| self.points.by_project.get(&id));
        chosen.unwrap_or(&self.points.default).as_deref()
    }
}

/// A field with its part, and why it plays it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) role: &'static str,
    pub(crate) field_id: String,
    pub(crate) reason: String,
}

/// Why each field plays its part, in the order in which the reasons count.
pub(crate) fn explain(
    roles: &Roles,
    fields: &[Field],
    boards: &[Board],
    overrides: &FieldOverrides,
) -> Vec<Choice> {
    let overrides = chosen::by_id(fields, overrides);
    let named = |role: &str| match role {
        "story_points" => &overrides.story_points,
        "sprint" => &overrides.sprint,
        "rank" => &overrides.rank,
        "discipline_team" => &overrides.discipline_team,
        "owner" => &overrides.owner,
        _ => &None,
    };
    let mut choices = Vec::new();
    for field in fields {
        let Some(role) = roles.role(&field.id) else {
            continue;
        };
        let id = Some(field.id.as_str());
        let estimating = boards
            .iter()
            .filter(|board| estimation_field(board) == id)
            .count();
        let ranking = boards
            .iter()
            .filter(|board| board.rank_field_id.as_deref() == id);
        let of_type = |custom: &str| field.schema_custom.as_deref() == Some(custom);
        let reason = match role {
            role if named(role).as_deref() == id => "the settings name it".to_string(),
            "story_points" if estimating > 0 => {
                format!("{estimating} of {} boards estimate with it", boards.len())
            }
            "rank"
                if boards
                    .iter()
                    .any(|board| board.rank_field_id.as_deref() == id) =>
            {
                format!("{} of {} boards rank by it", ranking.count(), boards.len())
            }
            "story_points" if of_type(POINTS_TYPE) => "it is Jira's own estimate".to_string(),
            "sprint" if of_type(SPRINT_TYPE) => "it is Jira's own sprint field".to_string(),
            "epic_link" => "it is Jira's own link to an epic".to_string(),
            "rank" if of_type(RANK_TYPE) => "it is Jira's own rank field".to_string(),
            _ => "of its name".to_string(),
        };
        choices.push(Choice {
            role,
            field_id: field.id.clone(),
            reason,
        });
    }
    let others: Vec<_> = fields
        .iter()
        .filter(|field| field.schema_type.as_deref() == Some("number") && field.is_custom)
        .filter(|field| field.name.to_lowercase().contains("point"))
        .filter(|field| roles.role(&field.id).is_none())
        .map(|field| format!("{} '{}'", field.id, field.name))
        .collect();
    if !others.is_empty() {
        for choice in choices
            .iter_mut()
            .filter(|choice| choice.role == "story_points")
        {
            choice.reason = format!("{}; also there: {}", choice.reason, others.join(", "));
        }
    }
    choices.sort_by_key(|choice| (choice.role, id_order(&choice.field_id)));
    choices
}

/// Finds the part of each field. A pure function of what the site says and of the settings, so
/// that a replay repeats it.
pub(crate) fn resolve(fields: &[Field], boards: &[Board], overrides: &FieldOverrides) -> Roles {
    let overrides = &chosen::by_id(fields, overrides);
    let by_type = |custom: &str| {
        let of_type = fields
            .iter()
            .filter(|field| field.schema_custom.as_deref() == Some(custom));
        of_type
            .map(|field| field.id.clone())
            .min_by_key(|id| id_order(id))
    };
    let by_name = |fits: &dyn Fn(&str) -> bool| {
        let custom = fields
            .iter()
            .filter(|field| field.is_custom && fits(&field.name.to_lowercase()));
        custom
            .map(|field| field.id.clone())
            .min_by_key(|id| id_order(id))
    };
    Roles {
        sprint: overrides
            .sprint
            .clone()
            .or_else(|| by_type(SPRINT_TYPE))
            .or_else(|| by_name(&|name| name == "sprint")),
        rank: overrides
            .rank
            .clone()
            .or_else(|| {
                most_used(
                    boards
                        .iter()
                        .filter_map(|board| board.rank_field_id.as_deref()),
                )
            })
            .or_else(|| by_type(RANK_TYPE)),
        discipline_team: overrides
            .discipline_team
            .clone()
            .or_else(|| by_name(&|name| name.contains("discipline team"))),
        owner: overrides
            .owner
            .clone()
            .or_else(|| by_name(&|name| name == "owner")),
        flagged: by_name(&|name| name == "flagged"),
        epic_link: by_type(EPIC_LINK_TYPE),
        points: points(fields, boards, overrides, by_type(POINTS_TYPE)),
    }
}

fn points(
    fields: &[Field],
    boards: &[Board],
    overrides: &FieldOverrides,
    of_type: Option<String>,
) -> Points {
    if overrides.story_points.is_some() {
        return Points {
            by_project: BTreeMap::new(),
            default: overrides.story_points.clone(),
        };
    }
    let mut by_project = BTreeMap::new();
    let projects: BTreeSet<i64> = boards.iter().filter_map(|board| board.project_id).collect();
    for project in projects {
        let located = boards
            .iter()
            .filter(|board| board.project_id == Some(project));
        let says = located
            .filter_map(|board| Some((!board.is_scrum, board.board_id, estimation_field(board)?)));
        if let Some((_, _, field)) = says.min_by_key(|(not_scrum, id, _)| (*not_scrum, *id)) {
            by_project.insert(project, (!is_time(field)).then(|| field.to_string()));
        }
    }
    let on_boards = boards
        .iter()
        .filter_map(estimation_field)
        .filter(|field| !is_time(field));
    let default = most_used(on_boards).or(of_type).or_else(|| {
        let named = fields.iter().filter(|field| {
            field.schema_type.as_deref() == Some("number")
                && POINTS_NAMES.contains(&field.name.to_lowercase().as_str())
        });
        named
            .map(|field| field.id.clone())
            .min_by_key(|id| id_order(id))
    });
    Points {
        by_project,
        default,
    }
}

/// The field that a board estimates in, where it does in one.
pub(crate) fn estimation_field(board: &Board) -> Option<&str> {
    match board.estimation_type.as_deref() {
        Some("field") => board.estimation_field_id.as_deref(),
        _ => None,
    }
}

/// Whether a field holds time, not points.
fn is_time(field_id: &str) -> bool {
    matches!(
        field_id,
        "timeoriginalestimate" | "timeestimate" | "timespent"
    )
}

/// The most frequent id; of equally frequent ones the lowest.
fn most_used<'a>(ids: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut counts = BTreeMap::<&str, usize>::new();
    for id in ids {
        *counts.entry(id).or_default() += 1;
    }
    let best = counts
        .into_iter()
        .min_by_key(|(id, count)| (usize::MAX - count, id_order(id)));
    best.map(|(id, _)| id.to_string())
}

/// Orders `customfield_9` before `customfield_10016`.
pub(crate) fn id_order(id: &str) -> (usize, String) {
    (id.len(), id.to_string())
}

/// Fields from rows of `jira.fields`.
pub(crate) fn fields_of(rows: &[Row]) -> Vec<Field> {
    let field = |row: &Row| {
        Some(Field {
            id: text(row, "field_id")?,
            name: text(row, "name")?,
            is_custom: row.get("is_custom")?.as_bool()?,
            schema_type: text(row, "schema_type"),
            schema_custom: text(row, "schema_custom"),
        })
    };
    rows.iter().filter_map(field).collect()
}

/// Boards from rows of `jira.boards`.
pub(crate) fn boards_of(rows: &[Row]) -> Vec<Board> {
    let board = |row: &Row| {
        Some(Board {
            board_id: row.get("board_id")?.as_i64()?,
            is_scrum: text(row, "type").as_deref() == Some("scrum"),
            project_id: row.get("project_id").and_then(Value::as_i64),
            estimation_type: text(row, "estimation_type"),
            estimation_field_id: text(row, "estimation_field_id"),
            rank_field_id: text(row, "rank_field_id"),
        })
    };
    rows.iter().filter_map(board).collect()
}

fn text(row: &Row, column: &str) -> Option<String> {
    row.get(column)?.as_str().map(str::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_choice_has_its_reason() {
        let field = |id: &str, name: &str, custom: &str| Field {
            id: id.to_string(),
            name: name.to_string(),
            is_custom: true,
            schema_type: Some("number".to_string()),
            schema_custom: Some(custom.to_string()),
        };
        let fields = [
            field("customfield_1", "Story Points", "x:float"),
            field("customfield_2", "Story point estimate", POINTS_TYPE),
            field("customfield_3", "Sprint", SPRINT_TYPE),
            field("customfield_4", "Owner", "x:user"),
            field("customfield_5", "Discipline Team", "x:select"),
        ];
        let board = Board {
            board_id: 8,
            estimation_type: Some("field".to_string()),
            estimation_field_id: Some("customfield_1".to_string()),
            ..Board::default()
        };
        let overrides = FieldOverrides {
            owner: Some("customfield_4".to_string()),
            ..FieldOverrides::default()
        };
        let boards = [board];
        let roles = resolve(&fields, &boards, &overrides);
        let reasons: Vec<_> = explain(&roles, &fields, &boards, &overrides)
            .into_iter()
            .map(|choice| (choice.role, choice.reason))
            .collect();
        let expected = [
            ("discipline_team", "of its name"),
            ("owner", "the settings name it"),
            ("sprint", "it is Jira's own sprint field"),
            (
                "story_points",
                "1 of 1 boards estimate with it; also there: customfield_2 'Story point estimate'",
            ),
        ];
        assert_eq!(
            reasons,
            expected.map(|(role, reason)| (role, reason.to_string()))
        );
    }

    fn field(id: &str, name: &str, kind: &str, custom: &str) -> Field {
        Field {
            id: id.into(),
            name: name.into(),
            is_custom: !custom.is_empty(),
            schema_type: Some(kind.into()),
            schema_custom: (!custom.is_empty()).then(|| custom.into()),
        }
    }

    fn site() -> Vec<Field> {
        vec![
            field("summary", "Summary", "string", ""),
            field("customfield_10020", "Iteration", "array", SPRINT_TYPE),
            field("customfield_10021", "Sprint", "string", "x:textfield"),
            field("customfield_10019", "Rank", "any", RANK_TYPE),
            field(
                "customfield_10016",
                "Story point estimate",
                "number",
                POINTS_TYPE,
            ),
            field("customfield_9", "Story Points", "number", "x:float"),
            field(
                "customfield_30",
                "The DISCIPLINE team",
                "option",
                "x:select",
            ),
            field("customfield_31", "owner", "user", "x:userpicker"),
            field("customfield_32", "Flagged", "array", "x:multicheckboxes"),
        ]
    }

    fn board(board_id: i64, is_scrum: bool, project_id: i64, field: Option<&str>) -> Board {
        Board {
            board_id,
            is_scrum,
            project_id: Some(project_id),
            estimation_type: Some(if field.is_some() { "field" } else { "none" }.into()),
            estimation_field_id: field.map(str::to_string),
            rank_field_id: None,
        }
    }

    #[test]
    fn types_win_over_names_and_settings_over_both() {
        let roles = resolve(&site(), &[], &FieldOverrides::default());
        assert_eq!(roles.sprint.as_deref(), Some("customfield_10020"));
        assert_eq!(roles.rank.as_deref(), Some("customfield_10019"));
        assert_eq!(roles.story_points(Some(1)), Some("customfield_10016"));
        assert_eq!(roles.discipline_team.as_deref(), Some("customfield_30"));
        assert_eq!(roles.role("customfield_31"), Some("owner"));
        assert_eq!(roles.role("customfield_32"), Some("flagged"));
        assert_eq!(roles.role("summary"), None);
        let overrides = FieldOverrides {
            story_points: Some("customfield_7".into()),
            sprint: Some("customfield_8".into()),
            ..FieldOverrides::default()
        };
        let roles = resolve(
            &site(),
            &[board(1, true, 5, Some("customfield_9"))],
            &overrides,
        );
        assert_eq!(roles.story_points(Some(5)), Some("customfield_7"));
        assert_eq!(roles.role("customfield_8"), Some("sprint"));
        assert_eq!(roles.role("customfield_10020"), None);
    }

    #[test]
    fn names_are_the_last_resort() {
        let named = [
            field("customfield_21", "Sprint", "string", "x:textfield"),
            field("customfield_10", "Story Points", "string", "x:textfield"),
            field("customfield_11", "story points", "number", "x:float"),
        ];
        let roles = resolve(&named, &[], &FieldOverrides::default());
        assert_eq!(roles.sprint.as_deref(), Some("customfield_21"));
        assert_eq!(roles.story_points(None), Some("customfield_11"));
    }

    #[test]
    fn the_board_of_the_project_chooses_the_points() {
        let boards = [
            board(1, false, 5, Some("customfield_1")),
            board(3, true, 5, Some("customfield_3")),
            board(2, true, 5, None),
            board(4, true, 6, Some("timeoriginalestimate")),
            board(7, true, 7, Some("customfield_1")),
            board(8, true, 8, None),
        ];
        let roles = resolve(&site(), &boards, &FieldOverrides::default());
        assert_eq!(roles.story_points(Some(5)), Some("customfield_3"));
        assert_eq!(roles.story_points(Some(6)), None);
        assert_eq!(roles.story_points(Some(7)), Some("customfield_1"));
        for other in [Some(8), Some(99), None] {
            assert_eq!(
                roles.story_points(other),
                Some("customfield_1"),
                "{other:?}"
            );
        }
        assert_eq!(roles.role("customfield_3"), Some("story_points"));
    }

    #[test]
    fn the_boards_choose_the_rank() {
        let mut boards = [board(1, true, 5, None), board(2, true, 6, None)];
        boards[1].rank_field_id = Some("customfield_77".into());
        let roles = resolve(&site(), &boards, &FieldOverrides::default());
        assert_eq!(roles.rank.as_deref(), Some("customfield_77"));
    }
}
