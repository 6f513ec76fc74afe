//! What operators see of jobs: the audit, `/status` and metrics.

use std::time::Duration;

use hangup::config::Config;
use hangup::sandbox::{Fault, On};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::jobs::{Queue, id, item};

const PATIENCE: Duration = Duration::from_secs(20);

fn audited(config: &mut Config) {
    config.auth.anonymous_permissions.0 =
        ["disconnect", "read", "bulk", "audit", "operate"].map(str::to_owned).to_vec();
}

/// Asks until the answer is as wanted, for what is written or counted a moment later.
async fn until(queue: &Queue, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let answer = queue.service.get(path).await.json();
        if wanted(&answer) {
            return answer;
        }
        assert!(began.elapsed() < PATIENCE, "{path}: {answer}");
        sleep(Duration::from_millis(50)).await;
    }
}

fn changes(answer: &Value) -> Vec<(String, String)> {
    let word = |record: &Value, member: &str| record[member].as_str().unwrap_or_default().to_owned();
    let records = answer["records"].as_array().into_iter().flatten().rev();
    records.filter(|r| r["event"] == "job_changed").map(|r| (word(r, "outcome"), word(r, "code"))).collect()
}

#[tokio::test]
async fn the_audit_shows_who_made_and_controlled_a_job_and_whom_its_items_reached() {
    let queue = Queue::with(audited).await;
    let conferences = queue.conferences(2);
    let items: Vec<Value> = conferences.iter().map(|c| item(c, "customer")).collect();
    let job = id(&queue.submit(&json!({"items": items, "hold": true})).await);
    for verb in ["start", "pause", "resume"] {
        assert_eq!(queue.control(&job, verb).await.status, 200, "{verb}");
    }
    queue.until(&job, "done").await;
    assert_eq!(queue.control(&job, "cancel").await.verdict(), "409 job_state");
    let path = format!("/audit?job={job}");
    let answer = until(&queue, &path, |answer| changes(answer).len() == 5).await;
    let words = [("held", ""), ("running", ""), ("paused", ""), ("running", ""), ("failed", "job_state")];
    assert_eq!(changes(&answer), words.map(|(outcome, code)| (outcome.to_owned(), code.to_owned())));
    let records = answer["records"].as_array().unwrap();
    assert!(records.iter().all(|record| record["job"] == job.as_str() && record["caller"] == "anonymous"), "{answer}");
    let made = records.iter().find(|record| record["outcome"] == "held").unwrap();
    assert_eq!(made["reason"], "2 items");
    let reached = records.iter().filter(|record| record["event"] == "disconnect");
    assert_eq!(reached.count(), 2, "{answer}");
}

#[tokio::test]
async fn a_refused_job_and_an_asynchronous_disconnect_leave_true_records() {
    let queue = Queue::with(audited).await;
    assert_eq!(queue.submit(&json!({"items": []})).await.verdict(), "400 invalid_body");
    let answer = until(&queue, "/audit", |answer| !changes(answer).is_empty()).await;
    assert_eq!(changes(&answer), [("denied".to_owned(), "invalid_body".to_owned())]);
    let path = format!("{}?async=true", queue.service.path_of(queue.service.who("customer")));
    let job = id(&queue.service.post(&path).send().await);
    let answer =
        until(&queue, &format!("/audit?job={job}"), |answer| answer["records"].as_array().unwrap().len() == 2).await;
    let outcomes: Vec<&str> =
        answer["records"].as_array().unwrap().iter().filter_map(|record| record["outcome"].as_str()).collect();
    assert!(outcomes.contains(&"running") && !outcomes.contains(&"failed"), "{answer}");
}

