//! `hangup sandbox`.

use super::Failure;
use crate::app::stop_signals;
use crate::config::Config;
use crate::sandbox::{self, ConversationSpec, Sandbox};
use crate::server;

/// Serves the stand-in until SIGTERM, with one live conference to begin with.
pub(super) async fn run(config: Config) -> Result<(), Failure> {
    let (asked, _) = stop_signals();
    // Without more descriptors it still serves fewer connections.
    let _ = server::raise_descriptor_limit();
    let listener = sandbox::listen(config.sandbox.bind).map_err(|cause| {
        Failure::failed(format!(
            "sandbox.bind = \"{}\": cannot listen there ({cause}); choose another address",
            config.sandbox.bind
        ))
    })?;
    let addr = listener.local_addr().map_err(|e| Failure::failed(e.to_string()))?;
    let sandbox = Sandbox::new(&config.sandbox);
    let conference = sandbox.create_conference(ConversationSpec::default());
    tracing::info!(event = "listening", addr = %addr, conversation_id = %conference.id, "the sandbox listens, with a live conference in it");
    sandbox.serve(listener, asked).await.map_err(|e| Failure::failed(e.to_string()))
}
