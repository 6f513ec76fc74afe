//! The server loop: answers, callers that leave, heads that cannot be read, drain.

use std::io::Write;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::AsyncWriteExt;

use crate::inbound::harness::{Caller, Server};
use crate::support::until;

#[tokio::test]
async fn a_request_is_answered_and_knows_its_peer() {
    let server = Server::start(|_| ());
    let mut caller = server.connect().await;
    let own = caller.0.local_addr().unwrap();
    let (head, body) = caller.get("/peer").await;
    assert!(head.starts_with("HTTP/1.1 200"));
    assert_eq!(body, format!("{own} false"));
}

#[tokio::test]
async fn a_caller_that_half_closes_gets_its_answer() {
    let server = Server::start(|_| ());
    let mut caller = server.connect().await;
    caller.send("GET /gate HTTP/1.1\r\nhost: x\r\n\r\n").await;
    caller.0.shutdown().await.unwrap();
    assert!(caller.is_quiet().await);
    server.gate.add_permits(1);
    assert_eq!(caller.answer().await.1, "through");
    assert_eq!(caller.closed().await, b"");
    assert_eq!(server.left.load(Ordering::Relaxed), 0);
    server.open(0).await;
}

#[tokio::test]
async fn a_caller_that_half_closes_gets_all_answers_to_what_it_sent() {
    let server = Server::start(|_| ());
    let mut caller = server.connect().await;
    caller.send("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nbody").await;
    caller.send("GET /gate HTTP/1.1\r\nhost: x\r\n\r\nGET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    caller.0.shutdown().await.unwrap();
    assert_eq!(caller.answer().await.1, "body");
    assert!(caller.is_quiet().await);
    server.gate.add_permits(1);
    assert_eq!(caller.answer().await.1, "through");
    assert_eq!(caller.answer().await.1, "hello");
    assert_eq!(caller.closed().await, b"");
}

#[tokio::test]
async fn a_caller_that_half_closes_within_its_body_is_not_waited_for() {
    let server = Server::start(|_| ());
    let mut caller = server.connect().await;
    caller.send("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nbo").await;
    caller.0.shutdown().await.unwrap();
    caller.closed().await;
    server.open(0).await;
}

#[tokio::test]
async fn a_caller_that_resets_has_left() {
    let server = Server::start(|_| ());
    let mut caller = server.connect().await;
    caller.send("GET /gate HTTP/1.1\r\nhost: x\r\n\r\n").await;
    server.open(1).await;
    assert!(caller.is_quiet().await);
    caller.0.set_zero_linger().unwrap();
    drop(caller);
    until(async || server.left.load(Ordering::Relaxed) == 1).await;
    server.open(0).await;
}

#[tokio::test]
async fn heads_that_cannot_be_read_are_refused_and_the_connection_closes() {
    let server = Server::start(|_| ());
    let long = "x".repeat(40 << 10);
    let cases = [
        ("GET / HTTP/1.1\r\nbad header: x\r\n\r\n".to_owned(), "400"),
        ("nonsense\r\n\r\n".to_owned(), "400"),
        (format!("GET / HTTP/1.1\r\nhost: x\r\nx-long: {long}\r\n\r\n"), "431"),
        (format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(200)), "431"),
        (format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "x".repeat(66 << 10)), "4"),
    ];
    let count = cases.len() as u64;
    for (request, status) in cases {
        let mut caller = server.connect().await;
        caller.send(&request).await;
        let (head, body) = caller.answer().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{head}");
        assert_eq!(body, "");
        assert_eq!(caller.closed().await, b"");
    }
    until(async || server.stats.refused_heads() == count).await;
}

#[tokio::test]
async fn an_answer_survives_a_body_that_nobody_reads() {
    let server = Server::start(|_| ());
    let mut caller = server.connect().await;
    let body = "x".repeat(2 << 20);
    caller.send(&format!("POST /unread HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len())).await;
    // Sent to the end before the answer is read, as simple clients do.
    caller.send(&body).await;
    assert_eq!(caller.answer().await.1, "not read");
    drop(caller);
    server.open(0).await;
}

#[tokio::test]
async fn a_body_that_is_read_keeps_the_connection() {
    let server = Server::start(|_| ());
    let mut caller = server.connect().await;
    for _ in 0..3 {
        caller.send("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nbody").await;
        assert_eq!(caller.answer().await.1, "body");
    }
    assert_eq!(server.stats.accepted(), 1);
}

#[tokio::test]
async fn stop_ends_waiting_and_half_sent_requests_at_once_and_finishes_those_under_way() {
    let server = Server::start(|settings| settings.header_timeout = Duration::from_secs(60));
    let mut idle = server.connect().await;
    idle.get("/").await;
    let mut half = server.connect().await;
    half.send("GET / HTTP/1.1\r\nhost: ").await;
    let mut pipelined = server.connect().await;
    pipelined.send("GET / HTTP/1.1\r\nhost: x\r\n\r\nGET / HT").await;
    pipelined.answer().await;
    let mut silent = server.connect().await;
    let mut busy = server.connect().await;
    busy.send("GET /gate HTTP/1.1\r\nhost: x\r\n\r\n").await;
    server.open(5).await;
    // Lets the server read what was sent.
    tokio::time::sleep(Duration::from_millis(100)).await;

    server.stop.cancel();
    for caller in [&mut idle, &mut half, &mut pipelined, &mut silent] {
        assert_eq!(caller.closed().await, b"");
    }
    server.open(1).await;
    server.gate.add_permits(1);
    let (head, body) = busy.answer().await;
    assert!(head.contains("connection: close"), "{head}");
    assert_eq!(body, "through");
    server.ended().await;
}

#[tokio::test]
async fn kill_drops_what_is_left() {
    let server = Server::start(|_| ());
    let mut busy = server.connect().await;
    busy.send("GET /gate HTTP/1.1\r\nhost: x\r\n\r\n").await;
    server.open(1).await;
    server.stop.cancel();
    assert!(busy.is_quiet().await);
    server.kill.cancel();
    assert_eq!(busy.closed().await, b"");
    server.ended().await;
}

#[tokio::test]
async fn kill_alone_ends_the_server() {
    let server = Server::start(|_| ());
    let mut busy = server.connect().await;
    busy.send("GET /gate HTTP/1.1\r\nhost: x\r\n\r\n").await;
    server.open(1).await;
    server.kill.cancel();
    assert_eq!(busy.closed().await, b"");
    server.ended().await;
}

#[tokio::test]
async fn requests_that_arrived_before_the_stop_are_served() {
    let server = Server::start(|_| ());
    // Blocking calls on the only thread: the server has accepted nobody when the stop comes.
    let mut callers = Vec::new();
    for _ in 0..20 {
        let mut stream = std::net::TcpStream::connect(server.addr).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        stream.set_nonblocking(true).unwrap();
        callers.push(Caller(tokio::net::TcpStream::from_std(stream).unwrap()));
    }
    server.stop.cancel();
    for mut caller in callers {
        assert_eq!(caller.answer().await.1, "hello");
        assert_eq!(caller.closed().await, b"");
    }
    server.ended().await;
}
