//! The sandbox over sockets: what only a real connection can show.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use hangup::config::Surface;
use hangup::sandbox::{Action, BodyFault, BodyKind, Cut, Fault, On};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::sandbox::helpers::Org;
use crate::shared::stand_in::serve;
use crate::shared::wire::{Wire, request};
use crate::support::until;

struct Server {
    org: Org,
    addr: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<std::io::Result<()>>,
}

impl Server {
    fn start() -> Self {
        let org = Org::new(Surface::Published);
        let (addr, stop, task) = serve(&org.sandbox);
        Self { org, addr, stop, task }
    }

    fn fault(&self, fault: Fault) {
        self.org.sandbox.set_faults(vec![fault]).expect("a rule");
    }

    async fn connect(&self) -> Wire {
        Wire::connect(self.addr).await.expect("a connection")
    }

    /// Whether the port takes connections.
    async fn connects(&self) -> bool {
        TcpStream::connect(self.addr).await.is_ok()
    }

    fn read_request(&self) -> String {
        request("GET", &self.conversation(), &self.authorization(), None)
    }

    fn patch_request(&self) -> String {
        let path = format!("{}/participants/{}", self.conversation(), self.org.agent());
        request("PATCH", &path, &self.authorization(), Some(r#"{"state":"disconnected"}"#))
    }

    fn conversation(&self) -> String {
        format!("/api/v2/conversations/{}", self.org.conference.id)
    }

    fn authorization(&self) -> String {
        format!("authorization: Bearer {}\r\n", self.org.token)
    }
}

#[tokio::test]
async fn a_connection_serves_one_request_after_the_other() {
    let server = Server::start();
    let mut caller = server.connect().await;
    for _ in 0..3 {
        let answer = caller.exchange(&server.read_request()).await.expect("an answer");
        assert!(answer.head.starts_with("HTTP/1.1 200 OK"), "{answer:?}");
    }
    let reused: Vec<_> = server.org.sandbox.journal().iter().map(|e| (e.connection, e.reused)).collect();
    assert_eq!(reused, [(Some(1), false), (Some(1), true), (Some(1), true)]);
    server.stop.cancel();
    server.task.await.expect("no panic").expect("served");
    assert!(TcpStream::connect(server.addr).await.is_err());
}

#[tokio::test]
async fn a_reused_connection_is_reset_at_the_moment_of_use_and_a_new_one_is_not() {
    let server = Server::start();
    server.fault(Fault { reused: true, ..Fault::new(On::Any, Action::Reset) });
    for _ in 0..20 {
        let mut caller = server.connect().await;
        caller.exchange(&server.read_request()).await.expect("the first is served");
        let error = caller.exchange(&server.patch_request()).await.expect_err("reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
    let counts = server.org.sandbox.counts();
    assert_eq!((counts.status(200), counts.status(0), counts.effects), (20, 20, 0));
}

#[tokio::test]
async fn a_connection_is_closed_before_the_answer_without_a_reset() {
    let server = Server::start();
    server.fault(Fault::new(On::Patch, Action::Close));
    let error = server.connect().await.exchange(&server.patch_request()).await.expect_err("closed");
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::UnexpectedEof, ""));
}

#[tokio::test]
async fn a_lost_answer_takes_effect() {
    let server = Server::start();
    server.org.sandbox.change_settings(&serde_json::json!({"effect_delay": "0s"})).expect("settings");
    server.fault(Fault::new(On::Patch, Action::LostAnswer(Cut::Reset)));
    let error = server.connect().await.exchange(&server.patch_request()).await.expect_err("reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert!(!server.org.live(server.org.agent()));
}

#[tokio::test]
async fn new_connections_are_reset_as_they_come() {
    let server = Server::start();
    server.fault(Fault::new(On::Connection, Action::Reset).times(3));
    for _ in 0..3 {
        let mut caller = server.connect().await;
        assert!(caller.exchange(&server.read_request()).await.is_err());
    }
    server.connect().await.exchange(&server.read_request()).await.expect("used up");
    assert_eq!(server.org.sandbox.counts().connections, 4);
}

#[tokio::test]
async fn a_half_open_connection_says_nothing_and_stays() {
    let server = Server::start();
    server.fault(Fault::new(On::Connection, Action::HalfOpen).times(1));
    let mut caller = server.connect().await;
    caller.send(&server.read_request()).await.expect("sent");
    assert!(caller.is_quiet().await);
    server.fault(Fault::new(On::Read, Action::HalfOpen));
    let mut caller = server.connect().await;
    caller.send(&server.read_request()).await.expect("sent");
    assert!(caller.is_quiet().await);
    let began = Instant::now();
    server.stop.cancel();
    server.task.await.expect("no panic").expect("served");
    assert!(began.elapsed() < Duration::from_secs(4), "stopping does not wait for it");
}

#[tokio::test]
async fn connections_are_refused_for_a_while_open_ones_are_reset_and_the_port_comes_back() {
    let server = Server::start();
    let mut open = server.connect().await;
    open.exchange(&server.read_request()).await.expect("served");
    let mut control = server.connect().await;
    let rule = r#"{"on":"connection","action":"refuse","for":"300ms"}"#;
    let request = request("POST", "/sandbox/faults", "", Some(rule));
    let answer = control.exchange(&request).await.expect("the control call is answered");
    assert_eq!(answer.status, 201, "{answer:?}");
    assert!(open.exchange(&server.read_request()).await.is_err());
    let refused = TcpStream::connect(server.addr).await.map(|_| ()).map_err(|e| e.kind());
    assert_eq!(refused, Err(ErrorKind::ConnectionRefused));
    until(async || server.connects().await).await;
    server.connect().await.exchange(&server.read_request()).await.expect("served again");
}

#[tokio::test]
async fn a_request_that_arrives_as_the_listener_goes_down_is_not_served() {
    let server = Server::start();
    for _ in 0..20 {
        let mut open = server.connect().await;
        open.exchange(&server.read_request()).await.expect("served");
        // One thread: the request lies in the socket when the connection's task hears of both.
        open.send(&server.patch_request()).await.expect("sent");
        server.org.sandbox.refuse_connections(Duration::from_secs(600));
        let error = open.stream.read_u8().await.expect_err("reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        server.org.sandbox.clear_faults();
        until(async || server.connects().await).await;
    }
    assert_eq!(server.org.sandbox.counts().disconnects(), 0);
}

#[tokio::test]
async fn a_listener_that_is_down_comes_back_when_the_faults_are_cleared() {
    let server = Server::start();
    let mut open = server.connect().await;
    open.exchange(&server.read_request()).await.expect("served");
    server.org.sandbox.clear_faults();
    open.exchange(&server.read_request()).await.expect("clearing nothing breaks nothing");
    server.org.sandbox.refuse_connections(Duration::from_secs(600));
    assert!(open.exchange(&server.read_request()).await.is_err());
    server.org.sandbox.clear_faults();
    until(async || server.connects().await).await;
}

#[tokio::test]
async fn a_truncated_body_ends_early_and_a_broken_chunk_is_one() {
    let server = Server::start();
    let with = |kind| Fault::new(On::Read, Action::Body(BodyFault { kind, status: None, bytes: 0 }));
    server.fault(with(BodyKind::Truncated));
    let error = server.connect().await.exchange(&server.read_request()).await.expect_err("too short");
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    assert!(error.to_string().starts_with("HTTP/1.1 200 OK"), "{error}");

    server.fault(with(BodyKind::ChunkError));
    let mut caller = server.connect().await;
    caller.send(&server.read_request()).await.expect("sent");
    let mut seen = String::new();
    caller.stream.read_to_string(&mut seen).await.expect("closed in order");
    assert!(seen.contains("transfer-encoding: chunked") && seen.ends_with("\r\nno size\r\n"), "{seen}");
}

#[tokio::test]
async fn a_thousand_connections_at_once_are_served() {
    let server = Server::start();
    let request = server.read_request().replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n");
    server.org.sandbox.change_settings(&serde_json::json!({"rate_limit": 5000})).expect("settings");
    server.fault(Fault::latency(On::Read, Duration::from_millis(300)));
    let calls: Vec<_> = (0..1_000)
        .map(|_| {
            let (address, request) = (server.addr, request.clone());
            tokio::spawn(async move { Wire::connect(address).await?.exchange(&request).await })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.expect("no panic").expect("an answer").status, 200);
    }
    assert!(server.org.sandbox.counts().max_in_flight > 100);
}
