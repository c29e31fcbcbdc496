//! How Data Center reads comparisons of issues: `id > 7` means the issues of issue 7's own project
//! with larger numbers, and nothing at all when there is no issue 7.

use crate::jql::{Expression, Field, Literal, Operator, Order, Query};
use crate::render::Head;

impl Query {
    /// The query as Data Center reads it; `strict` refuses issues that are not there.
    pub(crate) fn of_data_center(mut self, heads: &[Head], strict: bool) -> Result<Self, String> {
        self.filter = match self.filter {
            Some(filter) => Some(rewritten(filter, heads, strict)?),
            None => None,
        };
        for (order, _) in &mut self.order {
            if *order == Order::Id {
                *order = Order::Key;
            }
        }
        Ok(self)
    }
}

fn rewritten(expression: Expression, heads: &[Head], strict: bool) -> Result<Expression, String> {
    let all = |parts: Vec<Expression>| -> Result<Vec<Expression>, String> {
        parts
            .into_iter()
            .map(|part| rewritten(part, heads, strict))
            .collect()
    };
    Ok(match expression {
        Expression::And(parts) => Expression::And(all(parts)?),
        Expression::Or(parts) => Expression::Or(all(parts)?),
        Expression::Not(inner) => Expression::Not(Box::new(rewritten(*inner, heads, strict)?)),
        Expression::Clause {
            field: Field::Issue,
            operator,
            values,
        } => of_issues(operator, values, heads, strict)?,
        clause => clause,
    })
}

fn of_issues(
    operator: Operator,
    values: Vec<Literal>,
    heads: &[Head],
    strict: bool,
) -> Result<Expression, String> {
    let named = |literal: &Literal| {
        let text = literal.text.as_str();
        heads
            .iter()
            .find(|head| head.id.to_string() == text || head.key.eq_ignore_ascii_case(text))
    };
    if let Some(unknown) = values.iter().find(|literal| named(literal).is_none())
        && strict
    {
        return Err(match unknown.text.parse::<u64>() {
            Ok(id) => format!("A value with ID '{id}' does not exist for the field 'id'."),
            Err(_) => format!(
                "An issue with key '{}' does not exist for field 'key'.",
                unknown.text
            ),
        });
    }
    let is_relational = matches!(
        operator,
        Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual
    );
    if !is_relational {
        return Ok(Expression::Clause {
            field: Field::Issue,
            operator,
            values,
        });
    }
    let clause = |field, operator, text: &str| Expression::Clause {
        field,
        operator,
        values: vec![Literal {
            text: text.to_owned(),
            quoted: true,
        }],
    };
    Ok(match values.first().and_then(named) {
        Some(head) => Expression::And(vec![
            clause(Field::Project, Operator::Equal, &head.project.1),
            clause(Field::Issue, operator, &head.key),
        ]),
        None => Expression::Or(Vec::new()),
    })
}
