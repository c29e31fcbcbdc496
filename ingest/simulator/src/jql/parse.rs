//! Tokens and grammar.

use crate::jql::{Expression, Field, Literal, Operator, Order, Query};

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Quoted(String),
    Symbol(&'static str),
}

const SYMBOLS: [&str; 9] = [">=", "<=", "!=", ">", "<", "=", "(", ")", ","];
const MOST_ORDER_FIELDS: usize = 7;

/// Parses a query, or says what is wrong in Jira's words.
pub(crate) fn parse(jql: &str) -> Result<Query, String> {
    let tokens = tokenize(jql)?;
    let mut parser = Parser {
        tokens,
        position: 0,
    };
    let filter = if parser.at_end() || parser.peek_word("order") {
        None
    } else {
        Some(parser.or()?)
    };
    let order = parser.order()?;
    if !parser.at_end() {
        return Err(format!(
            "Error in the JQL Query: Expecting either 'OR' or 'AND' but got '{}'.",
            parser.here()
        ));
    }
    Ok(Query { filter, order })
}

fn tokenize(jql: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = jql.trim_start();
    while let Some(first) = rest.chars().next() {
        if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
            tokens.push(Token::Symbol(symbol));
            rest = &rest[symbol.len()..];
        } else if first == '"' || first == '\'' {
            let close = rest[1..].find(first).ok_or_else(|| {
                format!(
                    "Error in the JQL Query: The quoted string '{}' has not been completed.",
                    &rest[1..]
                )
            })?;
            tokens.push(Token::Quoted(rest[1..=close].to_owned()));
            rest = &rest[close + 2..];
        } else {
            let end = rest
                .find(|c: char| c.is_whitespace() || "<>=!(),\"'".contains(c))
                .unwrap_or(rest.len());
            if end == 0 {
                return Err(format!(
                    "Error in the JQL Query: The character '{first}' is a reserved JQL character."
                ));
            }
            let mut word = &rest[..end];
            // A function call is one word: now(), startOfDay().
            if rest[end..].starts_with("()") {
                word = &rest[..end + 2];
            }
            tokens.push(Token::Word(word.to_owned()));
            rest = &rest[word.len()..];
        }
        rest = rest.trim_start();
    }
    Ok(tokens)
}

struct Parser {
    tokens: Vec<Token>,
    position: usize,
}

impl Parser {
    fn at_end(&self) -> bool {
        self.position >= self.tokens.len()
    }

    fn here(&self) -> String {
        match self.tokens.get(self.position) {
            Some(Token::Word(text) | Token::Quoted(text)) => text.clone(),
            Some(Token::Symbol(symbol)) => (*symbol).to_owned(),
            None => "the end of the query".to_owned(),
        }
    }

    fn peek_word(&self, word: &str) -> bool {
        matches!(self.tokens.get(self.position), Some(Token::Word(found)) if found.eq_ignore_ascii_case(word))
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = self.peek_word(word);
        self.position += usize::from(found);
        found
    }

    fn take_symbol(&mut self, symbol: &str) -> bool {
        let found = matches!(self.tokens.get(self.position), Some(Token::Symbol(found)) if *found == symbol);
        self.position += usize::from(found);
        found
    }

    fn or(&mut self) -> Result<Expression, String> {
        let mut parts = vec![self.and()?];
        while self.take_word("or") {
            parts.push(self.and()?);
        }
        Ok(if parts.len() == 1 {
            parts.remove(0)
        } else {
            Expression::Or(parts)
        })
    }

    fn and(&mut self) -> Result<Expression, String> {
        let mut parts = vec![self.unary()?];
        while self.take_word("and") {
            parts.push(self.unary()?);
        }
        Ok(if parts.len() == 1 {
            parts.remove(0)
        } else {
            Expression::And(parts)
        })
    }

    fn unary(&mut self) -> Result<Expression, String> {
        if self.take_word("not") {
            return Ok(Expression::Not(Box::new(self.unary()?)));
        }
        if self.take_symbol("(") {
            let inner = self.or()?;
            if !self.take_symbol(")") {
                return Err(format!(
                    "Error in the JQL Query: Expecting ')' but got '{}'.",
                    self.here()
                ));
            }
            return Ok(inner);
        }
        self.clause()
    }

    fn clause(&mut self) -> Result<Expression, String> {
        let name = self.here();
        let field = field(&name).ok_or_else(|| {
            format!("Field '{name}' does not exist or you do not have permission to view it.")
        })?;
        self.position += 1;
        let operator = self.operator()?;
        let values = match operator {
            Operator::IsEmpty | Operator::IsNotEmpty => Vec::new(),
            Operator::In | Operator::NotIn => self.list()?,
            _ => vec![self.value()?],
        };
        Ok(Expression::Clause {
            field,
            operator,
            values,
        })
    }

