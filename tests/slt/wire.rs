//! Text queries over the PostgreSQL protocol.

use std::fmt;

use async_trait::async_trait;
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType};
use tests::{Postgres, Refused, refused};

use crate::in_process::shown;

#[derive(Debug)]
pub(crate) struct Failure(pub(crate) Refused);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.sqlstate, self.0.message)
    }
}

impl std::error::Error for Failure {}

pub(crate) struct Wire {
    connection: Postgres,
}

impl Wire {
    pub(crate) fn new(connection: Postgres) -> Self {
        Self { connection }
    }
}

#[async_trait]
impl AsyncDB for Wire {
    type Error = Failure;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Failure> {
        // A text query doesn't tell types; describing the same statement does.
        let described = self.connection.driver().prepare(sql).await;
        let described = described.map_err(|error| Failure(refused(error)))?;
        let rows = self.connection.rows(sql).await.map_err(Failure)?;
        if described.columns().is_empty() {
            return Ok(DBOutput::StatementComplete(0));
        }
        let types = described.columns().iter();
        Ok(DBOutput::Rows {
            types: types.map(|column| kind(column.type_().name())).collect(),
            rows: rows
                .into_iter()
                .map(|row| row.into_iter().map(shown).collect())
                .collect(),
        })
    }

    async fn shutdown(&mut self) {}

    fn engine_name(&self) -> &str {
        "wire"
    }

    fn error_sql_state(error: &Failure) -> Option<String> {
        Some(error.0.sqlstate.clone())
    }
}

/// The letter of a PostgreSQL type.
fn kind(name: &str) -> DefaultColumnType {
    match name {
        "int2" | "int4" | "int8" => DefaultColumnType::Integer,
        "float4" | "float8" | "numeric" => DefaultColumnType::FloatingPoint,
        _ => DefaultColumnType::Text,
    }
}
