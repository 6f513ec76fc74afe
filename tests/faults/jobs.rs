//! Jobs: what was promised by a 202 is done, whatever happens to the process, its store and the upstream.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::http::{Answer, Caller};
use super::service::{Launch, Process};
use super::shared::stand_in::StandIn;
use super::shared::until;
use super::sqlite::SmallDisk;
use super::table::{Row, left_out};
use super::target::Target;

pub(crate) const THEME: &str = "Jobs";
/// What a caller of jobs needs.
pub(crate) const PERMISSIONS: &str = "disconnect,read,bulk,teardown,audit,operate,jobs";
/// Items that one replica has under way at once: as many may get a second disconnect after it was killed.
pub(crate) const UNDER_WAY: usize = 32;
const PATIENCE: Duration = Duration::from_secs(60);

fn plan(stand_in: &StandIn, file: &Path) -> Launch {
    let url = format!("sqlite:{}", file.display());
    // A lease is the deadline and 2 s: short, so that what a crash left is soon taken over.
    let plan = stand_in.plan().set("store.url", &url).set("auth.anonymous_permissions", PERMISSIONS);
    plan.set("disconnect.deadline", "1s").set("disconnect.attempt_timeout", "500ms").set("store.timeout", "2s")
}

/// Queues a job for the agents of these conversations.
pub(crate) async fn submit(caller: &mut Caller, targets: &[Target]) -> Answer {
    let item = |target: &Target| json!({"conversationId": target.conversation, "participantId": target.participant});
    let body = json!({"items": targets.iter().map(item).collect::<Vec<_>>()}).to_string();
    caller.send("POST", "/jobs", Some(&body)).await.expect("an answer")
}

pub(crate) fn promised(answer: &Answer) -> String {
    assert_eq!(answer.status, 202, "{}", answer.text());
    answer.json()["jobId"].as_str().expect("an id").to_owned()
}

/// Waits until the job is done, and asserts that no item was lost.
pub(crate) async fn done(service: &Process, id: &str, items: usize) -> Value {
    let (path, began) = (format!("/jobs/{id}"), Instant::now());
    loop {
        let last = service.caller().get(&path).await;
        if let Ok(answer) = &last
            && answer.status == 200
            && answer.json()["state"] == "done"
        {
            let job = answer.json();
            let gone = ["disconnected", "already_disconnected"].map(|word| job["counts"][word].as_u64().unwrap_or(0));
            assert_eq!(gone.iter().sum::<u64>(), items as u64, "items lost: {job}");
            return job;
        }
        assert!(began.elapsed() < PATIENCE, "{id} is not done: {:?}", last.map(|answer| answer.text()));
        sleep(Duration::from_millis(50)).await;
    }
}

/// Asserts that exactly these are gone, and returns how many got a second disconnect.
pub(crate) async fn second_disconnects(stand_in: &StandIn, targets: &[Target]) -> usize {
    assert!(stand_in.only_these_are_gone(targets).await, "a wrong person was reached");
    let sent = |target: &&Target| {
        let found = stand_in.sandbox.conference(target.conversation).expect("it is there");
        found.participants.iter().any(|one| one.id == target.participant && one.disconnects > 1)
    };
    targets.iter().filter(sent).count()
}

