//! What a search leaves out, refuses, and does when the upstream serves no more.

use std::collections::BTreeSet;
use std::time::Duration;

use hangup::sandbox::{Fault, Kind, Medium, On, StuckSpec};
use serde_json::{Value, json};

use crate::api::callers::with_keys_and;
use crate::support::{Answer, Reply, TestApp};

const DAY: Duration = Duration::from_secs(24 * 3600);
const CLAIMS: &str = "a1000000-0000-4000-8000-000000000009";

fn make(service: &TestApp, spec: StuckSpec) -> BTreeSet<String> {
    service.sandbox.create_stuck(spec).unwrap().into_iter().map(|id| id.to_string()).collect()
}

fn ids(answer: &Answer) -> BTreeSet<String> {
    assert_eq!(answer.status, 200, "{}", answer.text);
    let found = answer.get("conversations");
    found.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
}

async fn searching() -> TestApp {
    let change = |config: &mut hangup::config::Config| {
        config.auth.anonymous_permissions.0.push("search".to_owned());
        config.sandbox.rate_limit = 100_000;
    };
    let service = TestApp::sockets().config(change).start().await;
    service.sandbox.forget(service.conference.id);
    service
}

fn fault(service: &TestApp, fault: Value) {
    service.sandbox.set_faults(vec![serde_json::from_value(fault).unwrap()]).unwrap();
}

#[tokio::test]
async fn the_guards_of_a_key_hide_what_it_may_not_touch_and_count_it() {
    let in_claims = format!("queue_ids = [\"{CLAIMS}\"]\npermissions = [\"search\"]");
    let blocks = [
        ("claims", in_claims.as_str()),
        ("agents", "purposes = [\"agent\"]\npermissions = [\"search\"]"),
        ("all", "permissions = [\"search\"]"),
        ("customers", "purposes = [\"customer\"]\npermissions = [\"search\"]"),
    ];
    let (service, keys, _file) = with_keys_and(&blocks, |config| config.sandbox.rate_limit = 100_000).await;
    service.sandbox.forget(service.conference.id);
    let claims = make(
        &service,
        StuckSpec { count: 3, queue: "Claims".to_owned(), queue_id: Some(CLAIMS.to_owned()), ..StuckSpec::default() },
    );
    let support = make(&service, StuckSpec { count: 2, ..StuckSpec::default() });
    let talking = make(&service, StuckSpec { agent: true, medium: Medium::Calls, ..StuckSpec::default() });
    let all: BTreeSet<String> = claims.iter().chain(&support).chain(&talking).cloned().collect();
    for (key, expected) in [(&keys[0], &claims), (&keys[1], &talking), (&keys[2], &all)] {
        let answer = service.get_with("/conversations", key).await;
        assert_eq!(&ids(&answer), expected);
        assert_eq!(answer.get("excluded")["hidden"], all.len() - expected.len());
    }
    for (key, named) in [(&keys[1], true), (&keys[3], false)] {
        let answer = service.get_with("/conversations?media=call", key).await;
        let call = &answer.get("conversations")[0];
        assert_eq!((&call["agent"], call["agentName"].is_string()), (&json!(true), named), "{call}");
    }
    let other = service.get_with("/conversations?queue=Support", &keys[0]).await;
    assert_eq!((ids(&other).len(), &other.get("excluded")["hidden"]), (0, &json!(3)));
}

#[tokio::test]
async fn what_is_left_out_is_counted_once_however_many_pages_it_takes() {
    let service = searching().await;
    let spread = |count| StuckSpec { count, age: Some(DAY * 50), youngest: Some(DAY), ..StuckSpec::default() };
    make(&service, spread(150));
    make(&service, StuckSpec { medium: Medium::Callbacks, scheduled_in: Some(DAY), ..spread(20) });
    make(&service, StuckSpec { agent: true, ..spread(10) });
    let (mut cursor, mut found, mut left_out) = (String::new(), 0, [0, 0, 0]);
    loop {
        let answer = service.get(&format!("/conversations?agent=none&limit=40&cursor={cursor}")).await;
        found += ids(&answer).len();
        let excluded = answer.get("excluded");
        for (count, why) in left_out.iter_mut().zip(["scheduled", "agent", "hidden"]) {
            *count += excluded[why].as_u64().unwrap();
        }
        match answer.get("cursor") {
            Value::String(next) => cursor = next,
            _ => break,
        }
    }
    assert_eq!((found, left_out), (150, [20, 10, 0]));
}

