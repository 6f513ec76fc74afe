//! The keys file: its format, its checks, and the set of keys read from it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use foldhash::{HashMap, HashMapExt as _};
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::caller::{ANONYMOUS, Caller, CallerKind, Guards, Profile};
use super::networks::Networks;
use super::permission::Permissions;
use super::rate::Limiter;
use crate::config::Mode;
use crate::config::value::{List, Rate};
use crate::digest::Digest;

/// Every caller that has a key, found by the key's digest.
#[derive(Debug, Default)]
pub(super) struct KeySet {
    by_digest: HashMap<Digest, Key>,
}

/// One digest of a key. A key has several while it is rotated.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) caller: Caller,
    /// The record as it is in the file, to notice changes.
    written: Arc<KeyRecord>,
    /// In ms since the epoch; 0 is never. Survives reloads.
    last_used: Arc<AtomicU64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyRecords {
    #[serde(default)]
    key: Vec<KeyRecord>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyRecord {
    name: String,
    sha256: List,
    permissions: Option<Vec<String>>,
    expires: Option<toml::Value>,
    rate: Option<Rate>,
    mode: Option<Mode>,
    purposes: Option<Vec<String>>,
    queue_ids: Option<Vec<String>>,
    addresses: Option<Vec<String>>,
}

impl Key {
    /// Notes that the key was used now.
    pub(super) fn used(&self) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.last_used.store(u64::try_from(now.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// When it was last used since this process started.
    pub(super) fn last_used(&self) -> Option<SystemTime> {
        match self.last_used.load(Ordering::Relaxed) {
            0 => None,
            ms => SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(ms)),
        }
    }
}

impl KeySet {
    /// Reads the text of a keys file. Keys that are also in `previous` keep their rate's state and last use.
    ///
    /// # Errors
    /// What is wrong, where, and what to do.
    pub(super) fn parse(text: &str, previous: &Self) -> Result<Self, String> {
        let file: KeyRecords = toml::from_str(text).map_err(|error| explain(&error, text))?;
        let running: HashMap<&str, &Arc<Limiter>> =
            previous.by_digest.values().filter_map(|key| Some((key.caller.name(), key.caller.limiter()?))).collect();
        let mut names = BTreeSet::new();
        let mut by_digest: HashMap<Digest, Key> = HashMap::with_capacity(file.key.len());
        for record in file.key {
            let name = record.name.clone();
            if !names.insert(name.clone()) {
                return Err(format!("two keys are named \"{name}\"; rename or remove one"));
            }
            let written = Arc::new(record.clone());
            let (digests, caller) = record.into_caller(&running).map_err(|error| format!("key \"{name}\": {error}"))?;
            for digest in digests {
                let last_used = previous.by_digest.get(&digest).map(|key| Arc::clone(&key.last_used));
                let key = Key {
                    caller: caller.clone(),
                    written: Arc::clone(&written),
                    last_used: last_used.unwrap_or_default(),
                };
                if let Some(other) = by_digest.insert(digest, key) {
                    return Err(format!(
                        "keys \"{}\" and \"{name}\" have the same sha256; give each its own key",
                        other.caller.name()
                    ));
                }
            }
        }
        Ok(Self { by_digest })
    }

    pub(super) fn get(&self, digest: Digest) -> Option<&Key> {
        self.by_digest.get(&digest)
    }

    /// The caller of the key with this name.
    pub(super) fn named(&self, name: &str) -> Option<&Caller> {
        self.by_digest.values().map(|key| &key.caller).find(|caller| caller.name() == name)
    }

    /// How many keys there are. Several digests of one name are one key.
    pub(super) fn len(&self) -> usize {
        self.by_name().len()
    }

    /// Each key with its digests, sorted by name.
    pub(super) fn by_name(&self) -> BTreeMap<&str, Vec<(Digest, &Key)>> {
        let mut by_name: BTreeMap<&str, Vec<(Digest, &Key)>> = BTreeMap::new();
        for (digest, key) in &self.by_digest {
            by_name.entry(key.caller.name()).or_default().push((*digest, key));
        }
        by_name
    }

    /// What is different from `previous`, in words without secrets; `None` if nothing is.
    pub(super) fn changes_since(&self, previous: &Self) -> Option<String> {
        let (now, before) = (self.by_name(), previous.by_name());
        let record = |keys: &[(Digest, &Key)]| keys.first().map(|(_, key)| Arc::clone(&key.written));
        let added = now.keys().filter(|name| !before.contains_key(*name)).copied().collect::<Vec<_>>();
        let removed = before.keys().filter(|name| !now.contains_key(*name)).copied().collect::<Vec<_>>();
        let differs = |(name, keys): &(&&str, &Vec<_>)| {
            before.get(**name).is_some_and(|previous| record(previous) != record(keys))
        };
        let changed = now.iter().filter(differs).map(|(name, _)| *name).collect::<Vec<_>>();
        let parts: Vec<String> = [("added", added), ("removed", removed), ("changed", changed)]
            .into_iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(what, names)| format!("{what}: {}", names.join(", ")))
            .collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

impl KeyRecord {
    fn into_caller(self, running: &HashMap<&str, &Arc<Limiter>>) -> Result<(BTreeSet<Digest>, Caller), String> {
        check_name(&self.name)?;
        let digests = digests(&self.sha256.0)?;
        let permissions = match &self.permissions {
            None => Permissions::of_a_key(),
            Some(words) => Permissions::from_words(words).map_err(|error| format!("permissions: {error}"))?,
        };
        let limiter = self.rate.map(|rate| match running.get(self.name.as_str()) {
            Some(limiter) if limiter.rate() == rate => Arc::clone(limiter),
            _ => Arc::new(Limiter::new(rate)),
        });
        let guards = Guards { purposes: purposes(self.purposes)?, queue_ids: queue_ids(self.queue_ids)? };
        let profile = Profile {
            kind: CallerKind::Key,
            name: self.name,
            permissions,
            mode: self.mode,
            guards: (guards != Guards::default()).then(|| Arc::new(guards)),
            addresses: addresses(self.addresses)?,
            expires: self.expires.as_ref().map(expiry).transpose()?,
            limiter,
        };
        Ok((digests, Caller::new(profile)))
    }
}

/// The digests of one key. The values are not repeated in errors: one of them may be the key itself, by mistake.
fn digests(texts: &[String]) -> Result<BTreeSet<Digest>, String> {
    if texts.is_empty() {
        return Err("sha256 is empty; `hangup key new` prints the right line".to_owned());
    }
    let read = |text: &String| {
        Digest::from_hex(text.trim())
            .ok_or_else(|| "sha256 is not 64 hexadecimal digits; `hangup key new` prints the right line".to_owned())
    };
    texts.iter().map(read).collect()
}

/// Checks the name of a key, which goes into logs, metrics and `name:key`.
///
/// # Errors
/// What a name must look like.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.@+/".contains(c);
    if name.is_empty() || name.len() > 64 || !name.chars().all(fits) {
        return Err("a key's name has 1 to 64 letters, digits, or - _ . @ + /".to_owned());
    }
    if name == ANONYMOUS {
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

fn addresses(texts: Option<Vec<String>>) -> Result<Option<Networks>, String> {
    let Some(texts) = texts else { return Ok(None) };
    if texts.is_empty() {
        return Err("addresses is empty; name at least one network, or remove the line".to_owned());
    }
    Networks::read(&texts).map(Some).map_err(|error| format!("addresses: {error}"))
}

/// An empty guard is an error: it could be meant as "none" or as "all".
fn guard(
    member: &str,
    words: Option<Vec<String>>,
    read: impl Fn(&str) -> Option<String>,
) -> Result<Option<BTreeSet<String>>, String> {
    let Some(words) = words else { return Ok(None) };
    if words.is_empty() {
        return Err(format!("{member} is empty; name at least one, or remove the line"));
    }
    let read = |word: &String| read(word).ok_or_else(|| format!("{member}: \"{word}\" cannot be used"));
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
        .ok_or_else(|| "expires is not a date; write \"2027-12-31\" or \"2027-12-31T18:00:00Z\"".to_owned())
}

fn explain(error: &toml::de::Error, text: &str) -> String {
    let line = error.span().and_then(|span| text.get(..span.start)).map(|before| before.matches('\n').count() + 1);
    let place = line.map(|line| format!("line {line}: ")).unwrap_or_default();
    format!("{place}{}; a key is written as `hangup key new` prints it", error.message())
}

#[cfg(test)]
mod tests;
