//! `tables.md`: every column of every table that SQL clients see.

use tests::{Server, filled};

use crate::page::{Page, same};

/// Schemas whose tables are promised; the others are steps on the way.
const PROMISED: [&str; 5] = ["raw", "git", "jira", "marts", "system"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_columns_and_types() {
    let page: Vec<String> = Page::read("tables.md")
        .headings()
        .iter()
        .flat_map(|table| {
            let rows = Page::read("tables.md").table(table);
            rows.into_iter()
                .map(move |row| format!("{table} | {} | {}", row[0], row[1]))
        })
        .collect();
    let server = Server::start(filled().await);
    let postgres = server.postgres().await;
    let listed = postgres
        .rows("select table_schema || '.' || table_name from information_schema.tables order by 1")
        .await
        .unwrap();
    let mut product = Vec::new();
    for table in listed.into_iter().map(|row| row[0].clone().unwrap()) {
        if !PROMISED.contains(&table.split('.').next().unwrap()) {
            continue;
        }
        // The types that a driver is told.
        let all = format!("select * from {table}");
        let described = postgres.driver().prepare(&all).await.unwrap();
        for column in described.columns() {
            let kind = named(column.type_().name());
            product.push(format!("{table} | {} | {kind}", column.name()));
        }
    }
    same(&page, &product, "tables.md");
}

/// As the page names types.
fn named(name: &str) -> String {
    let (name, list) = match name.strip_prefix('_') {
        Some(item) => (item, "[]"),
        None => (name, ""),
    };
    let name = match name {
        "int8" => "BIGINT",
        "int4" => "INTEGER",
        "float8" => "DOUBLE",
        "bool" => "BOOLEAN",
        "text" | "varchar" => "TEXT",
        "timestamptz" => "TIMESTAMP WITH TIME ZONE",
        "date" => "DATE",
        other => other,
    };
    format!("{name}{list}")
}
