//! Names of result columns as PostgreSQL clients expect them.

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::sql::sqlparser::ast::{Expr, SelectItem, SetExpr, Statement};

/// A column of the select list: its name, or `None` for what stands for several (`*`).
pub(super) type Item = Option<String>;

/// The select list of a query; empty where there is none.
pub(super) fn projection(statement: &Statement) -> Vec<Item> {
    let Statement::Query(query) = statement else {
        return Vec::new();
    };
    let mut body = query.body.as_ref();
    loop {
        match body {
            SetExpr::Select(select) => return select.projection.iter().map(item).collect(),
            SetExpr::Query(query) => body = query.body.as_ref(),
            SetExpr::SetOperation { left, .. } => body = left.as_ref(),
            _ => return Vec::new(),
        }
    }
}

/// Names for the columns of a plan. What comes from `*` keeps the plan's name.
pub(super) fn of(items: Vec<Item>, schema: &SchemaRef) -> Vec<String> {
    let fields = schema.fields();
    let stars = items.iter().filter(|item| item.is_none()).count();
    let planned = || fields.iter().map(|field| field.name().clone()).collect();
    // How many columns each of several stars stands for is not known here.
    if items.is_empty() || stars > 1 || items.len() - stars > fields.len() {
        return planned();
    }
    let starred = fields.len() - (items.len() - stars);
    if stars == 0 && starred != 0 {
        return planned();
    }
    let mut labels = Vec::with_capacity(fields.len());
    for item in items {
        match item {
            Some(name) => labels.push(name),
            None => {
                for _ in 0..starred {
                    labels.push(fields[labels.len()].name().clone());
                }
            }
        }
    }
    labels
}

fn item(item: &SelectItem) -> Item {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(folded(alias)),
        SelectItem::UnnamedExpr(expr) => Some(name(expr)),
        _ => None,
    }
}

fn folded(ident: &datafusion::sql::sqlparser::ast::Ident) -> String {
    match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_lowercase(),
    }
}

fn name(expr: &Expr) -> String {
    let unknown = || "?column?".to_string();
    match expr {
        Expr::Identifier(ident) => folded(ident),
        Expr::CompoundIdentifier(parts) => parts.last().map_or_else(unknown, folded),
        Expr::Function(function) => function
            .name
            .0
            .last()
            .and_then(|part| part.as_ident())
            .map_or_else(unknown, folded),
        Expr::Cast {
            expr, data_type, ..
        } => match name(expr) {
            inner if inner == unknown() => data_type.to_string().to_lowercase(),
            inner => inner,
        },
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => name(inner),
        Expr::Case { .. } => "case".to_string(),
        Expr::Exists { .. } => "exists".to_string(),
        Expr::Array(_) => "array".to_string(),
        Expr::Extract { .. } => "extract".to_string(),
        Expr::Substring { .. } => "substring".to_string(),
        Expr::Subquery(query) => match query.body.as_ref() {
            SetExpr::Select(select) => select
                .projection
                .first()
                .and_then(item)
                .unwrap_or_else(unknown),
            _ => unknown(),
        },
        _ => unknown(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    #[test]
    fn expressions_are_called_after_their_function() {
        let sql = "select 1 + 1, A.b, count(*), max(x) as \"Most\", x::int, (1)::text, case when a then b end from a";
        let statement = Parser::parse_sql(&PostgreSqlDialect {}, sql)
            .unwrap()
            .remove(0);
        let names: Vec<String> = projection(&statement).into_iter().flatten().collect();
        assert_eq!(
            names,
            ["?column?", "b", "count", "Most", "x", "text", "case"]
        );
    }
}
