//! The way out, in order: not ready, stop, kill. Each step is a token that the affected tasks watch.

use std::time::Duration;

use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config;

/// For the answers to what was given up, and then for connections to close.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// The steps of leaving.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// `/readyz` says no; everything else goes on.
    pub not_ready: CancellationToken,
    /// Nothing more is accepted; whatever has not gone upstream is answered `shutting_down`.
    pub stopping: CancellationToken,
    /// What is still under way is given up.
    pub kill: CancellationToken,
    /// Connections are cut, once those whose work was given up have their answers.
    pub cut: CancellationToken,
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
                // A killed task notices at once, says what it gives up, and answers its caller.
                if timeout(LAST_WORDS, &mut drained).await.is_err() {
                    self.cut.cancel();
                    let _ = timeout(LAST_WORDS, drained).await;
                }
            }
        }
        self.ended.cancel();
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