/// Waits until this many disconnects went upstream.
pub(crate) async fn sent(stand_in: &StandIn, number: u64) {
    let there = async || stand_in.sandbox.counts().disconnects() >= number;
    assert!(until(PATIENCE, there).await.is_some(), "too few disconnects are sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sigkill_right_after_the_202_loses_no_item() {
    const TEST: &str = "jobs::a_sigkill_right_after_the_202_loses_no_item";
    let (stand_in, folder) = (StandIn::new(), tempfile::tempdir().expect("a folder"));
    let file = folder.path().join("hangup.db");
    let service = stand_in.start(plan(&stand_in, &file)).await;
    let targets = stand_in.targets(100);
    let id = promised(&submit(&mut service.caller(), &targets).await);
    service.signal("KILL");
    drop(service);
    let service = stand_in.start(plan(&stand_in, &file)).await;
    let began = Instant::now();
    done(&service, &id, targets.len()).await;
    let second = second_disconnects(&stand_in, &targets).await;
    assert!(second <= UNDER_WAY, "{second}");
    Row {
        theme: THEME,
        fault: "SIGKILL right after the 202 of a job of 100 items, on SQLite",
        callers_see: "After the restart, the job goes on",
        figure: "0 items lost, 0 wrong people; a second disconnect only for what was under way (at most 32)",
        measured: format!("done {} ms after the restart, {second} second disconnects", began.elapsed().as_millis()),
        test: TEST,
        long_half: false,
    }
    .write();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sigkill_in_the_middle_of_a_thousand_items_loses_none() {
    const TEST: &str = "jobs::a_sigkill_in_the_middle_of_a_thousand_items_loses_none";
    if left_out(TEST) {
        return;
    }
    let (stand_in, folder) = (StandIn::new(), tempfile::tempdir().expect("a folder"));
    let file = folder.path().join("hangup.db");
    let mut service = stand_in.start(plan(&stand_in, &file)).await;
    let targets = stand_in.targets(1_000);
    let id = promised(&submit(&mut service.caller(), &targets).await);
    for killed_at in [250, 600] {
        sent(&stand_in, killed_at).await;
        service.signal("KILL");
        drop(service);
        service = stand_in.start(plan(&stand_in, &file)).await;
    }
    done(&service, &id, targets.len()).await;
    let second = second_disconnects(&stand_in, &targets).await;
    assert!(second <= 2 * UNDER_WAY, "{second}");
    let taken_over = service.metric("hangup_jobs_items_taken_over_total").await;
    Row {
        theme: THEME,
        fault: "SIGKILL after 250 and after 600 of 1,000 items, on SQLite",
        callers_see: "After each restart, the job goes on",
        figure: "0 items lost, 0 wrong people; a second disconnect only for what was under way (at most 32 each time)",
        measured: format!("{second} second disconnects, {taken_over} items taken over by the last process"),
        test: TEST,
        long_half: true,
    }
    .write();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_while_jobs_are_accepted_promises_nothing() {
    const TEST: &str = "jobs::a_full_disk_while_jobs_are_accepted_promises_nothing";
    if left_out(TEST) {
        return;
    }
    let (stand_in, folder) = (StandIn::new(), tempfile::tempdir().expect("a folder"));
    let Some(disk) = SmallDisk::new(folder.path().join("disk"), 16) else {
        println!("{TEST}: NOT HELD: this user may not mount a small disk");
        return;
    };
    let service = stand_in.start(plan(&stand_in, &disk.folder().join("hangup.db"))).await;
    let filler = disk.folder().join("filler");
    let (mut accepted, mut refused) = (Vec::new(), Vec::new());
    for n in 0..30 {
        if n == 3 {
            let _until_it_is_full = std::fs::write(&filler, vec![1; 20 << 20]);
        }
        let targets = stand_in.targets(60);
        let answer = submit(&mut service.caller(), &targets).await;
        if answer.status == 202 {
            accepted.push((promised(&answer), targets));
        } else {
            assert_eq!((answer.status, answer.word()), (503, "store_unavailable".to_owned()), "{}", answer.text());
            refused.extend(targets);
        }
    }
    assert!(!refused.is_empty(), "the disk is never full");
    std::fs::remove_file(&filler).expect("the filler");
    let after = stand_in.targets(60);
    let mut last = None;
    let there = async || {
        let answer = submit(&mut service.caller(), &after).await;
        let taken = answer.status == 202;
        last = taken.then(|| promised(&answer));
        taken
    };
    assert!(until(Duration::from_secs(10), there).await.is_some(), "it is not used again");
    accepted.push((last.expect("a job"), after));
    for (id, targets) in &accepted {
        done(&service, id, targets.len()).await;
        second_disconnects(&stand_in, targets).await;
    }
    assert!(refused.iter().all(|target| stand_in.is_live(target)), "a job that was refused reached a target");
    Row {
        theme: THEME,
        fault: "The disk is full while jobs are accepted",
        callers_see: "503 `store_unavailable`; 202 again when there is room, without a restart",
        figure: "Every job that got a 202 is done; no one is disconnected for a job that was refused",
        measured: format!("{} promised, {} items refused", accepted.len(), refused.len()),
        test: TEST,
        long_half: true,
    }
    .write();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_is_down_for_a_while_delays_a_job_and_fails_no_item() {
    const TEST: &str = "jobs::an_upstream_that_is_down_for_a_while_delays_a_job_and_fails_no_item";
    let (stand_in, folder) = (StandIn::new(), tempfile::tempdir().expect("a folder"));
    let service = stand_in.start(plan(&stand_in, &folder.path().join("hangup.db"))).await;
    let targets = stand_in.targets(200);
    let before = stand_in.sandbox.counts().disconnects();
    let id = promised(&submit(&mut service.caller(), &targets).await);
    sent(&stand_in, before + 40).await;
    stand_in.rule(json!({"on": "api", "action": {"answer": {"status": 503}}}));
    sleep(Duration::from_secs(4)).await;
    stand_in.sandbox.clear_faults();
    let began = Instant::now();
    done(&service, &id, targets.len()).await;
    second_disconnects(&stand_in, &targets).await;
    Row {
        theme: THEME,
        fault: "The upstream answers 503 to everything for 4 s in the middle of a job of 200 items",
        callers_see: "The job takes longer",
        figure: "0 items lost or failed, 0 wrong people",
        measured: format!("done {} ms after the upstream was back", began.elapsed().as_millis()),
        test: TEST,
        long_half: false,
    }
    .write();
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_revoked_in_the_middle_of_a_job_fail_no_item() {
    const TEST: &str = "jobs::tokens_revoked_in_the_middle_of_a_job_fail_no_item";
    let (stand_in, folder) = (StandIn::new(), tempfile::tempdir().expect("a folder"));
    let service = stand_in.start(plan(&stand_in, &folder.path().join("hangup.db"))).await;
    let targets = stand_in.targets(300);
    let before = stand_in.sandbox.counts().disconnects();
    let id = promised(&submit(&mut service.caller(), &targets).await);
    for revoked_at in [40, 120, 200] {
        sent(&stand_in, before + revoked_at).await;
        stand_in.sandbox.revoke_all_tokens();
    }
    done(&service, &id, targets.len()).await;
    assert_eq!(second_disconnects(&stand_in, &targets).await, 0);
    let refused = stand_in.sandbox.counts().refused.values().sum::<u64>();
    Row {
        theme: THEME,
        fault: "The token is revoked three times in the middle of a job of 300 items",
        callers_see: "Nothing",
        figure: "0 items lost or failed, 0 wrong people, 0 second disconnects",
        measured: format!("{refused} calls met a 401"),
        test: TEST,
        long_half: false,
    }
    .write();
}
