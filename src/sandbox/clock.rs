//! The sandbox's time: wall time at the start plus the time that tokio has counted since, so that wall times follow a
//! paused clock, too.

use std::time::Duration;

use time::OffsetDateTime;
use tokio::time::Instant;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Instant,
    wall: OffsetDateTime,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { start: Instant::now(), wall: OffsetDateTime::now_utc() }
    }

    /// The wall time of an instant of this process.
    pub(crate) fn wall(&self, at: Instant) -> OffsetDateTime {
        self.wall.saturating_add(at.saturating_duration_since(self.start).try_into().unwrap_or(time::Duration::MAX))
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}

/// A time as Genesys Cloud writes it: `2026-11-21T20:59:00.123Z`.
pub(crate) fn text(wall: OffsetDateTime) -> String {
    let (year, month, day) = wall.to_calendar_date();
    let (hour, minute, second, milli) = wall.to_hms_milli();
    format!("{year:04}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z", u8::from(month))
}
