//! A roll-out: three replicas behind HAProxy are restarted one after the other, while callers go on.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hangup::sandbox::{ParticipantSpec, Sandbox};
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep};
use uuid::Uuid;

use super::super::callers::Seen;
use super::super::haproxy::Proxy;
use super::super::http::Caller;
use super::super::jobs::second_disconnects;
use super::super::service::{PATIENCE, Process};
use super::super::shared::{free_addr, until};
use super::super::table::Row;
use super::super::target::{Target, target_in};
use super::Fleet;

/// A second, unless `HANGUP_FAULTS_RATE` says otherwise.
const RATE: u32 = 200;

/// What callers ask for: a third names a participant, a third is a selector, and a third repeats one of those selectors after
/// another agent has joined.
#[derive(Debug, Default)]
struct Asked {
    seen: Seen,
    /// Selectors that were answered and not repeated yet.
    repeatable: VecDeque<Target>,
    /// Agents who joined before a repeat, which must not reach them.
    joined: Vec<(Uuid, Uuid)>,
    repeats: usize,
}

impl Asked {
    /// The selector that was answered first, once this holds for its target.
    fn next_repeat(&mut self, over: impl Fn(&Target) -> bool) -> Option<Target> {
        if self.repeatable.front().is_some_and(over) { self.repeatable.pop_front() } else { None }
    }
}

/// Sends `rate` requests a second to this address until `stop`. Callers are reused; more come when all are busy.
async fn traffic(front: SocketAddr, rate: u32, sandbox: Sandbox, stop: Arc<AtomicBool>) -> Asked {
    let asked = Arc::new(Mutex::new(Asked::default()));
    let (mut idle, mut busy) = (Vec::new(), JoinSet::new());
    let mut tick = interval(Duration::from_secs(1) / rate);
    let mut number = 0_u32;
    while !stop.load(Ordering::Relaxed) {
        tick.tick().await;
        while let Some(done) = busy.try_join_next() {
            idle.push(done.expect("no panic"));
        }
        number += 1;
        let caller = idle.pop().unwrap_or_else(|| Caller::new(front));
        busy.spawn(ask(number, caller, sandbox.clone(), Arc::clone(&asked)));
    }
    while let Some(done) = busy.join_next().await {
        done.expect("no panic");
    }
    Arc::into_inner(asked).expect("all have ended").into_inner()
}

