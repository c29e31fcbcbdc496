//! Avro schema → Arrow schema, for the types that contracts use.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use serde_json::Value;

/// Derives the Arrow schema of a record from its Avro schema. A field of type `["null", T]` is
/// nullable; every other one is required.
pub fn arrow_schema(record: &Value) -> Result<SchemaRef, String> {
    let fields = record
        .get("fields")
        .and_then(Value::as_array)
        .ok_or("the record has no fields")?
        .iter()
        .map(|field| {
            let name = field
                .get("name")
                .and_then(Value::as_str)
                .ok_or("a field has no name")?;
            let avro = field
                .get("type")
                .ok_or_else(|| format!("field {name} has no type"))?;
            let (avro, nullable) = match avro.as_array().map(Vec::as_slice) {
                Some([null, avro]) if null == "null" => (avro, true),
                Some(_) => return Err(format!("field {name}: only unions of null and one type")),
                None => (avro, false),
            };
            Ok(Field::new(name, data_type(avro, name)?, nullable))
        })
        .collect::<Result<Vec<_>, String>>()?;
    Ok(Arc::new(Schema::new(fields)))
}

fn data_type(avro: &Value, name: &str) -> Result<DataType, String> {
    let plain = avro.as_str().or_else(|| avro.get("type")?.as_str());
    let logical = avro.get("logicalType").and_then(Value::as_str);
    match (plain, logical) {
        (Some("long"), Some("timestamp-micros")) => Ok(DataType::Timestamp(
            TimeUnit::Microsecond,
            Some("UTC".into()),
        )),
        (Some("int"), Some("date")) => Ok(DataType::Date32),
        (Some("string"), None) => Ok(DataType::Utf8),
        (Some("long"), None) => Ok(DataType::Int64),
        (Some("double"), None) => Ok(DataType::Float64),
        (Some("boolean"), None) => Ok(DataType::Boolean),
        (Some("array"), None) => {
            let items = avro
                .get("items")
                .ok_or_else(|| format!("field {name}: array of what?"))?;
            let item = data_type(items, name)?;
            // Delta names the element field "element"; using its name from the start saves a cast.
            Ok(DataType::List(Arc::new(Field::new("element", item, true))))
        }
        _ => Err(format!("field {name}: no Arrow type for {avro}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn one(avro: Value) -> Result<Field, String> {
        let record = json!({"fields": [{"name": "x", "type": avro}]});
        arrow_schema(&record).map(|schema| schema.field(0).clone())
    }

    #[test]
    fn maps_types_and_nullability() {
        let instant = json!({"type": "long", "logicalType": "timestamp-micros"});
        let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        assert_eq!(
            one(instant.clone()).unwrap(),
            Field::new("x", utc.clone(), false)
        );
        assert_eq!(
            one(json!(["null", instant])).unwrap(),
            Field::new("x", utc, true)
        );
        let list = one(json!({"type": "array", "items": "long"})).unwrap();
        assert!(
            matches!(list.data_type(), DataType::List(item) if item.data_type() == &DataType::Int64)
        );
    }

    #[test]
    fn refuses_what_no_contract_uses() {
        assert!(one(json!(["string", "long"])).is_err());
        assert!(one(json!({"type": "map", "values": "long"})).is_err());
        assert!(one(json!({"type": "long", "logicalType": "time-micros"})).is_err());
    }
}
