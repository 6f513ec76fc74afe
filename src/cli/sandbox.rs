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
            "sandbox.bind = \"{}\": cannot listen there ({cause}); choose another address or stop what uses it",
            config.sandbox.bind
        ))
    })?;
    let addr = listener.local_addr().map_err(|e| Failure::failed(e.to_string()))?;
    let sandbox = Sandbox::new(&config.sandbox);
    let conference = sandbox.create_conference(ConversationSpec::default());
    // On stderr: stdout is the log's.
    eprintln!("{}", next_steps(&config, addr, &conference.id.to_string()));
    tracing::info!(event = "listening", addr = %addr, conversation_id = %conference.id, "the sandbox listens, with a live conference in it");
    sandbox.serve(listener, asked).await.map_err(|e| Failure::failed(e.to_string()))
}

/// What to do with a sandbox that runs.
fn next_steps(config: &Config, addr: std::net::SocketAddr, conference: &str) -> String {
    let client = &config.sandbox.client_id;
    format!(
        "The sandbox stands in for Genesys Cloud on http://{addr}, with a live conference in it: {conference}\n\n\
         Point hangup at it:\n\n  \
         export HANGUP__GENESYS__API_URL=http://{addr} HANGUP__GENESYS__LOGIN_URL=http://{addr}\n  \
         export HANGUP__GENESYS__CLIENT_ID={client} HANGUP__GENESYS__CLIENT_SECRET=<sandbox.client_secret>\n  \
         hangup check --conversation {conference}\n  \
         hangup disconnect {conference}\n  \
         hangup serve\n\n\
         Another conference:   curl -X POST http://{addr}/sandbox/conversations\n\
         Everything that was asked:   curl http://{addr}/sandbox/journal\n"
    )
}
