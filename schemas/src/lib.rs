//! Contracts of the records that Sprint Reports stores, and the words all crates share.
//!
//! The shape of a record is written once, as an Avro schema under `avro/`; everything else (Arrow
//! schemas of the Delta tables, the columns of the SQL catalog, the documentation) is derived from
//! it here. This crate does no input or output.

mod arrow;
mod blame;
mod contract;
mod history;
mod name;
mod raw;

pub use arrow::arrow_schema;
pub use blame::{Blame, Retry};
pub use contract::{Column, Contract, ContractError, contract, contracts};
pub use history::VALID_FROM;
pub use name::{InvalidName, TableName};
pub use raw::{RawRecord, raw_schema};

/// One table row as JSON: keys are columns of the contract, an absent column is null, instants are
/// RFC 3339 strings, days `YYYY-MM-DD`, ids numbers.
pub type Row = serde_json::Map<String, serde_json::Value>;
