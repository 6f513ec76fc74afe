//! What operators see of a key: never the key itself, and only the beginning of its digests.

use std::time::SystemTime;

use serde::{Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::keys::Key;
use super::permission::Permissions;
use crate::config::Mode;
use crate::config::value::Rate;
use crate::digest::Digest;

/// Digits shown of a digest: enough to tell it from the others.
const SHOWN: usize = 8;

/// One key of the keys file.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyStatus {
    /// The key's name.
    pub name: String,
    /// What it may do.
    #[serde(serialize_with = "words")]
    pub permissions: Permissions,
    /// Its own mode, if it has one.
    pub mode: Option<Mode>,
    /// Its rate, if it has one.
    pub rate: Option<Rate>,
    /// Whether it is limited to purposes or queues.
    pub guarded: bool,
    /// When it expires, if it does.
    #[serde(serialize_with = "time")]
    pub expires: Option<SystemTime>,
    /// The last use of any of its digests since this process started.
    #[serde(serialize_with = "time")]
    pub last_used: Option<SystemTime>,
    /// Its digests: several while it is rotated.
    pub digests: Vec<DigestStatus>,
}

/// One digest of a key.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DigestStatus {
    /// The first digits of the SHA-256.
    pub sha256: String,
    /// The last use since this process started.
    #[serde(serialize_with = "time")]
    pub last_used: Option<SystemTime>,
}

impl KeyStatus {
    pub(super) fn of(keys: &[(Digest, &Key)]) -> Option<Self> {
        let caller = &keys.first()?.1.caller;
        let mut digests: Vec<DigestStatus> = keys
            .iter()
            .map(|(digest, key)| DigestStatus {
                sha256: digest.to_string().chars().take(SHOWN).collect(),
                last_used: key.last_used(),
            })
            .collect();
        digests.sort_by(|a, b| a.sha256.cmp(&b.sha256));
        Some(Self {
            name: caller.name().to_owned(),
            permissions: caller.permissions(),
            mode: caller.mode(),
            rate: caller.rate(),
            guarded: caller.guards().is_some(),
            expires: caller.expires(),
            last_used: digests.iter().filter_map(|digest| digest.last_used).max(),
            digests,
        })
    }
}

/// Which keys have no `rate` and which no `expires`, as a sentence for `hangup check`; `None` if each has both.
#[must_use]
pub fn unlimited_keys(keys: &[KeyStatus]) -> Option<String> {
    let names = |lacks: fn(&KeyStatus) -> bool| {
        keys.iter().filter(|key| lacks(key)).map(|key| key.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    let parts: Vec<String> =
        [("without rate", names(|key| key.rate.is_none())), ("without expires", names(|key| key.expires.is_none()))]
            .into_iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(what, names)| format!("{what}: {names}"))
            .collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

fn words<S: Serializer>(permissions: &Permissions, output: S) -> Result<S::Ok, S::Error> {
    output.collect_seq(permissions.iter().map(|permission| permission.as_str()))
}

fn time<S: Serializer>(time: &Option<SystemTime>, output: S) -> Result<S::Ok, S::Error> {
    let second = |time: &SystemTime| OffsetDateTime::from(*time).replace_nanosecond(0).ok()?.format(&Rfc3339).ok();
    time.as_ref().and_then(second).serialize(output)
}
