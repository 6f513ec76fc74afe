//! The way out, in order: not ready, stop, kill. Each step is a token that whoever it concerns watches.

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config;

/// The steps of leaving.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// `/readyz` says no; everything else goes on.
    pub not_ready: CancellationToken,
    /// Nothing more is accepted; whatever has not gone upstream is answered `shutting_down`.
    pub stopping: CancellationToken,
    /// What is still under way is given up.
    pub kill: CancellationToken,
    /// Background tasks end.
    pub ended: CancellationToken,
}

impl Shutdown {
    /// Walks through the steps once `asked` is done: `grace` of serving on, then at most `drain` for `work` to finish.
    /// `hurry` cuts the grace short.
    pub(crate) async fn walk(
        &self,
        settings: &config::Shutdown,
        hurry: impl Future<Output = ()>,
        work: impl Future<Output = ()>,
        tasks: &TaskTracker,
    ) {
        tracing::info!(
            event = "shutdown_asked",
            grace_ms = millis(settings.grace),
            "not ready from now on; serving on for the grace time"
        );
        self.not_ready.cancel();
        tokio::select! {
            () = sleep(settings.grace) => {}
            () = hurry => {}
        }
        tracing::info!(
            event = "draining",
            drain_ms = millis(settings.drain),
            "no longer accepting; finishing what is under way"
        );
        self.stopping.cancel();
        tasks.close();
        let drained = async {
            tokio::join!(work, tasks.wait());
        };
        tokio::pin!(drained);
        tokio::select! {
            () = &mut drained => {}
            () = sleep(settings.drain) => {
                self.kill.cancel();
                // Whoever is killed notices at once, and says what it gives up.
                let _ = tokio::time::timeout(Duration::from_secs(1), drained).await;
            }
        }
        self.ended.cancel();
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
