//! Where a model's columns come from: column by column, read from its planned statement. Values pass
//! through expressions, joins, aggregates and windows; what only filters or joins rows is not counted.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::common::TableReference;
use datafusion::logical_expr::{Expr, LogicalPlan};
use schemas::TableName;

/// A column of a table, view or model.
type Origin = (TableName, String);

/// For each column of a plan, the columns of the relations it reads that its values come from.
pub(crate) fn of(plan: &LogicalPlan, reads: &[TableName]) -> BTreeMap<String, BTreeSet<Origin>> {
    let fields = plan.schema().fields().iter().enumerate();
    fields
        .map(|(index, field)| {
            let mut origins = BTreeSet::new();
            trace(plan, index, reads, &mut origins);
            (field.name().clone(), origins)
        })
        .collect()
}

fn trace(plan: &LogicalPlan, index: usize, reads: &[TableName], found: &mut BTreeSet<Origin>) {
    let same =
        |input: &LogicalPlan, found: &mut BTreeSet<Origin>| trace(input, index, reads, found);
    match plan {
        LogicalPlan::TableScan(scan) => {
            if let Some(table) = relation(&scan.table_name, reads) {
                let name = scan.projected_schema.field(index).name().clone();
                found.insert((table, name));
            }
        }
        LogicalPlan::SubqueryAlias(alias) => match relation(&alias.alias, reads) {
            Some(table) => {
                let name = alias.schema.field(index).name().clone();
                found.insert((table, name));
            }
            None => same(&alias.input, found),
        },
        LogicalPlan::Projection(projection) => {
            if let Some(expression) = projection.expr.get(index) {
                columns(expression, &projection.input, reads, found);
            }
        }
        LogicalPlan::Aggregate(aggregate) => {
            let mut expressions = aggregate.group_expr.iter().chain(&aggregate.aggr_expr);
            if let Some(expression) = expressions.nth(index) {
                columns(expression, &aggregate.input, reads, found);
            }
        }
        LogicalPlan::Window(window) => {
            let own = window.input.schema().fields().len();
            match index
                .checked_sub(own)
                .and_then(|at| window.window_expr.get(at))
            {
                Some(expression) => columns(expression, &window.input, reads, found),
                None => same(&window.input, found),
            }
        }
        LogicalPlan::Join(join) => {
            let left = join.left.schema().fields().len();
            match index.checked_sub(left) {
                Some(at) if at < join.right.schema().fields().len() => {
                    trace(&join.right, at, reads, found);
                }
                Some(_) => {}
                None => trace(&join.left, index, reads, found),
            }
        }
        LogicalPlan::Union(union) => union.inputs.iter().for_each(|input| same(input, found)),
        LogicalPlan::Unnest(unnest) => {
            if let Some(at) = unnest.dependency_indices.get(index) {
                trace(&unnest.input, *at, reads, found);
            }
        }
        other => {
            if let [input] = other.inputs().as_slice() {
                same(input, found);
            }
        }
    }
}

fn columns(
    expression: &Expr,
    input: &LogicalPlan,
    reads: &[TableName],
    found: &mut BTreeSet<Origin>,
) {
    for column in expression.column_refs() {
        if let Ok(index) = input.schema().index_of_column(column) {
            trace(input, index, reads, found);
        }
    }
}

/// The relation of a reference, if it is one of those that the model reads.
fn relation(reference: &TableReference, reads: &[TableName]) -> Option<TableName> {
    let table = TableName::new(reference.schema()?, reference.table());
    reads.contains(&table).then_some(table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph;

    async fn traced(sql: &str) -> BTreeMap<String, Vec<String>> {
        let context = warehouse::blank();
        let plan = context.state().create_logical_plan(sql).await.unwrap();
        let reads = graph::reads("m.sql", sql).unwrap();
        let named = |(table, column): (TableName, String)| format!("{}.{column}", table.name);
        of(&plan, &reads)
            .into_iter()
            .map(|(column, origins)| (column, origins.into_iter().map(named).collect()))
            .collect()
    }

    #[tokio::test]
    async fn values_are_followed_through_a_statement() {
        let traced = traced(
            "with counted as (
                 select connection, board_id, count(status_id) as statuses
                 from jira.board_columns group by connection, board_id
             )
             select b.connection, upper(b.name) || cast(c.statuses as varchar) as title,
                 row_number() over (partition by b.connection order by b.board_id) as n,
                 unnest(array[c.statuses]) as one, 1 as fixed
             from jira.boards as b left join counted as c on c.board_id = b.board_id
             where b.type = 'scrum'",
        )
        .await;
        assert_eq!(traced["connection"], ["boards.connection"]);
        assert_eq!(traced["title"], ["board_columns.status_id", "boards.name"]);
        assert_eq!(traced["n"], ["boards.board_id", "boards.connection"]);
        assert_eq!(traced["one"], ["board_columns.status_id"]);
        assert!(traced["fixed"].is_empty());
    }
}
