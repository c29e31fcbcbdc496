//! Boards.

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use schemas::Row;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use warehouse::Param;

use super::error::{ApiError, Envelope};
use super::read::{Read, Reading};
use super::sprints::number;

/// The velocity of a board.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Velocity {
    /// Release it comes from.
    release_id: String,
    /// Connection of the board.
    connection: String,
    /// Id of the board at its source.
    board_id: i64,
    /// Present name of the board; untrusted text.
    board_name: Option<String>,
    /// Rows of marts.velocity, by completion.
    #[schema(value_type = Vec<Object>)]
    sprints: Vec<Row>,
}

/// Velocity of a board: committed and completed points of its closed sprints, with trailing means.
#[utoipa::path(
    get, path = "/api/v1/boards/{id}/velocity", tag = "boards", params(("id" = i64, Path, description = "Id of the board at its source"), Reading),
    responses(
        (status = 200, body = Velocity),
        (status = 304, description = "The release is the one that the client has"),
        (status = 404, body = Envelope), (status = 409, description = "Several connections have this id", body = Envelope),
        (status = 422, body = Envelope),
    )
)]
pub(super) async fn velocity(read: Read, Path(id): Path<String>) -> Result<Response, ApiError> {
    let id = number("board", &id)?;
    let params = |connection: Option<String>| {
        vec![
            ("board_id", Param::Number(id)),
            ("connection", Param::Text(connection)),
        ]
    };
    let sql = include_str!("../../../sql/queries/board_by_id.sql");
    let boards = read
        .rows(sql, params(read.reading.connection.clone()))
        .await?;
    let text = |row: &Row, name: &str| row.get(name).and_then(Value::as_str).map(str::to_string);
    let board = match boards.as_slice() {
        [] => {
            let message = format!("there is no board {id} in this release");
            return Err(ApiError::not_found(message));
        }
        [board] => board,
        several => {
            let names: Vec<_> = several
                .iter()
                .filter_map(|row| text(row, "connection"))
                .collect();
            let message = format!(
                "board {id} exists in several connections ({}); name one with ?connection=",
                names.join(", ")
            );
            return Err(ApiError::new(StatusCode::CONFLICT, "AMBIGUOUS_ID", message));
        }
    };
    let connection = text(board, "connection").unwrap_or_default();
    let sql = include_str!("../../../sql/queries/velocity_by_board.sql");
    let sprints = read.rows(sql, params(Some(connection.clone()))).await?;
    Ok(read.answer(Velocity {
        release_id: read.release.release_id.clone(),
        connection,
        board_id: id,
        board_name: text(board, "board_name"),
        sprints,
    }))
}
