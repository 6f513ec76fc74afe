//! Media of communication, by the names that the API gives them.

use parking_lot::Mutex;

/// A medium of communication, by the name of its array in a participant and of its path in the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Medium {
    Calls,
    Callbacks,
    Chats,
    Emails,
    Messages,
    Cobrowsesessions,
    Screenshares,
    Videos,
    SocialExpressions,
    InternalMessages,
    /// A medium that we know by the name of its array only, such as `screenMonitorings` or whatever comes next.
    Other(&'static str),
}

impl Medium {
    /// The media that have a path of their own.
    pub const ALL: [Self; 10] = [
        Self::Calls,
        Self::Callbacks,
        Self::Chats,
        Self::Emails,
        Self::Messages,
        Self::Cobrowsesessions,
        Self::Screenshares,
        Self::Videos,
        Self::SocialExpressions,
        Self::InternalMessages,
    ];

    /// The member of a participant that lists its communications of this medium.
    #[must_use]
    pub fn member(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::Callbacks => "callbacks",
            Self::Chats => "chats",
            Self::Emails => "emails",
            Self::Messages => "messages",
            Self::Cobrowsesessions => "cobrowsesessions",
            Self::Screenshares => "screenshares",
            Self::Videos => "videos",
            Self::SocialExpressions => "socialExpressions",
            Self::InternalMessages => "internalMessages",
            Self::Other(member) => member,
        }
    }

    /// The medium that this member of a participant lists.
    #[must_use]
    pub fn from_member(name: &str) -> Self {
        Self::ALL.into_iter().find(|medium| medium.member() == name).unwrap_or_else(|| Self::Other(kept(name)))
    }

    /// The path segment of `/api/v2/conversations/{segment}/{cid}/participants/{pid}`.
    #[must_use]
    pub fn segment(self) -> &'static str {
        match self {
            Self::SocialExpressions => "socials",
            Self::InternalMessages => "internalmessages",
            other => other.member(),
        }
    }

    /// Whether the API publishes a read under the path of this medium. Source: the official SDKs, 2026-11.
    #[must_use]
    pub fn is_read_by_path(self) -> bool {
        matches!(
            self,
            Self::Calls
                | Self::Callbacks
                | Self::Cobrowsesessions
                | Self::Emails
                | Self::InternalMessages
                | Self::Messages
        )
    }

    /// The medium whose path segment this is.
    #[must_use]
    pub fn from_segment(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|medium| medium.segment() == text)
    }

    /// Whether the API publishes a disconnect for this medium alone. Source: the official SDKs, 2026-11.
    #[must_use]
    pub fn is_published(self) -> bool {
        matches!(self, Self::Calls | Self::Callbacks | Self::Cobrowsesessions | Self::Emails | Self::Messages)
    }

    /// Whether it only goes along with another medium of its participant, and ends with that one.
    #[must_use]
    pub fn accompanies(self) -> bool {
        matches!(self, Self::Screenshares) || self == SCREEN_MONITORING
    }

    /// The name in our lists: the singular.
    #[must_use]
    pub fn singular(self) -> &'static str {
        match self {
            Self::Calls => "call",
            Self::Callbacks => "callback",
            Self::Chats => "chat",
            Self::Emails => "email",
            Self::Messages => "message",
            Self::Cobrowsesessions => "cobrowse",
            Self::Screenshares => "screenshare",
            Self::Videos => "video",
            Self::SocialExpressions => "socialExpression",
            Self::InternalMessages => "internalMessage",
            Self::Other(member) => member.strip_suffix('s').unwrap_or(member),
        }
    }

    /// Its `mediaType` in analytics. Of social expressions analytics has no word that is published. Source: the official models, 2026-11.
    #[must_use]
    pub fn analytics(self) -> &'static str {
        match self {
            Self::Calls => "voice",
            Self::SocialExpressions => "socialexpression",
            Self::InternalMessages => "internalmessage",
            other => other.singular(),
        }
    }

    /// The medium that a caller or analytics means by one word, in any case: the word of our lists, that of analytics, or the
    /// singular of the API's array.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|medium| {
            let words = [medium.singular(), medium.analytics(), medium.member().trim_end_matches('s')];
            words.iter().any(|known| known.eq_ignore_ascii_case(word))
        })
    }

    /// The same for what a participant can have: analytics cannot be asked for screen monitorings, and lists show them.
    #[must_use]
    pub fn from_word_of_lists(word: &str) -> Option<Self> {
        let other = || word.eq_ignore_ascii_case(SCREEN_MONITORING.singular()).then_some(SCREEN_MONITORING);
        Self::from_word(word).or_else(other)
    }

    /// The words by which analytics is asked, for people.
    #[must_use]
    pub fn words() -> String {
        Self::ALL.map(Self::singular).join(", ")
    }
}

/// A medium without a path of its own.
const SCREEN_MONITORING: Medium = Medium::Other("screenMonitorings");

/// Most names of unknown media that are kept. The API gets a new one every few years.
const MOST_NAMES: usize = 64;
/// Longest name that is kept.
const LONGEST_NAME: usize = 40;

/// The name for as long as the process lives, so that a medium can be copied. The upstream chooses these names: what is not
/// one word, or comes after the bound, is "other".
fn kept(name: &str) -> &'static str {
    static NAMES: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());
    const OTHER: &str = "other";
    if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return OTHER;
    }
    let mut names = NAMES.lock();
    if let Some(known) = names.iter().find(|known| **known == name) {
        return known;
    }
    if names.len() >= MOST_NAMES {
        return OTHER;
    }
    let new: &'static str = Box::leak(name.into());
    names.push(new);
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_medium_is_shown_as_one_word() {
        for medium in Medium::ALL {
            assert_eq!(Medium::from_member(medium.member()), medium);
        }
        for (words, medium) in [
            (&["call", "Voice"][..], Medium::Calls),
            (&["cobrowse", "cobrowsesession"], Medium::Cobrowsesessions),
            (&["socialExpression", "socialexpression"], Medium::SocialExpressions),
            (&["internalMessage", "internalmessage"], Medium::InternalMessages),
        ] {
            assert!(words.iter().all(|word| Medium::from_word(word) == Some(medium)), "{words:?}");
        }
        for medium in Medium::ALL {
            assert_eq!(Medium::from_word(medium.singular()), Some(medium));
            assert_eq!(Medium::from_word(medium.analytics()), Some(medium));
        }
        for other in ["", "calls", "fax", "unknown"] {
            assert_eq!(Medium::from_word(other), None, "{other}");
        }
        let unknown = Medium::from_member("screenMonitorings");
        assert_eq!((unknown.member(), unknown.singular()), ("screenMonitorings", "screenMonitoring"));
        assert_eq!(unknown, Medium::from_member("screenMonitorings"));
        assert_eq!(Medium::from_word_of_lists("ScreenMonitoring"), Some(unknown));
        assert_eq!(Medium::from_word_of_lists("voice"), Some(Medium::Calls));
        assert!(unknown.accompanies() && Medium::from_word("screenMonitoring").is_none());
        for odd in ["", "two words", "\u{1b}[31m", "a".repeat(41).as_str()] {
            assert_eq!(Medium::from_member(odd).singular(), "other", "{odd:?}");
        }
    }
}
