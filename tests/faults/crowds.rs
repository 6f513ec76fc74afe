//! Crowds: thousands of callers that are slow on purpose, and ten thousand that are not.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hangup::sandbox::{Fault, On};
use tokio::io::AsyncReadExt;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep, timeout};

use super::callers::{Seen, Traffic, disconnects};
use super::http::Caller;
use super::memory::resident;
use super::service::Process;
use super::shared::stand_in::StandIn;
use super::shared::wire::Wire;
use super::table::{Row, left_out, long};

const THEME: &str = "Many callers at once";

/// One client that never completes its request. Answers after which time it was cut off.
async fn dribble(service: SocketAddr, path: String, body: bool) -> Duration {
    let began = Instant::now();
    let head = if body {
        format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n{{")
    } else {
        format!("POST {path} HTTP/1.1\r\nhost: localhost\r\nx-slow: ")
    };
    let Ok(mut wire) = Wire::connect(service).await else { return began.elapsed() };
    if wire.send(&head).await.is_err() {
        return began.elapsed();
    }
    let mut beat = interval(Duration::from_secs(1));
    let mut waste = [0_u8; 1024];
    loop {
        tokio::select! {
            read = wire.stream.read(&mut waste) => match read {
                Ok(0) | Err(_) => return began.elapsed(),
                Ok(_) => {}
            },
            _ = beat.tick() => if wire.stream.try_write(b" ").is_err_and(|e| e.kind() != std::io::ErrorKind::WouldBlock) {
                return began.elapsed();
            },
        }
    }
}

/// Starts `count` of them within about three seconds. Returns the time after which the last was cut off.
fn attack(service: SocketAddr, path: &str, count: usize) -> Duration {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut crowd = JoinSet::new();
        for number in 0..count {
            crowd.spawn(dribble(service, path.to_owned(), number % 2 == 0));
            if number % (count / 100).max(1) == 0 {
                sleep(Duration::from_millis(30)).await;
            }
        }
        crowd.join_all().await.into_iter().max().unwrap_or_default()
    })
}

