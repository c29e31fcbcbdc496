//! Rows of a query as the protocol sends them.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow_pg::datatypes::{encode_recordbatch, field_into_pg_type};
use futures::{Stream, StreamExt, stream};
use pgwire::api::portal::Format;
use pgwire::api::results::{FieldInfo, QueryResponse};
use pgwire::error::{PgWireError, PgWireResult};
use pgwire::messages::data::DataRow;
use tokio::sync::Notify;
use warehouse::QueryStream;

use super::{error, text};

/// Columns as the protocol describes them.
pub(super) fn fields(
    schema: &SchemaRef,
    labels: &[String],
    format: &Format,
) -> PgWireResult<Vec<FieldInfo>> {
    schema
        .fields()
        .iter()
        .enumerate()
        .map(|(index, field)| {
            let label = labels.get(index).unwrap_or(field.name()).clone();
            let kind = field_into_pg_type(field)?;
            Ok(FieldInfo::new(
                label,
                None,
                None,
                kind,
                format.format_for(index),
            ))
        })
        .collect()
}

/// The answer to a query: its rows, until they end, fail, or the client cancels.
pub(super) fn response(
    found: QueryStream,
    format: &Format,
    cancel: Arc<Notify>,
) -> PgWireResult<QueryResponse> {
    let fields = Arc::new(fields(&found.schema(), found.labels(), format)?);
    let rows = rows(found, Arc::clone(&fields), cancel);
    Ok(QueryResponse::new(fields, rows))
}

fn rows(
    found: QueryStream,
    fields: Arc<Vec<FieldInfo>>,
    cancel: Arc<Notify>,
) -> impl Stream<Item = Result<DataRow, PgWireError>> + Send {
    let batches = stream::unfold(
        (found, cancel, false),
        |(mut found, cancel, ended)| async move {
            if ended {
                return None;
            }
            let next = tokio::select! {
                next = found.next() => next?.map_err(|failure| error::of(&failure)),
                () = cancel.notified() => Err(error::cancelled()),
            };
            let ended = next.is_err();
            Some((next, (found, cancel, ended)))
        },
    );
    batches.flat_map(move |batch| match batch {
        Ok(batch) => match text::written(batch, &fields) {
            Ok(batch) => stream::iter(encode_recordbatch(Arc::clone(&fields), batch)).boxed(),
            Err(failure) => {
                let failure = error::ours("XX000", &failure);
                stream::once(async { Err(failure) }).boxed()
            }
        },
        Err(failure) => stream::once(async { Err(failure) }).boxed(),
    })
}
