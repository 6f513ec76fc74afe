//! Conversations that Genesys Cloud does not know: never known, or ended so long ago that it has forgotten them?

use std::collections::HashMap;
use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::StatusCode;
use parking_lot::{Mutex, MutexGuard};
use serde::Deserialize;
use tokio::time::Instant;

use super::judge::{Observation, Verdict, judge};
use crate::config::UnknownConversation;
use crate::genesys::Client;
use crate::genesys::answer::Answer;
use crate::genesys::context::Context;
use crate::genesys::request::Call;
use crate::ids::ConversationId;

/// How long analytics is left alone after it refused.
const REFUSAL_MEMORY: Duration = Duration::from_secs(300);
/// How long an answer of analytics is remembered.
const ANSWER_MEMORY: Duration = Duration::from_secs(60);
/// Answers remembered at most; beyond, analytics is asked each time.
const MOST: usize = 1_000;

/// Remembers whether a conversation was seen alive. The audit in the store is one.
pub trait Witness: Debug + Send + Sync {
    /// Whether it was; `false` also if the store does not answer in time.
    fn saw_alive(&self, conversation: ConversationId) -> Pin<Box<dyn Future<Output = bool> + Send + '_>>;
}

/// Finds out whether an unknown conversation has ended.
#[derive(Debug)]
pub(super) struct UnknownConversations {
    /// What such a conversation is where nothing more is known of it.
    pub(super) rule: UnknownConversation,
    witness: OnceLock<Arc<dyn Witness>>,
    memory: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    refused_until: Option<Instant>,
    answers: HashMap<ConversationId, (Instant, bool)>,
}

/// A conversation as analytics knows it, as far as we need it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Details {
    conversation_id: Option<String>,
    conversation_end: Option<String>,
}

impl UnknownConversations {
    pub(super) fn new(rule: UnknownConversation) -> Self {
        Self { rule, witness: OnceLock::new(), memory: Mutex::default() }
    }

    /// Judges an observation; of a conversation that Genesys Cloud does not know, it finds out more first.
    pub(super) async fn judge(
        &self,
        observation: Observation,
        client: &Client,
        context: &Arc<Context>,
        cid: ConversationId,
    ) -> Verdict {
        if observation == Observation::UnknownConversation
            && self.rule == UnknownConversation::Error
            && let Some(verified) = Box::pin(self.ended(client, context, cid)).await
        {
            return judge(Observation::Ended { verified }, self.rule);
        }
        judge(observation, self.rule)
    }

    /// Asks this witness first. The first one stays.
    pub(super) fn set_witness(&self, witness: Arc<dyn Witness>) {
        let _ = self.witness.set(witness);
    }

    /// Whether it has ended: `Some(true)` when analytics knows its end, `Some(false)` when we only know that it was alive once.
    async fn ended(&self, client: &Client, context: &Arc<Context>, cid: ConversationId) -> Option<bool> {
        if let Some(witness) = self.witness.get()
            && witness.saw_alive(cid).await
        {
            return Some(false);
        }
        let known = match self.remembered(cid) {
            Some(known) => known,
            None => self.ask(client, context, cid).await,
        };
        known.then_some(true)
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock()
    }

    /// What need not be asked again.
    fn remembered(&self, cid: ConversationId) -> Option<bool> {
        let now = Instant::now();
        let mut memory = self.memory();
        if memory.refused_until.is_some_and(|until| now < until) {
            return Some(false);
        }
        memory.answers.retain(|_, (until, _)| now < *until);
        memory.answers.get(&cid).map(|(_, ended)| *ended)
    }

    /// One query.
    async fn ask(&self, client: &Client, context: &Arc<Context>, cid: ConversationId) -> bool {
        let Ok(answer) = client.call(Call::analytics(context, cid)).await else { return false };
        let now = Instant::now();
        let mut memory = self.memory();
        match answer.status {
            StatusCode::OK => {
                let ended = knows_its_end(&answer, cid);
                memory.remember(cid, now, ended);
                ended
            }
            _ => {
                match refusal(&answer) {
                    Some(AnalyticsRefusal::OfAnalytics) => memory.refused_until = Some(now + REFUSAL_MEMORY),
                    Some(AnalyticsRefusal::OfThisConversation) => memory.remember(cid, now, false),
                    None => {}
                }
                false
            }
        }
    }
}

impl Memory {
    fn remember(&mut self, cid: ConversationId, now: Instant, ended: bool) {
        if self.answers.len() < MOST {
            self.answers.insert(cid, (now + ANSWER_MEMORY, ended));
        }
    }
}

/// What a refusal by analytics is about.
enum AnalyticsRefusal {
    /// Whichever conversation is asked for: the role may not ask, or something in between keeps analytics shut.
    OfAnalytics,
    /// The one conversation, such as one that analytics does not know, or one of another division.
    OfThisConversation,
}

/// `None` for transient answers, such as a 429 or a 5xx, and for those that prove nothing.
fn refusal(answer: &Answer) -> Option<AnalyticsRefusal> {
    if !answer.is_final_refusal() {
        return None;
    }
    let own = answer.is_own_refusal();
    match answer.status.as_u16() {
        501 => Some(AnalyticsRefusal::OfAnalytics),
        403..=405 if !own => Some(AnalyticsRefusal::OfAnalytics),
        403 if !answer.error().code.is_some_and(|code| code.contains("division")) => {
            Some(AnalyticsRefusal::OfAnalytics)
        }
        _ => own.then_some(AnalyticsRefusal::OfThisConversation),
    }
}

fn knows_its_end(answer: &Answer, cid: ConversationId) -> bool {
    answer.complete_json::<Details>().is_some_and(|details| {
        let same = details.conversation_id.as_deref().and_then(ConversationId::parse) == Some(cid);
        same && details.conversation_end.is_some_and(|end| !end.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::genesys::answer::Body;

    #[test]
    fn a_refusal_that_passes_is_remembered_neither_of_analytics_nor_of_the_conversation() {
        let own = |status: u16, code: &str| {
            let body = serde_json::json!({"code": code, "message": "m", "status": status}).to_string();
            let response = http::Response::builder().status(status).body(Body::complete(body.into())).unwrap();
            refusal(&Answer::from_http(response))
        };
        for (status, code) in [(408, "x"), (429, "x"), (403, "authentication.request.timeout"), (503, "x")] {
            assert!(own(status, code).is_none(), "{status} {code}");
        }
        assert!(matches!(own(404, "not.found"), Some(AnalyticsRefusal::OfThisConversation)));
        assert!(matches!(own(403, "missing.permissions"), Some(AnalyticsRefusal::OfAnalytics)));
    }
}
