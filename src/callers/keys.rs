//! The keys file: its form, its checks, and the set that is made of it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::caller::{Caller, CallerKind, Guards, Permissions, Profile};
use super::digest::Digest;
use super::rate::Limiter;
use crate::config::Mode;
use crate::config::value::Rate;

/// Everybody who has a key, found by its digest.
#[derive(Debug, Default)]
pub(super) struct KeySet {
    by_digest: HashMap<Digest, Caller>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Records {
    #[serde(default)]
    key: Vec<Record>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    name: String,
    sha256: String,
    permissions: Option<Vec<String>>,
    expires: Option<toml::Value>,
    rate: Option<Rate>,
    mode: Option<Mode>,
    purposes: Option<Vec<String>>,
    queue_ids: Option<Vec<String>>,
}

impl KeySet {
    /// Reads the text of a keys file. Rates go on where they are in `previous`.
    ///
    /// # Errors
    /// What is wrong, where, and what to do.
    pub(super) fn parse(text: &str, previous: &Self) -> Result<Self, String> {
        let file: Records = toml::from_str(text).map_err(|error| explain(&error, text))?;
        let running: HashMap<&str, &Arc<Limiter>> = previous
            .by_digest
            .values()
            .filter_map(|caller| Some((caller.name().as_ref(), caller.limiter()?)))
            .collect();
        let mut names = BTreeSet::new();
        let mut by_digest = HashMap::with_capacity(file.key.len());
        for record in file.key {
            let name = record.name.clone();
            if !names.insert(name.clone()) {
                return Err(format!("two keys are named \"{name}\"; rename or remove one"));
            }
            let (digest, caller) = record.into_caller(&running).map_err(|error| format!("key \"{name}\": {error}"))?;
            if let Some(other) = by_digest.insert(digest, caller) {
                return Err(format!(
                    "keys \"{}\" and \"{name}\" have the same sha256; give each its own key",
                    other.name()
                ));
            }
        }
        Ok(Self { by_digest })
    }

    pub(super) fn get(&self, digest: Digest) -> Option<&Caller> {
        self.by_digest.get(&digest)
    }

    pub(super) fn len(&self) -> usize {
        self.by_digest.len()
    }
}

impl Record {
    fn into_caller(self, running: &HashMap<&str, &Arc<Limiter>>) -> Result<(Digest, Caller), String> {
        check_name(&self.name)?;
        // The value is not repeated: somebody may have put the key itself here.
        let digest = Digest::from_hex(&self.sha256)
            .ok_or("sha256 is not 64 hexadecimal digits; `hangup key new` prints the right line")?;
        let permissions = match &self.permissions {
            None => Permissions::of_a_key(),
            Some(words) => Permissions::from_words(words).map_err(|word| {
                format!("permissions: \"{word}\" is none; use \"disconnect\", \"read\", \"teardown\"")
            })?,
        };
        let limiter = self.rate.map(|rate| match running.get(self.name.as_str()) {
            Some(limiter) if limiter.rate() == rate => Arc::clone(limiter),
            _ => Arc::new(Limiter::new(rate)),
        });
        let guards = Guards { purposes: purposes(self.purposes)?, queue_ids: queue_ids(self.queue_ids)? };
        let profile = Profile {
            kind: CallerKind::Key,
            name: self.name.into(),
            permissions,
            mode: self.mode,
            guards: (guards != Guards::default()).then(|| Arc::new(guards)),
            expires: self.expires.as_ref().map(expiry).transpose()?,
            limiter,
        };
        Ok((digest, Caller::new(profile)))
    }
}

/// Checks that a key can have this name: it goes into logs, metrics and `name:key`.
///
/// # Errors
/// What a name must look like.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.@+/".contains(c);
    if name.is_empty() || name.len() > 64 || !name.chars().all(fits) {
        return Err("a key's name has 1 to 64 letters, digits, or - _ . @ + /".to_owned());
    }
    if name == "anonymous" {
        return Err("\"anonymous\" is the name of callers without a key; choose another".to_owned());
    }
    Ok(())
}

fn purposes(words: Option<Vec<String>>) -> Result<Option<BTreeSet<String>>, String> {
    guard("purposes", words, |word| (!word.trim().is_empty()).then(|| word.trim().to_ascii_lowercase()))
}

fn queue_ids(words: Option<Vec<String>>) -> Result<Option<BTreeSet<String>>, String> {
    guard("queue_ids", words, |word| Some(uuid::Uuid::try_parse(word.trim()).ok()?.hyphenated().to_string()))
}

/// An empty guard is an error: it could be meant as "nobody" or as "anybody".
fn guard(
    member: &str,
    words: Option<Vec<String>>,
    read: impl Fn(&str) -> Option<String>,
) -> Result<Option<BTreeSet<String>>, String> {
    let Some(words) = words else { return Ok(None) };
    if words.is_empty() {
        return Err(format!("{member} is empty; name at least one, or remove the line"));
    }
    let read = |word: &String| read(word).ok_or_else(|| format!("{member}: \"{word}\" is none"));
    words.iter().map(read).collect::<Result<_, _>>().map(Some)
}

/// A date-time is exact; a date is the end of that day, UTC.
fn expiry(value: &toml::Value) -> Result<SystemTime, String> {
    let text = match value {
        toml::Value::String(text) => text.trim().to_owned(),
        toml::Value::Datetime(written) => written.to_string(),
        _ => String::new(),
    };
    let date = OffsetDateTime::parse(&format!("{text}T00:00:00Z"), &Rfc3339)
        .ok()
        .and_then(|start| start.checked_add(time::Duration::DAY));
    date.or_else(|| OffsetDateTime::parse(&text, &Rfc3339).ok())
        .and_then(|moment| {
            let since = u64::try_from(moment.unix_timestamp()).ok()?;
            SystemTime::UNIX_EPOCH.checked_add(Duration::new(since, moment.nanosecond()))
        })
        .ok_or_else(|| "expires is no date; write \"2027-12-31\" or \"2027-12-31T18:00:00Z\"".to_owned())
}

fn explain(error: &toml::de::Error, text: &str) -> String {
    let line = error.span().and_then(|span| text.get(..span.start)).map(|before| before.matches('\n').count() + 1);
    let place = line.map(|line| format!("line {line}: ")).unwrap_or_default();
    format!("{place}{}; a key is written as `hangup key new` prints it", error.message())
}

#[cfg(test)]
mod tests;
