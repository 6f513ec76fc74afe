//! Other ways to run `hangup sweep`: without `--server`, with rows that name participants, and where another caller must approve.

use std::path::Path;

use hangup::sandbox::StuckSpec;

use super::sweep_org::{DAY, Org, rows, said};
use crate::support::process::text;

#[tokio::test(flavor = "multi_thread")]
async fn without_a_server_the_one_of_the_configuration_is_asked_at_its_main_address() {
    let org = Org::new().await;
    let all = org.stuck(StuckSpec { count: 3, ..StuckSpec::default() });
    let report = text(&org.report("report.csv"));
    let arguments = ["sweep", "--older-than", "1h", "--yes", "--report", &report];
    // Neither jobs nor search are at the administrators' address.
    let here = [("HANGUP__SERVER__BIND", org.bind.as_str()), ("HANGUP__ADMIN__BIND", "127.0.0.1:1")];
    let done = org.binary.run(&arguments, &here).await;
    assert_eq!((done.status.code(), org.empty(&all)), (Some(0), 3), "{}", said(&done));
    let again = org.binary.run(&arguments, &here).await;
    assert_eq!(again.status.code(), Some(0), "{}", said(&again));
    assert!(said(&again).contains("There is nothing to do."), "{}", said(&again));
    let nowhere = org.binary.run(&arguments, &[("HANGUP__SERVER__BIND", "127.0.0.1:1")]).await;
    assert_eq!(nowhere.status.code(), Some(1), "{}", said(&nowhere));
    assert!(said(&nowhere).contains("start it with `hangup serve`"), "{}", said(&nowhere));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_been_stuck_for_longer_than_a_month_is_cleared_by_its_age() {
    let org = Org::new().await;
    let all = org.stuck(StuckSpec { count: 3, age: Some(DAY * 90), youngest: Some(DAY * 70), ..StuckSpec::default() });
    let done = org.sweep(&["--older-than", "60d", "--yes"], &org.report("report.csv")).await;
    assert_eq!((done.status.code(), org.empty(&all)), (Some(0), 3), "{}", said(&done));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_never_overwritten_and_a_list_may_spare_agents_also_where_it_names_participants() {
    let org = Org::new().await;
    let talking = org.stuck(StuckSpec { agent: true, ..StuckSpec::default() })[0];
    let customer = org.binary.sandbox.conference(talking).unwrap().first("customer").unwrap();
    let list = org.report("list.csv");
    std::fs::write(&list, format!("conversationId,participantId\n{talking},{customer}\n")).unwrap();
    let list = text(&list);
    let spared = org.sweep(&["--file", &list, "--skip-agents", "--yes"], &org.report("spared.csv")).await;
    assert_eq!(spared.status.code(), Some(3), "{}", said(&spared));
    assert!(org.has(talking, "customer"));
    let taken = org.sweep(&["--file", &list, "--yes"], &org.report("spared.csv")).await;
    assert_eq!(taken.status.code(), Some(2), "{}", said(&taken));
    assert!(said(&taken).contains("it exists") && org.has(talking, "customer"), "{}", said(&taken));
    let left = text(&org.report("spared-left-alone.csv"));
    let done = org.sweep(&["--file", &left, "--yes"], &org.report("done.csv")).await;
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    assert!(
        !org.has(talking, "customer") && org.has(talking, "agent"),
        "the list of those left alone keeps its participants"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn where_another_caller_must_start_it_the_sweep_says_so_and_nobody_is_disconnected() {
    let org = Org::with(&[("HANGUP__JOBS__APPROVE_ABOVE", "5")]).await;
    let all = org.stuck(StuckSpec { count: 6, ..StuckSpec::default() });
    let report = org.report("report.csv");
    let held = org.sweep(&["--older-than", "1h", "--yes"], &report).await;
    assert_eq!(held.status.code(), Some(5), "{}", said(&held));
    assert!(said(&held).contains("needs the approval of another caller"), "{}", said(&held));
    assert!(said(&held).contains("Of 6: 0 gone, 6 not tried yet."), "{}", said(&held));
    assert_eq!((org.empty(&all), rows(Path::new(&report)).len()), (0, 6));
}
