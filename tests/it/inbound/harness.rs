//! A server under test.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::Extension;
use axum::routing::{get, post};
use hangup::config::Config;
use hangup::server::{Peer, ServeSettings, ServeStats, bind, serve};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::shared::wire::Wire;
use crate::support::until;

/// Longer than anything here takes; a test that waits so long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) kill: CancellationToken,
    pub(crate) stats: Arc<ServeStats>,
    /// A request to `/gate` is answered when it gets a permit of this.
    pub(crate) gate: Arc<Semaphore>,
    /// Requests to `/gate` that have reached their handler.
    entered: Arc<AtomicUsize>,
    /// Requests to `/gate` whose handler was dropped before it had answered.
    pub(crate) left: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) fn start(adjust: impl FnOnce(&mut ServeSettings)) -> Self {
        let mut settings = ServeSettings::new(&Config::defaults().server);
        settings.header_timeout = Duration::from_millis(300);
        adjust(&mut settings);
        let gate = Arc::new(Semaphore::new(0));
        let waits = Arc::clone(&gate);
        let left = Arc::new(AtomicUsize::new(0));
        let leaving = Arc::clone(&left);
        let entered = Arc::new(AtomicUsize::new(0));
        let entering = Arc::clone(&entered);
        let app = axum::Router::new()
            .route("/", get(|| async { "hello" }).post(|body: String| async move { body }))
            .route("/unread", post(|| async { "not read" }))
            .route("/large", get(|| async { "x".repeat(16 << 20) }))
            .route(
                "/peer",
                get(|Extension(peer): Extension<Peer>| async move { format!("{} {}", peer.addr, peer.tls) }),
            )
            .route(
                "/gate",
                get(move || async move {
                    entering.fetch_add(1, Ordering::Relaxed);
                    let unanswered = Unanswered(leaving);
                    waits.acquire().await.unwrap().forget();
                    std::mem::forget(unanswered);
                    "through"
                }),
            );
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let addr = listener.local_addr().unwrap();
        let (stop, kill) = (CancellationToken::new(), CancellationToken::new());
        let stats = Arc::clone(&settings.stats);
        let task = tokio::spawn(serve(listener, app, settings, stop.clone(), kill.clone()));
        Self { addr, stop, kill, stats, gate, entered, left, task }
    }

    pub(crate) async fn connect(&self) -> Wire {
        Wire::connect(self.addr).await.unwrap()
    }

    /// Waits until the server has returned.
    pub(crate) async fn ended(self) {
        timeout(PATIENCE, self.task).await.expect("the server does not end").unwrap();
    }

    /// Waits until this many requests to `/gate` have reached their handler.
    pub(crate) async fn entered(&self, count: usize) {
        until(async || self.entered.load(Ordering::Relaxed) == count).await;
    }

    /// Waits until this many connections are open.
    pub(crate) async fn open(&self, count: usize) {
        until(async || self.stats.open() == count).await;
    }
}

/// Lets this time pass for every timer, without waiting for it.
pub(crate) async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

/// Counts handlers that were dropped.
struct Unanswered(Arc<AtomicUsize>);

impl Drop for Unanswered {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
