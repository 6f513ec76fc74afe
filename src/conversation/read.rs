//! Reads the JSON of a conversation: strictly where we decide by it, leniently everywhere else.
//!
//! A member of an unexpected form is passed over, so that one odd participant never hides the others. Nothing is kept but
//! what [`Conversation`] has, so that a long history costs time and no memory.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{Communication, Conversation, Participant};
use crate::medium::Medium;

/// Longest text that is kept, in bytes. Names are far shorter.
const LONGEST_TEXT: usize = 4096;

/// Visits what is not of the form that is wanted, and passes it over.
macro_rules! pass_over {
    ($($form:ident)*) => {
        fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            out.write_str("any JSON value")
        }
        $(pass_over!(@ $form);)*
    };
    (@ scalars) => {
        fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> { Ok(Self::Value::default()) }
        fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> { Ok(Self::Value::default()) }
        fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> { Ok(Self::Value::default()) }
        fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> { Ok(Self::Value::default()) }
        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> { Ok(Self::Value::default()) }
    };
    (@ texts) => {
        fn visit_str<E: Error>(self, _: &str) -> Result<Self::Value, E> { Ok(Self::Value::default()) }
    };
    (@ lists) => {
        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            Ok(Self::Value::default())
        }
    };
    (@ objects) => {
        fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
            while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok(Self::Value::default())
        }
    };
}

/// Declares how a type is read: from any form of JSON value.
macro_rules! read_as {
    ($name:ty, $visitor:ident) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
                input.deserialize_any($visitor)
            }
        }
    };
}

/// A text that is there, and is a text.
#[derive(Default)]
struct LenientText(Option<String>);

impl LenientText {
    /// The text as the time of an end. An empty one says that there is none yet.
    fn end(self) -> Option<String> {
        self.0.filter(|time| !time.trim().is_empty())
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = LenientText;

    pass_over!(scalars lists objects);

    fn visit_str<E: Error>(self, text: &str) -> Result<LenientText, E> {
        let mut end = text.len().min(LONGEST_TEXT);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        Ok(LenientText(Some(text[..end].to_owned())))
    }
}

read_as!(LenientText, TextVisitor);

/// An element of a list of communications.
#[derive(Default)]
enum Element {
    /// `null`, a number, a text.
    #[default]
    NotAnObject,
    /// An object, and its `state` where that is a text.
    Object(Option<String>),
}

struct ElementVisitor;

impl<'de> Visitor<'de> for ElementVisitor {
    type Value = Element;

    pass_over!(scalars texts lists);

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Element, A::Error> {
        let mut state = None;
        while let Some(name) = members.next_key::<String>()? {
            if name == "state" {
                state = members.next_value::<LenientText>()?.0;
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        Ok(Element::Object(state))
    }
}

read_as!(Element, ElementVisitor);

/// The states in a list of objects, each once: whether a participant is there does not depend on how often.
#[derive(Default)]
struct States(Vec<Option<String>>);

struct StatesVisitor;

impl<'de> Visitor<'de> for StatesVisitor {
    type Value = States;

    pass_over!(scalars texts objects);

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<States, A::Error> {
        let mut states = Vec::new();
        while let Some(element) = list.next_element::<Element>()? {
            if let Element::Object(state) = element
                && !states.contains(&state)
            {
                states.push(state);
            }
        }
        Ok(States(states))
    }
}

read_as!(States, StatesVisitor);

/// An element of the participants that is an object.
#[derive(Default)]
struct ParticipantElement(Option<Participant>);

struct PersonVisitor;

impl<'de> Visitor<'de> for PersonVisitor {
    type Value = ParticipantElement;

    pass_over!(scalars texts lists);

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<ParticipantElement, A::Error> {
        let mut person = Participant::default();
        while let Some(name) = members.next_key::<String>()? {
            let mut text = || members.next_value::<LenientText>().map(|text| text.0);
            match name.as_str() {
                "id" => person.id = text()?.unwrap_or_default(),
                "name" => person.name = text()?,
                "purpose" => person.purpose = text()?,
                "userId" => person.user_id = text()?,
                "queueId" => person.queue_id = text()?,
                "address" => person.address = text()?,
                "startTime" => person.start_time = text()?,
                "connectedTime" => person.connected_time = text()?,
                "endTime" => person.end_time = members.next_value::<LenientText>()?.end(),
                member => person.add(member, members.next_value::<States>()?),
            }
        }
        Ok(ParticipantElement(Some(person)))
    }
}

read_as!(ParticipantElement, PersonVisitor);

impl Participant {
    /// Any list of objects with a state is a medium, whatever it is called: the API gets new ones.
    fn add(&mut self, member: &str, States(states): States) {
        let known = Medium::ALL.iter().any(|medium| medium.member() == member);
        let states = states.into_iter().filter(|state| known || state.is_some());
        self.communications.extend(states.map(|state| Communication { medium: Medium::from_member(member), state }));
    }
}

#[derive(Default)]
struct ParticipantList(Option<Vec<Participant>>);

struct PeopleVisitor;

impl<'de> Visitor<'de> for PeopleVisitor {
    type Value = ParticipantList;

    pass_over!(scalars texts objects);

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<ParticipantList, A::Error> {
        let mut people = Vec::new();
        while let Some(ParticipantElement(person)) = list.next_element()? {
            people.extend(person);
        }
        Ok(ParticipantList(Some(people)))
    }
}

read_as!(ParticipantList, PeopleVisitor);

struct ConversationVisitor;

impl<'de> Visitor<'de> for ConversationVisitor {
    type Value = Conversation;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a conversation")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Conversation, A::Error> {
        let (mut id, mut start_time, mut end_time, mut people) = (None, None, None, None);
        while let Some(name) = members.next_key::<String>()? {
            match name.as_str() {
                "id" => id = members.next_value::<LenientText>()?.0,
                "startTime" => start_time = members.next_value::<LenientText>()?.0,
                "endTime" => end_time = members.next_value::<LenientText>()?.end(),
                "participants" => people = members.next_value::<ParticipantList>()?.0,
                _ => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        let participants = people.ok_or_else(|| A::Error::custom("no list of participants"))?;
        Ok(Conversation { id, start_time, end_time, participants })
    }
}

impl<'de> Deserialize<'de> for Conversation {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_map(ConversationVisitor)
    }
}
