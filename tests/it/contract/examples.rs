//! The examples of the file fit its schemas, and those of problems say what the code says.

use std::collections::BTreeSet;

use hangup::problem::Code;
use serde_json::Value;

use crate::contract::file::{at, file, members, resolved, violations};

/// Calls `see` with every media type of the file, however deep.
fn media_types(value: &'static Value, see: &mut impl FnMut(&'static Value)) {
    for (name, member) in members(value) {
        if name == "content" {
            members(member).for_each(|(_, media_type)| see(media_type));
        }
        media_types(member, see);
    }
    for item in value.as_array().into_iter().flatten() {
        media_types(item, see);
    }
}

#[test]
fn every_example_fits_the_schema_beside_it() {
    let mut held = 0;
    media_types(file(), &mut |media_type| {
        for (name, example) in members(&media_type["examples"]) {
            let wrong = violations(&media_type["schema"], &resolved(example)["value"]);
            assert!(wrong.is_empty(), "the example {name} does not fit: {wrong:#?}");
            held += 1;
        }
    });
    assert!(held > 2 * Code::ALL.len(), "only {held} examples were found");
}

#[test]
fn every_problem_has_an_example_in_the_words_of_the_code() {
    for code in Code::ALL {
        let example = &at(&format!("/components/examples/{}", code.name()))["value"];
        assert_eq!(example["code"], code.name());
        assert_eq!(example["title"], code.title(), "{code:?}");
        assert_eq!(example["status"], code.status(), "{code:?}");
        assert_eq!(example["retryable"], code.retryable(), "{code:?}");
        assert_eq!(example["type"], format!("urn:hangup:problem:{}", code.name()));
    }
}

#[test]
fn nothing_in_the_file_is_left_over() {
    let text = hangup::http::OPENAPI;
    let mut left_over = BTreeSet::new();
    for kind in ["parameters", "requestBodies", "headers", "responses", "schemas", "examples"] {
        for (name, _) in members(at(&format!("/components/{kind}"))) {
            let reference = format!("'#/components/{kind}/{name}'");
            if !text.contains(&reference) {
                left_over.insert(reference);
            }
        }
    }
    assert_eq!(left_over, BTreeSet::new());
}
