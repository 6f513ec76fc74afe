//! The sandbox over sockets: what only a real connection can show.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use hangup::config::Surface;
use hangup::sandbox::{Action, BodyFault, BodyKind, Cut, Fault, On};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::sandbox::helpers::Stand;
use crate::shared::serve;
use crate::support::until;

struct Server {
    stand: Stand,
    addr: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<std::io::Result<()>>,
}

impl Server {
    fn start() -> Self {
        let stand = Stand::new(Surface::Published);
        let (addr, stop, task) = serve(&stand.sandbox);
        Self { stand, addr, stop, task }
    }

    fn fault(&self, fault: Fault) {
        self.stand.sandbox.set_faults(vec![fault]).expect("a rule");
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.addr).await.expect("a connection")
    }

    /// Whether the port takes connections.
    async fn connects(&self) -> bool {
        TcpStream::connect(self.addr).await.is_ok()
    }

    fn read_request(&self) -> String {
        let (id, token) = (self.stand.conference.id, &self.stand.token);
        format!("GET /api/v2/conversations/{id} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n")
    }

    fn patch_request(&self) -> String {
        let (id, agent, token) = (self.stand.conference.id, self.stand.agent(), &self.stand.token);
        let body = r#"{"state":"disconnected"}"#;
        format!(
            "PATCH /api/v2/conversations/{id}/participants/{agent} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        )
    }
}

/// Sends a request and reads one answer: its head, and its body by `content-length`.
async fn exchange(stream: &mut TcpStream, request: &str) -> std::io::Result<String> {
    stream.write_all(request.as_bytes()).await?;
    let mut seen = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&seen).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|l| l.to_lowercase().strip_prefix("content-length: ").map(str::to_owned));
            if body.len() >= length.map_or(0, |l| l.parse().expect("a length")) {
                return Ok(text);
            }
        }
        let mut piece = [0_u8; 16_384];
        match timeout(Duration::from_secs(5), stream.read(&mut piece)).await.expect("in time")? {
            0 => return Err(std::io::Error::new(ErrorKind::UnexpectedEof, text)),
            n => seen.extend_from_slice(&piece[..n]),
        }
    }
}

#[tokio::test]
async fn a_connection_serves_one_request_after_the_other() {
    let server = Server::start();
    let mut stream = server.connect().await;
    for _ in 0..3 {
        let answer = exchange(&mut stream, &server.read_request()).await.expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    }
    let reused: Vec<_> = server.stand.sandbox.journal().iter().map(|e| (e.connection, e.reused)).collect();
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
        let mut stream = server.connect().await;
        exchange(&mut stream, &server.read_request()).await.expect("the first is served");
        let error = exchange(&mut stream, &server.patch_request()).await.expect_err("reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
    let counts = server.stand.sandbox.counts();
    assert_eq!((counts.status(200), counts.status(0), counts.effects), (20, 20, 0));
}

#[tokio::test]
async fn a_connection_is_closed_before_the_answer_without_a_reset() {
    let server = Server::start();
    server.fault(Fault::new(On::Patch, Action::Close));
    let error = exchange(&mut server.connect().await, &server.patch_request()).await.expect_err("closed");
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::UnexpectedEof, ""));
}

