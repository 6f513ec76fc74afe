//! Searching live conversations.

use std::collections::BTreeSet;
use std::time::Duration;

use hangup::config::Config;
use hangup::sandbox::{Kind, Medium, StuckSpec};
use serde_json::{Value, json};

use crate::support::TestApp;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn may_search(config: &mut Config) {
    config.auth.anonymous_permissions.0.push("search".to_owned());
    config.sandbox.rate_limit = 100_000;
}

async fn start() -> TestApp {
    let service = TestApp::sockets().config(may_search).start().await;
    service.sandbox.forget(service.conference.id);
    service
}

impl TestApp {
    fn stuck(&self, spec: StuckSpec) -> BTreeSet<String> {
        self.sandbox.create_stuck(spec).unwrap().into_iter().map(|id| id.to_string()).collect()
    }

    async fn found(&self, query: &str) -> Vec<Value> {
        let answer = self.get(&format!("/conversations?{query}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.get("conversations").as_array().unwrap().clone()
    }

    /// The ids of everything that fits, by as many requests as it takes.
    async fn all(&self, query: &str) -> Vec<String> {
        let (mut ids, mut cursor) = (Vec::new(), String::new());
        loop {
            let answer = self.get(&format!("/conversations?{query}&cursor={cursor}")).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
            ids.extend(answer.get("conversations").as_array().unwrap().iter().map(id));
            match answer.get("cursor").as_str() {
                None => return ids,
                Some(next) => next.clone_into(&mut cursor),
            }
        }
    }
}

fn id(found: &Value) -> String {
    found["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_thousand_stuck_conversations_are_all_found_once_newest_first() {
    let service = start().await;
    let mut made =
        service.stuck(StuckSpec { count: 700, age: Some(DAY * 100), youngest: Some(DAY * 2), ..StuckSpec::default() });
    // All of one moment, as far as the upstream's times show.
    made.extend(service.stuck(StuckSpec { count: 300, age: Some(DAY * 40), ..StuckSpec::default() }));
    let answer = service.get("/conversations?limit=1000&olderThan=24h").await;
    let found = answer.get("conversations").as_array().unwrap().clone();
    assert!(found.is_sorted_by_key(|one| std::cmp::Reverse(one["startTime"].as_str().unwrap().to_owned())));
    assert_eq!(service.all("limit=1000&olderThan=24h").await.into_iter().collect::<BTreeSet<_>>(), made);

    let paged = service.all("limit=77").await;
    assert_eq!((paged.len(), paged.into_iter().collect::<BTreeSet<_>>()), (1000, made.clone()));
    assert_eq!(service.all("").await.into_iter().collect::<BTreeSet<_>>(), made);
}

#[tokio::test]
async fn an_answer_stays_under_32_kb_whatever_limit_is_asked_for() {
    let service = start().await;
    service.stuck(StuckSpec { count: 300, age: Some(DAY * 9), youngest: Some(DAY), ..StuckSpec::default() });
    for query in ["", "limit=100", "limit=1000"] {
        let answer = service.get(&format!("/conversations?{query}")).await;
        assert!(answer.text.len() < 32 * 1024, "{query}: {} bytes", answer.text.len());
        let found = answer.get("conversations").as_array().unwrap().len();
        assert!(found > 50 && answer.get("cursor").is_string(), "{query}: {found}");
    }
    let asked = service.sandbox.counts().of(Kind::Analytics);
    assert_eq!(asked, 3, "one page of analytics for each answer");
}

#[tokio::test]
async fn an_interval_with_more_hits_than_the_upstream_serves_is_split() {
    let service = start().await;
    let made =
        service.stuck(StuckSpec { count: 150, age: Some(DAY * 25), youngest: Some(DAY), ..StuckSpec::default() });
    let talking = StuckSpec { agent: true, count: 450, age: Some(DAY * 25), ..StuckSpec::default() };
    service.stuck(StuckSpec { youngest: Some(DAY), ..talking });
    service.sandbox.change_settings(&json!({"analytics_hits": 200})).unwrap();
    assert_eq!(service.all("agent=none&limit=1000").await.into_iter().collect::<BTreeSet<_>>(), made);
    assert!(service.sandbox.counts().of_with_status(Kind::Analytics, 502) > 0);
}

#[tokio::test]
async fn an_interval_that_fails_is_an_error_and_never_left_out() {
    let service = TestApp::sockets()
        .config(|config| {
            may_search(config);
            config.disconnect.deadline = Duration::from_secs(2);
        })
        .start()
        .await;
    let fault = json!({"on": "analytics", "skip": 1, "action": {"answer": {"status": 503}}});
    service.sandbox.set_faults(vec![serde_json::from_value(fault).unwrap()]).unwrap();
    assert_eq!(service.get("/conversations").await.verdict(), "503 upstream_unavailable");
}

#[tokio::test]
async fn filters_find_what_they_say() {
    let service = start().await;
    let waiting = service.stuck(StuckSpec { count: 2, queue: "Claims".to_owned(), ..StuckSpec::default() });
    let user_id = Some("b1000000-0000-4000-8000-000000000077".to_owned());
    let talking = service.stuck(StuckSpec {
        agent: true,
        user_id: user_id.clone(),
        medium: Medium::Calls,
        ..StuckSpec::default()
    });
    let orphan =
        service.stuck(StuckSpec { orphaned: true, medium: Medium::Emails, age: Some(DAY * 9), ..StuckSpec::default() });
    let scheduled =
        service.stuck(StuckSpec { medium: Medium::Callbacks, scheduled_in: Some(DAY), ..StuckSpec::default() });
    for (query, expected) in [
        ("media=message", vec![&waiting]),
        ("media=voice", vec![&talking]),
        ("media=Call", vec![&talking]),
        ("media=cobrowsesession", vec![]),
        ("media=cobrowse", vec![]),
        ("media=socialExpression", vec![]),
        ("media=internalMessage", vec![]),
        ("queue=claims", vec![&waiting]),
        ("state=waiting", vec![&waiting]),
        ("agent=none", vec![&waiting]),
        ("state=connected", vec![&talking, &orphan]),
        ("userId=B1000000-0000-4000-8000-000000000077", vec![&talking]),
        ("addressFrom=tel:%2B13170000000&media=call", vec![&talking]),
        ("olderThan=5d", vec![&orphan]),
        ("newerThan=5d", vec![&waiting, &talking]),
        ("media=callback", vec![]),
        ("media=callback&includeScheduled=true", vec![&scheduled]),
        ("direction=outbound", vec![]),
        ("media=&queue=&state=", vec![&waiting, &talking, &orphan]),
    ] {
        let found: BTreeSet<String> = service.found(query).await.iter().map(id).collect();
        assert_eq!(found, expected.into_iter().flatten().cloned().collect(), "{query}");
    }
}

#[tokio::test]
async fn what_is_found_has_every_member_and_names() {
    let service = start().await;
    service.stuck(StuckSpec { agent: true, queue: "Claims".to_owned(), medium: Medium::Calls, ..StuckSpec::default() });
    let one = service.found("").await.pop().unwrap();
    assert_eq!(
        (&one["media"], &one["queueName"], &one["agent"], &one["agentName"], &one["direction"], &one["participants"]),
        (&json!("call"), &json!("Claims"), &json!(true), &json!("Anna Agent"), &json!("inbound"), &json!(2))
    );
    assert!(one["ageSeconds"].as_i64().is_some_and(|age| (86_400..86_500).contains(&age)));
    assert!(one["queueId"].is_string() && one["divisionId"].is_string() && one["addressFrom"].is_string());
    service.found("").await;
    assert_eq!(service.sandbox.counts().of(Kind::Names), 2, "names are kept");
}

#[tokio::test]
async fn a_name_that_two_queues_have_is_ambiguous_and_refused_names_give_ids() {
    let service = start().await;
    for division in ["Spain", "Peru"] {
        service.stuck(StuckSpec { division: Some(division.to_owned()), ..StuckSpec::default() });
    }
    let answer = service.get("/conversations?queue=Support").await;
    assert_eq!(answer.verdict(), "409 selector_ambiguous");
    assert_eq!(answer.get("candidates").as_array().map(Vec::len), Some(3));
    assert!(!answer.get("title").as_str().unwrap().contains("elector"), "there is no selector: {answer:?}");
    let missing = json!({"missing_permissions": ["routing:queue:search", "directory:user:view"]});
    service.sandbox.change_settings(&missing).unwrap();
    let one = service.found("").await.pop().unwrap();
    assert_eq!(one["queueName"], one["queueId"]);
    let refused = service.get("/conversations?queue=Claims").await;
    assert_eq!(refused.verdict(), "403 upstream_forbidden");
    assert!(refused.text.contains("routing:queue:search"));
    let missing = json!({"missing_permissions": ["analytics:conversationDetail:view"]});
    service.sandbox.change_settings(&missing).unwrap();
    let refused = service.get("/conversations").await;
    assert!(
        refused.verdict() == "403 upstream_forbidden" && refused.text.contains("analytics:conversationDetail:view")
    );
}

#[tokio::test]
async fn a_query_that_cannot_be_used_is_refused_and_so_is_a_caller_without_the_permission() {
    let service = start().await;
    for query in [
        "medium=call",
        "media=fax",
        "media=call&media=call",
        "queueId=x",
        "olderThan=5",
        "olderThan=200d",
        "limit=0",
        "limit=1001",
        "agent=some",
        "state=gone",
        "includeScheduled=1",
        "cursor=x",
        "direction=in",
        "queue=Nobody",
    ] {
        let answer = service.get(&format!("/conversations?{query}")).await;
        assert_eq!(answer.verdict(), "400 invalid_query", "{query}");
    }
    let service = TestApp::sockets().start().await;
    assert_eq!(service.get("/conversations").await.verdict(), "403 forbidden_caller");
}
