//! What a query text may be: short enough to parse, one statement, one that only reads.
//!
//! The limits on size come before the parser sees the text, for parser and planner recurse over it.
//! The plan is verified once more before it runs (`SQLOptions::verify_plan`).

use std::sync::LazyLock;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::context::SQLOptions;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::Statement;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use datafusion_pg_catalog::sql::PostgresCompatibilityParser;

use crate::{Error, Result};

/// Most tokens of a text.
const TOKENS: usize = 20_000;
/// Deepest nesting of brackets.
const NESTING: usize = 60;
/// Longest chain of operators at one level, such as `1 + 1 + …`.
const CHAIN: usize = 500;
/// Most relations and set operations (JOIN, comma in FROM, UNION) of a statement.
const RELATIONS: usize = 100;

/// Rewrites what PostgreSQL clients ask about the catalog into what the engine understands.
static CATALOG_PARSER: LazyLock<PostgresCompatibilityParser> =
    LazyLock::new(PostgresCompatibilityParser::new);

/// Words that only questions about the catalog contain.
const CATALOG_WORDS: [&str; 12] = [
    "pg_",
    "information_schema",
    "regclass",
    "regtype",
    "regproc",
    "regnamespace",
    "current_schema",
    "current_user",
    "session_user",
    "current_catalog",
    "current_database",
    "current_setting",
];

/// Parses the statements of a text, none of them checked for what it does.
pub(super) fn parse(sql: &str, bytes: usize) -> Result<Vec<Statement>> {
    if sql.len() > bytes {
        return Err(Error::TooLarge(format!(
            "{} bytes, at most {bytes} are allowed",
            sql.len()
        )));
    }
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, sql)
        .tokenize()
        .map_err(|error| syntax(error.to_string()))?;
    measure(&tokens)?;
    let lower = sql.to_ascii_lowercase();
    let parsed = if CATALOG_WORDS.iter().any(|word| lower.contains(word)) {
        CATALOG_PARSER.parse(sql)
    } else {
        Parser::parse_sql(&PostgreSqlDialect {}, sql)
    };
    parsed.map_err(|error| match error {
        ParserError::RecursionLimitExceeded => {
            Error::TooComplex("expressions or subqueries are nested too deeply".to_string())
        }
        ParserError::ParserError(message) | ParserError::TokenizerError(message) => {
            match writing(&tokens) {
                Some(word) => Error::NotReadOnly(format!("{word} is not one of them")),
                None => syntax(message),
            }
        }
    })
}

/// The verb of a statement that can't be parsed and that would not be run if it could.
fn writing(tokens: &[Token]) -> Option<&'static str> {
    const VERBS: [&str; 18] = [
        "ALTER", "ANALYZE", "ATTACH", "CALL", "COPY", "CREATE", "DELETE", "DO", "DROP", "GRANT",
        "INSERT", "INSTALL", "LOAD", "MERGE", "REVOKE", "TRUNCATE", "UPDATE", "VACUUM",
    ];
    let mut words = tokens.iter().filter_map(|token| match token {
        Token::Word(word) if word.quote_style.is_none() => Some(word.value.to_uppercase()),
        _ => None,
    });
    let mut first = words.next()?;
    if first == "EXPLAIN" {
        first = words.find(|word| !matches!(word.as_str(), "ANALYZE" | "VERBOSE"))?;
    }
    VERBS.into_iter().find(|verb| *verb == first)
}

fn syntax(message: String) -> Error {
    Error::Query {
        sqlstate: "42601",
        message: format!("syntax error: {message}"),
    }
}

/// Refuses what would make the parser or the planner recurse too deeply.
fn measure(tokens: &[Token]) -> Result<()> {
    let too = |what: &str, limit: usize| {
        Err(Error::TooComplex(format!(
            "it has more than {limit} {what}"
        )))
    };
    if tokens.len() > TOKENS {
        return too("tokens", TOKENS);
    }
    let mut relations = 0;
    // For each open bracket: operators in the present chain, and whether a FROM is being listed.
    let mut levels = vec![(0, false)];
    for token in tokens {
        let depth = levels.len();
        let Some((chain, in_from)) = levels.last_mut() else {
            return Ok(());
        };
        match token {
            Token::LParen | Token::LBracket => {
                *chain += usize::from(matches!(token, Token::LBracket));
                levels.push((0, false));
                if depth > NESTING {
                    return too("brackets inside each other", NESTING);
                }
            }
            Token::RParen | Token::RBracket if depth > 1 => {
                levels.pop();
            }
            Token::Comma => {
                *chain = 0;
                relations += usize::from(*in_from);
            }
            Token::SemiColon => {
                levels = vec![(0, false)];
                relations = 0;
            }
            Token::Word(word) => match word.keyword {
                Keyword::FROM => (*chain, *in_from) = (0, true),
                Keyword::SELECT
                | Keyword::WHERE
                | Keyword::GROUP
                | Keyword::HAVING
                | Keyword::ORDER
                | Keyword::LIMIT => (*chain, *in_from) = (0, false),
                Keyword::WHEN | Keyword::THEN | Keyword::ELSE | Keyword::ON => *chain = 0,
                Keyword::UNION | Keyword::INTERSECT | Keyword::EXCEPT | Keyword::JOIN => {
                    relations += 1;
                }
                Keyword::AND
                | Keyword::OR
                | Keyword::NOT
                | Keyword::IS
                | Keyword::IN
                | Keyword::LIKE
                | Keyword::ILIKE
                | Keyword::SIMILAR
                | Keyword::BETWEEN
                | Keyword::COLLATE
                | Keyword::AT
                | Keyword::DIV => *chain += 1,
                _ => {}
            },
            Token::Whitespace(_)
            | Token::Period
            | Token::Number(..)
            | Token::SingleQuotedString(_)
            | Token::Placeholder(_)
            | Token::EOF => {}
            _ => *chain += 1,
        }
        if levels.last().is_some_and(|(chain, _)| *chain > CHAIN) {
            return too("operators in one chain", CHAIN);
        }
        if relations > RELATIONS {
            return too("joined or united relations", RELATIONS);
        }
    }
    Ok(())
}