#[tokio::test]
async fn a_query_with_too_many_hits_is_split_at_once_and_not_repeated() {
    let service = searching().await;
    let made =
        make(&service, StuckSpec { count: 20, age: Some(DAY * 25), youngest: Some(DAY), ..StuckSpec::default() });
    let talking = StuckSpec { agent: true, count: 150, age: Some(DAY * 25), ..StuckSpec::default() };
    make(&service, StuckSpec { youngest: Some(DAY), ..talking });
    service.sandbox.change_settings(&json!({"analytics_hits": 100})).unwrap();
    assert_eq!(ids(&service.get("/conversations?agent=none&limit=1000").await), made);
    assert_eq!(service.sandbox.counts().of_with_status(Kind::Analytics, 502), 1);
}

#[tokio::test]
async fn a_permission_that_is_revoked_between_two_pages_is_named_and_no_part_passes_for_the_whole() {
    let service = searching().await;
    make(&service, StuckSpec { count: 50, ..StuckSpec::default() });
    let first = service.get("/conversations?limit=20").await;
    let cursor = first.get("cursor").as_str().unwrap().to_owned();
    let missing = json!({"missing_permissions": ["analytics:conversationDetail:view"]});
    service.sandbox.change_settings(&missing).unwrap();
    let second = service.get(&format!("/conversations?limit=20&cursor={cursor}")).await;
    assert_eq!(second.verdict(), "403 upstream_forbidden");
    assert!(second.text.contains("analytics:conversationDetail:view"), "{}", second.text);
}

#[tokio::test]
async fn filters_that_match_nothing_or_belong_to_another_org_find_nothing_and_say_so() {
    let service = searching().await;
    make(&service, StuckSpec { count: 2, division: Some("Spain".to_owned()), ..StuckSpec::default() });
    let all = service.get("/conversations").await;
    let names: BTreeSet<_> = all
        .get("conversations")
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["divisionName"].clone().to_string())
        .collect();
    assert_eq!(names, ["\"Spain\"".to_owned()].into());
    for query in
        ["media=email", "queueId=11111111-1111-4111-8111-111111111111", "userId=11111111-1111-4111-8111-111111111111"]
    {
        let answer = service.get(&format!("/conversations?{query}")).await;
        assert_eq!((ids(&answer).len(), answer.get("cursor")), (0, Value::Null), "{query}");
    }
    let named = service.get("/conversations?queue=Entire%20World").await;
    assert_eq!(named.verdict(), "400 invalid_query");
    assert!(named.text.contains("there is no queue of that name"), "{}", named.text);
}

#[tokio::test]
async fn what_a_gateway_in_between_refuses_accuses_no_permission() {
    for asked in ["", "?queue=Claims"] {
        let on = if asked.is_empty() { "analytics" } else { "names" };
        for (by, status) in
            [("nginx", 403), ("api_gateway", 403), ("nginx", 401), ("kong", 404), ("envoy", 405), ("nginx", 407)]
        {
            let service = searching().await;
            fault(&service, json!({"on": on, "action": {"foreign": {"by": by, "status": status}}}));
            let refused = service.get(&format!("/conversations{asked}")).await;
            let what = format!("{asked} {by} {status}: {}", refused.text);
            assert_eq!(refused.verdict(), "502 upstream_invalid_response", "{what}");
            assert!(refused.text.contains("not Genesys Cloud") && !refused.text.contains("permission"), "{what}");
            assert_eq!(refused.get("upstream")["status"], json!(status), "{what}");
        }
    }
}

#[tokio::test]
async fn a_redirect_of_a_search_is_not_taken_for_a_rejection_by_genesys_cloud() {
    let service = searching().await;
    fault(&service, json!({"on": "analytics", "action": {"redirect": {"location": "http://127.0.0.1:9/"}}}));
    let refused = service.get("/conversations").await;
    assert_eq!(refused.verdict(), "502 upstream_invalid_response", "{}", refused.text);
}

