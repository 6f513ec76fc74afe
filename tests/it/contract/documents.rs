//! The answers that the documents show have the members of the contract, and values that fit it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::contract::file::{at, members, violations};

/// The answers in a document's code blocks. An answer may go on in lines that begin with a space, and leave things out by `…`.
fn answers(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        if line.starts_with(r#"{"ok":"#) {
            found.push(line.to_owned());
        } else if open && line.starts_with(' ') {
            found.last_mut().expect("an answer is open").push_str(line);
        }
        open = line.starts_with(r#"{"ok":"#) || (open && line.starts_with(' '));
    }
    found
}

/// The schema of an answer, recognised by a member that only such answers have.
fn schema(answer: &Value) -> &'static str {
    let marks = [
        ("code", "Problem"),
        ("jobId", "JobQueued"),
        ("pausedBecause", "Job"),
        ("counts", "Job"),
        ("outcome", "DisconnectAnswer"),
    ];
    marks
        .iter()
        .find(|(member, _)| answer.get(member).is_some())
        .map_or_else(|| panic!("whose answer is {answer}?"), |(_, name)| name)
}

#[test]
fn the_answers_in_the_documents_are_those_of_the_contract() {
    let documents = [
        ("README.md", include_str!("../../../README.md"), 3),
        ("docs/JOBS.md", include_str!("../../../docs/JOBS.md"), 2),
        ("docs/callers/README.md", include_str!("../../../docs/callers/README.md"), 4),
    ];
    for (document, text, least) in documents {
        let answers = answers(text);
        assert!(answers.len() >= least, "{document} shows {} answers", answers.len());
        for answer in answers {
            let whole = !answer.contains(",…");
            let spelled = answer.replace(":…", r#":"…""#).replace(",…", "");
            let shown: Value =
                serde_json::from_str(&spelled).unwrap_or_else(|error| panic!("{document}: {error} in {spelled}"));
            let name = schema(&shown);
            let contract = at(&format!("/components/schemas/{name}"));
            let known: BTreeSet<_> = members(&contract["properties"]).map(|(member, _)| member).collect();
            for (member, value) in shown.as_object().expect("an object") {
                assert!(known.contains(member.as_str()), "{document}: {name} has no member {member}");
                // What is abbreviated fits no pattern.
                if !value.to_string().contains('…') {
                    let wrong =
                        violations(&json!({"$ref": format!("#/components/schemas/{name}/properties/{member}")}), value);
                    assert!(wrong.is_empty(), "{document}: {member} of {name}: {wrong:?}");
                }
            }
            let left_out: Vec<_> = contract["required"]
                .as_array()
                .expect("a list")
                .iter()
                .filter(|member| shown.get(member.as_str().expect("a name")).is_none())
                .collect();
            assert!(!whole || left_out.is_empty(), "{document}: {name} without {left_out:?}");
        }
    }
}
