//! What both test binaries use, `tests/it` and `tests/faults`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests stop the test that cannot go on")]

pub(crate) mod certificates;
pub(crate) mod process;
pub(crate) mod stand_in;
pub(crate) mod wire;

use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command};
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Polls until `done`, and answers how long it took; `None` when it did not come about `within` this time.
pub(crate) async fn until(within: Duration, mut done: impl AsyncFnMut() -> bool) -> Option<Duration> {
    let began = Instant::now();
    loop {
        if done().await {
            return Some(began.elapsed());
        }
        if began.elapsed() > within {
            return None;
        }
        sleep(Duration::from_millis(10)).await;
    }
}

/// An address that was free a moment ago.
pub(crate) fn free_addr() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Sends a signal to a process, by its name without `SIG`.
pub(crate) fn signal(process: &Child, name: &str) {
    let sent = Command::new("kill").args(["-s", name, &process.id().to_string()]).status().unwrap();
    assert!(sent.success(), "kill -s {name}");
}
