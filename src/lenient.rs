//! JSON that other programs write not quite right: a byte order mark, bytes of Latin-1, half of an emoji.
//!
//! serde_json refuses a whole document for one such character, wherever it stands. No member that decisions depend on is ever written like that, but names are, so each such character is replaced by U+FFFD before the document is read.

use std::borrow::Cow;
use std::io::{self, Read};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// U+FFFD as JSON writes it.
const REPLACED: &[u8] = br"\ufffd";

/// A whole document, cleaned.
pub(crate) fn cleaned(document: &[u8]) -> Cow<'_, [u8]> {
    let text = document.strip_prefix(BYTE_ORDER_MARK).unwrap_or(document);
    let has_surrogate = text.windows(3).any(|three| matches!(three, br"\ud" | br"\uD"));
    if !has_surrogate && std::str::from_utf8(text).is_ok() {
        return Cow::Borrowed(text);
    }
    let mut clean = Vec::with_capacity(text.len());
    clean_up(text, true, &mut clean);
    Cow::Owned(clean)
}

/// A document that comes in pieces, cleaned as it is read.
#[derive(Debug)]
pub(crate) struct Cleaned<R> {
    inner: R,
    /// Read and not yet cleaned: the start of a character, or of an escape.
    raw: Vec<u8>,
    clean: Vec<u8>,
    /// How much of `clean` has been handed out.
    given: usize,
    begun: bool,
    ended: bool,
}

/// Read from the inner reader in one go.
const PIECE: usize = 16 * 1024;

impl<R: Read> Cleaned<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self { inner, raw: Vec::new(), clean: Vec::new(), given: 0, begun: false, ended: false }
    }

    fn fill(&mut self) -> io::Result<()> {
        let held = self.raw.len();
        self.raw.resize(held + PIECE, 0);
        let read = self.inner.read(&mut self.raw[held..])?;
        self.raw.truncate(held + read);
        self.ended = read == 0;
        self.clean.clear();
        self.given = 0;
        if !self.begun {
            if self.raw.len() < BYTE_ORDER_MARK.len() && !self.ended {
                return Ok(());
            }
            self.begun = true;
            if self.raw.starts_with(BYTE_ORDER_MARK) {
                self.raw.drain(..BYTE_ORDER_MARK.len());
            }
        }
        let taken = clean_up(&self.raw, self.ended, &mut self.clean);
        self.raw.drain(..taken);
        Ok(())
    }
}

impl<R: Read> Read for Cleaned<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.given == self.clean.len() && !self.ended {
            self.fill()?;
        }
        let left = self.clean.get(self.given..).unwrap_or_default();
        let length = left.len().min(into.len());
        into[..length].copy_from_slice(&left[..length]);
        self.given += length;
        Ok(length)
    }
}

/// Cleans `text` into `clean`, and says how much of it was taken. Unless it is the `last` of its document, what may go on in
/// the next piece is left.
fn clean_up(text: &[u8], last: bool, clean: &mut Vec<u8>) -> usize {
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let plain = rest.iter().position(|byte| *byte == b'\\').unwrap_or(rest.len());
        if plain == 0 {
            let Some((length, replaced)) = escape(rest, last) else { break };
            clean.extend_from_slice(if replaced { REPLACED } else { &rest[..length] });
            at += length;
            continue;
        }
        let taken = characters(&rest[..plain], last || plain < rest.len(), clean);
        at += taken;
        if taken < plain {
            break;
        }
    }
    at
}

/// Copies text without escapes, and says how much of it was taken.
fn characters(text: &[u8], last: bool, clean: &mut Vec<u8>) -> usize {
    let mut taken = 0;
    for piece in text.utf8_chunks() {
        clean.extend_from_slice(piece.valid().as_bytes());
        taken += piece.valid().len();
        let odd = piece.invalid();
        let at_the_end = taken + odd.len() == text.len();
        let may_go_on = std::str::from_utf8(odd).is_err_and(|e| e.error_len().is_none());
        if !last && at_the_end && may_go_on {
            return taken;
        }
        if !odd.is_empty() {
            clean.extend_from_slice("\u{fffd}".as_bytes());
        }
        taken += odd.len();
    }
    taken
}

