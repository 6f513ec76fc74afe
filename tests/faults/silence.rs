//! What gives no sign: connections that go silent, addresses that drop what they get, a conversation that refuses everybody.

use std::net::SocketAddr;
use std::time::Duration;

use hangup::app::{App, UpstreamTransport};
use hangup::config::Config;
use hangup::genesys::exchange::{Resolver, Wire};
use hangup::sandbox::{Fault, On};
use serde_json::json;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tower::service_fn;
use tower::util::BoxCloneSyncService;

use super::callers::{Traffic, disconnects};
use super::http::Caller;
use super::relay::Relay;
use super::service::{Process, against};
use super::shared::stand_in::StandIn;
use super::shared::until;
use super::table::Row;

const ATTEMPT: Duration = Duration::from_secs(1);

/// Makes the service open this many connections to the upstream, and leaves them idle.
async fn open_connections(service: &Process, stand_in: &StandIn, count: usize) {
    stand_in.fault(Fault::latency(On::Api, Duration::from_millis(300)));
    disconnects(service, &stand_in.targets(count), count).await.none_failed();
    stand_in.sandbox.clear_faults();
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_connections_that_go_silent_cost_the_first_one_a_time_out_and_the_others_nothing() {
    let stand_in = StandIn::new();
    let relay = Relay::to(stand_in.addr).await;
    let plan = stand_in.plan().set("genesys.api_url", &format!("http://{}", relay.addr));
    let service = stand_in.start(plan.set("disconnect.attempt_timeout", "1s")).await;
    open_connections(&service, &stand_in, 30).await;
    relay.silence();
    let first = disconnects(&service, &stand_in.targets(1), 1).await;
    first.none_failed();
    assert!(first.slowest() < ATTEMPT + Duration::from_secs(1), "{:?}", first.slowest());
    let others = disconnects(&service, &stand_in.targets(10), 1).await;
    others.none_failed();
    assert!(others.slowest() < Duration::from_millis(500), "{:?}", others.slowest());

    // All at once.
    open_connections(&service, &stand_in, 30).await;
    relay.silence();
    let burst = disconnects(&service, &stand_in.targets(20), 20).await;
    burst.none_failed();
    assert!(burst.slowest() < ATTEMPT + Duration::from_secs(1), "{:?}", burst.slowest());
    Row {
        theme: "Connections",
        fault: "30 pooled connections to the upstream go silent (no FIN, no RST); new ones work",
        callers_see: "Only a delay",
        figure: "0 of 31 fail. One after the other: the first takes less than `attempt_timeout` + 1 s, the next 10 less than 500 ms. \
                 20 at once: each less than `attempt_timeout` + 1 s",
        measured: format!(
            "first {} ms, others {} ms, burst {} ms with an `attempt_timeout` of 1,000",
            first.slowest().as_millis(),
            others.slowest().as_millis(),
            burst.slowest().as_millis()
        ),
        test: "silence::thirty_connections_that_go_silent_cost_the_first_one_a_time_out_and_the_others_nothing",
        long_half: false,
    }
    .write();
}

/// An address that drops SYNs, as long as it is kept: a listener whose backlog is full.
struct Dropping {
    addr: SocketAddr,
    _held: (TcpListener, Vec<TcpStream>),
}

impl Dropping {
    async fn at(addr: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(addr).unwrap();
        let listener = socket.listen(1).unwrap();
        let addr = listener.local_addr().unwrap();
        let mut filling = Vec::new();
        while let Ok(connected) = timeout(Duration::from_millis(300), TcpStream::connect(addr)).await {
            filling.push(connected.unwrap());
            assert!(filling.len() < 100, "this system drops no SYNs");
        }
        Self { addr, _held: (listener, filling) }
    }
}

/// The service in this process, with a resolver that knows `upstream.test` by these addresses.
async fn service_with(addresses: Vec<SocketAddr>, port: u16) -> (Caller, CancellationToken) {
    let upstream = format!("http://upstream.test:{port}");
    let settings = [
        ("SERVER__BIND", "127.0.0.1:0"),
        ("GENESYS__CLIENT_ID", "sandbox"),
        ("GENESYS__CLIENT_SECRET", "sandbox-secret"),
        ("GENESYS__API_URL", &upstream),
        ("GENESYS__LOGIN_URL", &upstream),
    ];
    let environment = settings.iter().map(|(k, v)| (format!("HANGUP__{k}"), (*v).to_owned())).collect();
    let config = Config::from_parts(None, environment).unwrap();
    let resolver: Resolver = BoxCloneSyncService::new(service_fn(move |_| {
        std::future::ready(Ok::<_, std::io::Error>(addresses.clone().into_iter()))
    }));
    let wire = Wire::with_resolver(&config.genesys, config.disconnect.connect_timeout, resolver).unwrap();
    let app = App::build(config, UpstreamTransport::Over(BoxCloneSyncService::new(wire))).await.unwrap();
    let caller = Caller::new(app.addr().unwrap());
    let stop = CancellationToken::new();
    tokio::spawn(app.run_until(stop.clone().cancelled_owned(), std::future::ready(())));
    (caller, stop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_of_whose_two_addresses_the_first_drops_everything_is_reached_by_the_second() {
    let stand_in = StandIn::new();
    let dropping = Dropping::at(SocketAddr::new([127, 0, 0, 2].into(), stand_in.addr.port())).await;
    let (mut caller, stop) = service_with(vec![dropping.addr, stand_in.addr], stand_in.addr.port()).await;
    let began = Instant::now();
    let ready = until(Duration::from_secs(10), async || caller.get("/readyz").await.is_ok_and(|a| a.status == 200));
    assert!(ready.await.is_some_and(|time| time < Duration::from_secs(2)), "ready after {:?}", began.elapsed());
    let (first, second) = (stand_in.target(), stand_in.target());
    let answer = caller.post(&first.path()).await.unwrap();
    assert_eq!((answer.status, answer.word().as_str()), (200, "accepted"), "{}", answer.text());
    assert!(answer.took < Duration::from_millis(1500), "{:?}", answer.took);
    let again = caller.post(&second.path()).await.unwrap();
    assert!(again.status == 200 && again.took < Duration::from_millis(500), "{:?}", again.took);
    assert!(stand_in.only_these_are_gone(&[first, second]).await);
    stop.cancel();
    Row {
        theme: "Connections",
        fault: "The upstream's name has two addresses, and the first drops every SYN (the app in the test's process, with a resolver of its own)",
        callers_see: "Only half a second of delay for each new connection",
        figure: "Ready within 2 s; the first disconnect takes less than 1.5 s, the next less than 500 ms",
        measured: format!("{} ms, then {} ms", answer.took.as_millis(), again.took.as_millis()),
        test: "silence::a_name_of_whose_two_addresses_the_first_drops_everything_is_reached_by_the_second",
        long_half: false,
    }
    .write();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_drops_everything_has_had_no_effect() {
    let stand_in = StandIn::new();
    let dropping = Dropping::at(([127, 0, 0, 1], 0).into()).await;
    let service = against(stand_in.addr).set("genesys.api_url", &format!("http://{}", dropping.addr)).start().await;
    service.ready().await;
    let refused = disconnects(&service, &stand_in.targets(20), 20).await;
    assert_eq!(refused.account(), [("503 upstream_unavailable".to_owned(), 20)].into(), "{:?}", refused.failures);
    for (_, answer) in &refused.answers {
        assert_eq!(answer.json()["effect"], "none", "{}", answer.text());
        assert!(answer.retry_after().is_some());
    }
    assert!(refused.slowest() < Duration::from_secs(10), "{:?}", refused.slowest());
    // Given up while it still waits for its connection.
    let hurried = against(stand_in.addr)
        .set("genesys.api_url", &format!("http://{}", dropping.addr))
        .set("disconnect.deadline", "500ms")
        .start()
        .await;
    hurried.ready().await;
    let given_up = disconnects(&hurried, &stand_in.targets(5), 5).await;
    assert_eq!(given_up.account(), [("503 upstream_unavailable".to_owned(), 5)].into(), "{:?}", given_up.failures);
    assert!(given_up.answers.iter().all(|(_, answer)| answer.json()["effect"] == "none"));
    Row {
        theme: "Connections",
        fault: "The upstream's only address drops every SYN",
        callers_see: "503 `upstream_unavailable` with `effect: none` and `Retry-After`",
        figure: "20 of 20, all before the deadline",
        measured: format!("slowest {} ms", refused.slowest().as_millis()),
        test: "silence::an_address_that_drops_everything_has_had_no_effect",
        long_half: false,
    }
    .write();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_poisoned_conversation_fails_no_other_and_makes_few_logins() {
    let stand_in = StandIn::new();
    let service = stand_in.start(stand_in.plan()).await;
    let poisoned = stand_in.target();
    stand_in.rule(json!({"on": "api", "conversation": poisoned.conversation, "action": "unauthorized"}));
    stand_in.sandbox.clear_journal();
    let began = Instant::now();
    let traffic = Traffic::start(&service, &stand_in, 40);
    let mut caller = service.caller();
    let mut refusals = std::collections::BTreeMap::<_, usize>::new();
    while began.elapsed() < Duration::from_secs(8) {
        let answer = caller.post(&poisoned.path()).await.expect("an answer");
        *refusals.entry(format!("{} {}", answer.status, answer.word())).or_default() += 1;
        sleep(Duration::from_millis(50)).await;
    }
    let most = 1 + began.elapsed().as_millis() / 1500;
    let good = traffic.end().await;
    good.none_failed();
    let logins = stand_in.sandbox.counts().logins();
    assert!(logins as u128 <= most, "{logins} logins, at most {most}");
    assert_eq!(refusals.keys().collect::<Vec<_>>(), ["422 upstream_rejected"], "{refusals:?}");
    Row {
        theme: "The login and its tokens",
        fault: "One conversation answers 401 to every token, and a caller repeats it every 50 ms",
        callers_see: "422 `upstream_rejected` for that one, nothing for the others",
        figure: "8 s at 40 good disconnects a second: 0 fail; at most one login every 1.5 s",
        measured: format!("{} good ones, {refusals:?}, {logins} logins", good.total()),
        test: "silence::one_poisoned_conversation_fails_no_other_and_makes_few_logins",
        long_half: false,
    }
    .write();
}
