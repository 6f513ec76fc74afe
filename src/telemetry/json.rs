//! Log lines as JSON, written straight from an event's fields.
//!
//! `tracing_subscriber`'s own JSON format serializes each field as an entry of a map, which costs several times as
//! much; the lines have the same members.

use std::fmt::{self, Debug};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::json::Object;

/// One line for each event: `timestamp`, `level`, the event's fields, `target`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Json;

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        out.write_str(&line(OffsetDateTime::now_utc(), event)?)
    }
}

/// Bytes that are enough for most lines.
const USUAL: usize = 768;

fn line(at: OffsetDateTime, event: &Event<'_>) -> Result<String, fmt::Error> {
    let metadata = event.metadata();
    let mut line = String::with_capacity(USUAL);
    let mut members = LineMembers(Object::begin(&mut line));
    members.0.word("timestamp", &at.format(&Rfc3339).map_err(|_| fmt::Error)?).word("level", metadata.level().as_str());
    event.record(&mut members);
    members.0.word("target", metadata.target());
    members.0.end_line();
    Ok(line)
}

/// Writes each field as a member.
struct LineMembers<'a>(Object<'a>);

fn name(field: &Field) -> &'static str {
    field.name().strip_prefix("r#").unwrap_or(field.name())
}

impl Visit for LineMembers<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.text(name(field), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.integer(name(field), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.integer(name(field), value);
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.0.integer(name(field), value);
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.0.integer(name(field), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.truth(name(field), value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.float(name(field), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.debug(name(field), value);
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use proptest::prelude::*;
    use serde_json::Value;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[derive(Clone, Default)]
    struct CapturedLog(Arc<Mutex<Vec<u8>>>);

    impl io::Write for CapturedLog {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is logged by `log` in our form, and in the library's, without the times.
    fn both(log: impl Fn()) -> (Value, Value) {
        let (ours, theirs) = (CapturedLog::default(), CapturedLog::default());
        let sink = ours.clone();
        let layer = tracing_subscriber::fmt::layer().event_format(Json).with_writer(move || sink.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), &log);
        let sink = theirs.clone();
        let layer = tracing_subscriber::fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .with_writer(move || sink.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), &log);
        let read = |sink: CapturedLog| {
            let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
            assert_eq!(text.matches('\n').count(), 1, "one line: {text:?}");
            let mut value: Value = serde_json::from_str(&text).unwrap();
            assert!(value["timestamp"].take().is_string());
            value
        };
        (read(ours), read(theirs))
    }

    #[test]
    fn a_line_has_the_same_members_as_the_librarys() {
        let cause: Option<&str> = None;
        let (ours, theirs) = both(|| {
            tracing::info!(
                event = "request", status = 200_u16, worse = -1_i32, duration_ms = 0.5, whole = 2.0, sure = true, cause,
                r#type = "x", server.accept.failures = 7, shown = %"a\"b", debugged = ?Some("c\n"), "text {}", 1
            );
        });
        assert_eq!(ours, theirs);
        assert_eq!(ours["message"], "text 1");
        assert_eq!(ours["debugged"], "Some(\"c\\n\")");
    }

    #[test]
    fn a_duration_in_milliseconds_is_written_without_the_rounding_of_its_computation() {
        let duration = std::time::Duration::from_micros(501_877);
        let (ours, _) = both(|| tracing::info!(duration_ms = duration.as_micros() as f64 / 1000.0, "x"));
        assert_eq!(ours["duration_ms"].to_string(), "501.877");
    }

    #[test]
    fn numbers_that_json_cannot_express_are_null() {
        let (ours, _) = both(|| tracing::info!(infinite = f64::INFINITY, none = f64::NAN, "x"));
        assert_eq!(ours["infinite"], Value::Null);
        assert_eq!(ours["none"], Value::Null);
    }

    proptest! {
        #[test]
        fn any_text_comes_back_from_its_line(text in any::<String>()) {
            let (ours, theirs) = both(|| tracing::warn!(text = &*text, shown = %text, "x"));
            prop_assert_eq!(&ours["text"], &Value::from(text));
            prop_assert_eq!(ours, theirs);
        }
    }
}
