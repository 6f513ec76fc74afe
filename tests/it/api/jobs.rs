//! Jobs: queued under a promise, worked through until each item is read as gone.

use std::time::Duration;

use hangup::config::Config;
use hangup::sandbox::{Conference, ConversationSpec, Fault, On, ParticipantSpec};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use crate::support::{Answer, NOBODY, TestApp, until};

/// Longer than any job here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A service whose jobs are kept in a file, for a keyless caller that may do everything.
pub(super) struct Queue {
    pub(super) service: TestApp,
    folder: TempDir,
}

impl Queue {
    pub(super) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(super) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}/hangup.db", folder.path().display());
        let service = TestApp::sockets()
            .config(|config| {
                config.store.url = url.as_str().into();
                config.store.timeout = Duration::from_secs(5);
                config.sandbox.rate_limit = 1_000_000;
                config.auth.anonymous_permissions.0 =
                    ["disconnect", "read", "bulk", "teardown"].map(str::to_owned).to_vec();
                change(config);
            })
            .start()
            .await;
        Self { service, folder }
    }

    pub(super) async fn submit(&self, job: &Value) -> Answer {
        self.service.post("/jobs").json(job).send().await
    }

    /// Waits until the job is in this state, and gives it.
    pub(super) async fn until(&self, id: &str, state: &str) -> Value {
        let reached = async {
            loop {
                let job = self.service.get(&format!("/jobs/{id}")).await.json();
                if job["state"] == state {
                    return job;
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        let last = || async { self.service.get(&format!("/jobs/{id}")).await.text };
        match timeout(PATIENCE, reached).await {
            Ok(job) => job,
            Err(_) => panic!("not {state}: {}", last().await),
        }
    }

    pub(super) async fn control(&self, id: &str, verb: &str) -> Answer {
        self.service.post(&format!("/jobs/{id}/{verb}")).send().await
    }

    pub(super) fn conferences(&self, number: usize) -> Vec<Conference> {
        (0..number).map(|_| self.service.sandbox.create_conference(ConversationSpec::default())).collect()
    }
}

pub(super) fn id(answer: &Answer) -> String {
    assert_eq!(answer.status, 202, "{answer:?}");
    answer.get("jobId").as_str().unwrap().to_owned()
}

pub(super) fn item(conference: &Conference, purpose: &str) -> Value {
    json!({"conversationId": conference.id, "participantId": conference.first(purpose).unwrap()})
}

#[tokio::test]
async fn a_job_is_done_when_each_of_its_items_was_read_as_gone() {
    let queue = Queue::new().await;
    let conferences = queue.conferences(30);
    let mut items: Vec<Value> = conferences.iter().map(|c| item(c, "customer")).collect();
    items.push(items[0].clone());
    let answer = queue.submit(&json!({"name": "monday", "items": items, "reason": "stuck"})).await;
    let id = id(&answer);
    assert_eq!(answer.header("location"), format!("/jobs/{id}"));
    assert_eq!((answer.get("gone"), answer.get("total"), answer.get("duplicates")), (Value::Null, 30.into(), 1.into()));
    let job = queue.until(&id, "done").await;
    assert_eq!((&job["total"], &job["pending"], &job["counts"]), (&30.into(), &0.into(), &json!({"disconnected": 30})));
    assert_eq!(job["createdBy"], "anonymous");
    for conference in &conferences {
        assert!(!queue.service.sandbox.is_live(conference.id, conference.first("customer").unwrap()));
        assert!(queue.service.sandbox.is_live(conference.id, conference.first("agent").unwrap()));
    }
    assert_eq!(queue.service.sandbox.counts().disconnects(), 30, "one disconnect for each");
    assert_eq!(queue.service.get("/jobs").await.get("jobs")[0]["id"], id);
}

#[tokio::test]
async fn a_wrong_line_refuses_the_whole_file_with_its_number() {
    let queue = Queue::new().await;
    let conference = queue.conferences(1).remove(0);
    let good = format!("{},{}", conference.id, conference.first("customer").unwrap());
    let csv = format!("conversationId,participantId\n{good}\n\n{},nonsense\n", conference.id);
    let refused = queue.service.post("/jobs").header("content-type", "text/csv").body(csv).send().await;
    assert_eq!(refused.verdict(), "400 invalid_body");
    assert!(refused.get("detail").as_str().unwrap().starts_with("line 4:"), "{refused:?}");
    let unknown = queue.submit(&json!({"items": [item(&conference, "customer")], "dryrun": true})).await;
    assert_eq!(unknown.verdict(), "400 invalid_body");
    let second = queue.submit(&json!({"items": [item(&conference, "customer"), {"conversationId": "x"}]})).await;
    assert!(second.get("detail").as_str().unwrap().starts_with("item 1:"), "{second:?}");
    assert_eq!(queue.service.get("/jobs").await.get("jobs"), json!([]));
    assert_eq!(queue.service.sandbox.counts().disconnects(), 0);
}

#[tokio::test]
async fn a_file_takes_the_jobs_own_members_from_the_query_and_comes_back_with_results() {
    let queue = Queue::new().await;
    let conference = queue.conferences(1).remove(0);
    let (customer, cid) = (conference.first("customer").unwrap(), conference.id);
    let csv = format!("conversationId,participantId,note\r\n{cid},{customer},x\r\n{cid},{NOBODY},y\r\n");
    let path = "/jobs?name=%3DSUM(1)&reason=sweep";
    let id = id(&queue.service.post(path).header("content-type", "text/csv").body(csv).send().await);
    let job = queue.until(&id, "done").await;
    assert_eq!(job["counts"], json!({"disconnected": 1, "participant_not_found": 1}));
    assert_eq!(job["name"], "=SUM(1)");
    let items = queue.service.get(&format!("/jobs/{id}/items")).await.json();
    assert_eq!((&items["items"][0]["index"], &items["items"][1]["index"]), (&2.into(), &3.into()), "lines of the file");
    assert_eq!(items["items"][1]["code"], "participant_not_found");
    let download = |accept: &'static str| {
        let request = queue.service.request(Method::GET, &format!("/jobs/{id}/items")).header("accept", accept);
        async move { request.send().await }
    };
    let csv = download("text/csv").await;
    assert!(csv.text.starts_with("index,conversationId,participantId,state,outcome,code"), "{csv:?}");
    assert_eq!(csv.text.lines().count(), 3);
    let ndjson = download("application/x-ndjson").await;
    let lines: Vec<Value> = ndjson.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["outcome"], "disconnected");
    let again = queue.service.post("/jobs").header("content-type", "text/csv").body(csv.text).send().await;
    assert_eq!(again.status, 202, "a report is a list: {again:?}");
}

