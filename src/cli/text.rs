//! Text on a terminal: what comes from outside is made harmless, and words of ours may have a colour.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::IsTerminal as _;

use crate::text::is_unprintable;

/// Most columns that a line takes.
pub(super) const COLUMNS: usize = 100;

/// One line of text that cannot steer a terminal: line breaks, control characters and those that turn the direction of writing
/// around are shown as escapes. Names and reasons come from callers and from Genesys Cloud's users.
pub(super) fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unprintable) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            c if is_unprintable(c) => drop(write!(shown, "\\u{{{:x}}}", u32::from(c))),
            c => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

/// The same for several lines of ours with text from outside in them.
pub(super) fn printable_lines(text: &str) -> String {
    text.split('\n').map(printable).collect::<Vec<_>>().join("\n")
}

/// At most this many characters; an ellipsis stands for the rest.
pub(super) fn clipped(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// How something went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Doubtful,
    Bad,
}

/// A word of ours in the colour of its tone, where stdout is a terminal and `NO_COLOR` is not set.
pub(super) fn toned(tone: Tone, text: &str) -> String {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if plain || !std::io::stdout().is_terminal() {
        return text.to_owned();
    }
    let colour = match tone {
        Tone::Good => 32,
        Tone::Doubtful => 33,
        Tone::Bad => 31,
    };
    format!("\u{1b}[{colour}m{text}\u{1b}[0m")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_steers_the_terminal() {
        assert_eq!(printable("Ann O'Neil 😀 é"), "Ann O'Neil 😀 é");
        for (odd, shown) in [
            ("a\nb\r\t", "a\\nb\\r\\t"),
            ("\u{1b}[31mred", "\\u{1b}[31mred"),
            ("\u{9b}2J", "\\u{9b}2J"),
            ("\u{7f}\0", "\\u{7f}\\u{0}"),
            ("abc\u{202e}cba", "abc\\u{202e}cba"),
            ("\u{2066}x\u{2069}\u{200f}\u{2028}\u{feff}", "\\u{2066}x\\u{2069}\\u{200f}\\u{2028}\\u{feff}"),
        ] {
            assert_eq!(printable(odd), shown);
        }
        assert_eq!(printable_lines("one\ntwo\u{1b}"), "one\ntwo\\u{1b}");
    }

    #[test]
    fn long_text_is_clipped_at_a_character() {
        assert_eq!((clipped("äöü", 3).as_str(), clipped("äöüß", 3).as_str()), ("äöü", "äö…"));
    }
}
