//! Keeps a text without end from filling the memory: serde_json gathers a whole text before it gives it.

use std::io::{self, Read};

/// Longest text of a document, in bytes as written. The texts of a conversation are names, ids and addresses.
const LONGEST_TEXT: usize = 128 * 1024;

/// JSON on its way to its reader, broken off at a text that is too long.
#[derive(Debug)]
pub(super) struct ShortTexts<R> {
    inner: R,
    /// Length of the text that is being read; `None` between texts.
    text: Option<usize>,
    escaped: bool,
}

impl<R: Read> ShortTexts<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, text: None, escaped: false }
    }

    fn count(&mut self, byte: u8) -> io::Result<()> {
        match self.text {
            None if byte == b'"' => self.text = Some(0),
            None => {}
            Some(LONGEST_TEXT..) => return Err(io::Error::other("a text in the body is too long")),
            Some(_) if byte == b'"' && !self.escaped => self.text = None,
            Some(length) => {
                self.escaped = byte == b'\\' && !self.escaped;
                self.text = Some(length + 1);
            }
        }
        Ok(())
    }
}

impl<R: Read> Read for ShortTexts<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(into)?;
        into.iter().take(length).try_for_each(|byte| self.count(*byte))?;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(document: &[u8]) -> io::Result<usize> {
        let mut reader = ShortTexts::new(document);
        io::copy(&mut reader, &mut io::sink()).map(|length| usize::try_from(length).unwrap())
    }

    #[test]
    fn a_document_may_be_long_and_a_text_in_it_may_not() {
        let short = format!(r#"{{"a":"{}\"\\"}}"#, "x".repeat(1000)).repeat(3000);
        assert_eq!(read(short.as_bytes()).unwrap(), short.len());
        let long = format!(r#"{{"a":"{}"#, "x".repeat(LONGEST_TEXT + 1));
        assert!(read(long.as_bytes()).is_err());
        let quotes = format!(r#"{{"a":"{}"#, "\\\"".repeat(LONGEST_TEXT));
        assert!(read(quotes.as_bytes()).is_err(), "an escaped quote does not end a text");
    }
}
