//! Selectors: whom to disconnect, said by purpose, user or address instead of by id.
//!
//! Disconnecting the wrong person is the worst thing this software can do, so a selector is read strictly, matches only
//! those who are live, and touches nobody when it matches more than the caller expects.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::conversation::{Conversation, Participant};
use crate::ids::ParticipantId;
use crate::problem::{Code, Problem};

/// Purposes of participants that are not people: matched only when a selector names them. So is every other flow, such as
/// `voicesurveyflow`.
const SYSTEM: [&str; 9] = ["acd", "api", "bot", "campaign", "dialer", "fax", "ivr", "voicemail", "workflow"];

/// Largest `max` that goes without the permission `teardown`.
const MOST_WITHOUT_TEARDOWN: usize = 8;
/// Most members of a list in a selector.
const LONGEST_LIST: usize = 50;

/// A selector that was read. Its members combine: all of them must match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector {
    purposes: BTreeSet<String>,
    user_id: Option<String>,
    queue_id: Option<String>,
    address: Option<String>,
    except: BTreeSet<ParticipantId>,
    all: bool,
    max: Option<usize>,
}

fn invalid(detail: impl Into<String>) -> Problem {
    Problem::new(Code::InvalidSelector, detail)
}

/// Strings of a member that is a string or a list of strings, none of them empty.
fn strings(name: &str, value: &Value) -> Result<Vec<String>, Problem> {
    let wrong = || {
        invalid(format!(
            "{name} must be a string or a list of strings, none of them empty; check that its variable is set"
        ))
    };
    let one = |value: &Value| match value {
        Value::String(text) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
        _ => Err(wrong()),
    };
    match value {
        Value::Array(list) if list.is_empty() || list.len() > LONGEST_LIST => Err(wrong()),
        Value::Array(list) => list.iter().map(one).collect(),
        value => Ok(vec![one(value)?]),
    }
}

fn string(name: &str, value: &Value) -> Result<String, Problem> {
    match value {
        Value::String(text) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
        _ => Err(invalid(format!("{name} must be a string that is not empty; check that its variable is set"))),
    }
}

/// Whether a member says yes: `true`, or `"true"` where a platform turns every value into a string.
#[must_use]
pub fn says_yes(value: &Value) -> bool {
    matches!(value, Value::Bool(true)) || value.as_str().is_some_and(|text| text.eq_ignore_ascii_case("true"))
}

impl Selector {
    /// Reads a selector strictly.
    ///
    /// # Errors
    /// `invalid_selector` for unknown, empty or null members, and for a selector that selects nothing.
    pub fn read(members: &Map<String, Value>) -> Result<Self, Problem> {
        let mut selector = Self::default();
        for (name, value) in members {
            match name.as_str() {
                "purpose" => {
                    selector.purposes = strings(name, value)?.into_iter().map(|p| p.to_ascii_lowercase()).collect();
                }
                "userId" => selector.user_id = Some(string(name, value)?.to_ascii_lowercase()),
                "queueId" => selector.queue_id = Some(string(name, value)?.to_ascii_lowercase()),
                "address" => selector.address = Some(bare_address(&string(name, value)?)),
                "except" => {
                    let ids = strings(name, value)?;
                    let parsed: Option<BTreeSet<_>> = ids.iter().map(|id| ParticipantId::parse(id)).collect();
                    selector.except = parsed
                        .ok_or_else(|| invalid("except must hold participant ids, which are hyphenated UUIDs"))?;
                }
                "all" if says_yes(value) => selector.all = true,
                "all" => return Err(invalid("all must be true, or absent")),
                "max" => selector.max = Some(read_max(value)?),
                other => {
                    let name: String = other.chars().filter(|c| !c.is_control()).take(64).collect();
                    return Err(invalid(format!(
                        "unknown member \"{name}\"; known: purpose, userId, queueId, address, except, all, max"
                    )));
                }
            }
        }
        if selector.address.as_deref() == Some("") {
            return Err(invalid("address must be a phone number or SIP address, such as tel:+15551234567"));
        }
        let selects = !selector.purposes.is_empty()
            || selector.user_id.is_some()
            || selector.queue_id.is_some()
            || selector.address.is_some();
        if !selects && selector.except.is_empty() && !selector.all {
            return Err(invalid(
                "the selector has no condition: give purpose, userId, queueId, address, except or all",
            ));
        }
        Ok(selector)
    }

    /// Whether it may mean everybody who is there.
    fn means_everybody(&self) -> bool {
        self.all || !self.except.is_empty()
    }

    /// Whether it needs the permission `teardown`: it may mean everybody, or more than a caller who names people would.
    #[must_use]
    pub fn needs_teardown(&self) -> bool {
        self.means_everybody() || self.max.is_some_and(|max| max > MOST_WITHOUT_TEARDOWN)
    }

    /// Most who may match; `None`: any number.
    fn most(&self) -> Option<usize> {
        self.max.or((!self.means_everybody()).then_some(1))
    }

