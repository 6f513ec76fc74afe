//! The server loop: answers, callers that leave, heads that cannot be read, drain.

use std::io::Write;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::AsyncWriteExt;

use crate::inbound::harness::Server;
use crate::shared::wire::Wire;
use crate::support::until;

#[tokio::test]
async fn a_request_is_answered_and_knows_its_peer() {
    let server = Server::start(|_| ());
    let mut caller = server.connect().await;
    let own = caller.stream.local_addr().unwrap();
    let answer = caller.get("/peer").await.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body, format!("{own} false"));
}

#[tokio::test]
async fn a_caller_that_half_closes_gets_its_answer() {
    let server = Server::start(|_| ());
    let mut caller = server.connect().await;
    caller.send("GET /gate HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    caller.stream.shutdown().await.unwrap();
    assert!(caller.is_quiet().await);
    server.gate.add_permits(1);
    assert_eq!(caller.answer().await.unwrap().body, "through");
    assert_eq!(caller.closed().await, b"");
    assert_eq!(server.left.load(Ordering::Relaxed), 0);
    server.open(0).await;
}

#[tokio::test]
async fn a_caller_that_half_closes_gets_all_answers_to_what_it_sent() {
    let server = Server::start(|_| ());
    let mut caller = server.connect().await;
    caller.send("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nbody").await.unwrap();
    caller.send("GET /gate HTTP/1.1\r\nhost: x\r\n\r\nGET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    caller.stream.shutdown().await.unwrap();
    assert_eq!(caller.answer().await.unwrap().body, "body");
    assert!(caller.is_quiet().await);
    server.gate.add_permits(1);
    assert_eq!(caller.answer().await.unwrap().body, "through");
    assert_eq!(caller.answer().await.unwrap().body, "hello");
    assert_eq!(caller.closed().await, b"");
}

#[tokio::test]
async fn a_caller_that_half_closes_within_its_body_is_not_waited_for() {
    let server = Server::start(|_| ());
    let mut caller = server.connect().await;
    caller.send("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nbo").await.unwrap();
    caller.stream.shutdown().await.unwrap();
    caller.closed().await;
    server.open(0).await;
}

#[tokio::test]
async fn a_caller_that_resets_has_left() {
    let server = Server::start(|_| ());
    let mut caller = server.connect().await;
    caller.send("GET /gate HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    server.entered(1).await;
    caller.stream.set_zero_linger().unwrap();
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
        caller.send(&request).await.unwrap();
        let answer = caller.answer().await.unwrap();
        assert!(answer.status.to_string().starts_with(status), "{answer:?}");
        assert_eq!(answer.body, "");
        assert_eq!(caller.closed().await, b"");
    }
    until(async || server.stats.refused_heads() == count).await;
}

#[tokio::test]
async fn an_answer_survives_a_body_that_nobody_reads() {
    let server = Server::start(|_| ());
    let mut caller = server.connect().await;
    let body = "x".repeat(2 << 20);
    caller.send(&format!("POST /unread HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len())).await.unwrap();
    // Sent to the end before the answer is read, as simple clients do.
    caller.send(&body).await.unwrap();
    assert_eq!(caller.answer().await.unwrap().body, "not read");
    drop(caller);
    server.open(0).await;
}

#[tokio::test]
async fn a_body_that_is_read_keeps_the_connection() {
    let server = Server::start(|_| ());
    let mut caller = server.connect().await;
    for _ in 0..3 {
        caller.send("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nbody").await.unwrap();
        assert_eq!(caller.answer().await.unwrap().body, "body");
    }
    assert_eq!(server.stats.accepted(), 1);
}

#[tokio::test]
async fn stop_ends_waiting_and_half_sent_requests_at_once_and_finishes_those_under_way() {
    let server = Server::start(|settings| settings.header_timeout = Duration::from_secs(60));
    let mut idle = server.connect().await;
    idle.get("/").await.unwrap();
    let mut half = server.connect().await;
    half.send("GET / HTTP/1.1\r\nhost: ").await.unwrap();
    let mut pipelined = server.connect().await;
    pipelined.send("GET / HTTP/1.1\r\nhost: x\r\n\r\nGET / HT").await.unwrap();
    pipelined.answer().await.unwrap();
    let mut silent = server.connect().await;
    let mut busy = server.connect().await;
    busy.send("GET /gate HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    server.open(5).await;
    // It came last: the server has had its turn to read what the others sent.
    server.entered(1).await;

    server.stop.cancel();
    for caller in [&mut idle, &mut half, &mut pipelined, &mut silent] {
        assert_eq!(caller.closed().await, b"");
    }
    server.open(1).await;
    server.gate.add_permits(1);
    let answer = busy.answer().await.unwrap();
    assert!(answer.closes(), "{answer:?}");
    assert_eq!(answer.body, "through");
    server.ended().await;
}

#[tokio::test]
async fn kill_drops_what_is_left() {
    let server = Server::start(|_| ());
    let mut busy = server.connect().await;
    busy.send("GET /gate HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    server.entered(1).await;
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
    busy.send("GET /gate HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    server.entered(1).await;
    server.kill.cancel();
    assert_eq!(busy.closed().await, b"");
    server.ended().await;
}

#[tokio::test]
async fn requests_that_arrived_before_the_stop_are_served() {
    let server = Server::start(|_| ());
    // Blocking calls on the only thread: the server has accepted no connection when the stop comes.
    let mut callers = Vec::new();
    for _ in 0..20 {
        let mut stream = std::net::TcpStream::connect(server.addr).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        stream.set_nonblocking(true).unwrap();
        callers.push(Wire::over(tokio::net::TcpStream::from_std(stream).unwrap()));
    }
    server.stop.cancel();
    for mut caller in callers {
        assert_eq!(caller.answer().await.unwrap().body, "hello");
        assert_eq!(caller.closed().await, b"");
    }
    server.ended().await;
}
