//! What runs out or blocks on our own side: descriptors, stdout, and a bug that panics.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use hangup::app::{App, UpstreamTransport};
use hangup::config::Config;
use hangup::genesys::answer::Body;
use hangup::genesys::error::CallError;
use http::{Request, Response};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tower::service_fn;
use tower::util::BoxCloneSyncService;

use super::callers::disconnects;
use super::http::Caller;
use super::memory::busy;
use super::service::PATIENCE;
use super::shared::stand_in::StandIn;
use super::shared::{free_addr, until};
use super::table::Row;

const THEME: &str = "hangup itself";

#[tokio::test(flavor = "multi_thread")]
async fn without_descriptors_it_waits_without_spinning_and_goes_on() {
    let stand_in = StandIn::new();
    let service = stand_in.start(stand_in.plan().descriptors(80)).await;
    let mut known = service.caller();
    assert_eq!(known.post(&stand_in.target().path()).await.unwrap().status, 200);

    let mut crowd = Vec::new();
    for _ in 0..300 {
        let mut caller = service.caller();
        caller.connect().await.unwrap();
        crowd.push(caller);
    }
    let full = async || service.log().contains("cannot accept connections");
    assert!(until(PATIENCE, full).await.is_some(), "{}", service.log());
    let before = busy(service.pid());
    sleep(Duration::from_secs(2)).await;
    let share = (busy(service.pid()) - before).as_secs_f64() / 2.0;
    assert!(share < 0.2, "it spins: {:.0} % of a processor", share * 100.0);
    // Who has a connection is served on, over the connection to the upstream that is open.
    let answer = known.post(&stand_in.target().path()).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());

    drop(crowd);
    let began = Instant::now();
    disconnects(&service, &[stand_in.target()], 1).await.none_failed();
    assert!(began.elapsed() < Duration::from_secs(3), "the next caller waits {:?}", began.elapsed());
    Row {
        theme: THEME,
        fault: "No file descriptors left: 300 connections at a limit of 80",
        callers_see: "New ones wait; those connected are served",
        figure: "Under 20 % of a processor; the next caller is served within 3 s once there is room",
        measured: format!("{:.1} % of a processor; served after {} ms", share * 100.0, began.elapsed().as_millis()),
        test: "exhaustion::without_descriptors_it_waits_without_spinning_and_goes_on",
        long_half: false,
    }
    .write();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_stdout_stalls_nobody() {
    let stand_in = StandIn::new();
    let port = || free_addr().to_string();
    let plan =
        stand_in.plan().set("server.bind", &port()).set("admin.bind", &port()).set("telemetry.log_level", "trace");
    let mut service = plan.set("shutdown.grace", "100ms").blocked_stdout().start().await;
    service.ready().await;
    // Some 400 bytes a line fill the pipe's 64 KiB many times over.
    let seen = disconnects(&service, &stand_in.targets(1_500), 20).await;
    seen.none_failed();
    assert!(seen.slowest() < Duration::from_secs(2), "{:?}", seen.slowest());
    service.signal("TERM");
    let status = service.ended(Duration::from_secs(10)).await.expect("it does not end");
    assert_eq!(status.code(), Some(0));
    Row {
        theme: THEME,
        fault: "stdout is a pipe that is not read",
        callers_see: "Nothing; log lines are dropped",
        figure: "1,500 disconnects at level trace: 0 fail, none takes over 2 s; exit 0 on SIGTERM",
        measured: format!("slowest {} ms", seen.slowest().as_millis()),
        test: "exhaustion::a_blocked_stdout_stalls_nobody",
        long_half: false,
    }
    .write();
}

/// The app in this process, over an upstream that is a bug: the binary has no switch that makes it panic.
#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_answered_and_the_next_request_is_fine() {
    let stand_in = StandIn::new();
    let upstream = format!("http://{}", stand_in.addr);
    let settings = [
        ("SERVER__BIND", "127.0.0.1:0"),
        ("GENESYS__CLIENT_ID", "sandbox"),
        ("GENESYS__CLIENT_SECRET", "sandbox-secret"),
    ];
    let mut environment: HashMap<String, String> =
        settings.iter().map(|(k, v)| (format!("HANGUP__{k}"), (*v).to_owned())).collect();
    environment.insert("HANGUP__STORE__URL".to_owned(), "memory".to_owned());
    environment.insert("HANGUP__GENESYS__API_URL".to_owned(), upstream.clone());
    environment.insert("HANGUP__GENESYS__LOGIN_URL".to_owned(), upstream);
    let config = Config::from_parts(None, environment).unwrap();
    let wire = hangup::genesys::exchange::Wire::new(&config.genesys, Duration::from_secs(1)).unwrap();
    let panics = CancellationToken::new();
    let bug = panics.clone();
    let exchange = BoxCloneSyncService::new(service_fn(move |request: Request<Bytes>| {
        assert!(!bug.is_cancelled(), "a bug, made for this test");
        let mut wire = wire.clone();
        async move { tower::Service::<Request<Bytes>>::call(&mut wire, request).await as Result<Response<Body>, CallError> }
    }));
    let app = App::build(config, UpstreamTransport::Over(exchange)).await.unwrap();
    let addr = app.addr().unwrap();
    let stop = CancellationToken::new();
    let running = tokio::spawn(app.run_until(stop.clone().cancelled_owned(), std::future::ready(())));

    let mut caller = Caller::new(addr);
    let up = until(Duration::from_secs(10), async || {
        caller.post(&stand_in.target().path()).await.is_ok_and(|a| a.status == 200)
    });
    assert!(up.await.is_some());
    panics.cancel();
    let disconnect = caller.post(&stand_in.target().path()).await.unwrap();
    assert_eq!((disconnect.status, disconnect.word().as_str()), (500, "internal"), "{}", disconnect.text());
    assert_eq!((&disconnect.json()["retryable"], &disconnect.json()["effect"]), (&true.into(), &"unknown".into()));
    let lookup = caller.get(&stand_in.target().list()).await.unwrap();
    assert_eq!((lookup.status, lookup.word().as_str()), (500, "internal"), "{}", lookup.text());
    assert_eq!(caller.get("/livez").await.unwrap().status, 200);
    stop.cancel();
    running.await.unwrap();
    Row {
        theme: THEME,
        fault: "A handler, or the task of a disconnect, panics (the app in the test's process, over an upstream client that panics)",
        callers_see: "500 `internal`, retryable, `effect: unknown`",
        figure: "Each is answered on its connection, and the next request on it is fine",
        measured: "2 of 2".to_owned(),
        test: "exhaustion::a_panic_is_answered_and_the_next_request_is_fine",
        long_half: false,
    }
    .write();
}
