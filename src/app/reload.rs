//! SIGHUP: takes over what can be taken over while callers are served, and says what needs a restart.

use std::collections::BTreeMap;
use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::App;
use crate::audit::Event;
use crate::config::Config;
use crate::http;
use crate::telemetry::LogControl;

/// The keys whose changes are taken over.
const MODE: &str = "disconnect.mode";
const LEVEL: &str = "telemetry.log_level";

/// What a reload did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reloaded {
    /// Settings and files that are in force now.
    pub taken_over: Vec<String>,
    /// Changed settings that need a restart.
    pub needs_restart: Vec<String>,
    /// Files that cannot be used; the last good content stays in force.
    pub kept: Vec<String>,
}

impl fmt::Display for Reloaded {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [("taken over", &self.taken_over), ("needs a restart", &self.needs_restart), ("kept", &self.kept)];
        let parts: Vec<String> = parts
            .into_iter()
            .filter(|(_, what)| !what.is_empty())
            .map(|(name, what)| format!("{name}: {}", what.join(", ")))
            .collect();
        out.write_str(&parts.join("; "))
    }
}

/// Takes over a configuration that was read again.
#[derive(Debug)]
pub struct Reloader {
    loaded: Config,
    http: http::AppState,
}

impl App {
    /// Makes a reloader for this app.
    #[must_use]
    pub fn reloader(&self) -> Reloader {
        Reloader { loaded: self.config.clone(), http: self.http.clone() }
    }
}

impl Reloader {
    /// Takes over what can be taken over of `fresh`, and reopens the files of logs and audit.
    ///
    /// A mode that was switched by hand since stays as it is, unless the configured one has changed: SIGHUP is also sent by
    /// what rotates files at night.
    pub async fn reload(&mut self, fresh: Config, logs: &LogControl) -> Reloaded {
        let mut done = Reloaded::default();
        let changed = changed(&self.loaded, &fresh);
        if changed.iter().any(|key| key == MODE) {
            match self.http.fleet.set_mode(fresh.disconnect.mode).await {
                Ok(()) => {
                    self.http.disconnector.set_mode(fresh.disconnect.mode);
                    let mode = if self.http.disconnector.observing() { "observe" } else { "enforce" };
                    let reason = "disconnect.mode was changed in the configuration";
                    self.http.audit.event(Event::ModeChanged, mode, reason.to_owned());
                    done.taken_over.push(MODE.to_owned());
                }
                Err(error) => done.kept.push(format!("{MODE}: {error}")),
            }
        }
        if changed.iter().any(|key| key == LEVEL) {
            match logs.set_level(&fresh.telemetry.log_level) {
                Ok(()) => done.taken_over.push(LEVEL.to_owned()),
                Err(cause) => done.kept.push(format!("{LEVEL}: {cause}")),
            }
        }
        done.needs_restart.extend(changed.into_iter().filter(|key| key != MODE && key != LEVEL));
        if self.loaded.auth.keys_file.is_some() {
            match self.http.callers.reload().await {
                Ok(keys) => done.taken_over.push(format!("auth.keys_file ({keys} keys)")),
                Err(error) => done.kept.push(error.to_string()),
            }
        }
        if let Some(tls) = &self.http.tls {
            match tls.reload().await {
                Ok(()) => done.taken_over.push("server.tls".to_owned()),
                Err(error) => done.kept.push(error.to_string()),
            }
        }
        if self.loaded.genesys.client_secret_file.is_some() {
            self.http.disconnector.client().tokens().renew_now();
            done.taken_over.push("genesys.client_secret_file (logging in again)".to_owned());
        }
        self.reopen(logs, &mut done);
        self.http.audit.event(Event::Reloaded, "reloaded", done.to_string());
        // What needs a restart is named again with the next SIGHUP.
        self.loaded.disconnect.mode = fresh.disconnect.mode;
        self.loaded.telemetry.log_level = fresh.telemetry.log_level;
        done
    }