/// The one statement of a text, if it only reads.
pub(super) fn read_only(sql: &str, bytes: usize) -> Result<Statement> {
    let mut statements = parse(sql, bytes)?;
    let statement = statements
        .pop()
        .ok_or_else(|| Error::query("the query is empty"))?;
    if !statements.is_empty() {
        return Err(Error::query("write one statement at a time"));
    }
    check(&statement)?;
    Ok(statement)
}

/// Refuses a statement that does more than read.
pub(super) fn check(statement: &Statement) -> Result<()> {
    let reads = match statement {
        Statement::Query(_)
        | Statement::ShowTables { .. }
        | Statement::ShowColumns { .. }
        | Statement::ExplainTable { .. } => true,
        Statement::Explain { statement, .. } => matches!(**statement, Statement::Query(_)),
        _ => false,
    };
    if reads {
        return Ok(());
    }
    let text = match statement {
        Statement::Explain { statement, .. } => statement.to_string(),
        other => other.to_string(),
    };
    let words: Vec<&str> = text.split_whitespace().take(2).collect();
    Err(Error::NotReadOnly(format!(
        "{} is not one of them",
        words.join(" ").to_uppercase()
    )))
}

/// Refuses a plan that does more than read, however it came about.
pub(super) fn verify(plan: &LogicalPlan) -> Result<()> {
    SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false)
        .verify_plan(plan)
        .map_err(|error| Error::NotReadOnly(error.strip_backtrace()))?;
    // The engine's settings are nobody's business.
    let mut hidden = false;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            hidden |= scan.table_name.table() == "df_settings";
        }
        Ok(TreeNodeRecursion::Continue)
    })
    .map_err(Error::engine)?;
    if hidden {
        return Err(Error::Query {
            sqlstate: "42P01",
            message: "there is no table 'information_schema.df_settings'".to_string(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: usize = 256 << 10;

    #[test]
    fn only_reading_statements_pass() {
        for good in [
            "select 1",
            "with a as (select 1) select * from a",
            "explain select 1",
            "explain analyze select 1",
            "show tables",
            "describe marts.sprints",
        ] {
            assert!(read_only(good, BYTES).is_ok(), "{good}");
        }
        for bad in [
            "drop table jira.issues",
            "insert into jira.issues values (1)",
            "copy (select 1) to '/tmp/x.csv'",
            "create view x as select 1",
            "set datafusion.execution.batch_size = 1",
            "show datafusion.execution.batch_size",
            "explain analyze insert into jira.issues values (1)",
            "select 1; select 2",
            "",
        ] {
            assert!(read_only(bad, BYTES).is_err(), "{bad}");
        }
    }

    #[test]
    fn size_is_limited_before_parsing() {
        let refused = |sql: String| {
            let error = parse(&sql, BYTES).unwrap_err();
            assert!(matches!(error, Error::TooComplex(_)), "{error}");
        };
        refused(format!("select 1{}", "+1".repeat(501)));
        refused(format!("select {}1", "not ".repeat(501)));
        refused(format!("select {}1{}", "(".repeat(61), ")".repeat(61)));
        refused(format!("select 1{}", " union all select 1".repeat(101)));
        refused(format!("select 1 from a{}", ", a".repeat(101)));
        refused(format!("select 1{}", "::int".repeat(501)));
        refused(format!("select {}1", "1,".repeat(10_001)));
        refused(format!("select {}1{}", "abs(".repeat(55), ")".repeat(55)));
        let fine = format!("select 1 where 1 in ({}1)", "1,".repeat(9_000));
        assert!(parse(&fine, BYTES).is_ok());
        let long = format!("select '{}'", "x".repeat(BYTES));
        assert!(matches!(parse(&long, BYTES), Err(Error::TooLarge(_))));
    }
}
