//! Tests of the audit over real files.

use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use super::query::{AuditFilter, FoundRecords, moment, read, with_rotated};
use super::*;
use crate::config::{Config, Fsync};
use crate::ids::{ConversationId, ParticipantId};
use crate::outcome::{Outcome, Settled};

const CID: &str = "11111111-1111-4111-8111-111111111111";
const PID: &str = "22222222-2222-4222-8222-222222222222";
static IVR: LazyLock<Arc<str>> = LazyLock::new(|| "key:ivr".into());

fn settings(target: &Path) -> config::Audit {
    let mut settings = Config::defaults().audit;
    settings.target.0 = vec![target.to_str().unwrap().to_owned()];
    settings
}

fn open(settings: &config::Audit) -> Audit {
    Audit::open(settings, &"host-1".into(), &Store::memory().unwrap()).unwrap()
}

fn open_with(settings: &config::Audit, limits: Limits) -> Audit {
    let sinks = target::of(settings, &Store::memory().unwrap()).unwrap();
    Audit::start(sinks, settings, None, &"host-1".into(), limits).unwrap()
}

fn scope(audit: &Audit) -> AuditScope {
    scope_from(audit, [127, 0, 0, 1])
}

fn scope_from(audit: &Audit, addr: [u8; 4]) -> AuditScope {
    let source = Source { addr: Some(addr.into()), request_id: Some("request-1".into()), ..Source::default() };
    AuditScope::new(audit, EntryPoint::Disconnect, source)
}

/// A denial of a caller, or of a stranger at this address.
fn deny(audit: &Audit, caller: Option<&str>, addr: [u8; 4]) {
    scope_from(audit, addr).answered(|record| {
        record.set_caller(caller.map(Arc::from));
        record.problem(&Problem::new(Code::ForbiddenCaller, ""));
    });
}

fn asked() -> RequestedDisconnect<'static> {
    RequestedDisconnect {
        caller: &IVR,
        conversation: ConversationId::parse(CID).unwrap(),
        participant: ParticipantId::parse(PID),
        reason: "user_request",
        cause: None,
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

fn records(path: &Path, filter: &AuditFilter) -> Vec<Record> {
    let mut found = FoundRecords::default();
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
    panic!("the condition was not met within 5 s");
}

#[tokio::test]
async fn each_end_of_a_disconnect_leaves_exactly_one_record() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    let audit = open(&settings(&path));
    scope(&audit).begin(&asked()).close(&Ok(settled()));
    scope(&audit).begin(&asked()).close(&Err(Problem::new(Code::UpstreamTimeout, "").effect(true)));
    scope(&audit).begin(&asked()).close(&Err(Problem::new(Code::ForbiddenParticipant, "")));
    scope(&audit).begin(&asked()).abandon(&Problem::new(Code::ShuttingDown, "").effect(true));
    drop(scope(&audit).begin(&asked()));
    let denied = scope(&audit);
    denied.answered(|record| record.problem(&Problem::new(Code::Unauthenticated, "")));
    denied.answered(|record| record.problem(&Problem::new(Code::Internal, "")));
    let carried_out = scope(&audit);
    let pending = carried_out.begin(&asked());
    carried_out.answered(|record| record.problem(&Problem::new(Code::Internal, "")));
    pending.close(&Ok(settled()));
    audit.close().await;

    let records = records(&path, &AuditFilter::default());
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
    assert_eq!(first.caller.as_deref(), Some("key:ivr"));
    assert_eq!(first.conversation_id, ConversationId::parse(CID));
    assert_eq!(first.participant_id, ParticipantId::parse(PID));
    assert_eq!(first.correlation_id.as_deref(), Some("corr"));
    assert!(first.time.ends_with('Z') && moment(&first.time).is_ok(), "{}", first.time);
    assert_eq!(audit.stats(), AuditStats { written: 7, ..AuditStats::default() });
}

#[tokio::test]
async fn queued_records_are_written_before_the_process_ends() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    let settings = config::Audit { fsync: Fsync::Always, ..settings(&path) };
    let audit = open(&settings);
    for _ in 0..2000 {
        scope(&audit).begin(&asked()).close(&Ok(settled()));
    }
    audit.close().await;
    assert_eq!(records(&path, &AuditFilter::default()).len(), 2000);
    scope(&audit).begin(&asked()).close(&Ok(settled()));
    assert_eq!(audit.stats().failures, 1, "a record after the end is counted as lost");
}

