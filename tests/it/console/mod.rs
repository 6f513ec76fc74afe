//! The console as a browser's requests see it. The page itself, in a browser, is `tests/browser`.
#![expect(clippy::unwrap_used, reason = "a failing step is a failing test")]

mod disconnect;
mod pages;
mod rights;
mod watching;
