//! The plan of a job: what to do with each of its items. Stored with the job as JSON.

use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::callers::{Caller, Permission};
use crate::disconnect::Wrapup;
use crate::disconnect::seen::AsSeen;
use crate::medium::Medium;

/// What to do with each item.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Plan {
    /// Why; `None` for the service's default reason.
    pub reason: Option<String>,
    /// What led to it, in the caller's words.
    pub cause: Option<String>,
    /// How the participants were seen; one that has changed since is not disconnected.
    pub as_seen: Option<AsSeen>,
    /// End only this medium of each participant.
    #[serde(with = "medium")]
    pub media: Option<Medium>,
    /// The wrap-up sent with each disconnect.
    pub wrapup: Option<Wrapup>,
    /// Whether the wrap-up is skipped.
    pub wrapup_skipped: Option<bool>,
    /// When to skip an item, checked by a live read before every attempt.
    pub skip_if: SkipIf,
    /// Read only, and report what would have been done.
    pub dry_run: bool,
    /// How long an item with transient failures is retried.
    #[serde(with = "millis")]
    pub give_up_after: Option<Duration>,
    /// On whose behalf the job was asked for, as its caller asserted it: `unverified:NAME`.
    pub actor: Option<String>,
    /// For a caller with a token of the issuer: items run until the token expires, with the permissions that it gave.
    pub token: Option<TokenRights>,
}

/// When to skip an item: any of these.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SkipIf {
    /// An agent or a user is in the conversation.
    pub agent: bool,
    /// The conversation began less than this ago.
    #[serde(with = "millis")]
    pub younger_than: Option<Duration>,
    /// No participant waits in this queue.
    pub left_queue: Option<String>,
}

impl SkipIf {
    /// Whether there is anything to check.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What a token of the issuer lets its caller do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenRights {
    /// When it expires, in seconds since 1970; `None` for never.
    pub expires: Option<u64>,
    /// The words of its permissions.
    pub permissions: Vec<String>,
}

impl TokenRights {
    /// What this caller's token lets it do.
    #[must_use]
    pub fn of(caller: &Caller) -> Self {
        let expires = caller.expires().and_then(|end| end.duration_since(UNIX_EPOCH).ok()).map(|since| since.as_secs());
        let held = Permission::ALL.into_iter().filter(|permission| caller.may(*permission));
        Self { expires, permissions: held.map(|permission| permission.as_str().to_owned()).collect() }
    }
}

/// Media by their names in lists of participants.
mod medium {
    use serde::{Deserialize, Deserializer, Serialize as _, Serializer};

    use crate::medium::Medium;

    #[expect(clippy::ref_option, reason = "serde passes a reference to the member")]
    pub(super) fn serialize<S: Serializer>(value: &Option<Medium>, out: S) -> Result<S::Ok, S::Error> {
        value.map(Medium::singular).serialize(out)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Medium>, D::Error> {
        let Some(word) = Option::<String>::deserialize(input)? else { return Ok(None) };
        // A later version may know more media. Without one, the item would disconnect the whole participant.
        Medium::from_word_of_lists(&word).map(Some).ok_or_else(|| serde::de::Error::custom("unknown medium"))
    }
}

/// Durations as milliseconds.
mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize as _, Serializer};

    #[expect(clippy::ref_option, reason = "serde passes a reference to the member")]
    pub(super) fn serialize<S: Serializer>(value: &Option<Duration>, out: S) -> Result<S::Ok, S::Error> {
        value.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)).serialize(out)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(input)?.map(Duration::from_millis))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_reads_back_as_it_was_written_and_tolerates_members_it_does_not_know() {
        let plan = Plan {
            reason: Some("monday".into()),
            skip_if: SkipIf { agent: true, younger_than: Some(Duration::from_secs(600)), left_queue: None },
            give_up_after: Some(Duration::from_secs(60)),
            ..Plan::default()
        };
        let text = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
        assert_eq!(serde_json::from_str::<Plan>(r#"{"later":1}"#).unwrap(), Plan::default());
    }
}