#[tokio::test]
async fn a_full_disk_loses_records_counts_them_and_blocks_nobody() {
    let audit = open(&settings(Path::new("/dev/full")));
    for _ in 0..50 {
        scope(&audit).begin(&asked()).close(&Ok(settled()));
    }
    audit.close().await;
    let stats = audit.stats();
    assert_eq!((stats.failures, stats.written, stats.failing), (50, 0, true));
}

#[tokio::test]
async fn an_unwritable_path_is_tried_again_and_the_episode_ends() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("later").join("audit.jsonl");
    let audit = open_with(&settings(&path), Limits { quiet: Duration::ZERO, ..LIMITS });
    until(|| audit.stats().failing).await;
    scope(&audit).begin(&asked()).close(&Ok(settled()));
    until(|| audit.stats().failures == 1).await;
    std::fs::create_dir(path.parent().unwrap()).unwrap();
    scope(&audit).begin(&asked()).close(&Ok(settled()));
    until(|| !audit.stats().failing).await;
    audit.close().await;
    assert_eq!(records(&path, &AuditFilter::default()).len(), 1);
}

#[tokio::test]
async fn a_writer_that_cannot_keep_up_loses_records_and_blocks_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status().unwrap();
    assert!(made.success());
    // Nothing reads from the pipe yet, so opening it blocks the writer's thread.
    let audit = open_with(&settings(&fifo), Limits { queue: 10, ..LIMITS });
    for _ in 0..100 {
        scope(&audit).begin(&asked()).close(&Ok(settled()));
    }
    assert_eq!(audit.stats().failures, 90);
    let reader = std::thread::spawn(move || std::fs::read_to_string(fifo).unwrap());
    audit.close().await;
    drop(audit);
    assert_eq!(reader.join().unwrap().lines().count(), 10);
}

#[tokio::test]
async fn a_file_that_was_moved_away_is_created_anew_on_reopen() {
    let dir = tempfile::tempdir().unwrap();
    let (path, moved) = (dir.path().join("audit.jsonl"), dir.path().join("moved"));
    let audit = open(&settings(&path));
    scope(&audit).begin(&asked()).close(&Ok(settled()));
    until(|| audit.stats().written == 1).await;
    std::fs::rename(&path, &moved).unwrap();
    assert!(audit.reopen());
    scope(&audit).begin(&asked()).close(&Ok(settled()));
    audit.close().await;
    assert_eq!(records(&path, &AuditFilter::default()).len(), 1);
    assert_eq!(records(&moved, &AuditFilter::default()).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_is_refused_in_a_loop_has_one_record_a_second_with_the_count_of_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    let audit = open(&settings(&path));
    let stop = CancellationToken::new();
    let (watched, end) = (audit.clone(), stop.clone());
    let watch = tokio::spawn(async move { watched.watch(end).await });
    for _ in 0..100 {
        for _ in 0..10 {
            deny(&audit, Some("key:reader"), [127, 0, 0, 1]);
        }
        deny(&audit, None, [192, 0, 2, 1]);
        scope(&audit).begin(&asked()).close(&Ok(settled()));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    stop.cancel();
    watch.await.unwrap();
    // The writer's thread takes real time.
    tokio::time::resume();
    audit.close().await;
    let records = records(&path, &AuditFilter::default());
    let of = |caller: Option<&'static str>| records.iter().filter(move |r| r.caller.as_deref() == caller);
    assert_eq!(of(Some("key:ivr")).count(), 100, "no record of a real disconnect is left out");
    for (caller, denials) in [(Some("key:reader"), 1000), (None, 100)] {
        let written = of(caller).count();
        assert!((10..=12).contains(&written), "{written} records in 10 s");
        assert_eq!(of(caller).map(|record| record.suppressed + 1).sum::<u64>(), denials, "each denial is counted");
    }
}

#[tokio::test(start_paused = true)]
async fn a_denial_that_waited_and_is_only_counted_by_the_next_one_is_counted_as_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    let audit = open(&settings(&path));
    for pause in [500, 700, 0] {
        deny(&audit, Some("key:reader"), [127, 0, 0, 1]);
        tokio::time::advance(Duration::from_millis(pause)).await;
    }
    tokio::time::resume();
    audit.close().await;
    let suppressed: Vec<_> = records(&path, &AuditFilter::default()).iter().map(|record| record.suppressed).collect();
    assert_eq!((suppressed, audit.stats().suppressed), (vec![0, 1], 1));
}

#[tokio::test(start_paused = true)]
async fn strangers_at_many_addresses_cannot_flood_the_audit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    let audit = open(&settings(&path));
    for n in 0..5000_u16 {
        let [high, low] = n.to_be_bytes();
        deny(&audit, None, [10, 0, high, low]);
    }
    tokio::time::resume();
    audit.close().await;
    let records = records(&path, &AuditFilter::default());
    assert!(records.len() <= 22, "{}", records.len());
    assert_eq!(records.iter().map(|record| record.suppressed + 1).sum::<u64>(), 5000);
    assert_eq!(audit.stats().suppressed + records.len() as u64, 5000);
}

