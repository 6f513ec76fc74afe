//! Paths, methods and words: what the file names, the code has, and the other way round.

use std::collections::{BTreeMap, BTreeSet};

use hangup::http::routes;
use hangup::medium::Medium;
use hangup::outcome::Outcome;
use hangup::problem::Code;
use serde_json::Value;

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
fn every_code_is_an_example_of_the_answer_with_its_status() {
    let mut of_status: BTreeMap<u64, BTreeSet<&str>> = BTreeMap::new();
    for code in Code::ALL {
        of_status.entry(code.status().into()).or_default().insert(code.name());
    }
    let mut seen = BTreeMap::new();
    for (_, response) in members(at("/components/responses")) {
        let Some((status, codes)) = problems(response) else { continue };
        assert!(seen.insert(status, codes).is_none(), "{status} has two answers");
    }
    assert_eq!(seen, of_status);

    // An operation answers a status with the problems of that status.
    for (template, method, operation) in operations() {
        for (status, response) in members(&operation["responses"]) {
            let Some((of, _)) = problems(resolved(response)) else { continue };
            assert_eq!(of.to_string(), status, "{method} {template}");
        }
    }
}

/// Status and codes of the problems that an answer of the file has as examples, the same in both content types.
fn problems(response: &'static Value) -> Option<(u64, BTreeSet<&'static str>)> {
    let problem = response["content"].get("application/problem+json")?;
    let plain = &response["content"]["application/json"];
    assert_eq!(problem["schema"]["$ref"], "#/components/schemas/Problem");
    let examples: Vec<_> = members(&problem["examples"]).collect();
    if examples.is_empty() {
        let of_oauth = plain["schema"]["oneOf"].as_array();
        assert!(of_oauth.is_some_and(|any| any.contains(&problem["schema"])), "{plain}");
        return None;
    }
    assert_eq!(plain, problem);
    let mut statuses: Vec<_> = examples.iter().map(|(_, one)| resolved(one)["value"]["status"].as_u64()).collect();
    statuses.dedup();
    let [Some(status)] = statuses[..] else { panic!("statuses of examples: {statuses:?}") };
    Some((status, examples.into_iter().map(|(code, _)| code).collect()))
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
