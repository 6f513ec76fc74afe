//! Analytics and names: what a search asks.

use std::time::Duration;

use hangup::config::Surface;
use hangup::sandbox::{ConversationSpec, Medium, StuckSpec};
use http::Method;
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use time::{Duration as Span, OffsetDateTime};
use uuid::Uuid;

use crate::sandbox::helpers::{Answer, Org, pass};

const HOUR: Duration = Duration::from_secs(3600);
const DETAILS: &str = "/api/v2/analytics/conversations/details/query";
const ACTIVITY: &str = "/api/v2/analytics/conversations/activity/query";

fn interval(from: Span, to: Span) -> String {
    let now = OffsetDateTime::now_utc();
    let text = |time: OffsetDateTime| time.format(&Rfc3339).expect("a time");
    format!("{}/{}", text(now - from), text(now - to))
}

fn dimension(name: &str, value: &str) -> Value {
    json!({"type": "dimension", "dimension": name, "operator": "matches", "value": value})
}

fn open() -> Value {
    json!({"type": "and", "predicates": [{"type": "dimension", "dimension": "conversationEnd", "operator": "notExists"}]})
}

/// Open conversations of the last 30 days that have a segment with all of these dimensions.
fn query(page: usize, predicates: &[Value]) -> Value {
    let segments = if predicates.is_empty() { json!([]) } else { json!([{"type": "and", "predicates": predicates}]) };
    json!({
        "interval": interval(Span::days(30), Span::hours(-1)), "order": "asc", "orderBy": "conversationStart",
        "paging": {"pageSize": 100, "pageNumber": page}, "conversationFilters": [open()], "segmentFilters": segments,
    })
}

fn empty() -> Org {
    let org = Org::new(Surface::Published);
    org.sandbox.forget(org.conference.id);
    org
}

fn stuck(org: &Org, spec: StuckSpec) -> Vec<Uuid> {
    org.sandbox.create_stuck(spec).expect("stuck conversations")
}

impl Org {
    async fn ask(&self, path: &str, query: &Value) -> Answer {
        self.call(Method::POST, path, &query.to_string()).await
    }

    async fn hits(&self, query: &Value) -> u64 {
        let answer = self.ask(DETAILS, query).await;
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        answer.json()["totalHits"].as_u64().expect("a number of hits")
    }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_stuck_conversations_are_found_page_by_page_oldest_first() {
    let org = empty();
    let spec =
        json!({"stuck": {"count": 1000, "medium": "message", "queue": "Claims", "age": "20d", "youngest": "2d"}});
    let made = org.call(Method::POST, "/sandbox/conversations", &spec.to_string()).await;
    assert_eq!((made.status.as_u16(), &made.json()["total"]), (201, &json!(1000)));
    let mut seen: Vec<(String, String)> = Vec::new();
    for page in 1..=10 {
        let answer = org.ask(DETAILS, &query(page, &[])).await.json();
        assert_eq!(answer["totalHits"], 1000);
        for one in answer["conversations"].as_array().expect("a page") {
            let text = |name: &str| one[name].as_str().expect(name).to_owned();
            seen.push((text("conversationStart"), text("conversationId")));
        }
    }
    assert!(seen.is_sorted());
    seen.dedup();
    assert_eq!(seen.len(), 1000);
    let beyond = org.ask(DETAILS, &query(11, &[])).await.json();
    assert_eq!(beyond, json!({"totalHits": 1000}), "no list without hits");
}

#[tokio::test(start_paused = true)]
async fn filters_hold_for_one_segment_each() {
    let org = empty();
    stuck(&org, StuckSpec { count: 3, queue: "Claims".to_owned(), ..StuckSpec::default() });
    stuck(&org, StuckSpec { count: 2, medium: Medium::Callbacks, scheduled_in: Some(HOUR), ..StuckSpec::default() });
    stuck(&org, StuckSpec { count: 4, orphaned: true, medium: Medium::Emails, ..StuckSpec::default() });
    stuck(&org, StuckSpec { count: 1, agent: true, user_id: Some("u7".to_owned()), ..StuckSpec::default() });
    let not_ended = json!({"type": "dimension", "dimension": "segmentEnd", "operator": "notExists"});
    for (predicates, hits) in [
        (vec![], 10),
        (vec![dimension("mediaType", "message")], 4),
        (vec![dimension("mediaType", "callback"), dimension("segmentType", "scheduled")], 2),
        (vec![dimension("userId", "u7")], 1),
        (vec![dimension("purpose", "agent"), not_ended.clone()], 5),
        (vec![dimension("purpose", "acd"), not_ended.clone()], 5),
        (vec![dimension("purpose", "acd"), dimension("userId", "u7")], 0),
        (vec![dimension("addressFrom", "customer0@example.com")], 1),
    ] {
        assert_eq!(org.hits(&query(1, &predicates)).await, hits, "{predicates:?}");
    }
    let mut two = query(1, &[]);
    two["segmentFilters"] = json!([
        {"type": "or", "predicates": [dimension("purpose", "acd")]},
        {"type": "and", "clauses": [{"type": "or", "predicates": [dimension("userId", "u7"), dimension("userId", "u8")]}]},
    ]);
    assert_eq!(org.hits(&two).await, 1, "each filter may hold for another segment");
    for bad in [
        json!({"type": "dimension", "dimension": "flowName", "operator": "matches", "value": "x"}),
        json!({"type": "metric", "metric": "tSegmentDuration", "range": {"gt": 5}}),
        json!({"type": "dimension", "dimension": "queueId"}),
    ] {
        let answer = org.ask(DETAILS, &query(1, &[bad])).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "bad.request"));
    }
}

