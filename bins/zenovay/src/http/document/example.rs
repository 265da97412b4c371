//! Examples, put together from those of the parts: each string and number says beside its description what it may be.

use serde_json::{Map, Value};

/// A value that the JSON schema `schema` allows. `schemas` are those that it may refer to, by name.
///
/// # Errors
/// The path of a string or number without an example.
pub(super) fn example(schema: &Value, schemas: &Map<String, Value>) -> Result<Value, String> {
    if let Some(given) = schema["examples"].get(0) {
        return Ok(match schema["type"].as_str() {
            // What is told of an item of a list is an example of the item.
            Some("array") if !given.is_array() => Value::Array(vec![given.clone()]),
            _ => given.clone(),
        });
    }
    if let Some(given) = ["const", "default"].iter().find_map(|name| schema.get(*name)) {
        return Ok(given.clone());
    }
    if let Some(first) = schema["enum"].get(0) {
        return Ok(first.clone());
    }
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap_or_default();
        let target = schemas.get(name).ok_or_else(|| format!("{name}: there is no such schema"))?;
        return example(target, schemas).map_err(|path| format!("{name}.{path}"));
    }
    for alternatives in ["oneOf", "anyOf"] {
        if let Some(several) = schema[alternatives].as_array() {
            let some = several.iter().find(|one| one["type"] != "null");
            return some.map_or(Ok(Value::Null), |some| example(some, schemas));
        }
    }
    if let Some(parts) = schema["allOf"].as_array() {
        let mut whole = Map::new();
        for part in parts {
            if let Value::Object(members) = example(part, schemas)? {
                whole.extend(members);
            }
        }
        return Ok(Value::Object(whole));
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().find(|kind| *kind != "null"),
        kind => Some(kind),
    };
    match kind.and_then(Value::as_str) {
        Some("object") => {
            let mut whole = Map::new();
            for (name, member) in schema["properties"].as_object().into_iter().flatten() {
                let value = example(member, schemas).map_err(|path| format!("{name}.{path}"))?;
                whole.insert(name.clone(), value);
            }
            if whole.is_empty() && schema["additionalProperties"].is_object() {
                whole.insert("name".to_owned(), example(&schema["additionalProperties"], schemas)?);
            }
            Ok(Value::Object(whole))
        }
        Some("array") => {
            let least = schema["minItems"].as_u64().and_then(|least| usize::try_from(least).ok()).unwrap_or(1).max(1);
            Ok(Value::Array(vec![example(&schema["items"], schemas)?; least]))
        }
        Some("boolean") => Ok(Value::Bool(true)),
        _ => Err(format!("there is no example in {schema}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn examples_are_put_together() {
        let schemas = json!({ "Row": { "type": "object", "properties": {
            "name": { "type": "string", "examples": ["Ada"] },
            "age": { "type": ["integer", "null"], "examples": [36] },
            "tags": { "type": "array", "items": { "type": "string" }, "examples": ["a"] },
        } } });
        let schema = json!({ "type": "array", "items": { "$ref": "#/components/schemas/Row" } });
        let whole = example(&schema, schemas.as_object().unwrap());
        assert_eq!(whole, Ok(json!([{ "name": "Ada", "age": 36, "tags": ["a"] }])));
    }

    #[test]
    fn a_part_without_an_example_is_named() {
        let schema = json!({ "type": "object", "properties": { "name": { "type": "string" } } });
        assert!(example(&schema, &Map::new()).unwrap_err().starts_with("name."));
    }
}
