//! One item as a caller writes it. Members of JSON and NDJSON, and columns of CSV, have the same names.

use serde_json::{Map, Value};

use crate::ids::{ConversationId, ParticipantId};
use crate::selector::{Selector, says_yes};
use crate::strict_json;

/// The members of an item.
pub const MEMBERS: [&str; 4] = ["conversationId", "participantId", "selector", "all"];

/// One item: a conversation, and which participants of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemInput {
    /// The conversation.
    pub conversation: ConversationId,
    /// The participants.
    pub target: TargetInput,
}

/// Which participants an item means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetInput {
    /// One participant.
    Participant(ParticipantId),
    /// All that match a selector when the item is first tried.
    Selector {
        /// The selector's JSON members.
        members: Map<String, Value>,
        /// Whether it needs the permission `teardown`.
        tears_down: bool,
    },
    /// The whole conversation.
    All,
}

impl TargetInput {
    /// All that match this selector, which was read from these members.
    #[must_use]
    pub fn selector(selector: &Selector, members: Map<String, Value>) -> Self {
        Self::Selector { tears_down: selector.needs_teardown(), members }
    }

    /// A text that is the same for the same target, however it was written.
    #[must_use]
    pub fn canonical(&self) -> String {
        match self {
            Self::Participant(id) => id.to_string(),
            Self::Selector { members, .. } => {
                Selector::read(members).map_or_else(|_| format!("{members:?}"), |selector| selector.canonical())
            }
            Self::All => "all".to_owned(),
        }
    }

    /// Whether it needs the permission `teardown`.
    #[must_use]
    pub fn tears_down(&self) -> bool {
        match self {
            Self::Participant(_) => false,
            Self::Selector { tears_down, .. } => *tears_down,
            Self::All => true,
        }
    }
}

/// Reads one item. `""` and `null` mean absent.
///
/// # Errors
/// What is wrong, in words.
pub fn read_item(members: &Map<String, Value>) -> Result<ItemInput, String> {
    if let Some(name) = members.keys().find(|name| !MEMBERS.contains(&name.as_str())) {
        let name: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
        return Err(format!("unknown member \"{name}\"; known: {}", MEMBERS.join(", ")));
    }
    let given = |name| members.get(name).filter(|value| !value.is_null() && value.as_str() != Some(""));
    let conversation = given("conversationId")
        .and_then(Value::as_str)
        .and_then(|text| ConversationId::parse(text.trim()))
        .ok_or("conversationId must be a hyphenated UUID")?;
    let target = match (given("participantId"), given("selector"), given("all")) {
        (Some(id), None, None) => TargetInput::Participant(
            id.as_str()
                .and_then(|text| ParticipantId::parse(text.trim()))
                .ok_or("participantId must be a hyphenated UUID")?,
        ),
        (None, Some(selector), None) => read_selector(selector)?,
        (None, None, Some(all)) if says_yes(all) => TargetInput::All,
        (None, None, Some(_)) => return Err("all must be true, or absent".to_owned()),
        _ => return Err("give exactly one of participantId, selector and all".to_owned()),
    };
    Ok(ItemInput { conversation, target })
}

/// In CSV a selector is JSON text.
fn read_selector(value: &Value) -> Result<TargetInput, String> {
    let read = match value {
        Value::String(text) => strict_json::object(text),
        Value::Object(members) => Some(members.clone()),
        _ => None,
    };
    let Some(members) = read else {
        return Err("selector must be a JSON object with each name once, such as {\"purpose\":\"customer\"}".to_owned());
    };
    let selector = Selector::read(&members).map_err(|problem| format!("selector: {}", problem.detail))?;
    Ok(TargetInput::selector(&selector, members))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const CID: &str = "11111111-1111-4111-8111-111111111111";
    const PID: &str = "22222222-2222-4222-8222-222222222222";

    fn read(item: Value) -> Result<ItemInput, String> {
        let Value::Object(members) = item else { panic!("not an object") };
        read_item(&members)
    }

    #[test]
    fn an_item_names_a_conversation_and_exactly_one_target() {
        let one =
            read(json!({"conversationId": CID.to_uppercase(), "participantId": PID, "selector": null, "all": ""}));
        assert_eq!(one.unwrap().target, TargetInput::Participant(ParticipantId::parse(PID).unwrap()));
        assert!(read(json!({"conversationId": CID, "all": "true"})).unwrap().target.tears_down());
        let text = json!({"conversationId": CID, "selector": r#"{"purpose":"customer"}"#});
        assert!(!read(text).unwrap().target.tears_down());
        assert!(read(json!({"conversationId": CID, "selector": {"except": PID}})).unwrap().target.tears_down());
    }

    #[test]
    fn what_cannot_be_understood_is_explained() {
        for (item, said) in [
            (json!({"participantId": PID}), "conversationId must"),
            (json!({"conversationId": CID}), "exactly one"),
            (json!({"conversationId": CID, "participantId": PID, "all": true}), "exactly one"),
            (json!({"conversationId": CID, "participantId": "x"}), "participantId must"),
            (json!({"conversationId": CID, "all": false}), "all must be true"),
            (json!({"conversationId": CID, "selector": {}}), "selector:"),
            (json!({"conversationId": CID, "selector": "nonsense"}), "JSON object"),
            (json!({"conversationId": CID, "particpantId": PID}), "unknown member \"particpantId\""),
        ] {
            let error = read(item.clone()).unwrap_err();
            assert!(error.contains(said), "{item}: {error}");
        }
    }
}