#[tokio::test]
async fn a_gateway_that_lets_analytics_through_but_no_names_leaves_ids_in_their_place() {
    for status in [403, 404, 405] {
        let service = searching().await;
        make(&service, StuckSpec { agent: true, medium: Medium::Calls, ..StuckSpec::default() });
        fault(&service, json!({"on": "names", "action": {"foreign": {"by": "nginx", "status": status}}}));
        let found = service.get("/conversations").await;
        assert_eq!(found.status, 200, "{status}: {}", found.text);
        let one = &found.get("conversations")[0];
        assert!(one["queueName"].is_string() && one["queueName"] == one["queueId"], "{status}: {one}");
    }
}

#[tokio::test]
async fn names_that_genesys_cloud_itself_refuses_leave_ids_in_their_place() {
    for status in [400, 403, 404, 410] {
        let service = searching().await;
        make(&service, StuckSpec { agent: true, medium: Medium::Calls, ..StuckSpec::default() });
        service.sandbox.set_faults(vec![Fault::status(On::Names, status)]).unwrap();
        let found = service.get("/conversations").await;
        assert_eq!(found.status, 200, "{status}: {}", found.text);
        let one = &found.get("conversations")[0];
        assert!(one["queueName"].is_string() && one["queueName"] == one["queueId"], "{status}: {one}");
        assert!(one["agentName"].is_string() && one["agentName"] != json!("Sandbox Agent"), "{status}: {one}");
    }
}

#[tokio::test]
async fn a_gateway_that_always_answers_502_is_not_asked_for_ever_smaller_intervals() {
    let service = searching().await;
    service.sandbox.set_faults(vec![Fault::status(On::Analytics, 502)]).unwrap();
    let refused = service.get("/conversations").await;
    assert_eq!(refused.verdict(), "503 upstream_unavailable", "{}", refused.text);
    let asked = service.sandbox.counts().of(Kind::Analytics);
    assert!(asked <= 8, "{asked} queries");
}

#[tokio::test(start_paused = true)]
async fn more_conversations_of_one_moment_than_are_served_are_refused_with_words_and_none_is_left_out() {
    let search = |config: &mut hangup::config::Config| config.auth.anonymous_permissions.0.push("search".to_owned());
    let service = TestApp::patch().config(search).ready().await;
    service.sandbox.change_settings(&json!({"analytics_hits": 100})).unwrap();
    make(&service, StuckSpec { count: 150, age: Some(DAY), ..StuckSpec::default() });
    for limit in [10, 1000] {
        let refused = service.get(&format!("/conversations?limit={limit}")).await;
        assert_eq!(refused.line(), "400 invalid_query", "{limit}");
        assert!(refused.text.contains("began in one moment") && refused.text.contains("by queue"), "{}", refused.text);
    }
    make(&service, StuckSpec { count: 2, queue: "Claims".to_owned(), age: Some(DAY), ..StuckSpec::default() });
    let narrower = service.get("/conversations?queue=Claims").await;
    assert_eq!(ids(&narrower).len(), 2, "narrower, it finds all: {}", narrower.text);
}

#[tokio::test(start_paused = true)]
async fn more_conversations_of_one_moment_than_pages_are_read_are_refused_with_words() {
    let service = TestApp::patch()
        .config(|config| config.auth.anonymous_permissions.0.push("search".to_owned()))
        .script(|asked| {
            let query: Value = serde_json::from_slice(&asked.body).ok()?;
            let page = query["paging"]["pageNumber"].as_u64()?;
            let one = |n: u64| {
                json!({
                    "conversationId": format!("00000000-0000-4000-8000-{:012}", page * 100 + n),
                    "conversationStart": "2026-01-01T00:00:00.000Z",
                    "participants": [{"purpose": "customer", "sessions": [{"mediaType": "message", "segments": [{}]}]}],
                })
            };
            let list: Vec<Value> = (0..100).map(one).collect();
            Some(Reply::json(&json!({"conversations": list, "totalHits": 9_000})))
        })
        .ready()
        .await;
    let refused = service.get("/conversations?newerThan=3650d").await;
    assert_eq!(refused.line(), "400 invalid_query", "{}", refused.text);
    assert!(refused.text.contains("began in one moment"), "{}", refused.text);
}
