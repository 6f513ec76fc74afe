//! How a caller wants to be served: `Prefer` (RFC 7240), and the same in the query for tools that cannot set headers.

use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse as _, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::super::refused::Refused;
use super::query;
use crate::problem::{Code, Problem};

const PREFER: HeaderName = HeaderName::from_static("prefer");
const APPLIED: HeaderName = HeaderName::from_static("preference-applied");
/// Longest wait, in seconds.
const LONGEST_WAIT: u64 = 60;

/// What a caller asks for beside the disconnect itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::http) struct Preferences {
    /// Read until the participant is gone, for at most this long.
    pub(in crate::http) wait: Option<Duration>,
    /// No body where there is nothing to add.
    pub(in crate::http) minimal: bool,
    /// Read, and disconnect no one.
    pub(in crate::http) dry_run: bool,
    /// Queue it and answer at once.
    pub(in crate::http) respond_async: bool,
}

impl Preferences {
    /// Reads `Prefer`, of which unknown words are ignored, and the query, of which they are refused. Where both name a
    /// wait, the query counts.
    fn of(parts: &Parts) -> Result<Self, Problem> {
        let mut found = Self::of_headers(&parts.headers);
        query::read(parts.uri.query().unwrap_or_default(), &["wait", "dryRun", "async"], |name, value| {
            match name {
                "wait" => {
                    found.wait = Some(seconds(value).ok_or_else(|| wrong(name, "a number of seconds, such as 5"))?)
                }
                "async" => found.respond_async = flag(value).ok_or_else(|| wrong(name, "true or false"))?,
                _ => found.dry_run = flag(value).ok_or_else(|| wrong(name, "true or false"))?,
            }
            Ok(())
        })?;
        Ok(found)
    }

    fn of_headers(headers: &HeaderMap) -> Self {
        let (mut found, mut form) = (Self::default(), None);
        let words = headers.get_all(PREFER).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(','));
        for word in words {
            let preference = word.split(';').next().unwrap_or_default();
            let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
            let value = value.trim().trim_matches('"');
            match (name.trim().to_ascii_lowercase().as_str(), value) {
                // The first of several counts.
                ("wait", text) if found.wait.is_none() => found.wait = seconds(text),
                ("return", word @ ("minimal" | "representation")) => form = form.or(Some(word == "minimal")),
                ("respond-async", _) => found.respond_async = true,
                _ => {}
            }
        }
        found.minimal = form.unwrap_or_default();
        found
    }

    /// Says which preferences were applied to an answer with a body.
    pub(in crate::http) fn stamp(self, response: &mut Response) {
        response.headers_mut().extend(self.applied(false).map(|applied| (APPLIED, applied)));
    }

    /// The answer to `return=minimal`, in place of a 200.
    pub(in crate::http) fn no_content(self) -> Response {
        let mut response = StatusCode::NO_CONTENT.into_response();
        response.headers_mut().extend(self.applied(true).map(|applied| (APPLIED, applied)));
        response
    }

    /// The value of `Preference-Applied`, where something was applied.
    fn applied(self, minimal: bool) -> Option<HeaderValue> {
        let wait = self.wait.map(|wait| format!("wait={}", wait.as_secs()));
        let minimal = minimal.then(|| "return=minimal".to_owned());
        let applied: Vec<_> = wait.into_iter().chain(minimal).collect();
        if applied.is_empty() { None } else { HeaderValue::from_str(&applied.join(", ")).ok() }
    }
}

impl<S: Sync> FromRequestParts<S> for Preferences {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        Ok(Self::of(parts)?)
    }
}

/// A whole number of seconds, however large: more than [`LONGEST_WAIT`] is that.
fn seconds(text: &str) -> Option<Duration> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // Digits that do not fit a u64 are beyond it.
    Some(Duration::from_secs(digits.parse::<u64>().map_or(LONGEST_WAIT, |seconds| seconds.min(LONGEST_WAIT))))
}

fn flag(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

fn wrong(name: &str, what: &str) -> Problem {
    Problem::new(Code::InvalidQuery, format!("the query parameter {name} must be {what}; give that, or leave it out"))
}

#[cfg(test)]
mod tests {
    use http::Request;
    use proptest::prelude::*;

    use super::*;

    fn of(query: &str, prefer: &[&str]) -> Result<Preferences, Problem> {
        let mut request = Request::builder().uri(format!("/x{query}"));
        for value in prefer {
            request = request.header(PREFER, *value);
        }
        Preferences::of(&request.body(()).unwrap().into_parts().0)
    }

    const NONE: Preferences = Preferences { wait: None, minimal: false, dry_run: false, respond_async: false };

    fn waits(seconds: u64) -> Preferences {
        Preferences { wait: Some(Duration::from_secs(seconds)), ..NONE }
    }

    #[test]
    fn preferences_are_read_from_any_form_and_the_rest_is_ignored() {
        assert_eq!(of("", &["wait=5"]).unwrap(), waits(5));
        let both = Preferences { minimal: true, ..waits(7) };
        assert_eq!(of("", &["return=minimal, Wait = \"7\" ; x"]).unwrap(), both);
        assert_eq!(of("", &["wait=5", "wait=9"]).unwrap(), waits(5));
        for long in ["wait=3600", "wait=11514301608301381440756736"] {
            assert_eq!(of("", &[long]).unwrap(), waits(60));
            assert_eq!(of(&format!("?{long}"), &[]).unwrap(), waits(60));
        }
        assert_eq!(of("", &["wait=soon, handling=strict"]).unwrap(), NONE);
        assert_eq!(of("", &["return=representation", "return=minimal"]).unwrap(), NONE, "the first of several counts");
        assert!(of("", &["return=odd, return=minimal, return=representation"]).unwrap().minimal);
        assert_eq!(waits(5).applied(true).unwrap(), "wait=5, return=minimal");
    }

    #[test]
    fn the_query_says_the_same_and_is_read_strictly() {
        assert_eq!(of("?wait=5", &[]).unwrap(), waits(5));
        assert_eq!(of("?wait=3600", &["wait=1"]).unwrap(), waits(60));
        assert_eq!(of("?dryRun=True&wait=5", &[]).unwrap(), Preferences { dry_run: true, ..waits(5) });
        assert_eq!(of("?dryRun=false", &[]).unwrap(), NONE);
        for wrong in
            ["?wait=", "?wait=soon", "?wait=-1", "?dryRun=", "?dryRun=1", "?dryrun=true", "?dryRun=true&dryRun=false"]
        {
            assert_eq!(of(wrong, &[]).unwrap_err().code, Code::InvalidQuery, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_preference_is_read_without_panic_and_within_bounds(text in "[ -~]{0,60}") {
            let read = of("", &[&text]).unwrap();
            prop_assert!(read.wait.unwrap_or_default() <= Duration::from_secs(LONGEST_WAIT));
        }
    }
}
