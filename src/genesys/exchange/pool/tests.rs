//! Tests of the pool over real sockets.

use http_body_util::BodyExt as _;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn pool(idle_timeout: Duration) -> Pool {
    crate::server::tls::install_crypto_provider();
    let tls = ClientConfig::builder().with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    Pool::new(Connector::new(&tls, Duration::from_secs(5)), idle_timeout, 8)
}

/// What is kept for the only origin.
fn only(pool: &Pool) -> Arc<Origin> {
    Arc::clone(&lock(&pool.origins)[0])
}

async fn upstream() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/a/path?q=1", listener.local_addr().unwrap());
    (listener, url)
}

/// Sends a request, and gives the connection back when its answer has been read.
async fn ask(pool: &Pool, url: &str, fresh: bool) -> String {
    let request = Request::get(url).body(Full::default()).unwrap();
    let (response, lease) = pool.send(request, fresh).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    lease.give_back();
    String::from_utf8_lossy(&body).into_owned()
}

/// Answers one request, and says what its head was.
async fn answer(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    stream.write_all(ANSWER).await.unwrap();
    String::from_utf8(head).unwrap()
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
    assert!(lock(&only(&pool).kept).idle.is_empty());
}

#[tokio::test]
async fn a_connection_that_the_upstream_has_closed_meanwhile_is_replaced() {
    let (listener, url) = upstream().await;
    let pool = pool(Duration::from_secs(60));
    for _ in 0..2 {
        let (stream, said) = tokio::join!(answer_one(&listener), ask(&pool, &url, false));
        assert_eq!(said, "ok");
        drop(stream);
        while lock(&only(&pool).kept).idle.iter().any(|idle| !idle.sender.is_closed()) {
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
async fn no_connection_and_a_broken_answer_are_told_apart() {
    let (listener, url) = upstream().await;
    let pool = pool(Duration::from_secs(60));
    let request = || Request::get(&url).body(Full::default()).unwrap();
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"no HTTP at all\r\n\r\n").await.unwrap();
    };
    let (sent, ()) = tokio::join!(pool.send(request(), false), server);
    assert!(matches!(sent, Err(Failure::Exchange(_))), "{sent:?}");
    drop(listener);
    let sent = pool.send(request(), false).await;
    assert!(matches!(sent, Err(Failure::Connect(_))), "{sent:?}");
}

#[test]
fn the_host_names_no_port_that_goes_without_saying() {
    let host = |url: &str| {
        let url: Uri = url.parse().unwrap();
        host_of(url.scheme().unwrap(), url.authority().unwrap())
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
        let begun = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
        let line = format!("x-filling: {}\r\n", "x".repeat(1000));
        let mut sent = 0;
        while begun.is_ok() && stream.write_all(line.as_bytes()).await.is_ok() {
            sent += line.len();
        }
        sent
    };
    let request = Request::get(&url).body(Full::default()).unwrap();
    let (_, answer) = tokio::join!(server, pool.send(request, false));
    let Err(Failure::Exchange(error)) = answer else { panic!("{answer:?}") };
    assert!(error.is_parse_too_large(), "{error}");
}
