//! The real binary under fault, and how its callers and operators reach it.

use std::net::SocketAddr;

use tokio::time::{Instant, sleep};

use super::http::{Answer, Caller};

pub(crate) use super::shared::process::{Launch, PATIENCE, Process};

/// Starts it against this upstream, with a port of their own for operators.
pub(crate) fn against(upstream: SocketAddr) -> Launch {
    Launch::new(upstream)
        .set("admin.bind", "127.0.0.1:0")
        // All callers here have one address.
        .set("server.max_connections_per_address", "12000")
}

impl Launch {
    /// Gives it a file with these keys, which [`Launch::file`] names `keys.toml`.
    pub(crate) fn keys(self, toml: &str) -> Self {
        let file = self.file("keys.toml");
        std::fs::write(&file, toml).unwrap();
        self.set("auth.keys_file", &file.display().to_string())
    }
}

impl Process {
    pub(crate) fn caller(&self) -> Caller {
        Caller::new(self.addr)
    }

    pub(crate) fn operator(&self) -> Caller {
        Caller::new(self.admin)
    }

    /// One look at `/readyz`.
    pub(crate) async fn readiness(&self) -> std::io::Result<Answer> {
        self.operator().get("/readyz").await
    }

    /// Waits until it is ready.
    pub(crate) async fn ready(&self) {
        let began = Instant::now();
        while !self.readiness().await.is_ok_and(|answer| answer.status == 200) {
            assert!(began.elapsed() < PATIENCE, "it never gets ready: {}{}", self.log(), self.errors());
            sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    /// The value of a metric, all its labels added up.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let answer = self.operator().get("/metrics").await.expect("metrics");
        let lines = answer.body.lines().filter(|line| line.starts_with(name));
        lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
    }
}