#[tokio::test]
async fn a_repeat_with_the_same_idempotency_key_gives_the_same_job_and_another_body_is_refused() {
    let queue = Queue::new().await;
    let conferences = queue.conferences(2);
    let send = |job: Value| queue.service.post("/jobs").header("idempotency-key", "k1").json(&job).send();
    let first = send(json!({"items": [item(&conferences[0], "customer")]})).await;
    let second = send(json!({"items": [item(&conferences[0], "customer")]})).await;
    assert_eq!((id(&first), second.get("repeated")), (id(&second), true.into()));
    let [cid, pid] = ["conversationId", "participantId"].map(|m| item(&conferences[0], "customer")[m].to_string());
    for same in [
        format!("{{\"items\":[{{\"participantId\":{pid}, \"conversationId\":{cid}}}]}}"),
        format!(
            "{{\"reason\":\"again\",\"hold\":null,\"items\":[{{\"conversationId\":{cid},\"participantId\":{pid},\"all\":\"\"}}]}}"
        ),
        format!("{{\"items\":[{{\"conversationId\":{},\"participantId\":{pid}}}]}}", cid.to_uppercase()),
    ] {
        let again = queue.service.post("/jobs").header("idempotency-key", "k1").body(same.clone()).send().await;
        assert_eq!((id(&first), again.get("repeated")), (id(&again), true.into()), "{same}: {again:?}");
    }
    for other in [
        json!({"items": [item(&conferences[1], "customer")]}),
        json!({"items": [item(&conferences[0], "customer")], "dryRun": true}),
        json!({"items": [item(&conferences[0], "customer")], "after": "1h"}),
        json!({"items": [item(&conferences[0], "customer"), item(&conferences[1], "customer")]}),
    ] {
        assert_eq!(send(other.clone()).await.verdict(), "422 idempotency_key_reused", "{other}");
    }
}

