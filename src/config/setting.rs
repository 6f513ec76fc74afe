//! What all settings have in common: they name their keys, show their values and check themselves. A section does so
//! for each of its members, whose check is named where the member is declared.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use secrecy::SecretString;

use super::value::{List, PERMISSIONS, Rate, SensitiveUrl};

/// A value that cannot be used: which key, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) key: String,
    pub(super) text: String,
}

impl Wrong {
    /// `text` begins with the key, and names value and remedy.
    pub(super) fn new(key: &str, text: impl Into<String>) -> Self {
        Self { key: key.to_owned(), text: text.into() }
    }
}

/// A value, or a section of values.
pub(super) trait Setting {
    /// Adds every key at and below `at`.
    fn keys(at: &str, into: &mut BTreeSet<String>) {
        into.insert(at.to_owned());
    }
    /// Adds the keys at and below `at` whose values may be fractions.
    fn fractions(_at: &str, _into: &mut BTreeSet<String>) {}

    /// Checks what the type cannot express.
    fn check(&self, _at: &str) -> Result<(), Wrong> {
        Ok(())
    }

    /// The value for messages; never a secret.
    fn shown(&self) -> String;
}

impl<T: Setting> Setting for Option<T> {
    fn keys(at: &str, into: &mut BTreeSet<String>) {
        T::keys(at, into);
    }

    fn fractions(at: &str, into: &mut BTreeSet<String>) {
        T::fractions(at, into);
    }

    fn check(&self, at: &str) -> Result<(), Wrong> {
        self.as_ref().map_or(Ok(()), |value| value.check(at))
    }

    fn shown(&self) -> String {
        self.as_ref().map_or_else(|| "none".to_owned(), Setting::shown)
    }
}

/// Shows settings as TOML writes them, without quotes (`plain`) or with quotes.
macro_rules! shown {
    (plain $($kind:ty),*) => { $(impl Setting for $kind { fn shown(&self) -> String { self.to_string() } })* };
    (quoted $($kind:ty),*) => { $(impl Setting for $kind { fn shown(&self) -> String { format!("\"{self}\"") } })* };
}
shown!(plain bool, u32, usize);
shown!(quoted SocketAddr, ByteSize, Rate, SensitiveUrl);

impl Setting for f64 {
    fn fractions(at: &str, into: &mut BTreeSet<String>) {
        into.insert(at.to_owned());
    }

    fn shown(&self) -> String {
        self.to_string()
    }
}

/// A string may be a URL that holds credentials by mistake.
impl Setting for String {
    fn shown(&self) -> String {
        format!("\"{}\"", SensitiveUrl::hide(self))
    }
}

impl Setting for PathBuf {
    fn shown(&self) -> String {
        format!("\"{}\"", self.display())
    }
}

impl Setting for List {
    fn shown(&self) -> String {
        format!("{:?}", self.0)
    }
}

impl Setting for SecretString {
    fn shown(&self) -> String {
        "[not shown]".to_owned()
    }
}

/// Longest duration of any setting: adding a longer one to a time could overflow.
const LONGEST: Duration = Duration::from_secs(100 * 366 * 24 * 3600);

impl Setting for Duration {
    fn check(&self, at: &str) -> Result<(), Wrong> {
        if *self <= LONGEST { Ok(()) } else { Err(Wrong::new(at, format!("{at}: must be at most 100 years"))) }
    }

    fn shown(&self) -> String {
        format!("\"{}\"", super::value::duration::text(self))
    }
}

/// The result of a check; the error says what the value must be.
pub(super) type Checked = Result<(), String>;

fn ensure(fine: bool, remedy: impl FnOnce() -> String) -> Checked {
    if fine { Ok(()) } else { Err(remedy()) }
}

pub(super) fn positive(value: &Duration) -> Checked {
    ensure(!value.is_zero(), || "must be longer than nothing, such as \"1s\"".to_owned())
}

pub(super) fn up_to(seconds: u64) -> impl Fn(&Duration) -> Checked {
    let most = Duration::from_secs(seconds);
    move |value| ensure(*value <= most, || format!("must be at most \"{}\"", super::value::duration::text(&most)))
}

pub(super) fn positive_up_to(seconds: u64) -> impl Fn(&Duration) -> Checked {
    move |value| positive(value).and_then(|()| up_to(seconds)(value))
}

/// From 1 to `most`.
pub(super) fn count_up_to<N: PartialOrd + Display + From<u8>>(most: N) -> impl Fn(&N) -> Checked {
    move |value| {
        ensure(*value >= N::from(1), || "must be at least 1".to_owned())?;
        ensure(*value <= most, || format!("must be at most {most}"))
    }
}

