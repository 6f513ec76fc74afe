//! Jobs of one item, and when jobs begin: a repeat reaches the same participants, and no job begins before its time.

use hangup::config::UnknownConversation;
use hangup::sandbox::{Fault, On, ParticipantSpec};
use serde_json::json;

use super::jobs::{Queue, id, item};
use crate::support::Answer;

#[tokio::test]
async fn an_asynchronous_request_that_is_written_otherwise_is_the_same_job() {
    let queue = Queue::with(|_| {}).await;
    let service = &queue.service;
    let path = format!("/conversations/{}/participants/disconnect?async=true", service.conference.id);
    let first = id(&service.post(&path).json(&json!({"purpose": "customer"})).send().await);
    queue.until(&first, "done").await;
    let next =
        service.sandbox.add_participant(service.conference.id, ParticipantSpec::of("customer")).unwrap().unwrap();
    for repeat in [json!({"purpose": ["Customer"]}), json!({"purpose": "customer", "max": 1})] {
        assert_eq!(id(&service.post(&path).json(&repeat).send().await), first, "{repeat}");
    }
    assert!(service.sandbox.is_live(service.conference.id, next));

    let path = format!("{}?async=true", service.path_of(service.who("external")));
    let first = id(&service.post(&path).send().await);
    let reason = json!({"reason": "moved", "cause": "again"});
    assert_eq!(id(&service.post(&path).json(&reason).send().await), first, "why it is asked makes no difference");
    assert_ne!(id(&service.post(&path).json(&json!({"media": "call"})).send().await), first);
}

#[tokio::test]
async fn an_asynchronous_disconnect_leaves_a_participant_alone_that_is_not_as_it_was_seen() {
    let queue = Queue::with(|_| {}).await;
    let path = format!("{}?async=true", queue.service.path_of(queue.service.who("customer")));
    let stale = queue.service.post(&path).header("if-match", "\"AAAAAAAA\"").send().await;
    assert_eq!(queue.until(&id(&stale), "done").await["counts"], json!({"changed": 1}));
    assert_eq!(queue.service.remain().await.len(), 4, "nobody was touched");
    let any = queue.service.post(&path).header("if-match", "*").send().await;
    assert_eq!(queue.until(&id(&any), "done").await["counts"], json!({"disconnected": 1}));
}

#[tokio::test]
async fn an_asynchronous_selector_touches_nobody_when_one_of_them_is_not_as_listed() {
    let queue = Queue::with(|_| {}).await;
    let (service, cid) = (&queue.service, queue.service.conference.id);
    let list = service.get(&format!("/conversations/{cid}/participants")).await;
    let tag = list.header("etag").to_owned();
    service.sandbox.add_participant(cid, ParticipantSpec::of("customer")).unwrap();
    let path = format!("/conversations/{cid}/participants/disconnect?async=true");
    let both = json!({"purpose": "customer", "max": 5});
    let stale = service.post(&path).json(&both).header("if-match", &tag).send().await;
    assert_eq!(queue.until(&id(&stale), "done").await["counts"], json!({"changed": 1}));
    assert_eq!(service.remain().await.len(), 5, "nobody was touched");
}

#[tokio::test]
async fn a_job_that_is_not_to_begin_before_its_time_waits_for_it_also_when_it_was_held_or_paused() {
    let queue = Queue::with(|_| {}).await;
    let conference = queue.conferences(1).remove(0);
    let job = |hold: bool| json!({"items": [item(&conference, "customer")], "after": "1h", "hold": hold});
    let state = |answer: Answer| answer.get("state");

    let paused = id(&queue.submit(&job(false)).await);
    assert_eq!(state(queue.control(&paused, "pause").await), "paused");
    assert_eq!(state(queue.control(&paused, "resume").await), "scheduled");
    let held = id(&queue.submit(&job(true)).await);
    assert_eq!(state(queue.control(&held, "start").await), "scheduled");
    assert_eq!(queue.service.sandbox.counts().disconnects(), 0);

    // A scheduled one is started now, and from then on its time is over.
    assert_eq!(state(queue.control(&held, "start").await), "running");
    queue.until(&held, "done").await;
}

#[tokio::test]
async fn a_time_to_begin_is_shown_only_where_one_was_given() {
    let queue = Queue::with(|_| {}).await;
    let conference = queue.conferences(1).remove(0);
    for _ in 0..5 {
        let queued = id(&queue.submit(&json!({"items": [item(&conference, "customer")], "dryRun": true})).await);
        assert!(queue.service.get(&format!("/jobs/{queued}")).await.get("notBefore").is_null());
    }
    let later = id(&queue.submit(&json!({"items": [item(&conference, "customer")], "after": "1h"})).await);
    assert!(queue.service.get(&format!("/jobs/{later}")).await.get("notBefore").is_string());
}

