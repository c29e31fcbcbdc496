//! Table functions of a release: a call stands for a statement with the arguments put in.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Ident, ObjectNamePart, Query, Statement, TableAlias,
    TableFactor, Value, VisitMut, VisitorMut, visit_expressions_mut,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;

use crate::release::TableFunction;
use crate::{Error, Result};

/// Puts the statements of table functions in the place of their calls.
pub(super) fn expand(
    statement: &mut Statement,
    functions: &BTreeMap<String, TableFunction>,
) -> Result<()> {
    let mut expander = Expander { functions };
    match statement.visit(&mut expander) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Expander<'a> {
    functions: &'a BTreeMap<String, TableFunction>,
}

impl VisitorMut for Expander<'_> {
    type Break = Error;

    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Error> {
        let TableFactor::Table {
            name,
            alias,
            args: Some(args),
            ..
        } = factor
        else {
            return ControlFlow::Continue(());
        };
        let Some(ObjectNamePart::Identifier(ident)) = name.0.last() else {
            return ControlFlow::Continue(());
        };
        let called = ident.value.to_lowercase();
        let Some(function) = self.functions.get(&called) else {
            return ControlFlow::Continue(());
        };
        match body(&called, function, &args.args) {
            Ok(subquery) => {
                let alias = alias.take().unwrap_or_else(|| named(&called));
                *factor = TableFactor::Derived {
                    lateral: false,
                    subquery,
                    alias: Some(alias),
                    sample: None,
                };
                ControlFlow::Continue(())
            }
            Err(error) => ControlFlow::Break(error),
        }
    }
}

fn named(name: &str) -> TableAlias {
    TableAlias {
        explicit: true,
        name: Ident::new(name),
        columns: Vec::new(),
        at: None,
    }
}

fn body(name: &str, function: &TableFunction, args: &[FunctionArg]) -> Result<Box<Query>> {
    let values: Option<Vec<&Expr>> = args
        .iter()
        .map(|arg| match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => Some(value),
            _ => None,
        })
        .collect();
    let values = values.filter(|values| values.len() == function.parameters);
    let Some(values) = values else {
        return Err(Error::Query {
            sqlstate: "42883",
            message: format!(
                "{name} takes {} values, such as {name}(1, '2026-01-31T12:00:00Z'): {}",
                function.parameters, function.description
            ),
        });
    };
    let broken = |reason: String| Error::Engine(format!("table function {name}: {reason}"));
    let mut statements = Parser::parse_sql(&PostgreSqlDialect {}, &function.sql)
        .map_err(|error| broken(error.to_string()))?;
    let Some(Statement::Query(mut query)) = statements.pop() else {
        return Err(broken("it is no query".to_string()));
    };
    let _: ControlFlow<()> = visit_expressions_mut(&mut query, |expression| {
        if let Expr::Value(value) = expression
            && let Value::Placeholder(place) = &value.value
            && let Some(number) = super::position(place)
            && let Some(put) = number.checked_sub(1).and_then(|at| values.get(at))
        {
            *expression = (*put).clone();
        }
        ControlFlow::Continue(())
    });
    Ok(query)
}
