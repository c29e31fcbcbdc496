//! Showing query results: table, CSV, JSON, Arrow.

use std::io::Write;

use anyhow::Context;
use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::csv::WriterBuilder as CsvWriterBuilder;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use clap::ValueEnum;

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// RFC 4180, with a header.
    Csv,
    /// One array of objects.
    Json,
    /// Arrow IPC stream.
    Arrow,
}

/// Writes a result to standard output.
pub(crate) fn write(
    format: Format,
    schema: &SchemaRef,
    batches: &[RecordBatch],
) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match format {
        Format::Table => table(&mut out, schema, batches)?,
        Format::Csv => csv(&mut out, schema, batches)?,
        Format::Json => json(&mut out, batches)?,
        Format::Arrow => {
            let mut writer = arrow::ipc::writer::StreamWriter::try_new(&mut out, schema)?;
            for batch in batches {
                writer.write(batch)?;
            }
            writer.finish()?;
        }
    }
    out.flush().context("writing the result")
}

fn json(out: &mut impl Write, batches: &[RecordBatch]) -> anyhow::Result<()> {
    let mut writer = arrow::json::WriterBuilder::new()
        .with_explicit_nulls(true)
        .build::<_, arrow::json::writer::JsonArray>(&mut *out);
    for batch in batches {
        writer.write(batch)?;
    }
    writer.finish()?;
    writeln!(out)?;
    Ok(())
}

fn csv(out: &mut impl Write, schema: &SchemaRef, batches: &[RecordBatch]) -> anyhow::Result<()> {
    let names: Vec<&str> = schema
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .collect();
    let mut writer = CsvWriterBuilder::new().with_header(false).build(&mut *out);
    let header = RecordBatch::try_from_iter(names.iter().map(|name| {
        (
            *name,
            std::sync::Arc::new(StringArray::from(vec![*name])) as ArrayRef,
        )
    }));
    if let Ok(header) = header {
        writer.write(&header)?;
    }
    for batch in batches {
        writer.write(&flat(batch)?)?;
    }
    Ok(())
}

/// Lists and structures as text, since a CSV cell holds one value.
fn flat(batch: &RecordBatch) -> anyhow::Result<RecordBatch> {
    let options = FormatOptions::default();
    let schema = batch.schema();
    let columns = schema
        .fields()
        .iter()
        .zip(batch.columns())
        .map(|(field, column)| {
            let column = if column.data_type().is_nested() {
                let formatter = ArrayFormatter::try_new(column, &options)?;
                let values = (0..column.len())
                    .map(|row| (!column.is_null(row)).then(|| formatter.value(row).to_string()));
                std::sync::Arc::new(values.collect::<StringArray>()) as ArrayRef
            } else {
                ArrayRef::clone(column)
            };
            Ok((field.name().clone(), column))
        });
    let columns: Vec<(String, ArrayRef)> = columns.collect::<anyhow::Result<_>>()?;
    Ok(RecordBatch::try_from_iter(columns)?)
}

fn table(out: &mut impl Write, schema: &SchemaRef, batches: &[RecordBatch]) -> anyhow::Result<()> {
    let safe: Vec<RecordBatch> = batches
        .iter()
        .map(printable)
        .collect::<anyhow::Result<_>>()?;
    let options = FormatOptions::default()
        .with_null("")
        .with_display_error(true);
    let shown = if safe.is_empty() {
        vec![RecordBatch::new_empty(SchemaRef::clone(schema))]
    } else {
        safe
    };
    let text = arrow::util::pretty::pretty_format_batches_with_options(&shown, &options)?;
    writeln!(out, "{text}")?;
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    writeln!(out, "({rows} {})", if rows == 1 { "row" } else { "rows" })?;
    Ok(())
}

/// Text from sources without control characters, which a terminal would obey.
fn printable(batch: &RecordBatch) -> anyhow::Result<RecordBatch> {
    let schema = batch.schema();
    let columns = schema
        .fields()
        .iter()
        .zip(batch.columns())
        .map(|(field, column)| {
            let column = match column.data_type() {
                DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => {
                    let text = arrow::compute::cast(column, &DataType::Utf8)?;
                    let clean = text.as_string::<i32>().iter().map(|value| value.map(clean));
                    std::sync::Arc::new(clean.collect::<StringArray>()) as ArrayRef
                }
                _ => ArrayRef::clone(column),
            };
            Ok((field.name().clone(), column))
        });
    let columns: Vec<(String, ArrayRef)> = columns.collect::<anyhow::Result<_>>()?;
    if columns.is_empty() {
        return Ok(batch.clone());
    }
    Ok(RecordBatch::try_from_iter(columns)?)
}

/// A text that a terminal only shows.
pub(crate) fn clean(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> RecordBatch {
        let text: ArrayRef =
            std::sync::Arc::new(StringArray::from(vec![Some("a,\u{1b}[2J"), None]));
        RecordBatch::try_from_iter([("summary", text)]).unwrap()
    }

    #[test]
    fn a_terminal_never_gets_control_characters() {
        let mut out = Vec::new();
        table(&mut out, &batch().schema(), &[batch()]).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(
            !text.contains('\u{1b}') && text.contains("(2 rows)"),
            "{text}"
        );
    }

    #[test]
    fn json_keeps_nulls_and_is_an_array_even_when_empty() {
        let mut out = Vec::new();
        json(&mut out, &[batch()]).unwrap();
        let rows: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(rows[1]["summary"], serde_json::Value::Null);
        assert!(rows[1].as_object().unwrap().contains_key("summary"));
        let mut out = Vec::new();
        json(&mut out, &[]).unwrap();
        assert_eq!(String::from_utf8(out).unwrap().trim(), "[]");
    }

    #[test]
    fn csv_has_a_header_and_quotes() {
        let mut out = Vec::new();
        csv(&mut out, &batch().schema(), &[batch()]).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("summary\n\"a,"), "{text}");
    }
}
