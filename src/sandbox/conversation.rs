//! A conversation and its participants. Nothing here waits: what will happen later is stored with its instant.

use std::borrow::Cow;

use time::OffsetDateTime;
use tokio::time::Instant;
use uuid::Uuid;

use super::clock::Clock;
use super::medium::Medium;

/// The wrap-up code that a teardown applies if one is owed: ININ-WRAP-UP-TIMEOUT.
pub(crate) const SYSTEM_WRAPUP: &str = "7fb334b0-0e9e-11e4-9191-0800200c9a66";

/// How and when something ended.
#[derive(Debug, Clone)]
pub(crate) struct Gone {
    pub(crate) at: Instant,
    pub(crate) wall: OffsetDateTime,
    /// `disconnected` or `terminated`.
    pub(crate) state: String,
    /// `client`, `system`, `transfer`, …
    pub(crate) kind: Cow<'static, str>,
}

impl Gone {
    /// A disconnect at an instant, for the reason `kind`.
    pub(crate) fn disconnected(at: Instant, clock: &Clock, kind: &'static str) -> Self {
        Self { at, wall: clock.wall(at), state: "disconnected".to_owned(), kind: kind.into() }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Communication {
    pub(crate) id: Uuid,
    pub(crate) medium: Medium,
    /// The state while it lives.
    pub(crate) state: String,
    pub(crate) gone: Option<Gone>,
}

/// Whether a participant must be wrapped up after its disconnect.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum WrapupTerms {
    #[default]
    None,
    /// It owes a code after it has left, but may skip it.
    Owed,
    /// It is not disconnected without a code, and cannot skip it.
    Required,
}

/// How a wrap-up was settled.
#[derive(Debug, Clone)]
pub(crate) struct SettledWrapup {
    pub(crate) at: Instant,
    pub(crate) wall: OffsetDateTime,
    /// The code; `None` if it was skipped.
    pub(crate) code: Option<String>,
    pub(crate) notes: Option<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct Participant {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) purpose: String,
    pub(crate) user_id: Option<String>,
    pub(crate) queue_id: Option<String>,
    pub(crate) queue_name: Option<String>,
    pub(crate) address: Option<String>,
    pub(crate) started: OffsetDateTime,
    pub(crate) connected: Option<OffsetDateTime>,
    pub(crate) wrapup: WrapupTerms,
    pub(crate) settled: Option<SettledWrapup>,
    pub(crate) communications: Vec<Communication>,
    /// When a callback is due.
    pub(crate) scheduled: Option<OffsetDateTime>,
    /// Whether analytics missed that it left.
    pub(crate) orphaned: bool,
    /// The end of a participant without communications.
    pub(crate) left: Option<Gone>,
    /// Disconnects accepted for it.
    pub(crate) disconnects: u64,
}

fn past(gone: Option<&Gone>, now: Instant) -> bool {
    gone.is_some_and(|g| g.at <= now)
}

impl Communication {
    pub(crate) fn gone(&self, now: Instant) -> Option<&Gone> {
        self.gone.as_ref().filter(|g| g.at <= now)
    }
}

impl Participant {
    pub(crate) fn is_live(&self, now: Instant) -> bool {
        self.ended(now).is_none()
    }

    /// Whether it is a part of the system, such as a queue or a flow.
    pub(crate) fn is_system(&self) -> bool {
        matches!(self.purpose.as_str(), "acd" | "ivr" | "workflow" | "voicemail" | "voicesurveyflow" | "botflow")
    }

    /// The end of its last communication, once all have ended.
    pub(crate) fn ended(&self, now: Instant) -> Option<&Gone> {
        if self.communications.is_empty() {
            return self.left.as_ref().filter(|g| g.at <= now);
        }
        if self.communications.iter().any(|c| c.gone(now).is_none()) {
            return None;
        }
        self.communications.iter().filter_map(|c| c.gone.as_ref()).max_by_key(|g| g.at)
    }

    /// How its wrap-up was settled, if it was by now.
    pub(crate) fn settled(&self, now: Instant) -> Option<&SettledWrapup> {
        self.settled.as_ref().filter(|settled| settled.at <= now)
    }

    /// Whether a wrap-up code is still missing.
    pub(crate) fn owes_wrapup(&self, now: Instant) -> bool {
        self.wrapup != WrapupTerms::None && self.settled(now).is_none()
    }

