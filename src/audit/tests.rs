//! Tests of the audit over real files.

use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use super::query::{Filter, Found, moment, read, with_rotated};
use super::*;
use crate::config::{Config, Fsync};
use crate::disconnect::outcome::{Outcome, Settled};
use crate::ids::{ConversationId, ParticipantId};
use crate::problem::{Code, Problem};

const CID: &str = "11111111-1111-4111-8111-111111111111";
const PID: &str = "22222222-2222-4222-8222-222222222222";
static IVR: LazyLock<Arc<str>> = LazyLock::new(|| "ivr".into());

fn settings(target: &Path) -> config::Audit {
    let mut settings = Config::defaults().audit;
    settings.target = target.to_str().unwrap().to_owned();
    settings
}

fn trail(audit: &Audit) -> Trail {
    Trail::new(audit, Door::Mission, [127, 0, 0, 1].into(), &Arc::from("request-1"), None)
}

fn asked() -> Asked<'static> {
    Asked {
        caller: &IVR,
        conversation: ConversationId::parse(CID).unwrap(),
        participant: ParticipantId::parse(PID),
        reason: "user_request",
        dry_run: false,
    }
}

fn settled() -> Settled {
    Settled {
        outcome: Outcome::Disconnected,
        verified: true,
        gone: Some(true),
        still_there: false,
        operation: None,
        attempts: 1,
        correlation_id: Some("corr".into()),
        upstream_status: Some(202),
    }
}

fn records(path: &Path, filter: &Filter) -> Vec<Record> {
    let mut found = Found::default();
    for file in with_rotated(path) {
        read(&file, filter, &mut found).unwrap();
    }
    assert_eq!(found.foreign, 0);
    found.records
}

async fn until(what: impl Fn() -> bool) {
    for _ in 0..500 {
        if what() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never came to that");
}

#[tokio::test]
async fn each_end_of_a_mission_leaves_exactly_one_record() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    let audit = Audit::open(&settings(&path)).unwrap();
    trail(&audit).begin(&asked()).close(&Ok(settled()));
    trail(&audit).begin(&asked()).close(&Err(Problem::new(Code::UpstreamTimeout, "").effect(true)));
    trail(&audit).begin(&asked()).close(&Err(Problem::new(Code::ForbiddenParticipant, "")));
    trail(&audit).begin(&asked()).abandon(&Problem::new(Code::ShuttingDown, "").effect(true));
    drop(trail(&audit).begin(&asked()));
    let denied = trail(&audit);
    denied.answered(|record| record.problem(&Problem::new(Code::Unauthenticated, "")));
    denied.answered(|record| record.problem(&Problem::new(Code::Internal, "")));
    let carried_out = trail(&audit);
    let pending = carried_out.begin(&asked());
    carried_out.answered(|record| record.problem(&Problem::new(Code::Internal, "")));
    pending.close(&Ok(settled()));
    audit.close().await;

    let records = records(&path, &Filter::default());
    let seen: Vec<_> = records.iter().map(|r| (&*r.outcome, r.code.as_deref(), r.effect.as_deref())).collect();
    assert_eq!(
        seen,
        [
            ("disconnected", None, None),
            ("failed", Some("upstream_timeout"), Some("unknown")),
            ("denied", Some("forbidden_participant"), Some("none")),
            ("abandoned", Some("shutting_down"), Some("unknown")),
            ("failed", Some("internal"), Some("unknown")),
            ("denied", Some("unauthenticated"), Some("none")),
            ("disconnected", None, None),
        ]
    );
    let first = &records[0];
    assert_eq!(first.caller.as_deref(), Some("ivr"));
    assert_eq!(first.conversation_id, ConversationId::parse(CID));
    assert_eq!(first.participant_id, ParticipantId::parse(PID));
    assert_eq!(first.correlation_id.as_deref(), Some("corr"));
    assert!(first.time.ends_with('Z') && moment(&first.time).is_ok(), "{}", first.time);
    assert_eq!(audit.stats(), AuditStats { written: 7, ..AuditStats::default() });
}

#[tokio::test]
async fn what_is_queued_is_written_before_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    let settings = config::Audit { fsync: Fsync::Always, ..settings(&path) };
    let audit = Audit::open(&settings).unwrap();
    for _ in 0..2000 {
        trail(&audit).begin(&asked()).close(&Ok(settled()));
    }
    audit.close().await;
    assert_eq!(records(&path, &Filter::default()).len(), 2000);
    trail(&audit).begin(&asked()).close(&Ok(settled()));
    assert_eq!(audit.stats().failures, 1, "a record after the end is counted as lost");
}

#[tokio::test]
async fn a_full_disk_loses_records_counts_them_and_blocks_nobody() {
    let audit = Audit::open(&settings(Path::new("/dev/full"))).unwrap();
    for _ in 0..50 {
        trail(&audit).begin(&asked()).close(&Ok(settled()));
    }
    audit.close().await;
    let stats = audit.stats();
    assert_eq!((stats.failures, stats.written, stats.failing), (50, 0, true));
}