#[tokio::test]
async fn a_list_that_gives_a_name_twice_is_refused_with_its_line() {
    let queue = Queue::with(|_| {}).await;
    let conference = queue.conferences(1).remove(0);
    let (cid, pid) = (conference.id, conference.first("customer").unwrap());
    let one = format!(r#""conversationId":"{cid}""#);
    for (kind, body, said) in [
        (
            "application/json",
            format!(r#"{{"items":[{{{one},{one},"all":true}}]}}"#),
            "item 0: \"conversationId\" is given twice",
        ),
        (
            "application/json",
            format!(r#"{{"dryRun":true,"dryRun":false,"items":[{{{one},"all":true}}]}}"#),
            "\"dryRun\" is given twice",
        ),
        (
            "application/json",
            format!(r#"{{"items":[{{{one},"selector":{{"purpose":"agent","purpose":"customer"}}}}]}}"#),
            "item 0: \"purpose\" is given twice",
        ),
        ("application/x-ndjson", format!(r#"{{{one},"all":true,"all":"true"}}"#), "line 1: \"all\" is given twice"),
        (
            "text/csv",
            format!("conversationId,participantId,participantId\n{cid},{pid},{pid}\n"),
            "line 1: the head line names",
        ),
    ] {
        let answer = queue.service.post("/jobs").header("content-type", kind).body(body.clone()).send().await;
        assert_eq!(answer.verdict(), "400 invalid_body", "{body}");
        assert!(answer.get("detail").as_str().unwrap().starts_with(said), "{answer:?}");
    }
}

#[tokio::test]
async fn a_bad_idempotency_key_is_refused_with_the_code_of_the_request_that_it_came_with() {
    let queue = Queue::new().await;
    let conference = queue.conferences(1).remove(0);
    let (cid, customer) = (conference.id, conference.first("customer").unwrap());
    let job = json!({"items": [item(&conference, "customer")]});
    for (path, body, verdict) in [
        ("/jobs".to_owned(), job, "400 invalid_body"),
        (format!("/conversations/{cid}/participants/{customer}/disconnect?async=true"), json!({}), "400 invalid_body"),
        (format!("/conversations/{cid}/disconnect"), json!({"all": true}), "400 invalid_body"),
        (format!("/conversations/{cid}/participants/disconnect"), json!({"purpose": "agent"}), "400 invalid_selector"),
    ] {
        let answer = queue.service.post(&path).header("idempotency-key", "").json(&body).send().await;
        assert_eq!(answer.verdict(), verdict, "{path}");
        assert!(answer.get("detail").as_str().unwrap().starts_with("Idempotency-Key"), "{answer:?}");
    }
    assert_eq!(queue.service.sandbox.counts().disconnects(), 0);
}

#[tokio::test]
async fn a_wrap_up_is_not_dropped_for_whole_conversations_but_refused_with_their_line() {
    let queue = Queue::new().await;
    let conference = queue.conferences(1).remove(0);
    let all = json!({"conversationId": conference.id, "all": true});
    for wrapup in [json!({"wrapup": {"code": "c1"}}), json!({"wrapupSkipped": true})] {
        let mut job = json!({"items": [item(&conference, "customer"), all]});
        job.as_object_mut().unwrap().extend(wrapup.as_object().unwrap().clone());
        let refused = queue.submit(&job).await;
        assert_eq!(refused.verdict(), "400 invalid_body", "{wrapup}");
        assert!(refused.get("detail").as_str().unwrap().starts_with("item 1: a whole conversation"), "{refused:?}");
    }
    let line = format!("conversationId,all\n{},true\n", conference.id);
    let file = queue.service.post("/jobs?wrapupSkipped=true").header("content-type", "text/csv").body(line);
    assert!(file.send().await.get("detail").as_str().unwrap().starts_with("line 2: a whole conversation"));
    let kept = json!({"items": [all], "wrapupSkipped": false, "hold": true});
    assert_eq!(queue.submit(&kept).await.status, 202);
    assert_eq!(queue.service.sandbox.counts().disconnects(), 0);
}

#[tokio::test]
async fn a_wrong_value_beside_a_file_is_one_of_the_query() {
    let queue = Queue::new().await;
    let conference = queue.conferences(1).remove(0);
    let line = format!("conversationId,all\n{},true\n", conference.id);
    for wrong in [
        "after=soon",
        "hold=perhaps",
        "skipIf=agent",
        "wrapup=x",
        "notBefore=monday",
        "unknown=1",
        "hold=true&hold=true",
    ] {
        let path = format!("/jobs?{wrong}");
        let answer = queue.service.post(&path).header("content-type", "text/csv").body(line.clone()).send().await;
        assert_eq!(answer.verdict(), "400 invalid_query", "{wrong}");
    }
    assert_eq!(queue.service.get("/jobs").await.get("jobs"), json!([]));
}

#[tokio::test]
async fn a_queue_that_must_not_have_been_left_is_named_by_its_id_alone() {
    let queue = Queue::new().await;
    let conference = queue.conferences(1).remove(0);
    let job =
        |queue: &str| json!({"items": [item(&conference, "customer")], "skipIf": {"leftQueue": queue}, "dryRun": true});
    let named = queue.submit(&job("Support")).await;
    assert_eq!(named.verdict(), "400 invalid_body", "it would skip everybody");
    assert!(named.get("detail").as_str().unwrap().starts_with("skipIf.leftQueue must be the id"), "{named:?}");
    let other = id(&queue.submit(&job("A1000000-0000-4000-8000-0000000000FF")).await);
    assert_eq!(queue.until(&other, "done").await["counts"], json!({"skipped": 1}));
}

#[tokio::test]
async fn an_item_with_reasons_to_skip_is_not_disconnected_where_its_conversation_cannot_be_read() {
    let queue = Queue::new().await;
    for status in [403, 404] {
        queue.service.sandbox.set_faults(vec![Fault::status(On::Read, status)]).unwrap();
        let conference = queue.conferences(1).remove(0);
        let job = json!({"items": [item(&conference, "customer")], "skipIf": {"agent": true}});
        let job = queue.until(&id(&queue.submit(&job).await), "done").await;
        let code = if status == 404 { "conversation_not_found" } else { "upstream_forbidden" };
        assert_eq!(job["counts"], json!({code: 1}));
    }
    assert_eq!(queue.service.sandbox.counts().disconnects(), 0);
}

#[tokio::test]
async fn an_item_with_reasons_to_skip_has_ended_where_the_configuration_says_so_of_unknown_conversations() {
    let queue = Queue::with(|c| c.disconnect.unknown_conversation = UnknownConversation::Ended).await;
    queue.service.sandbox.set_faults(vec![Fault::status(On::Read, 404)]).unwrap();
    let conference = queue.conferences(1).remove(0);
    let job = json!({"items": [item(&conference, "customer")], "skipIf": {"agent": true}});
    let job = queue.until(&id(&queue.submit(&job).await), "done").await;
    assert_eq!(job["counts"], json!({"conversation_ended": 1}));
    assert_eq!(queue.service.sandbox.counts().disconnects(), 0);
}

#[tokio::test]
async fn an_age_or_a_patience_may_be_longer_than_the_thirty_days_of_a_delay() {
    let queue = Queue::new().await;
    let conference = queue.conferences(1).remove(0);
    let items = [item(&conference, "customer")];
    let job = json!({"items": items, "skipIf": {"youngerThan": "180d"}, "giveUpAfter": "60d"});
    let job = id(&queue.submit(&job).await);
    assert_eq!(queue.until(&job, "done").await["counts"], json!({"skipped": 1}));
    let endless = json!({"items": items, "skipIf": {"youngerThan": "1000y"}});
    assert_eq!(queue.submit(&endless).await.verdict(), "400 invalid_body");
}

#[tokio::test]
async fn a_job_needs_at_once_what_its_items_will_need() {
    let only = |words: &'static [&'static str]| {
        Queue::with(move |config: &mut hangup::config::Config| {
            config.auth.anonymous_permissions.0 = words.iter().map(|word| (*word).to_owned()).collect();
        })
    };
    for (words, missing) in [
        (&["bulk"][..], Some("disconnect")),
        (&["disconnect"], Some("bulk")),
        (&["bulk", "teardown"], Some("disconnect")),
        (&["disconnect", "bulk"], None),
    ] {
        let queue = only(words).await;
        let items: Vec<_> = queue.conferences(2).iter().map(|conference| item(conference, "customer")).collect();
        let answer = queue.submit(&json!({"items": items, "hold": true})).await;
        match missing {
            Some(word) => {
                assert_eq!(answer.verdict(), "403 forbidden_caller", "{words:?}");
                assert!(answer.get("detail").as_str().unwrap().contains(&format!("\"{word}\"")), "{answer:?}");
            }
            None => assert_eq!(answer.status, 202, "{words:?}"),
        }
    }
}

#[tokio::test]
async fn a_held_job_whose_time_has_passed_is_not_said_to_start_now() {
    let queue = Queue::new().await;
    let conference = queue.conferences(1).remove(0);
    let job = |hold: bool| json!({"items": [item(&conference, "customer")], "notBefore": "2020-01-01T00:00:00Z", "hold": hold});
    for (hold, state, said) in [(true, "held", "as soon as it is started"), (false, "running", "starts now")] {
        let answer = queue.submit(&job(hold)).await;
        assert_eq!(answer.get("state"), state);
        assert!(answer.get("note").as_str().unwrap().ends_with(said), "{answer:?}");
    }
}