#[tokio::test]
async fn the_status_and_the_metrics_tell_of_the_queue_and_of_a_job_that_paused_itself() {
    let queue = Queue::with(audited).await;
    queue.service.sandbox.add_fault(Fault::status(On::Patch, 422)).unwrap();
    let items: Vec<Value> = queue.conferences(20).iter().map(|c| item(c, "customer")).collect();
    let paused = id(&queue.submit(&json!({"items": items})).await);
    queue.until(&paused, "paused").await;
    let held = id(&queue.submit(&json!({"items": items, "hold": true})).await);
    let status =
        until(&queue, "/status", |status| status["jobs"]["paused"] == 1 && status["jobs"]["waiting"] == 1).await;
    assert_eq!(
        (&status["jobs"]["items"], &status["jobs"]["selfPaused"]),
        (&json!({"upstream_rejected": 20}), &1.into())
    );
    assert_eq!(queue.control(&held, "cancel").await.status, 200);
    let metrics = queue.service.get("/metrics").await.text;
    for line in [
        "hangup_jobs_items_total{outcome=\"upstream_rejected\"} 20",
        "hangup_jobs_items_total{outcome=\"cancelled\"} 20",
        "hangup_jobs_self_paused_total 1",
        "hangup_jobs_paused 1",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    let answer = until(&queue, &format!("/audit?job={paused}"), |answer| changes(answer).len() == 2).await;
    assert!(changes(&answer).contains(&("paused".to_owned(), String::new())), "{answer}");
}

#[tokio::test]
async fn a_job_is_found_by_its_id_in_upper_case_and_answered_in_lower_case() {
    let queue = Queue::with(audited).await;
    let conferences = queue.conferences(1);
    let job = id(&queue.submit(&json!({"items": [item(&conferences[0], "customer")], "hold": true})).await);
    let upper = job.to_uppercase();
    assert_eq!(queue.service.get(&format!("/jobs/{upper}")).await.get("id"), json!(job));
    assert_eq!(queue.service.get(&format!("/jobs/{upper}/items")).await.status, 200);
    until(&queue, &format!("/audit?job={upper}"), |answer| !changes(answer).is_empty()).await;
    assert_eq!(queue.control(&upper, "cancel").await.status, 200);
}

#[tokio::test]
async fn an_item_that_ends_before_its_disconnect_has_begun_leaves_a_record_too() {
    let queue = Queue::with(audited).await;
    let conferences = queue.conferences(3);
    let selector = |selector: Value| json!({"conversationId": conferences[1].id, "selector": selector});
    let skipped = json!({"items": [item(&conferences[0], "customer")], "skipIf": {"agent": true}, "reason": "why"});
    let refused = json!({"items": [selector(json!({"purpose": ["agent", "customer"]}))]});
    let nobody = json!({"items": [selector(json!({"purpose": "fax"}))]});
    for (job, outcome, code, reason) in [
        (skipped, "skipped", Value::Null, "why"),
        (refused, "denied", json!("selector_ambiguous"), "user_request"),
        (nobody, "none_matched", Value::Null, "user_request"),
    ] {
        let job = id(&queue.submit(&job).await);
        queue.until(&job, "done").await;
        let disconnects = |answer: &Value| -> Vec<Value> {
            answer["records"].as_array().unwrap().iter().filter(|r| r["event"] == "disconnect").cloned().collect()
        };
        let answer = until(&queue, &format!("/audit?job={job}"), |answer| !disconnects(answer).is_empty()).await;
        let records = disconnects(&answer);
        assert_eq!(records.len(), 1, "{answer}");
        let of = |member: &str| records[0][member].clone();
        assert_eq!((of("outcome"), of("code"), of("reason")), (outcome.into(), code, reason.into()), "{answer}");
        assert!(of("conversationId").is_string() && of("caller") == "anonymous", "{answer}");
    }
    assert_eq!(queue.service.sandbox.counts().disconnects(), 0);
}

#[tokio::test]
async fn the_records_of_a_jobs_items_name_who_asked_for_the_job_and_why() {
    let queue = Queue::with(audited).await;
    let conferences = queue.conferences(1);
    let job = json!({"items": [item(&conferences[0], "customer")], "reason": "stuck"});
    let first = id(&queue.service.post("/jobs").header("x-actor", "alice").json(&job).send().await);
    let path = format!("{}?async=true", queue.service.path_of(queue.service.who("customer")));
    let request = queue.service.post(&path).header("x-actor", "alice").json(&json!({"reason": "stuck"}));
    for job in [first, id(&request.send().await)] {
        let is_disconnect = |record: &&Value| record["event"] == "disconnect" && record["endpoint"] == "job";
        let item = |answer: &Value| answer["records"].as_array().unwrap().iter().find(is_disconnect).cloned();
        let answer = until(&queue, &format!("/audit?job={job}"), |answer| {
            item(answer).is_some() && answer["records"].as_array().unwrap().len() == 2
        })
        .await;
        for record in answer["records"].as_array().unwrap() {
            assert_eq!((&record["actor"], &record["caller"]), (&"unverified:alice".into(), &"anonymous".into()));
            if record["event"] == "disconnect" {
                assert_eq!(record["reason"], "stuck", "{answer}");
            }
        }
    }
}
