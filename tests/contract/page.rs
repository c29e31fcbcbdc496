//! The pages of this folder: Markdown tables under headings.

use std::path::Path;

/// A page, by the name of its file.
pub(crate) struct Page {
    name: String,
    text: String,
}

impl Page {
    pub(crate) fn read(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("contract");
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        Self {
            name: name.to_string(),
            text,
        }
    }

    /// The headings of second order, in their order.
    pub(crate) fn headings(&self) -> Vec<&str> {
        let lines = self.text.lines();
        lines.filter_map(|line| line.strip_prefix("## ")).collect()
    }

    /// The rows of the table under a heading, without its head; code marks are taken off.
    pub(crate) fn table(&self, heading: &str) -> Vec<Vec<String>> {
        let start = format!("## {heading}");
        let rows: Vec<_> = self
            .text
            .lines()
            .skip_while(|line| *line != start)
            .skip(1)
            .take_while(|line| !line.starts_with("## "))
            .filter(|line| line.starts_with('|'))
            .skip(2)
            .map(|line| {
                let cells = line.trim().trim_matches('|').split('|');
                cells.map(|cell| cell.trim().replace('`', "")).collect()
            })
            .collect();
        assert!(!rows.is_empty(), "{}: no table under '{start}'", self.name);
        rows
    }
}

/// Fails unless the page and the product say the same; says what is only on one side.
#[track_caller]
pub(crate) fn same(page: &[String], product: &[String], what: &str) {
    let only = |left: &[String], right: &[String]| {
        let only = left.iter().filter(|line| !right.contains(line));
        only.map(|line| format!("\n  {line}")).collect::<String>()
    };
    let (missing, unsaid) = (only(page, product), only(product, page));
    assert!(
        missing.is_empty() && unsaid.is_empty(),
        "{what}\nonly on the page:{missing}\nonly in the product:{unsaid}"
    );
}
