//! Intervals of queries, and which conversations lie in one.

use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use crate::sandbox::answer::Problem;

/// The longest interval of a details query.
const LONGEST: Duration = Duration::days(31);

/// From the first instant up to the second.
#[derive(Debug, Clone, Copy)]
pub(super) struct Interval {
    start: OffsetDateTime,
    end: OffsetDateTime,
}

impl Interval {
    /// Reads `2026-11-01T00:00:00.000Z/2026-11-30T00:00:00.000Z`.
    pub(super) fn read(text: Option<&str>) -> Result<Self, Problem> {
        let text = text.ok_or_else(|| Problem::bad_request("The interval is missing."))?;
        let parse = |text: &str| OffsetDateTime::parse(text, &Rfc3339).ok();
        let ends = text.split_once('/').and_then(|(start, end)| Some((parse(start)?, parse(end)?)));
        let (start, end) = ends.filter(|(start, end)| start < end).ok_or_else(|| {
            Problem::bad_request(format!("The interval {text:?} must be two ISO-8601 times with a slash between them."))
        })?;
        if end - start > LONGEST {
            return Err(Problem::bad_request("The interval must not be longer than 31 days."));
        }
        Ok(Self { start, end })
    }

    /// "Results will include conversations that both started on a day touched by the interval AND either started, ended,
    /// or had any activity during the interval" (SDK 269.0.0, `ConversationQuery.interval`).
    pub(super) fn includes(self, started: OffsetDateTime, ended: Option<OffsetDateTime>) -> bool {
        let day = |time: OffsetDateTime| time.to_offset(time::UtcOffset::UTC).date();
        let touched = day(self.start) <= day(started) && started < self.end;
        touched && ended.is_none_or(|ended| ended >= self.start)
    }
}
