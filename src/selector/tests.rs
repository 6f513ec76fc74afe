//! Each guard shows that nobody is touched who was not meant.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::ids::ConversationId;

const CID: &str = "11111111-1111-4111-8111-111111111111";

fn pid(n: u8) -> String {
    format!("22222222-2222-4222-8222-2222222222{n:02}")
}

/// Two agents (one person twice), a customer, a queue and a flow, and an agent who has left.
fn conversation() -> Conversation {
    let entry = |n: u8, purpose: &str, user: Option<&str>, address: Option<&str>, state: &str| json!({"id": pid(n), "purpose": purpose, "userId": user, "address": address, "calls": [{"state": state}]});
    let body = json!({"id": CID, "participants": [
        entry(1, "customer", None, Some("tel:+1 555 0100"), "connected"),
        entry(2, "agent", Some("U-1"), Some("sip:Anna@example.com"), "connected"),
        entry(3, "agent", Some("u-2"), None, "alerting"),
        entry(4, "agent", Some("u-3"), None, "terminated"),
        entry(5, "acd", None, None, "connected"),
        entry(6, "workflow", None, None, "connected"),
        entry(7, "user", Some("u-1"), None, "connected"),
    ]});
    Conversation::parse(body.to_string().as_bytes(), ConversationId::parse(CID).unwrap()).unwrap()
}

fn read(selector: &Value) -> Result<Selector, Problem> {
    Selector::read(selector.as_object().unwrap())
}

/// The last digits of those who match, or the code of the problem.
fn matched(selector: &Value) -> String {
    let conversation = conversation();
    match read(selector)
        .and_then(|s| s.resolve(&conversation).map(|m| m.iter().map(|p| p.id[34..].to_owned()).collect::<Vec<_>>()))
    {
        Ok(ids) => ids.join(" "),
        Err(problem) => problem.code.name().to_owned(),
    }
}

#[test]
fn members_combine_and_only_live_people_match() {
    assert_eq!(matched(&json!({"purpose": "customer"})), "01");
    assert_eq!(matched(&json!({"purpose": ["Customer", "external"]})), "01");
    assert_eq!(matched(&json!({"purpose": "agent", "userId": "u-1"})), "02");
    assert_eq!(matched(&json!({"userId": "u-2"})), "03");
    assert_eq!(matched(&json!({"userId": "u-3"})), "", "the one who has left does not match");
    assert_eq!(matched(&json!({"address": "+15550100"})), "01");
    assert_eq!(matched(&json!({"address": "SIP: anna@EXAMPLE.com"})), "02");
    assert_eq!(matched(&json!({"purpose": "customer", "userId": "u-1"})), "");
}

#[test]
fn system_participants_only_match_by_name() {
    assert_eq!(matched(&json!({"all": true})), "01 02 03 07");
    assert_eq!(matched(&json!({"purpose": "acd"})), "05");
    assert_eq!(matched(&json!({"purpose": ["acd", "workflow"], "max": 2})), "05 06");
}

#[test]
fn more_than_max_touches_nobody() {
    assert_eq!(matched(&json!({"purpose": "agent"})), "selector_ambiguous");
    assert_eq!(matched(&json!({"purpose": "agent", "max": 2})), "02 03");
    assert_eq!(matched(&json!({"purpose": "agent", "max": "2"})), "02 03");
    assert_eq!(matched(&json!({"purpose": "agent", "max": 2.0})), "02 03");
    assert_eq!(matched(&json!({"all": true, "max": 3})), "selector_ambiguous");
    let problem = read(&json!({"purpose": "agent"})).unwrap().resolve(&conversation()).unwrap_err();
    assert_eq!(problem.candidates.unwrap().as_array().unwrap().len(), 2);
}

#[test]
fn except_keeps_those_named_and_every_leg_of_the_same_user() {
    assert_eq!(matched(&json!({"except": pid(1)})), "02 03 07");
    assert_eq!(matched(&json!({"except": [pid(2)]})), "01 03", "the same user's other leg is kept as well");
    assert_eq!(matched(&json!({"except": [pid(1), pid(7)], "purpose": "agent"})), "03");
    assert_eq!(matched(&json!({"except": pid(9)})), "participant_not_found");
    assert!(read(&json!({"except": pid(1)})).unwrap().needs_teardown());
    assert!(read(&json!({"purpose": ["customer", "agent"], "max": 9})).unwrap().needs_teardown());
    assert!(!read(&json!({"purpose": ["customer", "agent"], "max": 8})).unwrap().needs_teardown());
    assert!(!read(&json!({"purpose": "agent"})).unwrap().needs_teardown());
}

