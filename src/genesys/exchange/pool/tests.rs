//! Tests of the pool over real sockets.

use http_body_util::BodyExt as _;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn pool(idle_timeout: Duration) -> Pool {
    crate::crypto_provider::install();
    let tls = ClientConfig::builder().with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    Pool::new(Connector::new(&tls, Duration::from_secs(1), super::super::connector::system_resolver()), idle_timeout, 8)
}

/// What is kept for the only origin.
fn only(pool: &Pool) -> Arc<PoolOrigin> {
    Arc::clone(&pool.origins.lock()[0])
}

async fn upstream() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/a/path?q=1", listener.local_addr().unwrap());
    (listener, url)
}

/// Sends a request, without looking at the answer's body.
async fn send(pool: &Pool, url: &str, fresh: bool) -> Result<(Response<Incoming>, ConnectionLease), String> {
    let origin = pool.origin(&url.parse().unwrap());
    let lease = if fresh { origin.fresh().await } else { origin.lease().await };
    let mut lease = lease.map_err(|e| format!("no connection: {e}"))?;
    let request = Request::get(url).body(Full::default()).unwrap();
    let response = lease.send(Box::new(request)).await.map_err(|e| format!("{e:?}"))?;
    Ok((response, lease))
}

/// Sends a request, and gives the connection back when its answer has been read.
async fn ask(pool: &Pool, url: &str, fresh: bool) -> String {
    let (response, lease) = send(pool, url, fresh).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    lease.give_back();
    String::from_utf8_lossy(&body).into_owned()
}

/// Reads the head of a request.
async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// Answers one request, and says what its head was.
async fn answer(stream: &mut TcpStream) -> String {
    let head = head(stream).await;
    stream.write_all(ANSWER).await.unwrap();
    head
}

/// Answers the first request of a new connection.
async fn answer_one(listener: &TcpListener) -> TcpStream {
    let (mut stream, _) = listener.accept().await.unwrap();
    answer(&mut stream).await;
    stream
}

#[tokio::test]
async fn a_connection_is_used_again_until_it_has_been_idle_for_too_long() {
    let (listener, url) = upstream().await;
    let pool = pool(Duration::from_millis(200));
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        for _ in 0..3 {
            let head = answer(&mut stream).await;
            assert!(head.starts_with("GET /a/path?q=1 HTTP/1.1\r\n"), "{head}");
            let host = format!("host: {}\r\n", listener.local_addr().unwrap());
            assert!(head.contains(&host), "{head}");
        }
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "closed by the pool");
    };
    let asking = async {
        for _ in 0..3 {
            assert_eq!(ask(&pool, &url, false).await, "ok");
        }
    };
    tokio::join!(server, asking);
    assert!(only(&pool).kept.lock().idle.is_empty());
}

