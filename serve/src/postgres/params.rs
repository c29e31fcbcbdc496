//! Parameters of a bound statement, as text for the query service: it reads them as the types that
//! the statement has where they stand.

use pgwire::api::Type;
use pgwire::api::portal::Portal;
use pgwire::error::PgWireResult;
use warehouse::Param;

use super::error::error;
use super::handler::Prepared;

/// The parameters by number.
pub(super) fn of(portal: &Portal<Prepared>) -> PgWireResult<Vec<(String, Param)>> {
    let declared = &portal.statement.parameter_types;
    let inferred = portal.statement.statement.parameter_types();
    let count = portal.parameters.len();
    if count < inferred.len() {
        let message = format!(
            "{} parameters are needed, {count} were given",
            inferred.len()
        );
        return Err(error("08P01", message));
    }
    (0..count)
        .map(|index| {
            let declared = declared.get(index).cloned().flatten();
            let kind = declared
                .filter(|kind| *kind != Type::UNKNOWN)
                .or_else(|| inferred.get(index).cloned())
                .unwrap_or(Type::TEXT);
            let name = (index + 1).to_string();
            Ok((name, Param::Text(text(portal, index, &kind)?)))
        })
        .collect()
}

fn text(portal: &Portal<Prepared>, index: usize, kind: &Type) -> PgWireResult<Option<String>> {
    if portal.parameter_format.is_text(index) {
        let Some(Some(bytes)) = portal.parameters.get(index) else {
            return Ok(None);
        };
        return match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Some(text.to_string())),
            Err(_) => Err(error("22021", "a parameter is not valid UTF-8")),
        };
    }
    macro_rules! shown {
        ($kind:ty) => {
            portal
                .parameter::<$kind>(index, kind)?
                .map(|value| value.to_string())
        };
    }
    Ok(match *kind {
        Type::BOOL => shown!(bool),
        Type::INT2 => shown!(i16),
        Type::INT4 => shown!(i32),
        Type::INT8 => shown!(i64),
        Type::FLOAT4 => shown!(f32),
        Type::FLOAT8 => shown!(f64),
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN => {
            portal.parameter::<String>(index, kind)?
        }
        Type::DATE => shown!(chrono::NaiveDate),
        Type::TIMESTAMP => shown!(chrono::NaiveDateTime),
        Type::TIMESTAMPTZ => portal
            .parameter::<chrono::DateTime<chrono::FixedOffset>>(index, kind)?
            .map(|value| value.to_rfc3339()),
        ref other => {
            let message = format!("a binary parameter of type {other} is not supported; send text");
            return Err(error("0A000", message));
        }
    })
}
