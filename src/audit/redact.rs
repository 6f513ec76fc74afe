//! `audit.redact`: what is left out of records.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};

use super::record::Record;
use crate::config;

/// What `audit.redact` names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Redaction {
    /// Names of people: subjects of tokens, and asserted actors. Each is replaced by its digest, so that a person's records can still
    /// be found together.
    names: bool,
    /// Addresses of callers.
    addresses: bool,
}

impl Redaction {
    pub(super) fn of(settings: &config::Audit) -> Self {
        let has = |word: &str| settings.redact.0.iter().any(|given| given == word);
        Self { names: has("names"), addresses: has("addresses") }
    }

    pub(super) fn apply(self, record: &mut Record) {
        if self.addresses {
            record.caller_address = None;
        }
        if self.names {
            for name in [&mut record.caller, &mut record.actor].into_iter().flatten() {
                if let Some(pseudonym) = pseudonym(name) {
                    *name = pseudonym;
                }
            }
        }
    }
}

/// The names under which records can have this caller: `ivr` may be `key:ivr` or `jwt:ivr`, and a person may be a digest that
/// `audit.redact` wrote.
#[must_use]
pub fn recorded_as(caller: &str) -> Vec<String> {
    let whole = [caller.to_owned(), format!("key:{caller}"), format!("jwt:{caller}")];
    let digests: Vec<_> = whole.iter().filter_map(|name| pseudonym(name)).map(|name| name.to_string()).collect();
    whole.into_iter().chain(digests).collect()
}

/// The digest that replaces a person's name. `None` for a key, which is named after a program.
fn pseudonym(name: &str) -> Option<Arc<str>> {
    let (kind, person) = name.split_once(':').filter(|(kind, _)| matches!(*kind, "jwt" | "unverified"))?;
    let digest = digest(&SHA256, person.as_bytes());
    let short: String = digest.as_ref().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    Some(format!("{kind}:#{short}").into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Event, Source};

    #[test]
    fn a_person_is_found_by_the_name_and_by_its_digest_with_the_kind_or_without_it() {
        for asked in ["alice", "jwt:alice"] {
            let names = recorded_as(asked);
            assert!(names.iter().any(|name| name == "jwt:alice"), "{names:?}");
            assert!(names.iter().any(|name| name == "jwt:#2bd806c97f0e"), "{names:?}");
        }
        assert!(recorded_as("ivr").contains(&"key:ivr".to_owned()));
        assert!(!recorded_as("key:ivr").iter().any(|name| name.starts_with("key:#")));
    }

    #[test]
    fn names_of_people_become_digests_and_addresses_are_removed_only_if_the_setting_says_so() {
        let record = || {
            let mut record = Record::begin(Event::Disconnect, &Source::default());
            record.caller = Some("jwt:alice".into());
            record.actor = Some("unverified:alice".into());
            record.caller_address = "192.0.2.1".parse().ok();
            record
        };
        let applied = |names, addresses| {
            let mut changed = record();
            Redaction { names, addresses }.apply(&mut changed);
            changed
        };
        assert_eq!(applied(false, false), record());
        assert_eq!(applied(false, true).caller_address, None);
        let hidden = applied(true, false);
        assert_eq!(hidden.caller.as_deref(), Some("jwt:#2bd806c97f0e"));
        assert_eq!(hidden.actor.as_deref(), Some("unverified:#2bd806c97f0e"), "the same person has the same digest");
        let mut key = Record { caller: Some("key:ivr".into()), ..record() };
        Redaction { names: true, addresses: false }.apply(&mut key);
        assert_eq!(key.caller.as_deref(), Some("key:ivr"));
    }
}
