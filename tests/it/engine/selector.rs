//! A selector is one request: its look and all its disconnects share one deadline.

use hangup::config::Confirm;
use serde_json::json;

use crate::support::{Kind, Reply, TestApp, ms, s};

#[tokio::test(start_paused = true)]
async fn a_selector_ends_at_the_deadline_however_long_its_look_took() {
    let service = TestApp::patch()
        .crowd(3)
        .config(|c| c.disconnect.deadline = s(5))
        .script(|asked| match asked.kind {
            Kind::Login => None,
            Kind::Read if asked.nth == 1 => {
                Some(Reply::Late(s(2), Box::new(Reply::status(503, "service.unavailable"))))
            }
            Kind::Read if asked.nth == 2 => None,
            _ => Some(Reply::Hang),
        })
        .ready()
        .await;
    let answer = service.selector(&json!({"purpose": "customer", "max": 3})).send().await;
    assert_eq!((answer.line().as_str(), answer.effect()), ("504 upstream_timeout", "unknown"), "{}", answer.json);
    assert!(answer.took <= s(5), "{:?}", answer.took);
}

#[tokio::test(start_paused = true)]
async fn whose_turn_in_a_selector_comes_too_late_is_answered_with_an_error() {
    let service = TestApp::patch()
        .crowd(20)
        .config(|c| {
            c.disconnect.deadline = s(5);
            c.auth.anonymous_permissions.0.push("teardown".to_owned());
        })
        .script(|asked| match asked.kind {
            Kind::Patch => Some(Reply::Late(ms(1500), Box::new(Reply::status(202, "accepted")))),
            _ => None,
        })
        .ready()
        .await;
    let answer = service.selector(&json!({"purpose": "customer", "max": 20})).send().await;
    assert!(answer.took <= s(5) + ms(10), "{:?}", answer.took);
    assert_eq!((answer.json["outcome"].as_str(), answer.json["matched"].as_u64()), (Some("partial"), Some(20)));
    let (gone, failed) = (answer.json["disconnected"].as_u64().unwrap(), answer.json["failed"].as_u64().unwrap());
    assert_eq!((gone, failed), (16, 4), "{}", answer.json);
    for result in answer.json["results"].as_array().unwrap().iter().skip(16) {
        assert_eq!(result["code"], "upstream_timeout");
    }
}

#[tokio::test(start_paused = true)]
async fn when_all_fail_the_effect_is_unknown_if_it_is_for_any_of_them() {
    let service = TestApp::patch()
        .crowd(2)
        .script(|asked| match (asked.kind, asked.nth) {
            (Kind::Patch, 1) => Some(Reply::status(413, "too.large")),
            (Kind::Patch, _) => Some(Reply::Hang),
            _ => None,
        })
        .ready()
        .await;
    let answer = service.selector(&json!({"purpose": "customer", "max": 2})).send().await;
    assert_eq!((answer.line().as_str(), answer.effect()), ("422 upstream_rejected", "unknown"), "{}", answer.json);
}

#[tokio::test(start_paused = true)]
async fn a_repeat_that_sees_everybody_still_there_counts_nobody_as_disconnected() {
    let service = TestApp::patch()
        .crowd(2)
        .script(|asked| (asked.kind == Kind::Patch).then(|| Reply::status(202, "")))
        .ready()
        .await;
    for (disconnected, gone) in [(2, json!(null)), (0, json!(false))] {
        let answer = service.selector(&json!({"purpose": "customer", "max": 2})).send().await;
        assert_eq!((answer.line().as_str(), answer.json["disconnected"].as_u64()), ("200 all", Some(disconnected)));
        assert_eq!(answer.json["results"][0]["gone"], gone);
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_for_one_participant_of_a_selector_keeps_no_other_from_being_disconnected() {
    for (query, always) in [("wait=12", false), ("dryRun=false", true)] {
        let service = TestApp::patch()
            .crowd(20)
            .config(move |c| {
                c.auth.anonymous_permissions.0.push("teardown".to_owned());
                c.disconnect.confirm = if always { Confirm::Always } else { Confirm::Never };
                c.disconnect.confirm_wait = s(12);
            })
            .script(|asked| (asked.kind == Kind::Patch).then(|| Reply::status(202, "")))
            .ready()
            .await;
        let answer = service.selector(&json!({"purpose": "customer", "max": 20})).query(query).send().await;
        assert_eq!((answer.status, answer.json["failed"].as_u64()), (202, Some(0)), "{query}: {}", answer.json);
        assert_eq!(service.disconnects(), 20);
        assert!(answer.took < s(14), "{query}: {:?}", answer.took);
    }
}
