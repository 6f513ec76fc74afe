//! A conversation as it was read: who is in it, and who of them is still there.

mod read;
mod short_texts;

use std::collections::BTreeSet;
use std::io::{BufReader, Read};

use crate::ids::{ConversationId, ParticipantId};
use crate::lenient::{Cleaned, cleaned};
use crate::medium::Medium;
use short_texts::ShortTexts;

/// A conversation of the upstream, as far as we need it.
#[derive(Debug, Clone)]
pub struct Conversation {
    /// Its id, as the upstream writes it.
    pub id: Option<String>,
    /// When it began, as the upstream writes it.
    pub start_time: Option<String>,
    /// When it ended; absent while it is active.
    pub end_time: Option<String>,
    /// Everybody who is or was in it.
    pub participants: Vec<Participant>,
}

/// One leg of a conversation: a person, a queue, a flow.
#[derive(Debug, Clone, Default)]
pub struct Participant {
    /// Its id, as the upstream writes it.
    pub id: String,
    /// For people.
    pub name: Option<String>,
    /// `customer`, `agent`, `user`, `external`, `acd`, `ivr`, `workflow`, …
    pub purpose: Option<String>,
    /// The user, for agents.
    pub user_id: Option<String>,
    /// The queue through which it came.
    pub queue_id: Option<String>,
    /// `tel:` or `sip:` address.
    pub address: Option<String>,
    /// When it was added.
    pub start_time: Option<String>,
    /// When it was connected.
    pub connected_time: Option<String>,
    /// When it left.
    pub end_time: Option<String>,
    /// Its communications, of all media; several of one medium and state count as one.
    pub communications: Vec<Communication>,
}

/// One communication of a participant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Communication {
    /// Its medium.
    pub medium: Medium,
    /// `alerting`, `dialing`, `connected`, `disconnected`, `terminated`, …
    pub state: Option<String>,
}

impl Communication {
    fn is_over(&self) -> bool {
        matches!(self.state.as_deref(), Some("disconnected" | "terminated"))
    }
}

/// The body is not a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the body is not a conversation")]
pub struct NoConversation;

/// A conversation that was read while its body came. In an [`std::sync::Arc`], because answers are cloned.
pub type Streamed = std::sync::Arc<Result<Conversation, NoConversation>>;

impl Conversation {
    /// Reads the body of `GET /api/v2/conversations/{cid}`.
    ///
    /// # Errors
    /// Anything but a conversation with participants, also another conversation than `cid`.
    pub fn parse(body: &[u8], cid: ConversationId) -> Result<Self, NoConversation> {
        let read: Self = serde_json::from_slice(&cleaned(body)).map_err(|_| NoConversation)?;
        read.named(cid)
    }

    /// Reads the same body as it comes; blocks while it waits for more. [`Conversation::named`] says whether it is the one
    /// that was asked for.
    ///
    /// # Errors
    /// Anything but a conversation with participants, or one that is cut off.
    pub fn from_reader(body: impl Read) -> Result<Self, NoConversation> {
        serde_json::from_reader(BufReader::new(ShortTexts::new(Cleaned::new(body)))).map_err(|_| NoConversation)
    }

    /// The conversation, unless it says that it is another one.
    ///
    /// # Errors
    /// It is another one.
    pub fn named(self, cid: ConversationId) -> Result<Self, NoConversation> {
        let other = self.id.as_deref().is_some_and(|id| ConversationId::parse(id) != Some(cid));
        if other { Err(NoConversation) } else { Ok(self) }
    }

    /// Every text in it that may reach a caller, each once, a line each.
    #[must_use]
    pub fn texts(&self) -> String {
        let mut texts: BTreeSet<&str> =
            [&self.id, &self.start_time, &self.end_time].into_iter().flatten().map(String::as_str).collect();
        for p in &self.participants {
            let of_person = [&p.name, &p.purpose, &p.user_id, &p.queue_id, &p.address];
            let times = [&p.start_time, &p.connected_time, &p.end_time];
            texts.extend(of_person.into_iter().chain(times).flatten().map(String::as_str).chain([p.id.as_str()]));
            texts.extend(p.communications.iter().filter_map(|c| c.state.as_deref()));
        }
        texts.into_iter().collect::<Vec<_>>().join("\n")
    }

