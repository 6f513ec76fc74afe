//! How a command says that it did not end well.

/// A command that did not end well, with what to tell the user.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) code: u8,
    pub(super) text: String,
}

impl Failure {
    pub(super) fn failed(text: impl Into<String>) -> Self {
        Self { code: 1, text: text.into() }
    }

    pub(super) fn unusable(text: impl std::fmt::Display) -> Self {
        Self { code: 2, text: format!("{text}") }
    }
}
