//! JSON objects of one line, written straight into a text: log lines, audit records and the answer to a disconnect.
//!
//! It exists because `serde_json` takes twice the instructions for these three, 18,900 instead of 9,800, which would be a twelfth of
//! a whole disconnect (`bench/count`). What is not written for every disconnect is left to `serde_json`.

use std::fmt::{self, Debug, Write as _};
use std::net::IpAddr;

/// An object that is being written. Each member is written with a comma after it; [`Object::end`] takes the last one back.
#[derive(Debug)]
pub(crate) struct Object<'a> {
    out: &'a mut String,
}

impl<'a> Object<'a> {
    /// Begins an object at the end of `out`.
    pub(crate) fn begin(out: &'a mut String) -> Self {
        out.push('{');
        Self { out }
    }

    /// Ends it.
    pub(crate) fn end(self) {
        self.end_with("}");
    }

    /// Ends it, and the line.
    pub(crate) fn end_line(self) {
        self.end_with("}\n");
    }

    fn end_with(self, end: &str) {
        if self.out.ends_with(',') {
            self.out.pop();
        }
        self.out.push_str(end);
    }

    /// A member whose value needs no quotes. Names are identifiers with dots: nothing in them needs an escape.
    fn bare(&mut self, name: &str, value: &str) -> &mut Self {
        self.out.push('"');
        self.out.push_str(name);
        self.out.push_str("\":");
        self.out.push_str(value);
        self.out.push(',');
        self
    }

    /// A member whose value is the text that `write` adds.
    fn quoted(&mut self, name: &str, write: impl FnOnce(&mut String)) -> &mut Self {
        self.out.push('"');
        self.out.push_str(name);
        self.out.push_str("\":\"");
        write(self.out);
        self.out.push_str("\",");
        self
    }

    pub(crate) fn text(&mut self, name: &str, text: &str) -> &mut Self {
        self.quoted(name, |out| escape(out, text))
    }

    pub(crate) fn text_or_null(&mut self, name: &str, text: Option<&str>) -> &mut Self {
        match text {
            Some(text) => self.text(name, text),
            None => self.null(name),
        }
    }

    /// A word of ours or an id: nothing in it needs an escape.
    pub(crate) fn word(&mut self, name: &str, word: &str) -> &mut Self {
        debug_assert!(is_plain(word), "{word:?} needs escapes");
        self.quoted(name, |out| out.push_str(word))
    }

    pub(crate) fn word_or_null(&mut self, name: &str, word: Option<&str>) -> &mut Self {
        match word {
            Some(word) => self.word(name, word),
            None => self.null(name),
        }
    }

    /// A text, as `Debug` writes it.
    pub(crate) fn debug(&mut self, name: &str, value: &dyn Debug) -> &mut Self {
        self.formatted(name, format_args!("{value:?}"))
    }

    /// A text, as it is formatted.
    pub(crate) fn formatted(&mut self, name: &str, text: fmt::Arguments<'_>) -> &mut Self {
        self.quoted(name, |out| {
            // Writing to a string does not fail.
            let _ = Escaped(out).write_fmt(text);
        })
    }

    pub(crate) fn truth(&mut self, name: &str, value: bool) -> &mut Self {
        self.bare(name, if value { "true" } else { "false" })
    }

    pub(crate) fn truth_or_null(&mut self, name: &str, value: Option<bool>) -> &mut Self {
        match value {
            Some(value) => self.truth(name, value),
            None => self.null(name),
        }
    }

    pub(crate) fn integer(&mut self, name: &str, value: impl itoa::Integer) -> &mut Self {
        self.bare(name, itoa::Buffer::new().format(value))
    }

    pub(crate) fn integer_or_null(&mut self, name: &str, value: Option<impl itoa::Integer>) -> &mut Self {
        match value {
            Some(value) => self.integer(name, value),
            None => self.null(name),
        }
    }

    /// JSON has no infinities: they are `null`.
    pub(crate) fn float(&mut self, name: &str, value: f64) -> &mut Self {
        if !value.is_finite() {
            return self.null(name);
        }
        self.bare(name, zmij::Buffer::new().format_finite(value))
    }

    fn null(&mut self, name: &str) -> &mut Self {
        self.bare(name, "null")
    }
}

const LONGEST_V4: usize = "255.255.255.255".len();