#[tokio::test]
async fn a_held_job_waits_for_start_and_a_cancelled_one_counts_the_rest() {
    let queue = Queue::new().await;
    let conferences = queue.conferences(3);
    let items: Vec<Value> = conferences.iter().map(|c| item(c, "customer")).collect();
    let held = id(&queue.submit(&json!({"items": items, "hold": true})).await);
    assert_eq!(queue.service.get(&format!("/jobs/{held}")).await.get("state"), "held");
    assert_eq!(queue.control(&held, "resume").await.verdict(), "409 job_state");
    assert_eq!(queue.control(&held, "start").await.status, 200);
    queue.until(&held, "done").await;

    let later = id(&queue.submit(&json!({"items": items, "after": "1h"})).await);
    assert_eq!(queue.service.get(&format!("/jobs/{later}")).await.get("state"), "scheduled");
    let cancelled = queue.control(&later, "cancel").await;
    assert_eq!((cancelled.get("state"), cancelled.get("counts")), ("cancelled".into(), json!({"cancelled": 3})));
    assert_eq!(queue.control(&later, "start").await.verdict(), "409 job_state");
    assert_eq!(queue.control(NOBODY, "start").await.verdict(), "404 job_not_found");
}

#[tokio::test]
async fn a_time_that_has_passed_starts_now_and_one_too_far_ahead_is_refused() {
    let queue = Queue::new().await;
    let conference = queue.conferences(1).remove(0);
    let job = |member: &str, value: &str| json!({"items": [item(&conference, "customer")], member: value});
    let past = queue.submit(&job("notBefore", "2020-01-01T00:00:00Z")).await;
    assert!(past.get("note").as_str().unwrap().contains("starts now"));
    queue.until(&id(&past), "done").await;
    for wrong in [job("after", "31d"), job("after", "soon"), job("notBefore", "2099-01-01T00:00:00Z")] {
        assert_eq!(queue.submit(&wrong).await.verdict(), "400 invalid_body", "{wrong}");
    }
}

#[tokio::test]
async fn a_conversation_with_a_live_agent_is_skipped_by_a_live_read() {
    let queue = Queue::new().await;
    let with_agent = queue.conferences(1).remove(0);
    let alone = queue.service.sandbox.create_conference(ConversationSpec {
        participants: Some(vec![ParticipantSpec { purpose: "customer".into(), ..ParticipantSpec::default() }]),
        ..ConversationSpec::default()
    });
    let items = [item(&with_agent, "customer"), item(&alone, "customer")];
    let id = id(&queue.submit(&json!({"items": items, "skipIf": {"agent": true}})).await);
    let job = queue.until(&id, "done").await;
    assert_eq!(job["counts"], json!({"skipped": 1, "disconnected": 1}));
    assert!(queue.service.sandbox.is_live(with_agent.id, with_agent.first("customer").unwrap()));
}

#[tokio::test]
async fn a_job_whose_first_items_fail_alike_pauses_itself_and_says_why() {
    let queue = Queue::new().await;
    let rejected = Fault::status(On::Patch, 422);
    queue.service.sandbox.add_fault(rejected).unwrap();
    let items: Vec<Value> = queue.conferences(400).iter().map(|c| item(c, "customer")).collect();
    let id = id(&queue.submit(&json!({"items": items})).await);
    let job = queue.until(&id, "paused").await;
    assert!(job["pausedBecause"].as_str().unwrap().contains("upstream_rejected"), "{job}");
    queue.service.sandbox.clear_faults();
    queue.control(&id, "resume").await;
    let job = queue.until(&id, "done").await;
    assert!(job["counts"]["disconnected"].as_i64().unwrap() >= 1, "{job}");
}

#[tokio::test]
async fn what_is_transient_is_tried_again_and_given_up_when_the_plan_says_so() {
    let queue = Queue::new().await;
    let down = Fault::status(On::Patch, 503);
    queue.service.sandbox.add_fault(down).unwrap();
    let conference = queue.conferences(1).remove(0);
    let given_up = json!({"items": [item(&conference, "customer")], "giveUpAfter": "1s"});
    let id_given_up = id(&queue.submit(&given_up).await);
    let job = queue.until(&id_given_up, "done").await;
    assert_eq!(job["counts"], json!({"upstream_unavailable": 1}));
    let refused = || queue.service.sandbox.counts().status(503);
    let so_far = refused();
    let patient = id(&queue.submit(&json!({"items": [item(&conference, "customer")]})).await);
    until(async || refused() > so_far).await;
    queue.service.sandbox.clear_faults();
    let job = queue.until(&patient, "done").await;
    assert_eq!(job["counts"], json!({"disconnected": 1}));
}

