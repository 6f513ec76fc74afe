//! `Retry-After` in all its forms.

use std::time::{Duration, SystemTime};

/// Longest pause that is believed; longer ones are cut to it.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Reads `Retry-After`: seconds (also with a fraction), or an HTTP date. A date in the past and a negative number mean no pause.
/// `None` for anything else.
#[must_use]
pub(crate) fn parse(text: &str) -> Option<Duration> {
    parse_at(text, SystemTime::now())
}

fn parse_at(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return if seconds.is_nan() {
            None
        } else {
            Some(Duration::try_from_secs_f64(seconds.clamp(0.0, LONGEST.as_secs_f64())).unwrap_or(LONGEST))
        };
    }
    // The wall clock is right here and only here: the header names a wall-clock time.
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default().min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn seconds_dates_and_fractions_are_understood() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        assert_eq!(parse_at("2", now), Some(Duration::from_secs(2)));
        assert_eq!(parse_at(" 1.5 ", now), Some(Duration::from_millis(1500)));
        assert_eq!(parse_at("0", now), Some(Duration::ZERO));
        assert_eq!(parse_at("-3", now), Some(Duration::ZERO));
        assert_eq!(parse_at("99999999999999999999", now), Some(LONGEST));
        assert_eq!(parse_at("Sun, 06 Nov 1994 08:49:47 GMT", now), Some(Duration::from_secs(10)));
        assert_eq!(parse_at("Sunday, 06-Nov-94 08:49:47 GMT", now), Some(Duration::from_secs(10)));
        assert_eq!(parse_at("Sun Nov  6 08:49:47 1994", now), Some(Duration::from_secs(10)));
        assert_eq!(parse_at("Sun, 06 Nov 1994 08:00:00 GMT", now), Some(Duration::ZERO));
        for wrong in ["", "soon", "NaN", "1 s", "2,5"] {
            assert_eq!(parse_at(wrong, now), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "\\PC{0,40}") {
            if let Some(pause) = parse(&text) {
                prop_assert!(pause <= LONGEST);
            }
        }
    }
}
