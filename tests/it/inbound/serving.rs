//! The server loop: limits, refusals, drain.

use std::io::Write;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

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
async fn half_a_head_is_cut_within_the_header_timeout() {
    let server = Server::start(|_| ());
    let mut caller = server.connect().await;
    caller.send("GET / HTTP/1.1\r\nhost: ").await;
    assert_eq!(caller.closed().await, b"");
    assert_eq!(server.stats.cut(), 1);
    server.open(0).await;
}

#[tokio::test]
async fn a_head_that_is_dribbled_is_cut_although_it_moves() {
    let server = Server::start(|_| ());
    let Caller(stream) = server.connect().await;
    let (read, mut write) = stream.into_split();
    let started = Instant::now();
    let dribble = tokio::spawn(async move {
        loop {
            if write.write_all(b"x").await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
    });
    let mut caller = Caller(tokio::io::join(read, tokio::io::sink()));
    caller.closed().await;
    assert!(started.elapsed() < Duration::from_secs(5));
    dribble.abort();
}

#[tokio::test]
async fn an_idle_connection_outlives_the_header_timeout_but_half_of_its_next_head_does_not() {
    let server = Server::start(|_| ());
    let mut caller = server.connect().await;
    caller.get("/").await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(caller.get("/").await.1, "hello");
    caller.send("GET /").await;
    assert_eq!(caller.closed().await, b"");
    assert_eq!(server.stats.cut(), 1);
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_the_idle_timeout() {
    let server = Server::start(|settings| settings.idle_timeout = Duration::from_millis(300));
    let mut caller = server.connect().await;
    caller.get("/").await;
    assert_eq!(caller.closed().await, b"");
    assert_eq!(server.stats.cut(), 0);
}

#[tokio::test]
async fn a_slow_handler_is_not_cut_by_the_header_timeout() {
    let server = Server::start(|_| ());
    let mut caller = server.connect().await;
    caller.send("GET /gate HTTP/1.1\r\nhost: x\r\n\r\n").await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    server.gate.add_permits(1);
    assert_eq!(caller.answer().await.1, "through");
}

#[tokio::test]
async fn a_caller_that_does_not_take_its_answer_is_cut() {
    let server = Server::start(|settings| settings.write_timeout = Duration::from_millis(300));
    let mut caller = server.connect().await;
    caller.send("GET /large HTTP/1.1\r\nhost: x\r\n\r\n").await;
    server.open(1).await;
    server.open(0).await;
    assert_eq!(server.stats.cut(), 1);
}

#[tokio::test]
async fn a_large_answer_arrives_whole() {
    let server = Server::start(|_| ());
    let mut caller = server.connect().await;
    assert_eq!(caller.get("/large").await.1.len(), 16 << 20);
    assert_eq!(caller.get("/").await.1, "hello");
}

#[tokio::test]
async fn a_caller_that_takes_its_answer_below_the_least_pace_is_cut_although_it_moves() {
    let server = Server::start(|settings| {
        settings.write_timeout = Duration::from_millis(300);
        settings.read_pace = 64 << 20;
    });
    let mut caller = server.connect().await;
    caller.send("GET /large HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let mut some = vec![0; 16 << 10];
    let mut taken = 0;
    let dribble = async {
        // Each read makes room for more, long before a write has waited for 300 ms.
        while let Ok(count @ 1..) = tokio::io::AsyncReadExt::read(&mut caller.0, &mut some).await {
            taken += count;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(crate::inbound::harness::PATIENCE, dribble).await.expect("it is never cut");
    assert!(taken < 16 << 20, "all of it was sent");
    assert_eq!(server.stats.cut(), 1);
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
async fn while_all_connections_are_busy_new_callers_wait_and_are_not_reset() {
    let server = Server::start(|settings| settings.max_connections = 2);
    let (mut first, mut second) = (server.connect().await, server.connect().await);
    first.send("GET /gate HTTP/1.1\r\nhost: x\r\n\r\n").await;
    second.send("GET /gate HTTP/1.1\r\nhost: x\r\n\r\n").await;
    server.open(2).await;
    assert!(first.is_quiet().await);
    let mut third = server.connect().await;
    third.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(third.is_quiet().await);
    assert_eq!((server.stats.open(), server.stats.evicted()), (2, 0));
    server.gate.add_permits(1);
    assert_eq!(third.answer().await.1, "hello");
}

#[tokio::test]
async fn at_the_limit_the_longest_idle_connection_makes_place() {
    let server = Server::start(|settings| settings.max_connections = 3);
    let (mut busy, mut older, mut newer) = (server.connect().await, server.connect().await, server.connect().await);
    busy.send("GET /gate HTTP/1.1\r\nhost: x\r\n\r\n").await;
    older.get("/").await;
    newer.get("/").await;
    let mut fourth = server.connect().await;
    assert_eq!(fourth.get("/").await.1, "hello");
    assert_eq!(older.closed().await, b"");
    assert_eq!(newer.get("/").await.1, "hello");
    server.gate.add_permits(1);
    assert_eq!(busy.answer().await.1, "through");
    assert_eq!(server.stats.evicted(), 1);
}

#[tokio::test]
async fn idle_connections_of_one_address_lock_nobody_out() {
    let server = Server::start(|settings| {
        settings.max_connections = 400;
        settings.max_connections_per_address = 50;
        settings.header_timeout = Duration::from_secs(60);
    });
    let mut crowd = Vec::new();
    for number in 0..1000 {
        // Half of them have made a request, the others say nothing.
        let mut caller = server.connect().await;
        if number % 2 == 0 {
            caller.get("/").await;
        }
        crowd.push(caller);
    }
    until(async || server.stats.open() <= 50).await;
    // Another address of this machine.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut other = Caller(socket.connect(server.addr).await.unwrap());
    assert_eq!(other.get("/").await.1, "hello");
    for _ in 0..100 {
        crowd.push(server.connect().await);
    }
    assert_eq!(other.get("/").await.1, "hello", "it is not closed for the others");
}

#[tokio::test]
async fn an_address_with_too_many_busy_connections_is_refused_at_once() {
    let server = Server::start(|settings| settings.max_connections_per_address = 2);
    let (mut first, mut second) = (server.connect().await, server.connect().await);
    first.send("GET /gate HTTP/1.1\r\nhost: x\r\n\r\n").await;
    second.send("GET /gate HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(first.is_quiet().await && second.is_quiet().await);
    let mut third = server.connect().await;
    assert_eq!(third.closed().await, b"");
    assert_eq!(server.stats.refused(), 1);
    server.gate.add_permits(2);
    assert_eq!(first.answer().await.1, "through");
    assert_eq!(second.answer().await.1, "through");
    assert_eq!(server.connect().await.get("/").await.1, "hello");
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