async fn good_traffic(service: &Process, stand_in: &StandIn, time: Duration) -> Seen {
    let traffic = Traffic::start(service, stand_in, 50);
    sleep(time).await;
    traffic.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_that_send_half_a_request_are_cut_and_the_others_hardly_notice() {
    let count = if long() { 5_000 } else { 500 };
    let stand_in = StandIn::new();
    let service = stand_in.start(stand_in.plan()).await;
    let before = good_traffic(&service, &stand_in, Duration::from_secs(3)).await;
    before.none_failed();

    // In a thread of its own, so that what is measured is the service's trouble and not its callers'.
    let (addr, path) = (service.addr, stand_in.target().path());
    let attack = tokio::task::spawn_blocking(move || attack(addr, &path, count));
    let (during, slowest) = tokio::join!(good_traffic(&service, &stand_in, Duration::from_secs(10)), attack);
    let slowest = slowest.expect("no panic");
    assert!(slowest < Duration::from_secs(10), "the last was cut after {slowest:?}");
    during.none_failed();
    let bound = (before.p99() * 2).max(Duration::from_millis(20));
    if long() {
        assert!(during.p99() <= bound, "p99 {:?} before, {:?} during", before.p99(), during.p99());
        Row {
            theme: THEME,
            fault: "5,000 clients send half a request head, or a body very slowly",
            callers_see: "Nothing; the slow ones are cut off, those in the body after a 400 `invalid_body`",
            figure: "All cut within 10 s; 0 good requests fail, their p99 at most doubles (floor 20 ms)",
            measured: format!(
                "the last cut after {:.1} s; p99 {:.1} ms before, {:.1} ms during",
                slowest.as_secs_f64(),
                before.p99().as_secs_f64() * 1e3,
                during.p99().as_secs_f64() * 1e3
            ),
            test: "crowds::thousands_that_send_half_a_request_are_cut_and_the_others_hardly_notice",
            long_half: true,
        }
        .write();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_of_one_address_and_of_many_lock_nobody_out() {
    const TEST: &str = "crowds::idle_connections_of_one_address_and_of_many_lock_nobody_out";
    let stand_in = StandIn::new();
    let plan = stand_in.plan().set("server.max_connections_per_address", "512").set("server.max_connections", "1000");
    let service = stand_in.start(plan).await;
    let addr = service.addr;
    // Each opens its connection and says nothing, again and again.
    let crowd = tokio::spawn(async move {
        let mut held = Vec::new();
        for number in 0..6_000_u32 {
            // Two thousand from one address, the others from three more.
            let last = 2 + number.saturating_sub(2_000).min(1) * (1 + number % 3);
            let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
            socket.bind(([127, 0, 0, last as u8], 0).into()).expect("an address of this machine");
            if let Ok(stream) = socket.connect(addr).await {
                held.push(stream);
            }
            if number % 100 == 0 {
                sleep(Duration::from_millis(20)).await;
            }
        }
        held
    });
    let mut seen = Seen::default();
    while !crowd.is_finished() {
        let more = disconnects(&service, &stand_in.targets(20), 4).await;
        more.none_failed();
        seen.answers.extend(more.answers);
    }
    let held = crowd.await.expect("no panic");
    let began = Instant::now();
    disconnects(&service, &stand_in.targets(20), 4).await.none_failed();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(stand_in.only_these_are_gone(&seen.gone()).await);
    Row {
        theme: THEME,
        fault: "6,000 idle connections, 2,000 of them of one address, where 1,000 may be open",
        callers_see: "Nothing",
        figure: "0 errors; an address holds 512 connections at most, and at the limit, the one idle longest is closed",
        measured: format!("{} disconnects beside {} connections", seen.total(), held.len()),
        test: TEST,
        long_half: false,
    }
    .write();
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_callers_at_a_slow_upstream_are_served_or_asked_to_come_back() {
    const TEST: &str = "crowds::ten_thousand_callers_at_a_slow_upstream_are_served_or_asked_to_come_back";
    const CALLERS: usize = 10_000;
    const ADMITTED: usize = 2_048;
    if left_out(TEST) {
        return;
    }
    let stand_in = StandIn::new();
    // Slow enough that everybody has come before the first is answered.
    let plan = stand_in.plan().set("disconnect.deadline", "55s").set("disconnect.attempt_timeout", "50s");
    let service = stand_in.start(plan).await;
    disconnects(&service, &stand_in.targets(200), 50).await.none_failed();
    let empty = resident(service.pid());

    // Each has been served once, so that it has all that an idle connection has.
    let some = Arc::new(Semaphore::new(100));
    let mut served = JoinSet::new();
    for _ in 0..CALLERS {
        let (mut caller, some) = (service.caller(), Arc::clone(&some));
        served.spawn(async move {
            let _turn = some.acquire().await.expect("it is open");
            assert_eq!(caller.get("/nowhere").await.expect("an answer").status, 404);
            caller
        });
    }
    let callers: Vec<Caller> = served.join_all().await;
    let per_connection = (resident(service.pid()) - empty) / CALLERS as u64;

    stand_in.fault(Fault::latency(On::Disconnect, Duration::from_secs(20)));
    stand_in.sandbox.clear_journal();
    let mut tasks = JoinSet::new();
    for (mut caller, target) in callers.into_iter().zip(stand_in.targets(CALLERS)) {
        tasks.spawn(async move { (target, caller.post(&target.path()).await) });
    }
    let mut seen = Seen::default();
    let all = async {
        while let Some(done) = tasks.join_next().await {
            let (target, answer) = done.expect("no panic");
            seen.take(target, answer);
        }
    };
    timeout(Duration::from_secs(90), all).await.expect("everybody is answered");
    let counts = stand_in.sandbox.counts();
    let account = seen.account();
    assert!(seen.failures.is_empty(), "{:?}", seen.failures.first());
    assert_eq!(account.get("200 accepted"), Some(&ADMITTED), "{account:?}");
    assert_eq!(account.get("503 overloaded"), Some(&(CALLERS - ADMITTED)), "{account:?}");
    assert!(counts.max_in_flight <= ADMITTED as u64, "{counts:?}");
    assert!(seen.answers.iter().filter(|(_, a)| a.status == 503).all(|(_, a)| a.retry_after() == Some(1)));
    assert!(per_connection < 64 * 1024, "{per_connection} bytes per connection");
    assert!(stand_in.only_these_are_gone(&seen.gone()).await);
    Row {
        theme: THEME,
        fault: "10,000 connections ask at once, and the upstream takes 20 s",
        callers_see: "2,048 (`limits.max_in_flight`) are served, the others get 503 `overloaded` with `Retry-After`",
        figure: "2,048 accepted, 7,952 shed, 0 resets, never more than 2,048 upstream; under 64 KiB of memory per connection",
        measured: format!("{} bytes per idle connection", per_connection),
        test: TEST,
        long_half: true,
    }
    .write();
}
