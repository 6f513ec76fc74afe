//! A soak: mixed traffic and random faults, seeded and repeatable, that ends with an account which must balance.
//!
//! `HANGUP_SOAK_SECONDS` says how long (10 by default, 75 in CI, 900 for the long form), `HANGUP_SOAK_SEED` which run.

mod books;
mod request;
mod weather;
mod worker;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::http::Caller;
use super::memory::{MIB, resident};
use super::relay::Relay;
use super::service::Process;
use super::shared::stand_in::StandIn;
use super::shared::until;
use super::table::Row;
use books::Books;
use weather::weather;
use worker::{Stage, Worker};

const WORKERS: u64 = 12;
/// An accepted disconnect takes effect within this.
const EFFECT: Duration = Duration::from_secs(2);

/// Memory in clear weather, when it is within this many bytes or after a while. Answers of 32 MiB may have been read a moment
/// ago, and the allocator gives their memory back only while there is traffic.
async fn late(stand_in: &StandIn, service: &Process, caller: &mut Caller, within: u64) -> u64 {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let late = resident(service.pid());
        if late < within || Instant::now() > until {
            return late;
        }
        for target in stand_in.targets(20) {
            let answer = caller.post(&target.path()).await.expect("an answer");
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

#[tokio::test(flavor = "multi_thread")]
async fn after_mixed_traffic_and_random_faults_the_account_balances() {
    let (seconds, seed) = (number("HANGUP_SOAK_SECONDS", 10), number("HANGUP_SOAK_SEED", 20_261_121));
    let stand_in = StandIn::new();
    let relay = Relay::to(stand_in.addr).await;
    let plan = stand_in
        .plan()
        .set("genesys.api_url", &format!("http://{}", relay.addr))
        .set("disconnect.deadline", "3s")
        .set("disconnect.attempt_timeout", "700ms")
        .set("pace.max_pause", "3s")
        .set("token.rejected_interval", "1s");
    let key = hangup::callers::new_key("soak").unwrap();
    let service = plan.keys(&key.toml.replace("\"read\"]", "\"read\", \"teardown\"]")).start().await;
    service.ready().await;
    let mut caller = service.caller();
    caller.headers = format!("x-api-key: {}\r\n", key.text);

    // The books are balanced at the end, so nothing may be forgotten before.
    stand_in.sandbox.change_settings(&json!({"ended_readable_for": "24h"})).expect("settings");
    let books: Arc<Mutex<Books>> = Arc::default();
    let stages: Arc<Mutex<HashSet<Uuid>>> = Arc::default();
    let common = Arc::new(Stage::set(&stand_in.sandbox));
    let began = Instant::now();
    let end = began + Duration::from_secs(seconds);
    let mut workers = JoinSet::new();
    for number in 0..WORKERS {
        let worker = Worker {
            caller: caller.fresh(),
            dice: StdRng::seed_from_u64(seed ^ (number + 1)),
            sandbox: stand_in.sandbox.clone(),
            books: Arc::clone(&books),
            stages: Arc::clone(&stages),
            common: Arc::clone(&common),
        };
        workers.spawn(worker.work(end));
    }
    let settled_in = async {
        // Memory counts from when connections, tables and the allocator have found their size. The allocator keeps what a burst needed.
        let (mut most, until) = (0, began + Duration::from_secs(seconds) * 2 / 3);
        while Instant::now() < until {
            sleep(Duration::from_millis(500)).await;
            most = most.max(resident(service.pid()));
        }
        most
    };
    let (changes, early) =
        tokio::join!(weather(&stand_in, &relay, common.id, StdRng::seed_from_u64(seed), end), settled_in);
    while let Some(done) = workers.join_next().await {
        done.expect("a worker's account");
    }
    sleep(EFFECT).await;

    let mut books = std::mem::take(&mut *books.lock().unwrap());
    let ends = books.see_jobs_through(&mut caller).await;
    let stages = std::mem::take(&mut *stages.lock().unwrap());
    println!("seed {seed}, {seconds} s, {changes} changes of weather: {:#?}; jobs: {ends:?}", books.answered);
    assert!(books.lost.is_empty(), "{} requests were not answered, such as {:?}", books.lost.len(), books.lost.first());
    assert!(books.malformed.is_empty(), "{} malformed, such as {:?}", books.malformed.len(), books.malformed.first());
    let slack = Duration::from_millis(500);
    assert!(books.slowest < Duration::from_secs(3) + slack, "the slowest took {:?}: {:?}", books.slowest, books.slow);
    books.balance(&stand_in.sandbox, &stages);
    let good: u64 = books.answered.iter().filter(|((_, status), _)| *status < 300).map(|(_, n)| n).sum();
    assert!(good * 4 > books.sent, "hardly anything succeeded: {:?}", books.answered);

    // All is well again in clear weather.
    let target = stand_in.target();
    let after =
        until(Duration::from_secs(8), async || caller.post(&target.path()).await.is_ok_and(|a| a.status == 200));
    assert!(after.await.is_some(), "no success in clear weather");
    // What is remembered for 10 s has not found its size when a short run is measured for the first time.
    let most = if seconds < 30 { 20 } else { 10 } * MIB;
    let growth = late(&stand_in, &service, &mut caller, early + most).await.saturating_sub(early);
    assert!(growth < most, "memory grew by {growth} bytes from {early}");
    Row {
        theme: "Everything at once",
        fault: "A soak: mixed traffic and random faults, seeded (75 s in CI, 900 s before a release)",
        callers_see: "Successes, and errors that say whether to retry",
        figure: "Every request is answered within deadline + 500 ms, all who were reported gone are gone and no one else is, every job ends; \
                 memory grows by less than 10 MiB in the last third",
        measured: format!(
            "{seconds} s, {} requests, {good} successes, {} jobs, {changes} changes of weather, memory +{} KiB",
            books.sent,
            books.jobs.len(),
            growth / 1024
        ),
        test: "soak::after_mixed_traffic_and_random_faults_the_account_balances",
        long_half: false,
    }
    .write();
}