    /// Whether it is over.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.end_time.is_some()
    }

    /// The participant with this id. The same id can be listed twice, once terminated and once live: the live one counts.
    #[must_use]
    pub fn participant(&self, pid: ParticipantId) -> Option<&Participant> {
        let mut found = None;
        for participant in self.participants.iter().filter(|p| ParticipantId::parse(&p.id) == Some(pid)) {
            if participant.is_live() {
                return Some(participant);
            }
            found = Some(participant);
        }
        found
    }
}

impl Participant {
    /// A participant is gone if it has an end time, or has communications and all of them are over.
    #[must_use]
    pub fn is_live(&self) -> bool {
        let over = !self.communications.is_empty() && self.communications.iter().all(Communication::is_over);
        self.end_time.is_none() && !over
    }

    /// The media of its communications that are not over, each once.
    #[must_use]
    pub fn live_media(&self) -> Vec<Medium> {
        distinct(self.communications.iter().filter(|c| !c.is_over()))
    }

    /// The media of all its communications, each once.
    #[must_use]
    pub fn media(&self) -> Vec<Medium> {
        distinct(self.communications.iter())
    }

    /// The media it takes part by: those that are not over; once it is gone, those that it had.
    #[must_use]
    pub fn shown_media(&self) -> Vec<Medium> {
        if self.is_live() { self.live_media() } else { self.media() }
    }

    /// One word for the whole participant: the state of its first live communication, or how it ended.
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        let states = || self.communications.iter();
        let live = self.is_live();
        let chosen = states().find(|c| c.is_over() != live).or_else(|| states().next());
        match chosen.and_then(|c| c.state.as_deref()) {
            // An end time outweighs a communication that was never closed.
            Some(state) if live || matches!(state, "disconnected" | "terminated") => Some(state),
            None if live => None,
            _ => Some("disconnected"),
        }
    }
}

fn distinct<'a>(communications: impl Iterator<Item = &'a Communication>) -> Vec<Medium> {
    let mut media: Vec<_> = communications.map(|c| c.medium).collect();
    media.sort_unstable();
    media.dedup();
    media
}

#[cfg(test)]
mod tests {
    use super::*;

    const CID: &str = "11111111-1111-4111-8111-111111111111";
    const PID: &str = "22222222-2222-4222-8222-222222222222";

    fn parse(participants: &serde_json::Value) -> Conversation {
        let body = serde_json::json!({"id": CID.to_uppercase(), "participants": participants}).to_string();
        Conversation::parse(body.as_bytes(), ConversationId::parse(CID).unwrap()).unwrap()
    }

    fn live(participant: serde_json::Value) -> bool {
        parse(&serde_json::Value::Array(vec![participant])).participants[0].is_live()
    }

    #[test]
    fn gone_is_who_has_an_end_time_or_only_communications_that_are_over() {
        use serde_json::json;
        assert!(live(json!({"id": PID, "calls": [{"state": "connected"}]})));
        assert!(live(json!({"id": PID})), "nothing says that it left");
        assert!(live(json!({"id": PID, "calls": [{"state": "disconnected"}], "chats": [{"state": "connected"}]})));
        assert!(live(json!({"id": PID, "callbacks": [{"state": "scheduled"}]})));
        assert!(live(json!({"id": PID, "calls": [{}]})), "an unknown state is not over");
        assert!(!live(json!({"id": PID, "calls": [{"state": "connected"}], "endTime": "2026-01-01T00:00:00Z"})));
        assert!(!live(json!({"id": PID, "calls": [{"state": "disconnected"}], "videos": [{"state": "terminated"}]})));
    }

