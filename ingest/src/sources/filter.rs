//! Conditions on stored rows, as SQL.

/// The rows of a connection.
pub(crate) fn of(connection: &str) -> String {
    format!("connection = '{}'", connection.replace('\'', "''"))
}

/// The live rows of a connection.
pub(crate) fn live(connection: &str) -> String {
    format!("{} and deleted_at is null", of(connection))
}

/// The rows of a connection that name one of some ids in one of the columns; `None` for no ids. The
/// bounds let files be passed over that hold none of them.
pub(crate) fn among(connection: &str, columns: &[&str], ids: &[i64]) -> Option<String> {
    let (low, high) = (ids.iter().min()?, ids.iter().max()?);
    let list: Vec<_> = ids.iter().map(i64::to_string).collect();
    let list = list.join(", ");
    let named: Vec<_> = columns
        .iter()
        .map(|column| {
            format!("({column} >= {low} and {column} <= {high} and {column} in ({list}))")
        })
        .collect();
    Some(format!("{} and ({})", of(connection), named.join(" or ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_and_ids_bounded() {
        assert_eq!(live("o'b"), "connection = 'o''b' and deleted_at is null");
        assert_eq!(among("a", &["x"], &[]), None);
        assert_eq!(
            among("a", &["x", "y"], &[5, 3]).as_deref(),
            Some(
                "connection = 'a' and ((x >= 3 and x <= 5 and x in (5, 3)) or \
                 (y >= 3 and y <= 5 and y in (5, 3)))"
            )
        );
    }
}
