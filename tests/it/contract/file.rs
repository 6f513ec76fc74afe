//! The file, read once, and its schemas.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use serde_json::{Value, json};

static FILE: LazyLock<Value> =
    LazyLock::new(|| serde_saphyr::from_str(hangup::http::OPENAPI).expect("openapi.yaml is YAML"));

/// The whole file.
pub(crate) fn file() -> &'static Value {
    &FILE
}

/// What is at this JSON pointer.
pub(crate) fn at(pointer: &str) -> &'static Value {
    file().pointer(pointer).unwrap_or_else(|| panic!("openapi.yaml has nothing at {pointer}"))
}

/// Follows `$ref`, if there is one.
pub(crate) fn resolved(value: &'static Value) -> &'static Value {
    match value["$ref"].as_str() {
        Some(reference) => at(reference.strip_prefix('#').expect("a reference into the file")),
        None => value,
    }
}

/// The members of an object of the file.
pub(crate) fn members(value: &'static Value) -> impl Iterator<Item = (&'static str, &'static Value)> {
    value.as_object().into_iter().flatten().map(|(name, member)| (name.as_str(), member))
}

/// The words of an `enum`.
pub(crate) fn words(pointer: &str) -> BTreeSet<&'static str> {
    let list = at(pointer).as_array().expect("a list");
    let words: BTreeSet<_> = list.iter().map(|word| word.as_str().expect("a word")).collect();
    assert_eq!(words.len(), list.len(), "a word is there twice at {pointer}");
    words
}

/// Every operation of the file: template, method in upper case, operation.
pub(crate) fn operations() -> Vec<(&'static str, String, &'static Value)> {
    const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];
    let of_path = |(template, path): (&'static str, &'static Value)| {
        members(path)
            .filter(|(name, _)| METHODS.contains(name))
            .map(move |(method, operation)| (template, method.to_uppercase(), operation))
    };
    members(at("/paths")).flat_map(of_path).collect()
}

/// What is wrong with `instance`, held against a schema of the file.
pub(crate) fn violations(schema: &Value, instance: &Value) -> Vec<String> {
    let whole = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "components": at("/components"),
        "allOf": [schema],
    });
    let validator =
        jsonschema::options().should_validate_formats(true).build(&whole).expect("openapi.yaml has valid schemas");
    validator.iter_errors(instance).map(|error| format!("{}: {error}", error.instance_path())).collect()
}