    /// The same selector always gives the same text, whatever the order and case in which it was written, and whether a default
    /// was written at all.
    #[must_use]
    pub fn canonical(&self) -> String {
        let except: Vec<_> = self.except.iter().map(ToString::to_string).collect();
        json!([self.purposes, self.user_id, self.queue_id, self.address, except, self.all, self.most()]).to_string()
    }

    /// The live participants it matches.
    ///
    /// # Errors
    /// `participant_not_found` for an `except` that is not in the conversation, `selector_ambiguous` when more match than
    /// `max`, `upstream_invalid_response` when one who matches has no id to be disconnected by: nobody is to be touched then.
    pub fn resolve<'a>(&self, conversation: &'a Conversation) -> Result<Vec<&'a Participant>, Problem> {
        let mut kept_users = BTreeSet::new();
        for id in &self.except {
            let kept = conversation.participants.iter().filter(|p| ParticipantId::parse(&p.id) == Some(*id));
            let mut found = false;
            for participant in kept {
                found = true;
                kept_users.extend(participant.user_id.as_deref().map(str::to_ascii_lowercase));
            }
            if !found {
                let detail = format!("except names {id}, which is not in the conversation; nobody was disconnected");
                return Err(Problem::new(Code::ParticipantNotFound, detail));
            }
        }
        let mut matched: Vec<&Participant> = Vec::new();
        let mut nameless = false;
        if !conversation.ended() {
            let mut seen = BTreeSet::new();
            for participant in conversation.participants.iter().filter(|p| p.is_live() && self.matches(p, &kept_users))
            {
                let is_new = match ParticipantId::parse(&participant.id) {
                    Some(id) => seen.insert(id),
                    // Without a communication it may be anything, and hides nobody.
                    None => !participant.live_media().is_empty(),
                };
                nameless |= is_new && ParticipantId::parse(&participant.id).is_none();
                matched.extend(is_new.then_some(participant));
            }
        }
        let max = self.most().unwrap_or(usize::MAX);
        if matched.len() > max {
            let detail = format!(
                "{} live participants match, but at most {max} may; nobody was disconnected: name one of the candidates, or raise max",
                matched.len()
            );
            let mut problem = Problem::new(Code::SelectorAmbiguous, detail);
            let candidates = matched.iter().map(|p| {
                json!({"id": p.id, "name": p.name, "purpose": p.purpose, "state": p.state(), "userId": p.user_id, "address": p.address})
            });
            problem.candidates = Some(Box::new(candidates.collect()));
            return Err(problem);
        }
        if nameless {
            // It cannot be disconnected, and saying that all who match were would be wrong.
            let detail =
                "the id of a live participant who matches cannot be read, and nobody was disconnected; name the others";
            return Err(Problem::new(Code::UpstreamInvalidResponse, detail).still_there());
        }
        Ok(matched)
    }

    fn matches(&self, participant: &Participant, kept_users: &BTreeSet<String>) -> bool {
        let purpose = participant.purpose.as_deref().unwrap_or_default().to_ascii_lowercase();
        if !self.purposes.is_empty() && !self.purposes.contains(&purpose) {
            return false;
        }
        if self.purposes.is_empty() && (SYSTEM.contains(&purpose.as_str()) || purpose.ends_with("flow")) {
            return false;
        }
        let user = participant.user_id.as_deref().map(str::to_ascii_lowercase);
        if self.user_id.is_some() && self.user_id != user {
            return false;
        }
        let queue = participant.queue_id.as_deref().map(str::to_ascii_lowercase);
        if self.queue_id.is_some() && self.queue_id != queue {
            return false;
        }
        let address = participant.address.as_deref().map(bare_address);
        if self.address.is_some() && self.address != address {
            return false;
        }
        let kept = ParticipantId::parse(&participant.id).is_some_and(|id| self.except.contains(&id));
        !kept && user.is_none_or(|user| !kept_users.contains(&user))
    }
}

fn read_max(value: &Value) -> Result<usize, Problem> {
    let number = match value {
        // 2.0 is a whole number too, and platforms whose only numbers are floating write it so.
        Value::Number(number) => number.as_u64().or_else(|| {
            let whole = number.as_f64().filter(|n| n.fract() == 0.0 && *n > 0.0);
            whole.map(|n| n as u64)
        }),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    let number = number.filter(|n| *n > 0).and_then(|n| usize::try_from(n).ok());
    number.ok_or_else(|| invalid("max must be a whole number from 1"))
}

/// An address as it is compared: without `tel:` or `sip:`, without blanks, in lower case.
fn bare_address(address: &str) -> String {
    let mut bare: String = address.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_lowercase();
    for scheme in ["tel:", "sip:"] {
        if let Some(rest) = bare.strip_prefix(scheme) {
            bare = rest.to_owned();
        }
    }
    bare
}

#[cfg(test)]
mod tests;
