//! Compiling: every model and check is planned over empty tables, and nothing is run. What is wrong is said
//! with the line it stands on, all of it at once.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::datasource::empty::EmptyTable;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use futures::future::BoxFuture;
use schemas::TableName;
use warehouse::TableSource;

use crate::{Error, Model, Project, Result};

impl Project {
    /// What is wrong with the models and checks, in the order they would be run. What reads something that is
    /// wrong is not looked at.
    pub fn compile(&self) -> BoxFuture<'_, Vec<Error>> {
        Box::pin(async move {
            let context = warehouse::blank();
            let mut wrong = Vec::new();
            let mut broken: BTreeSet<&TableName> = BTreeSet::new();
            for model in self.models() {
                if model.reads.iter().any(|read| broken.contains(read)) {
                    broken.insert(&model.name);
                } else if let Err(error) = known(model, &context).await {
                    broken.insert(&model.name);
                    wrong.push(error);
                }
            }
            for check in self.checks() {
                if check.reads.iter().any(|read| broken.contains(read)) {
                    continue;
                }
                if let Err(error) = context.state().create_logical_plan(&check.sql).await {
                    let (place, reason) = located(&check.sql, &context, error).await;
                    let file = format!("sql/checks/{}.sql{place}", check.name);
                    wrong.push(Error::Project { file, reason });
                }
            }
            wrong
        })
    }
}

/// Plans a model and puts an empty table in its place, for those that read it.
async fn known(model: &Model, context: &SessionContext) -> Result<()> {
    let plan = planned(model, context).await?;
    let schema = Arc::clone(plan.schema().inner());
    let table = TableSource::Provider(Arc::new(EmptyTable::new(schema)));
    Ok(warehouse::set(context, &model.name, table)?)
}

/// The plan of a model, its columns compared with the documented ones.
pub(crate) async fn planned(model: &Model, context: &SessionContext) -> Result<LogicalPlan> {
    let plan = match context.state().create_logical_plan(&model.sql).await {
        Ok(plan) => plan,
        Err(error) => return Err(failed(model, context, error).await),
    };
    let wrong = |reason: String| Error::Model {
        model: model.name.to_string(),
        file: format!("sql/{}", model.file),
        reason,
    };
    let fields = plan.schema().fields();
    if let Some(field) = fields
        .iter()
        .find(|field| !model.columns.contains_key(field.name()))
    {
        return Err(wrong(format!("column {} is not documented", field.name())));
    }
    let given: BTreeSet<&String> = fields.iter().map(|field| field.name()).collect();
    if given.len() < fields.len() {
        return Err(wrong("two of its columns have the same name".to_string()));
    }
    if let Some(missing) = model.columns.keys().find(|name| !given.contains(name)) {
        return Err(wrong(format!(
            "the documented column {missing} is not there"
        )));
    }
    Ok(plan)
}

/// An error of planning a model, with the place it is about.
pub(crate) async fn failed(
    model: &Model,
    context: &SessionContext,
    error: DataFusionError,
) -> Error {
    let (place, reason) = located(&model.sql, context, error).await;
    Error::Model {
        model: model.name.to_string(),
        file: format!("sql/{}{place}", model.file),
        reason,
    }
}

/// The place that an error is about, `:line:column`, where the engine knows it, and what it says. The engine
/// notes places only when it is asked to, so the statement is planned once more.
async fn located(sql: &str, context: &SessionContext, error: DataFusionError) -> (String, String) {
    let mut state = context.state();
    state.config_mut().options_mut().sql_parser.collect_spans = true;
    let again = state.create_logical_plan(sql).await.err().unwrap_or(error);
    let place = again.diagnostic().and_then(|diagnostic| diagnostic.span);
    let text = again.strip_backtrace().replace('\n', " ");
    match place {
        Some(span) => {
            let (line, column) = (span.start.line, span.start.column);
            let words = sql
                .lines()
                .nth(usize::try_from(line).unwrap_or_default().saturating_sub(1));
            let words = words.unwrap_or_default().trim();
            (format!(":{line}:{column}"), format!("{text}, at '{words}'"))
        }
        None => (String::new(), text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn project(files: &[(&str, &str)]) -> Project {
        let yml = |columns: &str| {
            format!(
                "description: d\ngrain: g\nkey: [a]\nmaterialisation: view\nowner: o\ncolumns: {{{columns}}}\n"
            )
        };
        let mut all = BTreeMap::new();
        for (file, text) in files {
            all.insert(file.to_string(), text.to_string());
            let columns = if text.contains("two") {
                "a: x, two: y"
            } else {
                "a: x"
            };
            all.insert(file.replace(".sql", ".yml"), yml(columns));
        }
        Project::from_files(&all).unwrap()
    }

    #[tokio::test]
    async fn the_models_that_come_with_the_program_compile() {
        let wrong = Project::embedded().unwrap().compile().await;
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[tokio::test]
    async fn all_that_is_wrong_is_said_at_once_with_its_line() {
        let wrong = project(&[
            (
                "staging/one.sql",
                "select\n    issue_id as a\nfrom jira.issues",
            ),
            (
                "marts/bad_column.sql",
                "select\n    a,\n    b + 1 as two\nfrom staging.one",
            ),
            ("marts/reads_bad.sql", "select a from marts.bad_column"),
            (
                "marts/bad_function.sql",
                "select\n    no_such(a) as a\nfrom staging.one",
            ),
            (
                "marts/undocumented.sql",
                "select a, a as b from staging.one",
            ),
            ("marts/missing.sql", "select a from staging.one -- two"),
        ])
        .compile()
        .await;
        let texts: Vec<String> = wrong.iter().map(ToString::to_string).collect();
        let all = texts.join("\n");
        assert_eq!(texts.len(), 4, "{all}");
        for says in [
            "(sql/marts/bad_column.sql:3:5): ",
            "at 'b + 1 as two'",
            "(sql/marts/bad_function.sql:2:5): ",
            "column b is not documented",
            "the documented column two is not there",
        ] {
            assert!(all.contains(says), "{says}\nis not in\n{all}");
        }
    }
}
