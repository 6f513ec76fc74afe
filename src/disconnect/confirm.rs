//! Confirms an accepted disconnect, where the caller or the configuration asks for it.

use std::time::Duration;

use super::confirmer::sees;
use super::presence::{Awaited, Presence};
use super::{Admission, Disconnector, Origin, Request};
use crate::config::Confirm;
use crate::ids::ConversationId;
use crate::outcome::{Outcome, Settled};
use crate::problem::Problem;

impl Disconnector {
    /// Looks after an accepted disconnect, where the caller or the configuration asks for it.
    pub(super) async fn confirm_as_asked(
        &self,
        request: &Request,
        settled: Settled,
        admission: Option<Admission>,
    ) -> Result<Settled, Problem> {
        let settings = &self.inner.settings;
        let wait = match (request.wait, settings.confirm) {
            (Some(_), _) if request.trust_stated && settled.outcome == Outcome::Disconnected => return Ok(settled),
            (Some(wait), _) => wait,
            (None, Confirm::Always) => settings.confirm_wait,
            (None, Confirm::Background) => {
                self.confirm_in_background(request);
                return Ok(settled);
            }
            (None, Confirm::Never) => return Ok(settled),
        };
        let shown = Box::pin(self.watch(&request.origin, awaited(request), wait)).await;
        // The place among those under way is held while waiting: it bounds our memory.
        drop(admission);
        shown.after(settled)
    }

    /// How long to look after an accepted disconnect of a caller that wants to wait this long.
    pub(super) fn confirm_wait(&self, wait: Option<Duration>) -> Option<Duration> {
        let settings = &self.inner.settings;
        wait.or((settings.confirm == Confirm::Always).then_some(settings.confirm_wait))
    }

    /// Looks until it is gone, for at most `wait`; a wait of no time reads nothing.
    pub(super) async fn watch(&self, origin: &Origin, awaited: (ConversationId, Awaited), wait: Duration) -> Presence {
        if wait.is_zero() {
            return Presence::Nothing;
        }
        self.inner.confirmer.gone(&self.inner.client, &origin.requester, awaited, wait, &self.inner.tasks).await
    }

    /// After the answer, while the rate window has room.
    fn confirm_in_background(&self, request: &Request) {
        if !self.inner.client.gate().has_ample_room() {
            return;
        }
        let (this, request) = (self.clone(), request.clone());
        self.inner.tasks.clone().spawn(async move {
            let wait = this.inner.settings.confirm_wait;
            let (client, requester) = (&this.inner.client, &request.origin.requester);
            let shown = this.watch(&request.origin, awaited(&request), wait).await;
            // An early look may have seen the participant, and those after it may have failed: no alarm without another one.
            if shown == Presence::There && sees(client, requester, awaited(&request)).await {
                this.inner.metrics.unconfirmed();
                let scope = &request.origin.scope;
                scope.unconfirmed(&requester.caller, request.conversation, request.participant);
                tracing::warn!(
                    event = "unconfirmed", conversation_id = %request.conversation, participant_id = %request.participant,
                    request_id = &*requester.request_id, caller = &*requester.caller,
                    "the participant is still there after an accepted disconnect"
                );
            }
        });
    }
}

pub(super) fn awaited(request: &Request) -> (ConversationId, Awaited) {
    (request.conversation, Awaited::Participant(request.participant, request.media))
}