    /// Records that a configuration could not be used, so that nothing has changed.
    pub fn refuse(&self, cause: &str) {
        self.http.audit.event(Event::Reloaded, "rejected", cause.to_owned());
    }

    /// Reopens the files of logs and audit, and nothing else: for SIGUSR1, which log rotations send.
    pub fn reopen_files(&self, logs: &LogControl) -> Reloaded {
        let mut done = Reloaded::default();
        self.reopen(logs, &mut done);
        done
    }

    fn reopen(&self, logs: &LogControl, done: &mut Reloaded) {
        if self.http.audit.reopen() {
            done.taken_over.push("audit.target (opened anew)".to_owned());
        }
        match logs.reopen() {
            Ok(true) => done.taken_over.push("telemetry.log_target (opened anew)".to_owned()),
            Ok(false) => {}
            Err(cause) => done.kept.push(cause),
        }
    }
}

/// The keys whose values differ.
fn changed(before: &Config, after: &Config) -> Vec<String> {
    let (before_keys, after_keys) = (flat(before), flat(after));
    let mut keys: Vec<String> = before_keys
        .iter()
        .filter(|(key, value)| after_keys.get(*key) != Some(value))
        .map(|(key, _)| key.clone())
        .chain(after_keys.keys().filter(|key| !before_keys.contains_key(*key)).cloned())
        .collect();
    let secret = |secret: &Option<SecretString>| secret.as_ref().map(|secret| secret.expose_secret().to_owned());
    if secret(&before.genesys.client_secret) != secret(&after.genesys.client_secret) {
        keys.push("genesys.client_secret".to_owned());
    }
    // Shown alike, and yet with other credentials in them.
    for (key, differs) in [
        ("genesys.proxy", before.genesys.proxy != after.genesys.proxy),
        ("store.url", before.store.url != after.store.url),
        ("auth.jwt.jwks_url", before.auth.jwt.jwks_url != after.auth.jwt.jwks_url),
        ("telemetry.otlp_endpoint", before.telemetry.otlp_endpoint != after.telemetry.otlp_endpoint),
    ] {
        if differs && !keys.iter().any(|known| known == key) {
            keys.push(key.to_owned());
        }
    }
    keys
}

/// All keys in their dotted form; secrets are left out by their types.
fn flat(config: &Config) -> BTreeMap<String, Value> {
    fn walk(prefix: &str, value: Value, into: &mut BTreeMap<String, Value>) {
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    let key = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
                    walk(&key, value, into);
                }
            }
            Value::Null => {}
            value => {
                into.insert(prefix.to_owned(), value);
            }
        }
    }
    let mut keys = BTreeMap::new();
    walk("", serde_json::to_value(config).unwrap_or_default(), &mut keys);
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_named_by_their_keys_and_secrets_are_compared_too() {
        let before = Config::defaults();
        assert!(changed(&before, &before.clone()).is_empty());
        let mut after = before.clone();
        after.disconnect.mode = crate::config::Mode::Observe;
        after.retry.max_attempts = 7;
        after.genesys.region = Some("eu-west-1".to_owned());
        after.genesys.client_secret = Some(SecretString::from("secret"));
        let expected = ["disconnect.mode", "retry.max_attempts", "genesys.region", "genesys.client_secret"];
        assert_eq!(changed(&before, &after), expected);
        let with_password = |password: &str| {
            let mut config = before.clone();
            config.store.url = format!("postgres://app:{password}@db/hangup").as_str().into();
            config
        };
        assert_eq!(changed(&with_password("old"), &with_password("new")), ["store.url"]);
    }

    #[test]
    fn every_key_that_is_taken_over_is_one_of_the_configuration() {
        let keys = flat(&Config::defaults());
        assert!([MODE, LEVEL].iter().all(|key| keys.contains_key(*key)));
    }
}
