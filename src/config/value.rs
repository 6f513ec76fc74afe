//! Types of configuration values: durations, addresses, lists, URLs, rates.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// Serde adapter for durations written as `"250ms"`, `"10s"`, `"2m"`. A bare number is refused: it has no unit.
pub(crate) mod duration {
    use super::{Deserialize, Deserializer, Duration, Serializer, de};

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(input)?;
        humantime::parse_duration(text.trim()).map_err(|e| {
            de::Error::custom(format!(
                "\"{text}\" is not a duration ({e}); write one with its unit, as in \"10s\" or \"250ms\""
            ))
        })
    }

    pub(crate) fn serialize<S: Serializer>(value: &Duration, output: S) -> Result<S::Ok, S::Error> {
        output.collect_str(&text(value))
    }

    /// Whole days stay days: `humantime` would write 90 of them as months, days and hours.
    pub(crate) fn text(value: &Duration) -> String {
        const DAY: u64 = 24 * 3600;
        match value.as_secs() {
            seconds if seconds > DAY && seconds % DAY == 0 && value.subsec_nanos() == 0 => {
                format!("{}d", seconds / DAY)
            }
            _ => humantime::format_duration(*value).to_string(),
        }
    }
}

/// Serde adapters for addresses with a port; their error names the value.
pub(crate) mod address {
    use std::net::SocketAddr;

    use super::{Deserialize, Deserializer, de};

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<SocketAddr, D::Error> {
        let text = String::deserialize(input)?;
        text.trim().parse().map_err(|_| {
            de::Error::custom(format!(
                "\"{text}\" is not an address with a port; write one such as \"127.0.0.1:8080\" or \"[::]:8080\""
            ))
        })
    }

    pub(crate) fn deserialize_option<'de, D: Deserializer<'de>>(input: D) -> Result<Option<SocketAddr>, D::Error> {
        deserialize(input).map(Some)
    }
}

/// A list given as a TOML array, or (from the environment) as words separated by commas.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct List(pub Vec<String>);

impl<'de> Deserialize<'de> for List {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct ListVisitor;
        impl<'de> Visitor<'de> for ListVisitor {
            type Value = List;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a list of strings, or strings separated by commas")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<List, E> {
                Ok(List(text.split(',').map(str::trim).filter(|w| !w.is_empty()).map(str::to_owned).collect()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<List, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element::<String>()? {
                    list.push(item);
                }
                Ok(List(list))
            }
        }
        input.deserialize_any(ListVisitor)
    }
}

/// An id or secret without the whitespace and byte order mark that editors, shells and secret stores put around it.
pub(crate) fn trimmed(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}')
}

/// What callers may be allowed to do, as it is written in keys files and in `auth.anonymous_permissions`.
pub const PERMISSIONS: [&str; 8] = ["disconnect", "read", "search", "bulk", "teardown", "jobs", "audit", "operate"];

/// Query parameters that may be shown. Allowed by name, because a list of secret ones would miss new ones.
const SHOWN_PARAMETERS: [&str; 8] =
    ["sslmode", "user", "host", "hostaddr", "port", "dbname", "connect_timeout", "target_session_attrs"];

/// A URL that may hold credentials: shown without them.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct SensitiveUrl(String);

impl SensitiveUrl {
    /// The whole URL, for connecting. Never show it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// A URL as it may be shown: without anything before an `@`, and without query values that may be credentials.
    pub(super) fn hide(url: &str) -> Cow<'_, str> {
        let without_user: Cow<'_, str> = match url.rsplit_once('@') {
            None => url.into(),
            Some((before, host)) => match before.split_once("://") {
                Some((scheme, _)) => format!("{scheme}://[not shown]@{host}").into(),
                None => host.into(),
            },
        };
        let Some((before, query)) = without_user.split_once('?') else { return without_user };
        let shown = query.split('&').map(|pair| match pair.split_once('=') {
            Some((name, _)) if !SHOWN_PARAMETERS.contains(&name) => format!("{name}=[not shown]"),
            _ => pair.to_owned(),
        });
        format!("{before}?{}", shown.collect::<Vec<_>>().join("&")).into()
    }
}

impl From<&str> for SensitiveUrl {
    fn from(url: &str) -> Self {
        Self(url.to_owned())
    }
}

impl fmt::Display for SensitiveUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&Self::hide(&self.0))
    }
}

impl fmt::Debug for SensitiveUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl Serialize for SensitiveUrl {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        output.collect_str(self)
    }
}

/// A rate such as `"5/s"` or `"300/m"`: a count per second, minute or hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many in one period; at least 1.
    pub count: u32,
    /// The period.
    pub per: Duration,
}

impl std::str::FromStr for Rate {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is not a rate; write one as \"5/s\", \"300/m\" or \"1000/h\"");
        let (count, unit) = text.trim().split_once('/').ok_or_else(wrong)?;
        let count: u32 = count.trim().parse().map_err(|_| wrong())?;
        let per = match unit.trim() {
            "s" => Duration::from_secs(1),
            "m" => Duration::from_secs(60),
            "h" => Duration::from_secs(3600),
            _ => return Err(wrong()),
        };
        if count == 0 { Err(wrong()) } else { Ok(Self { count, per }) }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.per.as_secs() {
            1 => "s",
            60 => "m",
            _ => "h",
        };
        write!(out, "{}/{unit}", self.count)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        String::deserialize(input)?.parse().map_err(de::Error::custom)
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        output.collect_str(self)
    }
}
