//! `hangup check`: is everything right before it has to be?

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::util::BoxCloneSyncService;

use super::{Failure, table};
use crate::callers::Callers;
use crate::config::Config;
use crate::disconnect::look::{Read, read};
use crate::genesys::Client;
use crate::genesys::context::Context;
use crate::genesys::exchange::Wire;
use crate::genesys::request::{Medium, Rank};
use crate::ids::ConversationId;
use crate::metrics::Metrics;
use crate::server::TlsSource;
use crate::server::tls::install_crypto_provider;

/// Validates and prints the configuration, logs in, and reads a conversation if one is named.
pub(super) async fn run(config: Config, conversation: Option<ConversationId>) -> Result<(), Failure> {
    let printed =
        toml::to_string(&config).map_err(|e| Failure::failed(format!("the configuration cannot be shown: {e}")))?;
    println!("{printed}");
    for (key, set) in
        [("genesys.client_secret", config.genesys.client_secret.is_some()), ("sandbox.client_secret", true)]
    {
        println!("# {key}: {}", if set { "set, not shown" } else { "not set" });
    }
    config.check_serve().map_err(Failure::unusable)?;
    install_crypto_provider();
    Callers::open(&config.auth).map_err(Failure::unusable)?;
    TlsSource::open(&config.server.tls).map_err(Failure::unusable)?;
    println!("\nconfiguration: valid");

    let wire = Wire::new(&config.genesys, config.disconnect.attempt_timeout).map_err(Failure::unusable)?;
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let metrics = Arc::new(Metrics::new());
    let client = Client::start(&config, BoxCloneSyncService::new(wire), &metrics, &tasks, &stop, &stop)
        .map_err(Failure::unusable)?;
    let _stop = stop.drop_guard();
    let context =
        Arc::new(Context::new("check".into(), "check".into(), config.disconnect.deadline, std::time::Duration::ZERO));
    client.tokens().acquire(context.deadline).await.map_err(|e| Failure::failed(format!("login: {e}")))?;
    println!("login: a token was granted");
    match conversation {
        Some(cid) => show(&client, &context, cid).await,
        None => Ok(()),
    }
}

/// Who could be dropped from a live conversation.
async fn show(client: &Client, context: &Arc<Context>, cid: ConversationId) -> Result<(), Failure> {
    let (read, _) =
        read(client, context, Rank::Lookup, cid).await.map_err(|p| Failure::failed(format!("read: {}", p.detail)))?;
    let conversation = match read {
        Read::Found(conversation) => conversation,
        Read::NotFound => {
            return Err(Failure::failed(format!(
                "read: conversation {cid} is not known; it ended, or the region is wrong"
            )));
        }
        Read::Hidden(problem) => return Err(Failure::failed(format!("read: {}", problem.detail))),
    };
    let rows: Vec<_> = conversation
        .participants
        .iter()
        .map(|p| {
            let media: Vec<_> = p.live_media().into_iter().map(Medium::singular).collect();
            let word = |text: Option<&str>| text.unwrap_or("-").to_owned();
            let droppable = if p.is_live() && !conversation.ended() { "yes" } else { "no" };
            vec![
                p.id.clone(),
                word(p.purpose.as_deref()),
                word(p.name.as_deref()),
                word(p.state()),
                media.join(","),
                droppable.to_owned(),
            ]
        })
        .collect();
    let state = if conversation.ended() { "ended" } else { "active" };
    println!(
        "conversation {cid}: {state}\n\n{}",
        table::render(&["PARTICIPANT", "PURPOSE", "NAME", "STATE", "MEDIA", "DROPPABLE"], &rows)
    );
    Ok(())
}
