//! Disconnects one participant, communication or medium, or the whole conversation.

use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::clock::Clock;
use super::conversation::{Conversation, Gone, Participant, SYSTEM_WRAPUP, Scope, SettledWrapup, WrapupTerms};
use super::conversations::Conversations;

/// A request to disconnect a participant.
#[derive(Debug, Clone)]
pub(crate) struct Disconnect {
    pub(crate) scope: Scope,
    pub(crate) wrapup: Wrapup,
    /// How long until it takes effect; `None` only checks it.
    pub(crate) delay: Option<Duration>,
}

/// What a request says about the wrap-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wrapup {
    /// Nothing.
    Absent,
    Code {
        code: String,
        notes: Option<String>,
    },
    Skipped,
    /// The operation knows no wrap-up: it neither needs nor settles one.
    Ignored,
}

/// The result of a request to disconnect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disconnected {
    /// It will take effect, now or as an earlier one said.
    Accepted,
    /// The participant had left already.
    Gone,
    /// It needs a wrap-up code.
    WrapupOwed,
    /// It cannot skip the wrap-up.
    CannotSkip,
    /// No participant of this conversation has the id.
    NotAParticipant,
    /// It is not on that medium, or has no such communication.
    OtherMedium,
    /// The conversation has ended.
    Ended,
    /// There is no such conversation.
    Unknown,
}

impl Conversations {
    pub(crate) fn disconnect(
        &self,
        id: Uuid,
        participant: Uuid,
        asked: &Disconnect,
        readable_for: Duration,
    ) -> Disconnected {
        let clock = self.clock;
        let outcome = self.with(id, readable_for, |conversation, now| {
            let over = conversation.ended.is_some();
            let position = conversation.position(participant, now);
            let Some(found) = position.and_then(|at| conversation.participants.get_mut(at)) else {
                return if over { Disconnected::Ended } else { Disconnected::NotAParticipant };
            };
            let outcome = if found.is_live(now) {
                leave(found, asked, now, &clock)
            } else if found.owes_wrapup(now) && asked.wrapup != Wrapup::Ignored {
                wrap_up(found, asked, now, &clock)
            } else if over {
                Disconnected::Ended
            } else {
                Disconnected::Gone
            };
            conversation.settle(now, &clock);
            outcome
        });
        outcome.unwrap_or(Disconnected::Unknown)
    }

    /// Ends a conversation for all participants, on one medium or on all. `false` if it has ended, or is not on that
    /// medium.
    pub(crate) fn tear_down(&self, id: Uuid, scope: Scope, delay: Option<Duration>, readable_for: Duration) -> bool {
        let clock = self.clock;
        let found = self.with(id, readable_for, |conversation, now| {
            if conversation.ended.is_some() || matches!(scope, Scope::Medium(medium) if !conversation.is_on(medium)) {
                return false;
            }
            if let Some(at) = delay.and_then(|delay| now.checked_add(delay)) {
                end_all(conversation, scope, at, &clock);
                conversation.settle(now, &clock);
            }
            true
        });
        found.unwrap_or(false)
    }
}

fn leave(found: &mut Participant, asked: &Disconnect, now: Instant, clock: &Clock) -> Disconnected {
    if asked.scope != Scope::Everything {
        let mut meant = found.communications.iter().filter(|c| asked.scope.covers(c)).peekable();
        if meant.peek().is_none() {
            return Disconnected::OtherMedium;
        }
        if meant.all(|c| c.gone(now).is_some()) {
            return Disconnected::Gone;
        }
    }
    if found.wrapup == WrapupTerms::Required && found.settled.is_none() {
        match asked.wrapup {
            Wrapup::Absent => return Disconnected::WrapupOwed,
            Wrapup::Skipped => return Disconnected::CannotSkip,
            Wrapup::Code { .. } | Wrapup::Ignored => {}
        }
    }
    found.disconnects += 1;
    if let Some(at) = asked.delay.and_then(|delay| now.checked_add(delay)) {
        found.end(asked.scope, &Gone::disconnected(at, clock, "client"));
        settle_wrapup(found, &asked.wrapup, at, clock);
    }
    Disconnected::Accepted
}

/// Settles the wrap-up of a participant that has left.
fn wrap_up(found: &mut Participant, asked: &Disconnect, now: Instant, clock: &Clock) -> Disconnected {
    match asked.wrapup {
        Wrapup::Absent | Wrapup::Ignored => return Disconnected::WrapupOwed,
        Wrapup::Skipped if found.wrapup == WrapupTerms::Required => return Disconnected::CannotSkip,
        Wrapup::Skipped | Wrapup::Code { .. } => {}
    }
    if let Some(at) = asked.delay.and_then(|delay| now.checked_add(delay)) {
        settle_wrapup(found, &asked.wrapup, at, clock);
    }
    Disconnected::Accepted
}

fn settle_wrapup(found: &mut Participant, wrapup: &Wrapup, at: Instant, clock: &Clock) {
    let (code, notes) = match wrapup {
        Wrapup::Code { code, notes } => (Some(code.clone()), notes.clone()),
        Wrapup::Skipped => (None, None),
        Wrapup::Absent | Wrapup::Ignored => return,
    };
    found.settled.get_or_insert(SettledWrapup { at, wall: clock.wall(at), code, notes });
}

fn end_all(conversation: &mut Conversation, scope: Scope, at: Instant, clock: &Clock) {
    if scope == Scope::Everything {
        conversation.ends = Some(conversation.ends.map_or(at, |ends| ends.min(at)));
        let system = Wrapup::Code { code: SYSTEM_WRAPUP.to_owned(), notes: None };
        for owing in conversation.participants.iter_mut().filter(|p| p.wrapup != WrapupTerms::None) {
            settle_wrapup(owing, &system, at, clock);
        }
    } else {
        let gone = Gone::disconnected(at, clock, "system");
        conversation.participants.iter_mut().for_each(|p| p.end(scope, &gone));
    }
}
