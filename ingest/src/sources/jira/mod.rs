//! Jira Cloud: what is read, in which order, and how records become rows.
//!
//! [`api`] speaks to the site, [`rows`] turns records into rows (purely, so that a replay gives the
//! same ones), [`streams`] reads each kind of record, [`run`] puts them in order.

mod api;
mod context;
mod discover;
mod document;
mod fields;
mod filter;
mod greet;
mod jql;
mod replay;
mod rows;
mod run;
mod sprint_field;
mod streams;
mod time;

pub(crate) use discover::discover;
pub(crate) use replay::replay;
pub(crate) use run::sync;