/// As `Display` writes it; most are of the fourth version, and need none of the machinery.
pub(crate) fn address_text(address: IpAddr) -> String {
    let IpAddr::V4(address) = address else { return address.to_string() };
    let mut out = String::with_capacity(LONGEST_V4);
    for (at, octet) in address.octets().into_iter().enumerate() {
        if at > 0 {
            out.push('.');
        }
        out.push_str(itoa::Buffer::new().format(octet));
    }
    out
}

struct Escaped<'a>(&'a mut String);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        escape(self.0, text);
        Ok(())
    }
}

/// Line breaks and other control characters never reach the line as they are.
fn escape(out: &mut String, text: &str) {
    if is_plain(text) {
        return out.push_str(text);
    }
    let mut rest = text;
    while let Some(at) = rest.bytes().position(needs_escape) {
        // What is escaped is ASCII, so that the text is cut between characters.
        let (plain, odd) = rest.split_at(at);
        out.push_str(plain);
        let (odd, after) = odd.split_at(1);
        match odd {
            "\"" => out.push_str("\\\""),
            "\\" => out.push_str("\\\\"),
            "\n" => out.push_str("\\n"),
            "\r" => out.push_str("\\r"),
            "\t" => out.push_str("\\t"),
            _ => drop(write!(out, "\\u{:04x}", odd.bytes().next().unwrap_or_default())),
        }
        rest = after;
    }
    out.push_str(rest);
}

/// Whether nothing needs an escape, as almost always.
fn is_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    let by_pieces = are_plain::<16>(bytes).or_else(|| are_plain::<8>(bytes));
    by_pieces.unwrap_or_else(|| !bytes.iter().copied().any(needs_escape))
}

/// [`is_plain`], `N` bytes at a time; `None` where there are fewer. There is no branch between the bytes of a piece, so that the
/// compiler looks at all of them at once.
fn are_plain<const N: usize>(bytes: &[u8]) -> Option<bool> {
    let plain = |piece: &[u8; N]| !piece.iter().fold(false, |odd, byte| odd | needs_escape(*byte));
    // The last piece overlaps with those before it.
    let last = bytes.last_chunk()?;
    Some(plain(last) && bytes.as_chunks().0.iter().all(plain))
}

fn needs_escape(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn written(write: impl Fn(&mut Object<'_>)) -> Value {
        let mut line = String::new();
        let mut object = Object::begin(&mut line);
        write(&mut object);
        object.end_line();
        assert_eq!(line.matches('\n').count(), 1, "one line: {line:?}");
        serde_json::from_str(&line).unwrap()
    }

    #[test]
    fn an_object_has_the_members_that_were_written() {
        let object = written(|object| {
            object
                .text("text", "a")
                .text_or_null("no_text", None)
                .debug("debug", &Some("\"b\"\n"))
                .integer("number", -7);
            object.text_or_null("none", None).truth("some", true).float("half", 0.5).float("far", f64::INFINITY);
        });
        let expected = json!({
            "text": "a", "no_text": null, "debug": "Some(\"\\\"b\\\"\\n\")", "number": -7, "none": null, "some": true,
            "half": 0.5, "far": null,
        });
        assert_eq!(object, expected);
        assert_eq!(written(|_| ()), json!({}));
    }

    #[test]
    fn every_character_that_needs_an_escape_is_seen_wherever_it_stands() {
        for odd in ["\"", "\\", "\0", "\n", "\u{1f}"] {
            for (before, after) in (0..20).flat_map(|before| (0..20).map(move |after| (before, after))) {
                let text = format!("{}{odd}{}", "\u{7f} ".repeat(before), "é!#[]".repeat(after));
                assert!(!is_plain(&text), "{text:?}");
                assert!(is_plain(&text.replace(odd, "")), "{text:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_address_and_number_is_written_as_it_is_displayed(v4: [u8; 4], v6: [u16; 8], whole: i64, half: f64) {
            for address in [IpAddr::from(v4), IpAddr::from(v6)] {
                prop_assert_eq!(address_text(address), address.to_string());
            }
            let object = written(|object| {
                object.integer("whole", whole).float("half", half);
            });
            prop_assert_eq!(object, json!({"whole": whole, "half": half}));
        }

        #[test]
        fn any_text_comes_back_from_its_line(text in any::<String>()) {
            let object = written(|object| {
                object.text("text", &text).formatted("formatted", format_args!("{text}"));
            });
            prop_assert_eq!(&object["text"], &Value::from(&*text));
            prop_assert_eq!(&object["formatted"], &Value::from(&*text));
        }
    }
}
