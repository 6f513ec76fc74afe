//! Where each setting was set: a line of the file, or an environment variable. Unknown keys are refused here, with
//! their source.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::error::CORRECT;
use super::setting::Setting as _;
use super::{Config, ConfigError};

/// The file's text and our environment variables, and where each key was set.
#[derive(Debug, Default)]
pub(super) struct Sources {
    /// The text of the file, without a byte order mark.
    pub(super) file: Option<String>,
    /// Values of the environment, by `HANGUP__SECTION__KEY`.
    pub(super) environment: HashMap<String, String>,
    /// Where each key was set last, in words.
    pub(super) origins: HashMap<String, String>,
}

impl Sources {
    /// Reads the file, and picks our variables from the environment.
    pub(super) fn read(
        path: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut known = BTreeSet::new();
        Config::keys("", &mut known);
        let mut sources = Self::default();
        if let Some(path) = path {
            sources.add_file(path, &known)?;
        }
        sources.add_environment(environment, &known)?;
        Ok(sources)
    }

    /// A message about `key`, with the origin of its value appended.
    pub(super) fn explain(&self, key: &str, text: &str) -> String {
        match self.origins.get(key) {
            Some(origin) => format!("{text} ({origin})"),
            None => text.to_owned(),
        }
    }

    fn add_file(&mut self, path: &Path, known: &BTreeSet<String>) -> Result<(), ConfigError> {
        let name = format!("--config {}", path.display());
        // Read here, so that the format does not depend on the file's extension and errors name the path.
        let text = std::fs::read_to_string(path)
            .map_err(|e| ConfigError(format!("{name}: cannot be read ({e}); check the path and its permissions")))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned();
        let table = DeTable::parse(&text).map_err(|e| {
            let line = e.span().map_or_else(String::new, |span| format!(", line {}", line_of(&text, span.start)));
            ConfigError(format!("{name}{line}: is not valid TOML: {}", e.message().replace('\n', ", ")))
        })?;
        let (mut lines, mut fractions) = (Vec::new(), BTreeSet::new());
        walk("", table.get_ref(), known, &mut lines);
        Config::fractions("", &mut fractions);
        for (key, at, value) in lines {
            let origin = format!("{name}, line {}", line_of(&text, at));
            if !known.contains(&key) {
                return Err(unknown(&key, &origin));
            }
            // The `config` crate would round it, or read the fraction as `true`.
            let is_whole =
                |number: &str| number.replace('_', "").parse::<f64>().is_ok_and(|number| number.fract() == 0.0);
            if let Some(number) = value.filter(|number| !fractions.contains(&key) && !is_whole(number)) {
                return Err(ConfigError(format!("{key} = {number}: must not be a fraction; {CORRECT} ({origin})")));
            }
            self.origins.insert(key, origin);
        }
        self.file = Some(text);
        Ok(())
    }

    fn add_environment(
        &mut self,
        environment: impl IntoIterator<Item = (String, String)>,
        known: &BTreeSet<String>,
    ) -> Result<(), ConfigError> {
        let mut named: HashMap<String, String> = HashMap::new();
        for (variable, value) in environment {
            if value.is_empty() {
                continue;
            }
            let Some(key) = key_of(&variable) else {
                match intended(&variable, known) {
                    Some(right) => return Err(ConfigError(format!("{variable}: would have no effect; write {right}"))),
                    None => continue,
                }
            };
            if !known.contains(&key) {
                return Err(match intended(&variable, known) {
                    Some(right) => ConfigError(format!("{variable}: unknown key \"{key}\"; write {right}")),
                    None => unknown(&key, &variable),
                });
            }
            let full = variable_of(&key);
            let other = self.environment.insert(full, value.clone());
            if let (Some(other), Some(first)) = (other, named.insert(key.clone(), variable.clone()))
                && other != value
            {
                return Err(ConfigError(format!("{first} and {variable} set {key} to different values; remove one")));
            }
            self.origins.insert(key, variable);
        }
        Ok(())
    }
}

/// The key that a variable sets: `HANGUP__SECTION__KEY`, or `HANGUP_SECTION__KEY`, which is easily written by mistake.
/// Without any `__` it is not a setting: Kubernetes sets `HANGUP_PORT` and others for a service named `hangup`.
fn key_of(variable: &str) -> Option<String> {
    let name = variable.to_ascii_lowercase();
    let key = match name.strip_prefix("hangup__") {
        Some(key) => key,
        None => name.strip_prefix("hangup_").filter(|key| key.contains("__"))?,
    };
    Some(key.replace("__", "."))
}

fn variable_of(key: &str) -> String {
    format!("HANGUP__{}", key.replace('.', "__").to_uppercase())
}

/// The variable that was probably intended by one with a single `_` between section and key. Ignoring
/// `HANGUP_DISCONNECT_MODE`, for example, would disconnect people although observe mode was asked for.
fn intended(variable: &str, known: &BTreeSet<String>) -> Option<String> {
    let name = variable.to_ascii_lowercase().replace("__", "_");
    let name = name.strip_prefix("hangup_")?;
    known.iter().find(|key| key.replace('.', "_") == name).map(|key| variable_of(key))
}

/// Lists the keys that a table sets, with their offsets in the text, and with their values if those are floats. An
/// unknown section is listed as a key.
fn walk(at: &str, table: &DeTable<'_>, known: &BTreeSet<String>, into: &mut Vec<(String, usize, Option<String>)>) {
    for (name, value) in table {
        let dot = if at.is_empty() { "" } else { "." };
        let key = format!("{at}{dot}{}", name.get_ref());
        let below = format!("{key}.");
        match value.get_ref() {
            DeValue::Table(table) if known.iter().any(|known| known.starts_with(&below)) => {
                walk(&key, table, known, into);
            }
            DeValue::Float(number) => into.push((key, name.span().start, Some(number.as_str().to_owned()))),
            _ => into.push((key, name.span().start, None)),
        }
    }
}

fn unknown(key: &str, origin: &str) -> ConfigError {
    ConfigError(format!(
        "{origin}: unknown key \"{key}\"; remove it or correct its name (`hangup config` lists all, as config/default.toml does)"
    ))
}

fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}
