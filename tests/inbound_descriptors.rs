//! Out of descriptors. A test binary of its own: the limit is the process's.

#[path = "shared/wire.rs"]
#[expect(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    reason = "shared with the other test binaries, which use more of it"
)]
mod wire;

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use axum::routing::get;
use hangup::config::Config;
use hangup::server::{ServeSettings, bind, raise_descriptor_limit, serve};
use rlimit::Resource;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wire::Wire;

/// Longer than six accepts may take.
const PATIENCE: Duration = Duration::from_secs(20);

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
    let began = Instant::now();
    let mut caller = Wire::connect(addr).await?;
    caller.send(&wire::request("GET", "/", "connection: close\r\n", None)).await?;
    while stats.accept_failures() < 6 {
        assert!(began.elapsed() < PATIENCE, "the server has stopped accepting");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let waited = began.elapsed();
    assert!(waited >= Duration::from_millis(20 + 40 + 60 + 80 + 100), "six failed accepts in {waited:?}");

    hoard.clear();
    let answer = caller.answer().await?;
    assert_eq!(answer.body, "hello");
    assert_eq!(stats.accepted(), 1);
    Ok(())
}