pub(super) fn between<N: PartialOrd + Display>(least: N, most: N) -> impl Fn(&N) -> Checked {
    move |value| ensure(*value >= least && *value <= most, || format!("must be between {least} and {most}"))
}

pub(super) fn size_between(least: ByteSize, most: ByteSize) -> impl Fn(&ByteSize) -> Checked {
    move |value| ensure((least..=most).contains(value), || format!("must be between \"{least}\" and \"{most}\""))
}

pub(super) fn text_up_to(most: usize) -> impl Fn(&String) -> Checked {
    move |value| ensure((1..=most).contains(&value.len()), || format!("must be a text of 1 to {most} bytes"))
}

/// Where log lines go.
pub(super) fn target(value: &str) -> Checked {
    ensure(!value.trim().is_empty(), || "must not be empty; use \"stdout\" or a file path".to_owned())
}

/// Where audit records go: one or several targets, or "off" alone.
pub(super) fn targets(value: &List) -> Checked {
    value.0.iter().try_for_each(|one| target(one))?;
    ensure(!value.0.is_empty() && (value.0.len() == 1 || !value.0.iter().any(|one| one == "off")), || {
        "must be \"store\", \"stdout\", a file path, a list of such, or \"off\" alone".to_owned()
    })
}

/// What audit records may leave out.
pub(super) fn redactions(value: &List) -> Checked {
    let known = |word: &String| matches!(word.as_str(), "names" | "addresses");
    ensure(value.0.iter().all(known), || "must be a list of \"names\" and \"addresses\", or empty".to_owned())
}

pub(super) fn log_level(value: &str) -> Checked {
    ensure(value.parse::<tracing_subscriber::filter::Targets>().is_ok(), || {
        "is not a level; use error, warn, info, debug, trace, or \"info,hangup=debug\"".to_owned()
    })
}

pub(super) fn header_name(value: &str) -> Checked {
    ensure(value.parse::<http::HeaderName>().is_ok(), || {
        "is not the name of a header; write one such as \"x-forwarded-for\"".to_owned()
    })
}

pub(super) fn networks(value: &List) -> Checked {
    let fits = |text: &String| text.parse::<ipnet::IpNet>().is_ok() || text.parse::<std::net::IpAddr>().is_ok();
    match value.0.iter().find(|text| !fits(text)) {
        None => Ok(()),
        Some(text) => {
            Err(format!("\"{text}\" is neither an address nor a network; write \"10.1.2.3\" or \"10.0.0.0/8\""))
        }
    }
}

pub(super) fn permissions(value: &List) -> Checked {
    match value.0.iter().find(|word| !PERMISSIONS.contains(&word.as_str())) {
        None => Ok(()),
        Some(word) => Err(format!("\"{word}\": unknown permission; use {}", PERMISSIONS.join(", "))),
    }
}

/// The base of a URL: scheme, host, port and path only.
pub(super) fn base_url(value: &Option<String>) -> Checked {
    let Some(url) = value else { return Ok(()) };
    let parsed = url.parse::<http::Uri>().ok();
    let scheme = parsed.as_ref().and_then(http::Uri::scheme_str);
    let has_host = parsed.as_ref().and_then(http::Uri::host).is_some_and(|host| !host.is_empty());
    ensure(!url.contains(['@', '?', '#']), || {
        "must hold no credentials, query or fragment; only scheme, host, port and path".to_owned()
    })?;
    ensure(has_host && matches!(scheme, Some("http" | "https")), || {
        "is not a URL with a host; write it as \"https://api.mypurecloud.com\"".to_owned()
    })
}

/// An HTTP proxy.
pub(super) fn proxy_url(value: &Option<SensitiveUrl>) -> Checked {
    let Some(url) = value else { return Ok(()) };
    let parsed = url.expose().parse::<http::Uri>().ok();
    let scheme = parsed.as_ref().and_then(http::Uri::scheme_str).unwrap_or_default().to_ascii_lowercase();
    ensure(!scheme.starts_with("socks"), || {
        "SOCKS proxies are not supported; give an HTTP proxy, such as \"http://proxy.internal:3128\"".to_owned()
    })?;
    let has_host = parsed.as_ref().and_then(http::Uri::host).is_some_and(|host| !host.is_empty());
    ensure(has_host && matches!(scheme.as_str(), "http" | "https"), || {
        "is not the URL of a proxy; write it as \"http://proxy.internal:3128\"".to_owned()
    })
}

pub(super) fn region(value: &Option<String>) -> Checked {
    let known = value.as_deref().is_none_or(|region| super::region::domain(region).is_some());
    ensure(known, || {
        let names: Vec<_> = super::region::names().collect();
        format!(
            "unknown; use the AWS name of your org's region ({}), or the domain that the browser's address bar shows",
            names.join(", ")
        )
    })
}
