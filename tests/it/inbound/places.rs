//! The server loop: how many connections there may be, and which one is closed for a new one.

use std::time::Duration;

use crate::inbound::harness::Server;
use crate::shared::wire::Wire;
use crate::support::until;

#[tokio::test]
async fn while_all_connections_are_busy_new_callers_wait_and_are_not_reset() {
    let server = Server::start(|settings| settings.max_connections = 2);
    let (mut first, mut second) = (server.connect().await, server.connect().await);
    first.send("GET /gate HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    second.send("GET /gate HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    server.entered(2).await;
    let mut third = server.connect().await;
    third.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert!(third.is_quiet().await);
    assert_eq!((server.stats.open(), server.stats.evicted()), (2, 0));
    server.gate.add_permits(1);
    assert_eq!(third.answer().await.unwrap().body, "hello");
}

#[tokio::test]
async fn at_the_limit_the_longest_idle_connection_makes_place() {
    let server = Server::start(|settings| settings.max_connections = 3);
    let (mut busy, mut older, mut newer) = (server.connect().await, server.connect().await, server.connect().await);
    busy.send("GET /gate HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    server.entered(1).await;
    older.get("/").await.unwrap();
    newer.get("/").await.unwrap();
    let mut fourth = server.connect().await;
    assert_eq!(fourth.get("/").await.unwrap().body, "hello");
    assert_eq!(older.closed().await, b"");
    assert_eq!(newer.get("/").await.unwrap().body, "hello");
    server.gate.add_permits(1);
    assert_eq!(busy.answer().await.unwrap().body, "through");
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
            caller.get("/").await.unwrap();
        }
        crowd.push(caller);
    }
    until(async || server.stats.open() <= 50).await;
    // Another address of this machine.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut other = Wire::over(socket.connect(server.addr).await.unwrap());
    assert_eq!(other.get("/").await.unwrap().body, "hello");
    for _ in 0..100 {
        crowd.push(server.connect().await);
    }
    assert_eq!(other.get("/").await.unwrap().body, "hello", "it is not closed for the others");
}

#[tokio::test]
async fn an_address_with_too_many_busy_connections_is_refused_at_once() {
    let server = Server::start(|settings| settings.max_connections_per_address = 2);
    let (mut first, mut second) = (server.connect().await, server.connect().await);
    first.send("GET /gate HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    second.send("GET /gate HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    server.entered(2).await;
    let mut third = server.connect().await;
    assert_eq!(third.closed().await, b"");
    assert_eq!(server.stats.refused(), 1);
    server.gate.add_permits(2);
    assert_eq!(first.answer().await.unwrap().body, "through");
    assert_eq!(second.answer().await.unwrap().body, "through");
    assert_eq!(server.connect().await.get("/").await.unwrap().body, "hello");
}