#[tokio::test]
async fn a_connection_that_the_upstream_has_closed_meanwhile_is_replaced() {
    let (listener, url) = upstream().await;
    let pool = pool(Duration::from_secs(60));
    for _ in 0..2 {
        let (stream, said) = tokio::join!(answer_one(&listener), ask(&pool, &url, false));
        assert_eq!(said, "ok");
        drop(stream);
        while only(&pool).kept.lock().idle.iter().any(|idle| !idle.connection.is_closed()) {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_fresh_connection_is_closed_after_its_answer() {
    let (listener, url) = upstream().await;
    let pool = pool(Duration::from_secs(60));
    for _ in 0..2 {
        let (mut stream, said) = tokio::join!(answer_one(&listener), ask(&pool, &url, true));
        assert_eq!(said, "ok");
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn no_connection_and_a_broken_answer_are_distinguished() {
    let (listener, url) = upstream().await;
    let pool = pool(Duration::from_secs(60));
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        head(&mut stream).await;
        stream.write_all(b"not HTTP at all\r\n\r\n").await.unwrap();
    };
    let (sent, ()) = tokio::join!(send(&pool, &url, false), server);
    assert!(sent.as_ref().is_err_and(|e| e.starts_with("Broken")), "{sent:?}");
    drop(listener);
    let sent = send(&pool, &url, false).await;
    assert!(sent.as_ref().is_err_and(|e| e.starts_with("no connection")), "{sent:?}");
}

#[test]
fn the_host_names_no_port_that_goes_without_saying() {
    let host = |url: &str| {
        let url: Uri = url.parse().unwrap();
        host_of(&url)
    };
    assert_eq!(host("https://api.mypurecloud.com:443/x"), "api.mypurecloud.com");
    assert_eq!(host("http://api.mypurecloud.com:80"), "api.mypurecloud.com");
    assert_eq!(host("https://user:word@[::1]:8443"), "[::1]:8443");
}

#[tokio::test]
async fn an_answer_whose_head_has_no_end_is_given_up() {
    let (listener, url) = upstream().await;
    let pool = pool(Duration::from_secs(50));
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        head(&mut stream).await;
        let begun = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
        let line = format!("x-filling: {}\r\n", "x".repeat(1000));
        let mut sent = 0;
        while begun.is_ok() && stream.write_all(line.as_bytes()).await.is_ok() {
            sent += line.len();
        }
        sent
    };
    let (_, answer) = tokio::join!(server, send(&pool, &url, false));
    assert!(answer.as_ref().is_err_and(|e| e.contains("TooLarge")), "{answer:?}");
}

#[tokio::test]
async fn a_silent_connection_takes_with_it_those_that_are_as_old_and_no_younger_one() {
    let (listener, url) = upstream().await;
    let pool = pool(Duration::from_secs(60));
    let idle = || only(&pool).kept.lock().idle.len();
    let leases = async {
        let mut leases = Vec::new();
        for _ in 0..3 {
            leases.push(send(&pool, &url, false).await.unwrap());
        }
        leases
    };
    let server = async { [answer_one(&listener).await, answer_one(&listener).await, answer_one(&listener).await] };
    let (leases, mut streams) = tokio::join!(leases, server);
    for (response, lease) in leases {
        response.into_body().collect().await.unwrap();
        lease.give_back();
    }
    while idle() < 3 {
        tokio::task::yield_now().await;
    }
    // Two requests are under way; the one on the last connection is answered while the other one waits in vain.
    let silent = tokio::spawn({
        let origin = only(&pool);
        let request = Request::get(&url).body(Full::default()).unwrap();
        async move { origin.lease().await.unwrap().send(Box::new(request)).await.map(|_| ()).map_err(|e| format!("{e:?}")) }
    });
    while idle() == 3 {
        tokio::task::yield_now().await;
    }
    let (said, asked) = tokio::join!(ask(&pool, &url, false), answer(&mut streams[1]));
    assert_eq!((said.as_str(), asked.is_empty()), ("ok", false));
    while idle() < 2 {
        tokio::task::yield_now().await;
    }
    silent.abort();
    assert!(silent.await.unwrap_err().is_cancelled());
    assert_eq!(idle(), 1, "the one that has answered since");
    let (said, _) = tokio::join!(ask(&pool, &url, false), answer(&mut streams[1]));
    assert_eq!(said, "ok");
}

#[tokio::test]
async fn a_request_that_waits_for_a_connection_takes_one_that_comes_free() {
    let (listener, url) = upstream().await;
    let pool = pool(Duration::from_secs(60));
    let (mut stream, _) = tokio::join!(answer_one(&listener), ask(&pool, &url, false));
    // The only one is in use, and the new one takes its time.
    let origin = only(&pool);
    let first = origin.lease().await.unwrap();
    let (give, given) = oneshot::channel();
    {
        let mut kept = origin.kept.lock();
        kept.waiting.push_back(give);
        kept.connecting += 1;
    }
    first.give_back();
    let (connection, reused) = given.await.unwrap().unwrap();
    assert!(reused && connection.is_ready());
    // The new connection comes too late, and is kept for the next request.
    let (made, accepted) = tokio::join!(origin.connect(), listener.accept());
    origin.take_in(made);
    assert_eq!(origin.kept.lock().idle.len(), 1);
    drop((connection, accepted));
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_failure_to_connect_is_reported_only_if_no_other_connection_is_being_made() {
    let (listener, url) = upstream().await;
    let pool = pool(Duration::from_secs(60));
    let origin = pool.origin(&url.parse().unwrap());
    let (give, mut given) = oneshot::channel();
    {
        let mut kept = origin.kept.lock();
        kept.waiting.push_back(give);
        kept.connecting = 2;
    }
    origin.take_in(Err("refused".into()));
    assert!(given.try_recv().is_err(), "one more is on its way");
    origin.take_in(Err("refused".into()));
    assert_eq!(given.await.unwrap().unwrap_err().to_string(), "refused");
    drop(listener);
}