    /// Ends the communications in this scope at `gone.at`. Those that end earlier anyway stay as they are.
    pub(crate) fn end(&mut self, what: Scope, gone: &Gone) {
        let sooner = |old: &Option<Gone>| !past(old.as_ref(), gone.at);
        for communication in self.communications.iter_mut().filter(|c| what.covers(c)) {
            if sooner(&communication.gone) {
                communication.gone = Some(gone.clone());
            }
        }
        if self.communications.is_empty() && sooner(&self.left) {
            self.left = Some(gone.clone());
        }
    }
}

/// Which communications of a participant are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    Everything,
    Medium(Medium),
    Communication(Medium, Uuid),
}

impl Scope {
    pub(crate) fn of(medium: Option<Medium>) -> Self {
        medium.map_or(Self::Everything, Self::Medium)
    }

    pub(crate) fn covers(self, communication: &Communication) -> bool {
        match self {
            Self::Everything => true,
            Self::Medium(medium) => communication.medium == medium,
            Self::Communication(medium, id) => communication.medium == medium && communication.id == id,
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Conversation {
    pub(crate) id: Uuid,
    pub(crate) started: OffsetDateTime,
    pub(crate) division: Uuid,
    /// Whether its queue leg stays when all others have left.
    pub(crate) stubborn: bool,
    pub(crate) participants: Vec<Participant>,
    /// When it will end for all participants.
    pub(crate) ends: Option<Instant>,
    /// How long it can be read after its end, if that differs from the setting.
    pub(crate) readable_for: Option<std::time::Duration>,
    /// When the last participant left.
    pub(crate) ended: Option<(Instant, OffsetDateTime)>,
}

impl Conversation {
    /// Brings it up to date: participants leave when their end has come, and it ends with the last of them.
    pub(crate) fn settle(&mut self, now: Instant, clock: &Clock) {
        if self.ended.is_some() {
            return;
        }
        let due = self.ends.filter(|at| *at <= now);
        if let Some(at) = due {
            let gone = Gone::disconnected(at, clock, "system");
            self.participants.iter_mut().for_each(|p| p.end(Scope::Everything, &gone));
        }
        self.leave_with_the_last(now, clock);
        let ends: Option<Vec<Instant>> = self.participants.iter().map(|p| p.ended(now).map(|g| g.at)).collect();
        // A conversation without participants lives until its own end comes.
        let last = ends.and_then(|ends| ends.into_iter().max().or(due));
        self.ended = last.map(|at| (at, clock.wall(at)));
    }

    /// Ends queue legs and flows when all others have left.
    fn leave_with_the_last(&mut self, now: Instant, clock: &Clock) {
        if self.stubborn {
            return;
        }
        let people = self.participants.iter().filter(|p| !p.is_system());
        let left: Option<Vec<Instant>> = people.map(|p| p.ended(now).map(|gone| gone.at)).collect();
        if let Some(at) = left.and_then(|left| left.into_iter().max()) {
            let gone = Gone::disconnected(at, clock, "peer");
            let live = self.participants.iter_mut().filter(|p| p.is_system() && p.is_live(now));
            live.for_each(|p| p.end(Scope::Everything, &gone));
        }
    }

    /// The latest end that is still to come; `None` if all have come.
    pub(crate) fn last_end_due(&self, now: Instant) -> Option<Instant> {
        let media = self.participants.iter().flat_map(|p| &p.communications).filter_map(|c| c.gone.as_ref());
        let people = self.participants.iter().filter_map(|p| p.left.as_ref());
        let ends = media.chain(people).map(|gone| gone.at).chain(self.ends);
        ends.filter(|at| *at > now).max()
    }

    /// The place of the participant with that id: the live one if it is listed more than once.
    pub(crate) fn position(&self, id: Uuid, now: Instant) -> Option<usize> {
        let mut same = self.participants.iter().enumerate().filter(|(_, p)| p.id == id);
        same.clone().find(|(_, p)| p.is_live(now)).or_else(|| same.next()).map(|(at, _)| at)
    }

    pub(crate) fn is_on(&self, medium: Medium) -> bool {
        self.participants.iter().any(|p| p.communications.iter().any(|c| c.medium == medium))
    }

    pub(crate) fn is_scheduled(&self, medium: Medium) -> bool {
        let mut all = self.participants.iter().flat_map(|p| &p.communications);
        all.any(|c| c.medium == medium && c.state == "scheduled")
    }

    /// Whether the conversations API no longer knows it.
    pub(crate) fn forgotten(&self, now: Instant, readable_for: std::time::Duration) -> bool {
        let readable_for = self.readable_for.unwrap_or(readable_for);
        self.ended.is_some_and(|(at, _)| now.duration_since(at) >= readable_for)
    }
}
