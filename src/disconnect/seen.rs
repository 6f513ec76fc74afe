//! `If-Match`: what a caller has seen of the participants, so that a disconnect is refused once one of them has changed.
//!
//! The `ETag` of a list is a row of fingerprints, one for each participant in it. So a disconnect that names one participant
//! is not refused because another one has left.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::conversation::Participant;

/// Bytes of a fingerprint: two participants share one with a chance of 1 in 2^48.
const BYTES: usize = 6;
/// The same in base64.
const CHARS: usize = 8;

/// What a caller has seen.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AsSeen {
    /// `*`: anything, as long as the participant is in the conversation.
    Anything,
    /// The fingerprints of those who were listed.
    Listed(Vec<String>),
}

impl AsSeen {
    /// Reads the values of `If-Match`. What is not one of our tags was never seen.
    #[must_use]
    pub fn read<'a>(values: impl Iterator<Item = &'a str>) -> Self {
        let mut prints = Vec::new();
        for tag in values.flat_map(|value| value.split(',')).map(str::trim) {
            if tag == "*" {
                return Self::Anything;
            }
            // Proxies that compress mark a tag as weak; what it says about the participants stays true.
            let bare = tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"');
            prints.extend(bare.as_bytes().chunks_exact(CHARS).map(|print| String::from_utf8_lossy(print).into_owned()));
        }
        Self::Listed(prints)
    }

    /// Whether the participant is still as it was seen.
    #[must_use]
    pub fn holds(&self, participant: &Participant) -> bool {
        match self {
            Self::Anything => true,
            Self::Listed(prints) => prints.contains(&fingerprint(participant)),
        }
    }
}

/// The tag of a list of these participants, with its quotation marks.
pub fn tag<'a>(participants: impl Iterator<Item = &'a Participant>) -> String {
    let prints: String = participants.map(fingerprint).collect();
    format!("\"{prints}\"")
}

/// Changes with every member that lists show.
fn fingerprint(participant: &Participant) -> String {
    let mut shown = participant.id.clone();
    let media: Vec<&str> = participant.shown_media().into_iter().map(crate::medium::Medium::singular).collect();
    let texts = [
        participant.name.as_deref(),
        participant.purpose.as_deref(),
        participant.state(),
        participant.user_id.as_deref(),
        participant.queue_id.as_deref(),
        participant.address.as_deref(),
        participant.start_time.as_deref(),
        participant.connected_time.as_deref(),
        participant.end_time.as_deref(),
    ];
    for text in texts.into_iter().chain(media.into_iter().map(Some)) {
        shown.push(if text.is_some() { '\u{1e}' } else { '\u{1f}' });
        shown.push_str(text.unwrap_or_default());
    }
    let whole = digest(&SHA256, shown.as_bytes());
    URL_SAFE_NO_PAD.encode(whole.as_ref().get(..BYTES).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::conversation::Conversation;
    use crate::ids::ConversationId;

    const CID: &str = "11111111-1111-4111-8111-111111111111";

    fn people(states: [&str; 2]) -> Vec<Participant> {
        let one =
            |n: usize, state: &str| json!({"id": format!("p{n}"), "purpose": "agent", "calls": [{"state": state}]});
        let list: Vec<_> = states.into_iter().enumerate().map(|(n, state)| one(n, state)).collect();
        let body = json!({"id": CID, "participants": list}).to_string();
        Conversation::parse(body.as_bytes(), ConversationId::parse(CID).unwrap()).unwrap().participants
    }

    #[test]
    fn a_participant_is_as_seen_until_it_changes_whatever_others_do() {
        let before = people(["alerting", "connected"]);
        let tag = tag(before.iter());
        assert_eq!(tag.len(), 2 + 2 * CHARS);
        let after = people(["alerting", "disconnected"]);
        for form in [tag.clone(), format!("\"other\", {tag}"), format!("W/{tag}"), tag.trim_matches('"').to_owned()] {
            let seen = AsSeen::read([form.as_str()].into_iter());
            assert!(seen.holds(&after[0]), "{form}");
            assert!(!seen.holds(&after[1]), "{form}");
        }
    }

    #[test]
    fn a_medium_that_has_ended_is_a_change() {
        let of = |call: &str| {
            let one = json!({"id": "p", "calls": [{"state": call}], "callbacks": [{"state": "connected"}]});
            let body = json!({"id": CID, "participants": [one]}).to_string();
            Conversation::parse(body.as_bytes(), ConversationId::parse(CID).unwrap()).unwrap().participants
        };
        let seen = AsSeen::read([tag(of("connected").iter()).as_str()].into_iter());
        assert!(seen.holds(&of("connected")[0]) && !seen.holds(&of("disconnected")[0]));
        let words =
            |call| of(call)[0].shown_media().into_iter().map(crate::medium::Medium::singular).collect::<Vec<_>>();
        assert_eq!((words("connected"), words("disconnected")), (vec!["call", "callback"], vec!["callback"]));
    }

    #[test]
    fn a_star_holds_for_anybody_and_nonsense_for_nobody() {
        let [one, _] = <[_; 2]>::try_from(people(["alerting", "connected"])).unwrap();
        assert!(AsSeen::read(["*"].into_iter()).holds(&one));
        for nonsense in ["", "\"\"", "\"abcdefgh\"", "ü", "\"abc"] {
            assert!(!AsSeen::read([nonsense].into_iter()).holds(&one), "{nonsense}");
        }
    }
}