    fn operator(&mut self) -> Result<Operator, String> {
        let symbols = [
            (">=", Operator::GreaterOrEqual),
            ("<=", Operator::LessOrEqual),
            ("!=", Operator::NotEqual),
            (">", Operator::Greater),
            ("<", Operator::Less),
            ("=", Operator::Equal),
        ];
        for (symbol, operator) in symbols {
            if self.take_symbol(symbol) {
                return Ok(operator);
            }
        }
        if self.take_word("in") {
            return Ok(Operator::In);
        }
        if self.take_word("not") && self.take_word("in") {
            return Ok(Operator::NotIn);
        }
        if self.take_word("is") {
            let not = self.take_word("not");
            if self.take_word("empty") || self.take_word("null") {
                return Ok(if not {
                    Operator::IsNotEmpty
                } else {
                    Operator::IsEmpty
                });
            }
        }
        Err(format!(
            "Error in the JQL Query: Expecting operator but got '{}'. The valid operators are '=', '!=', '<', '>', '<=', '>=', '~', '!~', 'IN', 'NOT IN', 'IS' and 'IS NOT'.",
            self.here()
        ))
    }

    fn list(&mut self) -> Result<Vec<Literal>, String> {
        if !self.take_symbol("(") {
            return Err(format!(
                "Error in the JQL Query: Expecting '(' but got '{}'.",
                self.here()
            ));
        }
        let mut values = vec![self.value()?];
        while self.take_symbol(",") {
            values.push(self.value()?);
        }
        if !self.take_symbol(")") {
            return Err(format!(
                "Error in the JQL Query: Expecting ')' but got '{}'.",
                self.here()
            ));
        }
        Ok(values)
    }

    fn value(&mut self) -> Result<Literal, String> {
        let literal = match self.tokens.get(self.position) {
            Some(Token::Word(text)) => Literal {
                text: text.clone(),
                quoted: false,
            },
            Some(Token::Quoted(text)) => Literal {
                text: text.clone(),
                quoted: true,
            },
            _ => {
                return Err(format!(
                    "Error in the JQL Query: Expecting a value but got '{}'.",
                    self.here()
                ));
            }
        };
        self.position += 1;
        Ok(literal)
    }

    fn order(&mut self) -> Result<Vec<(Order, bool)>, String> {
        let mut order = Vec::new();
        if !self.take_word("order") {
            return Ok(order);
        }
        if !self.take_word("by") {
            return Err(format!(
                "Error in the JQL Query: Expecting 'by' but got '{}'.",
                self.here()
            ));
        }
        loop {
            let name = self.here();
            let field = Order::named(&name)
                .ok_or_else(|| format!("Not able to sort using field '{name}'."))?;
            self.position += 1;
            let descending = !self.take_word("asc") && self.take_word("desc");
            order.push((field, descending));
            if !self.take_symbol(",") {
                break;
            }
        }
        if order.len() > MOST_ORDER_FIELDS {
            return Err(format!(
                "JQL can be ordered by at most {MOST_ORDER_FIELDS} fields."
            ));
        }
        Ok(order)
    }
}

fn field(name: &str) -> Option<Field> {
    Some(match name.to_lowercase().as_str() {
        "updated" | "updateddate" => Field::Updated,
        "created" | "createddate" => Field::Created,
        "project" => Field::Project,
        "id" | "key" | "issue" | "issuekey" => Field::Issue,
        "sprint" => Field::Sprint,
        "type" | "issuetype" => Field::Type,
        "status" => Field::Status,
        "parent" => Field::Parent,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_extractors_send() {
        let query = parse(
            "project in (EE, \"K 5\") AND updated >= '2024-01-02 03:04' ORDER BY updated ASC, key",
        )
        .unwrap();
        assert_eq!(query.order, [(Order::Updated, false), (Order::Key, false)]);
        let Some(Expression::And(parts)) = query.filter else {
            panic!("two clauses")
        };
        assert_eq!(parts.len(), 2);
        assert!(parse("ORDER BY created DESC").unwrap().filter.is_none());
        assert!(parse("").unwrap().filter.is_none());
        parse("(id > 5 OR key = EE-3) and sprint is not empty and not project != X").unwrap();
    }

    #[test]
    fn refuses_with_jiras_words() {
        let order = "updated,created,key,id,updated,created,key,id";
        assert_eq!(
            parse(&format!("id > 1 order by {order}")).unwrap_err(),
            "JQL can be ordered by at most 7 fields."
        );
        assert!(
            parse("colour = red")
                .unwrap_err()
                .starts_with("Field 'colour' does not exist")
        );
        assert!(
            parse("id > 1 id < 3")
                .unwrap_err()
                .contains("Expecting either")
        );
        assert!(
            parse("updated >= 'x")
                .unwrap_err()
                .contains("has not been completed")
        );
    }
}