    #[test]
    fn an_empty_end_time_is_no_end() {
        use serde_json::json;
        assert!(live(json!({"id": PID, "calls": [{"state": "connected"}], "endTime": ""})));
        let cid = ConversationId::parse(CID).unwrap();
        let ended = |end: &str| {
            let body = json!({"id": CID, "endTime": end, "participants": []}).to_string();
            Conversation::parse(body.as_bytes(), cid).unwrap().ended()
        };
        assert!(!ended("") && !ended(" ") && ended("2026-01-01T00:00:00Z"));
    }

    #[test]
    fn of_a_participant_listed_twice_the_live_one_counts() {
        let both = |first: &str, second: &str| {
            let entry = |state| serde_json::json!({"id": PID, "calls": [{"state": state}]});
            let seen = parse(&serde_json::json!([entry(first), entry(second)]));
            seen.participant(ParticipantId::parse(PID).unwrap()).unwrap().is_live()
        };
        assert!(both("terminated", "connected") && both("connected", "terminated"));
        assert!(!both("terminated", "disconnected"));
    }

    #[test]
    fn a_medium_that_nobody_has_heard_of_counts_like_any_other() {
        use serde_json::json;
        let monitored = |state: &str| json!({"id": PID, "screenMonitorings": [{"id": "m", "state": state}]});
        assert!(live(monitored("connected")) && !live(monitored("disconnected")));
        let of_two = json!({"id": PID, "calls": [{"state": "disconnected"}], "holograms": [{"state": "connected"}]});
        let seen = parse(&json!([of_two]));
        let shown: Vec<_> = seen.participants[0].live_media().into_iter().map(Medium::singular).collect();
        assert_eq!((seen.participants[0].is_live(), shown), (true, vec!["hologram"]));
        let no_media = json!({"id": PID, "mediaRoles": ["full"], "evaluations": [{"id": "e", "status": "FINISHED"}]});
        assert!(parse(&json!([no_media])).participants[0].media().is_empty());
    }

    #[test]
    fn an_odd_participant_never_hides_the_others() {
        use serde_json::json;
        let seen = parse(&json!([
            null, 7, "text", [], {"id": 7, "name": {"first": "A"}, "calls": {"state": "connected"}},
            {"id": null, "calls": null, "chats": [null, "x", 3, {"state": 4}], "purpose": false, "endTime": null},
            {"id": PID, "name": "n", "calls": [null, {"state": "connected"}, null], "attributes": {"calls": [{}]}},
        ]));
        assert_eq!(seen.participants.len(), 3);
        let found = seen.participant(ParticipantId::parse(PID).unwrap()).unwrap();
        assert!(found.is_live());
        assert_eq!((found.name.as_deref(), found.live_media()), (Some("n"), vec![Medium::Calls]));
    }

    #[test]
    fn a_conversation_is_read_as_a_whole_and_as_it_comes_alike() {
        let cid = ConversationId::parse(CID).unwrap();
        let body = b"\xef\xbb\xbf{\"x\":\"\\ud83d\",\"participants\":[{\"id\":\"p\",\"name\":\"Andr\xe9 \\ud83d\"}]}";
        let whole = Conversation::parse(body, cid).unwrap();
        let streamed = Conversation::from_reader(&body[..]).unwrap();
        assert_eq!(whole.participants[0].name.as_deref(), Some("Andr\u{fffd} \u{fffd}"));
        assert_eq!(format!("{whole:?}"), format!("{streamed:?}"));
        assert_eq!(Conversation::from_reader(&body[..body.len() - 1]).unwrap_err(), NoConversation);
    }

    #[test]
    fn another_conversation_or_no_conversation_is_refused() {
        let cid = ConversationId::parse(CID).unwrap();
        for body in [r#"{"id":"x","participants":[]}"#, r#"{"id":null}"#, "[]", "<html>", "", r#"{"participants":{}}"#]
        {
            assert_eq!(Conversation::parse(body.as_bytes(), cid).unwrap_err(), NoConversation, "{body}");
        }
        assert!(Conversation::parse(br#"{"participants":[]}"#, cid).is_ok());
    }
}
