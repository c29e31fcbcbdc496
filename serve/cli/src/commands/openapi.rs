//! `openapi`: the description of the REST interface.

use crate::exit::Outcome;

pub(crate) fn run() -> anyhow::Result<Outcome> {
    println!("{}", serve::openapi().to_pretty_json()?);
    Ok(Outcome::Done)
}
