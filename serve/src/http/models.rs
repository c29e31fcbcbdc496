//! Pages about the models: what each table holds, how it is computed, and where every column comes from, to be
//! clicked through.

use std::collections::BTreeMap;

use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use schemas::TableName;
use warehouse::{Catalog, Metric, ModelDoc};

use super::error::{ApiError, Envelope};
use super::read::{Read, Reading};

/// The pages bring all that they need, and run nothing.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const STYLE: &str = include_str!("models.css");
/// Height of a box of the picture, and the distance between two.
const BOX: usize = 26;
const STEP: usize = 34;
/// Width of a column of the picture, and from where one begins to where the next does.
const WIDTH: usize = 345;
const STRIDE: usize = 400;

/// All models by layer (HTML).
#[utoipa::path(
    get, path = "/docs/models", tag = "releases", params(Reading),
    responses(
        (status = 200, content((String = "text/html"))),
        (status = 304, description = "The release is the one that the client has"),
        (status = 503, description = "No release yet", body = Envelope),
    )
)]
pub(super) async fn index(read: Read) -> Result<Response, ApiError> {
    let catalog = read.warehouse.releases().catalog(&read.release).await?;
    let mut layers: BTreeMap<&str, Vec<(&TableName, &ModelDoc)>> = BTreeMap::new();
    for (name, model) in &catalog.models {
        layers
            .entry(name.schema.as_str())
            .or_default()
            .push((name, model));
    }
    let as_of = read.reading.as_of.as_deref();
    let body = html! {
        h1 { "Models" }
        p { "What release " (read.release.release_id) " holds. Data flows from " code { "jira" } " and " code { "git" }
            " through staging and intermediate models to the marts." }
        @for layer in ["marts", "intermediate", "staging"] {
            @let models = layers.remove(layer).unwrap_or_default();
            h2 #(layer) { (layer) " " small { (models.len()) } }
            table {
                thead { tr { th { "model" } th { "one row is" } th { "holds" } } }
                tbody {
                    @for (name, model) in models {
                        tr { td { (link(name, as_of)) } td { (model.grain) } td { (first_sentence(&model.description)) } }
                    }
                }
            }
        }
        h2 #metrics { "Metrics " small { (catalog.metrics.len()) } }
        (metrics(&catalog.metrics.iter().collect::<Vec<_>>(), as_of))
    };
    Ok(page(&read, "Models", &body))
}

/// One model: its columns, their origins and uses, its statement (HTML).
#[utoipa::path(
    get, path = "/docs/models/{name}", tag = "releases",
    params(("name" = String, Path, description = "Schema and name, such as marts.velocity"), Reading),
    responses(
        (status = 200, content((String = "text/html"))),
        (status = 304, description = "The release is the one that the client has"),
        (status = 404, body = Envelope),
        (status = 503, description = "No release yet", body = Envelope),
    )
)]
pub(super) async fn one(read: Read, Path(name): Path<String>) -> Result<Response, ApiError> {
    let catalog = read.warehouse.releases().catalog(&read.release).await?;
    let (schema, table) = name.split_once('.').unwrap_or(("marts", name.as_str()));
    let name = TableName::new(schema, table);
    let model = catalog.models.get(&name).ok_or_else(|| {
        ApiError::not_found("there is no model of this name; /docs/models lists all")
    })?;
    let as_of = read.reading.as_of.as_deref();
    let readers = readers(&catalog, &name);
    let uses = uses(&catalog, &name);
    let key = model.key.join(", ");
    let own: Vec<&Metric> = catalog
        .metrics
        .iter()
        .filter(|metric| metric.table == name.to_string())
        .collect();
    let body = html! {
        h1 { (name) }
        p { (model.description) }
        dl {
            dt { "one row is" } dd { (model.grain) }
            dt { "key" } dd { code { (key) } }
            dt { "kept as" } dd { (model.kind) }
            dt { "owner" } dd { (model.owner) }
            dt { "file" } dd { code { "sql/" (model.file) } }
        }
        h2 #lineage { "Lineage" }
        (picture(&catalog, &model.reads, &name, &readers, as_of))
        @if !own.is_empty() {
            h2 #metrics { "Metrics" }
            (metrics(&own, as_of))
        }
        h2 #columns { "Columns" }
        table {
            thead { tr { th { "column" } th { "is" } th { "comes from" } th { "goes into" } } }
            tbody {
                @for (column, doc) in &model.columns {
                    tr #(column) {
                        td { code { (column) } @if model.key.contains(column) { " " span.key title="part of the key" { "key" } } }
                        td { (doc.description) }
                        td { @for (table, from) in &doc.from { div { (column_link(&catalog, table, from, as_of)) } } }
                        td { @for (table, into) in uses.get(column.as_str()).into_iter().flatten() {
                            div { (column_link(&catalog, table, into, as_of)) }
                        } }
                    }
                }
            }
        }
        h2 #statement { "Statement" }
        pre { code { (model.sql) } }
    };
    Ok(page(&read, &name.to_string(), &body))
}

/// Models that read a table.
fn readers(catalog: &Catalog, name: &TableName) -> Vec<TableName> {
    let models = catalog.models.iter();
    let reading = models.filter(|(_, model)| model.reads.contains(name));
    reading.map(|(reader, _)| reader.clone()).collect()
}