/// Length of the escape that `text` begins with, and whether it is half of a character. `None` when more of it may come.
fn escape(text: &[u8], last: bool) -> Option<(usize, bool)> {
    let more = |result| if last { Some(result) } else { None };
    match text.get(1) {
        None => return more((1, false)),
        Some(b'u') => {}
        // What is escaped is ASCII; anything else is for the next round.
        Some(other) => return Some((1 + usize::from(other.is_ascii()), false)),
    }
    if text.len() < 6 {
        return more((2, false));
    }
    match unit(text) {
        Some(0xd800..0xdc00) => {}
        Some(0xdc00..0xe000) => return Some((6, true)),
        Some(_) => return Some((6, false)),
        None => return Some((2, false)),
    }
    let second = &text[6..];
    if second.len() < 6 && br"\u".starts_with(&second[..second.len().min(2)]) && !last {
        return None;
    }
    let pair = matches!(unit(second), Some(0xdc00..0xe000));
    Some(if pair { (12, false) } else { (6, true) })
}

/// The UTF-16 unit of an escape `\uXXXX`.
fn unit(text: &[u8]) -> Option<u32> {
    let digits = text.strip_prefix(br"\u")?.get(..4)?;
    digits.iter().try_fold(0, |unit, digit| Some(unit * 16 + char::from(*digit).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn in_pieces(document: &[u8], size: usize) -> Vec<u8> {
        struct Pieces<'a>(std::slice::Chunks<'a, u8>);
        impl Read for Pieces<'_> {
            fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
                let piece = self.0.next().unwrap_or_default();
                into[..piece.len()].copy_from_slice(piece);
                Ok(piece.len())
            }
        }
        let mut clean = Vec::new();
        Cleaned::new(Pieces(document.chunks(size))).read_to_end(&mut clean).unwrap();
        clean
    }

    #[test]
    fn what_is_not_quite_json_is_read_nevertheless() {
        let cases: [(&[u8], &str); 9] = [
            (b"\xef\xbb\xbf\"marked\"", "marked"),
            (br#""cut \ud83d""#, "cut \u{fffd}"),
            (br#""cut \uD83D off""#, "cut \u{fffd} off"),
            (br#""\ude00 turned \ud83d""#, "\u{fffd} turned \u{fffd}"),
            (br#""two \ud83d\ud83d\ude00""#, "two \u{fffd}\u{1f600}"),
            (br#""whole \ud83d\ude00""#, "whole \u{1f600}"),
            (br#""not one: \\ud83d \" \n""#, "not one: \\ud83d \" \n"),
            (b"\"Andr\xe9\"", "Andr\u{fffd}"),
            ("\"André 😀\"".as_bytes(), "André 😀"),
        ];
        for (document, expected) in cases {
            let shown = String::from_utf8_lossy(document);
            assert_eq!(serde_json::from_slice::<Value>(&cleaned(document)).unwrap(), expected, "{shown}");
            for size in 1..document.len() {
                let clean = in_pieces(document, size);
                assert_eq!(serde_json::from_slice::<Value>(&clean).unwrap(), expected, "{shown} in pieces of {size}");
            }
        }
    }

    proptest! {
        #[test]
        fn pieces_are_cleaned_like_the_whole(text in r#"(\\|u|d|8|3|c|"|é|😀|\PC){0,40}"#, raw: Vec<u8>, size in 1_usize..9) {
            for document in [text.as_bytes(), &raw] {
                let whole = cleaned(document);
                prop_assert_eq!(&in_pieces(document, size), &*whole);
                prop_assert!(std::str::from_utf8(&whole).is_ok());
            }
        }

        #[test]
        fn what_serde_reads_is_left_as_it_is(text: String) {
            let document = serde_json::to_vec(&text).unwrap();
            prop_assert_eq!(&*cleaned(&document), &*document);
        }
    }
}
