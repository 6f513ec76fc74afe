//! Paths, methods and words: what the file names, the code has, and the other way round.

use std::collections::{BTreeMap, BTreeSet};

use hangup::disconnect::outcome::Outcome;
use hangup::genesys::request::Medium;
use hangup::http::routes;
use hangup::problem::Code;

use crate::contract::file::{at, members, operations, resolved, words};

#[test]
fn every_route_is_in_the_file_and_the_other_way_round() {
    let in_file: BTreeSet<(String, String)> =
        operations().into_iter().map(|(template, method, _)| (template.to_owned(), method)).collect();
    let in_code: BTreeSet<(String, String)> = routes::ALL
        .iter()
        .flat_map(|(template, methods)| methods.iter().map(|method| ((*template).to_owned(), (*method).to_owned())))
        .collect();
    assert_eq!(in_file, in_code);
}

#[test]
fn every_problem_code_is_in_the_file_and_the_other_way_round() {
    let in_code: BTreeSet<_> = Code::ALL.iter().map(|code| code.name()).collect();
    assert_eq!(words("/components/schemas/ProblemCode/enum"), in_code);
}

#[test]
fn every_outcome_is_in_the_file_and_the_other_way_round() {
    let in_code: BTreeSet<_> = Outcome::ALL.iter().map(|outcome| outcome.name()).collect();
    assert_eq!(words("/components/schemas/Outcome/enum"), in_code);
}

#[test]
fn every_medium_of_the_drop_in_path_is_in_the_file_and_the_other_way_round() {
    let in_code: BTreeSet<_> = Medium::ALL.into_iter().map(Medium::segment).collect();
    assert_eq!(words("/components/parameters/Media/schema/enum"), in_code);
    let path = routes::API_MEDIUM.replace('/', "~1");
    let read: BTreeSet<_> =
        Medium::ALL.into_iter().filter(|medium| medium.is_read_by_path()).map(Medium::segment).collect();
    assert_eq!(words(&format!("/paths/{path}/parameters/0/schema/enum")), read);
}

#[test]
fn every_code_belongs_to_its_status_and_every_answer_to_its_schema() {
    let mut of_status: BTreeMap<u64, BTreeSet<&str>> = BTreeMap::new();
    for code in Code::ALL {
        of_status.entry(code.status().into()).or_default().insert(code.name());
    }
    let mut seen: BTreeMap<u64, BTreeSet<&str>> = BTreeMap::new();
    for (name, schema) in members(at("/components/schemas")) {
        let narrowed = &schema["allOf"][1]["properties"];
        if schema["allOf"][0]["$ref"] != "#/components/schemas/Problem" {
            continue;
        }
        let status = narrowed["status"]["const"].as_u64().expect("a status");
        let codes = words(&format!("/components/schemas/{name}/allOf/1/properties/code/enum"));
        assert!(seen.insert(status, codes).is_none(), "{status} has two schemas");
    }
    assert_eq!(seen, of_status);

    // An operation answers a status of problems with the schema of that status, in both content types.
    for (template, method, operation) in operations() {
        for (status, response) in members(&operation["responses"]) {
            let content = &resolved(response)["content"];
            let Some(reference) = content["application/problem+json"]["schema"]["$ref"].as_str() else { continue };
            let schema = at(reference.strip_prefix('#').expect("a reference into the file"));
            let narrowed = &schema["allOf"][1]["properties"]["status"]["const"];
            assert_eq!(narrowed.to_string(), status, "{method} {template}");
            let plain = &content["application/json"]["schema"];
            let fits = plain["$ref"] == reference
                || plain["oneOf"].as_array().is_some_and(|any| any.iter().any(|one| one["$ref"] == reference));
            assert!(fits, "{method} {template} {status}: {plain}");
        }
    }
}

#[test]
fn every_operation_says_what_it_does_and_has_an_id_of_its_own() {
    let mut ids = BTreeSet::new();
    let tags: BTreeSet<_> =
        at("/tags").as_array().into_iter().flatten().filter_map(|tag| tag["name"].as_str()).collect();
    for (template, method, operation) in operations() {
        let id = operation["operationId"].as_str().unwrap_or_default();
        assert!(!id.is_empty() && ids.insert(id), "{method} {template}: operationId {id:?}");
        assert!(operation["summary"].is_string(), "{method} {template} has no summary");
        let tag = operation["tags"][0].as_str().unwrap_or_default();
        assert!(tags.contains(tag), "{method} {template}: unknown tag {tag:?}");
    }
}

#[test]
fn the_version_of_the_file_is_the_version_of_the_program() {
    assert_eq!(at("/info/version"), env!("CARGO_PKG_VERSION"));
}