#[tokio::test]
async fn a_lost_answer_takes_effect() {
    let server = Server::start();
    server.stand.sandbox.change_settings(&serde_json::json!({"effect_delay": "0s"})).expect("settings");
    server.fault(Fault::new(On::Patch, Action::LostAnswer(Cut::Reset)));
    let error = exchange(&mut server.connect().await, &server.patch_request()).await.expect_err("reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert!(!server.stand.live(server.stand.agent()));
}

#[tokio::test]
async fn new_connections_are_reset_as_they_come() {
    let server = Server::start();
    server.fault(Fault::new(On::Connection, Action::Reset).times(3));
    for _ in 0..3 {
        let mut stream = server.connect().await;
        assert!(exchange(&mut stream, &server.read_request()).await.is_err());
    }
    exchange(&mut server.connect().await, &server.read_request()).await.expect("used up");
    assert_eq!(server.stand.sandbox.counts().connections, 4);
}

#[tokio::test]
async fn a_half_open_connection_says_nothing_and_stays() {
    let server = Server::start();
    server.fault(Fault::new(On::Connection, Action::HalfOpen).times(1));
    let mut stream = server.connect().await;
    stream.write_all(server.read_request().as_bytes()).await.expect("sent");
    assert!(timeout(Duration::from_millis(150), stream.read_u8()).await.is_err());
    server.fault(Fault::new(On::Read, Action::HalfOpen));
    let mut stream = server.connect().await;
    stream.write_all(server.read_request().as_bytes()).await.expect("sent");
    assert!(timeout(Duration::from_millis(150), stream.read_u8()).await.is_err());
    let began = Instant::now();
    server.stop.cancel();
    server.task.await.expect("no panic").expect("served");
    assert!(began.elapsed() < Duration::from_secs(4), "stopping does not wait for it");
}

#[tokio::test]
async fn connections_are_refused_for_a_while_open_ones_are_reset_and_the_port_comes_back() {
    let server = Server::start();
    let mut open = server.connect().await;
    exchange(&mut open, &server.read_request()).await.expect("served");
    let mut control = server.connect().await;
    let rule = r#"{"on":"connection","action":"refuse","for":"300ms"}"#;
    let request = format!("POST /sandbox/faults HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{rule}", rule.len());
    let answer = exchange(&mut control, &request).await.expect("whoever switches it hears of it");
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    assert!(exchange(&mut open, &server.read_request()).await.is_err());
    let refused = TcpStream::connect(server.addr).await.map(|_| ()).map_err(|e| e.kind());
    assert_eq!(refused, Err(ErrorKind::ConnectionRefused));
    until(async || server.connects().await).await;
    exchange(&mut server.connect().await, &server.read_request()).await.expect("served again");
}

#[tokio::test]
async fn a_request_that_arrives_as_the_listener_goes_down_is_not_served() {
    let server = Server::start();
    for _ in 0..20 {
        let mut open = server.connect().await;
        exchange(&mut open, &server.read_request()).await.expect("served");
        // One thread: the request lies in the socket when the connection's task hears of both.
        open.write_all(server.patch_request().as_bytes()).await.expect("sent");
        server.stand.sandbox.refuse_connections(Duration::from_secs(600));
        let error = open.read_u8().await.expect_err("reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        server.stand.sandbox.clear_faults();
        until(async || server.connects().await).await;
    }
    assert_eq!(server.stand.sandbox.counts().disconnects(), 0);
}

#[tokio::test]
async fn a_listener_that_is_down_comes_back_when_the_faults_are_cleared() {
    let server = Server::start();
    let mut open = server.connect().await;
    exchange(&mut open, &server.read_request()).await.expect("served");
    server.stand.sandbox.clear_faults();
    exchange(&mut open, &server.read_request()).await.expect("clearing nothing breaks nothing");
    server.stand.sandbox.refuse_connections(Duration::from_secs(600));
    assert!(exchange(&mut open, &server.read_request()).await.is_err());
    server.stand.sandbox.clear_faults();
    until(async || server.connects().await).await;
}

#[tokio::test]
async fn a_truncated_body_ends_early_and_a_broken_chunk_is_one() {
    let server = Server::start();
    let with = |kind| Fault::new(On::Read, Action::Body(BodyFault { kind, status: None, bytes: 0 }));
    server.fault(with(BodyKind::Truncated));
    let error = exchange(&mut server.connect().await, &server.read_request()).await.expect_err("too short");
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    assert!(error.to_string().starts_with("HTTP/1.1 200 OK"), "{error}");

    server.fault(with(BodyKind::ChunkError));
    let mut stream = server.connect().await;
    stream.write_all(server.read_request().as_bytes()).await.expect("sent");
    let mut seen = String::new();
    stream.read_to_string(&mut seen).await.expect("closed in order");
    assert!(seen.contains("transfer-encoding: chunked") && seen.ends_with("\r\nno size\r\n"), "{seen}");
}

#[tokio::test]
async fn a_thousand_connections_at_once_are_served() {
    let server = Server::start();
    let request = server.read_request().replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n");
    server.stand.sandbox.change_settings(&serde_json::json!({"rate_limit": 5000})).expect("settings");
    server.fault(Fault::latency(On::Read, Duration::from_millis(300)));
    let calls: Vec<_> = (0..1_000)
        .map(|_| {
            let (address, request) = (server.addr, request.clone());
            tokio::spawn(async move { exchange(&mut TcpStream::connect(address).await?, &request).await })
        })
        .collect();
    for call in calls {
        assert!(call.await.expect("no panic").expect("an answer").starts_with("HTTP/1.1 200"));
    }
    assert!(server.stand.sandbox.counts().max_in_flight > 100);
}
