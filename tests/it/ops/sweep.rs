//! `hangup sweep` against a service of its own process: what it clears, what it leaves alone, and what it says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use hangup::sandbox::{Kind, Medium, ParticipantSpec, StuckSpec};
use serde_json::json;
use uuid::Uuid;

use super::sweep_org::{DAY, Org, job, names, rows, said};
use crate::shared::process::PATIENCE;
use crate::support::process::text;
use crate::support::until;

#[tokio::test(flavor = "multi_thread")]
async fn three_thousand_are_cleared_across_a_crash_and_no_agent_who_answers_is_disconnected() {
    let mut org = Org::new().await;
    let make = |medium, queue: &str| StuckSpec {
        count: 1_000,
        medium,
        queue: queue.to_owned(),
        age: Some(DAY * 9),
        youngest: Some(DAY * 2),
        ..StuckSpec::default()
    };
    let mut all = org.stuck(make(Medium::Messages, "Support"));
    all.extend(org.stuck(make(Medium::Callbacks, "Claims")));
    all.extend(org.stuck(StuckSpec { orphaned: true, ..make(Medium::Messages, "Sales") }));
    // Agents answer every tenth, while the sweep runs: some before it comes to them, some after.
    let sandbox = org.binary.sandbox.clone();
    let answered: Vec<Uuid> = all.iter().copied().step_by(10).collect();
    let answering = tokio::spawn(async move {
        let mut agents = Vec::new();
        for id in answered {
            let agent = ParticipantSpec { media: vec![Medium::Messages], ..ParticipantSpec::of("agent") };
            if let Ok(Some(agent)) = sandbox.add_participant(id, agent) {
                agents.push((id, agent));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        agents
    });
    let report = org.report("report.csv");
    let first = {
        let sweep = org.sweep(&["--older-than", "24h", "--yes", "--patience", "1s"], &report);
        let crash = async {
            until(|| async { org.empty(&all) > 700 }).await;
            org.service.signal("KILL");
        };
        tokio::join!(sweep, crash).0
    };
    assert_eq!(first.status.code(), Some(6), "{}", said(&first));
    let id = job(&said(&first));
    assert!(said(&first).contains(&format!("--resume {id}")), "{}", said(&first));
    org.service.ended(PATIENCE).await.unwrap();
    assert!(org.empty(&all) < all.len(), "it was killed half-way");
    org.service = Org::serve(&org.binary, &org.bind, &[]).await;
    let agents = answering.await.unwrap();
    let second = org.sweep(&["--resume", &id], &report).await;
    // 4 where an agent came between the look and the disconnect of the customer: the conversation goes on with that agent.
    let stay =
        if org.report("report-stays.csv").exists() { rows(&org.report("report-stays.csv")) } else { BTreeMap::new() };
    // The queue leg, where there is one, stays as long as the agent does.
    let left = |row: &BTreeMap<String, String>| {
        matches!(&*row["detail"], "still in the conversation: agent" | "still in the conversation: acd, agent")
    };
    assert!(stay.values().all(left), "{stay:?}");
    assert!(stay.keys().all(|id| agents.iter().any(|(answered, _)| answered.to_string() == *id)), "{stay:?}");
    let code = if stay.is_empty() { 3 } else { 4 };
    assert_eq!(second.status.code(), Some(code), "{}", said(&second));

    let report = rows(&report);
    assert_eq!(report.keys().cloned().collect::<BTreeSet<_>>(), names(&all));
    let mut alone = 0;
    for (id, agent) in &agents {
        assert!(org.binary.sandbox.is_live(*id, *agent), "an agent was disconnected");
        alone += usize::from(report[&id.to_string()]["outcome"] == "skipped");
    }
    assert!(alone > 0 && alone <= agents.len(), "{alone} of {} were left alone", agents.len());
    for (id, row) in &report {
        let id: Uuid = id.parse().unwrap();
        let seen = (org.has(id, "customer"), row["outcome"].as_str());
        assert!(
            matches!(seen, (false, "disconnected" | "conversation_ended" | "already_disconnected") | (true, "skipped")),
            "{seen:?} {row:?}"
        );
        assert_eq!(row["job"].len(), 36);
        assert!(["Support", "Claims", "Sales"].contains(&row["queueName"].as_str()), "{row:?}");
    }
    let left = rows(&org.report("report-left-alone.csv"));
    assert_eq!(left.len(), alone);
    // Nothing but the customers was asked for.
    assert_eq!(org.binary.sandbox.counts().of(Kind::Teardown), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_preview_says_what_is_left_out_and_why_and_nothing_runs_without_a_yes() {
    let org = Org::new().await;
    org.stuck(StuckSpec { count: 30, queue: "Claims".to_owned(), ..StuckSpec::default() });
    org.stuck(StuckSpec { count: 2, agent: true, ..StuckSpec::default() });
    org.stuck(StuckSpec { count: 3, medium: Medium::Callbacks, scheduled_in: Some(DAY), ..StuckSpec::default() });
    let report = org.report("report.csv");
    let preview = org.sweep(&["--older-than", "1h", "--preview"], &report).await;
    assert_eq!(preview.status.code(), Some(0), "{}", said(&preview));
    for line in [
        "35      live conversations found",
        "-3      callbacks that are scheduled for later",
        "32      are to be cleared",
        "in 2 analytics sees an agent",
        "30      message  Claims",
        "3 calls for each, at 1000000 calls a minute (allowed now)",
    ] {
        assert!(said(&preview).contains(line), "{line} is missing in\n{}", said(&preview));
    }
    assert!(said(&preview).lines().all(|line| line.chars().count() <= 100));
    let unconfirmed = org.sweep(&["--older-than", "1h"], &report).await;
    assert_eq!(unconfirmed.status.code(), Some(2), "{}", said(&unconfirmed));
    assert!(said(&unconfirmed).contains("add --yes") && !report.exists(), "{}", said(&unconfirmed));
    let dry = org.sweep(&["--older-than", "1h", "--dry-run"], &report).await;
    assert_eq!(dry.status.code(), Some(0), "{}", said(&dry));
    assert!(said(&dry).contains("Of 32: 30 would be disconnected, 2 left alone."), "{}", said(&dry));
    assert_eq!(org.binary.sandbox.counts().disconnects(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_names_a_participant_reaches_that_one_only_and_what_stays_is_ended_by_a_second_run() {
    let org = Org::new().await;
    let talking = org.stuck(StuckSpec { agent: true, ..StuckSpec::default() })[0];
    let stubborn = org.stuck(StuckSpec { count: 2, stubborn: true, ..StuckSpec::default() });
    let agent = org.binary.sandbox.conference(talking).unwrap().first("agent").unwrap();
    let (list, report) = (org.report("list.csv"), org.report("report.csv"));
    let lines = format!(
        "\u{feff}note;Conversation ID;participantId\r\n\"=1+1;\";{talking};{agent}\r\n\r\nx;{};\r\nx;{};\r\nx;{};\r\n",
        stubborn[0], stubborn[1], stubborn[0]
    );
    std::fs::write(&list, lines).unwrap();
    let first = org.sweep(&["--file", &text(&list), "--yes"], &report).await;
    assert_eq!(first.status.code(), Some(4), "{}", said(&first));
    assert!(said(&first).contains("-1      named more than once"), "{}", said(&first));
    assert!(said(&first).contains("Of 3: 1 gone, 2 stay."), "{}", said(&first));
    assert!(!org.binary.sandbox.is_live(talking, agent) && org.has(talking, "customer"), "only the one that was named");
    let stays = org.report("report-stays.csv");
    let listed = rows(&stays);
    assert_eq!(listed.keys().cloned().collect::<BTreeSet<_>>(), names(&stubborn));
    assert!(listed.values().all(|row| row["detail"] == "still in the conversation: acd"), "{listed:?}");
    let again = org.report("again.csv");
    let second = org.sweep(&["--file", &text(&stays), "--teardown", "unconfirmed", "--yes"], &again).await;
    assert_eq!(second.status.code(), Some(0), "{}", said(&second));
    assert_eq!(org.empty(&stubborn), 2);
    assert!(rows(&again).values().all(|row| row["action"] == "teardown" && row["outcome"] == "disconnected"));
    assert!(org.has(talking, "customer"), "it was not on the list");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permission_that_is_revoked_in_the_middle_is_named_and_the_rest_is_listed_for_a_second_run() {
    let org = Org::new().await;
    let all = org.stuck(StuckSpec { count: 400, ..StuckSpec::default() });
    let report = org.report("report.csv");
    let sweep = org.sweep(&["--older-than", "1h", "--yes"], &report);
    let revoke = async {
        until(|| async { org.empty(&all) > 60 }).await;
        let missing = json!({"missing_permissions": [
            "conversation:communication:disconnect", "conversation:participant:wrapup", "conversation:call:record",
        ]});
        org.binary.sandbox.change_settings(&missing).unwrap();
    };
    let first = tokio::join!(sweep, revoke).0;
    assert_eq!(first.status.code(), Some(4), "{}", said(&first));
    assert!(said(&first).contains("upstream_forbidden"), "{}", said(&first));
    let stays = rows(&org.report("report-stays.csv"));
    assert!(!stays.is_empty() && stays.len() < all.len());
    for row in stays.values() {
        assert_eq!(row["code"], "upstream_forbidden");
        assert!(row["detail"].contains("conversation:communication:disconnect"), "{row:?}");
        assert_eq!(row["correlationId"].len(), 36, "{row:?}");
    }
    org.binary.sandbox.change_settings(&json!({"missing_permissions": []})).unwrap();
    let list = text(&org.report("report-stays.csv"));
    let second = org.sweep(&["--file", &list, "--yes"], &org.report("second.csv")).await;
    assert_eq!((second.status.code(), org.empty(&all)), (Some(0), all.len()), "{}", said(&second));
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_pauses_the_sweep_and_resume_goes_on_with_it() {
    let org = Org::new().await;
    let all = org.stuck(StuckSpec { count: 1_500, ..StuckSpec::default() });
    let report = text(&org.report("report.csv"));
    let mut child = org.binary.command(&org.arguments(&["--older-than", "1h", "--yes"], &report), &[]).spawn().unwrap();
    // By what is confirmed, not by who is gone: the first read comes half a second after the disconnect.
    until(|| async { org.finished().await > 300 }).await;
    let interrupted = std::process::Command::new("kill").args(["-s", "INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    let code = tokio::task::spawn_blocking(move || child.wait().unwrap().code()).await.unwrap();
    assert_eq!(code, Some(5));
    let pending = rows(Path::new(&report)).values().filter(|row| row["outcome"].is_empty()).count();
    assert!(pending > 0 && pending < all.len(), "{pending}");
    let id = rows(Path::new(&report)).values().next().unwrap()["job"].clone();
    let job = org.service.get(&format!("/jobs/{id}")).await.1;
    assert!(job.contains("\"state\":\"paused\""), "{job}");
    let second = org.sweep(&["--resume", &id], Path::new(&report)).await;
    assert_eq!((second.status.code(), org.empty(&all)), (Some(0), all.len()), "{}", said(&second));
    assert!(said(&second).contains("Of 1500: 1500 gone."), "{}", said(&second));
}

#[tokio::test(flavor = "multi_thread")]
async fn more_hits_than_the_upstream_serves_are_all_found_and_more_than_a_job_takes_make_several() {
    let org = Org::new().await;
    org.stuck(StuckSpec { count: 9_000, age: Some(DAY * 20), youngest: Some(DAY * 2), ..StuckSpec::default() });
    // As the upstream does beyond some 8,000, within the pages that one search asks for.
    let with_agent = StuckSpec { count: 900, agent: true, age: Some(DAY * 25), ..StuckSpec::default() };
    org.stuck(StuckSpec { youngest: Some(DAY * 21), ..with_agent });
    org.binary.settings(r#"{"analytics_hits":800}"#).await;
    let report = org.report("report.csv");
    let preview = org.sweep(&["--older-than", "24h", "--agent", "none", "--preview"], &report).await;
    assert_eq!(preview.status.code(), Some(0), "{}", said(&preview));
    assert!(said(&preview).contains("  9000    are to be cleared"), "{}", said(&preview));
    assert!(org.binary.sandbox.counts().of_with_status(Kind::Analytics, 502) > 0);
    let some = org
        .sweep(&["--older-than", "24h", "--agent", "none", "--limit", "50", "--per-job", "20", "--yes"], &report)
        .await;
    assert_eq!(some.status.code(), Some(0), "{}", said(&some));
    let jobs: BTreeSet<String> = rows(&report).values().map(|row| row["job"].clone()).collect();
    assert_eq!((jobs.len(), rows(&report).len()), (3, 50), "{}", said(&some));
    let oldest = |row: &BTreeMap<String, String>| row["ageHours"].parse::<f64>().unwrap() > 477.0;
    assert!(rows(&report).values().all(oldest), "those that began first");
}

#[tokio::test(flavor = "multi_thread")]
async fn arguments_lists_and_filters_that_cannot_be_used_exit_with_code_2() {
    let org = Org::new().await;
    org.stuck(StuckSpec { division: Some("Spain".to_owned()), ..StuckSpec::default() });
    let wrong = org.report("wrong.csv");
    std::fs::write(&wrong, format!("{}\n\nnonsense\n", Uuid::new_v4())).unwrap();
    let unknown = org.report("unknown.csv");
    std::fs::write(&unknown, format!("{}\n", Uuid::new_v4())).unwrap();
    let (wrong, unknown, report) = (text(&wrong), text(&unknown), org.report("report.csv"));
    for (arguments, code, words) in [
        (&[][..], 2, "at least one filter"),
        (&["--file", "/nonexistent", "--yes"], 2, "cannot be read"),
        (&["--file", &wrong, "--yes"], 2, "line 3: \"nonsense\" is not the id of a conversation"),
        (&["--file", &wrong, "--queue", "Support"], 2, "cannot be used with"),
        (&["--queue", "Support", "--teardown", "unconfirmed"], 2, "give its list with --file"),
        (&["--queue", "Support", "--time-zone", "Mars"], 2, "there is no such zone"),
        (&["--queue", "Support", "--older-than", "soon"], 2, "olderThan must be a duration"),
        (&["--queue", "Nobody", "--yes"], 2, "there is no queue of that name"),
        (&["--queue", "Support", "--yes"], 2, "Support in division Spain"),
        (&["--media", "fax"], 2, "media is one of"),
        (&["--media", "email", "--yes"], 0, "There is nothing to do."),
        (&["--file", &unknown, "--yes"], 4, "1 not known to Genesys Cloud"),
        (&["--resume", "nothing"], 1, "job_not_found"),
        (&["--server", "http://127.0.0.1:1", "--queue", "Support"], 1, "onnection refused"),
    ] {
        let report = text(&report);
        let mut all = org.arguments(arguments, &report);
        match arguments {
            ["--server", ..] => drop(all.drain(1..3)),
            [.., "Mars"] => drop(all.drain(5..7)),
            _ => {}
        }
        let output = org.binary.run(&all, &[]).await;
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", said(&output));
        assert!(said(&output).contains(words), "{arguments:?}: {}", said(&output));
    }
    assert_eq!(org.binary.sandbox.counts().disconnects(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_that_never_ends_in_time_is_given_up_after_some_tries_and_nobody_is_disconnected() {
    let limits = [("HANGUP__DISCONNECT__DEADLINE", "600ms"), ("HANGUP__DISCONNECT__ATTEMPT_TIMEOUT", "400ms")];
    let org = Org::with(&limits).await;
    org.stuck(StuckSpec::default());
    org.binary.fault(r#"{"on":"analytics","latency":"30s"}"#).await;
    let began = tokio::time::Instant::now();
    let swept = org.sweep(&["--older-than", "1h", "--yes"], &org.report("report.csv")).await;
    assert_eq!(swept.status.code(), Some(1), "{}", said(&swept));
    assert!(said(&swept).contains("nobody was disconnected"), "{}", said(&swept));
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_that_fails_however_small_its_part_is_given_up_after_some_tries_with_advice() {
    let org = Org::new().await;
    org.stuck(StuckSpec::default());
    org.binary.fault(r#"{"on":"analytics","action":{"answer":{"status":502}}}"#).await;
    let report = org.report("report.csv");
    let swept =
        tokio::time::timeout(Duration::from_secs(45), org.sweep(&["--older-than", "1h", "--yes"], &report)).await;
    let swept = swept.expect("given up long before 10 minutes");
    assert_eq!(swept.status.code(), Some(1), "{}", said(&swept));
    for words in ["502", "--queue-id", "nobody was disconnected"] {
        assert!(said(&swept).contains(words), "{words}: {}", said(&swept));
    }
}
