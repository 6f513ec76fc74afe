//! What a caller may do: the words of keys files, of a token's claim, and of `auth.anonymous_permissions`.

use std::fmt;

/// One thing that a caller may be allowed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// Disconnect a participant, or a few by a selector.
    Disconnect,
    /// Read conversations and participants.
    Read,
    /// Search live conversations.
    Search,
    /// Make jobs of more than one item.
    Bulk,
    /// End a whole conversation, and use selectors that may reach as many participants.
    Teardown,
    /// See and control the jobs of every caller.
    Jobs,
    /// Read audit records.
    Audit,
    /// See the status, and switch the mode.
    Operate,
}

impl Permission {
    /// All of them, in the order in which they are listed.
    pub const ALL: [Self; 8] = [
        Self::Disconnect,
        Self::Read,
        Self::Search,
        Self::Bulk,
        Self::Teardown,
        Self::Jobs,
        Self::Audit,
        Self::Operate,
    ];

    /// The word for it in keys files, claims and answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disconnect => "disconnect",
            Self::Read => "read",
            Self::Search => "search",
            Self::Bulk => "bulk",
            Self::Teardown => "teardown",
            Self::Jobs => "jobs",
            Self::Audit => "audit",
            Self::Operate => "operate",
        }
    }

    /// The permission of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|permission| permission.as_str() == word)
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// A set of permissions.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Permissions(u8);

impl Permissions {
    /// The permissions of a key whose record names none: disconnect and read.
    #[must_use]
    pub fn of_a_key() -> Self {
        [Permission::Disconnect, Permission::Read].into_iter().collect()
    }

    /// Whether the set has this permission.
    #[must_use]
    pub fn contains(self, permission: Permission) -> bool {
        self.0 & (1 << permission as u8) != 0
    }

    /// The permissions of the set, in the order of [`Permission::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.into_iter().filter(move |permission| self.contains(*permission))
    }

    /// The set with one more.
    #[must_use]
    pub fn with(self, permission: Permission) -> Self {
        Self(self.0 | 1 << permission as u8)
    }

    /// The set of these words.
    ///
    /// # Errors
    /// The first word that is not a permission, with those that are.
    pub fn from_words(words: &[String]) -> Result<Self, String> {
        let read = |word: &String| Permission::from_word(word).ok_or_else(|| unknown(word));
        words.iter().map(read).collect()
    }
}

fn unknown(word: &str) -> String {
    let known: Vec<_> = Permission::ALL.iter().map(|permission| format!("\"{permission}\"")).collect();
    format!("\"{word}\" is not a permission; use {}", known.join(", "))
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        permissions.into_iter().fold(Self::default(), Self::with)
    }
}

impl fmt::Debug for Permissions {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_read_from_words_and_unknown_words_are_named() {
        let words = Permission::ALL.map(|permission| permission.to_string());
        assert_eq!(words, crate::config::value::PERMISSIONS);
        let all = Permissions::from_words(&words).unwrap();
        assert!(Permission::ALL.into_iter().all(|permission| all.contains(permission)));
        let some = Permissions::from_words(&words[1..2]).unwrap();
        assert!(some.contains(Permission::Read) && !some.contains(Permission::Operate));
        let error = Permissions::from_words(&["write".to_owned()]).unwrap_err();
        assert!(error.starts_with("\"write\" is not a permission") && error.contains("\"operate\""), "{error}");
    }
}