/// The columns that the values of a table's columns go into.
fn uses<'c>(
    catalog: &'c Catalog,
    name: &TableName,
) -> BTreeMap<&'c str, Vec<(&'c TableName, &'c str)>> {
    let mut uses: BTreeMap<&str, Vec<(&TableName, &str)>> = BTreeMap::new();
    for (reader, model) in &catalog.models {
        for (column, doc) in &model.columns {
            for (_, from) in doc.from.iter().filter(|(table, _)| table == name) {
                uses.entry(from.as_str())
                    .or_default()
                    .push((reader, column));
            }
        }
    }
    uses
}

/// What a model reads on the left, what reads it on the right; each is a link.
fn picture(
    catalog: &Catalog,
    reads: &[TableName],
    name: &TableName,
    readers: &[TableName],
    as_of: Option<&str>,
) -> Markup {
    let rows = reads.len().max(readers.len()).max(1);
    let height = rows * STEP;
    let middle = height / 2;
    let center = |place: usize, of: usize| (height - of * STEP) / 2 + place * STEP + STEP / 2;
    let edge = |x1: usize, y1: usize, x2: usize, y2: usize| {
        let bend = (x1 + x2) / 2;
        format!("M{x1} {y1} C{bend} {y1} {bend} {y2} {x2} {y2}")
    };
    let boxed = |table: &TableName, x: usize, y: usize, class: &str| {
        let inner = html! {
            rect x=(x) y=(y - BOX / 2) width=(WIDTH) height=(BOX) rx="4" class=(class) {}
            text x=(x + 8) y=(y + 5) { (table) }
        };
        html! {
            @if class != "self" && catalog.models.contains_key(table) {
                a href=(href(table, as_of)) { (inner) }
            } @else { g { (inner) } }
        }
    };
    html! {
        div.scroll {
            svg role="img" aria-label="what the model reads, and what reads it"
                width=(2 * STRIDE + WIDTH) height=(height) viewBox=(format!("0 0 {} {height}", 2 * STRIDE + WIDTH)) {
                @for place in 0..reads.len() {
                    path d=(edge(WIDTH, center(place, reads.len()), STRIDE, middle)) {}
                }
                @for place in 0..readers.len() {
                    path d=(edge(STRIDE + WIDTH, middle, 2 * STRIDE, center(place, readers.len()))) {}
                }
                @for (place, table) in reads.iter().enumerate() {
                    (boxed(table, 0, center(place, reads.len()), &table.schema))
                }
                (boxed(name, STRIDE, middle, "self"))
                @for (place, table) in readers.iter().enumerate() {
                    (boxed(table, 2 * STRIDE, center(place, readers.len()), &table.schema))
                }
            }
        }
    }
}

fn metrics(metrics: &[&Metric], as_of: Option<&str>) -> Markup {
    html! {
        table {
            thead { tr { th { "metric" } th { "formula" } th { "unit" } th { "grain" } th { "stands in" } th { "source" } } }
            tbody {
                @for metric in metrics {
                    @let table = metric.table.split_once('.').map(|(schema, table)| TableName::new(schema, table));
                    tr {
                        td { (metric.name) " " small { "v" (metric.version) } }
                        td { (metric.formula) }
                        td { (metric.unit) }
                        td { (metric.grain) }
                        td {
                            @if let Some(table) = table {
                                a href=(format!("{}#{}", href(&table, as_of), metric.column)) { (table) "." (metric.column) }
                            }
                        }
                        td { (metric.source) }
                    }
                }
            }
        }
    }
}

fn link(name: &TableName, as_of: Option<&str>) -> Markup {
    html! { a href=(href(name, as_of)) { (name.name) } }
}

fn column_link(catalog: &Catalog, table: &TableName, column: &str, as_of: Option<&str>) -> Markup {
    html! {
        @if catalog.models.contains_key(table) {
            a href=(format!("{}#{column}", href(table, as_of))) { (table) "." (column) }
        } @else { (table) "." (column) }
    }
}

/// Path of a model's page, of the same release.
fn href(name: &TableName, as_of: Option<&str>) -> String {
    let mut path = format!("/docs/models/{name}");
    if let Some(as_of) = as_of {
        let asked: String = url::form_urlencoded::byte_serialize(as_of.as_bytes()).collect();
        path.push_str(&format!("?as_of={asked}"));
    }
    path
}

fn first_sentence(text: &str) -> &str {
    text.split_once(". ").map_or(text, |(first, _)| first)
}

fn page(read: &Read, title: &str, body: &Markup) -> Response {
    let as_of = read.reading.as_of.as_deref();
    let index = as_of.map_or_else(
        || "/docs/models".to_string(),
        |as_of| {
            let asked: String = url::form_urlencoded::byte_serialize(as_of.as_bytes()).collect();
            format!("/docs/models?as_of={asked}")
        },
    );
    let html = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · Sprint Reports" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                nav { a href=(index) { "Models" } " · " a href="/docs" { "REST" } " · release " (read.release.release_id) }
                main { (body) }
            }
        }
    };
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        ),
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(POLICY),
        ),
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
    ];
    read.tagged((StatusCode::OK, headers, html.into_string()).into_response())
}