#[tokio::test(start_paused = true)]
async fn an_orphan_has_an_open_agent_segment_and_no_live_agent() {
    let org = empty();
    let id = stuck(&org, StuckSpec { orphaned: true, ..StuckSpec::default() }).pop().expect("one");
    let answer = org.get(&format!("/api/v2/analytics/conversations/{id}/details")).await.json();
    let agent = answer["participants"].as_array().expect("participants").last().expect("one").clone();
    assert_eq!(agent["purpose"], "agent");
    assert!(agent["sessions"][0]["segments"][0].get("segmentEnd").is_none());
    let read = org.get(&format!("/api/v2/conversations/{id}")).await.json();
    let live: Vec<_> = read["participants"]
        .as_array()
        .expect("participants")
        .iter()
        .filter(|p| p.get("endTime").is_none())
        .map(|p| p["purpose"].clone())
        .collect();
    assert_eq!(live, ["customer"]);
}

#[tokio::test(start_paused = true)]
async fn an_interval_has_31_days_at_most_and_reaches_conversations_that_began_in_it() {
    let org = empty();
    stuck(&org, StuckSpec { age: Some(HOUR * 24 * 40), ..StuckSpec::default() });
    stuck(&org, StuckSpec { age: Some(HOUR * 24 * 5), ..StuckSpec::default() });
    let asked = |from, to| json!({"interval": interval(from, to), "conversationFilters": [open()]});
    assert_eq!(org.hits(&asked(Span::days(30), Span::ZERO)).await, 1);
    assert_eq!(org.hits(&asked(Span::days(60), Span::days(30))).await, 1);
    assert_eq!(org.hits(&asked(Span::days(3), Span::ZERO)).await, 0, "it began before that");
    for bad in [
        json!({"interval": interval(Span::days(32), Span::ZERO)}),
        json!({"interval": interval(Span::ZERO, Span::days(1))}),
        json!({"interval": "nonsense"}),
        json!({}),
        json!({"interval": interval(Span::days(1), Span::ZERO), "paging": {"pageSize": 101, "pageNumber": 1}}),
    ] {
        let answer = org.ask(DETAILS, &bad).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "bad.request"), "{bad}");
    }
}

#[tokio::test(start_paused = true)]
async fn beyond_so_many_hits_a_query_answers_502() {
    let org = empty();
    stuck(&org, StuckSpec { count: 350, ..StuckSpec::default() });
    org.sandbox.change_settings(&json!({"analytics_hits": 200})).expect("settings");
    let mut seen = Vec::new();
    for page in 1..=4 {
        seen.push(org.ask(DETAILS, &query(page, &[])).await.status.as_u16());
    }
    assert_eq!(seen, [200, 200, 502, 502]);
}

#[tokio::test(start_paused = true)]
async fn divisions_and_permissions_hide_conversations_and_names() {
    let org = empty();
    let spain = StuckSpec { count: 2, division: Some("Spain".to_owned()), ..StuckSpec::default() };
    stuck(&org, spain);
    stuck(&org, StuckSpec { count: 3, ..StuckSpec::default() });
    let queues = org.get("/api/v2/routing/queues/divisionviews?name=support").await.json();
    let divisions: Vec<_> =
        queues["entities"].as_array().expect("queues").iter().map(|q| q["division"]["name"].clone()).collect();
    assert!(divisions.len() == 2 && divisions.contains(&json!("Spain")), "two queues of one name: {divisions:?}");
    let entities = queues["entities"].as_array().expect("queues");
    let spain = entities.iter().find(|q| q["division"]["name"] == "Spain").expect("Spain").clone();
    assert_eq!(org.hits(&query(1, &[])).await, 5);
    assert_eq!(org.hits(&query(1, &[dimension("queueId", spain["id"].as_str().expect("an id"))])).await, 2);
    org.sandbox.change_settings(&json!({"hidden_divisions": [spain["division"]["id"]]})).expect("settings");
    assert_eq!(org.hits(&query(1, &[])).await, 3);
    assert_eq!(org.get("/api/v2/routing/queues/divisionviews?name=Support").await.json()["total"], 1);

    let missing = ["analytics:conversationDetail:view", "analytics:queueObservation:view", "directory:user:view"];
    org.sandbox.change_settings(&json!({"missing_permissions": missing})).expect("settings");
    for answer in [
        org.ask(DETAILS, &query(1, &[])).await,
        org.ask(ACTIVITY, &json!({"metrics": [{"metric": "oWaiting"}]})).await,
        org.get("/api/v2/users").await,
    ] {
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (403, "missing.permissions"));
    }
}