async fn ask(number: u32, mut caller: Caller, sandbox: Sandbox, asked: Arc<Mutex<Asked>>) -> Caller {
    // Before its effect, a repeat that reads first finds the agent still there, and rightly disconnects again.
    let over = |target: &Target| !sandbox.is_live(target.conversation, target.participant);
    let repeated = if number.is_multiple_of(3) { asked.lock().next_repeat(over) } else { None };
    let target = repeated.unwrap_or_else(|| target_in(&sandbox));
    if repeated.is_some() {
        let added = sandbox.add_participant(target.conversation, ParticipantSpec::of("agent"));
        let next = added.expect("a participant").expect("a live conversation");
        asked.lock().joined.push((target.conversation, next));
    }
    let selects = repeated.is_some() || number % 3 == 1;
    let answer = if selects {
        let path = format!("/conversations/{}/participants/disconnect", target.conversation);
        caller.send("POST", &path, Some(r#"{"purpose":"agent"}"#)).await
    } else {
        caller.post(&target.path()).await
    };
    let mut asked = asked.lock();
    if let Ok(answer) = &answer
        && answer.status == 200
        && selects
    {
        assert_eq!(answer.json()["results"][0]["participantId"], target.participant.to_string(), "{}", answer.text());
        if repeated.is_some() {
            asked.repeats += 1;
        } else {
            asked.repeatable.push_back(target);
        }
    }
    asked.seen.take(target, answer);
    caller
}

/// Starts a replica on these addresses, and waits until it is ready.
async fn start(fleet: &Fleet, (addr, admin): (SocketAddr, SocketAddr)) -> Process {
    let plan = fleet.plan().set("server.bind", &addr.to_string()).set("admin.bind", &admin.to_string());
    let replica = plan.start().await;
    replica.ready().await;
    replica
}

/// Waits until HAProxy sends requests to this replica.
async fn serves(replica: &Process) {
    let there = async || replica.metric("hangup_requests_total{route=\"/conversations/").await > 10.0;
    assert!(until(PATIENCE, there).await.is_some(), "it gets no requests: {}", replica.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_of_three_replicas_at_200_a_second_loses_no_request_and_reaches_no_wrong_person() {
    const TEST: &str =
        "fleet::a_rolling_restart_of_three_replicas_at_200_a_second_loses_no_request_and_reaches_no_wrong_person";
    let rate = std::env::var("HANGUP_FAULTS_RATE").ok().map_or(RATE, |rate| rate.parse().expect("a rate"));
    let Some(mut fleet) = Fleet::start(TEST, 0).await else { return };
    let addresses: Vec<_> = (0..3).map(|_| (free_addr(), free_addr())).collect();
    for one in &addresses {
        fleet.replicas.push(start(&fleet, *one).await);
    }
    // The configuration that we ship.
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/haproxy/haproxy.cfg");
    let front = free_addr();
    let mut variables = vec![("HANGUP_FRONT", front.to_string())];
    for ((addr, admin), (name, its_admin)) in addresses.iter().zip([
        ("HANGUP_A", "HANGUP_A_ADMIN"),
        ("HANGUP_B", "HANGUP_B_ADMIN"),
        ("HANGUP_C", "HANGUP_C_ADMIN"),
    ]) {
        variables.extend([(name, addr.to_string()), (its_admin, admin.port().to_string())]);
    }
    let Some(_proxy) = Proxy::start(TEST, &file, &variables) else { return };
    let up = async || Caller::new(front).post(&fleet.stand_in.target().path()).await.is_ok_and(|a| a.status == 200);
    assert!(until(Duration::from_secs(10), up).await.is_some(), "haproxy does not serve");

    let (stop, began) = (Arc::new(AtomicBool::new(false)), Instant::now());
    let callers = tokio::spawn(traffic(front, rate, fleet.stand_in.sandbox.clone(), Arc::clone(&stop)));
    sleep(Duration::from_secs(2)).await;
    for (n, addresses) in addresses.iter().enumerate() {
        fleet.replicas[n].signal("TERM");
        let status = fleet.replicas[n].ended(Duration::from_secs(12)).await.expect("it does not end");
        assert_eq!(status.code(), Some(0), "{status:?}");
        fleet.replicas[n] = start(&fleet, *addresses).await;
        serves(&fleet.replicas[n]).await;
    }
    stop.store(true, Ordering::Relaxed);
    let asked = callers.await.expect("no panic");
    let took = began.elapsed();

    asked.seen.none_failed();
    let mut targets: Vec<Target> = asked.seen.gone();
    targets.sort_unstable();
    targets.dedup();
    assert_eq!(
        targets.len() + asked.repeats,
        asked.seen.total(),
        "each request but the repeats has a target of its own"
    );
    assert!(asked.repeats > asked.seen.total() / 4, "only {} repeats", asked.repeats);
    let second = second_disconnects(&fleet.stand_in, &targets).await;
    assert_eq!(second, 0, "second disconnects");
    let wrong =
        asked.joined.iter().filter(|(conversation, next)| !fleet.stand_in.sandbox.is_live(*conversation, *next));
    assert_eq!(wrong.count(), 0, "repeats reached the next agent");
    let reached = asked.seen.total() as f64 / took.as_secs_f64();
    Row {
        theme: "A fleet and its store",
        fault: "Three replicas behind HAProxy are restarted one after the other at 200 requests a second: named disconnects, selectors, and \
                selectors repeated after another agent has joined",
        callers_see: "Nothing",
        figure: "0 lost, 0 disconnected twice, 0 wrong people",
        measured: format!(
            "{} requests, {} of them repeats, at {reached:.0} a second; p99 {} ms",
            asked.seen.total(),
            asked.repeats,
            asked.seen.p99().as_millis()
        ),
        test: TEST,
        long_half: true,
    }
    .write();
}
