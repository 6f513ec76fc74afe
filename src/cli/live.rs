//! A look at a live conversation, for the commands that show one.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tower::util::BoxCloneSyncService;

use super::table;
use crate::config::{Config, UnknownConversation};
use crate::conversation::{Conversation, Participant};
use crate::crypto_provider;
use crate::disconnect::judge::{Observation, Verdict, judge};
use crate::disconnect::look::{Read, read};
use crate::genesys::Client;
use crate::genesys::context::Context;
use crate::genesys::error::CallError;
use crate::genesys::exchange::Wire;
use crate::genesys::request::Rank;
use crate::genesys::requester::Requester;
use crate::ids::{ConversationId, ParticipantId};
use crate::medium::Medium;
use crate::metrics::Metrics;
use crate::problem::Problem;

/// A client of the upstream for one command.
#[derive(Debug)]
pub(super) struct LiveUpstream {
    pub(super) client: Client,
    deadline: Duration,
    _stop: DropGuard,
}

/// What a read showed.
#[derive(Debug)]
pub(super) struct LiveRead {
    pub(super) read: Read,
    pub(super) correlation_id: Option<Arc<str>>,
}

impl LiveUpstream {
    /// Starts a client, and with it the login.
    ///
    /// # Errors
    /// A setting that cannot be used.
    pub(super) fn start(config: &Config) -> Result<Self, String> {
        crypto_provider::install();
        let wire = Wire::new(&config.genesys, config.disconnect.connect_timeout)?;
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let metrics = Arc::new(Metrics::new());
        let client = Client::start(config, BoxCloneSyncService::new(wire), metrics.upstream(), &tasks, &stop, &stop)?;
        Ok(Self { client, deadline: config.disconnect.deadline, _stop: stop.drop_guard() })
    }

    /// A context for one call.
    pub(super) fn context(&self) -> Arc<Context> {
        let request_id = format!("hangup-{}", uuid::Uuid::new_v4());
        let requester = Requester::new("hangup".into(), request_id.into());
        Arc::new(Context::new(requester.into(), self.deadline, Duration::ZERO))
    }

    /// Waits for the login.
    pub(super) async fn log_in(&self) -> Result<(), CallError> {
        self.client.tokens().acquire(self.context().deadline).await.map(|_| ())
    }

    /// Reads a conversation.
    pub(super) async fn read(&self, cid: ConversationId) -> Result<LiveRead, Problem> {
        let (read, answer) = read(&self.client, &self.context(), Rank::Lookup, cid).await?;
        Ok(LiveRead { read, correlation_id: answer.correlation_id })
    }
}

/// Who is in it, and what a disconnect of each would do.
pub(super) fn participants(conversation: &Conversation, only: Option<ParticipantId>) -> String {
    let wanted = |p: &&Participant| only.is_none_or(|only| ParticipantId::parse(&p.id) == Some(only));
    let rows: Vec<_> = conversation.participants.iter().filter(wanted).map(|p| row(conversation, p)).collect();
    table::render(&["PARTICIPANT", "STATE", "PURPOSE", "NAME", "MEDIA", "A DISCONNECT WOULD"], &rows)
}

fn row(conversation: &Conversation, p: &Participant) -> Vec<String> {
    let media: Vec<_> = p.live_media().into_iter().map(Medium::singular).collect();
    let word = |text: Option<&str>| text.unwrap_or("-").to_owned();
    let observation =
        ParticipantId::parse(&p.id).map_or(Observation::Absent, |id| Observation::of(conversation, id, None));
    vec![
        p.id.clone(),
        word(p.state()),
        word(p.purpose.as_deref()),
        word(p.name.as_deref()),
        media.join(","),
        verdict(observation, UnknownConversation::Ended),
    ]
}

/// What the judge says of an observation, when nothing has been sent.
pub(super) fn verdict(observation: Observation, unknown: UnknownConversation) -> String {
    match judge(observation, unknown) {
        Verdict::StillThere(_) => "be sent, and disconnect".to_owned(),
        Verdict::Settled { outcome, verified } => {
            let seen = if verified { "" } else { ", unverified" };
            format!("be answered 200 {}{seen}", outcome.name())
        }
        Verdict::ParticipantNotFound | Verdict::WithoutMedium(_) => "be answered 404 participant_not_found".to_owned(),
        Verdict::ConversationNotFound => "be answered 404 conversation_not_found".to_owned(),
        Verdict::Unread => "be sent, though its effect cannot be read afterwards".to_owned(),
    }
}
