//! JSON objects of one line, written straight into a text: log lines and audit records.
//!
//! There are two or three for each disconnect, and a general serializer takes several times as long for them.

use std::fmt::{self, Debug, Display, Write as _};

/// An object that is being written.
#[derive(Debug)]
pub(crate) struct Object<'a> {
    out: &'a mut String,
    empty: bool,
}

impl<'a> Object<'a> {
    /// Begins an object at the end of `out`.
    pub(crate) fn begin(out: &'a mut String) -> Self {
        out.push('{');
        Self { out, empty: true }
    }

    /// Ends it, and the line.
    pub(crate) fn end(self) {
        self.out.push_str("}\n");
    }

    /// Begins a member; what is returned takes its value. Names are identifiers with dots: nothing in them needs an escape.
    fn name(&mut self, name: &str) -> &mut String {
        self.out.push_str(if self.empty { "\"" } else { ",\"" });
        self.empty = false;
        self.out.push_str(name);
        self.out.push_str("\":");
        self.out
    }

    pub(crate) fn text(&mut self, name: &str, text: &str) -> &mut Self {
        let out = self.name(name);
        out.push('"');
        escape(out, text);
        out.push('"');
        self
    }

    pub(crate) fn text_or_null(&mut self, name: &str, text: Option<&str>) -> &mut Self {
        match text {
            Some(text) => self.text(name, text),
            None => self.null(name),
        }
    }

    /// A text, as `Debug` writes it.
    pub(crate) fn debug(&mut self, name: &str, value: &dyn Debug) -> &mut Self {
        self.formatted(name, format_args!("{value:?}"))
    }

    /// A text, as it is formatted.
    pub(crate) fn formatted(&mut self, name: &str, text: fmt::Arguments<'_>) -> &mut Self {
        let out = self.name(name);
        out.push('"');
        // Writing to a string does not fail.
        let _ = Escaped(out).write_fmt(text);
        out.push('"');
        self
    }

    /// A number or a truth: JSON as it is displayed.
    pub(crate) fn plain(&mut self, name: &str, value: impl Display) -> &mut Self {
        let _ = write!(self.name(name), "{value}");
        self
    }

    pub(crate) fn plain_or_null(&mut self, name: &str, value: Option<impl Display>) -> &mut Self {
        match value {
            Some(value) => self.plain(name, value),
            None => self.null(name),
        }
    }

    /// JSON has no infinities: they are `null`.
    pub(crate) fn float(&mut self, name: &str, value: f64) -> &mut Self {
        if value.is_finite() { self.plain(name, format_args!("{value:?}")) } else { self.null(name) }
    }

    fn null(&mut self, name: &str) -> &mut Self {
        self.name(name).push_str("null");
        self
    }
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
    // Almost always true, and looked at without a branch for each byte.
    if !text.bytes().fold(false, |odd, byte| odd | needs_escape(byte)) {
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
        object.end();
        assert_eq!(line.matches('\n').count(), 1, "one line: {line:?}");
        serde_json::from_str(&line).unwrap()
    }

    #[test]
    fn an_object_has_the_members_that_were_written() {
        let none: Option<u32> = None;
        let object = written(|object| {
            object.text("text", "a").text_or_null("no_text", None).debug("debug", &Some("\"b\"\n")).plain("number", 7);
            object
                .plain_or_null("none", none)
                .plain_or_null("some", Some(true))
                .float("half", 0.5)
                .float("far", f64::INFINITY);
        });
        let expected = json!({
            "text": "a", "no_text": null, "debug": "Some(\"\\\"b\\\"\\n\")", "number": 7, "none": null, "some": true,
            "half": 0.5, "far": null,
        });
        assert_eq!(object, expected);
        assert_eq!(written(|_| ()), json!({}));
    }

    proptest! {
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