#[tokio::test(start_paused = true)]
async fn names_are_listed_by_id_name_and_page() {
    let org = empty();
    for _ in 0..2 {
        let made = org.call(Method::POST, "/sandbox/queues", r#"{"name":"Twice"}"#).await;
        assert_eq!(made.status, 201);
    }
    let twice = org.get("/api/v2/routing/queues/divisionviews?name=Twice&pageSize=1").await.json();
    assert_eq!((&twice["total"], &twice["pageCount"]), (&json!(2), &json!(2)));
    assert!(twice["nextUri"].is_string());
    let id = twice["entities"][0]["id"].as_str().expect("an id").to_owned();
    let one = org.get(&format!("/api/v2/routing/queues/divisionviews?id={id}")).await.json();
    assert_eq!((&one["total"], &one["entities"][0]["name"]), (&json!(1), &json!("Twice")));
    assert_eq!(org.get("/api/v2/routing/queues/divisionviews?name=Tw*").await.json()["total"], 2);
    assert_eq!(org.get("/api/v2/routing/queues/divisionviews?pageNumber=6").await.status, 400);
    let users = org.get("/api/v2/users").await.json();
    let anna = users["entities"][0].clone();
    assert_eq!(anna["name"], "Anna Agent");
    let found = org.get(&format!("/api/v2/users?id={}", anna["id"].as_str().expect("an id"))).await.json();
    assert_eq!(found["total"], 1);
}

#[tokio::test(start_paused = true)]
async fn activity_shows_who_waits_and_who_talks_by_queue() {
    let org = empty();
    stuck(&org, StuckSpec { count: 120, ..StuckSpec::default() });
    stuck(&org, StuckSpec { count: 2, agent: true, ..StuckSpec::default() });
    stuck(&org, StuckSpec { count: 5, medium: Medium::Callbacks, scheduled_in: Some(HOUR), ..StuckSpec::default() });
    let asked = json!({
        "metrics": [{"metric": "oWaiting", "details": true}, {"metric": "oInteracting", "details": false}],
        "groupBy": ["queueId"],
        "filter": {"type": "or", "predicates": [{"type": "dimension", "dimension": "mediaType", "value": "message"}]},
    });
    let answer = org.ask(ACTIVITY, &asked).await.json();
    let group = &answer["results"][0];
    assert_eq!(answer["results"].as_array().map(Vec::len), Some(1));
    assert_eq!(group["data"], json!([{"metric": "oWaiting", "count": 120}, {"metric": "oInteracting", "count": 2}]));
    assert_eq!((group["entities"].as_array().map(Vec::len), &group["truncated"]), (Some(100), &json!(true)));
    assert!(group["entities"][0]["addressFrom"].as_str().is_some_and(|a| a.starts_with("+1317")));
    assert_eq!(org.ask(ACTIVITY, &json!({"metrics": [{"metric": "nonsense"}]})).await.status, 400);
}

#[tokio::test(start_paused = true)]
async fn analytics_knows_ended_conversations_that_can_no_longer_be_read() {
    let org = Org::new(Surface::Published);
    let path = format!("/api/v2/analytics/conversations/{}/details", org.conference.id);
    assert!(org.get(&path).await.json().get("conversationEnd").is_none());
    org.sandbox.end_conversation(org.conference.id);
    pass(Duration::from_secs(601)).await;
    assert_eq!(org.read().await.status, 404);
    assert!(org.get(&path).await.json()["conversationEnd"].is_string());
    pass(Duration::from_secs(11)).await;
    org.sandbox.create_conference(ConversationSpec::default());
    assert!(org.get(&path).await.json()["conversationEnd"].is_string(), "also after the next sweep");
    org.sandbox.forget(org.conference.id);
    assert_eq!(org.get(&path).await.code(), "not.found");
}
