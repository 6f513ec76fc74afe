//! The time zone in which people read times. On the wire they are UTC.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::cli::Failure;

/// How times are shown and written.
#[derive(Debug, Clone)]
pub(super) struct Zone(TimeZone);

impl Zone {
    /// The zone of that name, or that of this machine.
    ///
    /// # Errors
    /// There is no such zone.
    pub(super) fn named(name: Option<&str>) -> Result<Self, Failure> {
        let Some(name) = name else { return Ok(Self(TimeZone::system())) };
        TimeZone::get(name).map(Self).map_err(|_| {
            Failure::unusable(format!(
                "--time-zone \"{name}\": there is no such zone; write it as \"Europe/Berlin\" or \"UTC\""
            ))
        })
    }

    /// As in RFC 3339, to the second, with the zone's offset at that time.
    pub(super) fn text(&self, time: Timestamp) -> String {
        let text = time.to_zoned_datetime(self.0.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
        text.strip_suffix("+00:00").map_or(text.clone(), |utc| format!("{utc}Z"))
    }

    /// For people, to the minute.
    pub(super) fn short(&self, time: Timestamp) -> String {
        time.to_zoned_datetime(self.0.clone()).strftime("%Y-%m-%d %H:%M").to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_the_zone_with_its_offset_of_that_day() {
        let berlin = Zone::named(Some("Europe/Berlin")).unwrap();
        let winter: Timestamp = "2026-01-31T12:00:00.5Z".parse().unwrap();
        let summer: Timestamp = "2026-07-31T12:00:00Z".parse().unwrap();
        assert_eq!(berlin.text(winter), "2026-01-31T13:00:00+01:00");
        assert_eq!(berlin.text(summer), "2026-07-31T14:00:00+02:00");
        assert_eq!(Zone::named(Some("UTC")).unwrap().text(winter), "2026-01-31T12:00:00Z");
        assert_eq!(Zone::named(Some("Mars/Olympus")).unwrap_err().code, 2);
    }
}
