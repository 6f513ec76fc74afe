//! Out of descriptors. A test binary of its own: the limit is the process's.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use axum::routing::get;
use hangup::config::Config;
use hangup::server::{ServeSettings, bind, raise_descriptor_limit, serve};
use rlimit::Resource;
use tokio_util::sync::CancellationToken;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_descriptors_the_server_waits_neither_spinning_nor_ending() -> std::io::Result<()> {
    let (_, hard) = Resource::NOFILE.get()?;
    Resource::NOFILE.set(100, hard)?;
    assert!(raise_descriptor_limit()? > 100);
    Resource::NOFILE.set(100, hard)?;

    let settings = ServeSettings::new(&Config::defaults().server);
    let stats = Arc::clone(&settings.stats);
    let listener = bind(([127, 0, 0, 1], 0).into())?;
    let addr = listener.local_addr()?;
    let app = axum::Router::new().route("/", get(|| async { "hello" }));
    tokio::spawn(serve(listener, app, settings, CancellationToken::new(), CancellationToken::new()));

    let mut hoard: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    // One for the caller's own socket, none for the server's side of it.
    hoard.pop();
    let mut caller = TcpStream::connect(addr)?;
    caller.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")?;
    tokio::time::sleep(Duration::from_millis(600)).await;
    let failures = stats.accept_failures();
    assert!((2..60).contains(&failures), "{failures} failed accepts in 600 ms");

    hoard.clear();
    caller.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut answer = String::new();
    tokio::task::block_in_place(|| caller.read_to_string(&mut answer))?;
    assert!(answer.ends_with("hello"), "{answer}");
    assert_eq!(stats.accepted(), 1);
    Ok(())
}
