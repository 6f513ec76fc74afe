//! `hangup config`: every key with its explanation, or every value with its source.

use std::collections::HashMap;
use std::path::Path;

use secrecy::ExposeSecret as _;
use serde_json::Value;

use super::Failure;
use super::text::printable;
use crate::config::{Config, DEFAULTS};

/// Where a value comes from that was not set.
const DEFAULT: &str = "default";

/// Prints `config/default.toml`, which is the documentation of every key.
pub(super) fn defaults() {
    print!("{DEFAULTS}");
}

/// Prints every value that is in force and where it was set; never a secret.
pub(super) fn effective(file: Option<&Path>) -> Result<(), Failure> {
    let (config, origins) = Config::load_with_origins(file).map_err(Failure::unusable)?;
    print!("{}", listed(&config, &origins));
    Ok(())
}

fn listed(config: &Config, origins: &HashMap<String, String>) -> String {
    let mut values = Vec::new();
    flatten("", &redacted(config), &mut values);
    // Secrets are left out by their types; that one is set may be shown.
    let secret = if config.genesys.client_secret.is_some() { "# set, not shown" } else { "# not set" };
    values.push(("genesys.client_secret".to_owned(), secret.to_owned()));
    values.push(("sandbox.client_secret".to_owned(), "# set, not shown".to_owned()));
    values.sort();
    let width =
        values.iter().map(|(key, value)| key.len() + value.chars().count() + 3).max().unwrap_or_default().min(60);
    let mut text = String::new();
    for (key, value) in values {
        let from = origins.get(&key).map_or(DEFAULT, String::as_str);
        let setting = if value.starts_with('#') { format!("{key} {value}") } else { format!("{key} = {value}") };
        text.push_str(&format!("{:<width$}  # {}\n", printable(&setting), printable(from)));
    }
    text
}

/// Keys with dots and values as TOML writes them; what is not set is a comment.
fn flatten(at: &str, value: &Value, into: &mut Vec<(String, String)>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let dot = if at.is_empty() { "" } else { "." };
                flatten(&format!("{at}{dot}{name}"), value, into);
            }
        }
        Value::Null => into.push((at.to_owned(), "# not set".to_owned())),
        other => into.push((at.to_owned(), other.to_string())),
    }
}

/// The configuration without anything that must not be shown. Its secrets are left out by their types.
pub(super) fn redacted(config: &Config) -> Value {
    let mut shown = serde_json::to_value(config).unwrap_or_default();
    // A secret that was put into another key by mistake is still a secret.
    if let Some(secret) = &config.genesys.client_secret {
        hide(&mut shown, secret.expose_secret());
    }
    shown
}

fn hide(value: &mut Value, secret: &str) {
    match value {
        Value::String(text) if secret.len() >= 8 && text.contains(secret) => {
            *text = text.replace(secret, "[secret]");
        }
        Value::Array(values) => values.iter_mut().for_each(|value| hide(value, secret)),
        Value::Object(members) => members.values_mut().for_each(|value| hide(value, secret)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_listed_with_its_source_and_no_secret_is() {
        let mut config = Config::defaults();
        config.genesys.client_secret = Some("secret-canary".into());
        config.genesys.client_id = Some("put-here-by-mistake: secret-canary".to_owned());
        let origins = HashMap::from([("server.bind".to_owned(), "HANGUP__SERVER__BIND".to_owned())]);
        let text = listed(&config, &origins);
        assert!(!text.contains("secret-canary"), "{text}");
        for (key, source) in
            [("server.bind = ", "# HANGUP__SERVER__BIND"), ("disconnect.deadline = \"10s\"", "# default")]
        {
            let line = text.lines().find(|line| line.starts_with(key)).unwrap();
            assert!(line.ends_with(source), "{line}");
        }
        assert!(text.contains("genesys.client_secret # set, not shown"), "{text}");
        assert!(text.contains("genesys.proxy # not set"), "{text}");
    }
}
