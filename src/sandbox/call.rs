//! Which operation a method and a path name.

use http::Method;
use uuid::Uuid;

use super::conversation::Medium;
use super::journal::Kind;

/// A request to the stand-in, as far as its first line says.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) kind: Kind,
    pub(crate) conversation: Option<Uuid>,
    pub(crate) participant: Option<Uuid>,
    /// The medium in the path.
    pub(crate) medium: Option<Medium>,
    pub(crate) flaw: Option<Flaw>,
}

/// Why a first line names no operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    NoSuchPath,
    /// With the method that there is.
    WrongMethod(&'static str),
    /// With the name of the id that is none.
    Malformed(&'static str),
}

impl Call {
    pub(crate) fn classify(method: &Method, path: &str) -> Self {
        let mut call = Self { kind: Kind::Other, conversation: None, participant: None, medium: None, flaw: None };
        let segments: Vec<&str> = path.strip_prefix('/').unwrap_or(path).split('/').collect();
        match segments.as_slice() {
            ["oauth", "token"] => call.only("POST", Kind::Login, method),
            ["api", "v2", "conversations"] => call.only("GET", Kind::List, method),
            ["api", "v2", "conversations", id] if Medium::from_path(id).is_none() => {
                call.ids(id, None);
                call.only("GET", Kind::Read, method);
            }
            ["api", "v2", "conversations", id, "disconnect"] if Medium::from_path(id).is_none() => {
                call.ids(id, None);
                call.only("POST", Kind::Teardown, method);
            }
            ["api", "v2", "conversations", medium, id] if call.on(medium) => {
                call.ids(id, None);
                call.only("GET", Kind::Read, method);
            }
            ["api", "v2", "conversations", id, "participants", participant] => {
                call.ids(id, Some(participant));
                call.only("PATCH", Kind::Patch, method);
            }
            ["api", "v2", "conversations", medium, id, "participants", participant] if call.on(medium) => {
                call.ids(id, Some(participant));
                call.only("PATCH", Kind::Patch, method);
            }
            ["api", "v2", "conversations", id, "participants", participant, "disconnect"] => {
                call.ids(id, Some(participant));
                call.only("POST", Kind::Post, method);
            }
            _ => call.flaw = Some(Flaw::NoSuchPath),
        }
        call
    }

    fn on(&mut self, segment: &str) -> bool {
        self.medium = Medium::from_path(segment);
        self.medium.is_some()
    }

    fn ids(&mut self, conversation: &str, participant: Option<&str>) {
        self.conversation = uuid(conversation);
        self.participant = participant.and_then(uuid);
        if self.conversation.is_none() {
            self.flaw = Some(Flaw::Malformed("conversationId"));
        } else if participant.is_some() && self.participant.is_none() {
            self.flaw = Some(Flaw::Malformed("participantId"));
        }
    }

    fn only(&mut self, allowed: &'static str, kind: Kind, method: &Method) {
        if method.as_str() == allowed {
            self.kind = kind;
        } else {
            self.flaw = Some(Flaw::WrongMethod(allowed));
        }
    }
}

fn uuid(text: &str) -> Option<Uuid> {
    if text.len() == 36 { Uuid::try_parse(text).ok() } else { None }
}
