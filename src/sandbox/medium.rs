//! The official facts about each medium: its path, its states and its disconnect types (SDK 269.0.0, models `Call`,
//! `Callback`, …).

use serde::{Deserialize, Serialize};

/// The media a participant can be on; the word is the array's name in a participant.
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
    #[serde(alias = "screenMonitoring")]
    ScreenMonitorings,
}

/// A list of words, separated by spaces.
type Words = &'static str;

/// What distinguishes one medium from another.
pub(crate) struct Facts {
    /// The array in a participant.
    pub(crate) name: &'static str,
    /// The segment in `/api/v2/conversations/{segment}/…`, if such paths are published.
    pub(crate) segment: Option<&'static str>,
    /// Whether the paths with that segment include the PATCHes.
    pub(crate) patched: bool,
    /// `mediaType` in analytics.
    pub(crate) analytics: &'static str,
    pub(crate) states: Words,
    pub(crate) disconnect_types: Words,
    /// Whether its communications have the members `direction`, `held` and `muted`.
    pub(crate) direction: bool,
    pub(crate) held: bool,
    pub(crate) muted: bool,
}

const TELEPHONY: Words = "alerting dialing contacting offering connected disconnected terminated none";
const SCHEDULABLE: Words = "alerting dialing contacting offering connected disconnected terminated scheduled none";
const ENDS: Words = "endpoint client system timeout transfer transfer.conference transfer.consult transfer.forward \
        transfer.noanswer transfer.notavailable transport.failure error peer other spam uncallable";

/// A medium without paths of its own, and without `direction`, `held` and `muted`.
const PLAIN: Facts = Facts {
    name: "",
    segment: None,
    patched: false,
    analytics: "unknown",
    states: TELEPHONY,
    disconnect_types: ENDS,
    direction: false,
    held: false,
    muted: false,
};

const CALLS: Facts = Facts {
    name: "calls",
    segment: Some("calls"),
    patched: true,
    analytics: "voice",
    states: "alerting dialing contacting offering connected disconnected terminated converting uploading \
        transmitting none",
    disconnect_types: "endpoint endpoint.donotdisturb client system timeout transfer transfer.conference \
        transfer.consult transfer.donotdisturb transfer.forward transfer.noanswer transfer.notavailable \
        transport.failure error peer other spam uncallable",
    direction: true,
    held: true,
    muted: true,
};

const CALLBACKS: Facts = Facts {
    name: "callbacks",
    segment: Some("callbacks"),
    patched: true,
    analytics: "callback",
    states: SCHEDULABLE,
    direction: true,
    held: true,
    ..PLAIN
};

const CHATS: Facts = Facts {
    name: "chats",
    analytics: "chat",
    disconnect_types: "endpoint client system transfer transfer.conference transfer.consult transfer.forward error \
        peer other uncallable timeout",
    direction: true,
    held: true,
    ..PLAIN
};

const EMAILS: Facts = Facts {
    name: "emails",
    segment: Some("emails"),
    patched: true,
    analytics: "email",
    states: "alerting connected disconnected none parked transmitting",
    direction: true,
    held: true,
    ..PLAIN
};

const MESSAGES: Facts = Facts {
    name: "messages",
    segment: Some("messages"),
    patched: true,
    analytics: "message",
    states: "alerting connected parked disconnected",
    disconnect_types: "endpoint client system timeout transfer transfer.conference transfer.consult transfer.forward \
        transfer.noanswer transfer.notavailable transport.failure error peer other spam uncallable \
        inactivity session.expired takeover",
    direction: true,
    held: true,
    ..PLAIN
};

const COBROWSESESSIONS: Facts = Facts {
    name: "cobrowsesessions",
    segment: Some("cobrowsesessions"),
    patched: true,
    analytics: "cobrowse",
    states: SCHEDULABLE,
    disconnect_types: "endpoint client system timeout transfer transfer.conference transfer.consult transfer.forward \
        transport.failure error peer other spam uncallable",
    ..PLAIN
};

const SCREENSHARES: Facts = Facts { name: "screenshares", analytics: "screenshare", ..PLAIN };
const VIDEOS: Facts = Facts { name: "videos", analytics: "video", ..PLAIN };
const SOCIAL_EXPRESSIONS: Facts = Facts { name: "socialExpressions", held: true, ..PLAIN };

const INTERNAL_MESSAGES: Facts = Facts {
    name: "internalMessages",
    segment: Some("internalmessages"),
    analytics: "internalmessage",
    states: "alerting connected disconnected",
    disconnect_types: "client system peer transfer",
    ..PLAIN
};

const SCREEN_MONITORINGS: Facts = Facts {
    name: "screenMonitorings",
    analytics: "screenmonitoring",
    states: "none connected disconnected",
    disconnect_types: "system",
    ..PLAIN
};

impl Medium {
    const ALL: [Self; 11] = [
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
        Self::ScreenMonitorings,
    ];

    pub(crate) fn facts(self) -> &'static Facts {
        match self {
            Self::Calls => &CALLS,
            Self::Callbacks => &CALLBACKS,
            Self::Chats => &CHATS,
            Self::Emails => &EMAILS,
            Self::Messages => &MESSAGES,
            Self::Cobrowsesessions => &COBROWSESESSIONS,
            Self::Screenshares => &SCREENSHARES,
            Self::Videos => &VIDEOS,
            Self::SocialExpressions => &SOCIAL_EXPRESSIONS,
            Self::InternalMessages => &INTERNAL_MESSAGES,
            Self::ScreenMonitorings => &SCREEN_MONITORINGS,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        self.facts().name
    }

    /// The medium of a segment in a path, if that path is published.
    pub(crate) fn from_path(segment: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|medium| medium.facts().segment == Some(segment))
    }

    pub(crate) fn has_state(self, state: &str) -> bool {
        self.facts().states.split_whitespace().any(|word| word == state)
    }

    pub(crate) fn ends_by(self, kind: &str) -> bool {
        self.facts().disconnect_types.split_whitespace().any(|word| word == kind)
    }

    /// The official `disconnectType` of a communication; `system` if the medium does not know `kind`.
    pub(crate) fn disconnect_type(self, kind: &str) -> &str {
        if self.ends_by(kind) { kind } else { "system" }
    }
}

/// A `disconnectType` of the conversations API as analytics spells it.
pub(crate) fn analytics_disconnect_type(kind: &str) -> &'static str {
    match kind {
        "client" => "client",
        "endpoint" => "endpoint",
        "endpoint.donotdisturb" => "dndEndpoint",
        "error" => "error",
        "inactivity" => "inactivity",
        "peer" => "peer",
        "session.expired" => "sessionExpired",
        "spam" => "spam",
        "system" => "system",
        "takeover" => "takeover",
        "timeout" => "timeout",
        "transfer" => "transfer",
        "transfer.conference" => "conferenceTransfer",
        "transfer.consult" => "consultTransfer",
        "transfer.donotdisturb" => "dndTransfer",
        "transfer.forward" => "forwardTransfer",
        "transfer.noanswer" => "noAnswerTransfer",
        "transfer.notavailable" => "notAvailableTransfer",
        "transport.failure" => "transportFailure",
        "uncallable" => "uncallable",
        _ => "other",
    }
}
