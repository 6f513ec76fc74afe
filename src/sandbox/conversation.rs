//! A conversation and who is in it. Nothing here waits: what happens later is noted with its instant, and looked up.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use tokio::time::Instant;
use uuid::Uuid;

use super::clock::Clock;

/// The media a participant can be on; the word is the array's name, and the one in the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "each is the published word")]
pub enum Medium {
    #[serde(alias = "call")]
    Calls,
    #[serde(alias = "callback")]
    Callbacks,
    #[serde(alias = "chat")]
    Chats,
    #[serde(alias = "email")]
    Emails,
    #[serde(alias = "message")]
    Messages,
    #[serde(alias = "cobrowsesession")]
    Cobrowsesessions,
    #[serde(alias = "screenshare")]
    Screenshares,
    #[serde(alias = "video")]
    Videos,
    #[serde(alias = "socialExpression")]
    SocialExpressions,
    #[serde(alias = "internalMessage")]
    InternalMessages,
}

impl Medium {
    const ALL: [Self; 10] = [
        Self::Calls,
        Self::Callbacks,
        Self::Chats,
        Self::Emails,
        Self::Messages,
        Self::Cobrowsesessions,
        Self::Screenshares,
        Self::Videos,
        Self::SocialExpressions,
        Self::InternalMessages,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::Callbacks => "callbacks",
            Self::Chats => "chats",
            Self::Emails => "emails",
            Self::Messages => "messages",
            Self::Cobrowsesessions => "cobrowsesessions",
            Self::Screenshares => "screenshares",
            Self::Videos => "videos",
            Self::SocialExpressions => "socialExpressions",
            Self::InternalMessages => "internalMessages",
        }
    }

    pub(crate) fn from_path(segment: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|m| m.name() == segment)
    }
}

/// How and when something ended.
#[derive(Debug, Clone)]
pub(crate) struct Gone {
    pub(crate) at: Instant,
    pub(crate) wall: OffsetDateTime,
    /// `disconnected` or `terminated`.
    pub(crate) state: String,
    /// `client`, `system`, `transfer`, …
    pub(crate) kind: &'static str,
}

#[derive(Debug, Clone)]
pub(crate) struct Communication {
    pub(crate) id: Uuid,
    pub(crate) medium: Medium,
    /// The state while it lives.
    pub(crate) state: String,
    pub(crate) gone: Option<Gone>,
}

#[derive(Debug, Clone)]
pub(crate) struct Participant {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) purpose: String,
    pub(crate) user_id: Option<String>,
    pub(crate) queue_id: Option<String>,
    pub(crate) address: Option<String>,
    pub(crate) started: OffsetDateTime,
    pub(crate) connected: Option<OffsetDateTime>,
    pub(crate) wrapup_pending: bool,
    pub(crate) communications: Vec<Communication>,
    /// End of a participant that has no communications.
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

    /// The last of its ends, once all have come.
    pub(crate) fn ended(&self, now: Instant) -> Option<&Gone> {
        if self.communications.is_empty() {
            return self.left.as_ref().filter(|g| g.at <= now);
        }
        if self.communications.iter().any(|c| c.gone(now).is_none()) {
            return None;
        }
        self.communications.iter().filter_map(|c| c.gone.as_ref()).max_by_key(|g| g.at)
    }

    /// Ends what lives, on one medium or on all. An end that is already due earlier stays as it is.
    pub(crate) fn end(&mut self, medium: Option<Medium>, gone: &Gone) {
        let sooner = |old: &Option<Gone>| !past(old.as_ref(), gone.at);
        for communication in self.communications.iter_mut().filter(|c| medium.is_none_or(|m| m == c.medium)) {
            if sooner(&communication.gone) {
                communication.gone = Some(gone.clone());
            }
        }
        if self.communications.is_empty() && sooner(&self.left) {
            self.left = Some(gone.clone());
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Conversation {
    pub(crate) id: Uuid,
    pub(crate) started: OffsetDateTime,
    pub(crate) participants: Vec<Participant>,
    /// An end for everybody, noted in advance.
    pub(crate) ends: Option<Instant>,
    /// How long it can be read after its end, where that differs from the setting.
    pub(crate) readable_for: Option<std::time::Duration>,
    /// When the last one left.
    pub(crate) ended: Option<(Instant, OffsetDateTime)>,
}

impl Conversation {
    /// Brings it up to `now`: everybody leaves when its end has come, and it ends when nobody is live.
    pub(crate) fn settle(&mut self, now: Instant, clock: &Clock) {
        if self.ended.is_some() {
            return;
        }
        let due = self.ends.filter(|at| *at <= now);
        if let Some(at) = due {
            let gone = Gone { at, wall: clock.wall(at), state: "disconnected".to_owned(), kind: "system" };
            self.participants.iter_mut().for_each(|p| p.end(None, &gone));
        }
        let ends: Option<Vec<Instant>> = self.participants.iter().map(|p| p.ended(now).map(|g| g.at)).collect();
        // A conversation without participants lives until its own end comes.
        let last = ends.and_then(|ends| ends.into_iter().max().or(due));
        self.ended = last.map(|at| (at, clock.wall(at)));
    }

    /// The participant of that id: the live one where it is listed more than once.
    pub(crate) fn position(&self, id: Uuid, now: Instant) -> Option<usize> {
        let mut same = self.participants.iter().enumerate().filter(|(_, p)| p.id == id);
        same.clone().find(|(_, p)| p.is_live(now)).or_else(|| same.next()).map(|(at, _)| at)
    }
}
