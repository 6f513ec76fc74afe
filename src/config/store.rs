//! The settings of the store, with their checks, and what `store.url` names.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::declare::{join, section};
use super::setting::{Checked, Setting, Wrong, count_up_to};
use super::value::{SensitiveUrl, duration};

section! {
    /// `[store]`: where claims, jobs, audit records and the mode are kept.
    Store {
        url: SensitiveUrl where url,
        password_file: Option<PathBuf>,
        ca_file: Option<PathBuf>,
        max_connections: usize where count_up_to(1000),
        #[serde(with = "duration")]
        timeout: Duration where timeout,
        #[serde(with = "duration")]
        keep_audit: Duration where keep,
        #[serde(with = "duration")]
        keep_jobs: Duration where keep,
        instance: Option<String> where instance,
    }
}

impl Store {
    /// The kind of store that the URL names. A URL that the checks refuse counts as memory.
    #[must_use]
    pub fn kind(&self) -> StoreKind {
        parse(self.url.expose()).unwrap_or(StoreKind::Memory)
    }
}

/// What `store.url` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreKind {
    /// Nothing is kept beyond the process.
    Memory,
    /// An embedded database, in this file or the default one.
    Sqlite(Option<PathBuf>),
    /// A database that a fleet shares.
    Postgres,
}

impl StoreKind {
    /// Its name in `/status` and in logs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Sqlite(_) => "sqlite",
            Self::Postgres => "postgres",
        }
    }
}

fn parse(url: &str) -> Option<StoreKind> {
    match url.split_once(':') {
        None if url == "memory" => Some(StoreKind::Memory),
        None if url == "sqlite" => Some(StoreKind::Sqlite(None)),
        Some(("sqlite", path)) if !path.trim_start_matches("//").is_empty() => {
            Some(StoreKind::Sqlite(Some(PathBuf::from(path.strip_prefix("//").unwrap_or(path)))))
        }
        Some(("postgres" | "postgresql", rest)) if rest.starts_with("//") && rest.len() > 2 => {
            Some(StoreKind::Postgres)
        }
        _ => None,
    }
}

fn url(value: &SensitiveUrl) -> Checked {
    let remedy = "names no store; use \"sqlite\", \"sqlite:PATH\", \"postgres://USER@HOST:5432/DATABASE\", or \"memory\" to keep \
                  nothing beyond the process";
    parse(value.expose()).map(|_| ()).ok_or_else(|| remedy.to_owned())
}

fn timeout(value: &Duration) -> Checked {
    let fine = (Duration::from_millis(10)..=Duration::from_secs(10)).contains(value);
    if fine { Ok(()) } else { Err("must be between \"10ms\" and \"10s\", such as \"500ms\"".to_owned()) }
}

fn keep(value: &Duration) -> Checked {
    let fine = *value >= Duration::from_secs(3600);
    if fine { Ok(()) } else { Err("must be at least \"1h\", such as \"90d\"".to_owned()) }
}

fn instance(value: &Option<String>) -> Checked {
    let fine = |name: &String| (1..=128).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic());
    if value.as_ref().is_none_or(fine) {
        return Ok(());
    }
    Err("must be 1 to 128 visible ASCII characters without spaces".to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::config::Config;

    fn with(key: &str, value: &str) -> Result<Store, String> {
        let environment = HashMap::from([(format!("HANGUP__STORE__{key}"), value.to_owned())]);
        Config::from_parts(None, environment).map(|config| config.store).map_err(|e| e.to_string())
    }

    #[test]
    fn each_form_of_the_url_names_its_store() {
        let kind = |url: &str| with("URL", url).unwrap().kind();
        assert_eq!(kind("memory"), StoreKind::Memory);
        assert_eq!(kind("sqlite"), StoreKind::Sqlite(None));
        for url in ["sqlite:/var/lib/x.db", "sqlite:///var/lib/x.db"] {
            assert_eq!(kind(url), StoreKind::Sqlite(Some("/var/lib/x.db".into())), "{url}");
        }
        assert_eq!(kind("postgres://hangup@db:5432/hangup?sslmode=require"), StoreKind::Postgres);
        assert_eq!(kind("postgresql://hangup@db/hangup"), StoreKind::Postgres);
    }

    #[test]
    fn a_value_that_cannot_be_used_is_named_with_its_key_and_a_remedy_and_without_its_password() {
        for (key, value, said) in [
            (
                "URL",
                "mysql://root:hunter2@db/x",
                "store.url = \"mysql://[not shown]@db/x\": names no store; use \"sqlite\"",
            ),
            ("URL", "sqlite:", "names no store"),
            ("URL", "postgres:", "names no store"),
            ("CA_FILE", "/etc/ca.pem", "store.ca_file: is for PostgreSQL only"),
            ("MAX_CONNECTIONS", "0", "store.max_connections = 0: must be at least 1"),
            ("TIMEOUT", "1m", "store.timeout = \"1m\": must be between"),
            ("KEEP_AUDIT", "1s", "store.keep_audit = \"1s\": must be at least \"1h\""),
            ("INSTANCE", "a b", "store.instance = \"a b\""),
        ] {
            let error = with(key, value).unwrap_err();
            assert!(error.contains(said) && !error.contains("hunter2"), "{key}: {error}");
        }
    }
}
