//! A job of several replicas, of which some die, freeze, lose their database or have a wrong clock.

use std::path::Path;
use std::time::Duration;

use tokio::time::sleep;

use super::super::jobs::{PERMISSIONS, THEME, UNDER_WAY, done, promised, second_disconnects, sent, submit};
use super::super::service::Launch;
use super::super::table::Row;
use super::super::target::Target;
use super::Fleet;

/// Debian's, of the package `faketime`.
const LIBFAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

fn short(plan: Launch) -> Launch {
    let plan = plan.set("auth.anonymous_permissions", PERMISSIONS).set("store.timeout", "1s");
    // A lease is the deadline and 2 s.
    plan.set("disconnect.deadline", "1s").set("disconnect.attempt_timeout", "500ms")
}

/// Queues a job of this many items, and waits until some were sent.
async fn begin(fleet: &mut Fleet, items: usize) -> (String, Vec<Target>) {
    let targets = fleet.stand_in.targets(items);
    let before = fleet.stand_in.sandbox.counts().disconnects();
    let id = promised(&submit(&mut fleet.caller(), &targets).await);
    sent(&fleet.stand_in, before + items as u64 / 5).await;
    (id, targets)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_of_three_replicas_killed_in_the_middle_of_a_job_lose_no_item() {
    const TEST: &str = "fleet::two_of_three_replicas_killed_in_the_middle_of_a_job_lose_no_item";
    let Some(mut fleet) = Fleet::with(TEST, 3, short).await else { return };
    let (id, targets) = begin(&mut fleet, 600).await;
    for _ in 0..2 {
        let killed = fleet.replicas.remove(0);
        killed.signal("KILL");
    }
    done(&fleet.replicas[0], &id, targets.len()).await;
    let second = second_disconnects(&fleet.stand_in, &targets).await;
    assert!(second <= 2 * UNDER_WAY, "{second}");
    Row {
        theme: THEME,
        fault: "Two of three replicas are killed in the middle of a job of 600 items",
        callers_see: "The third one goes on",
        figure: "0 items lost, 0 wrong people; a second disconnect only for what was under way (at most 32 each)",
        measured: format!("{second} second disconnects"),
        test: TEST,
        long_half: true,
    }
    .write();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_frozen_beyond_its_leases_and_let_go_harms_nobody() {
    const TEST: &str = "fleet::a_replica_frozen_beyond_its_leases_and_let_go_harms_nobody";
    let Some(mut fleet) = Fleet::with(TEST, 3, short).await else { return };
    let (id, targets) = begin(&mut fleet, 600).await;
    let mut frozen = fleet.replicas.remove(0);
    frozen.signal("STOP");
    sleep(Duration::from_secs(4)).await;
    frozen.signal("CONT");
    done(&fleet.replicas[0], &id, targets.len()).await;
    // Once it has ended, nothing of it can come any more.
    assert_eq!(frozen.stop().await, Some(0));
    let second = second_disconnects(&fleet.stand_in, &targets).await;
    assert!(second <= UNDER_WAY, "{second}");
    Row {
        theme: THEME,
        fault: "One of three replicas is stopped for longer than its leases in the middle of a job of 600 items, and continued",
        callers_see: "The others go on",
        figure: "0 items lost, 0 wrong people; a second disconnect only for what was under way (at most 32)",
        measured: format!("{second} second disconnects"),
        test: TEST,
        long_half: true,
    }
    .write();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_for_a_while_delays_a_job() {
    const TEST: &str = "fleet::a_database_that_is_away_for_a_while_delays_a_job";
    let Some(mut fleet) = Fleet::with(TEST, 3, short).await else { return };
    let (id, targets) = begin(&mut fleet, 600).await;
    fleet.cluster.run("kill");
    sleep(Duration::from_secs(4)).await;
    fleet.cluster.run("start");
    done(&fleet.replicas[0], &id, targets.len()).await;
    let second = second_disconnects(&fleet.stand_in, &targets).await;
    assert!(second <= 3 * UNDER_WAY, "{second}");
    Row {
        theme: THEME,
        fault: "PostgreSQL is killed in the middle of a job of 600 items on three replicas, and started after 4 s",
        callers_see: "The job takes longer",
        figure: "0 items lost, 0 wrong people; a second disconnect only for results that could not be written (at most 96)",
        measured: format!("{second} second disconnects"),
        test: TEST,
        long_half: true,
    }
    .write();
}

async fn all_have_worked(fleet: &Fleet) -> bool {
    for replica in &fleet.replicas {
        if replica.metric("hangup_jobs_items_total").await == 0.0 {
            return false;
        }
    }
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_whose_clock_is_five_minutes_wrong_harms_no_job() {
    const TEST: &str = "fleet::a_replica_whose_clock_is_five_minutes_wrong_harms_no_job";
    if !Path::new(LIBFAKETIME).exists() {
        println!("{TEST}: NOT HELD: no libfaketime; scripts/debian-packages faketime installs it");
        return;
    }
    let Some(mut fleet) = Fleet::with(TEST, 1, short).await else { return };
    for ahead in ["+5m", "-5m"] {
        let wrong = short(fleet.plan()).variable("LD_PRELOAD", LIBFAKETIME).variable("FAKETIME", ahead);
        let wrong = wrong.variable("FAKETIME_DONT_FAKE_MONOTONIC", "1").variable("DONT_FAKE_MONOTONIC", "1");
        let replica = fleet.stand_in.start(wrong).await;
        fleet.replicas.push(replica);
    }
    // A job that is over before a replica has looked at the queue leaves it nothing to do: then there is another one.
    for job in 1.. {
        let (id, targets) = begin(&mut fleet, 600).await;
        done(&fleet.replicas[0], &id, targets.len()).await;
        let second = second_disconnects(&fleet.stand_in, &targets).await;
        assert_eq!(second, 0, "a lease ended early");
        if all_have_worked(&fleet).await {
            break;
        }
        assert!(job < 10, "a replica takes no items");
    }
    Row {
        theme: THEME,
        fault: "The clocks of two of three replicas are five minutes wrong, one early and one late (libfaketime)",
        callers_see: "Nothing",
        figure: "0 items lost, 0 wrong people, 0 second disconnects; all three work on the job",
        measured: "600 items".to_owned(),
        test: TEST,
        long_half: true,
    }
    .write();
}
