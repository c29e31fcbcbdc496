//! The part of JQL that extractors use: comparisons on time, project, id, key and sprint, AND/OR/NOT,
//! and ORDER BY.

mod data_center;
mod date;
mod evaluate;
mod parse;

pub(crate) use evaluate::{Order, SortValue, compare_values};
pub(crate) use parse::parse;

/// A parsed query; without a filter it is unbounded.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Query {
    pub(crate) filter: Option<Expression>,
    pub(crate) order: Vec<(Order, bool)>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expression {
    And(Vec<Expression>),
    Or(Vec<Expression>),
    Not(Box<Expression>),
    Clause {
        field: Field,
        operator: Operator,
        values: Vec<Literal>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Updated,
    Created,
    Project,
    /// `id`, `key`, `issue`, `issuekey`: all take ids and keys.
    Issue,
    Sprint,
    Type,
    Status,
    Parent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    NotIn,
    IsEmpty,
    IsNotEmpty,
}

/// A value as written: quoting tells a number from a text of digits.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Literal {
    pub(crate) text: String,
    pub(crate) quoted: bool,
}