#[test]
fn a_selector_that_selects_nothing_or_is_misspelt_is_refused() {
    for wrong in [
        json!({}),
        json!({"max": 2}),
        json!({"purpose": ""}),
        json!({"purpose": []}),
        json!({"purpose": [""]}),
        json!({"purpose": null}),
        json!({"purpose": "agent", "userId": ""}),
        json!({"purpose": "agent", "usrId": "u-1"}),
        json!({"all": false}),
        json!({"all": "yes"}),
        json!({"all": ""}),
        json!({"max": 0, "purpose": "agent"}),
        json!({"max": -1, "purpose": "agent"}),
        json!({"max": 1.5, "purpose": "agent"}),
        json!({"max": "", "purpose": "agent"}),
        json!({"except": "x"}),
        json!({"except": []}),
        json!({"address": "tel:"}),
        json!({"address": " "}),
        json!({"userId": ["u-1"]}),
        json!({"purpose": "agent", "reason": "x"}),
    ] {
        assert_eq!(matched(&wrong), "invalid_selector", "{wrong}");
    }
}

#[test]
fn the_canonical_text_does_not_depend_on_how_a_selector_was_written() {
    let canonical = |selector: &Value| read(selector).unwrap().canonical();
    let one = canonical(&json!({"purpose": ["agent", "customer"], "max": 2}));
    assert_eq!(one, canonical(&json!({"max": "2", "purpose": ["Customer", "agent", "agent"]})));
    assert_ne!(one, canonical(&json!({"purpose": "agent", "max": 2})));
    assert_eq!(canonical(&json!({"all": "true"})), canonical(&json!({"all": true})));
}

#[test]
fn nobody_in_an_ended_conversation_matches() {
    let mut ended = conversation();
    ended.end_time = Some("2026-01-01T00:00:00Z".to_owned());
    assert!(read(&json!({"all": true})).unwrap().resolve(&ended).unwrap().is_empty());
}

proptest! {
    #[test]
    fn any_selector_is_read_without_panic_and_never_matches_who_has_left(
        name in "purpose|userId|address|except|all|max|[a-z]{1,8}",
        text in "\\PC{0,20}",
        number in any::<i64>(),
    ) {
        for value in [json!(text), json!([text]), json!(number), json!(null), json!({text: number})] {
            let members = Map::from_iter([(name.clone(), value)]);
            if let Ok(selector) = Selector::read(&members)
                && let Ok(matched) = selector.resolve(&conversation())
            {
                prop_assert!(matched.iter().all(|p| p.is_live()));
            }
        }
    }
}

#[test]
fn a_match_without_an_id_to_be_disconnected_by_is_not_passed_over() {
    let people = json!([
        {"id": "no uuid", "purpose": "agent", "calls": [{"state": "connected"}]},
        {"id": pid(1), "purpose": "customer", "calls": [{"state": "connected"}]},
        {"id": null, "purpose": "customer"},
    ]);
    let body = json!({"id": CID, "participants": people}).to_string();
    let seen = Conversation::parse(body.as_bytes(), CID.parse().unwrap()).unwrap();
    let resolve = |selector: Value| read(&selector).unwrap().resolve(&seen).map(|matched| matched.len());
    for selector in [json!({"purpose": "agent"}), json!({"all": true}), json!({"except": pid(1)})] {
        let problem = resolve(selector.clone()).unwrap_err();
        assert_eq!((problem.code, problem.gone), (Code::UpstreamInvalidResponse, Some(false)), "{selector}");
    }
    assert_eq!(resolve(json!({"purpose": "customer"})).unwrap(), 1, "what has no communication hides nobody");
    let both = resolve(json!({"purpose": ["agent", "customer"]})).unwrap_err();
    assert_eq!(both.code, Code::SelectorAmbiguous);
}
