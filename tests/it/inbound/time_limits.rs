//! The server loop: what takes too long is cut, and what only takes long is not.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout};

use crate::inbound::harness::{Server, pass};
use crate::shared::wire::Wire;

#[tokio::test]
async fn half_a_head_is_cut_within_the_header_timeout() {
    let server = Server::start(|_| ());
    let mut caller = server.connect().await;
    caller.send("GET / HTTP/1.1\r\nhost: ").await.unwrap();
    assert_eq!(caller.closed().await, b"");
    assert_eq!(server.stats.cut(), 1);
    server.open(0).await;
}

#[tokio::test]
async fn a_head_that_is_dribbled_is_cut_although_it_moves() {
    let server = Server::start(|_| ());
    let stream = server.connect().await.stream;
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
    let mut caller = Wire::over(tokio::io::join(read, tokio::io::sink()));
    caller.closed().await;
    assert!(started.elapsed() < Duration::from_secs(5));
    dribble.abort();
}

#[tokio::test]
async fn an_idle_connection_outlives_the_header_timeout_but_half_of_its_next_head_does_not() {
    let server = Server::start(|_| ());
    let mut caller = server.connect().await;
    caller.get("/").await.unwrap();
    pass(Duration::from_millis(700)).await;
    assert_eq!(caller.get("/").await.unwrap().body, "hello");
    caller.send("GET /").await.unwrap();
    assert_eq!(caller.closed().await, b"");
    assert_eq!(server.stats.cut(), 1);
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_the_idle_timeout() {
    let minutes = Duration::from_secs(300);
    let server = Server::start(|settings| settings.idle_timeout = minutes);
    let mut caller = server.connect().await;
    caller.get("/").await.unwrap();
    // The server may start to count only after the answer has been read here.
    let rest = loop {
        if let Ok(rest) = timeout(Duration::from_millis(20), caller.closed()).await {
            break rest;
        }
        pass(minutes).await;
    };
    assert_eq!(rest, b"");
    assert_eq!(server.stats.cut(), 0);
}

#[tokio::test]
async fn a_slow_handler_is_not_cut_by_the_header_timeout() {
    let server = Server::start(|_| ());
    let mut caller = server.connect().await;
    caller.send("GET /gate HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    server.entered(1).await;
    pass(Duration::from_millis(700)).await;
    server.gate.add_permits(1);
    assert_eq!(caller.answer().await.unwrap().body, "through");
}

#[tokio::test]
async fn a_caller_that_does_not_take_its_answer_is_cut() {
    let server = Server::start(|settings| settings.write_timeout = Duration::from_millis(300));
    let mut caller = server.connect().await;
    caller.send("GET /large HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    server.open(1).await;
    server.open(0).await;
    assert_eq!(server.stats.cut(), 1);
}

#[tokio::test]
async fn a_large_answer_arrives_whole() {
    let server = Server::start(|_| ());
    let mut caller = server.connect().await;
    assert_eq!(caller.get("/large").await.unwrap().body.len(), 16 << 20);
    assert_eq!(caller.get("/").await.unwrap().body, "hello");
}

#[tokio::test]
async fn a_caller_that_takes_its_answer_below_the_least_pace_is_cut_although_it_moves() {
    let server = Server::start(|settings| {
        settings.write_timeout = Duration::from_millis(300);
        settings.read_pace = 64 << 20;
    });
    let mut caller = server.connect().await;
    caller.send("GET /large HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut some = vec![0; 16 << 10];
    let mut taken = 0;
    let dribble = async {
        // Each read makes room for more, long before a write has waited for 300 ms.
        while let Ok(count @ 1..) = tokio::io::AsyncReadExt::read(&mut caller.stream, &mut some).await {
            taken += count;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(crate::inbound::harness::PATIENCE, dribble).await.expect("it is never cut");
    assert!(taken < 16 << 20, "all of it was sent");
    assert_eq!(server.stats.cut(), 1);
}
