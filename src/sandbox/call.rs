//! Finds the operation that a method and a path name.

use http::Method;
use uuid::Uuid;

use super::journal::Kind;
use super::medium::Medium;

/// An operation of Genesys Cloud that the sandbox serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Login,
    /// A conversation, as a whole or as one medium sees it.
    Read,
    /// The live conversations, all or those on one medium.
    List,
    /// The wrap-up of a participant.
    ReadWrapup,
    Patch,
    PatchCommunication,
    /// The unpublished POST.
    Post,
    /// `POST …/disconnect` or `DELETE` of a conversation, and the PATCH of all that is on one medium.
    Teardown,
    DeleteConversation,
    PatchMedium,
    /// Analytics: by query, in real time, and of one conversation.
    DetailsQuery,
    ActivityQuery,
    Details,
    /// Names.
    Queues,
    Users,
    None,
}

impl Operation {
    /// Its kind in the journal and in fault rules.
    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::Login => Kind::Login,
            Self::Read => Kind::Read,
            Self::List => Kind::List,
            Self::Patch | Self::PatchCommunication => Kind::Patch,
            Self::Post => Kind::Post,
            Self::Teardown | Self::DeleteConversation | Self::PatchMedium => Kind::Teardown,
            Self::DetailsQuery | Self::ActivityQuery | Self::Details => Kind::Analytics,
            Self::Queues | Self::Users => Kind::Names,
            Self::ReadWrapup | Self::None => Kind::Other,
        }
    }

    /// The permissions of which the client needs one; empty if it needs none.
    pub(crate) fn permissions(self, medium: Option<Medium>) -> &'static [&'static str] {
        match self {
            Self::Read | Self::List | Self::ReadWrapup => &["conversation:communication:view"],
            Self::Patch if medium == Some(Medium::Emails) => &[
                "conversation:communication:disconnect",
                "conversation:participant:wrapup",
                "conversation:call:record",
                "conversation:email:park",
            ],
            Self::Patch => &[
                "conversation:communication:disconnect",
                "conversation:participant:wrapup",
                "conversation:call:record",
            ],
            Self::Teardown | Self::DeleteConversation | Self::PatchMedium => &["conversation:communication:disconnect"],
            Self::DetailsQuery | Self::Details => &["analytics:conversationDetail:view"],
            Self::ActivityQuery => &["analytics:queueObservation:view"],
            Self::Queues => &["routing:queue:search"],
            Self::Users => &["directory:user:view"],
            Self::Login | Self::PatchCommunication | Self::Post | Self::None => &[],
        }
    }
}

/// What the request line says of a request.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) operation: Operation,
    pub(crate) conversation: Option<Uuid>,
    pub(crate) participant: Option<Uuid>,
    pub(crate) communication: Option<Uuid>,
    /// The medium in the path.
    pub(crate) medium: Option<Medium>,
    pub(crate) flaw: Option<Flaw>,
}

/// Why a request line names no operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    NoSuchPath,
    /// With the allowed methods.
    WrongMethod(&'static str),
    /// With the name of the invalid id.
    Malformed(&'static str),
}

impl Call {
    pub(crate) fn classify(method: &Method, path: &str) -> Self {
        use Operation as O;
        let mut call = Self {
            operation: O::None,
            conversation: None,
            participant: None,
            communication: None,
            medium: None,
            flaw: None,
        };
        let segments: Vec<&str> = path.strip_prefix('/').unwrap_or(path).split('/').collect();
        let rest = match segments.as_slice() {
            ["oauth", "token"] => return call.only(method, &[("POST", O::Login)]),
            ["api", "v2", "routing", "queues", "divisionviews"] => return call.only(method, &[("GET", O::Queues)]),
            ["api", "v2", "users"] => return call.only(method, &[("GET", O::Users)]),
            ["api", "v2", "analytics", "conversations", rest @ ..] => return call.analytics(method, rest),
            ["api", "v2", "conversations", rest @ ..] => rest,
            _ => return call.no_such_path(),
        };
        let rest = match rest {
            [medium, rest @ ..] if Medium::from_path(medium).is_some() => {
                call.medium = Medium::from_path(medium);
                rest
            }
            rest => rest,
        };
        call.conversations(method, rest)
    }

    fn analytics(self, method: &Method, rest: &[&str]) -> Self {
        match rest {
            ["details", "query"] => self.only(method, &[("POST", Operation::DetailsQuery)]),
            ["activity", "query"] => self.only(method, &[("POST", Operation::ActivityQuery)]),
            [id, "details"] => self.ids(id, None, None).only(method, &[("GET", Operation::Details)]),
            _ => self.no_such_path(),
        }
    }

    /// The operation of a path after `/api/v2/conversations` and the medium.
    fn conversations(self, method: &Method, rest: &[&str]) -> Self {
        use Operation as O;
        let patched = self.medium.map(|medium| medium.facts().patched);
        match rest {
            [] => self.only(method, &[("GET", O::List)]),
            [id] => {
                let call = self.ids(id, None, None);
                match patched {
                    None => call.only(method, &[("GET", O::Read), ("DELETE", O::DeleteConversation)]),
                    Some(true) => call.only(method, &[("GET", O::Read), ("PATCH", O::PatchMedium)]),
                    Some(false) => call.only(method, &[("GET", O::Read)]),
                }
            }
            [id, "disconnect"] if patched.is_none() => self.ids(id, None, None).only(method, &[("POST", O::Teardown)]),
            [id, "participants", participant] if patched != Some(false) => {
                self.ids(id, Some(participant), None).only(method, &[("PATCH", O::Patch)])
            }
            [id, "participants", participant, "wrapup"] if patched != Some(false) => {
                self.ids(id, Some(participant), None).only(method, &[("GET", O::ReadWrapup)])
            }
            [id, "participants", participant, "disconnect"] if patched.is_none() => {
                self.ids(id, Some(participant), None).only(method, &[("POST", O::Post)])
            }
            [id, "participants", participant, "communications", one] if patched == Some(true) => {
                self.ids(id, Some(participant), Some(one)).only(method, &[("PATCH", O::PatchCommunication)])
            }
            _ => self.no_such_path(),
        }
    }

    fn no_such_path(mut self) -> Self {
        self.flaw = Some(Flaw::NoSuchPath);
        self
    }

    fn ids(mut self, conversation: &str, participant: Option<&str>, communication: Option<&str>) -> Self {
        self.conversation = uuid(conversation);
        self.participant = participant.and_then(uuid);
        self.communication = communication.and_then(uuid);
        let malformed = if self.conversation.is_none() {
            Some("conversationId")
        } else if participant.is_some() && self.participant.is_none() {
            Some("participantId")
        } else if communication.is_some() && self.communication.is_none() {
            Some("communicationId")
        } else {
            None
        };
        self.flaw = malformed.map(Flaw::Malformed);
        self
    }

    fn only(mut self, method: &Method, operations: &[(&'static str, Operation)]) -> Self {
        match operations.iter().find(|(name, _)| method.as_str() == *name) {
            Some((_, operation)) => self.operation = *operation,
            None => self.flaw = Some(Flaw::WrongMethod(allowed(operations))),
        }
        self
    }
}

fn allowed(operations: &[(&'static str, Operation)]) -> &'static str {
    match operations {
        [("GET", _), ("DELETE", _)] => "GET, DELETE",
        [("GET", _), ("PATCH", _)] => "GET, PATCH",
        [(one, _), ..] => one,
        [] => "",
    }
}

fn uuid(text: &str) -> Option<Uuid> {
    if text.len() == 36 { Uuid::try_parse(text).ok() } else { None }
}
