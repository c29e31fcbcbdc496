//! The little CSV that recordings are kept in: quoted fields with line breaks, doubled quotes, a BOM.

/// Rows as lists of fields, the header first.
pub(super) fn rows(text: &str) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let mut row = Vec::new();
    let mut field = String::new();
    let mut quoted = false;
    let mut chars = text.trim_start_matches('\u{feff}').chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut field)),
            '\n' if !quoted => {
                row.push(std::mem::take(&mut field));
                rows.push(std::mem::take(&mut row));
            }
            '\r' if !quoted => {}
            other => field.push(other),
        }
    }
    if !field.is_empty() || !row.is_empty() {
        row.push(field);
        rows.push(row);
    }
    // Some recordings start with an empty line.
    rows.retain(|row| row.iter().any(|field| !field.is_empty()));
    rows
}

#[cfg(test)]
mod tests {
    use super::rows;

    #[test]
    fn reads_quotes_breaks_and_the_mark() {
        let text = "\u{feff}\r\n\"id\",\"data\"\r\n1,\"{\"\"a\"\": \"\"x,\ny\"\"}\"\r\n2,plain";
        let expected = [["id", "data"], ["1", "{\"a\": \"x,\ny\"}"], ["2", "plain"]];
        assert_eq!(rows(text), expected);
    }
}
