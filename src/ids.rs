//! Conversation and participant ids: hyphenated UUIDs in either case, shown in lower case.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

/// Room for the text of an id.
pub type TextBuffer = [u8; 36];
/// An empty one.
pub const TEXT: TextBuffer = [0; 36];

/// Reads a UUID in its hyphenated form only. Braced, URN and bare hexadecimal forms are refused: the upstream refuses them.
fn parse_hyphenated(text: &[u8]) -> Option<Uuid> {
    // 36 characters leave only the hyphenated form among those that `uuid` understands.
    if text.len() == 36 { Uuid::try_parse_ascii(text).ok() } else { None }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// Reads the hyphenated form, in either case; `None` for anything else.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                Self::parse_bytes(text.as_bytes())
            }

            /// The same for bytes that may not be text.
            #[must_use]
            pub fn parse_bytes(text: &[u8]) -> Option<Self> {
                parse_hyphenated(text).map(Self)
            }

            /// The text, without an allocation: ids are written several times for each request.
            pub fn text(self, buffer: &mut TextBuffer) -> &str {
                self.0.as_hyphenated().encode_lower(buffer)
            }
        }

        impl FromStr for $name {
            type Err = &'static str;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::parse(text).ok_or("must be a hyphenated UUID, such as 0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d")
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0.as_hyphenated(), out)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
                let mut buffer = TEXT;
                output.serialize_str(self.text(&mut buffer))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
                String::deserialize(input)?.parse().map_err(de::Error::custom)
            }
        }
    };
}

id! {
    /// A conversation of the org.
    ConversationId
}
id! {
    /// A participant of a conversation.
    ParticipantId
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_the_hyphenated_form_is_an_id() {
        let id = "0A1B2C3D-0a1b-4c2d-8e3f-0123456789AB";
        assert_eq!(ConversationId::parse(id).unwrap().to_string(), id.to_lowercase());
        for wrong in ["", "x", "0a1b2c3d0a1b4c2d8e3f0123456789ab", "{0a1b2c3d-0a1b-4c2d-8e3f-0123456789ab}"] {
            assert_eq!(ConversationId::parse(wrong), None, "{wrong}");
        }
        assert_eq!(ConversationId::parse("urn:uuid:0a1b2c3d-0a1b-4c2d-8e3f-0123456789ab"), None);
        assert_eq!(ConversationId::parse("0a1b2c3d-0a1b-4c2d-8e3f-0123456789a "), None);
        assert_eq!(ConversationId::parse("0a1b2c3d-0a1b-4c2d-8e3f0-123456789ab"), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic_and_an_id_survives_its_display(text in ".{0,40}", raw in any::<u128>()) {
            if let Some(id) = ParticipantId::parse(&text) {
                prop_assert_eq!(id.to_string(), text.to_lowercase());
            }
            let id = ParticipantId::from(Uuid::from_u128(raw));
            prop_assert_eq!(ParticipantId::parse(&id.to_string().to_uppercase()), Some(id));
        }
    }
}