#[tokio::test]
async fn every_target_gets_every_record_even_if_another_fails() {
    let dir = tempfile::tempdir().unwrap();
    let paths = [dir.path().join("a.jsonl"), dir.path().join("b.jsonl")];
    let mut settings = settings(&paths[0]);
    settings.target.0.extend([paths[1].to_str().unwrap().to_owned(), "/dev/full".to_owned()]);
    let audit = open(&settings);
    for _ in 0..20 {
        scope(&audit).begin(&asked()).close(&Ok(settled()));
    }
    audit.close().await;
    assert!(paths.iter().all(|path| records(path, &AuditFilter::default()).len() == 20));
    let stats = audit.stats();
    assert_eq!((stats.written, stats.failures, stats.failing), (20, 20, true));
}

#[tokio::test]
async fn what_operators_change_is_a_record_that_says_who_and_what() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    let audit = open(&settings(&path));
    let source = Source { actor: Some("unverified:alice".into()), ..Source::default() };
    AuditScope::new(&audit, EntryPoint::Mode, source).answered(|record| {
        record.set_caller(Some("key:chief".into()));
        record.outcome = "observe".into();
    });
    audit.event(Event::KeysChanged, "changed", "added: crm".to_owned());
    audit.close().await;
    let records = records(&path, &AuditFilter::default());
    let mode = (records[0].event, records[0].caller.as_deref(), records[0].actor.as_deref(), &*records[0].outcome);
    assert_eq!(mode, (Event::ModeChanged, Some("key:chief"), Some("unverified:alice"), "observe"));
    let keys = (records[1].event, records[1].caller.as_deref(), records[1].reason.as_deref());
    assert_eq!(keys, (Event::KeysChanged, None, Some("added: crm")));
    assert!(records.iter().all(|record| &*record.instance == "host-1"));
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
        line("key:crm", "failed", "\"upstream_timeout\"", "null", "2026-01-02T00:00:00Z"),
        r#"{"event":"request","time":"2026-01-01T00:00:00Z"}"#.to_owned(),
        line("ivr", "accepted", "null", "null", "2026")[..40].to_owned(),
    ];
    std::fs::write(&path, lines.join("\n")).unwrap();
    let count = |filter: AuditFilter| {
        let mut found = FoundRecords::default();
        read(&path, &filter, &mut found).unwrap();
        assert_eq!(found.foreign, 2);
        found.records.len()
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(count(AuditFilter::default()), 2);
    assert_eq!(count(AuditFilter { caller: some("ivr"), ..AuditFilter::default() }), 1);
    assert_eq!(count(AuditFilter { caller: some("key:crm"), ..AuditFilter::default() }), 1);
    assert_eq!(count(AuditFilter { caller: some("crm"), ..AuditFilter::default() }), 1);
    assert_eq!(
        count(AuditFilter { conversation: ConversationId::parse(&CID.to_uppercase()), ..AuditFilter::default() }),
        2
    );
    assert_eq!(count(AuditFilter { conversation: ConversationId::parse(PID), ..AuditFilter::default() }), 0);
    assert_eq!(
        count(AuditFilter { participant: ParticipantId::parse(CID), ..AuditFilter::default() }),
        1,
        "a teardown concerns every participant"
    );
    assert_eq!(count(AuditFilter { outcome: some("upstream_timeout"), ..AuditFilter::default() }), 1);
    assert_eq!(count(AuditFilter { outcome: some("disconnected"), ..AuditFilter::default() }), 1);
    assert_eq!(count(AuditFilter { since: moment("2026-01-01T12:00:00+01:00").ok(), ..AuditFilter::default() }), 1);
    assert_eq!(count(AuditFilter { until: moment("2026-01-01").ok(), ..AuditFilter::default() }), 1);
    assert_eq!(count(AuditFilter { since: moment("1m").ok(), ..AuditFilter::default() }), 0);
    assert!(moment("yesterday").is_err());
}
