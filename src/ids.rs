//! Conversation and participant ids: hyphenated UUIDs in either case, shown in lower case.

use std::fmt;

use serde::{Serialize, Serializer};
use uuid::Uuid;

/// Reads a UUID in its hyphenated form only. Braced, URN and bare hexadecimal forms are refused: the upstream refuses them.
fn parse_hyphenated(text: &str) -> Option<Uuid> {
    // 36 characters leave only the hyphenated form among those that `uuid` understands.
    if text.len() == 36 { Uuid::try_parse(text).ok() } else { None }
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
                parse_hyphenated(text).map(Self)
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
                output.collect_str(self)
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