#[tokio::test]
async fn an_asynchronous_request_is_a_job_of_one_and_its_repeat_is_the_same_job() {
    let queue = Queue::new().await;
    let path = queue.service.path_of(queue.service.who("customer"));
    let first = queue.service.post(&format!("{path}?async=true")).send().await;
    assert_eq!(first.header("preference-applied"), "respond-async");
    let second = queue.service.post(&path).header("prefer", "respond-async").send().await;
    assert_eq!(id(&first), id(&second));
    queue.until(&id(&first), "done").await;
    assert_eq!(queue.service.remain().await, ["agent", "agent", "external"]);
    let selector = queue
        .service
        .post(&format!("/conversations/{}/participants/disconnect?async=true", queue.service.conference.id));
    let selected = id(&selector.json(&json!({"purpose": "external"})).send().await);
    assert_eq!(queue.until(&selected, "done").await["counts"], json!({"disconnected": 1}));
    let teardown = queue.service.post(&format!("/conversations/{}/disconnect?async=true", queue.service.conference.id));
    let ended = id(&teardown.json(&json!({"all": true})).send().await);
    assert_eq!(queue.until(&ended, "done").await["counts"], json!({"disconnected": 1}));
    assert_eq!(queue.service.there(), Vec::<String>::new());
}

#[tokio::test]
async fn an_asynchronous_request_for_one_medium_ends_nothing_wider() {
    let queue = Queue::new().await;
    let path = format!("{}?async=true", queue.service.path_of(queue.service.who("customer")));
    let by_email = queue.service.post(&path).json(&json!({"media": "email"})).send().await;
    assert_eq!(queue.until(&id(&by_email), "done").await["counts"], json!({"participant_not_found": 1}));
    assert_eq!(queue.service.remain().await.len(), 4, "nobody was touched");
    let by_call = queue.service.post(&path).json(&json!({"media": "call"})).send().await;
    assert_eq!(queue.until(&id(&by_call), "done").await["counts"], json!({"disconnected": 1}));
}

#[tokio::test]
async fn a_dry_run_previews_and_touches_nobody() {
    let queue = Queue::new().await;
    let conference = queue.conferences(1).remove(0);
    let id = id(&queue.submit(&json!({"items": [item(&conference, "customer")], "dryRun": true})).await);
    assert_eq!(queue.until(&id, "done").await["counts"], json!({"would_disconnect": 1}));
    assert_eq!(queue.service.sandbox.counts().disconnects(), 0);
}

#[tokio::test]
async fn more_than_one_item_needs_bulk_and_jobs_need_a_store() {
    let queue = Queue::with(|c| c.auth.anonymous_permissions.0 = vec!["disconnect".into()]).await;
    let conferences = queue.conferences(2);
    let two: Vec<Value> = conferences.iter().map(|c| item(c, "customer")).collect();
    assert_eq!(queue.submit(&json!({"items": two})).await.verdict(), "403 forbidden_caller");
    assert_eq!(queue.submit(&json!({"items": [two[0]]})).await.status, 202);
    let all = json!({"items": [{"conversationId": conferences[0].id, "all": true}]});
    assert_eq!(queue.submit(&all).await.verdict(), "403 forbidden_caller");

    let forgetful = TestApp::sockets().start().await;
    let job = json!({"items": [two[0]]});
    assert_eq!(forgetful.post("/jobs").json(&job).send().await.verdict(), "422 jobs_need_store");
}

#[tokio::test]
async fn a_large_job_needs_the_approval_of_another_caller() {
    let queue = Queue::with(|c| c.jobs.approve_above = 2).await;
    let items: Vec<Value> = queue.conferences(2).iter().map(|c| item(c, "customer")).collect();
    let answer = queue.submit(&json!({"items": items})).await;
    assert_eq!(answer.get("state"), "held");
    assert_eq!(queue.control(&id(&answer), "start").await.verdict(), "403 forbidden_caller");
}

#[tokio::test]
async fn a_job_survives_the_end_of_its_process() {
    let queue = Queue::new().await;
    let conferences = queue.conferences(200);
    let items: Vec<Value> = conferences.iter().map(|c| item(c, "customer")).collect();
    let id = id(&queue.submit(&json!({"items": items})).await);
    let Queue { service, folder } = queue;
    let next = service.restart().await;
    let queue = Queue { service: next, folder };
    let job = queue.until(&id, "done").await;
    assert_eq!(job["total"], 200);
    let counts = job["counts"].as_object().unwrap();
    let gone: i64 = ["disconnected", "already_disconnected"].iter().filter_map(|w| counts.get(*w)?.as_i64()).sum();
    assert_eq!(gone, 200, "{counts:?}");
    for conference in &conferences {
        assert!(!queue.service.sandbox.is_live(conference.id, conference.first("customer").unwrap()));
        assert!(queue.service.sandbox.is_live(conference.id, conference.first("agent").unwrap()));
    }
    drop(queue.folder);
}