#[tokio::test]
async fn an_unwritable_path_is_tried_again_and_the_episode_ends() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("later").join("audit.jsonl");
    let audit = Audit::open_with(&settings(&path), QUEUE, Duration::ZERO).unwrap();
    until(|| audit.stats().failing).await;
    trail(&audit).begin(&asked()).close(&Ok(settled()));
    until(|| audit.stats().failures == 1).await;
    std::fs::create_dir(path.parent().unwrap()).unwrap();
    trail(&audit).begin(&asked()).close(&Ok(settled()));
    until(|| !audit.stats().failing).await;
    audit.close().await;
    assert_eq!(records(&path, &Filter::default()).len(), 1);
}

#[tokio::test]
async fn a_writer_that_cannot_keep_up_loses_records_and_blocks_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status().unwrap();
    assert!(made.success());
    // Nobody reads: opening the pipe blocks the writer's thread.
    let audit = Audit::open_with(&settings(&fifo), 10, QUIET).unwrap();
    for _ in 0..100 {
        trail(&audit).begin(&asked()).close(&Ok(settled()));
    }
    assert_eq!(audit.stats().failures, 90);
    let reader = std::thread::spawn(move || std::fs::read_to_string(fifo).unwrap());
    audit.close().await;
    drop(audit);
    assert_eq!(reader.join().unwrap().lines().count(), 10);
}

#[tokio::test]
async fn a_file_that_was_moved_away_is_opened_anew_on_request() {
    let dir = tempfile::tempdir().unwrap();
    let (path, moved) = (dir.path().join("audit.jsonl"), dir.path().join("moved"));
    let audit = Audit::open(&settings(&path)).unwrap();
    trail(&audit).begin(&asked()).close(&Ok(settled()));
    until(|| audit.stats().written == 1).await;
    std::fs::rename(&path, &moved).unwrap();
    assert!(audit.reopen());
    trail(&audit).begin(&asked()).close(&Ok(settled()));
    audit.close().await;
    assert_eq!(records(&path, &Filter::default()).len(), 1);
    assert_eq!(records(&moved, &Filter::default()).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn strangers_cannot_flood_the_audit_and_known_callers_are_never_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    let audit = Audit::open(&settings(&path)).unwrap();
    for _ in 0..50 {
        trail(&audit).answered(|record| record.problem(&Problem::new(Code::Unauthenticated, "")));
        trail(&audit).begin(&asked()).close(&Ok(settled()));
    }
    assert_eq!(audit.stats().suppressed, 30);
    tokio::time::advance(Duration::from_secs(1)).await;
    trail(&audit).answered(|record| record.problem(&Problem::new(Code::Unauthenticated, "")));
    assert_eq!(audit.stats().suppressed, 30);
}

#[test]
fn filters_pick_by_every_member_and_foreign_lines_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    let line = |caller: &str, outcome: &str, code: &str, pid: &str, time: &str| {
        format!(
            r#"{{"event":"audit","time":"{time}","caller":"{caller}","caller_addr":"::1","door":"mission","conversation_id":"{CID}","participant_id":{pid},"reason":null,"outcome":"{outcome}","code":{code},"effect":null,"verified":false,"dry_run":false,"attempts":1,"operation":null,"upstream_status":null,"upstream_code":null,"correlation_id":null,"request_id":"r","trace_id":null,"duration_ms":1}}"#
        )
    };
    let lines = [
        line("ivr", "disconnected", "null", &format!("\"{PID}\""), "2026-01-01T00:00:00Z"),
        line("crm", "failed", "\"upstream_timeout\"", "null", "2026-01-02T00:00:00Z"),
        r#"{"event":"request","time":"2026-01-01T00:00:00Z"}"#.to_owned(),
        line("ivr", "accepted", "null", "null", "2026")[..40].to_owned(),
    ];
    std::fs::write(&path, lines.join("\n")).unwrap();
    let count = |filter: Filter| {
        let mut found = Found::default();
        read(&path, &filter, &mut found).unwrap();
        assert_eq!(found.foreign, 2);
        found.records.len()
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(count(Filter::default()), 2);
    assert_eq!(count(Filter { caller: some("ivr"), ..Filter::default() }), 1);
    assert_eq!(count(Filter { conversation: ConversationId::parse(&CID.to_uppercase()), ..Filter::default() }), 2);
    assert_eq!(count(Filter { conversation: ConversationId::parse(PID), ..Filter::default() }), 0);
    assert_eq!(
        count(Filter { participant: ParticipantId::parse(CID), ..Filter::default() }),
        1,
        "the teardown concerns everybody"
    );
    assert_eq!(count(Filter { outcome: some("upstream_timeout"), ..Filter::default() }), 1);
    assert_eq!(count(Filter { outcome: some("disconnected"), ..Filter::default() }), 1);
    assert_eq!(count(Filter { since: moment("2026-01-01T12:00:00+01:00").ok(), ..Filter::default() }), 1);
    assert_eq!(count(Filter { until: moment("2026-01-01").ok(), ..Filter::default() }), 1);
    assert_eq!(count(Filter { since: moment("1m").ok(), ..Filter::default() }), 0);
    assert!(moment("yesterday").is_err());
}
